//! Rows to appointments and back.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use daybridge::connector::sage::config::SageConfig;
use daybridge::connector::sage::links::{LinkWrite, Scope, plan};
use daybridge::connector::sage::map::{Mapping, Organizer, stamp_text, text};
use daybridge::connector::sage::wall::DateFormat;
use daybridge::connector::sage::wire::{Columns, Row};
use daybridge::model::{
    Address, Appointment, Attendee, AttendeeKind, Body, Field, Importance, Item, Key, Link, Patch, Person, Response,
    Scalar, Sensitivity, Status, Time, UserId, Value,
};
use serde_json::{Value as Json, json};

use super::{config, people, row, timed};

fn communication(more: Json) -> Json {
    let mut columns = json!({"$key": 4711, "Comm_CommunicationId": 4711, "Comm_Type": "Appointment", "Comm_Action": "Meeting",
        "Comm_Status": "Pending", "Comm_DateTime": "2027-02-07T09:00:00", "Comm_ToDateTime": "2027-02-07T10:00:00",
        "Comm_UpdatedDate": "2027-01-01T10:00:00"});
    columns.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    columns
}

/// First and last day, as columns of a CRM in the zone of `config`, and read back.
pub(crate) fn round_trip_of_days(first: NaiveDate, last: NaiveDate, config: &SageConfig) -> (NaiveDate, NaiveDate) {
    let mapping = Mapping::new(config);
    let draft = Appointment::new("x", Time::AllDay { first, last });
    let columns = mapping.new_columns(&draft, &Key::Uid("04AB".into()), &people());
    let read = mapping.item(&row(communication(Json::Object(columns))), &[], &people()).expect("an item");
    match read.appointment.time {
        Time::AllDay { first, last } => (first, last),
        Time::Timed(span) => panic!("{span:?}"),
    }
}

fn links(list: &[Json]) -> Vec<Row> {
    let numbered = list.iter().enumerate().map(|(at, link)| {
        let mut link = link.clone();
        link.as_object_mut().unwrap().insert("CmLi_CommLinkId".into(), json!(9001 + at));
        row(link)
    });
    numbered.collect()
}

fn item_with(config: &SageConfig, columns: Json, list: &[Json]) -> Item {
    Mapping::new(config).item(&row(columns), &links(list), &people()).unwrap()
}

fn item(columns: Json, list: &[Json]) -> Item {
    item_with(&config(), communication(columns), list)
}

fn person(name: &str, address: &str) -> Person {
    Person { name: name.into(), address: Address::new(address) }
}

fn attendee(name: &str, address: &str, user: Option<i64>, response: Response) -> Attendee {
    Attendee {
        person: person(name, address),
        user: user.map(|id| UserId(id.to_string())),
        kind: AttendeeKind::Required,
        response,
        responded: None,
    }
}

