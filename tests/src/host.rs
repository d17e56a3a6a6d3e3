//! A host between the two simulators, in this process, over real sockets; and the oracle every story must end with.
//!
//! The same stories are told to a host that reaches Exchange by EWS, by Microsoft Graph, or some mailboxes by one and some by the
//! other: `DAYBRIDGE_EXCHANGE` is `ews` (if it is not set), `graph` or `hybrid`. People's own Outlook is the same in all three.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use daybridge::app::App;
use daybridge::clock::{Clock, SystemClock};
use daybridge::config::Config;
use daybridge::connector::Connector;
use daybridge::control::{
    ChangeOrder, CommitOrder, Desk, EntryState, QueueFilter, RefusalKind, RuleDesk, SyncOrder, SyncReport, Which,
};
use daybridge::lifecycle::Tasks;
use daybridge::sim;
use daybridge::sim::exchange::MailKind;
use daybridge::store::SledStore;

use crate::crm::Crm;
use crate::ews::Outlook;
use crate::guests;
use crate::http;
pub use crate::reach::{ONLINE, Reach};
use crate::wait::wait_for;

/// Rounds in which a story must come to rest: a write, its echo, the echo's echo, and some for retries.
const ROUNDS_MAX: usize = 40;

/// Both simulators.
pub struct Servers {
    pub reach: Reach,
    pub crm: sim::crm::Running,
    pub exchange: sim::exchange::Running,
    pub tasks: Tasks,
    /// The origin where the host finds Exchange, if not at its own address.
    pub exchange_front: Option<String>,
    /// Lines at the end of the last `[[exchange]]` section.
    pub exchange_more: String,
}

impl Servers {
    pub async fn start() -> Self {
        Self::on(Arc::new(SystemClock)).await
    }

    /// The CRM's clock is wrong by so much.
    pub async fn with_crm_clock(ahead: TimeDelta) -> Self {
        let clock = AheadClock::default();
        clock.advance(ahead);
        Self::on(Arc::new(clock)).await
    }

    /// Whatever the environment says.
    pub async fn reached(reach: Reach) -> Self {
        Self { reach, ..Self::start().await }
    }

    /// With this clock in the CRM.
    pub async fn on(crm_clock: Arc<dyn Clock>) -> Self {
        Self::serve(sim::crm::Options::default(), sim::exchange::Options::default(), crm_clock).await
    }

    /// With so many people instead of four, each known on both sides: p0001@example.test and so on.
    pub async fn of_people(count: usize) -> Self {
        let (mut crm, mut exchange) = (sim::crm::Options::default(), sim::exchange::Options::default());
        (crm.people, exchange.accounts) = (Vec::new(), exchange.accounts.split_off(exchange.accounts.len() - 1));
        for number in 1..=count {
            let (login, address) = (format!("p{number:04}"), format!("p{number:04}@example.test"));
            exchange.accounts.push(sim::exchange::AccountOptions {
                name: format!("Person {number:04}"),
                address: address.clone(),
                aliases: Vec::new(),
                login: login.clone(),
                password: "demo".into(),
                role: sim::exchange::Role::User,
                zone: "Romance Standard Time".into(),
            });
            crm.people.push(sim::crm::PersonOptions {
                first_name: "Person".into(),
                last_name: format!("{number:04}"),
                login,
                address,
            });
        }
        Self::serve(crm, exchange, Arc::new(SystemClock)).await
    }

    /// With a list of people in the Exchange directory.
    pub async fn with_list(name: &str, members: &[&str]) -> Self {
        let list = sim::exchange::ListOptions {
            name: name.to_owned(),
            address: format!("{name}@example.test"),
            members: members.iter().map(|member| format!("{member}@example.test")).collect(),
        };
        let exchange = sim::exchange::Options { lists: vec![list], ..sim::exchange::Options::default() };
        Self::serve(sim::crm::Options::default(), exchange, Arc::new(SystemClock)).await
    }

    async fn serve(crm: sim::crm::Options, exchange: sim::exchange::Options, crm_clock: Arc<dyn Clock>) -> Self {
        let tasks = Tasks::new();
        let listen = ([127, 0, 0, 1], 0).into();
        let crm = sim::crm::serve(listen, crm, crm_clock, &tasks).await.expect("a free port");
        let clock = Arc::new(SystemClock);
        let exchange = sim::exchange::serve(listen, exchange, clock, &tasks).await.expect("a free port");
        Self {
            reach: Reach::of_environment(),
            crm,
            exchange,
            tasks,
            exchange_front: None,
            exchange_more: String::new(),
        }
    }

