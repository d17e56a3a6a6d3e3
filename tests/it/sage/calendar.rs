//! The connector's work against the simulated CRM.
#![expect(clippy::disallowed_methods, reason = "a CRM user's hands are another HTTP client")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use chrono::TimeDelta;
use daybridge::clock::FixedClock;
use daybridge::connector::sage::Sage;
use daybridge::connector::sage::config::{QueryDates, Removal, SageConfig, UpdateVerb};
use daybridge::connector::sage::wall::DateFormat;
use daybridge::connector::{Batch, Connector, Cursor, Problem};
use daybridge::error::Class;
use daybridge::lifecycle::Tasks;
use daybridge::model::{
    Address, Appointment, Attendee, AttendeeKind, Body, Container, Field, Item, ItemRef, Key, Mail, Patch, Person,
    Response, Seen, Status, Time, UserId, Value, Version,
};
use daybridge::sim::crm::{Options, Running, serve};
use daybridge::sim::fault::{Fault, Kind};
use daybridge_tests::listing::list;
use reqwest::Method;
use serde_json::{Value as Json, json};

use super::{at, config, timed};

pub struct Crm {
    pub running: Running,
    pub clock: Arc<FixedClock>,
    http: reqwest::Client,
    _tasks: Tasks,
}

impl Crm {
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let tasks = Tasks::new();
        let clock = Arc::new(FixedClock::new(at("2027-01-15T08:00:00Z"), 1));
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let running = serve(listen, options, clock.clone(), &tasks).await.unwrap();
        Self { running, clock, http: reqwest::Client::builder().no_proxy().build().unwrap(), _tasks: tasks }
    }

    pub fn config(&self) -> SageConfig {
        SageConfig { url: self.running.crm_url(), ..config() }
    }

    pub fn sage(&self) -> Sage {
        self.sage_with(|_| {})
    }

    pub fn sage_with(&self, change: impl FnOnce(&mut SageConfig)) -> Sage {
        let mut config = self.config();
        change(&mut config);
        Sage::new(config, self.clock.clone()).unwrap()
    }

    /// What somebody else does over REST.
    pub async fn act(&self, method: Method, target: &str, body: Json) -> Json {
        let url = format!("{}{target}", self.running.crm_url());
        let request = self.http.request(method, url).basic_auth("susan.maye", Some("demo"));
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{target}: {}", answer.status());
        let text = answer.text().await.unwrap();
        if text.is_empty() { Json::Null } else { serde_json::from_str(&text).unwrap() }
    }

    pub async fn add(&self, entity: &str, body: Json) -> String {
        self.act(Method::POST, entity, body).await["$key"].to_string()
    }

    pub async fn meeting(&self, more: Json) -> String {
        let mut body = json!({"Comm_Type": "Appointment", "Comm_Action": "Meeting", "Comm_Status": "Pending",
            "Comm_Subject": "Review", "Comm_DateTime": "2027-02-07T09:00:00", "Comm_ToDateTime": "2027-02-07T10:00:00",
            "Comm_Organizer": "11"});
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        self.add("Communication", body).await
    }

    async fn link(&self, id: &str, more: Json) -> String {
        let mut body = json!({"CmLi_Comm_CommunicationId": id});
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        self.add("Comm_Link", body).await
    }

    async fn entry(&self, id: &str) -> Json {
        self.act(Method::GET, &format!("Communication('{id}')"), Json::Null).await
    }

    async fn change(&self, target: &str, body: Json) {
        self.act(Method::PATCH, target, body).await;
    }

    /// Link rows of a communication: user, recipient, status, company.
    async fn links(&self, id: &str) -> Vec<[Json; 4]> {
        let target = format!("Comm_Link?where=CmLi_Comm_CommunicationId eq {id}&orderBy=CmLi_CommLinkId");
        let feed = self.act(Method::GET, &target, Json::Null).await;
        let names = ["CmLi_Comm_UserId", "cmli_recipient", "cmli_status", "CmLi_Comm_CompanyId"];
        feed["$resources"].as_array().unwrap().iter().map(|row| names.map(|name| row[name].clone())).collect()
    }

    pub fn fault(&self, fault: Fault) {
        self.running.faults().add(fault).unwrap();
    }

    fn writes(&self) -> u64 {
        self.running.faults().counters().writes
    }

    fn later(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
    }
}

