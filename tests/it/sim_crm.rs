//! The simulated Sage CRM, over a real socket, by what a client of the REST API sees.
#![expect(clippy::disallowed_methods, reason = "a test is its own HTTP client")]

mod conditions;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use daybridge::clock::FixedClock;
use daybridge::lifecycle::Tasks;
use daybridge::sim::crm::{CustomColumn, Kind, LongText, Options, Running, serve};
use daybridge::sim::fault::{Fault, Kind as FaultKind};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// No named state takes longer than this on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);
/// `daybridge:demo`.
const SERVICE: &str = "Basic ZGF5YnJpZGdlOmRlbW8=";

struct Sim {
    running: Running,
    clock: Arc<FixedClock>,
    http: reqwest::Client,
    tasks: Tasks,
}

impl Sim {
    async fn start() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let tasks = Tasks::new();
        let now = "2027-01-15T08:00:00Z".parse().unwrap();
        let clock = Arc::new(FixedClock::new(now, 1));
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let running = serve(listen, options, clock.clone(), &tasks).await.unwrap();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { running, clock, http, tasks }
    }

    /// A request of the sync account to an address below `/-/`.
    fn request(&self, method: Method, target: &str) -> RequestBuilder {
        let url = format!("{}{target}", self.running.crm_url());
        self.http.request(method, url).header("Authorization", SERVICE)
    }

    async fn get(&self, target: &str) -> (StatusCode, Value) {
        read(self.request(Method::GET, target).send().await.unwrap()).await
    }

    async fn send(&self, method: Method, target: &str, body: &Value) -> (StatusCode, Value) {
        read(self.request(method, target).json(body).send().await.unwrap()).await
    }

    /// Adds a row and answers its key.
    async fn post(&self, entity: &str, body: &Value) -> i64 {
        let (status, answer) = self.send(Method::POST, entity, body).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        answer["$key"].as_i64().unwrap()
    }

    /// Subjects of the communications that fit a condition, in order; or the status and code of the refusal.
    async fn find(&self, condition: &str) -> Result<Vec<String>, (u16, String)> {
        let query = [("where", condition), ("orderBy", "Comm_Subject"), ("select", "Comm_Subject")];
        let answer = self.request(Method::GET, "Communication").query(&query).send().await.unwrap();
        let (status, feed) = read(answer).await;
        if status != StatusCode::OK {
            return Err((status.as_u16(), code(&feed).to_owned()));
        }
        let subject = |row: &Value| row["Comm_Subject"].as_str().unwrap().to_owned();
        Ok(feed["$resources"].as_array().unwrap().iter().map(subject).collect())
    }

    fn writes(&self) -> u64 {
        self.running.faults().counters().writes
    }
}

async fn read(answer: Response) -> (StatusCode, Value) {
    let status = answer.status();
    let text = answer.text().await.unwrap();
    (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() })
}

fn code(diagnosis: &Value) -> &str {
    let first = &diagnosis["$diagnoses"][0];
    assert!(first["$severity"].is_string() && first["$message"].is_string(), "{diagnosis}");
    first["$sdataCode"].as_str().unwrap()
}

fn meeting(subject: &str, start: &str) -> Value {
    json!({"Comm_Type": "Appointment", "Comm_Action": "Meeting", "Comm_Status": "Pending", "Comm_Subject": subject,
           "Comm_DateTime": start, "Comm_ToDateTime": start})
}