#[test]
fn a_full_row_becomes_an_appointment() {
    let mut config = config();
    config.columns = vec!["comm_room".into(), "Comm_Percent".into(), "comm_absent".into(), "comm_null".into()];
    let columns = communication(json!({"comm_SUBJECT": "Review", "Comm_Note": "one\r\ntwo", "Comm_Location": "Room 2",
        "Comm_Private": "Y", "Comm_Priority": "High", "Comm_Status": "InProgress", "Comm_NotifyDelta": 15,
        "Comm_Organizer": "11", "Comm_MeetingID": "uid:0400AB", "Comm_Responses": "Terry: yes", "Comm_CaseId": 77,
        "Comm_Room": "R2", "comm_percent": 40, "comm_null": null}));
    let item = item_with(
        &config,
        columns,
        &[
            json!({"CmLi_Comm_UserId": 11, "cmli_status": 6, "CmLi_Comm_CompanyId": 28, "CmLi_Comm_PersonId": 30}),
            json!({"CmLi_Comm_UserId": 13, "cmli_status": 3}),
            json!({"cmli_comm_userid": "12", "cmli_status": 2}),
            json!({"CmLi_IsExternalAttendee": "Y", "cmli_recipient": "ann@client.test", "CmLi_ExternalPersonID": 30, "cmli_status": 4}),
        ],
    );
    assert_eq!(
        (item.at.id.as_str(), item.uid.as_deref(), item.stamp),
        ("4711", Some("0400AB"), Some(Key::Uid("0400AB".into())))
    );
    let mut expected = Appointment::new("Review", timed("2027-02-07T08:00:00Z", "2027-02-07T09:00:00Z"));
    expected.body = Body::plain("one\ntwo");
    expected.location = "Room 2".into();
    expected.organizer = Some(person("Susan Test", "susan@example.test"));
    expected.attendees = vec![
        attendee("Ann Lee", "ann@client.test", None, Response::Declined),
        Attendee {
            kind: AttendeeKind::Resource,
            ..attendee("Room Test", "room@example.test", Some(13), Response::Accepted)
        },
        attendee("Terry Test", "Terry@Example.test", Some(12), Response::Tentative),
    ];
    expected.reminder_minutes = Some(15);
    expected.sensitivity = Sensitivity::Private;
    expected.importance = Importance::High;
    expected.status = Status::InProgress;
    let link = |entity: &str, id: &str, name: &str| Link { entity: entity.into(), id: id.into(), name: name.into() };
    expected.regarding = vec![link("case", "77", ""), link("company", "28", "Acme"), link("person", "30", "Ann Lee")];
    expected.responses = "Terry: yes".into();
    expected.custom =
        BTreeMap::from([("comm_room".into(), Scalar::Text("R2".into())), ("Comm_Percent".into(), Scalar::Number(40))]);
    assert_eq!(item.appointment, expected);
}

#[test]
fn columns_that_the_account_may_not_see_are_empty() {
    let item = item_with(&config(), json!({"$key": "4711", "Comm_DateTime": "2027-02-07T09:00:00"}), &[]);
    assert_eq!(item.at.id, "4711");
    assert_eq!(item.appointment, Appointment::new("", timed("2027-02-07T08:00:00Z", "2027-02-07T08:00:00Z")));
    let error = Mapping::new(&config()).item(&row(json!({"$key": 5})), &[], &people()).unwrap_err();
    assert_eq!(error.to_string(), "communication 5 has no start time, or the account may not read Comm_DateTime");
}

#[test]
fn codes_are_read_in_any_letter_case_and_unknown_ones_are_ordinary() {
    for (text, status) in [
        ("Pending", Status::Pending),
        ("complete", Status::Complete),
        ("CANCELLED", Status::Cancelled),
        ("Canceled", Status::Cancelled),
        ("InProgress", Status::InProgress),
        ("NoShow", Status::Pending),
        ("", Status::Pending),
    ] {
        assert_eq!(item(json!({"Comm_Status": text}), &[]).appointment.status, status, "{text}");
    }
    for (text, importance) in [
        ("low", Importance::Low),
        ("High", Importance::High),
        ("Normal", Importance::Normal),
        ("Urgent", Importance::Normal),
    ] {
        assert_eq!(item(json!({"Comm_Priority": text}), &[]).appointment.importance, importance, "{text}");
    }
    for (private, sensitivity) in
        [(json!("Y"), Sensitivity::Private), (json!("N"), Sensitivity::Normal), (json!(null), Sensitivity::Normal)]
    {
        assert_eq!(item(json!({"Comm_Private": private}), &[]).appointment.sensitivity, sensitivity);
    }
    let one = item(json!({"Comm_RecurrenceId": 17}), &[]);
    assert_eq!((one.series.as_deref(), one.appointment.recurrence), (Some("17"), None));
    assert_eq!(item(json!({"Comm_RecurrenceId": 0}), &[]).series, None);
}

