//! The connector against answers that no Exchange should give, over a real socket.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use daybridge::connector::ews::EwsConnector;
use daybridge::connector::ews::config::EwsConfig;
use daybridge::connector::http::Secret;
use daybridge::connector::{Connector as _, Cursor, Error, Problem};
use daybridge::model::{ItemRef, Seen};

use super::answer;
use super::sim::{susan, terry};

/// What a server says to one request.
#[derive(Clone)]
pub enum Say {
    /// Status line and further header lines, body.
    Whole(&'static str, String),
    /// Bytes one after the other without an announced length, then the end of the connection.
    Pieces(Vec<String>),
    /// The same piece for ever.
    Endless(String),
    /// Nothing more, with the connection open.
    Silence(String),
}

/// A server that gives the answers in turn, the last one for ever, and keeps the requests.
pub struct Canned {
    pub url: String,
    pub requests: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    pub fn new(answers: Vec<Say>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/EWS/Exchange.asmx", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        std::thread::spawn(move || {
            for (turn, connection) in listener.incoming().enumerate() {
                let say = answers[turn.min(answers.len() - 1)].clone();
                let kept = kept.clone();
                std::thread::spawn(move || serve(connection.unwrap(), say, &kept));
            }
        });
        Self { url, requests }
    }

    pub fn ok(body: &str) -> Say {
        Say::Whole("200 OK", body.to_owned())
    }

    pub fn connector(&self, change: impl FnOnce(&mut EwsConfig)) -> EwsConnector {
        let mut config = EwsConfig::new(self.url.clone(), "sync", Secret::new("secret"));
        config.http.body_limit = 1 << 20;
        change(&mut config);
        EwsConnector::new(config).unwrap()
    }

    /// Local names of the operations asked for.
    pub fn operations(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        let name = |request: &String| {
            let body = request.split("<s:Body><m:").nth(1).unwrap_or_default();
            body.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
        };
        requests.iter().map(name).collect()
    }
}

fn serve(mut connection: TcpStream, say: Say, kept: &Mutex<Vec<String>>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                kept.lock().unwrap().push(text);
                break;
            }
        }
        match connection.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => request.extend_from_slice(&buffer[..count]),
        }
    }
    let head = |rest: &str| format!("HTTP/1.1 {rest}\r\nContent-Type: text/xml\r\nConnection: close\r\n");
    // The client may hang up at any moment: that is its right.
    let _ = match say {
        Say::Whole(status, body) => {
            connection.write_all(format!("{}Content-Length: {}\r\n\r\n{body}", head(status), body.len()).as_bytes())
        }
        Say::Pieces(pieces) => connection.write_all(format!("{}\r\n", head("200 OK")).as_bytes()).and_then(|()| {
            pieces.iter().try_for_each(|piece| connection.write_all(piece.as_bytes()).and_then(|()| connection.flush()))
        }),
        Say::Endless(piece) => connection
            .write_all(format!("{}\r\n", head("200 OK")).as_bytes())
            .and_then(|()| (0..).try_for_each(|_: u64| connection.write_all(piece.as_bytes()))),
        Say::Silence(first) => connection
            .write_all(format!("{}\r\n{first}", head("200 OK")).as_bytes())
            .and_then(|()| connection.read(&mut buffer).map(|_| ())),
    };
}

async fn problem(say: Say) -> (Problem, Error) {
    let error = Canned::new(vec![say]).connector(|_| {}).changed_since(&susan(), None).await.unwrap_err();
    (error.problem.clone(), error)
}

fn sync(content: &str) -> String {
    answer(&format!(
        r#"<m:SyncFolderItemsResponse><m:ResponseMessages><m:SyncFolderItemsResponseMessage ResponseClass="Success">
        <m:ResponseCode>NoError</m:ResponseCode>{content}</m:SyncFolderItemsResponseMessage></m:ResponseMessages></m:SyncFolderItemsResponse>"#
    ))
}

#[tokio::test]
async fn strange_answers_are_malformed_and_quote_nothing() {
    let good = sync("<m:SyncState>s</m:SyncState><m:IncludesLastItemInRange>true</m:IncludesLastItemInRange>");
    let cases = [
        String::new(),
        "<html><body>Please sign in, Susan</body></html>".to_owned(),
        good[..good.len() / 2].to_owned(),
        sync("<m:IncludesLastItemInRange>true</m:IncludesLastItemInRange>"),
        answer("<m:SyncFolderItemsResponse/>"),
        answer("<m:SyncFolderItemsResponse><m:ResponseMessages/></m:SyncFolderItemsResponse>"),
        "\u{0}\u{1}\u{2}".to_owned(),
    ];
    for body in cases {
        let (problem, error) = problem(Canned::ok(&body)).await;
        assert_eq!((problem, error.class().name()), (Problem::Malformed, "retry"), "{body}");
        let shown = daybridge::error::Chain(&error).to_string();
        assert!(!shown.contains("Susan") && !shown.contains("susan") && !shown.contains("secret"), "{shown}");
    }
}

