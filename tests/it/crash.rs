//! The host dies at every step of a story, and starts again: nothing is lost, nothing is doubled.
//!
//! A story is told once for every request it makes of a server (the request is carried out, the answer never arrives, the
//! process is gone) and once for every commit of the store (the commit and all later ones never happen).

mod series;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use daybridge::app::App;
use daybridge::clock::{Clock, SystemClock};
use daybridge::config::Config;
use daybridge::control::{Desk, SyncOrder};
use daybridge::plugin::Engine;
use daybridge::store::{Batch, Durable, MemoryStore, Row, Store, StoreError, Tree};
use daybridge_tests::crm::Booking;
use daybridge_tests::ews::TO_NONE;
use daybridge_tests::guests;
use daybridge_tests::host::{Mails, Reach, Servers, post};
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{SUSAN, TERRY};
use daybridge_tests::wait::wait_for;
use serde_json::json;

/// A store that dies: commit number `left` and all later ones are refused, as if the process had ended before them.
#[derive(Debug)]
struct Dying {
    inner: Arc<dyn Store>,
    left: AtomicUsize,
}

impl Store for Dying {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(tree, key)
    }

    fn scan(&self, tree: Tree, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.inner.scan(tree, prefix, after, limit)
    }

    fn commit(&self, batch: Batch) -> Result<Durable, StoreError> {
        let alive = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if alive { self.inner.commit(batch) } else { Err(StoreError::Closed) }
    }
}

/// A town of two servers and a store that survives the host.
struct Stage {
    servers: Servers,
    store: Arc<MemoryStore>,
    /// Rules are compiled once for all lives.
    engine: Engine,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn set(engine: &Engine) -> Self {
        Self::between(Servers::start().await, engine).await
    }