#[test]
fn the_organizer_is_found_in_the_order_of_certainty() {
    let susan = || person("Susan Test", "susan@example.test");
    let terry = || person("Terry Test", "Terry@Example.test");
    let links = [json!({"CmLi_Comm_UserId": 11}), json!({"CmLi_Comm_UserId": 12, "cmli_status": 6})];
    let outside = json!({"CmLi_IsExternalAttendee": "Y", "cmli_recipient": "Boss@client.test", "CmLi_ExternalPersonID": 30, "cmli_status": 6});
    for (columns, links, organizer, why) in [
        (json!({"Comm_Organizer": "11"}), &links[..], Some(susan()), "the column as a user"),
        (json!({"Comm_Organizer": 11}), &links, Some(susan()), "as a number"),
        (json!({"Comm_Organizer": "SUSAN@example.test"}), &links, Some(susan()), "as a user's address"),
        (
            json!({"Comm_Organizer": "Boss <boss@client.test>"}),
            &links,
            Some(person("Boss", "boss@client.test")),
            "a stranger",
        ),
        (
            json!({"Comm_Organizer": "boss@client.test"}),
            std::slice::from_ref(&outside),
            Some(person("Ann Lee", "boss@client.test")),
            "a known stranger",
        ),
        (json!({"Comm_Organizer": "99"}), &links, Some(terry()), "an unknown user: the marked row"),
        (json!({}), &links, Some(terry()), "the marked row"),
        (json!({}), std::slice::from_ref(&outside), Some(person("Ann Lee", "boss@client.test")), "a marked stranger"),
        (json!({}), &links[..1], Some(susan()), "the first user"),
        (json!({"Comm_CreatedBy": 12}), &[], Some(terry()), "the creator"),
        (json!({"Comm_CreatedBy": 99}), &[], None, "nobody known"),
    ] {
        let appointment = item(columns, links).appointment;
        assert_eq!(appointment.organizer, organizer, "{why}");
        let organizes =
            |attendee: &Attendee| Some(&attendee.person.address) == organizer.as_ref().map(|person| &person.address);
        assert!(!appointment.attendees.iter().any(organizes), "{why}: the organizer is not asked to come");
    }
}

#[test]
fn a_row_of_ours_without_its_people_shows_that_something_is_missing() {
    let organizer = |columns: Json, list: &[Json]| item(columns, list).appointment.organizer.map(|person| person.name);
    let ours = || json!({"Comm_Organizer": "11", "Comm_MeetingId": "uid:04AB"});
    assert_eq!(organizer(ours(), &[]), None, "in nobody's calendar");
    assert_eq!(organizer(ours(), &[json!({"CmLi_Comm_CompanyId": 28})]), None);
    assert_eq!(organizer(ours(), &[json!({"CmLi_Comm_UserId": 11})]).as_deref(), Some("Susan Test"));
    assert_eq!(organizer(json!({"Comm_Organizer": "11"}), &[]).as_deref(), Some("Susan Test"), "the CRM's own affair");
    let outside = json!({"Comm_Organizer": "Boss <boss@client.test>", "Comm_MeetingId": "uid:04AB"});
    assert_eq!(organizer(outside, &[]).as_deref(), Some("Boss"), "who is no user has no row");
    assert_eq!(
        organizer(json!({"Comm_CreatedBy": 15, "Comm_MeetingId": "uid:04AB"}), &[]),
        None,
        "not the sync's account"
    );
}

