//! The control interface: what a person asks arrives, what the host answers comes back, and nobody else gets in.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use daybridge::cli::Failure;
use daybridge::connector::http::{HttpClient, HttpConfig, Method, Request, Secret, StatusCode};
use daybridge::control::client::{Client, ClientError};
use daybridge::control::http::{ADDRESS_FILE, Options, StartError, TOKEN_FILE, serve};
use daybridge::control::{
    Affected, CaptureOrder, Captured, ClaimOrder, ClaimReport, ClaimedMailbox, ContainerStatus, Desk, EntryState,
    FailOpen, GenerationInfo, MailCounts, MigrateOrder, MigrateReport, Paused, PlanLine, Preview, QueueCounts,
    QueueEntry, QueueFilter, QueuePage, ReapplyOrder, ReapplyReport, Reason, Refusal, RefusalKind, RuleChain,
    RuleFailure, RuleInfo, RuleOptions, SetAside, SideName, Status, Stopped, Story, StoryLine, SyncOrder, SyncReport,
    UserDesk, UserInfo, UserList, UserOrder, UserState, Which, WriteCounts,
};
use daybridge::control::{
    ChangeOrder, CommitOrder, DiffOrder, DiffOrderSide, FileOrder, Proposal, RuleDesk, RuleHistory,
};
use daybridge::lifecycle::Tasks;
use daybridge::plugin::{Compared, GateReport};

/// A wait that ends sooner on any machine that is not broken.
const LIMIT: Duration = Duration::from_secs(20);

/// A desk that writes down what it is asked.
#[derive(Default)]
struct NotingDesk {
    asked: Mutex<Vec<String>>,
}

