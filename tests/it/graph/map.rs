//! Events to appointments and back, table by table.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use daybridge::connector::graph::recurrence::{read, rule, written};
use daybridge::connector::graph::wire::{entity_tag, expand, filter_property, property_id};
use daybridge::connector::graph::{map, write};
use daybridge::connector::property::{NamedProperty, PropertyKind, STAMP_SET};
use daybridge::model::recurrence::Rule;
use daybridge::model::{
    Address, Appointment, Attendee, AttendeeKind, Field, Importance, Key, Person, Response, Role, Scalar, Sensitivity,
    ShowAs, Status, Time, Zone,
};
use serde_json::{Value, json};

use super::{config, event, susan};

fn appointment(more: Value) -> Appointment {
    map::appointment(&event(more), None, &config()).unwrap()
}

fn time(text: &str) -> Value {
    json!({"dateTime": text, "timeZone": "UTC"})
}

fn utc(text: &str) -> chrono::DateTime<chrono::Utc> {
    text.parse().unwrap()
}

fn days(first: &str, last: &str) -> Time {
    Time::AllDay { first: first.parse().unwrap(), last: last.parse().unwrap() }
}

#[test]
fn fields_and_words_are_read() {
    let shown = appointment(json!({
        "subject": "Quarterly", "location": {"displayName": "Room 2"}, "categories": ["Red", "Blue", "Red"],
        "isReminderOn": true, "reminderMinutesBeforeStart": 30, "sensitivity": "private", "showAs": "oof",
        "importance": "high", "isCancelled": true, "onlineMeeting": {"joinUrl": "https://join.example.test/1"},
        "body": {"contentType": "text", "content": "two\r\nlines\r\n"}, "originalStartTimeZone": "Romance Standard Time",
        "organizer": {"emailAddress": {"name": "Susan Maye", "address": "Susan.Maye@example.test"}},
        "unknownOfTheFuture": {"x": 1}, "seriesMasterId": null, "recurrence": null,
    }));
    assert_eq!(
        (shown.subject.as_str(), shown.location.as_str(), shown.body.text.as_str()),
        ("Quarterly", "Room 2", "two\nlines")
    );
    assert_eq!(shown.categories, ["Blue", "Red"]);
    assert_eq!(
        (shown.reminder_minutes, shown.sensitivity, shown.show_as),
        (Some(30), Sensitivity::Private, ShowAs::OutOfOffice)
    );
    assert_eq!((shown.importance, shown.status), (Importance::High, Status::Cancelled));
    assert_eq!(shown.online_meeting.as_deref(), Some("https://join.example.test/1"));
    assert_eq!(shown.organizer.unwrap().address, susan());
    let Time::Timed(span) = shown.time else { panic!() };
    assert_eq!((span.start, span.zone), (utc("2027-02-08T08:00:00Z"), Zone::Iana(Tz::Europe__Paris)));
    let bare =
        appointment(json!({"isReminderOn": false, "reminderMinutesBeforeStart": 15, "subject": null, "body": null}));
    assert_eq!((bare.subject.as_str(), bare.reminder_minutes, bare.sensitivity), ("", None, Sensitivity::Normal));
    assert_eq!(bare.recurrence, None);
}

#[test]
fn an_html_body_is_shown_as_text_and_kept() {
    let shown = appointment(json!({"body": {"contentType": "html", "content": "<p>Hello <b>you</b></p><p>two</p>"}}));
    assert_eq!(shown.body.text, "Hello you\n\ntwo");
    assert!(shown.body.html.unwrap().contains("<b>you</b>"));
}

