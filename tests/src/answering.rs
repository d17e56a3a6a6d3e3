//! A server on this machine whose answers a test writes as a function; it keeps what it was asked.
//!
//! For protocols with answers that no simulator gives, and for counting what a client sends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// By name in lower case; repeated ones are joined by commas.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Path without query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The fields of a form.
    pub fn form(&self) -> BTreeMap<String, String> {
        let url = reqwest::Url::parse(&format!("http://form/?{}", self.body)).expect("a form");
        url.query_pairs().into_owned().collect()
    }

    /// The values of the query.
    pub fn query(&self) -> BTreeMap<String, String> {
        let url = reqwest::Url::parse(&format!("http://server{}", self.target)).expect("a target");
        url.query_pairs().into_owned().collect()
    }
}

/// What the server says.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: body.to_string() }
    }

    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Ends with the value.
pub struct Answering {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Answering {
    /// `answer` gets the address of the server and the request.
    pub async fn start(answer: impl Fn(&str, &Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let (kept, own, answer) = (asked.clone(), url.clone(), Arc::new(answer));
        #[expect(clippy::disallowed_methods, reason = "a test's own server ends with the test")]
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (kept, own, answer) = (kept.clone(), own.clone(), answer.clone());
                open.spawn(async move {
                    while let Some(request) = read(&mut stream).await {
                        let said = answer(&own, &request);
                        kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                        if stream.write_all(text(&said).as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, asked, task }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn text(answer: &Answer) -> String {
    let mut text = format!("HTTP/1.1 {} Said\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
    for (name, value) in &answer.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text + "\r\n" + &answer.body
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.lines();
    let mut first = lines.next()?.split(' ');
    let mut asked = Asked { method: first.next()?.to_owned(), target: first.next()?.to_owned(), ..Asked::default() };
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let kept = asked.headers.entry(name.to_lowercase()).or_default();
        if !kept.is_empty() {
            kept.push_str(", ");
        }
        kept.push_str(value.trim());
    }
    let length: usize = asked.header("content-length").parse().unwrap_or(0);
    while bytes.len() < head + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    asked.body = String::from_utf8_lossy(&bytes[head..head + length]).into_owned();
    Some(asked)
}
