//! The connector against the Exchange simulator's Graph face.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use chrono_tz::Tz;
use daybridge::clock::SystemClock;
use daybridge::connector::graph::GraphConnector;
use daybridge::connector::graph::config::GraphConfig;
use daybridge::connector::http::Secret;
use daybridge::connector::property::{NamedProperty, PropertyKind};
use daybridge::connector::{Connector as _, Cursor, Problem};
use daybridge::lifecycle::Tasks;
use daybridge::model::{
    Address, Appointment, Body, Container, Field, Importance, Item, ItemRef, Key, Mail, Patch, Response, Role, Scalar,
    Seen, Sensitivity, ShowAs, Time, Value, Version, Zone,
};
use daybridge::sim::exchange::{Options, Running, serve};
use daybridge_tests::ews::{Outlook, TO_ALL, TO_NONE};
use daybridge_tests::host::{delete, post};
use daybridge_tests::listing::list;
use serde_json::json;

use super::susan;

struct Sim {
    running: Running,
    connector: GraphConnector,
    tasks: Tasks,
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

impl Sim {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut GraphConfig)) -> Self {
        let tasks = Tasks::new();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let running = serve(listen, Options::default(), Arc::new(SystemClock), &tasks).await.unwrap();
        let mut config = GraphConfig::new(running.tenant(), running.client_id(), Secret::new(running.client_secret()));
        config.url = running.graph_url();
        config.authority = running.url();
        change(&mut config);
        Self { connector: GraphConnector::new(config, Arc::new(SystemClock)).unwrap(), running, tasks }
    }

    fn outlook(&self, name: &str) -> Outlook {
        let user = self.running.users().into_iter().find(|user| user.login.contains(name)).unwrap();
        Outlook::new(&self.running.ews_url(), &user.address, &user.login, &user.password)
    }

    async fn settings(&self, change: serde_json::Value) {
        post(&format!("{}_sim/graph", self.running.url()), &change).await;
    }

    async fn read(&self, at: &ItemRef) -> Seen {
        self.connector.read(at).await.unwrap()
    }

    async fn create(&self, draft: &Appointment, key: u32) -> Item {
        let key = Key::Crm(key.to_string());
        self.connector.create(&container(), draft, &key, Mail::Silent).await.unwrap()
    }

    async fn update(&self, item: &Item, set: &[(Field, Value)], mail: Mail) -> Item {
        let patch = Patch { set: set.iter().cloned().collect() };
        let mut after = item.appointment.clone();
        patch.apply(&mut after).unwrap();
        self.connector.update(&item.at, &item.version, &patch, &after, mail).await.unwrap()
    }

    /// Every change of the feed up to its end.
    async fn changes(&self, mut cursor: Option<Cursor>) -> (Vec<String>, Cursor) {
        let mut ids = Vec::new();
        loop {
            let batch = self.connector.changed_since(&container(), cursor.as_ref()).await.unwrap();
            ids.extend(batch.changes.into_iter().map(|change| change.at.id));
            if !batch.more {
                return (ids, batch.next);
            }
            cursor = Some(batch.next);
        }
    }
}

fn container() -> Container {
    Container::Mailbox(susan())
}

fn draft(subject: &str) -> Appointment {
    let at = |text: &str| text.parse().unwrap();
    Appointment::new(
        subject,
        Time::timed(at("2027-02-08T08:00:00Z"), at("2027-02-08T09:00:00Z"), Zone::named("Europe/Berlin")),
    )
}