fn person(name: &str, address: &str) -> Person {
    Person { name: name.into(), address: Address::new(address) }
}

fn attendee(name: &str, address: &str, user: Option<&str>, response: Response) -> Attendee {
    let user = user.map(|id| UserId(id.into()));
    Attendee { person: person(name, address), user, kind: AttendeeKind::Required, response, responded: None }
}

fn draft() -> Appointment {
    let mut draft = Appointment::new("Quarterly review", timed("2027-02-07T08:00:00Z", "2027-02-07T09:00:00Z"));
    draft.body = Body::plain("Bring\nfigures");
    draft.location = "Room 2".into();
    draft.organizer = Some(person("Susan Maye", "susan.maye@example.test"));
    draft.attendees = vec![
        attendee("", "ann.lee@client.test", None, Response::Accepted),
        attendee("Terry Smith", "terry.smith@example.test", Some("12"), Response::None),
    ];
    draft.reminder_minutes = Some(15);
    draft
}

fn stamp() -> Key {
    Key::Uid("040000008200E00074C5B7101A82E0080000000010".into())
}

fn patch(values: impl IntoIterator<Item = (Field, Value)>) -> Patch {
    Patch { set: values.into_iter().collect() }
}

async fn update(sage: &Sage, item: &Item, values: impl IntoIterator<Item = (Field, Value)>) -> Result<Item, Problem> {
    let patch = patch(values);
    let mut after = item.appointment.clone();
    patch.apply(&mut after).unwrap();
    sage.update(&item.at, &item.version, &patch, &after, Mail::Silent).await.map_err(|error| error.problem)
}

async fn present(sage: &Sage, id: &str) -> Item {
    match sage.read(&ItemRef::crm(id)).await.unwrap() {
        Seen::Present(item) => *item,
        other => panic!("{id} is {other:?}"),
    }
}

async fn create(sage: &Sage) -> Item {
    sage.create(&Container::Crm, &draft(), &stamp(), Mail::Silent).await.unwrap()
}

/// One portion, which is all there is.
async fn poll(sage: &Sage, cursor: Option<&Cursor>) -> (Vec<String>, Cursor) {
    let (ids, next, portions) = drain(sage, cursor.cloned()).await;
    assert_eq!(portions, 1);
    (ids, next)
}

/// All portions: ids, cursor, number of portions.
async fn drain(sage: &Sage, mut cursor: Option<Cursor>) -> (Vec<String>, Cursor, usize) {
    let mut ids = Vec::new();
    for portions in 1.. {
        let Batch { changes, next, more } = sage.changed_since(&Container::Crm, cursor.as_ref()).await.unwrap();
        ids.extend(changes.into_iter().map(|change| change.at.id));
        if !more {
            return (ids, next, portions);
        }
        assert!(portions < 100, "the feed does not end");
        cursor = Some(next);
    }
    unreachable!()
}

