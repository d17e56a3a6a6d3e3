//! The HTTP client: limits, classes, and what it never gives away.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use daybridge::connector::Problem;
use daybridge::connector::http::{
    HeaderMap, HeaderValue, HttpClient, HttpConfig, HttpError, Request, Secret, StatusCode, Url, problem_of,
    retry_after,
};
use daybridge::error::Chain;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Far above what anything here takes, far below a person's patience.
const LIMIT: Duration = Duration::from_secs(10);

/// A server that answers every request with the next of its texts (the last one again and again) and keeps what it was
/// sent. It ends with the value.
pub struct Canned {
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Canned {
    pub async fn start(answers: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let answers: Arc<Vec<Vec<u8>>> = Arc::new(answers.into_iter().collect());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (requests, connections) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<usize>>::default());
        let (kept, counted) = (requests.clone(), connections.clone());
        #[expect(clippy::disallowed_methods, reason = "a test's own server ends with the test")]
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                *counted.lock().unwrap() += 1;
                let (answers, kept) = (answers.clone(), kept.clone());
                open.spawn(async move {
                    while let Some(request) = read_request(&mut stream).await {
                        let number = {
                            let mut kept = kept.lock().unwrap();
                            kept.push(request);
                            kept.len()
                        };
                        let Some(answer) = answers.get(number - 1).or(answers.last()) else {
                            std::future::pending::<()>().await;
                            return;
                        };
                        if stream.write_all(answer).await.is_err() || !keeps_open(answer) {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, requests, connections, task }
    }

    /// Takes requests and never answers.
    pub async fn silent() -> Self {
        Self::start([]).await
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

fn keeps_open(answer: &[u8]) -> bool {
    !String::from_utf8_lossy(answer).to_lowercase().contains("connection: close")
}

/// The head and body of one request, or nothing at the end of the connection.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut text = Vec::new();
    let head = loop {
        if let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        text.push(stream.read_u8().await.ok()?);
        // Who begins to speak TLS is hung up on.
        text.first().filter(|first| first.is_ascii_alphabetic())?;
    };
    let lower = String::from_utf8_lossy(&text).to_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0);
    text.resize(head + length, 0);
    stream.read_exact(&mut text[head..]).await.ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

pub fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len()).into_bytes();
    text.extend_from_slice(body);
    text
}

fn client() -> HttpClient {
    HttpClient::new(HttpConfig { request_timeout: LIMIT, ..HttpConfig::default() }).unwrap()
}

fn get(url: &str) -> Request {
    Request::get(Url::parse(url).unwrap())
}

#[test]
fn a_status_says_what_to_do() {
    let none = HeaderMap::new();
    for (status, problem) in [
        (200, None),
        (204, None),
        (302, Some(Problem::Malformed)),
        (400, Some(Problem::Refused)),
        (401, Some(Problem::SignIn)),
        (403, Some(Problem::Forbidden)),
        (404, Some(Problem::NotFound)),
        (409, Some(Problem::Stale)),
        (412, Some(Problem::Stale)),
        (422, Some(Problem::Refused)),
        (429, Some(Problem::Throttled { after: None })),
        (500, Some(Problem::Unreachable { after: None })),
        (503, Some(Problem::Unreachable { after: None })),
        (507, Some(Problem::Full)),
    ] {
        assert_eq!(problem_of(StatusCode::from_u16(status).unwrap(), &none), problem, "{status}");
    }
    let mut later = HeaderMap::new();
    later.insert("retry-after", HeaderValue::from_static("7"));
    let after = Some(Duration::from_secs(7));
    assert_eq!(problem_of(StatusCode::TOO_MANY_REQUESTS, &later), Some(Problem::Throttled { after }));
    assert_eq!(problem_of(StatusCode::SERVICE_UNAVAILABLE, &later), Some(Problem::Unreachable { after }));
}

#[test]
fn retry_after_is_read_in_both_forms_and_bounded() {
    let date = Some("Wed, 21 Oct 2026 07:28:00 GMT");
    for (text, date, wait) in [
        ("120", None, Some(120)),
        (" 0 ", None, Some(0)),
        ("Wed, 21 Oct 2026 07:30:00 GMT", date, Some(120)),
        ("Wed, 21 Oct 2026 07:00:00 GMT", date, Some(0)),
        ("Wed, 21 Oct 2026 07:30:00 GMT", None, None),
        ("99999999999", None, Some(86_400)),
        ("-5", None, None),
        ("soon", date, None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static(text));
        if let Some(date) = date {
            headers.insert("date", HeaderValue::from_static(date));
        }
        assert_eq!(retry_after(&headers), wait.map(Duration::from_secs), "{text:?} at {date:?}");
    }
}

#[tokio::test]
async fn an_answer_comes_whole_over_a_connection_that_is_kept() {
    let server = Canned::start([
        answer("200 OK", "Content-Type: Application/JSON; charset=utf-8\r\n", r#"{"a":1}"#),
        answer("404 Not Found", "", "nothing"),
    ])
    .await;
    let client = client();
    let request = Request::post(Url::parse(&format!("{}/x?secret=1", server.url)).unwrap())
        .basic("Jürgen", &Secret::new("p:wörd"))
        .accept("application/json")
        .body("text/plain", "hällo");
    let first = client.send(request).await.unwrap();
    assert_eq!((first.problem(), first.media_type().as_str()), (None, "application/json"));
    assert_eq!(first.json::<serde_json::Value>().unwrap()["a"], 1);
    let second = client.send(get(&server.url)).await.unwrap();
    assert_eq!(second.problem(), Some(Problem::NotFound));
    assert_eq!(&second.body[..], b"nothing");
    let error = second.json::<serde_json::Value>().unwrap_err();
    assert_eq!(error.problem, Problem::Malformed);
    assert_eq!(server.connections(), 1);
    let sent = &server.requests()[0].to_lowercase();
    for part in
        ["post /x?secret=1 ", "user-agent: daybridge/", "accept: application/json", "content-type: text/plain", "hällo"]
    {
        assert!(sent.contains(part), "{part} not in {sent}");
    }
    assert!(server.requests()[0].contains("Basic SsO8cmdlbjpwOnfDtnJk"), "UTF-8, as RFC 7617 says");
}

#[tokio::test]
async fn nothing_waits_longer_than_its_limit() {
    let server = Canned::silent().await;
    let limit = Duration::from_millis(150);
    let error = client().send(get(&server.url).timeout(limit)).await.unwrap_err();
    assert_eq!(error.problem, Problem::Unreachable { after: None });
    assert!(error.to_string().contains("150ms"), "{error}");

    // The head came, the body does not.
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec();
    let server = Canned::start([half]).await;
    let error = client().send(get(&server.url).timeout(limit)).await.unwrap_err();
    assert_eq!(error.problem, Problem::Unreachable { after: None });
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = client().send(get(&format!("http://{free}/secret-free?subject=x"))).await.unwrap_err();
    assert_eq!(error.problem, Problem::Unreachable { after: None });
    let text = Chain(&error).to_string();
    assert!(text.starts_with(&format!("cannot connect to http://{free}/secret-free")), "{text}");
    assert!(!text.contains("subject"), "{text}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_unreachable() {
    // In the middle of the body, in the middle of the head, in the middle of a packed body.
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
    for text in [
        format!("{head}Content-Length: 100\r\n\r\nhalf"),
        head.to_owned(),
        format!("{head}Content-Length: 100\r\nContent-Encoding: gzip\r\n\r\n"),
    ] {
        let server = Canned::start([text.clone().into_bytes()]).await;
        let error = client().send(get(&server.url)).await.unwrap_err();
        assert_eq!(error.problem, Problem::Unreachable { after: None }, "{text:?}: {}", Chain(&error));
    }
}

#[tokio::test]
async fn an_answer_is_capped_also_when_it_is_packed() {
    let small = || HttpClient::new(HttpConfig { body_limit: 1000, ..HttpConfig::default() }).unwrap();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packer, &vec![b'a'; 1 << 20]).unwrap();
    let bomb = packer.finish().unwrap();
    assert!(bomb.len() < 2000);
    let chunked =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001));
    for text in [
        answer("200 OK", "", vec![b'x'; 1001]),
        chunked.into_bytes(),
        answer("200 OK", "Content-Encoding: gzip\r\n", &bomb),
        answer("500 Oops", "", vec![b'x'; 1001]),
    ] {
        let server = Canned::start([text]).await;
        let error = small().send(get(&server.url)).await.unwrap_err();
        assert_eq!(error.problem, Problem::Malformed);
        assert!(error.to_string().contains("longer than 1000 bytes"), "{error}");
    }
    let server = Canned::start([answer("200 OK", "", vec![b'x'; 1000])]).await;
    assert_eq!(small().send(get(&server.url)).await.unwrap().body.len(), 1000, "the limit itself is allowed");

    let server = Canned::start([answer("200 OK", "Content-Encoding: gzip\r\n", "not gzip")]).await;
    assert_eq!(small().send(get(&server.url)).await.unwrap_err().problem, Problem::Malformed);
}

#[tokio::test]
async fn no_redirect_is_followed_and_no_credential_leaves() {
    let elsewhere = Canned::start([answer("200 OK", "", "got you")]).await;
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let to = format!("Location: {}/?login\r\n", elsewhere.url);
        let server = Canned::start([answer(status, &to, "")]).await;
        let request = get(&server.url).basic("sync", &Secret::new("geheim"));
        let error = client().send(request).await.unwrap_err();
        assert_eq!(error.problem, Problem::Malformed);
        assert!(error.to_string().contains(&elsewhere.url) && error.to_string().contains("not followed"), "{error}");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_long_answer_arrives_in_pieces_and_may_not_fall_silent() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let server = Canned::start([format!("{head}5\r\nfirst\r\n6\r\nsecond\r\n").into_bytes()]).await;
    let mut streaming = client().stream(get(&server.url), Duration::from_millis(150)).await.unwrap();
    assert_eq!(streaming.problem(), None);
    let mut text = Vec::new();
    let error = loop {
        match streaming.next().await {
            Ok(Some(piece)) => text.extend_from_slice(&piece),
            Ok(None) => panic!("the server did not end"),
            Err(error) => break error,
        }
    };
    assert_eq!(text, b"firstsecond");
    assert_eq!(error.problem, Problem::Unreachable { after: None });

    let server = Canned::start([answer("503 Busy", "Retry-After: 3\r\n", "busy")]).await;
    let streaming = client().stream(get(&server.url), LIMIT).await.unwrap();
    assert_eq!(streaming.problem(), Some(Problem::Unreachable { after: Some(Duration::from_secs(3)) }));
    assert_eq!(&streaming.read_to_end().await.unwrap().body[..], b"busy");
    let silent = Canned::silent().await;
    let request = get(&silent.url).timeout(Duration::from_millis(150));
    let error = client().stream(request, LIMIT).await.err().unwrap();
    assert_eq!(error.problem, Problem::Unreachable { after: None });
}

#[test]
fn secrets_and_queries_are_not_printed() {
    let config: HttpConfig =
        toml::from_str("proxy = \"http://me:geheim@proxy.test:3128\"\nrequest_timeout = 5").unwrap();
    assert_eq!(config.request_timeout, Duration::from_secs(5));
    let client = HttpClient::new(config.clone()).unwrap();
    let url = Url::parse("https://a:geheim@host.test/path?q=geheim").unwrap();
    let request = Request::get(url).bearer(&Secret::new("geheim")).body("text/plain", "geheim");
    for text in [
        format!("{config:?}"),
        format!("{client:?}"),
        format!("{request:?}"),
        format!("{:?}", request.headers),
        format!("{:?}", Secret::new("geheim")),
    ] {
        assert!(!text.contains("geheim"), "{text}");
    }
    assert_eq!(format!("{request:?}"), "GET https://host.test/path");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for (text, part) in [
        ("request_timeout = 0", "at least 1 second"),
        ("request_timout = 5", "unknown field"),
        ("body_limit = -1", "invalid value"),
    ] {
        let error = toml::from_str::<HttpConfig>(text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let (missing, empty) = (folder.path().join("missing.pem"), folder.path().join("empty.pem"));
    std::fs::write(&empty, "no certificate").unwrap();
    for file in [missing, empty] {
        let error = HttpClient::new(HttpConfig { ca_file: Some(file.clone()), ..HttpConfig::default() }).unwrap_err();
        assert_eq!(error.problem, Problem::Certificate);
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    }
    let proxy = HttpConfig { proxy: Some(Secret::new("::geheim::")), ..HttpConfig::default() };
    let error = HttpClient::new(proxy).unwrap_err();
    assert!(!Chain(&error).to_string().contains("geheim"), "{}", Chain(&error));
}

#[tokio::test]
async fn an_untrusted_certificate_is_told_from_a_dead_server() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new([]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(ca, key);
    let leaf_key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&leaf_key, &issuer).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], leaf_key.serialize_der().try_into().unwrap())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    #[expect(clippy::disallowed_methods, reason = "a test's own server ends with the test")]
    let task = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A refused certificate ends the handshake; the next connection is another try.
            if let Ok(mut stream) = acceptor.accept(stream).await {
                serve_one(&mut stream).await;
            }
        }
    });

    let url = format!("https://localhost:{port}/");
    let error = client().send(get(&url)).await.unwrap_err();
    assert_eq!(error.problem, Problem::Certificate, "{}", Chain(&error));
    assert!(error.to_string().contains("not trusted"));

    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, ca_certificate.pem()).unwrap();
    let trusting = HttpClient::new(HttpConfig { ca_file: Some(ca_file), ..HttpConfig::default() }).unwrap();
    assert_eq!(&trusting.send(get(&url)).await.unwrap().body[..], b"hello");
    // The certificate is for another name.
    let error = trusting.send(get(&format!("https://127.0.0.1:{port}/"))).await.unwrap_err();
    assert_eq!(error.problem, Problem::Certificate, "{}", Chain(&error));
    // A server that speaks no TLS is no certificate problem.
    let plain = Canned::start([b"HTTP/1.1 400 Bad\r\nconnection: close\r\n\r\n".to_vec()]).await;
    let error: HttpError = trusting.send(get(&plain.url.replace("http:", "https:"))).await.unwrap_err();
    assert_eq!(error.problem, Problem::Unreachable { after: None }, "{}", Chain(&error));
    task.abort();
}

async fn serve_one(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    if read_request(stream).await.is_some() {
        let _ = stream.write_all(&answer("200 OK", "Connection: close\r\n", "hello")).await;
        let _ = stream.shutdown().await;
    }
}