#[test]
fn attendees_are_people_once_each() {
    let list = [
        json!({"CmLi_Comm_UserId": 11}),
        json!({"CmLi_Comm_UserId": 12, "cmli_status": 6}),
        json!({"CmLi_IsExternalAttendee": "Y", "cmli_recipient": "terry@example.test", "cmli_status": 3}),
        json!({"CmLi_Comm_UserId": 12}),
        json!({"CmLi_Comm_UserId": 14}),
        json!({"CmLi_Comm_UserId": 99}),
        json!({"CmLi_IsExternalAttendee": "Y", "cmli_recipient": "Only A Name"}),
        json!({"CmLi_IsExternalAttendee": "Y", "cmli_recipient": "\"Lee, Ann\" <ann@client.test>"}),
        json!({"CmLi_IsExternalAttendee": "Y", "cmli_recipient": "gone@client.test", "CmLi_Deleted": 1}),
        json!({"CmLi_Comm_PersonId": 30}),
    ];
    let appointment = item(json!({"Comm_Organizer": "11"}), &list).appointment;
    assert_eq!(
        appointment.attendees,
        [
            attendee("Nina Test", "", Some(14), Response::None),
            attendee("", "", Some(99), Response::None),
            attendee("Only A Name", "", None, Response::None),
            attendee("Lee, Ann", "ann@client.test", None, Response::None),
            attendee("Terry Test", "terry@example.test", Some(12), Response::Accepted),
        ],
    );
}

#[test]
fn days_are_days_and_times_are_times() {
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    let all = |first: &str, last: &str| Time::AllDay { first: day(first), last: day(last) };
    for (start, end, all_day, time) in [
        ("2027-02-07T00:00:00", "2027-02-07T23:59:00", "Y", all("2027-02-07", "2027-02-07")),
        ("2027-02-07T00:00:00", "2027-02-07T00:00:00", "Y", all("2027-02-07", "2027-02-07")),
        ("2027-02-07T00:00:00", "2027-02-08T00:00:00", "Y", all("2027-02-07", "2027-02-07")),
        ("2027-02-07T00:00:00", "2027-02-08T23:59:00", "y", all("2027-02-07", "2027-02-08")),
        ("2027-02-07T09:00:00", "2027-02-08T17:00:00", "Y", all("2027-02-07", "2027-02-08")),
        ("2027-02-07T00:00:00", "2027-02-01T00:00:00", "Y", all("2027-02-07", "2027-02-07")),
        ("2027-02-07", "2027-02-08", "", timed("2027-02-06T23:00:00Z", "2027-02-07T23:00:00Z")),
        ("2027-02-07T09:00:00.5", "2027-02-07T10:00", "N", timed("2027-02-07T08:00:00.5Z", "2027-02-07T09:00:00Z")),
        (
            "2027-02-07T09:00:00-05:00",
            "2027-02-07T15:00:00Z",
            "",
            timed("2027-02-07T14:00:00Z", "2027-02-07T15:00:00Z"),
        ),
        ("2027-02-07 09:00:00", "2027-02-07 08:00:00", "", timed("2027-02-07T08:00:00Z", "2027-02-07T08:00:00Z")),
        ("2027-02-07T23:00:00Z", "2027-02-08T22:59:00Z", "Y", all("2027-02-08", "2027-02-08")),
    ] {
        let columns = json!({"Comm_DateTime": start, "Comm_ToDateTime": end, "Comm_IsAllDayEvent": all_day});
        assert_eq!(item(columns, &[]).appointment.time, time, "{start} to {end} {all_day}");
    }
}

#[test]
fn reminders_are_minutes_before_the_start() {
    for (delta, time, minutes) in [
        (json!(15), json!(null), Some(15)),
        (json!("15"), json!("2027-02-07T08:45:00"), Some(15)),
        (json!(0), json!("2027-02-07T09:00:00"), Some(0)),
        (json!(0), json!(null), None),
        (json!(null), json!("2027-02-07T08:00:00"), Some(60)),
        (json!(null), json!("2027-02-07T09:30:00"), None),
        (json!(-5), json!(null), None),
        (json!(null), json!(null), None),
    ] {
        let found = item(json!({"Comm_NotifyDelta": delta, "Comm_NotifyTime": time}), &[]).appointment.reminder_minutes;
        assert_eq!(found, minutes, "{delta} {time}");
    }
}