#[tokio::test]
async fn a_created_appointment_reads_back_and_is_found_again() {
    let crm = Crm::start().await;
    let sage = crm.sage();
    let item = create(&sage).await;
    assert_eq!(item.appointment, draft());
    assert_eq!(
        (item.uid.as_deref(), item.stamp.as_ref()),
        (Some("040000008200E00074C5B7101A82E0080000000010"), Some(&stamp()))
    );
    let id = item.at.id.clone();
    let entry = crm.entry(&id).await;
    for (name, value) in [
        ("Comm_Type", json!("Appointment")),
        ("Comm_Organizer", json!("11")),
        ("Comm_ChannelId", json!(5)),
        ("Comm_DateTime", json!("2027-02-07T09:00:00")),
        ("Comm_NotifyTime", json!("2027-02-07T08:45:00")),
        ("Comm_Note", json!("Bring\r\nfigures")),
    ] {
        assert_eq!(entry[name], value, "{name}");
    }
    assert_eq!(
        crm.links(&id).await,
        [
            [json!(11), json!(null), json!(6), json!(null)],
            [json!(null), json!("ann.lee@client.test"), json!(3), json!(null)],
            [json!(12), json!(null), json!(0), json!(null)],
        ],
    );
    assert_eq!(present(&sage, &id).await, item, "a read changes nothing");
    assert_eq!(sage.find_stamped(&Container::Crm, &stamp()).await.unwrap(), vec![item.clone()]);
    assert_eq!(sage.find_stamped(&Container::Crm, &Key::Uid("other".into())).await.unwrap(), []);
    assert_eq!(
        sage.find_stamped(&Container::Crm, &Key::Uid("040000008200e00074C5B7101A82E0080000000010".into()))
            .await
            .unwrap(),
        [],
        "keys are case-sensitive"
    );
    assert_eq!(sage.find_uid(&Container::Crm, item.uid.as_deref().unwrap()).await.unwrap(), vec![item.clone()]);
    let foreign = crm.meeting(json!({"Comm_MeetingId": "ABC-1", "Comm_DateTime": "2027-02-07T09:00:10"})).await;
    assert_eq!(sage.find_uid(&Container::Crm, "ABC-1").await.unwrap()[0].at.id, foreign);
    assert_eq!(sage.find_alike(&Container::Crm, &draft()).await.unwrap(), vec![item.clone()]);
    let listed = list(&sage, &Container::Crm).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!((&listed[0].at, &listed[0].version, &listed[0].stamp), (&item.at, &item.version, &item.stamp));
    let second = Key::Uid("long".repeat(100));
    let item = sage.create(&Container::Crm, &draft(), &second, Mail::Silent).await.unwrap();
    assert_eq!(sage.find_stamped(&Container::Crm, &second).await.unwrap()[0].at, item.at);
}