    async fn between(servers: Servers, engine: &Engine) -> Self {
        let stage = Self {
            engine: engine.clone(),
            servers,
            store: Arc::new(MemoryStore::default()),
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        // Before the story begins the first pass is over, so that what comes is new.
        assert!(stage.live(stage.store.clone(), &SyncOrder::default()).await);
        stage
    }

    async fn open(&self, store: Arc<dyn Store>) -> Arc<App> {
        let text = self.servers.config(self.folder.path(), "");
        let config =
            Config::parse(&self.folder.path().join("daybridge.toml"), &text, &|_| None).expect("a configuration");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        App::open_on(store, self.engine.clone(), config, clock).await.expect("a host")
    }

    /// One life of a host: passes until it is at rest. False if it did not get there.
    async fn live(&self, store: Arc<dyn Store>, order: &SyncOrder) -> bool {
        let app = self.open(store).await;
        for _ in 0..20 {
            match app.sync(order).await {
                Ok(report) if report.looked_at == 0 && report.unfinished == 0 => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        false
    }

    /// One life that ends while a server holds an answer back: everything under way is dropped where it stands. False if it
    /// came to rest before.
    async fn live_until_held(&self) -> bool {
        let order = SyncOrder::default();
        let held = wait_for("a held answer, or rest", || async {
            let held = self.servers.exchange.faults().pending().held + self.servers.crm.faults().pending().held;
            (held > 0).then_some(())
        });
        let died = tokio::select! {
            () = held => true,
            _ = self.live(self.store.clone(), &order) => false,
        };
        self.servers.exchange.faults().clear();
        self.servers.crm.faults().clear();
        died
    }

    async fn recover(&self) {
        assert!(self.live(self.store.clone(), &SyncOrder::default()).await, "the host comes to rest after the crash");
        let sweep = SyncOrder { sweep: true, ..SyncOrder::default() };
        let app = self.open(self.store.clone()).await;
        let (crm, exchange) = (self.servers.crm_writes().await, self.servers.exchange_writes().await);
        app.sync(&sweep).await.expect("a sweep");
        assert_eq!((self.servers.crm_writes().await, self.servers.exchange_writes().await), (crm, exchange));
    }

    /// One new meeting in the CRM and one new appointment in Outlook; the meeting's id and the item's.
    async fn begin(&self) -> (String, String) {
        let booking = Booking::at("Review", &day(40), 9, SUSAN).with_user(TERRY).with_external("ann.lee@client.test");
        let id = self.servers.crm().book(&booking).await;
        let day = day(41);
        let item = self.servers.outlook("mary.jones").book("Dentist", &utc(&day, 9), &utc(&day, 10), &[]).await;
        (id, item)
    }

    async fn check_created(&self, step: &str) {
        self.recover().await;
        assert_eq!(self.servers.outlook("susan.maye").calendar().await.len(), 1, "{step}");
        assert_eq!(self.servers.outlook("terry.smith").calendar().await.len(), 1, "{step}");
        let rows = self.servers.crm().appointments().await;
        assert_eq!(rows.len(), 2, "{step}");
        for row in rows {
            let links = self.servers.crm().links(&row.id()).await;
            let wanted = if row.text("Comm_Subject") == "Dentist" { 1 } else { 3 };
            assert_eq!(links.len(), wanted, "{step}: links of {}", row.text("Comm_Subject"));
        }
        assert_eq!(self.servers.mails().await, Mails::new(2, 0, 0), "{step}");
    }

    async fn change(&self, id: &str, item: &str) {
        self.servers.crm().patch("Communication", id, &json!({"Comm_Note": "New agenda"})).await;
        self.servers.outlook("mary.jones").set_location(item, "High Street").await;
    }

    async fn check_changed(&self, step: &str) {
        self.recover().await;
        let item = self.servers.outlook("susan.maye").by_subject("Review").await.expect("there");
        assert_eq!(item.body.trim_end(), "New agenda", "{step}");
        let rows = self.servers.crm().appointments().await;
        let dentist = rows.iter().find(|row| row.text("Comm_Subject") == "Dentist").expect("there");
        assert_eq!(dentist.text("Comm_Location"), "High Street", "{step}");
        assert_eq!(self.servers.mails().await, Mails::new(2, 2, 0), "{step}");
    }

    async fn remove(&self, id: &str, item: &str) {
        self.servers.crm().patch("Communication", id, &json!({"Comm_Status": "Cancelled"})).await;
        self.servers.outlook("mary.jones").delete(item, TO_NONE).await;
    }

    async fn check_removed(&self, step: &str) {
        self.recover().await;
        for name in ["susan.maye", "terry.smith", "mary.jones"] {
            assert!(self.servers.outlook(name).calendar().await.is_empty(), "{step}: {name}");
        }
        assert!(self.servers.crm().appointments().await.is_empty(), "{step}");
        assert_eq!(self.servers.mails().await.cancellations, 2, "{step}");
    }
}

/// The requests that change something, on either server.
const REQUESTS: [(&str, bool); 6] = [
    ("CreateItem", true),
    ("UpdateItem", true),
    ("DeleteItem", true),
    ("POST Communication", false),
    ("POST Comm_Link", false),
    ("PATCH Communication", false),
];

#[tokio::test]
async fn killed_between_any_write_and_its_answer() {
    let engine = guests::engine();
    for (operation, exchange) in REQUESTS {
        let stage = Stage::set(&engine).await;
        let url = if exchange { stage.servers.exchange.url() } else { stage.servers.crm.url() };
        let (faults, hold) = (format!("{url}_sim/faults"), json!({"operation": operation, "kind": "hold"}));
        // The people's own writes come first; the fault is for the host's.
        let (id, item) = stage.begin().await;
        if ["CreateItem", "POST Communication", "POST Comm_Link"].contains(&operation) {
            post(&faults, &hold).await;
            assert!(stage.live_until_held().await, "{operation}");
        }
        stage.check_created(operation).await;
        stage.change(&id, &item).await;
        if ["UpdateItem", "PATCH Communication"].contains(&operation) {
            post(&faults, &hold).await;
            assert!(stage.live_until_held().await, "{operation}");
        }
        stage.check_changed(operation).await;
        stage.remove(&id, &item).await;
        if operation == "DeleteItem" {
            post(&faults, &hold).await;
            assert!(stage.live_until_held().await, "{operation}");
        }
        stage.check_removed(operation).await;
    }
}

#[tokio::test]
async fn killed_before_any_commit_of_the_store() {
    let engine = guests::engine();
    // The story of a creation makes this many commits at most; beyond it the host comes to rest before it dies.
    for left in 0.. {
        let stage = Stage::set(&engine).await;
        stage.begin().await;
        let dying = Arc::new(Dying { inner: stage.store.clone(), left: AtomicUsize::new(left) });
        let done = stage.live(dying, &SyncOrder::default()).await;
        stage.check_created(&format!("commit {left}")).await;
        if done {
            assert!(left > 5, "the story must have commits to die at");
            return;
        }
    }
}

#[tokio::test]
async fn what_was_typed_between_a_create_and_its_record_is_told_to_the_guests() {
    let stage = Stage::set(&guests::engine()).await;
    let booking = Booking::at("Review", &day(10), 9, SUSAN).with_user(TERRY);
    let id = stage.servers.crm().book(&booking).await;
    let operation = stage.servers.reach.operation("CreateItem");
    let faults = format!("{}_sim/faults", stage.servers.exchange.url());
    post(&faults, &json!({"operation": operation, "kind": "hold"})).await;
    assert!(stage.live_until_held().await);
    assert_eq!(stage.servers.mails().await, Mails::new(1, 0, 0));
    stage.servers.crm().patch("Communication", &id, &json!({"Comm_Note": "Bring the figures"})).await;
    stage.recover().await;
    let meeting = stage.servers.outlook("susan.maye").by_subject("Review").await.expect("one meeting");
    assert_eq!(meeting.body.trim_end(), "Bring the figures");
    assert_eq!(stage.servers.mails().await, Mails::new(1, 1, 0));
}

/// A row is made anew, and the host dies before its people are written: the meeting is there all the same, and so are they.
async fn check_made_anew(reach: Reach) {
    let stage = Stage::between(Servers::reached(reach).await, &guests::engine()).await;
    let outlook = stage.servers.outlook("mary.jones");
    let (start, end) = (utc(&day(10), 0), utc(&day(11), 0));
    let id = outlook.book("Offsite", &start, &end, &["terry.smith@example.test"]).await;
    assert!(stage.live(stage.store.clone(), &SyncOrder::default()).await);
    let row = stage.servers.crm().appointments().await.remove(0);
    stage.servers.crm().delete("Communication", &row.id()).await;
    outlook.set_subject(&id, "Offsite, two days").await;
    post(
        &format!("{}_sim/faults", stage.servers.crm.url()),
        &json!({"operation": "POST Communication", "kind": "hold"}),
    )
    .await;
    assert!(stage.live_until_held().await, "{reach}");
    stage.recover().await;
    let meeting = outlook.by_subject("Offsite, two days").await;
    assert!(meeting.is_some(), "{reach}: the meeting is there");
    let rows = stage.servers.crm().appointments().await;
    assert_eq!(rows.len(), 1, "{reach}");
    assert_eq!(stage.servers.crm().links(&rows[0].id()).await.len(), 2, "{reach}");
}

#[tokio::test]
async fn killed_between_a_row_made_anew_and_its_people() {
    for reach in [Reach::Ews, Reach::Graph] {
        check_made_anew(reach).await;
    }
}