#[tokio::test]
async fn statuses_are_problems_of_the_server_never_of_an_item() {
    let cases = [
        ("401 Unauthorized", Problem::SignIn),
        ("403 Forbidden", Problem::Forbidden),
        ("404 Not Found", Problem::Malformed),
        ("409 Conflict", Problem::Malformed),
        ("410 Gone", Problem::Malformed),
        ("302 Found\r\nLocation: https://other.test/owa", Problem::Malformed),
        ("400 Bad Request", Problem::Refused),
        ("429 Too Many Requests\r\nRetry-After: 3", Problem::Throttled { after: Some(Duration::from_secs(3)) }),
        ("500 Internal Server Error", Problem::Unreachable { after: None }),
        ("503 Service Unavailable\r\nRetry-After: 9", Problem::Unreachable { after: Some(Duration::from_secs(9)) }),
    ];
    for (status, expected) in cases {
        assert_eq!(problem(Say::Whole(status, "<html/>".into())).await.0, expected, "{status}");
    }
}

#[tokio::test]
async fn a_fault_explains_an_http_500() {
    let fault = answer(
        r#"<s:Fault><faultcode>a:ErrorServerBusy</faultcode><faultstring>busy</faultstring><detail><e:ResponseCode
        xmlns:e="urn:e">ErrorServerBusy</e:ResponseCode><t:MessageXml><t:Value Name="BackOffMilliseconds">4500</t:Value>
        </t:MessageXml></detail></s:Fault>"#,
    );
    let (problem, _) = problem(Say::Whole("500 Internal Server Error", fault)).await;
    assert_eq!(problem, Problem::Throttled { after: Some(Duration::from_millis(4500)) });
}

