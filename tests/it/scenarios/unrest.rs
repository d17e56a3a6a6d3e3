//! Feeds that repeat themselves, cursors that are lost, pairs that do not come to rest.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use daybridge::connector::{Batch, Capabilities, Connector, Cursor, Error, Listing};
use daybridge::control::{Desk, Which};
use daybridge::model::{
    Appointment, Change, Container, Item, ItemRef, Key, Mail, Patch, Response, Seen, Side, User, Version,
};
use daybridge_tests::crm::Booking;
use daybridge_tests::ews::TO_NONE;
use daybridge_tests::host::{Mails, Servers, TestHost, Wrap};
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{MARY, SUSAN, TERRY};
use serde_json::json;

/// A server whose feed tells every change twice, in a wrong order, and the page before once more; and that names items as
/// changed which are where they were.
struct Stammering {
    inner: Arc<dyn Connector>,
    before: tokio::sync::Mutex<Vec<Change>>,
}

#[async_trait]
impl Connector for Stammering {
    fn side(&self) -> Side {
        self.inner.side()
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn changed_since(&self, container: &Container, cursor: Option<&Cursor>) -> Result<Batch, Error> {
        let mut batch = self.inner.changed_since(container, cursor).await?;
        let mut before = self.before.lock().await;
        if !batch.changes.is_empty() {
            let news = batch.changes.clone();
            let repeated = before.iter().filter(|change| change.at.container == *container).cloned();
            batch.changes = news.iter().rev().chain(&news).cloned().chain(repeated).collect();
            before.extend(news);
        }
        Ok(batch)
    }

    async fn read(&self, at: &ItemRef) -> Result<Seen, Error> {
        self.inner.read(at).await
    }

    async fn find_stamped(&self, container: &Container, stamp: &Key) -> Result<Vec<Item>, Error> {
        self.inner.find_stamped(container, stamp).await
    }

    async fn find_uid(&self, container: &Container, uid: &str) -> Result<Vec<Item>, Error> {
        self.inner.find_uid(container, uid).await
    }

    async fn find_alike(&self, container: &Container, like: &Appointment) -> Result<Vec<Item>, Error> {
        self.inner.find_alike(container, like).await
    }

    async fn create(&self, container: &Container, draft: &Appointment, stamp: &Key, mail: Mail) -> Result<Item, Error> {
        self.inner.create(container, draft, stamp, mail).await
    }

    async fn update(
        &self,
        at: &ItemRef,
        version: &Version,
        patch: &Patch,
        after: &Appointment,
        mail: Mail,
    ) -> Result<Item, Error> {
        self.inner.update(at, version, patch, after, mail).await
    }

    async fn delete(&self, at: &ItemRef, version: &Version, mail: Mail) -> Result<(), Error> {
        self.inner.delete(at, version, mail).await
    }

    async fn respond(&self, at: &ItemRef, version: &Version, answer: Response, mail: Mail) -> Result<Seen, Error> {
        self.inner.respond(at, version, answer, mail).await
    }

    async fn list(&self, container: &Container, from: Option<&Cursor>) -> Result<Listing, Error> {
        self.inner.list(container, from).await
    }

    async fn doorbell(&self, containers: &[Container], limit: Duration) -> Result<Vec<Container>, Error> {
        self.inner.doorbell(containers, limit).await
    }

    async fn users(&self) -> Result<Vec<User>, Error> {
        self.inner.users().await
    }

    async fn probe(&self, container: &Container) -> Result<(), Error> {
        self.inner.probe(container).await
    }
}

fn stammering() -> Wrap {
    Arc::new(|inner| Arc::new(Stammering { inner, before: tokio::sync::Mutex::default() }))
}

#[tokio::test]
async fn s11_feed_that_repeats_itself_out_of_order_applies_the_newest_once() {
    let mut host = TestHost::through(Servers::start().await, "", stammering()).await;
    host.settle().await;
    let id = host.crm().book(&Booking::at("Plan", &day(40), 9, SUSAN).with_user(TERRY)).await;
    host.settle().await;
    let (outlook, writes) = (host.outlook("susan.maye"), host.servers.exchange_writes().await);
    let item = outlook.by_subject("Plan").await.expect("in Outlook").id;
    for location in ["Room 1", "Room 2", "Room 3"] {
        host.crm().patch("Communication", &id, &json!({"Comm_Location": location})).await;
    }
    host.settle().await;
    assert_eq!(outlook.meeting(&item).await.expect("there").location, "Room 3");
    assert_eq!(host.servers.exchange_writes().await, writes + 1, "the newest, once");
    // And the other way round.
    let writes = host.servers.crm_writes().await;
    for subject in ["Plan A", "Plan B", "Plan C"] {
        outlook.set_subject(&item, subject).await;
    }
    host.settle().await;
    assert_eq!(host.crm().appointments().await[0].text("Comm_Subject"), "Plan C");
    assert_eq!(host.servers.crm_writes().await, writes + 1, "the newest, once");
    host.oracle(1, Mails::new(1, 1, 0)).await;
}

#[tokio::test]
async fn s25_removal_that_a_feed_tells_and_a_read_does_not_confirm_deletes_nothing() {
    let mut host = TestHost::through(Servers::start().await, "", stammering()).await;
    host.settle().await;
    host.crm().book(&Booking::at("Kept", &day(40), 9, SUSAN)).await;
    let outlook = host.outlook("susan.maye");
    let own = outlook.book("Also kept", &utc(&day(500), 9), &utc(&day(500), 10), &[]).await;
    host.settle().await;
    // A feed's word on a removal is a change like any other: told of items that are still there, out of any window.
    outlook.set_location(&own, "Far").await;
    let item = outlook.by_subject("Kept").await.expect("in Outlook").id;
    outlook.set_location(&item, "Near").await;
    host.settle().await;
    assert_eq!(host.crm().appointments().await.len(), 2);
    assert_eq!(outlook.calendar().await.len(), 2);
    host.oracle(2, Mails::NONE).await;
}

#[tokio::test]
async fn s73_lost_cursor_is_a_full_pass_without_duplicates_or_mail() {
    let mut host = TestHost::settled().await;
    let kept = host.crm().book(&Booking::at("Meeting", &day(40), 9, SUSAN).with_user(TERRY)).await;
    let outlook = host.outlook("mary.jones");
    let gone = outlook.book("Dentist", &utc(&day(41), 9), &utc(&day(41), 10), &[]).await;
    let own = outlook.book("Lunch", &utc(&day(42), 9), &utc(&day(42), 10), &[]).await;
    host.settle().await;
    let writes = (host.servers.crm_writes().await, host.servers.exchange_writes().await);
    let lost =
        json!({"operation": "SyncFolderItems", "kind": "error", "code": "ErrorInvalidSyncStateData", "times": 4});
    host.exchange_fault(lost.clone()).await;
    host.settle().await;
    assert_eq!((host.servers.crm_writes().await, host.servers.exchange_writes().await), writes);
    // What was edited and what went meanwhile is found all the same.
    outlook.delete(&gone, TO_NONE).await;
    outlook.set_location(&own, "Bistro").await;
    host.exchange_fault(lost).await;
    host.settle().await;
    let mut rows: Vec<(String, String)> = host
        .crm()
        .appointments()
        .await
        .iter()
        .map(|row| (row.text("Comm_Subject"), row.text("Comm_Location")))
        .collect();
    rows.sort();
    assert_eq!(rows, [("Lunch".to_owned(), "Bistro".to_owned()), ("Meeting".to_owned(), String::new())]);
    assert!(host.crm().get("Communication", &kept).await.is_some());
    host.oracle(2, Mails::new(1, 0, 0)).await;
}

/// Somebody's tool puts a field back each time the sync carries over what was written on the other side.
async fn fight(host: &mut TestHost, id: &str, item: &str, rounds: usize) {
    let outlook = host.outlook("susan.maye");
    for round in 0..rounds {
        let (ours, theirs) = if round % 2 == 0 { ("Room 1", "Room 2") } else { ("Room 2", "Room 1") };
        outlook.set_location(item, theirs).await;
        host.settle().await;
        host.crm().patch("Communication", id, &json!({"Comm_Location": ours})).await;
        host.settle().await;
    }
}

#[tokio::test]
async fn s15_pair_that_keeps_changing_back_and_forth_parks_with_one_notice() {
    let mut host = TestHost::settled_with("[sync]\nreturns_max = 4\n").await;
    let id = host.crm().book(&Booking::at("Fought over", &day(40), 9, SUSAN)).await;
    let calm = host.crm().book(&Booking::at("Calm", &day(41), 9, MARY)).await;
    host.settle().await;
    let item = host.outlook("susan.maye").by_subject("Fought over").await.expect("in Outlook").id;
    fight(&mut host, &id, &item, 8).await;
    let key = format!("crm:{id}");
    assert_eq!(host.parked().await.get(&key).map(String::as_str), Some("keeps-changing"));
    assert_eq!(host.notices().await, ["keeps-changing"], "one notice");
    let (crm, exchange) = (host.servers.crm_writes().await, host.servers.exchange_writes().await);
    // It stays so, through new changes, through a restart, and an hour later; the others go on.
    host.clock.advance(chrono::TimeDelta::hours(2));
    host.restart().await;
    fight(&mut host, &id, &item, 3).await;
    assert_eq!(host.notices().await, Vec::<String>::new(), "people were told already");
    assert_eq!(host.servers.exchange_writes().await, exchange + 3, "the tool's own");
    assert_eq!(host.servers.crm_writes().await, crm + 3, "the person's own");
    host.crm().patch("Communication", &calm, &json!({"Comm_Location": "Garden"})).await;
    host.settle().await;
    assert_eq!(host.outlook("mary.jones").by_subject("Calm").await.expect("there").location, "Garden");
    let trace = host.trace(&key).await;
    assert!(trace.contains("set aside: location was changed back and forth 4 times within an hour"), "{trace}");
    // The tool is stopped, and a person lets the pair go on.
    host.app.queue_retry(&Which::Code("keeps-changing".into())).await.expect("the queue");
    host.settle().await;
    host.crm().patch("Communication", &id, &json!({"Comm_Location": "Room 3"})).await;
    host.settle().await;
    assert_eq!(host.outlook("susan.maye").meeting(&item).await.expect("there").location, "Room 3");
    host.oracle(2, Mails::NONE).await;
}