#[test]
fn a_stamp_leads_back_to_its_key() {
    for (kept, uid, stamp) in [
        ("uid:04AB", Some("04AB"), Some(Key::Uid("04AB".into()))),
        (" uid:04AB ", Some("04AB"), Some(Key::Uid("04AB".into()))),
        ("040000008200E00074C5B7101A82E008", Some("040000008200E00074C5B7101A82E008"), None),
        ("", None, None),
    ] {
        let item = item(json!({"Comm_MeetingId": kept}), &[]);
        assert_eq!((item.uid.as_deref(), item.stamp), (uid, stamp), "{kept}");
    }
    let long = Key::Uid("u".repeat(400));
    let text = stamp_text(&long);
    assert!(text.starts_with("sha256:") && text.len() <= 200, "{text}");
    assert_ne!(text, stamp_text(&Key::Uid("u".repeat(401))));
    let item = item(json!({"Comm_MeetingId": text}), &[]);
    assert_eq!((item.uid, item.stamp), (None, None));
}

#[test]
fn a_version_changes_with_the_stamp_the_content_and_the_links() {
    let mapping = Mapping::new(&config());
    let version = |columns: Json, list: &[Json]| mapping.version(&row(communication(columns)), &links(list));
    let link = json!({"CmLi_Comm_UserId": 11, "cmli_status": 0});
    let base = version(json!({}), std::slice::from_ref(&link));
    assert_eq!(
        version(json!({"Comm_OutCome": "x", "$updated": "y", "Company": {"a": 1}}), std::slice::from_ref(&link)),
        base
    );
    assert_eq!(version(json!({"Comm_Location": null}), std::slice::from_ref(&link)), base, "null is as good as absent");
    let gone = json!({"CmLi_Comm_UserId": 12, "CmLi_Deleted": 1});
    assert_eq!(version(json!({}), &[link.clone(), gone]), base);
    for (columns, list) in [
        (json!({"Comm_UpdatedDate": "2027-01-01T10:00:01"}), vec![link.clone()]),
        (json!({"Comm_Subject": "x"}), vec![link.clone()]),
        (json!({"comm_responses": "x"}), vec![link.clone()]),
        (json!({"Comm_MeetingId": "x"}), vec![link.clone()]),
        (json!({}), vec![json!({"CmLi_Comm_UserId": 11, "cmli_status": 3})]),
        (json!({}), vec![]),
        (json!({}), vec![link.clone(), json!({"CmLi_Comm_UserId": 12})]),
    ] {
        assert_ne!(version(columns.clone(), &list), base, "{columns}");
    }
    let two = links(&[link, json!({"CmLi_Comm_UserId": 12})]);
    let reversed: Vec<Row> = two.iter().rev().cloned().collect();
    let row = row(communication(json!({})));
    assert_eq!(mapping.version(&row, &two), mapping.version(&row, &reversed), "the order of rows says nothing");
}

fn full() -> Appointment {
    let mut draft = Appointment::new("Review", timed("2027-07-07T08:00:00Z", "2027-07-07T09:30:00Z"));
    draft.body = Body::plain("one\ntwo");
    draft.location = "Room 2".into();
    draft.organizer = Some(person("Susan", "SUSAN@example.test"));
    draft.attendees = vec![
        attendee("Ann", "ann@client.test", None, Response::Accepted),
        attendee("Terry", "terry@example.test", None, Response::None),
    ];
    draft.reminder_minutes = Some(30);
    draft.sensitivity = Sensitivity::Confidential;
    draft.importance = Importance::Low;
    draft.regarding = vec![
        Link { entity: "case".into(), id: "77".into(), name: String::new() },
        Link { entity: "company".into(), id: "28".into(), name: String::new() },
    ];
    draft.responses = "Ann: yes".into();
    draft.custom =
        BTreeMap::from([("COMM_room".into(), Scalar::Text("R2".into())), ("other".into(), Scalar::Flag(true))]);
    draft
}

