//! A front before a server that carries requests on and, for some of them, does what networks and machines in between do:
//! cuts, stalls, halves, garbles, bloats and misdirects. It knows no protocol beyond HTTP.
#![expect(clippy::disallowed_methods, reason = "a test's own server ends with the test")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Harm {
    /// Carried out; the connection ends without an answer.
    CutAfterCommit,
    /// Not carried out; the connection ends.
    CutBefore,
    /// Carried out; half of the answer comes, and then nothing more.
    Stall,
    /// Carried out; the answer is whole HTTP around half a text.
    Truncate,
    /// Carried out; the answer is a page for people.
    WrongType,
    /// Not carried out; the answer is a page for people, and says that all went well.
    Intercept,
    /// Carried out; the answer unpacks to a hundred times what a client takes.
    Bomb(u64),
    /// Not carried out; points to another host.
    Redirect(String),
    /// Not carried out; the sign-in is refused, as with a token whose time is over.
    SignInRefused,
    /// Carried out or not; a server error of any kind.
    ServerError,
}

/// Which requests are harmed.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// Every so many requests, until so many were harmed: a network that never lets anything pass comes to no rest.
    Every { count: u64, most: u64 },
    /// One in a hundred, by the seed.
    OneInHundred { seed: u64 },
}

/// The front; it ends with the value.
pub struct Rogue {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

struct State {
    harm: Option<(Harm, When)>,
    chance: StdRng,
    requests: u64,
    harmed: u64,
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Rogue {
    pub async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = State { harm: None, chance: StdRng::seed_from_u64(0), requests: 0, harmed: 0 };
        let state = Arc::new(Mutex::new(state));
        let (shared, http) = (state.clone(), reqwest::Client::builder().no_gzip().build().expect("a client"));
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (state, http) = (shared.clone(), http.clone());
                // A client that goes away in the middle is its own business.
                open.spawn(async move { serve(stream, server, &http, &state).await.unwrap_or_default() });
            }
        });
        Self { address, state, task }
    }

    /// From now on; counts begin anew.
    pub fn harm(&self, harm: Harm, when: When) {
        let mut state = self.state.lock().expect("no panic");
        if let When::OneInHundred { seed } = when {
            state.chance = StdRng::seed_from_u64(seed);
        }
        (state.harm, state.requests, state.harmed) = (Some((harm, when)), 0, 0);
    }

    pub fn behave(&self) {
        self.state.lock().expect("no panic").harm = None;
    }

    /// Requests since [`Rogue::harm`], and how many were harmed.
    pub fn counts(&self) -> (u64, u64) {
        let state = self.state.lock().expect("no panic");
        (state.requests, state.harmed)
    }
}

impl State {
    /// What becomes of the next request, and a number for choices within.
    fn next(&mut self) -> (Option<Harm>, u32) {
        self.requests += 1;
        let pick = self.chance.random();
        let hit = match self.harm.as_ref().map(|(_, when)| *when) {
            None => false,
            Some(When::Every { count, most }) => self.harmed < most && self.requests.is_multiple_of(count),
            Some(When::OneInHundred { .. }) => self.chance.random_ratio(1, 100),
        };
        let harm = self.harm.as_ref().filter(|_| hit).map(|(harm, _)| harm.clone());
        self.harmed += u64::from(hit);
        (harm, pick)
    }
}

async fn serve(
    mut stream: TcpStream,
    server: SocketAddr,
    http: &reqwest::Client,
    state: &Mutex<State>,
) -> std::io::Result<()> {
    loop {
        let request = read(&mut stream).await?;
        let (harm, pick) = state.lock().expect("no panic").next();
        let before = match &harm {
            Some(Harm::CutBefore) => return Ok(()),
            Some(Harm::Redirect(to)) => Some(answer("307 Temporary Redirect", &format!("Location: {to}\r\n"), b"")),
            Some(Harm::SignInRefused) => Some(answer("401 Unauthorized", "WWW-Authenticate: Bearer\r\n", b"")),
            Some(Harm::Intercept) => Some(page()),
            Some(Harm::ServerError) if pick % 2 == 0 => Some(server_error(pick)),
            _ => None,
        };
        if let Some(before) = before {
            stream.write_all(&before).await?;
            continue;
        }
        let (status, headers, body) = carry(http, server, request).await?;
        let half = body.get(..body.len() / 2).unwrap_or_default();
        let text = match harm {
            Some(Harm::CutAfterCommit) => return Ok(()),
            Some(Harm::Stall) => {
                let whole = answer(&status, &headers, &body);
                stream.write_all(whole.get(..whole.len() - body.len() / 2 - 1).unwrap_or_default()).await?;
                // Until the client gives up.
                let _ = stream.read_u8().await;
                return Ok(());
            }
            Some(Harm::Truncate) => answer(&status, &headers, half),
            Some(Harm::WrongType) => page(),
            Some(Harm::Bomb(limit)) => answer("200 OK", "Content-Encoding: gzip\r\n", &bomb(limit)),
            Some(Harm::ServerError) => server_error(pick),
            _ => answer(&status, &headers, &body),
        };
        stream.write_all(&text).await?;
    }
}

fn page() -> Vec<u8> {
    answer("200 OK", "Content-Type: text/html\r\n", b"<html><body>Sign in<br></html>")
}

fn server_error(pick: u32) -> Vec<u8> {
    let kinds = ["500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"];
    answer(kinds[pick as usize / 2 % kinds.len()], "Content-Type: text/html\r\n", b"<html>oops</html>")
}

/// A packed text a hundred times as long as the limit.
fn bomb(limit: u64) -> Vec<u8> {
    use std::io::Write as _;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let piece = vec![b' '; 1 << 16];
    for _ in 0..(limit * 100).div_ceil(1 << 16) {
        packer.write_all(&piece).expect("in memory");
    }
    packer.finish().expect("in memory")
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len()).into_bytes();
    text.extend_from_slice(body);
    text
}

struct Asked {
    method: reqwest::Method,
    path: String,
    headers: reqwest::header::HeaderMap,
    body: Vec<u8>,
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let mut headers = reqwest::header::HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        let name: reqwest::header::HeaderName = name.parse().expect("a header's name");
        headers.append(name, value.parse().expect("a header's value"));
    }
    let length = headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    // The host stays: a server makes the links of its answers from it.
    headers.remove("content-length");
    let method = method.parse().expect("a method");
    Ok(Asked { method, path: path.to_owned(), headers, body })
}

async fn carry(http: &reqwest::Client, server: SocketAddr, asked: Asked) -> std::io::Result<(String, String, Vec<u8>)> {
    let request = http.request(asked.method, format!("http://{server}{}", asked.path)).headers(asked.headers);
    let answered = request.body(asked.body).send().await.map_err(std::io::Error::other)?;
    let status = answered.status().to_string();
    let kept =
        answered.headers().iter().filter(|(name, _)| !["content-length", "transfer-encoding"].contains(&name.as_str()));
    let headers =
        kept.map(|(name, value)| format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()))).collect();
    let body = answered.bytes().await.map_err(std::io::Error::other)?;
    Ok((status, headers, body.to_vec()))
}