#[tokio::test]
async fn an_appointment_without_people_and_one_of_days_read_back_too() {
    let crm = Crm::start().await;
    for change in [
        (|_| {}) as fn(&mut SageConfig),
        |config| config.date_format = DateFormat::Utc,
        |config| config.query_dates = QueryDates::Day,
    ] {
        let sage = crm.sage_with(change);
        let days = Time::AllDay { first: "2027-03-27".parse().unwrap(), last: "2027-03-28".parse().unwrap() };
        for time in [
            days,
            timed("2027-03-28T00:30:00Z", "2027-03-28T01:30:00Z"),
            timed("2027-10-30T22:30:00Z", "2027-10-31T02:30:00Z"),
        ] {
            let plain = Appointment {
                organizer: Some(person("Terry Smith", "terry.smith@example.test")),
                ..Appointment::new("Trip", time)
            };
            let item = sage.create(&Container::Crm, &plain, &stamp(), Mail::Silent).await.unwrap();
            assert_eq!(item.appointment, plain);
            let alike = sage.find_alike(&Container::Crm, &plain).await.unwrap();
            assert!(alike.contains(&item), "{plain:?}");
            sage.delete(&item.at, &item.version, Mail::Silent).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_server_that_shows_offsets_is_understood() {
    let crm = Crm::with(Options { show_offset: true, ..Options::default() }).await;
    let sage = crm.sage();
    let item = create(&sage).await;
    assert_eq!(item.appointment, draft());
    let (ids, cursor) = poll(&sage, None).await;
    assert_eq!(ids, vec![item.at.id.clone()]);
    assert_eq!(poll(&sage, Some(&cursor)).await.0, [""; 0]);
    crm.later(300);
    crm.change(&format!("Communication('{}')", item.at.id), json!({"Comm_Subject": "x"})).await;
    assert_eq!(poll(&sage, Some(&cursor)).await.0, [item.at.id]);
}

#[tokio::test]
async fn an_update_writes_what_moved_and_nothing_else() {
    let crm = Crm::start().await;
    let sage = crm.sage();
    let item = create(&sage).await;
    let id = item.at.id.clone();
    crm.change(&format!("Communication('{id}')"), json!({"Comm_Description": "internal", "Comm_Action": "Demo"})).await;
    let item = present(&sage, &id).await;
    let before = crm.writes();
    let moved = timed("2027-07-08T08:00:00Z", "2027-07-08T09:00:00Z");
    let changed =
        update(&sage, &item, [(Field::Subject, Value::Text("New".into())), (Field::Time, Value::Time(moved.clone()))])
            .await
            .unwrap();
    assert_eq!(crm.writes() - before, 1);
    let expected = Appointment { subject: "New".into(), time: moved, ..draft() };
    assert_eq!(changed.appointment, expected);
    assert_ne!(changed.version, item.version);
    let entry = crm.entry(&id).await;
    assert_eq!((&entry["Comm_Description"], &entry["Comm_Action"]), (&json!("internal"), &json!("Demo")));
    assert_eq!(entry["Comm_NotifyTime"], "2027-07-08T09:45:00", "the reminder follows the start");

    // What the CRM has no place for is no write.
    let before = crm.writes();
    let same = update(&sage, &changed, [(Field::Categories, Value::Texts(vec!["red".into()]))]).await.unwrap();
    assert_eq!((crm.writes() - before, same), (0, changed.clone()));

    let put = crm.sage_with(|config| config.update_verb = UpdateVerb::Put);
    let responses =
        update(&put, &changed, [(Field::Responses, Value::Text("Ann: yes\nTerry: no".into()))]).await.unwrap();
    assert_eq!(responses.appointment.responses, "Ann: yes\nTerry: no");
    assert_eq!(responses.appointment.subject, "New");
}

#[tokio::test]
async fn attendees_and_answers_are_link_rows() {
    let crm = Crm::start().await;
    let sage = crm.sage();
    let item = create(&sage).await;
    let id = item.at.id.clone();
    crm.link(&id, json!({"CmLi_Comm_UserId": 13, "CmLi_Comm_CompanyId": 28})).await;
    let item = present(&sage, &id).await;
    assert_eq!(item.appointment.attendees.len(), 3, "Mary was added");
    let before = crm.writes();
    let attendees = vec![
        attendee("", "new@client.test", None, Response::Tentative),
        attendee("", "terry.smith@example.test", None, Response::Declined),
    ];
    let changed = update(&sage, &item, [(Field::Attendees, Value::Attendees(attendees))]).await.unwrap();
    assert_eq!(crm.writes() - before, 4, "one more, one answer, one less, one who leaves the company's link behind");
    assert_eq!(
        changed.appointment.attendees,
        [
            attendee("", "new@client.test", None, Response::Tentative),
            attendee("Terry Smith", "terry.smith@example.test", Some("12"), Response::Declined),
        ],
    );
    assert_eq!(changed.appointment.regarding[0].name, "Acme Ltd");
    assert_eq!(
        crm.links(&id).await,
        [
            [json!(11), json!(null), json!(6), json!(null)],
            [json!(12), json!(null), json!(4), json!(null)],
            [json!(null), json!(null), json!(null), json!(28)],
            [json!(null), json!("new@client.test"), json!(2), json!(null)],
        ],
    );
    // Somebody else organizes, and Susan is asked to come.
    let attendees = vec![attendee("", "susan.maye@example.test", None, Response::None)];
    let organizer = person("", "william.dolan@example.test");
    let values = [(Field::Organizer, Value::Person(organizer)), (Field::Attendees, Value::Attendees(attendees))];
    let changed = update(&sage, &changed, values).await.unwrap();
    assert_eq!(changed.appointment.organizer, Some(person("William Dolan", "william.dolan@example.test")));
    assert_eq!(
        changed.appointment.attendees,
        [attendee("Susan Maye", "susan.maye@example.test", Some("11"), Response::None)]
    );
}

#[tokio::test]
async fn a_write_stops_when_the_row_or_a_link_moved_meanwhile() {
    let crm = Crm::start().await;
    let sage = crm.sage();
    let item = create(&sage).await;
    let id = item.at.id.clone();
    let subject = || [(Field::Subject, Value::Text("mine".into()))];
    // Within the same second, so that the update stamp stays the same.
    crm.change(&format!("Communication('{id}')"), json!({"Comm_Subject": "theirs"})).await;
    let before = crm.writes();
    assert_eq!(update(&sage, &item, subject()).await, Err(Problem::Stale));
    let error = sage.delete(&item.at, &item.version, Mail::Silent).await.unwrap_err();
    assert_eq!((error.problem.clone(), error.class()), (Problem::Stale, Class::Conflict));
    let item = present(&sage, &id).await;
    crm.link(&id, json!({"CmLi_Comm_UserId": 13})).await;
    assert_eq!(update(&sage, &item, subject()).await, Err(Problem::Stale));
    assert_eq!(crm.writes() - before, 1, "theirs only");
    let item = present(&sage, &id).await;
    assert_eq!(update(&sage, &item, subject()).await.unwrap().appointment.subject, "mine");
    crm.act(Method::DELETE, &format!("Communication('{id}')"), Json::Null).await;
    assert_eq!(update(&sage, &item, subject()).await, Err(Problem::NotFound));
}

#[tokio::test]
async fn removing_cancels_or_deletes() {
    let crm = Crm::start().await;
    let cancels = crm.sage();
    let item = create(&cancels).await;
    cancels.delete(&item.at, &item.version, Mail::Silent).await.unwrap();
    let item = present(&cancels, &item.at.id).await;
    assert_eq!(item.appointment.status, Status::Cancelled, "still there, for the rules to see");
    let before = crm.writes();
    cancels.delete(&item.at, &item.version, Mail::Silent).await.unwrap();
    assert_eq!(crm.writes(), before, "done is done");

    let deletes = crm.sage_with(|config| config.delete = Removal::Delete);
    deletes.delete(&item.at, &item.version, Mail::Silent).await.unwrap();
    assert_eq!(deletes.read(&item.at).await.unwrap(), Seen::Deleted);
    deletes.delete(&item.at, &item.version, Mail::Silent).await.unwrap();
    assert_eq!(deletes.find_stamped(&Container::Crm, &stamp()).await.unwrap(), []);
    assert_eq!(list(&deletes, &Container::Crm).await.unwrap(), []);
}

#[tokio::test]
async fn gone_is_believed_only_when_the_list_says_so() {
    let crm = Crm::start().await;
    let sage = crm.sage();
    assert_eq!(sage.read(&ItemRef::crm("99999")).await.unwrap(), Seen::Deleted);
    assert_eq!(
        sage.read(&ItemRef::crm("no number")).await.unwrap_err().problem,
        Problem::Refused,
        "the server's own words"
    );
    let id = crm.meeting(json!({})).await;
    let not_found = || Fault { code: Some("RecordNotFound".into()), ..Fault::new("GET Communication", Kind::Error) };
    crm.fault(not_found());
    assert!(matches!(sage.read(&ItemRef::crm(&id)).await.unwrap(), Seen::Present(_)), "the list still has it");
    crm.fault(Fault { times: 2, ..not_found() });
    assert_eq!(
        sage.read(&ItemRef::crm(&id)).await.unwrap_err().problem,
        Problem::Malformed,
        "not even the list is there"
    );
    crm.change(&format!("Communication('{id}')"), json!({"Comm_Type": "Task"})).await;
    assert_eq!(sage.read(&ItemRef::crm(&id)).await.unwrap(), Seen::Deleted, "no appointment any more");
    let id = crm.meeting(json!({"Comm_Action": "Vacation"})).await;
    let meetings = crm.sage_with(|config| config.actions = vec!["meeting".into()]);
    assert_eq!(meetings.read(&ItemRef::crm(&id)).await.unwrap(), Seen::Deleted);
    assert_eq!(list(&meetings, &Container::Crm).await.unwrap(), []);
}

#[tokio::test]
async fn the_feed_tells_each_change_once_and_is_cheap_when_idle() {
    let crm = Crm::start().await;
    let sage = crm.sage();
    let (nothing, cursor) = poll(&sage, None).await;
    assert_eq!(nothing, [""; 0]);
    let first = crm.meeting(json!({"Comm_MeetingId": "uid:04AB"})).await;
    let Batch { changes, next, .. } = sage.changed_since(&Container::Crm, Some(&cursor)).await.unwrap();
    assert_eq!(
        (changes.len(), changes[0].uid.as_deref(), &changes[0].stamp),
        (1, Some("04AB"), &Some(Key::Uid("04AB".into())))
    );
    crm.later(3600);
    let second = crm.meeting(json!({})).await;
    let mail = crm.add("Communication", json!({"Comm_Type": "Email", "Comm_Subject": "no appointment"})).await;
    let (ids, cursor) = poll(&sage, Some(&next)).await;
    assert_eq!(ids, vec![second.clone()]);

    crm.running.faults().reset_counters();
    let (ids, cursor) = poll(&sage, Some(&cursor)).await;
    let (ids_again, cursor) = poll(&sage, Some(&cursor)).await;
    assert_eq!((ids, ids_again), (vec![], vec![]));
    assert_eq!(crm.running.faults().counters().requests, 4, "two for each idle poll");

    // Link rows, with and without their communication, and of other communications.
    let link = crm.link(&first, json!({"CmLi_Comm_UserId": 11, "cmli_status": 0})).await;
    crm.link(&mail, json!({"CmLi_Comm_UserId": 11})).await;
    let (ids, cursor) = poll(&sage, Some(&cursor)).await;
    assert_eq!(ids, vec![first.clone()]);
    crm.later(1);
    crm.change(&format!("Comm_Link('{link}')"), json!({"cmli_status": 3})).await;
    let (ids, cursor) = poll(&sage, Some(&cursor)).await;
    assert_eq!(ids, vec![first.clone()]);
    crm.change(&format!("Communication('{second}')"), json!({"Comm_Subject": "one"})).await;
    crm.link(&second, json!({"CmLi_Comm_UserId": 12})).await;
    let (ids, cursor) = poll(&sage, Some(&cursor)).await;
    assert_eq!(ids, vec![second.clone()], "told once though row and link changed");
    // Again within the same second.
    crm.change(&format!("Communication('{second}')"), json!({"Comm_Subject": "two"})).await;
    let (ids, cursor) = poll(&sage, Some(&cursor)).await;
    assert_eq!(ids, [second]);
    assert_eq!(poll(&sage, Some(&cursor)).await.0, [""; 0]);
    let lost = sage.changed_since(&Container::Crm, Some(&Cursor("old".into()))).await.unwrap_err();
    assert_eq!(lost.problem, Problem::CursorLost);
}

#[tokio::test]
async fn a_first_pass_comes_in_portions_whatever_the_page_size() {
    for (page_cap, query_dates, sort) in
        [(None, QueryDates::Second, true), (Some(7), QueryDates::Day, true), (Some(30), QueryDates::Second, false)]
    {
        let crm = Crm::with(Options { page_cap, ..Options::default() }).await;
        let sage = crm.sage_with(|config| {
            config.page_size = 10;
            config.query_dates = query_dates;
            config.sort = sort;
        });
        let mut made = Vec::new();
        for _ in 0..90 {
            made.push(crm.meeting(json!({})).await);
            crm.later(40);
        }
        let (mut found, cursor, portions) = drain(&sage, None).await;
        assert!(portions > 1, "{portions}");
        found.sort();
        assert!(found.len() < 2 * made.len(), "steps back repeat little: {}", found.len());
        found.dedup();
        assert_eq!(found, made);
        assert_eq!(drain(&sage, Some(cursor)).await.0, [""; 0]);
        let listed = list(&sage, &Container::Crm).await.unwrap();
        assert_eq!(listed.into_iter().map(|listed| listed.at.id).collect::<Vec<_>>(), made);
    }
}

#[tokio::test]
async fn a_crash_between_the_row_and_its_links_is_mended() {
    let crm = Crm::start().await;
    let sage = crm.sage();
    crm.fault(Fault::new("POST Comm_Link", Kind::DropBefore));
    let error = sage.create(&Container::Crm, &draft(), &stamp(), Mail::Silent).await.unwrap_err();
    assert_eq!(error.class(), Class::Down { after: None });
    let found = sage.find_stamped(&Container::Crm, &stamp()).await.unwrap();
    let [item] = &found[..] else { panic!("{found:?}") };
    assert_eq!((item.appointment.organizer.as_ref(), item.appointment.attendees.as_slice()), (None, [].as_slice()));
    let wanted = draft();
    let missing = [Field::Organizer, Field::Attendees].map(|field| (field.clone(), wanted.get(&field)));
    let mended = update(&sage, item, missing).await.unwrap();
    assert_eq!(mended.appointment, wanted);
    assert_eq!(crm.links(&mended.at.id).await.len(), 3);
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_found_again() {
    let crm = Crm::start().await;
    let sage = crm.sage();
    for (fault, links) in [("POST Communication", 0), ("POST Comm_Link", 1), ("GET Communication", 3)] {
        let key = Key::Uid(fault.replace(' ', "-"));
        crm.fault(Fault::new(fault, Kind::DropAfterCommit));
        let error = sage.create(&Container::Crm, &draft(), &key, Mail::Silent).await.unwrap_err();
        assert_eq!(error.class(), Class::Down { after: None }, "{fault}");
        let found = sage.find_stamped(&Container::Crm, &key).await.unwrap();
        assert_eq!(found.len(), 1, "{fault}");
        assert_eq!(crm.links(&found[0].at.id).await.len(), links, "{fault}");
    }
}

#[tokio::test]
async fn users_are_kept_for_a_minute() {
    let crm = Crm::start().await;
    let sage = crm.sage();
    let users = sage.users().await.unwrap();
    assert_eq!(users.len(), 5);
    let susan = users.first().unwrap();
    assert_eq!((susan.id.0.as_str(), susan.display_name().as_str()), ("11", "Susan Maye"));
    assert_eq!((susan.logon.as_str(), susan.address.as_str()), ("susan.maye", "susan.maye@example.test"));
    assert!(susan.active && !susan.resource);
    crm.act(
        Method::PATCH,
        "Users('13')",
        json!({"User_LastName": "Johns", "User_Resource": "true", "User_Disabled": "Y"}),
    )
    .await;
    assert_eq!(sage.users().await.unwrap()[2].last_name, "Jones");
    assert_eq!(crm.running.faults().counters().operations["GET Users"], 1);
    crm.later(60);
    let mary = sage.users().await.unwrap().remove(2);
    assert_eq!((mary.last_name.as_str(), mary.active, mary.resource), ("Johns", false, true));
    // A row may name somebody who came since; who is nobody is not asked for again and again.
    let id = crm.meeting(json!({"Comm_Organizer": "99"})).await;
    crm.link(&id, json!({"CmLi_Comm_UserId": 98})).await;
    let other = crm.meeting(json!({"Comm_Organizer": "97"})).await;
    for _ in 0..3 {
        present(&sage, &id).await;
        present(&sage, &other).await;
    }
    assert_eq!(crm.running.faults().counters().operations["GET Users"], 4, "once for each of the two");
}

#[tokio::test]
async fn text_longer_than_its_column_is_cut_and_stays() {
    let crm = Crm::start().await;
    let sage = crm.sage();
    let long = Appointment { subject: "ä".repeat(254) + "🙂", ..draft() };
    let item = sage.create(&Container::Crm, &long, &stamp(), Mail::Silent).await.unwrap();
    assert_eq!(item.appointment.subject, "ä".repeat(254), "never half a character");
    let item = update(&sage, &item, [(Field::Location, Value::Text("b".repeat(300)))]).await.unwrap();
    assert_eq!(item.appointment.location.len(), 255);
    assert_eq!(present(&sage, &item.at.id).await, item);
}

#[tokio::test]
async fn only_the_crm_is_served_and_nothing_rings() {
    let crm = Crm::start().await;
    let sage = crm.sage();
    assert_eq!((sage.side().name(), sage.name()), ("crm", "Sage CRM"));
    let fields = sage.capabilities().unwritable;
    assert!(fields.contains(&Field::ShowAs) && !fields.contains(&Field::Responses));
    assert!(
        crm.sage_with(|config| config.responses_column = None).capabilities().unwritable.contains(&Field::Responses)
    );
    let mailbox = Container::Mailbox(Address::new("a@example.test"));
    assert_eq!(sage.probe(&mailbox).await.unwrap_err().problem, Problem::Unsupported);
    let at = ItemRef::exchange(Address::new("a@example.test"), "x");
    assert_eq!(sage.read(&at).await.unwrap_err().problem, Problem::Unsupported);
    assert_eq!(sage.delete(&at, &Version("x".into()), Mail::Silent).await.unwrap_err().problem, Problem::Unsupported);
    let bell = sage.doorbell(&[Container::Crm], std::time::Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(bell.problem, Problem::Unsupported);
}
