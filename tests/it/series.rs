//! Series through both Exchange connectors: patterns written and read back, occurrences by their original day.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::Weekday::{Fri, Mon, Sun};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use daybridge::clock::SystemClock;
use daybridge::connector::ews::EwsConnector;
use daybridge::connector::ews::config::EwsConfig;
use daybridge::connector::graph::GraphConnector;
use daybridge::connector::graph::config::GraphConfig;
use daybridge::connector::http::Secret;
use daybridge::connector::{Connector, Problem};
use daybridge::lifecycle::Tasks;
use daybridge::model::recurrence::{Days, Index, Pattern, Range, Rule, Window};
use daybridge::model::{
    Address, Appointment, Attendee, AttendeeKind, Container, Field, Item, Key, Mail, Patch, Person, Recurrence,
    Response, Seen, Time, Value, Zone,
};
use daybridge::sim::exchange::{Options, Role, Running, serve};
use daybridge_tests::listing::list;

/// The simulator, and both ways to it.
struct Sim {
    running: Running,
    tasks: Tasks,
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

impl Sim {
    async fn start() -> Self {
        let tasks = Tasks::new();
        let listen = ([127, 0, 0, 1], 0).into();
        let running = serve(listen, Options::default(), Arc::new(SystemClock), &tasks).await.expect("a free port");
        Self { running, tasks }
    }

    fn ews(&self) -> Arc<dyn Connector> {
        let service = self.running.users().into_iter().find(|user| user.role == Role::Service).expect("an account");
        let config = EwsConfig::new(self.running.ews_url(), service.login, Secret::new(service.password));
        Arc::new(EwsConnector::new(config).expect("a connector"))
    }

    /// Few rows on a page, so that every list has several.
    fn graph(&self) -> Arc<dyn Connector> {
        let secret = Secret::new(self.running.client_secret());
        let mut config = GraphConfig::new(self.running.tenant(), self.running.client_id(), secret);
        (config.url, config.authority, config.page) = (self.running.graph_url(), self.running.url(), 2);
        Arc::new(GraphConnector::new(config, Arc::new(SystemClock)).expect("a connector"))
    }

