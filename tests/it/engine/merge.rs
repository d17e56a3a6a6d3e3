//! Every arm of the merge, field by field and person by person.

use std::collections::BTreeMap;

use daybridge::engine::{MergeInput, Merged, Policy, Winner, disturbed, merge, moved};
use daybridge::model::{
    Address, Appointment, Attendee, AttendeeKind, Body, Field, Patch, Person, Response, Scalar, Side, Value,
};
use daybridge::rules::Resolution;

use super::appointment;

/// Copies of one appointment; the rules are taken to change nothing on the way.
struct Copies {
    base: Option<Appointment>,
    crm: Appointment,
    exchange: Appointment,
}

struct Ways {
    to_exchange: bool,
    to_crm: bool,
    winner: Winner,
    unwritable: Vec<Field>,
    resolutions: BTreeMap<Field, Resolution>,
}

impl Default for Ways {
    fn default() -> Self {
        let (winner, resolutions) = (Winner::Crm, BTreeMap::new());
        Self { to_exchange: true, to_crm: true, winner, unwritable: Vec::new(), resolutions }
    }
}

fn merged(copies: &Copies, ways: &Ways) -> Merged {
    let base = copies.base.as_ref();
    let input = MergeInput {
        crm: &copies.crm,
        exchange: &copies.exchange,
        for_exchange: ways.to_exchange.then_some((&copies.crm, base)),
        for_crm: ways.to_crm.then_some((&copies.exchange, base)),
        exchange_unwritable: &ways.unwritable,
        crm_unwritable: &ways.unwritable,
        resolutions: &ways.resolutions,
    };
    merge(&input, &Policy { winner: ways.winner, ..Policy::default() })
}