impl NotingDesk {
    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn reason() -> Reason {
    Reason { code: "mailbox-full".into(), message: "the mailbox is full".into(), hint: "free space".into() }
}

fn entry(key: &str) -> QueueEntry {
    QueueEntry {
        key: key.into(),
        state: EntryState::Parked,
        attempts: 3,
        queued: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        due: None,
        causes: vec!["feed".into(), "person".into()],
        reason: Some(reason()),
        failure: Some(RuleFailure {
            rule: "subject-line".into(),
            version: "0.1.0".into(),
            digest: "00".into(),
            step: 2,
            function: "apply".into(),
            kind: "refusal".into(),
            appointment: key.into(),
            field: Some("regarding".into()),
            message: "no-case: there is no case".into(),
            backtrace: Vec::new(),
            elapsed_us: 48,
            memory_peak: 1 << 20,
            generation: GenerationInfo { number: 2, digest: "0123456789ab".into() },
            correlation: "0123456789ab-7".into(),
            at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        }),
    }
}

fn set_aside() -> SetAside {
    SetAside {
        rule: "subject-line".into(),
        version: "0.1.0".into(),
        digest: "00".into(),
        duty: "judging appointments".into(),
        since: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        until: DateTime::from_timestamp(1_800_000_030, 0).unwrap(),
        kind: "panic".into(),
        parked: 3,
    }
}

fn status() -> Status {
    Status {
        version: "0.1.0".into(),
        pid: 4711,
        started: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        uptime_s: 61,
        generation: GenerationInfo { number: 2, digest: "0123456789ab".into() },
        set_aside: vec![set_aside()],
        containers: vec![ContainerStatus {
            side: SideName::Exchange,
            server: "main".into(),
            container: "susan.maye@example.test".into(),
            last_pass: None,
            last_sweep: None,
            paused: Some(Paused { reason: reason(), until: DateTime::from_timestamp(1_800_000_060, 0) }),
        }],
        queue: QueueCounts { waiting: 1, leased: 2, parked: 3 },
        looked_at: 12,
        writes: WriteCounts { crm: 4, exchange: 5 },
        mail: MailCounts { invitations: 6, updates: 7, cancellations: 8 },
        pairs: 12,
        notices: vec![reason()],
        stopped: Some(Stopped {
            rule: "privacy".into(),
            keys: vec!["crm:4711".into()],
            since: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            reason: reason(),
        }),
        fail_open: vec![FailOpen { rule: "category".into(), times: 3 }],
        rules_pending: Some(reason()),
    }
}

fn chain() -> RuleChain {
    RuleChain {
        generation: GenerationInfo { number: 2, digest: "0123456789ab".into() },
        rules: vec![RuleInfo {
            name: "subject-line".into(),
            version: "0.1.0".into(),
            api: "0.2.0".into(),
            purpose: "moves the first line".into(),
            enabled: true,
            directions: vec!["crm-to-exchange".into()],
            hooks: vec!["apply".into()],
            file: "built in".into(),
            digest: "00".into(),
            set_aside: Some(set_aside()),
            options: RuleOptions { on_error: "park".into(), condition: Some("true".into()), ..RuleOptions::default() },
        }],
    }
}

fn report() -> SyncReport {
    SyncReport {
        dry_run: true,
        lines: vec![PlanLine {
            key: "crm:4711".into(),
            op: "create".into(),
            target: Some(SideName::Exchange),
            container: Some("susan.maye@example.test".into()),
            fields: vec!["subject".into(), "time".into()],
            mail: MailCounts { invitations: 2, ..MailCounts::default() },
            reason: "new in the CRM".into(),
        }],
        left_out: 0,
        looked_at: 12,
        writes: WriteCounts { crm: 0, exchange: 1 },
        mail: MailCounts { invitations: 2, ..MailCounts::default() },
        unfinished: 1,
        preview: Preview { created_in_exchange: 1, ..Preview::default() },
    }
}

fn story() -> Story {
    Story {
        key: "crm:4711".into(),
        crm_id: Some("4711".into()),
        mailbox: None,
        exchange_id: None,
        uid: None,
        entry: Some(entry("crm:4711")),
        lines: vec![StoryLine {
            at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            step: "create".into(),
            text: "created in Exchange".into(),
            lost: Vec::new(),
        }],
    }
}

fn user(enabled: bool) -> UserInfo {
    UserInfo {
        id: "11".into(),
        login: "susan.maye".into(),
        name: "Susan Maye".into(),
        address: "smaye@example.test".into(),
        resource: false,
        state: if enabled { UserState::Synchronized } else { UserState::Disabled },
        reason: (!enabled).then(|| "a person took the user out of the sync".into()),
        mailbox: enabled.then(|| "susan.maye@example.test".into()),
        server: enabled.then(|| "main".into()),
        matched: enabled.then(|| "alias".into()),
    }
}

fn users() -> UserList {
    UserList { users: vec![user(true), user(false)], troubles: vec![reason()] }
}

#[async_trait]
impl UserDesk for NotingDesk {
    async fn users(&self) -> Result<UserList, Refusal> {
        self.note("users".into());
        Ok(users())
    }
    async fn sync_users(&self) -> Result<UserList, Refusal> {
        self.note("sync users".into());
        Ok(users())
    }
    async fn set_user(&self, order: &UserOrder) -> Result<UserInfo, Refusal> {
        self.note(format!("set {} {}", order.user, order.enabled));
        Ok(user(order.enabled))
    }
}

#[async_trait]
impl Desk for NotingDesk {
    async fn status(&self) -> Result<Status, Refusal> {
        self.note("status".into());
        Ok(status())
    }
    async fn queue(&self, filter: &QueueFilter) -> Result<QueuePage, Refusal> {
        self.note(format!("queue {:?} {:?}", filter.state, filter.limit));
        Ok(QueuePage { entries: vec![entry("crm:4711")], total: 9 })
    }
    async fn queue_entry(&self, key: &str) -> Result<QueueEntry, Refusal> {
        self.note(format!("entry {key}"));
        if key == "crm:0" { Err(Refusal::unknown("crm:0")) } else { Ok(entry(key)) }
    }
    async fn queue_retry(&self, which: &Which) -> Result<Affected, Refusal> {
        self.note(format!("retry {which:?}"));
        Ok(Affected { entries: 2 })
    }
    async fn queue_discard(&self, key: &str) -> Result<Affected, Refusal> {
        self.note(format!("discard {key}"));
        Err(Refusal::new(
            RefusalKind::NotNow,
            "not-parked",
            format!("{key} is being worked on"),
            "wait until it is parked",
        ))
    }
    async fn trace(&self, id: &str) -> Result<Story, Refusal> {
        self.note(format!("trace {id}"));
        Ok(story())
    }
    async fn reapply(&self, order: &ReapplyOrder) -> Result<ReapplyReport, Refusal> {
        self.note(format!("reapply {} {:?}", order.yes, order.rule));
        Ok(ReapplyReport { pairs: 3, ..ReapplyReport::default() })
    }