#[test]
fn all_day_dates_come_from_the_zone_the_event_was_made_in_or_the_mailboxes() {
    // Midnights of the zone, as UTC shows them.
    for (zone, home, start, end, expected) in [
        (
            Some("W. Europe Standard Time"),
            None,
            "2027-02-07T23:00:00.0000000",
            "2027-02-08T23:00:00.0000000",
            days("2027-02-08", "2027-02-08"),
        ),
        (
            Some("Eastern Standard Time"),
            None,
            "2027-02-08T05:00:00",
            "2027-02-11T05:00:00",
            days("2027-02-08", "2027-02-10"),
        ),
        (
            Some("Line Islands Standard Time"),
            None,
            "2027-02-07T10:00:00",
            "2027-02-08T10:00:00",
            days("2027-02-08", "2027-02-08"),
        ),
        (Some("UTC-11"), None, "2027-02-08T11:00:00", "2027-02-09T11:00:00", days("2027-02-08", "2027-02-08")),
        (
            Some("tzone://Microsoft/Utc"),
            None,
            "2027-02-08T00:00:00",
            "2027-02-09T00:00:00",
            days("2027-02-08", "2027-02-08"),
        ),
        (
            Some("tzone://Microsoft/Custom"),
            Some(Tz::Pacific__Kiritimati),
            "2027-02-07T10:00:00",
            "2027-02-08T10:00:00",
            days("2027-02-08", "2027-02-08"),
        ),
        (
            None,
            Some(Tz::Europe__Berlin),
            "2027-03-27T23:00:00",
            "2027-03-28T22:00:00",
            days("2027-03-28", "2027-03-28"),
        ),
        (None, None, "2027-02-08T00:00:00", "2027-02-09T00:00:00", days("2027-02-08", "2027-02-08")),
    ] {
        let shown =
            event(json!({"isAllDay": true, "start": time(start), "end": time(end), "originalStartTimeZone": zone}));
        assert_eq!(map::appointment(&shown, home, &config()).unwrap().time, expected, "{zone:?} {home:?}");
    }
}

#[test]
fn s51_a_zone_no_table_knows_is_kept_and_never_guessed() {
    for name in ["tzone://Microsoft/Custom", "Customized Time Zone"] {
        let Time::Timed(span) = appointment(json!({"originalStartTimeZone": name})).time else { panic!() };
        assert_eq!((span.start, span.zone.clone()), (utc("2027-02-08T08:00:00Z"), Zone::Unknown(name.into())));
        let mut again = Appointment::new("x", Time::Timed(span));
        again.subject = "moved".into();
        let written = map::changes(&again, &[Field::Time], Tz::UTC, &config());
        // Wall time of a zone nobody knows cannot be told: the instant is.
        assert_eq!(written["start"], time("2027-02-08T08:00:00"));
    }
}

#[test]
fn an_answer_in_a_zone_is_understood() {
    let start = json!({"dateTime": "2027-07-08T09:00:00.0000000", "timeZone": "W. Europe Standard Time"});
    let end = json!({"dateTime": "2027-07-08T10:00:00.0000000", "timeZone": "Europe/Berlin"});
    let Time::Timed(span) = appointment(json!({"start": start, "end": end})).time else { panic!() };
    assert_eq!((span.start, span.end), (utc("2027-07-08T07:00:00Z"), utc("2027-07-08T08:00:00Z")));
    let strange = json!({"start": {"dateTime": "2027-07-08T09:00:00", "timeZone": "Middle Earth"}});
    assert!(map::appointment(&event(strange), None, &config()).is_err(), "never guessed");
}