    /// The CRM as the sync account sees it.
    pub fn crm(&self) -> Crm {
        let user = self.crm.users().into_iter().find(|user| user.role == "service").expect("a service account");
        Crm::new(&self.crm.crm_url(), &user.login, &user.password)
    }

    /// The CRM as a person sees it.
    pub fn crm_as(&self, login: &str) -> Crm {
        let user = self.crm.users().into_iter().find(|user| user.login == login).expect("a CRM user of that name");
        Crm::new(&self.crm.crm_url(), &user.login, &user.password)
    }

    /// Somebody's Outlook, by the part of the address before the `@`.
    pub fn outlook(&self, name: &str) -> Outlook {
        let prefix = format!("{name}@");
        let user = self.exchange.users().into_iter().find(|user| user.address.starts_with(&prefix)).expect("a mailbox");
        Outlook::new(&self.exchange.ews_url(), &user.address, &user.login, &user.password)
    }

    /// A configuration for these servers; `more` is TOML added at the end. A line `time_zone = ...` is the CRM's.
    pub fn config(&self, data: &Path, more: &str) -> String {
        let zone = more.lines().find(|line| line.starts_with("time_zone")).unwrap_or("time_zone = \"Europe/Berlin\"");
        let more: String =
            more.lines().filter(|line| !line.starts_with("time_zone")).map(|line| format!("{line}\n")).collect();
        let more = more.as_str();
        let crm = self.crm.users().into_iter().find(|user| user.role == "service").expect("a service account");
        let sync = if more.contains("[sync]") { String::new() } else { format!("[sync]\n{SYNC}workers = 1\n") };
        // Keys of the top come before all sections.
        let (top, more): (Vec<&str>, Vec<&str>) = more.lines().partition(|line| line.starts_with("rules_dir"));
        let (top, more) = (top.join("\n"), more.join("\n"));
        // One appointment after the other, unless the story is about several at a time.
        let own = if more.contains("workers") { SYNC.to_owned() } else { format!("{SYNC}workers = 1\n") };
        let more = more.replace("[sync]", &format!("[sync]\n{own}"));
        format!(
            r#"data = "{data}"
{top}
[crm]
url = "{crm_url}"
login = "{crm_login}"
password = "{crm_password}"
{zone}
responses_column = "comm_responses"
{exchange}{exchange_more}
{sync}
{more}
"#,
            data = data.display(),
            crm_url = self.crm.crm_url(),
            crm_login = crm.login,
            crm_password = crm.password,
            exchange_more = self.exchange_more,
            exchange = self.reach.config(&self.exchange, self.exchange_front.as_deref()),
        )
    }

    /// Mails Exchange sent, by kind.
    pub async fn mails(&self) -> Mails {
        let counts = self.exchange.mail_counts();
        let count = |kind: MailKind| counts.get(&kind).copied().unwrap_or(0);
        Mails::new(count(MailKind::Request), count(MailKind::Update), count(MailKind::Cancellation))
    }

    pub async fn crm_writes(&self) -> u64 {
        self.crm.faults().counters().writes
    }

    pub async fn exchange_writes(&self) -> u64 {
        self.exchange.faults().counters().writes
    }

    /// Requests to both servers so far.
    pub async fn requests(&self) -> (u64, u64) {
        (self.crm.faults().counters().requests, self.exchange.faults().counters().requests)
    }
}

/// Short times, so that a story is over in a second or two.
const SYNC: &str = "poll_interval_s = 3600\nsettle_ms = 0\nretry_first_ms = 50\nretry_max_s = 1\npast_days = 14\n";

/// The machine's clock, and as far ahead of it as a test set it: waits that the host keeps need not be waited for.
#[derive(Debug, Default)]
pub struct AheadClock {
    ahead_ms: AtomicI64,
}

impl AheadClock {
    pub fn advance(&self, by: TimeDelta) {
        self.ahead_ms.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }
}

impl Clock for AheadClock {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + TimeDelta::milliseconds(self.ahead_ms.load(Ordering::SeqCst))
    }

    fn chance(&self) -> f64 {
        0.5
    }
}

/// Mails counted by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mails {
    pub invitations: u64,
    pub updates: u64,
    pub cancellations: u64,
}

impl Mails {
    pub const NONE: Mails = Mails { invitations: 0, updates: 0, cancellations: 0 };

    pub fn new(invitations: u64, updates: u64, cancellations: u64) -> Self {
        Self { invitations, updates, cancellations }
    }
}

/// Puts something between the host and a server.
pub type Wrap = Arc<dyn Fn(Arc<dyn Connector>) -> Arc<dyn Connector> + Send + Sync>;