    async fn migrate(&self, order: &MigrateOrder) -> Result<MigrateReport, Refusal> {
        self.note(format!("migrate {} {} {:?} {}", order.from, order.to, order.mailboxes, order.yes));
        Ok(MigrateReport { done: order.yes, ..MigrateReport::default() })
    }

    async fn claim(&self, order: &ClaimOrder) -> Result<ClaimReport, Refusal> {
        self.note(format!("claim {:?} {}", order.mailboxes, order.all));
        let claimed = |mailbox: &String| ClaimedMailbox { mailbox: mailbox.clone(), refused: None };
        Ok(ClaimReport { mailboxes: order.mailboxes.iter().map(claimed).collect() })
    }

    async fn rules(&self) -> Result<RuleChain, Refusal> {
        self.note("rules".into());
        Ok(chain())
    }
    async fn capture(&self, order: &CaptureOrder) -> Result<Captured, Refusal> {
        self.note(format!("capture {} {:?}", order.id, order.rule));
        Ok(Captured { name: "crm-4711".into(), fixture: "{}\n".into() })
    }

    async fn reload_rules(&self) -> Result<RuleChain, Refusal> {
        self.note("reload".into());
        let cause = std::io::Error::other("disk on fire");
        Err(Refusal::failed("load the rules", &cause))
    }
    async fn metrics(&self) -> Result<String, Refusal> {
        self.note("metrics".into());
        Ok("# EOF\n".into())
    }
    async fn sync(&self, order: &SyncOrder) -> Result<SyncReport, Refusal> {
        self.note(format!("sync {:?} sweep {} dry {}", order.containers, order.sweep, order.dry_run));
        Ok(report())
    }
    async fn doorbell(&self, side: SideName) -> Result<(), Refusal> {
        self.note(format!("doorbell {side:?}"));
        Ok(())
    }
    async fn stop(&self) -> Result<(), Refusal> {
        self.note("stop".into());
        Ok(())
    }
}

#[async_trait]
impl RuleDesk for NotingDesk {
    async fn propose_rules(&self, order: ChangeOrder, values: bool) -> Result<Proposal, Refusal> {
        self.note(format!("propose {order:?} {values}"));
        Ok(Proposal { proposal: Some("1-1".into()), report: GateReport::default() })
    }
    async fn commit_rules(&self, order: &CommitOrder) -> Result<RuleChain, Refusal> {
        self.note(format!("commit {} {}", order.proposal, order.store_only));
        Ok(chain())
    }
    async fn rule_history(&self) -> Result<RuleHistory, Refusal> {
        self.note("history".into());
        Ok(RuleHistory::default())
    }
    async fn diff_rules(&self, order: DiffOrder) -> Result<Compared, Refusal> {
        self.note(format!("diff {:?} {:?} {} {}", order.old, order.new, order.replay, order.values));
        Ok(Compared::default())
    }
}

struct Running {
    desk: Arc<NotingDesk>,
    data: tempfile::TempDir,
    url: String,
    tasks: Tasks,
}

async fn running(doorbell_token: Option<&str>) -> Running {
    let data = tempfile::tempdir().expect("a folder");
    let desk = Arc::new(NotingDesk::default());
    let tasks = Tasks::new();
    let options = Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        data: data.path().to_owned(),
        doorbell_token: doorbell_token.map(str::to_owned),
    };
    let address = serve(desk.clone(), options, &tasks).await.expect("serves");
    assert_eq!(address.pid, std::process::id());
    Running { desk, data, url: address.url, tasks }
}