#[tokio::test]
async fn an_item_is_created_read_updated_and_deleted() {
    let sim = Sim::start().await;
    let mut wanted = draft("Site visit");
    wanted.body = Body::plain("Bring samples\nand a helmet");
    wanted.location = "Plant 2".into();
    wanted.reminder_minutes = Some(30);
    wanted.categories = vec!["Blue".into(), "Red".into()];
    (wanted.show_as, wanted.importance, wanted.sensitivity) =
        (ShowAs::OutOfOffice, Importance::High, Sensitivity::Private);
    let made = sim.create(&wanted, 1).await;
    assert_eq!((made.stamp.clone(), made.role), (Some(Key::Crm("1".into())), Role::Organizer));
    let organizer = made.appointment.organizer.clone().unwrap();
    assert_eq!(organizer.address, susan());
    wanted.organizer = Some(organizer);
    assert_eq!(made.appointment, wanted);
    let Seen::Present(read) = sim.read(&made.at).await else { panic!() };
    assert_eq!((&read.appointment, &read.version, &read.stamp), (&wanted, &made.version, &made.stamp));

    let text = |text: &str| Value::Text(text.into());
    let set = [(Field::Location, text("Plant 3")), (Field::Categories, Value::Empty), (Field::Reminder, Value::Empty)];
    let updated = sim.update(&made, &set, Mail::Silent).await;
    assert_eq!((updated.appointment.location.as_str(), updated.appointment.reminder_minutes), ("Plant 3", None));
    assert_ne!(updated.version, made.version);
    let patch = Patch { set: [(Field::Location, text("Plant 4"))].into() };
    let stale = sim.connector.update(&made.at, &made.version, &patch, &wanted, Mail::Silent).await.unwrap_err();
    assert_eq!((stale.problem.clone(), stale.class().name()), (Problem::Stale, "conflict"));
    let stale = sim.connector.delete(&made.at, &made.version, Mail::Silent).await.unwrap_err();
    assert_eq!(stale.problem, Problem::Stale);
    sim.connector.delete(&made.at, &updated.version, Mail::Silent).await.unwrap();
    assert_eq!(sim.read(&made.at).await, Seen::Deleted);
    sim.connector.delete(&made.at, &updated.version, Mail::Silent).await.unwrap();
}

#[tokio::test]
async fn what_was_deleted_can_be_made_again_and_a_repeat_makes_one() {
    let sim = Sim::start().await;
    let first = sim.create(&draft("once"), 1).await;
    for answer in ["bad-request", "conflict", "existing"] {
        sim.settings(json!({"duplicate": answer})).await;
        assert_eq!(sim.create(&draft("once"), 1).await.at, first.at, "{answer}");
    }
    let found = sim.connector.find_stamped(&container(), &Key::Crm("1".into())).await.unwrap();
    assert_eq!(found.len(), 1);
    sim.connector.delete(&first.at, &first.version, Mail::Silent).await.unwrap();
    let again = sim.create(&draft("again"), 1).await;
    assert_ne!(again.at, first.at);
}

#[tokio::test]
async fn items_are_found_by_stamp_uid_and_time() {
    let sim = Sim::start().await;
    let made = sim.create(&draft("found"), 47).await;
    sim.create(&draft("other"), 48).await;
    let found = |items: Vec<Item>| items.into_iter().map(|item| item.at.id).collect::<Vec<_>>();
    let stamp = Key::Crm("47".into());
    let own = vec![made.at.id.clone()];
    assert_eq!(found(sim.connector.find_stamped(&container(), &stamp).await.unwrap()), own);
    let uid = made.uid.clone().unwrap();
    assert_eq!(found(sim.connector.find_uid(&container(), &uid).await.unwrap()), own);
    let alike = sim.connector.find_alike(&container(), &made.appointment).await.unwrap();
    assert_eq!(alike.len(), 2);
    let listed = list(&sim.connector, &container()).await.unwrap();
    let own = listed.iter().find(|row| row.at == made.at).unwrap();
    assert_eq!((&own.version, &own.uid, &own.stamp), (&made.version, &made.uid, &made.stamp));
    // What EWS shows as the stamp is the same property.
    let config = {
        let service =
            sim.running.users().into_iter().find(|user| user.role == daybridge::sim::exchange::Role::Service).unwrap();
        daybridge::connector::ews::config::EwsConfig::new(
            sim.running.ews_url(),
            service.login,
            Secret::new(service.password),
        )
    };
    let ews = daybridge::connector::ews::EwsConnector::new(config).unwrap();
    let by_ews = ews.find_stamped(&container(), &stamp).await.unwrap();
    assert_eq!((by_ews.len(), by_ews[0].uid.clone(), by_ews[0].stamp.clone()), (1, made.uid, made.stamp));
}

#[tokio::test]
async fn s49_all_day_appointments_keep_their_dates_in_every_zone() {
    for zone in ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kolkata"]
    {
        let zone: Tz = zone.parse().unwrap();
        let sim = Sim::with(|config| config.all_day_zone = Some(zone)).await;
        for (key, (first, last)) in [("2027-03-28", "2027-03-28"), ("2027-02-08", "2027-02-10")].into_iter().enumerate()
        {
            let mut wanted = draft("holiday");
            wanted.time = Time::AllDay { first: first.parse().unwrap(), last: last.parse().unwrap() };
            let made = sim.create(&wanted, u32::try_from(key).unwrap()).await;
            assert_eq!(made.appointment.time, wanted.time, "{zone}");
            let Seen::Present(read) = sim.read(&made.at).await else { panic!() };
            assert_eq!(read.appointment.time, wanted.time, "{zone}");
        }
    }
}