fn with(set: impl IntoIterator<Item = (Field, Value)>) -> Appointment {
    let mut made = appointment("Review");
    for (field, value) in set {
        made.set(&field, value).expect("a value of the field's type");
    }
    made
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn pair(crm: Option<Value>, exchange: Option<Value>, base: Option<Value>, field: &Field) -> Copies {
    let of = |value: Option<Value>| with(value.map(|value| (field.clone(), value)));
    Copies { base: Some(of(base)), crm: of(crm), exchange: of(exchange) }
}

/// Two values of every field that the sync moves.
fn values() -> Vec<(Field, Value, Value)> {
    use daybridge::model::{Importance, Link, Sensitivity, ShowAs, Status};
    let later = {
        let day = chrono::NaiveDate::from_ymd_opt(2026, 12, 1).expect("a day");
        Value::Time(daybridge::model::Time::AllDay { first: day, last: day })
    };
    let much_later = {
        let day = chrono::NaiveDate::from_ymd_opt(2026, 12, 2).expect("a day");
        Value::Time(daybridge::model::Time::AllDay { first: day, last: day })
    };
    let link = |id: &str| Value::Links(vec![Link { entity: "company".into(), id: id.into(), name: "N".into() }]);
    vec![
        (Field::Subject, text("A"), text("B")),
        (Field::Body, Value::Body(Body::plain("A")), Value::Body(Body::plain("B"))),
        (Field::Location, text("A"), text("B")),
        (Field::Time, later, much_later),
        (Field::Reminder, Value::Minutes(5), Value::Minutes(15)),
        (Field::Sensitivity, Value::Sensitivity(Sensitivity::Private), Value::Sensitivity(Sensitivity::Personal)),
        (Field::ShowAs, Value::ShowAs(ShowAs::Free), Value::ShowAs(ShowAs::OutOfOffice)),
        (Field::Importance, Value::Importance(Importance::Low), Value::Importance(Importance::High)),
        (Field::Status, Value::Status(Status::Complete), Value::Status(Status::InProgress)),
        (Field::Categories, Value::Texts(vec!["A".into()]), Value::Texts(vec!["B".into()])),
        (Field::Regarding, link("1"), link("2")),
        (Field::Responses, text("A"), text("B")),
        (Field::Custom("level".into()), Value::Scalar(Scalar::Number(1)), Value::Scalar(Scalar::Number(2))),
    ]
}

#[test]
fn each_field_goes_where_it_was_not_moved() {
    for (field, a, b) in values() {
        let only = |patch: &Patch, value: &Value| patch.set == BTreeMap::from([(field.clone(), value.clone())]);
        let changed_in_crm = merged(&pair(Some(b.clone()), Some(a.clone()), Some(a.clone()), &field), &Ways::default());
        assert!(only(&changed_in_crm.to_exchange, &b) && changed_in_crm.to_crm.is_empty(), "{field}: CRM");
        assert!(changed_in_crm.conflicts.is_empty() && changed_in_crm.losers.is_empty(), "{field}: CRM");
        let in_exchange = merged(&pair(Some(a.clone()), Some(b.clone()), Some(a.clone()), &field), &Ways::default());
        assert!(only(&in_exchange.to_crm, &b) && in_exchange.to_exchange.is_empty(), "{field}: Exchange");
        let same = merged(&pair(Some(b.clone()), Some(b.clone()), Some(a.clone()), &field), &Ways::default());
        assert_eq!(same, Merged::default(), "{field}: both to the same value");
        let neither = merged(&pair(Some(a.clone()), Some(a.clone()), Some(a.clone()), &field), &Ways::default());
        assert_eq!(neither, Merged::default(), "{field}: nobody");
    }
}

#[test]
fn a_field_moved_on_both_sides_has_the_winner_that_was_asked_for() {
    for (field, a, b) in values() {
        // The base is the field's default, so both moved it.
        let base = with([]);
        let copies = Copies {
            base: Some(base),
            crm: with([(field.clone(), a.clone())]),
            exchange: with([(field.clone(), b.clone())]),
        };
        let by = |winner| merged(&copies, &Ways { winner, ..Ways::default() });
        let crm = by(Winner::Crm);
        assert_eq!((crm.to_exchange.set.get(&field), crm.to_crm.set.get(&field)), (Some(&a), None), "{field}");
        let lost = crm.losers.first().expect("what lost is kept");
        assert_eq!((lost.side, &lost.value, &lost.winner), (Side::Exchange, &b, &a), "{field}");
        let exchange = by(Winner::Exchange);
        assert_eq!(
            (exchange.to_exchange.set.get(&field), exchange.to_crm.set.get(&field)),
            (None, Some(&b)),
            "{field}"
        );
        let lost = exchange.losers.first().expect("what lost is kept");
        assert_eq!((lost.side, &lost.value, &lost.winner), (Side::Crm, &a, &b), "{field}");
        let conflict = exchange.conflicts.first().expect("it is told as a conflict");
        assert_eq!((&conflict.field, &conflict.crm, &conflict.exchange), (&field, &a, &b));

        let ruled = |resolution| {
            let resolutions = BTreeMap::from([(field.clone(), resolution)]);
            merged(&copies, &Ways { resolutions, ..Ways::default() })
        };
        assert_eq!(
            ruled(Resolution::Exchange).to_crm.set.get(&field),
            Some(&b),
            "{field}: a rule overrules the policy"
        );
        assert_eq!(ruled(Resolution::Crm).to_exchange.set.get(&field), Some(&a), "{field}");
        let own = ruled(Resolution::Value(a.clone()));
        assert_eq!((own.to_crm.set.get(&field), own.to_exchange.set.get(&field)), (None, Some(&a)), "{field}: its own");
        assert_eq!(own.losers.len(), 2, "{field}: both sides gave way to a rule's value");

        let unwritable = vec![field.clone()];
        let kept = merged(&copies, &Ways { unwritable, ..Ways::default() });
        assert!(kept.to_crm.is_empty() && kept.to_exchange.is_empty(), "{field}: nobody can write it");
    }
}

#[test]
fn a_direction_that_is_off_carries_nothing() {
    for (field, a, b) in values() {
        let copies = pair(Some(b.clone()), Some(a.clone()), Some(a.clone()), &field);
        assert_eq!(merged(&copies, &Ways { to_exchange: false, ..Ways::default() }), Merged::default(), "{field}");
        let copies = pair(Some(a.clone()), Some(b.clone()), Some(a.clone()), &field);
        assert_eq!(merged(&copies, &Ways { to_crm: false, ..Ways::default() }), Merged::default(), "{field}");
    }
}

#[test]
fn without_an_agreed_state_every_difference_is_a_conflict() {
    for (field, a, b) in values() {
        let copies = Copies {
            base: None,
            crm: with([(field.clone(), a.clone())]),
            exchange: with([(field.clone(), b.clone())]),
        };
        let out = merged(&copies, &Ways::default());
        assert_eq!(out.conflicts.len(), 1, "{field}");
        assert_eq!(out.to_exchange.set.get(&field), Some(&a), "{field}");
        assert!(out.to_crm.is_empty(), "{field}");
    }
}

#[test]
fn what_the_sync_never_moves_is_left_alone() {
    let ada = Person { name: "Ada".into(), address: Address::new("ada@example.test") };
    let rows = [
        (Field::Organizer, Value::Person(ada.clone())),
        (Field::OnlineMeeting, text("https://meet.example.test/1")),
        (Field::Recurrence, Value::Recurrence(daybridge::model::Recurrence { rule: "FREQ=DAILY".into() })),
    ];
    for (field, value) in rows {
        // A row without an organizer is one of the CRM's cut off in the making; so both have one here.
        let own = Value::Person(Person { name: "Ola".into(), address: Address::new("ola@example.test") });
        let base = with([(Field::Organizer, own.clone())]);
        let mut changed = base.clone();
        changed.set(&field, value).expect("fits");
        let copies = Copies { base: Some(base.clone()), crm: changed, exchange: base };
        assert_eq!(merged(&copies, &Ways::default()), Merged::default(), "{field}");
    }
    // The exception: the CRM's row was made without its people.
    let whole = with([(Field::Organizer, Value::Person(ada.clone()))]);
    let copies = Copies { base: Some(whole.clone()), crm: with([]), exchange: whole };
    assert_eq!(merged(&copies, &Ways::default()).to_crm.set.get(&Field::Organizer), Some(&Value::Person(ada)));
}

fn people(list: &[(&str, Response)]) -> Value {
    let attendee = |(name, response): &(&str, Response)| {
        let optional = name.starts_with('?');
        let name = name.trim_start_matches('?');
        let address = if name.starts_with('-') { String::new() } else { format!("{name}@example.test") };
        Attendee {
            person: Person { name: name.to_owned(), address: Address::new(&address) },
            user: None,
            kind: if optional { AttendeeKind::Optional } else { AttendeeKind::Required },
            response: *response,
            responded: None,
        }
    };
    let list: Vec<Attendee> = list.iter().map(attendee).collect();
    if list.is_empty() { Value::Empty } else { Value::Attendees(list) }
}

/// Names as in `people`, sorted; blank where the list is not written.
fn written(patch: &Patch) -> String {
    let Some(value) = patch.set.get(&Field::Attendees) else { return String::new() };
    let Value::Attendees(list) = value else { return "nobody".to_owned() };
    let name = |attendee: &Attendee| {
        let optional = if attendee.kind == AttendeeKind::Optional { "?" } else { "" };
        let response = match attendee.response {
            Response::Accepted => "+",
            Response::Declined => "!",
            Response::None | Response::Tentative | Response::Organizer => "",
        };
        format!("{optional}{}{response}", attendee.person.name)
    };
    let mut names: Vec<String> = list.iter().map(name).collect();
    names.sort();
    names.join(" ")
}

#[test]
fn attendees_are_merged_person_by_person() {
    use Response::{Accepted, Declined, None as Open};
    type People<'a> = &'a [(&'a str, Response)];
    // What happened; agreed, CRM, Exchange; written to the CRM, to Exchange.
    type Row<'a> = (&'a str, Option<People<'a>>, People<'a>, People<'a>, &'a str, &'a str);
    let rows: &[Row] = &[
        ("nothing", Some(&[("ann", Open)]), &[("ann", Open)], &[("ann", Open)], "", ""),
        ("added in the CRM", Some(&[("ann", Open)]), &[("ann", Open), ("ben", Open)], &[("ann", Open)], "", "ann ben"),
        ("added in Outlook", Some(&[("ann", Open)]), &[("ann", Open)], &[("ann", Open), ("cy", Open)], "ann cy", ""),
        (
            "added on both sides",
            Some(&[("ann", Open)]),
            &[("ann", Open), ("ben", Open)],
            &[("ann", Open), ("cy", Open)],
            "ann ben cy",
            "ann ben cy",
        ),
        (
            "removed in the CRM",
            Some(&[("ann", Open), ("ben", Open)]),
            &[("ann", Open)],
            &[("ann", Open), ("ben", Open)],
            "",
            "ann",
        ),
        (
            "removed in Outlook",
            Some(&[("ann", Open), ("ben", Open)]),
            &[("ann", Open), ("ben", Open)],
            &[("ben", Open)],
            "ben",
            "",
        ),
        (
            "one removed here, another there",
            Some(&[("ann", Open), ("ben", Open), ("cy", Open)]),
            &[("ben", Open), ("cy", Open)],
            &[("ann", Open), ("cy", Open)],
            "cy",
            "cy",
        ),
        ("the last one removed", Some(&[("ann", Open)]), &[], &[("ann", Open)], "", "nobody"),
        ("answered in Outlook", Some(&[("ann", Open)]), &[("ann", Open)], &[("ann", Accepted)], "ann+", ""),
        ("an answer never travels to Exchange", Some(&[("ann", Open)]), &[("ann", Declined)], &[("ann", Open)], "", ""),
        ("made optional in the CRM", Some(&[("ann", Open)]), &[("?ann", Open)], &[("ann", Open)], "", "?ann"),
        ("made optional in Outlook", Some(&[("ann", Open)]), &[("ann", Open)], &[("?ann", Open)], "?ann", ""),
        (
            "removed in the CRM while answering",
            Some(&[("ann", Open), ("ben", Open)]),
            &[("ben", Open)],
            &[("ann", Accepted), ("ben", Open)],
            "",
            "ben",
        ),
        ("no address, so the CRM's alone", Some(&[]), &[("-walk-in", Open), ("ann", Open)], &[], "", "ann"),
        ("other letter case", Some(&[("ann", Open)]), &[("ANN", Open)], &[("ann", Open)], "", ""),
        ("never agreed, answered in Outlook", None, &[("ann", Open)], &[("ann", Accepted)], "ann+", ""),
        ("never agreed, not answered in Outlook", None, &[("ann", Accepted)], &[("ann", Open)], "", ""),
        ("never agreed: all of both", None, &[("ann", Open)], &[("ben", Open)], "ann ben", "ann ben"),
    ];
    for (what, base, crm, exchange, to_crm, to_exchange) in rows {
        let of = |list: &[(&str, Response)]| with([(Field::Attendees, people(list))]);
        let copies = Copies { base: base.map(of), crm: of(crm), exchange: of(exchange) };
        let out = merged(&copies, &Ways::default());
        assert_eq!(
            (written(&out.to_crm).as_str(), written(&out.to_exchange).as_str()),
            (*to_crm, *to_exchange),
            "{what}"
        );
        assert!(out.conflicts.is_empty() && out.losers.is_empty(), "{what}: people never conflict");
    }
}

#[test]
fn a_change_in_another_field_says_nothing_of_this_one() {
    let base = with([(Field::Location, text("A")), (Field::Subject, text("S"))]);
    let crm = with([(Field::Location, text("B")), (Field::Subject, text("S"))]);
    let exchange = with([(Field::Location, text("A")), (Field::Subject, text("T"))]);
    assert_eq!(moved(&base, &crm).into_iter().collect::<Vec<_>>(), [Field::Location]);
    let out = merged(&Copies { base: Some(base), crm, exchange }, &Ways::default());
    assert_eq!(out.to_exchange.names(), ["location"]);
    assert_eq!(out.to_crm.names(), ["subject"]);
}

#[test]
fn a_patch_that_disturbs_another_field_through_the_rules_is_noticed() {
    // The rules make the subject of the first line of the text.
    let before = with([(Field::Subject, text("Old")), (Field::Body, Value::Body(Body::plain("Old\nmore")))]);
    let after = with([(Field::Subject, text("New")), (Field::Body, Value::Body(Body::plain("New\nmore")))]);
    let other = with([(Field::Subject, text("Old")), (Field::Body, Value::Body(Body::plain("New\nmore")))]);
    assert_eq!(disturbed(&before, &after, &other).into_iter().collect::<Vec<_>>(), [Field::Subject]);
    assert!(disturbed(&before, &after, &after).is_empty());
    assert!(disturbed(&before, &before, &other).is_empty());
}

#[test]
fn without_an_agreed_state_what_a_rule_keeps_from_one_side_is_not_taken_from_the_other() {
    let crm = with([(Field::Location, text("Plant 3"))]);
    let exchange = with([]);
    // The rules leave the location out on the way to Exchange, which therefore shows none.
    let ways = Ways::default();
    let input = MergeInput {
        crm: &crm,
        exchange: &exchange,
        for_exchange: Some((&exchange, None)),
        for_crm: Some((&exchange, None)),
        exchange_unwritable: &[],
        crm_unwritable: &[],
        resolutions: &ways.resolutions,
    };
    let merged = merge(&input, &Policy::default());
    assert!(merged.to_crm.is_empty() && merged.to_exchange.is_empty(), "{:?} {:?}", merged.to_crm, merged.to_exchange);
}