impl Running {
    fn client(&self) -> Client {
        Client::find(self.data.path()).expect("the running host is found")
    }

    fn token(&self) -> String {
        std::fs::read_to_string(self.data.path().join(TOKEN_FILE)).expect("a token")
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: &[u8],
    ) -> (StatusCode, serde_json::Value) {
        let http = HttpClient::new(HttpConfig { request_timeout: LIMIT, ..HttpConfig::default() }).expect("a client");
        let mut request = Request::new(method, format!("{}{path}", self.url).parse().expect("an address"));
        if let Some(token) = token {
            request = request.bearer(&Secret::new(token));
        }
        let answer = http.send(request.body("application/json", body.to_vec())).await.expect("an answer");
        let json = serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{path} did not answer JSON"));
        (answer.status, json)
    }
}

const ROUTES: [(&str, &str); 22] = [
    ("GET", "/v1/status"),
    ("GET", "/metrics"),
    ("GET", "/v1/queue"),
    ("GET", "/v1/queue/entry?key=crm:1"),
    ("POST", "/v1/queue/retry"),
    ("POST", "/v1/queue/discard"),
    ("GET", "/v1/trace?id=1"),
    ("GET", "/v1/rules"),
    ("GET", "/v1/rules/capture?id=1"),
    ("POST", "/v1/rules/reload"),
    ("POST", "/v1/rules/propose"),
    ("POST", "/v1/rules/commit"),
    ("GET", "/v1/rules/history"),
    ("POST", "/v1/rules/diff"),
    ("GET", "/v1/users"),
    ("POST", "/v1/users/sync"),
    ("POST", "/v1/users/set"),
    ("POST", "/v1/sync"),
    ("POST", "/v1/exchange/migrate"),
    ("POST", "/v1/exchange/claim"),
    ("POST", "/v1/doorbell"),
    ("POST", "/v1/stop"),
];

#[tokio::test]
async fn every_question_arrives_and_every_answer_comes_back() {
    let host = running(None).await;
    let client = host.client();
    assert_eq!(client.status().await.unwrap(), status());
    let filter = QueueFilter { state: Some(EntryState::Parked), code: None, limit: Some(7) };
    assert_eq!(client.queue(&filter).await.unwrap(), QueuePage { entries: vec![entry("crm:4711")], total: 9 });
    client.queue(&QueueFilter::default()).await.unwrap();
    assert_eq!(client.queue_entry("uid:a b/c?d=e&f#+ü").await.unwrap().key, "uid:a b/c?d=e&f#+ü");
    assert_eq!(client.queue_retry(&Which::All).await.unwrap(), Affected { entries: 2 });
    client.queue_retry(&Which::Key("crm:1".into())).await.unwrap();
    assert_eq!(client.trace("AAMk+/=").await.unwrap(), story());
    assert_eq!(client.rules().await.unwrap(), chain());
    assert_eq!(client.capture("47 11", Some("privacy")).await.unwrap().name, "crm-4711");
    assert_eq!(
        client.propose_rules(&ChangeOrder::Rollback(Some(3)), true).await.unwrap().proposal.as_deref(),
        Some("1-1")
    );
    let order = CommitOrder { proposal: "1-1".into(), store_only: true };
    assert_eq!(client.commit_rules(&order).await.unwrap(), chain());
    assert_eq!(client.rule_history().await.unwrap(), RuleHistory::default());
    let file = DiffOrderSide::File(FileOrder::new("x.wasm", b"x"));
    let order = DiffOrder { old: DiffOrderSide::Generation(1), new: file, replay: true, values: true };
    assert_eq!(client.diff_rules(&order).await.unwrap(), Compared::default());
    let order = SyncOrder { containers: vec!["crm".into()], sweep: true, dry_run: true };
    assert_eq!(client.sync(&order).await.unwrap(), report());
    assert_eq!(client.users().await.unwrap(), users());
    assert_eq!(client.sync_users().await.unwrap(), users());
    let out = UserOrder { user: "susan.maye".into(), enabled: false };
    assert_eq!(client.set_user(&out).await.unwrap(), user(false));
    let order = MigrateOrder { from: "ews".into(), to: "graph".into(), mailboxes: vec!["a@b".into()], yes: true };
    assert!(client.migrate(&order).await.unwrap().done);
    let order = ClaimOrder { mailboxes: vec!["a@b".into()], all: false };
    assert_eq!(client.claim(&order).await.unwrap().mailboxes[0].mailbox, "a@b");
    client.doorbell(SideName::Exchange).await.unwrap();
    client.stop().await.unwrap();
    assert_eq!(
        host.desk.asked(),
        [
            "status",
            "queue Some(Parked) Some(7)",
            "queue None None",
            "entry uid:a b/c?d=e&f#+ü",
            "retry All",
            "retry Key(\"crm:1\")",
            "trace AAMk+/=",
            "rules",
            "capture 47 11 Some(\"privacy\")",
            "propose Rollback(Some(3)) true",
            "commit 1-1 true",
            "history",
            "diff Generation(1) File(FileOrder { name: \"x.wasm\", base64: \"eA==\" }) true true",
            "sync [\"crm\"] sweep true dry true",
            "users",
            "sync users",
            "set susan.maye false",
            "migrate ews graph [\"a@b\"] true",
            "claim [\"a@b\"] false",
            "doorbell Exchange",
            "stop",
        ]
    );
    assert!(host.tasks.finish().await);
}