    /// Both connectors, told apart by their names.
    fn both(&self) -> [(&'static str, Arc<dyn Connector>); 2] {
        [("EWS", self.ews()), ("Graph", self.graph())]
    }
}

fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

fn window(from: &str, until: &str, limit: usize) -> Window {
    Window { from: at(from), until: at(until), limit }
}

fn susan() -> Container {
    Container::Mailbox(Address::new("susan.maye@example.test"))
}

fn berlin(start: &str, end: &str) -> Time {
    Time::timed(at(start), at(end), Zone::named("Europe/Berlin"))
}

fn series(subject: &str, time: Time, rule: &str) -> Appointment {
    let mut series = Appointment::new(subject, time);
    series.recurrence = Some(Recurrence { rule: rule.into() });
    series
}

async fn create(connector: &dyn Connector, draft: &Appointment, number: u32) -> Item {
    let key = Key::Crm(number.to_string());
    connector.create(&susan(), draft, &key, Mail::Silent).await.expect("created")
}

async fn update(connector: &dyn Connector, item: &Item, field: Field, value: Value) -> Item {
    let patch = Patch { set: [(field, value)].into() };
    let mut after = item.appointment.clone();
    patch.apply(&mut after).expect("a value of that field");
    connector.update(&item.at, &item.version, &patch, &after, Mail::Silent).await.expect("written")
}

#[tokio::test]
async fn every_pattern_is_written_and_read_back() {
    let sim = Sim::start().await;
    let some = Days::of([Mon, Fri]).expect("days");
    let mut number = 0;
    for (pattern, by_ews) in [
        (Pattern::Daily { interval: 3 }, None),
        (Pattern::Weekly { interval: 2, days: some, week_start: Sun }, None),
        (Pattern::AbsoluteMonthly { interval: 1, day: 31 }, None),
        (Pattern::RelativeMonthly { interval: 2, days: Days::WEEKDAYS, index: Index::Fourth }, None),
        (Pattern::AbsoluteYearly { interval: 1, month: 2, day: 29 }, None),
        (Pattern::RelativeYearly { interval: 1, month: 3, days: Days::one(Sun), index: Index::Last }, None),
        // EWS has no "every four years": it is every 48 months.
        (
            Pattern::AbsoluteYearly { interval: 4, month: 2, day: 8 },
            Some(Pattern::AbsoluteMonthly { interval: 48, day: 8 }),
        ),
    ] {
        for range in [Range::NoEnd, Range::Count(5), Range::Until(date("2037-12-31"))] {
            for (way, connector) in sim.both() {
                number += 1;
                let first = pattern.first_from(date("2027-02-08")).expect("a day");
                let start = first.and_hms_opt(9, 0, 0).expect("a time").and_utc();
                let time = Time::timed(start, start + TimeDelta::hours(1), Zone::UTC);
                let wanted = series("series", time, &Rule { pattern, range }.to_string());
                let made = create(connector.as_ref(), &wanted, number).await;
                let shown = by_ews.filter(|_| way == "EWS").unwrap_or(pattern);
                assert_eq!(
                    made.appointment.recurrence,
                    Some(Recurrence::from(Rule { pattern: shown, range })),
                    "{way}"
                );
                assert_eq!(made.appointment.time, wanted.time, "{way}");
            }
        }
    }
}

#[tokio::test]
async fn what_no_pattern_says_is_refused() {
    let sim = Sim::start().await;
    let time = || berlin("2027-02-08T08:00:00Z", "2027-02-08T09:00:00Z");
    for (way, connector) in sim.both() {
        for rule in ["FREQ=MONTHLY;BYMONTHDAY=1,15", "X-EWS=HourlyRecurrence", "X-GRAPH=hourly", "FREQ=SECONDLY"] {
            let key = Key::Crm("1".into());
            let made = connector.create(&susan(), &series("series", time(), rule), &key, Mail::Silent).await;
            assert_eq!(made.expect_err(rule).problem, Problem::Unsupported, "{way}: {rule}");
        }
        let unknown = Time::timed(at("2027-02-08T08:00:00Z"), at("2027-02-08T09:00:00Z"), Zone::Unknown("Mars".into()));
        let draft = series("series", unknown, "FREQ=DAILY;COUNT=3");
        let made = connector.create(&susan(), &draft, &Key::Crm("2".into()), Mail::Silent).await;
        assert_eq!(made.expect_err("a zone no table knows").problem, Problem::Unsupported, "{way}");
        assert!(
            list(connector.as_ref(), &susan()).await.expect("a list").is_empty(),
            "{way}: nothing was made of them"
        );
    }
    // Days that no set is named after can be written by Graph alone.
    let days = series("two days", time(), "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=2");
    let refused = sim.ews().create(&susan(), &days, &Key::Crm("3".into()), Mail::Silent).await;
    assert_eq!(refused.expect_err("EWS").problem, Problem::Unsupported);
    assert_eq!(create(sim.graph().as_ref(), &days, 3).await.appointment.recurrence, days.recurrence);
}

#[tokio::test]
async fn occurrences_are_named_by_their_original_day() {
    let sim = Sim::start().await;
    for (number, (way, connector)) in (1..).zip(sim.both()) {
        let connector = connector.as_ref();
        // Shortly after midnight in Berlin: the day in UTC is another one.
        let draft = series("daily", berlin("2027-01-31T23:30:00Z", "2027-02-01T00:30:00Z"), "FREQ=DAILY;COUNT=6");
        let master = create(connector, &draft, number).await;
        assert!(master.series.is_none() && master.uid.is_some(), "{way}");
        let all = window("2027-01-01T00:00:00Z", "2027-03-01T00:00:00Z", 100);
        let shown = connector.occurrences(&master.at, all).await.expect("occurrences");
        let days: Vec<NaiveDate> = shown.iter().map(|one| one.date).collect();
        assert_eq!(days, (1..=6).map(|day| date(&format!("2027-02-{day:02}"))).collect::<Vec<_>>(), "{way}");
        for one in &shown {
            assert_eq!(
                (one.item.uid.as_deref(), one.item.stamp.as_ref()),
                (None, None),
                "{way}: these are the series'"
            );
            assert_eq!(one.item.series, master.uid, "{way}");
            assert_eq!(one.item.appointment.recurrence, None, "{way}");
        }
        assert_eq!(connector.told_apart(&master.at).await.expect("a list"), Vec::<u32>::new(), "{way}");
        // The second is moved by a day's hours, the third is deleted.
        let later = Value::Time(berlin("2027-02-02T20:00:00Z", "2027-02-02T21:00:00Z"));
        let moved = update(connector, &shown[1].item, Field::Time, later).await;
        assert_eq!(moved.series, master.uid, "{way}");
        let Seen::Present(third) = connector.occurrence(&master.at, date("2027-02-03")).await.expect("read") else {
            panic!("{way}: the third is there")
        };
        connector.delete(&third.at, &third.version, Mail::Silent).await.expect("deleted");

        let shown = connector.occurrences(&master.at, all).await.expect("occurrences");
        assert_eq!(shown.len(), 5, "{way}");
        assert_eq!((shown[1].date, &shown[1].item.appointment.time), (date("2027-02-02"), &moved.appointment.time));
        let read = async |day: &str| connector.occurrence(&master.at, date(day)).await.expect("read");
        assert!(
            matches!(read("2027-02-02").await, Seen::Present(item) if item.appointment.time == moved.appointment.time)
        );
        assert_eq!(read("2027-02-03").await, Seen::Deleted, "{way}");
        assert_eq!(read("2027-02-09").await, Seen::Deleted, "{way}: beyond the end");
        assert_eq!(connector.read(&third.at).await.expect("read"), Seen::Deleted, "{way}: by its id, too");
        // The earliest of the window, and a window that shows nothing.
        let some = connector.occurrences(&master.at, Window { limit: 2, ..all }).await.expect("occurrences");
        assert_eq!(
            some.iter().map(|one| one.date).collect::<Vec<_>>(),
            [date("2027-02-01"), date("2027-02-02")],
            "{way}"
        );
        let later = window("2027-02-07T00:00:00Z", "2040-02-07T00:00:00Z", 100);
        assert!(connector.occurrences(&master.at, later).await.expect("occurrences").is_empty(), "{way}");
        // Of a change of all the exception is told by itself where the server mails unasked.
        let told = connector.told_apart(&master.at).await.expect("a list");
        assert_eq!(told, if way == "Graph" { vec![0] } else { Vec::new() }, "{way}: nobody is invited to it");

        let version = connector.read(&master.at).await.expect("read").present().expect("there").version.clone();
        connector.delete(&master.at, &version, Mail::Silent).await.expect("deleted");
        assert_eq!(read("2027-02-01").await, Seen::Deleted, "{way}: the series is gone");
        assert_eq!(connector.read(&moved.at).await.expect("read"), Seen::Deleted, "{way}: and its exception");
        let error = connector.occurrences(&master.at, all).await.expect_err("gone");
        assert_eq!(error.problem, Problem::NotFound, "{way}");
    }
}

#[tokio::test]
async fn an_occurrence_that_was_moved_out_of_the_window_belongs_to_its_day() {
    let sim = Sim::start().await;
    for (number, (way, connector)) in (1..).zip(sim.both()) {
        let connector = connector.as_ref();
        let draft = series(
            "weekly",
            berlin("2027-02-01T08:00:00Z", "2027-02-01T09:00:00Z"),
            "FREQ=WEEKLY;BYDAY=MO;WKST=MO;COUNT=8",
        );
        let master = create(connector, &draft, number).await;
        let february = window("2027-02-01T00:00:00Z", "2027-02-24T00:00:00Z", 100);
        let shown = connector.occurrences(&master.at, february).await.expect("occurrences");
        assert_eq!(shown.len(), 4, "{way}");
        let later = Value::Time(berlin("2027-02-26T08:00:00Z", "2027-02-26T09:00:00Z"));
        let last = &shown[3];
        let version = connector.read(&last.item.at).await.expect("read").present().expect("there").version.clone();
        let moved = update(connector, &Item { version, ..last.item.clone() }, Field::Time, later).await;
        // A connector that has not seen any of it yet.
        let fresh = if way == "EWS" { sim.ews() } else { sim.graph() };
        let shown = fresh.occurrences(&master.at, february).await.expect("occurrences");
        assert_eq!(
            shown.iter().map(|one| one.date).collect::<Vec<_>>(),
            ["2027-02-01", "2027-02-08", "2027-02-15", "2027-02-22"].map(date),
            "{way}"
        );
        assert_eq!(shown[3].item.appointment.time, moved.appointment.time, "{way}");
        // Where it is now it is shown as well, under its own day.
        let after = window("2027-02-24T00:00:00Z", "2027-03-07T00:00:00Z", 100);
        let shown = fresh.occurrences(&master.at, after).await.expect("occurrences");
        assert_eq!(
            shown.iter().map(|one| one.date).collect::<Vec<_>>(),
            ["2027-02-22", "2027-03-01"].map(date),
            "{way}"
        );
        let fresh = if way == "EWS" { sim.ews() } else { sim.graph() };
        let Seen::Present(read) = fresh.read(&moved.at).await.expect("read") else { panic!("{way}: there") };
        assert_eq!((read.series, read.uid), (master.uid.clone(), None), "{way}");
    }
}

#[tokio::test]
async fn all_day_series_keep_their_days() {
    let sim = Sim::start().await;
    for (number, (way, connector)) in (1..).zip(sim.both()) {
        let day = date("2027-03-26");
        let draft = series("Fair", Time::AllDay { first: day, last: day }, "FREQ=DAILY;COUNT=4");
        let master = create(connector.as_ref(), &draft, number).await;
        assert_eq!(master.appointment.time, draft.time, "{way}");
        // Over the change of clocks in Europe.
        let all = window("2027-03-01T00:00:00Z", "2027-05-01T00:00:00Z", 100);
        let shown = connector.occurrences(&master.at, all).await.expect("occurrences");
        let days: Vec<(NaiveDate, Time)> = shown.into_iter().map(|one| (one.date, one.item.appointment.time)).collect();
        let expected: Vec<(NaiveDate, Time)> =
            day.iter_days().take(4).map(|day| (day, Time::AllDay { first: day, last: day })).collect();
        assert_eq!(days, expected, "{way}");
    }
}

#[tokio::test]
async fn a_series_is_one_item_of_the_feed_and_of_the_list() {
    let sim = Sim::start().await;
    let outside = sim.graph();
    let draft =
        series("weekly", berlin("2027-02-01T08:00:00Z", "2027-02-01T09:00:00Z"), "FREQ=WEEKLY;BYDAY=MO;WKST=MO");
    let master = create(outside.as_ref(), &draft, 7).await;
    for (way, connector) in sim.both() {
        let mut found = BTreeSet::new();
        let mut cursor = None;
        loop {
            let batch = connector.changed_since(&susan(), cursor.as_ref()).await.expect("changes");
            found.extend(batch.changes.into_iter().map(|change| (change.uid, change.stamp)));
            cursor = Some(batch.next);
            if !batch.more {
                break;
            }
        }
        let expected = (master.uid.clone(), Some(Key::Crm("7".into())));
        assert_eq!(found, BTreeSet::from([expected.clone()]), "{way}");
        let listed = list(connector.as_ref(), &susan()).await.expect("a list");
        assert_eq!(listed.into_iter().map(|one| (one.uid, one.stamp)).collect::<Vec<_>>(), [expected], "{way}");
        let uid = master.uid.clone().expect("a UID");
        assert_eq!(connector.find_uid(&susan(), &uid).await.expect("found").len(), 1, "{way}");
        let first = Appointment::new("weekly", draft.time.clone());
        let alike = connector.find_alike(&susan(), &first).await.expect("found");
        assert!(alike.iter().all(|item| item.series.is_none()), "{way}: an occurrence is no appointment of its own");
    }
}

#[tokio::test]
async fn a_new_series_invites_once_and_graph_makes_none_silently() {
    let sim = Sim::start().await;
    let mut draft = series("Review", berlin("2027-02-01T08:00:00Z", "2027-02-01T09:00:00Z"), "FREQ=DAILY;COUNT=3");
    let person = Person { name: String::new(), address: Address::new("terry.smith@example.test") };
    draft.attendees =
        vec![Attendee { person, user: None, kind: AttendeeKind::Required, response: Response::None, responded: None }];
    let graph = sim.graph();
    let refused = graph.create(&susan(), &draft, &Key::Crm("1".into()), Mail::Silent).await.expect_err("unasked mail");
    assert_eq!(refused.problem, Problem::Unsupported);
    let made = graph.create(&susan(), &draft, &Key::Crm("1".into()), Mail::All).await.expect("created");
    let again = graph.create(&susan(), &draft, &Key::Crm("1".into()), Mail::All).await.expect("created before");
    assert_eq!(again.at, made.at, "a repeat makes no second series");
    let mails = daybridge_tests::host::get(&format!("{}_sim/mails", sim.running.url())).await;
    assert_eq!(mails["counts"], serde_json::json!({"request": 1}));
}