#[test]
fn times_are_written_in_their_zone_unless_wall_time_is_ambiguous() {
    let span =
        |start: &str, end: &str, zone| Appointment::new("x", Time::timed(utc(start), utc(end), Zone::Iana(zone)));
    let written = |a: &Appointment| {
        let all = map::changes(a, &[Field::Time], Tz::Asia__Tokyo, &config());
        (all["start"].clone(), all["end"].clone(), all["isAllDay"].clone())
    };
    let at = |text: &str, zone: &str| json!({"dateTime": text, "timeZone": zone});
    let berlin = span("2027-07-08T07:00:00Z", "2027-07-08T08:00:00Z", Tz::Europe__Berlin);
    let zone = "W. Europe Standard Time";
    assert_eq!(written(&berlin), (at("2027-07-08T09:00:00", zone), at("2027-07-08T10:00:00", zone), json!(false)));
    // 00:30 and 01:30 UTC are both 02:30 in Berlin on that morning.
    let fold = span("2027-10-31T01:30:00Z", "2027-10-31T02:30:00Z", Tz::Europe__Berlin);
    assert_eq!(written(&fold), (at("2027-10-31T01:30:00", "UTC"), at("2027-10-31T03:30:00", zone), json!(false)));
    let day = Appointment::new("x", days("2027-02-08", "2027-02-10"));
    let tokyo = "Tokyo Standard Time";
    assert_eq!(written(&day), (at("2027-02-08T00:00:00", tokyo), at("2027-02-11T00:00:00", tokyo), json!(true)));
}

#[test]
fn attendees_are_sorted_once_each_and_without_the_organizer() {
    let person = |name: &str, address: &str| json!({"name": name, "address": address});
    let shown = appointment(json!({
        "organizer": {"emailAddress": person("Susan", "susan.maye@example.test")},
        "attendees": [
            {"emailAddress": person("Zoe", "zoe@client.test"), "type": "optional", "status": {"response": "accepted", "time": "2027-02-01T08:00:00Z"}},
            {"emailAddress": person("Ann", "Ann@client.test"), "type": "resource", "status": {"response": "none", "time": "0001-01-01T00:00:00Z"}},
            {"emailAddress": person("Ann", "ann@client.test"), "type": "required", "status": {"response": "tentativelyAccepted"}},
            {"emailAddress": person("Susan", "SUSAN.MAYE@example.test"), "type": "required"},
        ],
    }));
    let short: Vec<_> = shown
        .attendees
        .iter()
        .map(|a| (a.person.address.as_str(), a.kind, a.response, a.responded.is_some()))
        .collect();
    assert_eq!(
        short,
        [
            ("ann@client.test", AttendeeKind::Required, Response::Tentative, false),
            ("zoe@client.test", AttendeeKind::Optional, Response::Accepted, true)
        ]
    );
}

#[test]
fn whose_copy_it_is() {
    let attendees = json!([{"emailAddress": {"name": "", "address": "terry.smith@example.test"}, "type": "required"}]);
    let organizer = json!({"emailAddress": {"name": "", "address": "susan.maye@example.test"}});
    for (more, expected) in [
        (json!({}), Role::Organizer),
        (json!({"attendees": attendees, "isOrganizer": true}), Role::Organizer),
        (json!({"attendees": attendees, "isOrganizer": false}), Role::Attendee),
        (json!({"attendees": attendees, "isOrganizer": null, "organizer": organizer}), Role::Organizer),
        (
            json!({"attendees": attendees, "isOrganizer": null, "responseStatus": {"response": "organizer"}}),
            Role::Organizer,
        ),
        (json!({"attendees": [], "isOrganizer": false}), Role::Attendee),
    ] {
        assert_eq!(map::role(&event(more.clone()), &susan()), expected, "{more}");
    }
    let own = event(
        json!({"attendees": attendees, "isOrganizer": false, "responseStatus": {"response": "accepted", "time": "2027-02-01T08:00:00Z"}}),
    );
    let terry = Address::new("terry.smith@example.test");
    let item = map::item(&own, &terry, None, &config()).unwrap();
    assert_eq!(
        item.appointment.attendees[0].response,
        Response::Accepted,
        "the owner's own answer stands apart from the list"
    );
}

#[test]
fn versions_come_from_the_change_key_or_the_tag() {
    assert_eq!(event(json!({})).version().as_deref(), Some("DwA1"));
    let tag = event(json!({"changeKey": null, "@odata.etag": entity_tag("DwA2")}));
    assert_eq!(tag.version().as_deref(), Some("DwA2"));
    assert!(map::item(&event(json!({"changeKey": null})), &susan(), None, &config()).is_err());
}