#[tokio::test]
async fn a_refusal_keeps_its_words_and_says_whose_move_it_is() {
    let host = running(None).await;
    let client = host.client();
    let ClientError::Refused(refusal) = client.queue_discard("crm:1").await.unwrap_err() else { panic!("a refusal") };
    assert_eq!(
        refusal,
        Refusal::new(RefusalKind::NotNow, "not-parked", "crm:1 is being worked on", "wait until it is parked")
    );
    let unknown = client.queue_entry("crm:0").await.unwrap_err();
    assert_eq!(
        Failure::from(unknown).text(),
        "\
error: nothing is known about crm:0
hint: give the CRM's communication id, an Exchange item id, an iCalendar UID, or a key as `daybridge queue list` shows it
"
    );
    let ClientError::Refused(refusal) = client.reload_rules().await.unwrap_err() else { panic!("a refusal") };
    assert_eq!(refusal.kind, RefusalKind::Failed);
    assert_eq!(refusal.message, "load the rules: disk on fire");
    assert!(host.tasks.finish().await);
}

#[tokio::test]
async fn nobody_without_the_token_gets_in() {
    let host = running(Some("ring")).await;
    let right = host.token();
    let last = if right.ends_with('0') { '1' } else { '0' };
    let wrong = format!("{}{last}", &right[..right.len() - 1]);
    for (method, path) in ROUTES.into_iter().chain([("GET", "/nowhere")]) {
        let method: Method = method.parse().unwrap();
        for token in [None, Some("ring"), Some(""), Some(wrong.as_str()), Some(&right[..32])] {
            let (status, json) = host.ask(method.clone(), path, token, b"{}").await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path} with {token:?}");
            assert_eq!(json["code"], "no-token");
        }
    }
    assert_eq!(host.desk.asked(), [""; 0]);
    assert!(host.tasks.finish().await);
}