#[tokio::test]
async fn s11_a_feed_tells_of_everything_once_whatever_the_server_does_to_its_pages() {
    let sim = Sim::with(|config| config.page = 3).await;
    let outlook = sim.outlook("susan");
    let mut booked = BTreeSet::new();
    for number in 0..7 {
        booked.insert(sim.create(&draft(&format!("item {number}")), number).await.at.id);
    }
    sim.settings(json!({"delta_repeats": true, "delta_shuffle": 7})).await;
    let (ids, cursor) = sim.changes(None).await;
    assert_eq!(ids.iter().cloned().collect::<BTreeSet<_>>(), booked);
    let (ids, cursor) = sim.changes(Some(cursor)).await;
    assert_eq!(ids.len(), 0, "{ids:?}");
    let meeting = outlook.calendar().await.into_iter().find(|meeting| meeting.subject == "item 3").unwrap();
    outlook.set_location(&meeting.id, "Room 3").await;
    let gone = outlook.calendar().await.into_iter().find(|meeting| meeting.subject == "item 4").unwrap();
    outlook.delete(&gone.id, TO_NONE).await;
    let (ids, cursor) = sim.changes(Some(cursor)).await;
    assert_eq!(ids.len(), 2);
    let mut seen = Vec::new();
    for id in ids {
        seen.push(match sim.read(&ItemRef::exchange(susan(), id)).await {
            Seen::Present(item) => item.appointment.location.clone(),
            Seen::Deleted => "deleted".into(),
            Seen::Absent => "absent".into(),
        });
    }
    seen.sort();
    assert_eq!(seen, ["Room 3", "deleted"]);
    // A server that forgot the token.
    delete(&format!("{}_sim/graph/delta", sim.running.url())).await;
    let lost = sim.connector.changed_since(&container(), Some(&cursor)).await.unwrap_err();
    assert_eq!(lost.problem, Problem::CursorLost);
}

#[tokio::test]
async fn s25_an_item_that_leaves_the_window_is_not_gone_and_one_in_deleted_items_is() {
    let sim = Sim::start().await;
    sim.settings(json!({"deleted_found": true})).await;
    let made = sim.create(&draft("moves"), 1).await;
    let other = sim.create(&draft("goes"), 2).await;
    let (_, cursor) = sim.changes(None).await;
    let outlook = sim.outlook("susan");
    let id = |subject: &'static str| {
        let outlook = &outlook;
        async move { outlook.by_subject(subject).await.unwrap().id }
    };
    outlook.reschedule(&id("moves").await, "2035-02-08T08:00:00Z", "2035-02-08T09:00:00Z", TO_NONE).await;
    outlook.delete(&id("goes").await, TO_NONE).await;
    let (ids, _) = sim.changes(Some(cursor)).await;
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([made.at.id.clone(), other.at.id.clone()]));
    assert!(matches!(sim.read(&made.at).await, Seen::Present(_)), "the feed called it removed");
    assert_eq!(sim.read(&other.at).await, Seen::Deleted, "it can still be read, from Deleted Items");
}

#[tokio::test]
async fn custom_fields_travel_as_named_properties() {
    let own = |name: &str, kind| NamedProperty { set: "PublicStrings".into(), name: Some(name.into()), id: None, kind };
    let sim = Sim::with(|config| {
        config.fields = BTreeMap::from([
            ("project".to_owned(), own("Project", PropertyKind::String)),
            ("billable".to_owned(), own("Billable", PropertyKind::Boolean)),
        ]);
    })
    .await;
    let mut wanted = draft("custom");
    wanted.custom =
        BTreeMap::from([("project".into(), Scalar::Text("Apollo".into())), ("billable".into(), Scalar::Flag(true))]);
    let made = sim.create(&wanted, 1).await;
    assert_eq!(made.appointment.custom, wanted.custom);
    let set = [(Field::Custom("project".into()), Value::Scalar(Scalar::Text("Gemini".into())))];
    let updated = sim.update(&made, &set, Mail::Silent).await;
    assert_eq!(updated.appointment.custom["project"], Scalar::Text("Gemini".into()));
    assert_eq!(updated.appointment.custom["billable"], Scalar::Flag(true));
}