/// A host between two simulators. A story that ends without [`TestHost::oracle`] fails.
pub struct TestHost {
    pub servers: Servers,
    pub app: Arc<App>,
    pub data: tempfile::TempDir,
    pub clock: Arc<AheadClock>,
    more: String,
    wrap: Wrap,
    /// The oracle was asked, or it is said why not.
    proven: bool,
    /// Mails sent by people's own Outlook, and those declared by the host before it was started again.
    by_others: Mails,
    parked_expected: u64,
}

impl TestHost {
    pub async fn start() -> Self {
        Self::with_config("").await
    }

    /// `more` is TOML added to the configuration.
    pub async fn with_config(more: &str) -> Self {
        Self::on(Servers::start().await, more).await
    }

    pub async fn on(servers: Servers, more: &str) -> Self {
        Self::through(servers, more, Arc::new(|connector| connector)).await
    }

    /// With something between the host and its servers.
    pub async fn through(servers: Servers, more: &str, wrap: Wrap) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder");
        let clock = Arc::new(AheadClock::default());
        let app = open(&servers, data.path(), more, clock.clone(), &wrap).await;
        Self {
            servers,
            app,
            data,
            clock,
            more: more.to_owned(),
            wrap,
            proven: false,
            by_others: Mails::NONE,
            parked_expected: 0,
        }
    }

    /// This is no story of appointments, or it cannot come to rest: `why` the oracle has nothing to say about it.
    pub fn no_story(&mut self, why: &str) {
        assert!(!why.is_empty());
        self.proven = true;
    }

    /// Before the first pass there is nothing: what comes later is new, not old.
    pub async fn settled() -> Self {
        let mut host = Self::start().await;
        host.settle().await;
        host
    }

    pub async fn settled_with(more: &str) -> Self {
        let mut host = Self::with_config(more).await;
        host.settle().await;
        host
    }

    pub fn crm(&self) -> Crm {
        self.servers.crm()
    }

    pub fn outlook(&self, name: &str) -> Outlook {
        self.servers.outlook(name)
    }

    /// One pass over everything, as soon as the host does not wait for a server.
    pub async fn pass(&self, sweep: bool) -> SyncReport {
        let order = SyncOrder { containers: Vec::new(), sweep, dry_run: false };
        wait_for("a pass", || async {
            match self.app.sync(&order).await {
                Ok(report) => Some(report),
                Err(refusal) if refusal.kind == RefusalKind::NotNow => None,
                Err(refusal) => panic!("{}: {}", refusal.code, refusal.message),
            }
        })
        .await
    }

    /// Passes until one finds nothing to look at and nothing waits for its next attempt.
    pub async fn settle(&mut self) {
        let rounds = AtomicUsize::new(0);
        wait_for("the story at rest", || async {
            let report = self.pass(false).await;
            // A pass that only found work waiting for its time is no round of the story.
            if report.looked_at > 0 {
                let round = rounds.fetch_add(1, Ordering::SeqCst);
                assert!(round < ROUNDS_MAX, "the story does not come to rest in {ROUNDS_MAX} rounds");
            }
            (report.looked_at == 0 && report.unfinished == 0).then_some(())
        })
        .await;
    }

    /// Passes (with a sweep, as deletions in the CRM need one) until nothing is left to do.
    pub async fn settle_with_sweep(&mut self) {
        self.settle().await;
        self.pass(true).await;
        self.settle().await;
    }

    /// Starts again with an empty data folder: queue, cursors and ledger are lost.
    pub async fn restart_without_data(&mut self) {
        self.stop().await;
        let data = tempfile::tempdir().expect("a temporary folder");
        // To its mailboxes it stays the host it is.
        std::fs::copy(self.data.path().join("host-id"), data.path().join("host-id")).expect("the host's id");
        self.data = data;
        self.app = open(&self.servers, self.data.path(), &self.more, self.clock.clone(), &self.wrap).await;
    }

    /// Another host between the same servers, with a data folder of its own and the same configuration.
    pub async fn second(&self) -> (tempfile::TempDir, Arc<App>) {
        let data = tempfile::tempdir().expect("a temporary folder");
        let app = open(&self.servers, data.path(), &self.more, self.clock.clone(), &self.wrap).await;
        (data, app)
    }

    /// Starts again on the same data folder with another end of the configuration.
    pub async fn restart_with(&mut self, more: &str) {
        more.clone_into(&mut self.more);
        self.restart().await;
    }

    /// Starts again on the same data folder.
    pub async fn restart(&mut self) {
        let _stand_in = self.step_aside().await;
        self.come_back().await;
    }

    /// Leaves the data folder to others, with the configuration as it is now. It is free when the last holder of the store is gone; an
    /// empty one stands in meanwhile.
    pub async fn step_aside(&mut self) -> tempfile::TempDir {
        self.stop().await;
        let stand_in = tempfile::tempdir().expect("a temporary folder");
        self.app = open(&self.servers, stand_in.path(), &self.more, self.clock.clone(), &self.wrap).await;
        let text = self.servers.config(self.data.path(), &self.more);
        std::fs::write(self.data.path().join("daybridge.toml"), text).expect("the configuration is written");
        stand_in
    }

    /// Takes the data folder again.
    pub async fn come_back(&mut self) {
        self.app = open(&self.servers, self.data.path(), &self.more, self.clock.clone(), &self.wrap).await;
    }

    /// Writes another end of the configuration and has the rules loaded again, as a person does who says yes.
    pub async fn reload_with(&mut self, more: &str) {
        self.more = more.to_owned();
        let file = self.data.path().join("daybridge.toml");
        std::fs::write(&file, self.servers.config(self.data.path(), more)).expect("the configuration is written");
        let proposal = self.app.propose_rules(ChangeOrder::Reload { fresh: false }, false).await;
        let proposal = proposal.unwrap_or_else(|refusal| panic!("{}: {}", refusal.code, refusal.message));
        let name = proposal.proposal.unwrap_or_else(|| panic!("{}", proposal.report));
        // Whatever speaks against it: the story may be about a rule that fails.
        let order = CommitOrder { proposal: name, store_only: false };
        self.app.commit_rules(&order).await.map(drop).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    }

    async fn stop(&mut self) {
        let declared = self.app.status().await.expect("a status").mail;
        self.people_mailed(Mails::new(declared.invitations, declared.updates, declared.cancellations));
        assert!(self.app.stop_now().await, "the host stops cleanly");
    }

    /// After a CRM user was changed: the host keeps users for a while, so time passes.
    pub async fn settle_after_user_change(&mut self) {
        self.clock.advance(TimeDelta::minutes(11));
        self.settle_with_sweep().await;
    }

    /// A person lets everything that is parked or waiting go ahead.
    pub async fn retry_all(&self) {
        self.app.queue_retry(&Which::All).await.expect("the queue");
    }

    /// Mails that people's own acts in Outlook caused; the oracle sets them apart.
    pub fn people_mailed(&mut self, mails: Mails) {
        self.by_others.invitations += mails.invitations;
        self.by_others.updates += mails.updates;
        self.by_others.cancellations += mails.cancellations;
    }

    pub fn expect_parked(&mut self, count: u64) {
        self.parked_expected = count;
    }

    /// The common oracle: all of [`TestHost::rests`], and the mails that were sent are the ones that were declared.
    pub async fn oracle(&mut self, pairs: u64, mails: Mails) {
        self.rests(pairs, mails).await;
        let status = self.app.status().await.expect("a status");
        let declared = Mails::new(
            status.mail.invitations + self.by_others.invitations,
            status.mail.updates + self.by_others.updates,
            status.mail.cancellations + self.by_others.cancellations,
        );
        assert_eq!(declared, mails, "mails declared by the host, and by people");
    }

    /// At rest a further pass with a full sweep writes nothing on either side and mails nobody, a dry run plans nothing, the
    /// number of pairs and of the mails that were sent is exact, and nothing is parked that the story did not expect.
    pub async fn rests(&mut self, pairs: u64, mails: Mails) {
        self.settle().await;
        let (crm, exchange) = (self.servers.crm_writes().await, self.servers.exchange_writes().await);
        let sent = self.servers.mails().await;
        let report = self.pass(true).await;
        self.settle().await;
        assert_eq!((report.writes.crm, report.writes.exchange), (0, 0), "writes of a pass at rest: {:?}", report.lines);
        assert_eq!(self.servers.crm_writes().await, crm, "the CRM counted a write at rest");
        assert_eq!(self.servers.exchange_writes().await, exchange, "Exchange counted a write at rest");
        assert_eq!(self.servers.mails().await, sent, "mails were sent at rest");
        let plan = SyncOrder { containers: Vec::new(), sweep: true, dry_run: true };
        let plan = self.app.sync(&plan).await.expect("a dry run");
        let writes: Vec<_> = plan.lines.iter().filter(|line| line.target.is_some()).collect();
        assert!(writes.is_empty(), "a dry run at rest plans {writes:?}");
        assert_eq!(self.app.pairs(), pairs, "live pairs");
        assert_eq!(sent, mails, "mails sent");
        assert_eq!(self.parked().await.len() as u64, self.parked_expected, "parked: {:?}", self.parked().await);
        self.proven = true;
    }

    /// The notices people were told since the host was started: code and how many more failed alike.
    pub async fn notices(&self) -> Vec<String> {
        self.app.status().await.expect("a status").notices.into_iter().map(|notice| notice.code).collect()
    }

    /// Parked entries: key to code.
    pub async fn parked(&self) -> BTreeMap<String, String> {
        let filter = QueueFilter { state: Some(EntryState::Parked), ..QueueFilter::default() };
        let page = self.app.queue(&filter).await.expect("the queue");
        page.entries
            .into_iter()
            .map(|entry| (entry.key, entry.reason.map(|reason| reason.code).unwrap_or_default()))
            .collect()
    }

    /// The sentences of an appointment's trace, joined.
    pub async fn trace(&self, id: &str) -> String {
        let story = self.app.trace(id).await.unwrap_or_else(|refusal| panic!("trace {id}: {}", refusal.message));
        story.lines.iter().map(|line| format!("{}: {}", line.step, line.text)).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.proven, "the story ended without its oracle");
        }
    }
}