#[test]
fn a_draft_becomes_columns() {
    let mut config = config();
    config.columns = vec!["comm_room".into()];
    config.default_action = "Demo".into();
    let draft = full();
    let columns = Mapping::new(&config).new_columns(&draft, &Key::Uid("04AB".into()), &people());
    let expected = json!({"Comm_Type": "Appointment", "Comm_Action": "Demo", "Comm_Status": "Pending", "Comm_Priority": "Low",
        "Comm_Subject": "Review", "Comm_Note": "one\r\ntwo", "Comm_Location": "Room 2", "Comm_Private": "Y",
        "Comm_DateTime": "2027-07-07T10:00:00", "Comm_ToDateTime": "2027-07-07T11:30:00", "Comm_NotifyDelta": 30,
        "Comm_NotifyTime": "2027-07-07T09:30:00", "Comm_Organizer": "11", "Comm_ChannelId": 5, "Comm_SecTerr": -7,
        "Comm_CaseId": 77, "comm_responses": "Ann: yes", "comm_room": "R2", "Comm_MeetingId": "uid:04AB"});
    assert_eq!(Json::Object(columns), expected);
    config.default_channel = Some(8);
    config.default_territory = Some(-3);
    config.default_status = "Planned".into();
    config.date_format = DateFormat::Utc;
    let mut draft = full();
    draft.organizer = Some(person("Boss", "boss@client.test"));
    let columns = Mapping::new(&config).new_columns(&draft, &Key::Uid("04AB".into()), &people());
    for (name, value) in [
        ("Comm_ChannelId", json!(8)),
        ("Comm_SecTerr", json!(-3)),
        ("Comm_Status", json!("Planned")),
        ("Comm_Organizer", json!("boss@client.test")),
        ("Comm_DateTime", json!("2027-07-07T08:00:00Z")),
        ("comm_room", json!("R2")),
    ] {
        assert_eq!(columns[name], value, "{name}");
    }
    draft.status = Status::Complete;
    let columns = Mapping::new(&config).new_columns(&draft, &Key::Uid("04AB".into()), &people());
    assert_eq!(columns["Comm_Status"], "Complete");
}

#[test]
fn a_patch_touches_its_columns_only() {
    let mut config = config();
    config.columns = vec!["comm_room".into()];
    let mapping = Mapping::new(&config);
    let check = |values: Vec<(Field, Value)>, expected: Json| {
        let patch = Patch { set: values.into_iter().collect() };
        let mut after = full();
        patch.apply(&mut after).unwrap();
        assert_eq!(Json::Object(mapping.changed_columns(&patch, &after, &people())), expected, "{patch:?}");
    };
    check(vec![(Field::Subject, Value::Text("x".into()))], json!({"Comm_Subject": "x"}));
    check(
        vec![(Field::Subject, Value::Empty), (Field::Body, Value::Empty)],
        json!({"Comm_Subject": null, "Comm_Note": null}),
    );
    check(
        vec![(Field::Time, Value::Time(timed("2027-01-07T08:00:00Z", "2027-01-07T09:00:00Z")))],
        json!({"Comm_DateTime": "2027-01-07T09:00:00", "Comm_ToDateTime": "2027-01-07T10:00:00", "Comm_IsAllDayEvent": null,
            "Comm_NotifyTime": "2027-01-07T08:30:00"}),
    );
    let days = Time::AllDay { first: "2027-03-27".parse().unwrap(), last: "2027-03-28".parse().unwrap() };
    check(
        vec![(Field::Time, Value::Time(days)), (Field::Reminder, Value::Empty)],
        json!({"Comm_DateTime": "2027-03-27T00:00:00", "Comm_ToDateTime": "2027-03-28T23:59:00", "Comm_IsAllDayEvent": "Y",
            "Comm_NotifyDelta": null, "Comm_NotifyTime": null}),
    );
    check(vec![(Field::Sensitivity, Value::Empty)], json!({"Comm_Private": null}));
    check(vec![(Field::Status, Value::Status(Status::Cancelled))], json!({"Comm_Status": "Cancelled"}));
    check(vec![(Field::Organizer, Value::Person(person("", "x@y.test")))], json!({"Comm_Organizer": "x@y.test"}));
    check(vec![(Field::Custom("Comm_ROOM".into()), Value::Empty)], json!({"comm_room": null}));
    check(
        vec![
            (Field::Attendees, Value::Empty),
            (Field::ShowAs, Value::Empty),
            (Field::Categories, Value::Texts(vec!["a".into()])),
            (Field::Custom("unknown".into()), Value::Text("x".into())),
        ],
        json!({}),
    );
    check(
        vec![(Field::Regarding, Value::Empty)],
        json!({"Comm_OpportunityId": null, "Comm_CaseId": null, "Comm_LeadID": null, "Comm_QuoteId": null,
            "Comm_OrderId": null, "Comm_SolutionId": null}),
    );
}