#[tokio::test]
async fn a_record_is_made_read_changed_and_removed() {
    let sim = Sim::start().await;
    let (status, made) = sim.send(Method::POST, "Communication", &meeting("Review", "2027-02-07T09:00:00")).await;
    assert_eq!(status, StatusCode::CREATED);
    let key = made["$key"].as_i64().unwrap();
    let target = format!("Communication('{key}')");
    assert_eq!(made["$url"], target);
    assert_eq!(made["Comm_CommunicationId"], key);
    assert_eq!(made["Comm_Subject"], "Review");
    assert_eq!(made.get("Comm_Location"), None, "only the columns that were given");

    let (status, entry) = sim.get(&target).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(entry["Comm_DateTime"], "2027-02-07T09:00:00");
    assert_eq!(entry["Comm_Organizer"], Value::Null, "nobody fills it in");
    assert_eq!(entry["Comm_CreatedDate"], "2027-01-15T09:00:00", "Berlin is one hour ahead");
    let service = sim.get("Users(User_Logon eq 'daybridge')").await.1["$key"].clone();
    assert_eq!(entry["Comm_CreatedBy"], service);

    sim.clock.advance(TimeDelta::milliseconds(1_900));
    for (method, body) in [
        (Method::PATCH, json!({"comm_SUBJECT": "Second review", "Comm_CreatedBy": 1, "$key": 1})),
        (Method::PUT, json!({"Comm_Location": "Room 2"})),
    ] {
        let (status, changed) = sim.send(method, &target, &body).await;
        assert_eq!(status, StatusCode::OK, "{changed}");
        assert_eq!(changed["$key"], key);
    }
    let (_, entry) = sim.get(&target).await;
    assert_eq!(entry["Comm_Subject"], "Second review");
    assert_eq!(entry["Comm_Location"], "Room 2");
    assert_eq!(entry["Comm_Status"], "Pending", "PUT is partial too");
    assert_eq!(entry["Comm_CreatedBy"], service, "audit columns are the server's");
    assert_eq!(entry["Comm_UpdatedDate"], "2027-01-15T09:00:01", "whole seconds");
    assert_eq!(entry["Comm_TimeStamp"], entry["Comm_UpdatedDate"]);

    let link = sim.post("Comm_Link", &json!({"CmLi_Comm_CommunicationId": key, "CmLi_Comm_UserId": 12})).await;
    let answer = sim.request(Method::DELETE, &target).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.text().await.unwrap(), "");
    for method in [Method::GET, Method::DELETE] {
        let (status, diagnosis) = read(sim.request(method, &target).send().await.unwrap()).await;
        assert_eq!((status, code(&diagnosis)), (StatusCode::NOT_FOUND, "RecordNotFound"));
    }
    assert_eq!(sim.find("Comm_Type eq 'Appointment'").await, Ok(vec![]), "a removed row is in no feed");
    assert_eq!(sim.get(&format!("Comm_Link('{link}')")).await.0, StatusCode::OK, "links stay");
    assert_eq!(sim.writes(), 5, "POST, PATCH, PUT, POST, DELETE; not the refused DELETE");
}