#[tokio::test]
async fn an_invitation_is_answered_from_ones_own_copy() {
    let sim = Sim::start().await;
    let outlook = sim.outlook("terry");
    outlook.book("Review", "2027-02-08T09:00:00Z", "2027-02-08T10:00:00Z", &[susan().as_str()]).await;
    let (ids, _) = sim.changes(None).await;
    let at = ItemRef::exchange(susan(), ids[0].clone());
    let Seen::Present(copy) = sim.read(&at).await else { panic!() };
    assert_eq!(copy.role, Role::Attendee);
    let stale = sim.connector.respond(&at, &Version("old".into()), Response::Accepted, Mail::All).await.unwrap_err();
    assert_eq!(stale.problem, Problem::Stale);
    let answered = sim.connector.respond(&at, &copy.version, Response::Accepted, Mail::All).await.unwrap();
    let Seen::Present(copy) = answered else { panic!() };
    assert_eq!(copy.appointment.attendees[0].response, Response::Accepted);
    let meeting = outlook.by_subject("Review").await.unwrap();
    assert_eq!(meeting.attendees, [(susan().folded(), "Accept".to_owned())]);
    let own = sim.create(&draft("mine"), 1).await;
    let refused = sim.connector.respond(&own.at, &own.version, Response::Declined, Mail::All).await.unwrap_err();
    assert_eq!(refused.problem, Problem::Refused);
    let declined = sim.connector.respond(&at, &copy.version, Response::Declined, Mail::All).await.unwrap();
    assert_eq!(declined, Seen::Deleted);
}

#[tokio::test]
async fn series_are_recognised_by_their_master() {
    let sim = Sim::start().await;
    let weekly = "<t:Subject>Weekly</t:Subject><t:Start>2027-02-08T09:00:00Z</t:Start><t:End>2027-02-08T10:00:00Z</t:End>\
        <t:Recurrence><t:WeeklyRecurrence><t:Interval>1</t:Interval><t:DaysOfWeek>Monday</t:DaysOfWeek></t:WeeklyRecurrence>\
        <t:NumberedRecurrence><t:StartDate>2027-02-08</t:StartDate><t:NumberOfOccurrences>5</t:NumberOfOccurrences></t:NumberedRecurrence></t:Recurrence>";
    sim.outlook("susan").create(TO_ALL, weekly).await;
    let (ids, _) = sim.changes(None).await;
    assert_eq!(ids.len(), 1, "five instances are one series");
    let Seen::Present(master) = sim.read(&ItemRef::exchange(susan(), ids[0].clone())).await else { panic!() };
    assert!(master.appointment.recurrence.unwrap().rule.starts_with("FREQ=WEEKLY;BYDAY=MO"));
}

#[tokio::test]
async fn people_and_rights_are_told() {
    let sim = Sim::start().await;
    sim.connector.probe(&container()).await.unwrap();
    let users = sim.connector.users().await.unwrap();
    let own = users.iter().find(|user| user.address == susan()).unwrap();
    assert!(own.active && own.last_name == "Maye", "{own:?}");
    for wanted in ["Susan Maye", "SUSAN.MAYE@example.test"] {
        let found = sim.connector.find_people(&container(), wanted).await.unwrap();
        assert_eq!(found.iter().map(|entry| entry.address.clone()).collect::<Vec<_>>(), [susan()], "{wanted}");
    }
    assert!(sim.connector.find_people(&container(), "Susan").await.unwrap().is_empty(), "a part of a name is no name");
    let nobody = Container::Mailbox(Address::new("nobody@example.test"));
    assert_eq!(sim.connector.probe(&nobody).await.unwrap_err().problem, Problem::NoMailbox);
    sim.settings(json!({"denied": [susan().as_str()]})).await;
    let denied = sim.connector.probe(&container()).await.unwrap_err();
    assert_eq!(denied.problem, Problem::Forbidden);
    assert!(denied.hint().contains("Calendars.ReadWrite"), "{}", denied.hint());
}

#[tokio::test]
async fn a_certificate_signs_in() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("it/auth");
    let sim = Sim::with(|config| {
        config.client_secret = None;
        config.certificate_file = Some(folder.join("certificate.pem"));
        config.key_file = Some(folder.join("key.pem"));
    })
    .await;
    let refused = sim.connector.probe(&container()).await.unwrap_err();
    assert_eq!(refused.problem, Problem::SignIn, "a certificate that nobody registered");
    let text = std::fs::read_to_string(folder.join("certificate.pem")).unwrap();
    let text: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap();
    sim.running.trust_certificate(der);
    sim.connector.probe(&container()).await.unwrap();
}