#[test]
fn long_text_is_cut_between_characters() {
    for (given, units, kept) in [
        ("abc", 3, json!("abc")),
        ("abcd", 3, json!("abc")),
        ("äöü", 2, json!("äö")),
        ("a🙂b", 3, json!("a🙂")),
        ("a🙂b", 2, json!("a")),
        ("🙂", 1, json!(null)),
        ("", 9, json!(null)),
    ] {
        assert_eq!(text(given, units), kept, "{given}");
    }
}

fn add(columns: Json) -> LinkWrite {
    LinkWrite::Add(object(columns))
}

fn change(id: u32, columns: Json) -> LinkWrite {
    LinkWrite::Change { id: id.to_string(), columns: object(columns) }
}

fn remove(id: u32) -> LinkWrite {
    LinkWrite::Remove { id: id.to_string() }
}

fn object(columns: Json) -> Columns {
    columns.as_object().cloned().unwrap()
}

fn planned(list: &[Json], wanted: &Appointment, scope: Scope) -> Vec<LinkWrite> {
    let organizer = wanted.organizer.as_ref().map(|person| Organizer::of(person, &people()));
    plan(&links(list), wanted, organizer.as_ref(), &people(), scope)
}

const ATTENDEES: Scope = Scope { organizer: false, attendees: true, regarding: false };

#[test]
fn a_new_row_gets_all_its_links() {
    assert_eq!(
        planned(&[], &full(), Scope::ALL),
        [
            add(json!({"CmLi_Comm_UserId": 11, "cmli_status": 6})),
            add(json!({"CmLi_IsExternalAttendee": "Y", "cmli_recipient": "ann@client.test", "cmli_status": 3})),
            add(json!({"CmLi_Comm_UserId": 12, "cmli_status": 0})),
            add(json!({"CmLi_Comm_CompanyId": 28})),
        ],
    );
    let mut draft = full();
    draft.organizer = Some(person("Boss", "boss@client.test"));
    draft.attendees.push(attendee("", "boss@client.test", None, Response::Organizer));
    draft.attendees.push(attendee("Only A Name", "", None, Response::None));
    let writes = planned(&[], &draft, Scope::ALL);
    assert_eq!(writes.len(), 3, "a strange organizer has no row, nor has who cannot be named: {writes:?}");
}