#[tokio::test]
async fn the_crms_own_token_rings_and_nothing_else() {
    let host = running(Some("ring")).await;
    let (status, json) = host.ask(Method::POST, "/doorbell/crm", Some("ring"), b"").await;
    assert_eq!((status, json), (StatusCode::OK, serde_json::Value::Null));
    assert_eq!(host.desk.asked(), ["doorbell Crm"]);
    for token in [None, Some("rang"), Some(host.token().as_str())] {
        assert_eq!(host.ask(Method::POST, "/doorbell/crm", token, b"").await.0, StatusCode::UNAUTHORIZED);
    }
    let closed = running(None).await;
    for token in [None, Some(""), Some("ring")] {
        assert_eq!(closed.ask(Method::POST, "/doorbell/crm", token, b"").await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(host.desk.asked(), [""; 0]);
    assert!(host.tasks.finish().await);
    assert!(closed.tasks.finish().await);
}

#[tokio::test]
async fn bad_requests_are_told_as_such() {
    let host = running(None).await;
    let token = host.token();
    let token = Some(token.as_str());
    for (path, body) in [
        ("/v1/queue/retry", &b"{"[..]),
        ("/v1/queue/retry", b"\"some\""),
        ("/v1/sync", b"[1]"),
        ("/v1/exchange/migrate", b"{\"from\": \"ews\"}"),
        ("/v1/exchange/claim", b"{\"all\": 1}"),
        ("/v1/doorbell", b"{\"side\": \"mars\"}"),
        ("/v1/queue/discard", &vec![b'x'; 300 * 1024]),
    ] {
        let (status, json) = host.ask(Method::POST, path, token, body).await;
        assert_eq!((status, &json["code"]), (StatusCode::BAD_REQUEST, &"bad-request".into()), "{path}: {json}");
    }
    let (status, json) = host.ask(Method::GET, "/v1/trace", token, b"").await;
    assert_eq!((status, &json["code"]), (StatusCode::BAD_REQUEST, &"bad-request".into()));
    for (method, path) in [(Method::GET, "/v1/nowhere"), (Method::GET, "/v1/stop"), (Method::POST, "/v1/status")] {
        let (status, json) = host.ask(method, path, token, b"").await;
        assert_eq!((status, &json["code"]), (StatusCode::NOT_FOUND, &"no-such-route".into()), "{path}");
    }
    assert_eq!(host.desk.asked(), [""; 0]);
    assert!(host.tasks.finish().await);
}

#[cfg(unix)]
#[tokio::test]
async fn the_token_is_its_owners_alone_and_the_address_goes_with_the_host() {
    use std::os::unix::fs::PermissionsExt;
    let host = running(None).await;
    for name in [TOKEN_FILE, ADDRESS_FILE] {
        let mode = std::fs::metadata(host.data.path().join(name)).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(host.token().len() >= 64);
    assert!(host.tasks.finish().await);
    assert!(!host.data.path().join(ADDRESS_FILE).exists());
    let gone = Client::find(host.data.path()).unwrap_err();
    let text = Failure::from(gone).text().replace(&host.data.path().display().to_string(), "DATA");
    assert_eq!(
        text,
        "\
error: no host is running on the data folder DATA
hint: start it: daybridge run --config FILE; or name the running host's folder with --data or --config
"
    );
}

#[tokio::test]
async fn a_host_that_was_killed_is_told_from_one_that_never_ran() {
    let data = tempfile::tempdir().expect("a folder");
    // A port that was free a moment ago, and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port();
    std::fs::write(data.path().join(ADDRESS_FILE), format!("{{\"url\":\"http://127.0.0.1:{port}\",\"pid\":1}}"))
        .unwrap();
    std::fs::write(data.path().join(TOKEN_FILE), "x").unwrap();
    let error = Client::find(data.path()).expect("looks like a host").status().await.unwrap_err();
    let text = Failure::from(error).text().replace(&port.to_string(), "PORT");
    assert!(text.starts_with("error: the host at http://127.0.0.1:PORT does not answer\n  Caused by: "), "{text}");
    assert!(text.ends_with("hint: the host may have been killed: start it again, it goes on where it was\n"), "{text}");
}

#[tokio::test]
async fn only_loopback_is_served() {
    let data = tempfile::tempdir().expect("a folder");
    let desk = Arc::new(NotingDesk::default());
    let options =
        Options { listen: SocketAddr::from(([0, 0, 0, 0], 0)), data: data.path().to_owned(), doorbell_token: None };
    let error = serve(desk, options, &Tasks::new()).await.unwrap_err();
    assert!(matches!(error, StartError::NotLoopback(_)));
    assert_eq!(error.to_string(), "the control address 0.0.0.0:0 is not a loopback address");
    assert!(files(data.path()).is_empty());
}

fn files(folder: &Path) -> Vec<std::ffi::OsString> {
    std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").file_name()).collect()
}