#[tokio::test]
async fn an_endless_answer_is_cut_at_the_limit() {
    let began = Instant::now();
    let (problem, error) = problem(Say::Endless("<a>".repeat(1000))).await;
    assert_eq!(problem, Problem::Malformed, "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn answers_must_match_what_was_asked() {
    let page = sync(
        r#"<m:SyncState>s</m:SyncState><m:IncludesLastItemInRange>false</m:IncludesLastItemInRange><m:Changes>
        <t:Create><t:CalendarItem><t:ItemId Id="1" ChangeKey="a"/></t:CalendarItem></t:Create>
        <t:Create><t:Message><t:ItemId Id="m" ChangeKey="a"/></t:Message></t:Create>
        <t:Update><t:CalendarItem><t:ItemId Id="2" ChangeKey="b"/></t:CalendarItem></t:Update>
        <t:Update><t:CalendarItem><t:ItemId Id="1" ChangeKey="c"/></t:CalendarItem></t:Update>
        <t:ReadFlagChange><t:ItemId Id="2"/><t:IsRead>true</t:IsRead></t:ReadFlagChange>
        <t:Delete><t:ItemId Id="3" ChangeKey="d"/></t:Delete></m:Changes>"#,
    );
    let message = |content: &str| format!("<m:GetItemResponseMessage {content}</m:GetItemResponseMessage>");
    let item = |id: &str| {
        message(&format!(
            r#"ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode><m:Items><t:CalendarItem><t:ItemId Id="{id}"/>
            <t:UID>u{id}</t:UID></t:CalendarItem></m:Items>"#
        ))
    };
    let gone = message(r#"ResponseClass="Error"><m:ResponseCode>ErrorItemNotFound</m:ResponseCode>"#);
    let busy = message(
        r#"ResponseClass="Error"><m:ResponseCode>ErrorServerBusy</m:ResponseCode><m:MessageXml><t:Value
        Name="BackOffMilliseconds">500</t:Value></m:MessageXml>"#,
    );
    let items = |messages: &[&str]| {
        answer(&format!(
            "<m:GetItemResponse><m:ResponseMessages>{}</m:ResponseMessages></m:GetItemResponse>",
            messages.concat()
        ))
    };
    let ask = async |messages: &[&str]| {
        let server = Canned::new(vec![Canned::ok(&page), Canned::ok(&items(messages))]);
        let batch = server.connector(|_| {}).changed_since(&susan(), Some(&Cursor("c".into()))).await;
        assert_eq!(server.operations(), ["SyncFolderItems", "GetItem"]);
        batch
    };
    let batch = ask(&[&item("1"), &item("2")]).await.unwrap();
    let shown: Vec<_> = batch.changes.iter().map(|change| (change.at.id.as_str(), change.uid.as_deref())).collect();
    assert_eq!(shown, [("1", Some("u1")), ("2", Some("u2")), ("3", None)]);
    assert!(batch.more);
    let batch = ask(&[&gone, &item("2")]).await.unwrap();
    assert_eq!(batch.changes[0].uid, None, "gone meanwhile: still a change, confirmed when read");
    assert_eq!(ask(&[&item("1")]).await.unwrap_err().problem, Problem::Malformed);
    let error = ask(&[&item("1"), &busy]).await.unwrap_err();
    assert_eq!(error.problem, Problem::Throttled { after: Some(Duration::from_millis(500)) });
}

#[tokio::test]
async fn requests_sign_in_impersonate_and_name_the_anchor() {
    let server = Canned::new(vec![Say::Whole("503 Service Unavailable", String::new())]);
    server.connector(|_| {}).probe(&susan()).await.unwrap_err();
    server.connector(|config| config.impersonate = false).probe(&susan()).await.unwrap_err();
    let requests = server.requests.lock().unwrap().clone();
    let first = requests[0].to_lowercase();
    assert!(first.contains("authorization: basic c3luyzpzzwnyzxq="), "{first}");
    assert!(first.contains("x-anchormailbox: susan.maye@example.test"), "{first}");
    assert!(first.contains("content-type: text/xml; charset=utf-8"), "{first}");
    assert!(first.contains("<t:primarysmtpaddress>susan.maye@example.test</t:primarysmtpaddress>"), "{first}");
    assert!(!requests[1].contains("ExchangeImpersonation"));
    assert!(requests[1].contains("<t:EmailAddress>susan.maye@example.test</t:EmailAddress>"));
}

#[tokio::test]
async fn a_missing_item_is_deleted_only_if_the_folder_and_its_list_answer() {
    let message = |name: &str, content: &str| {
        answer(&format!("<m:X><m:ResponseMessages><m:{name} {content}</m:{name}></m:ResponseMessages></m:X>"))
    };
    let gone = message("A", r#"ResponseClass="Error"><m:ResponseCode>ErrorItemNotFound</m:ResponseCode>"#);
    let denied = message("A", r#"ResponseClass="Error"><m:ResponseCode>ErrorAccessDenied</m:ResponseCode>"#);
    let folder = message(
        "A",
        r#"ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode><m:Folders><t:CalendarFolder><t:FolderId Id="f"/></t:CalendarFolder></m:Folders>"#,
    );
    let list = message(
        "A",
        r#"ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode><m:RootFolder TotalItemsInView="0" IncludesLastItemInRange="true"/>"#,
    );
    let read = async |answers: [&str; 3]| {
        let server = Canned::new(answers.map(Canned::ok).to_vec());
        server.connector(|_| {}).read(&ItemRef { container: terry(), id: "1".into() }).await
    };
    assert_eq!(read([&gone, &folder, &list]).await.unwrap(), Seen::Deleted);
    assert_eq!(read([&gone, &folder, &denied]).await.unwrap_err().problem, Problem::Forbidden);
    assert_eq!(read([&gone, &denied, &list]).await.unwrap_err().problem, Problem::Forbidden);
    assert_eq!(read([&denied, &folder, &list]).await.unwrap_err().problem, Problem::Forbidden);
}

#[tokio::test]
async fn a_uid_search_the_server_refuses_is_made_by_the_property_behind_it() {
    let refused = answer(
        r#"<m:X><m:ResponseMessages><m:A ResponseClass="Error"><m:ResponseCode>ErrorUnsupportedPathForQuery</m:ResponseCode></m:A></m:ResponseMessages></m:X>"#,
    );
    let empty = answer(
        r#"<m:X><m:ResponseMessages><m:A ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode><m:RootFolder IncludesLastItemInRange="true"/></m:A></m:ResponseMessages></m:X>"#,
    );
    let server = Canned::new(vec![Canned::ok(&refused), Canned::ok(&empty)]);
    assert!(server.connector(|_| {}).find_uid(&susan(), "abc@example.test").await.unwrap().is_empty());
    assert_eq!(server.operations(), ["FindItem", "FindItem"]);
    let second = server.requests.lock().unwrap()[1].clone();
    assert!(second.contains(r#"DistinguishedPropertySetId="Meeting" PropertyId="35""#), "{second}");
}