#[test]
fn the_stamp_is_the_property_that_ews_writes() {
    let id = property_id(&NamedProperty::stamp());
    assert_eq!(id, format!("String {{{STAMP_SET}}} Name DaybridgeKey"));
    let shown = event(json!({"singleValueExtendedProperties": [
        {"id": id.to_uppercase().replace("DAYBRIDGEKEY", "DaybridgeKey"), "value": "crm:4711"}, {"id": "Boolean {x} Name y", "value": true},
    ]}));
    assert_eq!(map::stamp(&shown, &config()), Some(Key::Crm("4711".into())));
    let filter = filter_property(&NamedProperty::stamp(), "uid:it's");
    assert!(filter.ends_with("Name DaybridgeKey' and ep/value eq 'uid:it''s')"), "{filter}");
    let numbered =
        NamedProperty { set: "Appointment".into(), name: None, id: Some(0x8208), kind: PropertyKind::Integer };
    assert_eq!(property_id(&numbered), "Integer {00062002-0000-0000-c000-000000000046} Id 0x8208");
    assert!(expand([&numbered, &NamedProperty::stamp()]).contains("Id 0x8208' or id eq 'String"));
}

#[test]
fn what_is_written_says_all_that_was_meant() {
    let mut config = config();
    let own = |kind| NamedProperty { set: "PublicStrings".into(), name: Some(format!("{kind:?}")), id: None, kind };
    config.fields = BTreeMap::from([
        ("flag".to_owned(), own(PropertyKind::Boolean)),
        ("count".to_owned(), own(PropertyKind::Integer)),
        ("text".to_owned(), own(PropertyKind::String)),
    ]);
    let mut draft = Appointment::new("one\ntwo", days("2027-02-08", "2027-02-08"));
    draft.attendees = vec![
        Attendee {
            person: Person { name: "Ann".into(), address: Address::new("ann@client.test") },
            user: None,
            kind: AttendeeKind::Optional,
            response: Response::None,
            responded: None,
        },
        Attendee {
            person: Person { name: "No Mail".into(), address: Address::default() },
            user: None,
            kind: AttendeeKind::Required,
            response: Response::None,
            responded: None,
        },
    ];
    draft.reminder_minutes = Some(u32::MAX);
    draft.custom = BTreeMap::from([
        ("flag".into(), Scalar::Number(1)),
        ("count".into(), Scalar::Text(" 7 ".into())),
        ("other".into(), Scalar::Flag(true)),
    ]);
    let token = write::transaction(&Key::Crm("1".into()), &susan(), 0);
    let all = map::new_event(&draft, &Key::Crm("1".into()), &token, Tz::UTC, &config);
    assert_eq!((&all["subject"], &all["transactionId"]), (&json!("one two"), &json!(token)));
    assert_eq!(
        all["attendees"],
        json!([{"emailAddress": {"name": "Ann", "address": "ann@client.test"}, "type": "optional"}])
    );
    assert_eq!(all["reminderMinutesBeforeStart"], 2_629_800);
    let values: Vec<_> =
        all["singleValueExtendedProperties"].as_array().unwrap().iter().map(|own| own["value"].clone()).collect();
    assert_eq!(values, [json!("7"), json!("true"), json!("crm:1")]);
    for absent in ["organizer", "recurrence", "isCancelled", "onlineMeeting"] {
        assert!(all.get(absent).is_none(), "{absent}");
    }
    // Taken away later: the property is emptied.
    draft.custom.clear();
    let less = map::changes(&draft, &[Field::Custom("count".into()), Field::Reminder], Tz::UTC, &config);
    assert_eq!(less["singleValueExtendedProperties"][0]["value"], Value::Null);
}