#[tokio::test]
async fn every_entity_answers_and_prototypes_describe_it() {
    let sim = Sim::start().await;
    for (entity, body) in [
        ("Company", json!({"Comp_Name": "Client Ltd"})),
        ("Person", json!({"Pers_LastName": "Roe", "Pers_CompanyId": "28"})),
        ("Custom_Captions", json!({"Capt_Family": "comm_action", "Capt_Code": "Lunch"})),
    ] {
        let key = sim.post(entity, &body).await;
        assert_eq!(sim.request(Method::DELETE, &format!("{entity}('{key}')")).send().await.unwrap().status(), 200);
    }
    let (_, person) = sim.get("person(pers_emailaddress eq 'ann.lee@client.test')").await;
    let (_, company) = sim.get(&format!("Company('{}')", person["Pers_CompanyId"])).await;
    assert_eq!(company["Comp_Name"], "Acme Ltd");
    let (_, captions) = sim.get("Custom_Captions?where=Capt_Family eq 'comm_status'&orderBy=capt_order").await;
    let codes: Vec<&str> =
        captions["$resources"].as_array().unwrap().iter().map(|row| row["Capt_Code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["Pending", "InProgress", "Complete", "Cancelled"]);

    let (_, list) = sim.get("$prototypes").await;
    assert_eq!(list["$totalResults"], 6);
    let (_, prototype) = sim.get("$prototypes/communication").await;
    assert_eq!(prototype["$resourceKind"], "communication");
    assert_eq!(prototype["$properties"]["Comm_DateTime"]["$type"], "dateTime");
    assert_eq!(prototype["$properties"]["Comm_UpdatedDate"]["$isReadOnly"], true);

    let users = sim.running.users();
    let logins: Vec<_> = users.iter().map(|user| (user.login.as_str(), user.role)).collect();
    assert_eq!(logins.last(), Some(&("daybridge", "service")));
    let (_, susan) = sim.get("Users(User_EmailAddress eq 'susan.maye@example.test')").await;
    assert_eq!((&susan["User_FirstName"], &susan["User_LastName"]), (&json!("Susan"), &json!("Maye")));
    let target = susan["$url"].as_str().unwrap();
    let (status, _) = sim.send(Method::PATCH, target, &json!({"User_ExchangeUserId": "susan"})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(sim.send(Method::POST, "Users", &json!({"User_Logon": "x"})).await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(sim.send(Method::DELETE, target, &json!({})).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn feeds_come_in_pages() {
    let sim = Sim::start().await;
    for number in 0..105 {
        sim.post("Communication", &meeting(&format!("{:03}", 200 - number), "2027-02-01T09:00:00")).await;
    }
    let page = async |target: &str| {
        let (status, feed) = sim.get(target).await;
        assert_eq!(status, StatusCode::OK, "{feed}");
        let rows = feed["$resources"].as_array().unwrap();
        let subject = |row: Option<&Value>| row.map_or("", |row| row["Comm_Subject"].as_str().unwrap()).to_owned();
        assert_eq!(feed["$totalResults"], 105);
        (rows.len(), subject(rows.first()), subject(rows.last()))
    };
    let is = |rows: usize, first: &str, last: &str| (rows, first.to_owned(), last.to_owned());
    assert_eq!(page("Communication").await, is(100, "200", "101"));
    assert_eq!(page("Communication?count=1000").await, is(105, "200", "096"));
    assert_eq!(page("Communication?startIndex=101").await, is(5, "100", "096"));
    assert_eq!(page("Communication?startIndex=106").await, is(0, "", ""));
    assert_eq!(page("communication?count=0").await, is(0, "", ""));
    assert_eq!(
        page("Communication?orderBy=comm_type,comm_subject%20desc&count=2&startIndex=2").await,
        is(2, "199", "198")
    );
    assert_eq!(page("Communication?OrderBy=comm_subject asc&COUNT=2").await, is(2, "096", "097"));
    let (_, feed) = sim.get("Communication?select=comm_subject&count=1").await;
    assert_eq!(feed["$startIndex"], 1);
    assert_eq!(feed["$itemsPerPage"], 1);
    let columns: Vec<&String> = feed["$resources"][0].as_object().unwrap().keys().collect();
    assert_eq!(columns, ["$key", "$title", "$url", "Comm_Subject"]);
    for target in ["count=-1", "startIndex=0", "orderBy=comm_nothing", "orderBy=comm_type up", "select=x", "wehre=1"] {
        let (status, diagnosis) = sim.get(&format!("Communication?{target}")).await;
        assert_eq!((status.as_u16(), code(&diagnosis)), (400, "BadUrlSyntax"), "{target}");
    }

    let capped = Sim::with(Options { page_cap: Some(3), ..Options::default() }).await;
    let (_, feed) = capped.get("Users?count=1000").await;
    assert_eq!(feed["$resources"].as_array().unwrap().len(), 3);
    assert_eq!((&feed["$totalResults"], &feed["$itemsPerPage"]), (&json!(5), &json!(3)));
}

#[tokio::test]
async fn times_are_the_servers_wall_times() {
    let shown = async |sim: &Sim, sent: &str| {
        let key = sim.post("Communication", &meeting("t", sent)).await;
        sim.get(&format!("Communication('{key}')")).await.1["Comm_DateTime"].as_str().unwrap().to_owned()
    };
    let plain = Sim::start().await;
    let offset = Sim::with(Options { show_offset: true, ..Options::default() }).await;
    // Clocks in Berlin go back on 2027-10-31 at 03:00 and forward on 2027-03-28 at 02:00.
    for (sent, wall, with_offset) in [
        ("2027-10-30T23:59:59Z", "2027-10-31T01:59:59", "2027-10-31T01:59:59+02:00"),
        ("2027-10-31T00:30:00Z", "2027-10-31T02:30:00", "2027-10-31T02:30:00+02:00"),
        ("2027-10-31T01:30:00Z", "2027-10-31T02:30:00", "2027-10-31T02:30:00+02:00"),
        ("2027-10-31T02:30:00Z", "2027-10-31T03:30:00", "2027-10-31T03:30:00+01:00"),
        ("2027-03-28T02:30:00", "2027-03-28T02:30:00", "2027-03-28T02:30:00+01:00"),
        ("2027-03-28T01:00:00Z", "2027-03-28T03:00:00", "2027-03-28T03:00:00+02:00"),
        ("2027-07-01T09:00:00.987-05:00", "2027-07-01T16:00:00", "2027-07-01T16:00:00+02:00"),
        ("2027-07-01 09:00", "2027-07-01T09:00:00", "2027-07-01T09:00:00+02:00"),
        ("2027-07-01", "2027-07-01T00:00:00", "2027-07-01T00:00:00+02:00"),
    ] {
        assert_eq!(shown(&plain, sent).await, wall, "{sent}");
        assert_eq!(shown(&offset, sent).await, with_offset, "{sent}");
    }
    let dublin = Sim::with(Options { zone: chrono_tz::Europe::Dublin, ..Options::default() }).await;
    assert_eq!(shown(&dublin, "2027-07-01T09:00:00Z").await, "2027-07-01T10:00:00");
}

#[tokio::test]
async fn columns_hold_what_their_type_and_width_allow() {
    let sim = Sim::start().await;
    let mut body = meeting(&"é".repeat(300), "2027-02-01T09:00:00");
    body["Comm_Note"] = json!("n".repeat(10_000));
    body["Comm_Location"] = json!(format!("{}😀", "l".repeat(254)));
    body["Comm_Private"] = json!("");
    body["Comm_NotifyDelta"] = json!("15");
    body["Comm_SecTerr"] = json!(-2_147_483_640);
    body["comm_responses"] = json!("Terry Smith: accepted");
    let key = sim.post("Communication", &body).await;
    let (_, entry) = sim.get(&format!("Communication('{key}')")).await;
    assert_eq!(entry["Comm_Subject"], "é".repeat(255));
    assert_eq!(entry["Comm_Note"], "n".repeat(10_000));
    assert_eq!(entry["Comm_Location"], "l".repeat(254), "a character of two units is not split");
    assert_eq!(entry["Comm_Private"], Value::Null);
    assert_eq!((&entry["Comm_NotifyDelta"], &entry["Comm_SecTerr"]), (&json!(15), &json!(-2_147_483_640)));
    assert_eq!(entry["comm_responses"], "Terry Smith: accepted");

    let refused = [
        ("Communication", json!({"Comm_Nothing": 1})),
        ("Communication", json!({"Comm_NotifyDelta": "soon"})),
        ("Communication", json!({"Comm_NotifyDelta": 3_000_000_000_u32})),
        ("Communication", json!({"Comm_NotifyDelta": 1.5})),
        ("Communication", json!({"Comm_DateTime": "tomorrow"})),
        ("Communication", json!({"Comm_DateTime": 20_270_201})),
        ("Communication", json!({"Comm_DateTime": "0001-01-01T00:00:00"})),
        ("Communication", json!({"Comm_Private": true})),
        ("Communication", json!({"Comm_Subject": {"text": "x"}})),
        ("Communication", json!([1])),
        ("Comm_Link", json!({"CmLi_Comm_UserId": 12})),
    ];
    let before = sim.writes();
    for (entity, body) in &refused {
        let (status, diagnosis) = sim.send(Method::POST, entity, body).await;
        assert_eq!((status.as_u16(), code(&diagnosis)), (400, "ApplicationDiagnosis"), "{body}");
    }
    assert_eq!(sim.writes(), before);
    let text = sim.request(Method::POST, "Communication").body("{}").send().await.unwrap();
    assert_eq!(text.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);

    let own = CustomColumn { entity: "communication".into(), name: "comm_own".into(), kind: Kind::Text(Some(3)) };
    let options = Options { long_text: LongText::Refuse, custom_columns: vec![own], ..Options::default() };
    let strict = Sim::with(options).await;
    strict.post("Communication", &json!({"Comm_Own": "abc"})).await;
    for body in [json!({"comm_own": "abcd"}), json!({"comm_responses": "no such column here"})] {
        assert_eq!(strict.send(Method::POST, "Communication", &body).await.0, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn addresses_that_mean_nothing_are_refused() {
    let sim = Sim::start().await;
    for (method, target, status, sdata_code) in [
        (Method::GET, "Nothing", 404, "ResourceKindNotFound"),
        (Method::GET, "Users('999')", 404, "RecordNotFound"),
        (Method::GET, "Users('x')", 404, "RecordNotFound"),
        (Method::GET, "Users(User_Logon eq 'nobody')", 404, "RecordNotFound"),
        (Method::GET, "Users(User_Language eq 'UK')", 400, "BadUrlSyntax"),
        (Method::GET, "Users('11'", 400, "BadUrlSyntax"),
        (Method::GET, "Users(11)", 400, "BadWhereSyntax"),
        (Method::GET, "$prototypes/nothing", 404, "ResourceKindNotFound"),
        (Method::PATCH, "Users", 405, "ApplicationDiagnosis"),
        (Method::POST, "Company('28')", 405, "ApplicationDiagnosis"),
        (Method::GET, "../../sagecrm/-/Company", 404, "ContractNotFound"),
    ] {
        let (answered, diagnosis) = read(sim.request(method, target).send().await.unwrap()).await;
        assert_eq!((answered.as_u16(), code(&diagnosis)), (status, sdata_code), "{target}");
    }
}

#[tokio::test]
async fn sign_in_is_asked_of_everyone() {
    let sim = Sim::start().await;
    let url = format!("{}Users?count=1", sim.running.crm_url());
    let status = async |request: RequestBuilder| {
        let answer = request.send().await.unwrap();
        assert!(!answer.headers().contains_key("WWW-Authenticate"));
        answer.status().as_u16()
    };
    let get = || sim.http.get(&url);
    assert_eq!(status(get()).await, 401);
    assert_eq!(status(get().basic_auth("Terry.Smith", Some("demo"))).await, 200);
    assert_eq!(status(get().basic_auth("terry.smith", Some("Demo"))).await, 401);
    assert_eq!(status(get().header("X-Sage-Authorization", SERVICE)).await, 200);
    assert_eq!(status(get().bearer_auth("x")).await, 401);
    assert_eq!(status(get().header("Authorization", "Basic !!!")).await, 401);

    let session = |password: &str| {
        let body = json!({"login": "terry.smith", "password": password});
        sim.http.post(format!("{}_sim/session", sim.running.url())).json(&body).send()
    };
    assert_eq!(session("wrong").await.unwrap().status(), 401);
    let (_, opened) = read(session("demo").await.unwrap()).await;
    let with_sid = || sim.http.get(format!("{url}&SID={}", opened["sid"].as_str().unwrap()));
    assert_eq!(status(with_sid()).await, 200);
    assert_eq!(status(sim.http.get(format!("{url}&SID=0"))).await, 401);

    for column in ["User_Disabled", "User_Resource"] {
        for (flag, expected) in [(json!("Y"), 401), (Value::Null, 200), (json!("true"), 401), (json!(""), 200)] {
            let body = json!({ column: flag });
            assert_eq!(sim.send(Method::PATCH, "Users(User_Logon eq 'terry.smith')", &body).await.0, 200);
            assert_eq!(status(get().basic_auth("terry.smith", Some("demo"))).await, expected, "{body}");
            assert_eq!(status(with_sid()).await, expected, "{body}");
        }
    }
}

/// Waits for one request and answers its head, once the whole head is there.
async fn rung(listener: &TcpListener) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut chunk = [0; 1024];
        let length = stream.read(&mut chunk).await.unwrap();
        assert_ne!(length, 0, "the caller hung up in the middle");
        head.extend_from_slice(&chunk[..length]);
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await.unwrap();
    String::from_utf8(head).unwrap().to_lowercase()
}

#[tokio::test]
async fn the_doorbell_rings_after_changes_of_appointments() {
    let sim = Sim::start().await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = format!("http://{}/doorbell/crm", listener.local_addr().unwrap());
    let set = async |body: Value| {
        let url = format!("{}_sim/doorbell", sim.running.url());
        sim.http.post(url).json(&body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(set(json!({"url": "not an address"})).await, 400);
    assert_eq!(set(json!({"url": at, "token": "let-me-in"})).await, 204);

    let ring = async || tokio::time::timeout(LIMIT, rung(&listener)).await.expect("nobody rang");
    let key = sim.post("Communication", &meeting("m", "2027-02-01T09:00:00")).await;
    let head = ring().await;
    assert!(head.starts_with("post /doorbell/crm http/1.1"), "{head}");
    assert!(head.contains("authorization: bearer let-me-in"), "{head}");
    assert!(head.contains("content-length: 0"), "{head}");
    let link = sim.post("Comm_Link", &json!({"CmLi_Comm_CommunicationId": key})).await;
    ring().await;
    sim.send(Method::PATCH, &format!("Comm_Link('{link}')"), &json!({"cmli_status": 3})).await;
    ring().await;
    // Neither a refused change nor another entity rings. Rings come one after the other, so that once the removal has rung,
    // one for nothing would have reached its door.
    let quiet = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    quiet.set_nonblocking(true).unwrap();
    assert_eq!(set(json!({"url": format!("http://{}/", quiet.local_addr().unwrap())})).await, 204);
    sim.send(Method::PATCH, &format!("Communication('{key}')"), &json!({"Comm_Nothing": 3})).await;
    sim.post("Company", &json!({"Comp_Name": "Client Ltd"})).await;
    assert_eq!(set(json!({"url": at, "token": "let-me-in"})).await, 204);
    sim.request(Method::DELETE, &format!("Communication('{key}')")).send().await.unwrap();
    ring().await;
    assert_eq!(quiet.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "it rang for nothing");
    assert_eq!(set(json!({})).await, 204);
    sim.post("Communication", &meeting("m", "2027-02-01T09:00:00")).await;
    assert!(sim.tasks.finish().await, "the bell's task ends with the others");
}

#[tokio::test]
async fn faults_hit_the_operation_they_name() {
    let sim = Sim::start().await;
    let faults = sim.running.faults();
    let body = meeting("Committed", "2027-02-01T09:00:00");

    faults.add(Fault::new("POST Communication", FaultKind::DropAfterCommit)).unwrap();
    let broken = sim.request(Method::POST, "Communication").json(&body).send().await;
    assert!(broken.is_err(), "the connection breaks");
    assert_eq!(sim.find("Comm_Subject eq 'committed'").await, Ok(vec!["Committed".into()]), "the record is there");
    assert_eq!(sim.writes(), 1);

    faults.add(Fault::new("POST Communication", FaultKind::DropBefore)).unwrap();
    assert!(sim.request(Method::POST, "Communication").json(&body).send().await.is_err());
    assert_eq!(sim.writes(), 1);

    let coded = |code: &str| Fault { code: Some(code.into()), ..Fault::new("*", FaultKind::Error) };
    faults.add(Fault { container: Some("Users".into()), ..coded("ApplicationUnavailable") }).unwrap();
    assert_eq!(sim.get("Communication").await.0, 200, "another entity");
    let (status, diagnosis) = sim.get("users").await;
    assert_eq!((status.as_u16(), code(&diagnosis)), (500, "ApplicationUnavailable"));
    assert_eq!(sim.get("users").await.0, 200, "used up");
    faults.add(coded("BadWhereSyntax")).unwrap();
    assert_eq!(sim.get("users").await.0, 400);
    faults.add(Fault { retry_after_s: Some(7), ..Fault::new("GET Users", FaultKind::Throttle) }).unwrap();
    let throttled = sim.request(Method::GET, "Users").send().await.unwrap();
    assert_eq!((throttled.status().as_u16(), throttled.headers()["Retry-After"].as_bytes()), (429, b"7".as_slice()));

    let counters = faults.counters();
    assert_eq!(counters.operations.get("POST Communication"), Some(&2));
    assert_eq!(counters.operations.get("GET Users"), Some(&4));
    assert_eq!(sim.get("Made_Up").await.0, 404);
    assert!(faults.counters().operations.contains_key("GET unknown"), "names that clients make up are not kept");

    let down = |down: bool| {
        let body = json!({ "down": down });
        sim.http.post(format!("{}_sim/down", sim.running.url())).json(&body).send()
    };
    down(true).await.unwrap();
    assert!(sim.request(Method::GET, "Users").send().await.is_err());
    assert_eq!(sim.http.get(sim.running.url()).send().await.unwrap().status(), 200, "people still see the page");
    down(false).await.unwrap();
    assert_eq!(sim.get("Users").await.0, 200);
}

#[tokio::test]
async fn people_see_and_change_the_calendars() {
    let sim = Sim::start().await;
    let at = |path: &str| format!("{}{path}", sim.running.url());
    let page = async || sim.http.get(sim.running.url()).send().await.unwrap().text().await.unwrap();
    let form = async |path: &str, body: &'static str, origin: &str| {
        let request = sim.http.post(at(path)).header("Content-Type", "application/x-www-form-urlencoded").body(body);
        request.header("Origin", origin).send().await.unwrap().status().as_u16()
    };
    let here = format!("http://{}", sim.running.address);
    let made =
        "organizer=11&colleague=12&customer=yes&subject=%3Cscript%3Ex&location=&start=2027-02-01T09%3A00&minutes=90";
    assert_eq!(form("appointments", made, "http://elsewhere.test").await, 403);
    assert_eq!(form("appointments", "organizer=99&subject=x&start=2027-02-01T09:00&minutes=9", &here).await, 404);
    assert_eq!(form("appointments", made, &here).await, 303);

    let (_, feed) = sim.get("Communication").await;
    let row = &feed["$resources"][0];
    assert_eq!((&row["Comm_Organizer"], &row["Comm_CreatedBy"]), (&json!("11"), &json!(11)));
    assert_eq!(row["Comm_ToDateTime"], "2027-02-01T10:30:00");
    let key = row["$key"].as_i64().unwrap();
    let (_, links) = sim.get("Comm_Link?orderBy=CmLi_CommLinkId").await;
    let links = links["$resources"].as_array().unwrap();
    assert_eq!(links.len(), 4, "organizer, colleague, the customer's record, the customer to invite");
    assert_eq!(links[3]["cmli_recipient"], "ann.lee@client.test");
    let target = format!("Comm_Link('{}')", links[3]["$key"]);
    sim.send(Method::PATCH, &target, &json!({"cmli_status": 3})).await;
    sim.send(Method::PATCH, &format!("Communication('{key}')"), &json!({"comm_responses": "Ann Lee: <accepted>"}))
        .await;

    let text = page().await;
    assert_eq!(text.matches("&lt;script&gt;x").count(), 2, "in two calendars, escaped: {text}");
    assert!(!text.contains("<script"), "{text}");
    assert!(text.contains("Mon 1 Feb 2027, 09:00-10:30"), "{text}");
    assert!(text.contains("ann.lee@client.test: accepted") && text.contains("Ann Lee: &lt;accepted&gt;"), "{text}");
    assert!(!text.contains("Calendar Sync"), "the sync account has no calendar");

    let edit = sim.http.get(at(&format!("appointments/{key}"))).send().await.unwrap().text().await.unwrap();
    assert!(edit.contains("value=\"2027-02-01T09:00\""), "{edit}");
    let moved = "subject=Moved&location=Hall&start=2027-02-01T14%3A00";
    assert_eq!(form(&format!("appointments/{key}"), moved, &here).await, 303);
    let (_, row) = sim.get(&format!("Communication('{key}')")).await;
    assert_eq!((&row["Comm_Subject"], &row["Comm_ToDateTime"]), (&json!("Moved"), &json!("2027-02-01T15:30:00")));
    assert_eq!(form(&format!("appointments/{key}/cancel"), "", &here).await, 303);
    assert!(page().await.contains("Cancelled"));
    assert_eq!(form(&format!("appointments/{key}/delete"), "", &here).await, 303);
    assert_eq!(sim.get(&format!("Communication('{key}')")).await.0, 404);
    assert_eq!(sim.http.get(at("new")).send().await.unwrap().status(), 200);
    assert_eq!(sim.writes(), 2, "only what came over the REST API");
}

#[tokio::test]
async fn options_that_make_no_install_are_refused() {
    let refused = async |options: Options| {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let clock = Arc::new(FixedClock::new("2027-01-15T08:00:00Z".parse().unwrap(), 1));
        serve(listen, options, clock, &Tasks::new()).await.unwrap_err().to_string()
    };
    let column = |entity: &str, name: &str| {
        let own = CustomColumn { entity: entity.into(), name: name.into(), kind: Kind::Int };
        Options { custom_columns: vec![own], ..Options::default() }
    };
    assert!(refused(Options { install: "a/b".into(), ..Options::default() }).await.contains("letters and digits"));
    assert!(refused(column("Cases", "case_own")).await.contains("no entity Cases"));
    assert!(refused(column("Users", "USER_LOGON")).await.contains("already"));
}