#[test]
fn link_rows_follow_the_attendees() {
    let susan = json!({"CmLi_Comm_UserId": 11, "cmli_status": 6});
    let terry = |status: i64| json!({"CmLi_Comm_UserId": 12, "cmli_status": status});
    let ann = |status: i64| json!({"CmLi_IsExternalAttendee": "Y", "cmli_recipient": "Ann@Client.test", "cmli_status": status});
    let nina = json!({"CmLi_Comm_UserId": 14});
    let unknown = json!({"CmLi_Comm_UserId": 99});
    let room = json!({"CmLi_Comm_UserId": 13});
    let room_of_acme = json!({"CmLi_Comm_UserId": 13, "CmLi_Comm_CompanyId": 28});
    let check = |list: &[Json], expected: &[LinkWrite], why: &str| {
        assert_eq!(planned(list, &full(), ATTENDEES), expected, "{why}");
    };
    check(&[susan.clone(), ann(3), terry(0)], &[], "nothing to do");
    check(&[susan.clone(), ann(3), terry(6)], &[], "the mark that some programs give everyone is no answer");
    check(
        &[susan.clone(), ann(0), terry(4)],
        &[change(9002, json!({"cmli_status": 3})), change(9003, json!({"cmli_status": 0}))],
        "answers",
    );
    check(&[susan.clone(), ann(3)], &[add(json!({"CmLi_Comm_UserId": 12, "cmli_status": 0}))], "one more");
    check(&[susan.clone(), ann(3), terry(0), room.clone()], &[remove(9004)], "one less");
    check(&[susan.clone(), ann(3), terry(0), nina, unknown], &[], "who has no address is the CRM's own affair");
    check(&[susan.clone(), ann(3), terry(0), terry(0)], &[], "a second row of the same person is left alone");
    let cleared =
        json!({"CmLi_Comm_UserId": null, "CmLi_IsExternalAttendee": null, "cmli_recipient": null, "cmli_status": null});
    check(&[susan.clone(), ann(3), terry(0), room_of_acme], &[change(9004, cleared)], "the company keeps its link");
    check(
        &[json!({"CmLi_Comm_UserId": 11}), ann(3), terry(0)],
        &[],
        "the organizer's mark is not forced on a row of the CRM's own",
    );
    let terry_outside = json!({"CmLi_IsExternalAttendee": "Y", "cmli_recipient": "terry@example.test"});
    check(&[susan, ann(3), terry_outside], &[], "a user who stands there as a stranger is not doubled");
}

#[test]
fn a_new_organizer_takes_the_mark_over() {
    let list = [
        json!({"CmLi_Comm_UserId": 11, "cmli_status": 6}),
        json!({"CmLi_Comm_UserId": 12}),
        json!({"CmLi_IsExternalAttendee": "Y", "cmli_recipient": "ann@client.test", "cmli_status": 3}),
    ];
    let mut wanted = full();
    wanted.organizer = Some(person("Terry", "terry@example.test"));
    wanted.attendees = vec![
        attendee("", "ann@client.test", None, Response::Accepted),
        attendee("", "susan@example.test", None, Response::None),
    ];
    let scope = Scope { organizer: true, attendees: true, regarding: false };
    assert_eq!(
        planned(&list, &wanted, scope),
        [change(9002, json!({"cmli_status": 6})), change(9001, json!({"cmli_status": 0}))]
    );
    wanted.attendees.pop();
    assert_eq!(planned(&list, &wanted, scope), [change(9002, json!({"cmli_status": 6})), remove(9001)]);
}

#[test]
fn links_to_records_follow_and_leave_people_alone() {
    let scope = Scope { organizer: false, attendees: false, regarding: true };
    let list = [
        json!({"CmLi_Comm_UserId": 11, "CmLi_Comm_CompanyId": 27, "CmLi_Comm_PersonId": 30}),
        json!({"CmLi_Comm_CompanyId": 26}),
        json!({"CmLi_Comm_CompanyId": 28, "CmLi_Comm_PersonId": 31}),
    ];
    assert_eq!(
        planned(&list, &full(), scope),
        [
            change(9001, json!({"CmLi_Comm_CompanyId": null, "CmLi_Comm_PersonId": null})),
            remove(9002),
            change(9003, json!({"CmLi_Comm_PersonId": null})),
        ],
    );
    let mut wanted = full();
    wanted.regarding.push(Link { entity: "person".into(), id: "31".into(), name: String::new() });
    assert_eq!(planned(&list[2..], &wanted, scope), []);
    assert_eq!(
        planned(&[], &wanted, scope),
        [add(json!({"CmLi_Comm_CompanyId": 28})), add(json!({"CmLi_Comm_PersonId": 31}))]
    );
}