async fn open(servers: &Servers, data: &Path, more: &str, clock: Arc<AheadClock>, wrap: &Wrap) -> Arc<App> {
    let text = servers.config(data, more);
    let file = data.join("daybridge.toml");
    std::fs::write(&file, &text).expect("the configuration is written");
    let config = Config::load(&file, &|_| None).unwrap_or_else(|error| panic!("{error}: {}\n{text}", error.hint()));
    let store = SledStore::open(&config.data).unwrap_or_else(|error| panic!("{error}: {}", error.hint()));
    App::open_through(Arc::new(store), guests::engine(), config, clock, wrap.as_ref())
        .await
        .unwrap_or_else(|error| panic!("{error}: {}", error.hint()))
}

#[expect(clippy::disallowed_methods, reason = "tests speak HTTP themselves")]
pub async fn get(url: &str) -> serde_json::Value {
    let answer = http::plain().get(url).send().await.expect("the simulator answers");
    answer.json().await.expect("JSON")
}

/// Posts to a simulator's own paths, and answers what it says, if it says something.
#[expect(clippy::disallowed_methods, reason = "tests speak HTTP themselves")]
pub async fn post(url: &str, body: &serde_json::Value) -> serde_json::Value {
    let answer = http::plain().post(url).json(body).send().await.expect("the simulator answers");
    assert!(answer.status().is_success(), "POST {url}: {}", answer.status());
    serde_json::from_slice(&answer.bytes().await.expect("a whole answer")).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "tests speak HTTP themselves")]
