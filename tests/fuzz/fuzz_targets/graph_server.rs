//! A whole server of Microsoft Graph, and of its sign-in, that answers anything, over a socket: every act of the connector comes
//! to an end and says what was wrong.
//!
//! An input is an act and the answers to the requests it makes, separated by [`SEPARATOR`]: of each the first letter is the
//! status (a small one if it is an answer of the sign-in), the second the kind, the rest the body, in which [`SELF`] stands
//! for the server's own address. Where they run out, nothing is found.
#![no_main]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use daybridge::clock::FixedClock;
use daybridge::connector::graph::GraphConnector;
use daybridge::connector::graph::config::{GraphConfig, Notifications};
use daybridge::connector::http::Secret;
use daybridge::connector::{Connector, Error};
use daybridge::model::{
    Address, Appointment, Body, Container, Field, ItemRef, Key, Mail, Patch, Response, Time, Value, Version, Zone,
};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// ASCII's record separator: no JSON has it.
const SEPARATOR: u8 = 0x1e;
const SELF: &str = "http://server";
const STATUSES: [u16; 12] = [200, 201, 204, 400, 401, 403, 404, 409, 410, 412, 429, 503];
const KINDS: [&str; 4] = [
    "Content-Type: application/json\r\n",
    "Content-Type: application/json\r\nRetry-After: 3\r\n",
    "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
    "Content-Type: text/html\r\n",
];
const TOKEN: &str = r#"{"access_token":"t","expires_in":3600}"#;
const MISSING: &str = r#"{"error":{"code":"ErrorItemNotFound","message":"not found"}}"#;

type Answers = Arc<Mutex<VecDeque<Vec<u8>>>>;

struct Bench {
    runtime: Runtime,
    answers: Answers,
    clock: Arc<FixedClock>,
    connector: GraphConnector,
}

fuzz_target!(|bytes: &[u8]| {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    let bench = BENCH.get_or_init(start);
    let mut parts = bytes.split(|byte| *byte == SEPARATOR);
    let act = parts.next().and_then(|first| first.first()).copied().unwrap_or_default();
    *bench.answers.lock().expect("no panic") = parts.map(<[u8]>::to_vec).collect();
    // The next day: pauses are over, and the token is another one.
    bench.clock.advance(TimeDelta::days(1));
    if let Err(error) = bench.runtime.block_on(perform(&bench.connector, act)) {
        assert!(!error.hint().is_empty() && !error.to_string().contains("secret-of-ours"));
    }
});

fn start() -> Bench {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answers = Answers::default();
    let (told, base) = (answers.clone(), url.clone());
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, told.clone(), base.clone()));
        }
    });
    let clock = Arc::new(FixedClock::new(now(), 1));
    let mut config = GraphConfig::new("example.test", "client", Secret::new("secret-of-ours"));
    (config.url, config.authority) = (format!("{url}/v1.0"), url);
    config.http.request_timeout = Duration::from_secs(2);
    config.notifications =
        Some(Notifications { url: "https://bridge.example.test/graph".to_owned(), listen: ([127, 0, 0, 1], 0).into() });
    let connector = GraphConnector::new(config, clock.clone()).expect("a connector");
    Bench { runtime, answers, clock, connector }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default()
}

async fn serve(mut stream: TcpStream, answers: Answers, base: String) -> Option<()> {
    let mut held = Vec::new();
    loop {
        let head = loop {
            if let Some(at) = held.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut held).await.ok()? == 0 {
                return None;
            }
        };
        let text = String::from_utf8_lossy(held.get(..head)?).to_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
        while held.len() < head + length {
            if stream.read_buf(&mut held).await.ok()? == 0 {
                return None;
            }
        }
        held.drain(..head + length);
        let is_token = text.starts_with("post /example.test/oauth2/");
        let next = {
            let mut answers = answers.lock().ok()?;
            let is_for_it = |answer: &Vec<u8>| answer.first().is_some_and(|letter| letter.is_ascii_lowercase());
            if answers.front().is_some_and(|front| is_for_it(front) == is_token) { answers.pop_front() } else { None }
        };
        stream.write_all(&answer(next.as_deref(), is_token, &base)).await.ok()?;
    }
}

fn answer(told: Option<&[u8]>, is_token: bool, base: &str) -> Vec<u8> {
    let pick = |letter: u8, count: usize| usize::from(letter) % count;
    let (status, kind, body) = match told {
        Some([status, kind, body @ ..]) => (STATUSES[pick(*status, STATUSES.len())], KINDS[pick(*kind, KINDS.len())], body),
        _ if is_token => (200, KINDS[0], TOKEN.as_bytes()),
        _ => (404, KINDS[0], MISSING.as_bytes()),
    };
    // No body, and no length, by HTTP itself.
    let body = if status == 204 { b"".as_slice() } else { body };
    let body = std::str::from_utf8(body).map_or_else(|_| body.to_vec(), |text| text.replace(SELF, base).into_bytes());
    let mut text = format!("HTTP/1.1 {status} Said\r\n{kind}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    text.extend_from_slice(&body);
    text
}

async fn perform(server: &GraphConnector, act: u8) -> Result<(), Error> {
    let mailbox = Container::Mailbox(Address::new("jo@example.test"));
    let at = ItemRef::exchange(Address::new("jo@example.test"), "AAk1");
    let (version, stamp) = (Version("v1".to_owned()), Key::Crm("1".to_owned()));
    let mut draft = Appointment::new("x", Time::timed(now(), now() + TimeDelta::hours(1), Zone::named("Europe/Berlin")));
    draft.body = Body::plain("New text");
    match act % 13 {
        0 => {
            let batch = server.changed_since(&mailbox, None).await?;
            server.changed_since(&mailbox, Some(&batch.next)).await.map(drop)
        }
        1 => server.read(&at).await.map(drop),
        2 => server.list(&mailbox, None).await.map(drop),
        3 => server.find_uid(&mailbox, "uid").await.map(drop),
        4 => server.find_stamped(&mailbox, &stamp).await.map(drop),
        5 => server.find_alike(&mailbox, &draft).await.map(drop),
        6 => server.create(&mailbox, &draft, &stamp, Mail::Silent).await.map(drop),
        7 => {
            let text = |text: &str| Value::Text(text.to_owned());
            let patch = Patch { set: [(Field::Body, text("New text")), (Field::Location, text("Room"))].into() };
            server.update(&at, &version, &patch, &draft, Mail::All).await.map(drop)
        }
        8 => server.delete(&at, &version, Mail::Silent).await,
        9 => server.respond(&at, &version, Response::Accepted, Mail::Silent).await.map(drop),
        10 => server.users().await.map(drop),
        11 => server.find_people(&mailbox, "Jo Doe").await.map(drop),
        _ => server.doorbell(&[mailbox], Duration::ZERO).await.map(drop),
    }
}