#[test]
fn the_token_of_a_create_is_the_same_for_a_repeat_alone() {
    let token = |key: &str, mailbox: &str, generation| {
        write::transaction(&Key::Crm(key.into()), &Address::new(mailbox), generation)
    };
    assert_eq!(token("1", "a@example.test", 0), token("1", "A@example.test", 0));
    let others = [token("2", "a@example.test", 0), token("1", "b@example.test", 0), token("1", "a@example.test", 1)];
    assert!(others.iter().all(|other| *other != token("1", "a@example.test", 0)));
}

#[test]
fn recurrences_are_recognised_and_written_as_they_were_read() {
    let table = [
        (
            json!({"pattern": {"type": "daily", "interval": 1}, "range": {"type": "noEnd", "startDate": "2027-02-08"}}),
            "FREQ=DAILY",
        ),
        (
            json!({"pattern": {"type": "weekly", "interval": 2, "daysOfWeek": ["monday", "friday"], "firstDayOfWeek": "sunday"}, "range": {"type": "numbered", "numberOfOccurrences": 10}}),
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR;WKST=SU;COUNT=10",
        ),
        (
            json!({"pattern": {"type": "absoluteMonthly", "interval": 1, "dayOfMonth": 31}, "range": {"type": "endDate", "endDate": "2027-12-31"}}),
            "FREQ=MONTHLY;BYMONTHDAY=28,29,30,31;BYSETPOS=-1;UNTIL=20271231",
        ),
        (
            json!({"pattern": {"type": "relativeMonthly", "interval": 3, "daysOfWeek": ["tuesday"], "index": "last"}, "range": {"type": "noEnd"}}),
            "FREQ=MONTHLY;INTERVAL=3;BYDAY=-1TU",
        ),
        (
            json!({"pattern": {"type": "relativeMonthly", "interval": 1, "daysOfWeek": ["saturday", "sunday"]}, "range": {"type": "noEnd"}}),
            "FREQ=MONTHLY;BYDAY=SA,SU;BYSETPOS=1",
        ),
        (
            json!({"pattern": {"type": "absoluteYearly", "interval": 1, "dayOfMonth": 8, "month": 2}, "range": {"type": "noEnd"}}),
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=8",
        ),
        (
            json!({"pattern": {"type": "relativeYearly", "interval": 2, "daysOfWeek": ["monday"], "index": "second", "month": 5}, "range": {"type": "noEnd"}}),
            "FREQ=YEARLY;INTERVAL=2;BYMONTH=5;BYDAY=2MO",
        ),
        (
            json!({"pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"]}, "range": {"type": "noEnd"}}),
            "FREQ=WEEKLY;BYDAY=MO;WKST=SU",
        ),
        (json!({"pattern": {"type": "daily", "interval": 1}}), "X-GRAPH=daily"),
        (json!({"pattern": {"type": "daily", "interval": 0}, "range": {"type": "noEnd"}}), "X-GRAPH=daily"),
        (json!({"pattern": {"type": "daily", "interval": 1}, "range": {"type": "someDay"}}), "X-GRAPH=daily"),
        (json!({"pattern": {"type": "hourly", "interval": 1}}), "X-GRAPH=hourly"),
        (json!({"pattern": {"type": "weekly", "interval": 1, "daysOfWeek": []}}), "X-GRAPH=weekly"),
        (json!({}), "X-GRAPH=nothing"),
    ];
    for (recurrence, expected) in table {
        assert_eq!(rule(&serde_json::from_value(recurrence).unwrap()), expected);
        // What is understood is written as it was read.
        if let Some(rule) = Rule::parse(expected) {
            let written = written(rule, "2027-02-08".parse().unwrap(), "UTC");
            assert_eq!(
                (&written["range"]["startDate"], &written["range"]["recurrenceTimeZone"]),
                (&json!("2027-02-08"), &json!("UTC"))
            );
            assert_eq!(read(&serde_json::from_value(written).unwrap()), Some(rule), "{expected}");
        }
        assert!(
            appointment(json!({"recurrence": {"pattern": {"type": "hourly"}}})).recurrence.is_some(),
            "never dropped"
        );
    }
}