pub async fn delete(url: &str) {
    let answer = http::plain().delete(url).send().await.expect("the simulator answers");
    assert!(answer.status().is_success(), "DELETE {url}: {}", answer.status());
}

impl TestHost {
    /// Asks the CRM for a fault.
    pub async fn crm_fault(&self, fault: serde_json::Value) {
        post(&format!("{}_sim/faults", self.servers.crm.url()), &fault).await;
    }

    /// Asks Exchange for a fault, named as an operation of EWS; by whatever protocol the mailbox it is about is reached.
    pub async fn exchange_fault(&self, mut fault: serde_json::Value) {
        let (named, mailbox) = (fault["operation"].as_str().unwrap_or_default(), fault["container"].as_str());
        fault["operation"] = self.servers.reach.operation_of(named, mailbox).into();
        post(&format!("{}_sim/faults", self.servers.exchange.url()), &fault).await;
    }

    pub async fn clear_exchange_faults(&self) {
        delete(&format!("{}_sim/faults", self.servers.exchange.url())).await;
    }

    pub async fn exchange_down(&self, down: bool) {
        post(&format!("{}_sim/down", self.servers.exchange.url()), &serde_json::json!({"down": down})).await;
    }

    pub async fn crm_down(&self, down: bool) {
        post(&format!("{}_sim/down", self.servers.crm.url()), &serde_json::json!({"down": down})).await;
    }

    /// Waits until the host did what is looked for, passing again and again (for faults and delays).
    pub async fn until<T, F: Future<Output = Option<T>>>(&self, state: &str, mut look: impl FnMut() -> F) -> T {
        wait_for(state, || {
            let looked = look();
            async {
                if let Some(value) = looked.await {
                    return Some(value);
                }
                self.pass(false).await;
                None
            }
        })
        .await
    }
}
