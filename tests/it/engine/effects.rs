//! Mail, cap and brake: what a write may cause.

use chrono::{DateTime, TimeDelta, Utc};
use daybridge::engine::{
    Answering, Brake, BrakeLimits, Braked, MailMeter, MailPlan, PairCounts, Restless, RestlessLimits, Rewrite,
    answered, mail_for_create, mail_for_delete, mail_for_update, mail_for_update_unsent, restless,
};
use daybridge::model::{
    Address, Appointment, Attendee, AttendeeKind, Body, Container, Field, Mail, MailBudget, Patch, Person, Response,
    UserId, Value,
};

use super::appointment;

fn attendee(name: &str) -> Attendee {
    let address = if name.starts_with('-') { String::new() } else { format!("{name}@example.test") };
    Attendee {
        person: Person { name: name.to_owned(), address: Address::new(&address) },
        user: None,
        kind: AttendeeKind::Required,
        response: Response::None,
        responded: None,
    }
}

/// A meeting of Ola's with these people; `-` before a name: no address.
fn meeting(people: &[&str]) -> Appointment {
    Appointment {
        organizer: Some(Person { name: "Ola".to_owned(), address: Address::new("ola@example.test") }),
        attendees: people.iter().map(|name| attendee(name)).collect(),
        ..appointment("Review")
    }
}

fn patch(set: impl IntoIterator<Item = (Field, Value)>) -> Patch {
    Patch { set: set.into_iter().collect() }
}

fn budget(invitations: u32, updates: u32, cancellations: u32) -> MailBudget {
    MailBudget { invitations, updates, cancellations }
}

#[test]
fn a_new_meeting_invites_each_address_once_and_nobody_else() {
    let rows: [(&[&str], bool, u32); 6] = [
        (&[], true, 0),
        (&["ann", "ben"], true, 2),
        (&["ann", "ANN"], true, 1),
        (&["ann", "-walk-in"], true, 1),
        (&["ann", "ola"], true, 1),
        (&["ann", "ben"], false, 0),
    ];
    for (people, allowed, invitations) in rows {
        let plan = mail_for_create(&meeting(people), allowed);
        let mail = if invitations == 0 { Mail::Silent } else { Mail::All };
        assert_eq!(plan, MailPlan { mail, budget: budget(invitations, 0, 0) }, "{people:?}, allowed: {allowed}");
    }
}

#[test]
fn a_changed_meeting_mails_by_what_changed() {
    let attendees = |people: &[&str]| (Field::Attendees, Value::Attendees(meeting(people).attendees));
    let text = |text: &str| Value::Text(text.to_owned());
    let rows = [
        ("nothing", patch([]), Mail::Silent, budget(0, 0, 0)),
        ("subject", patch([(Field::Subject, text("New"))]), Mail::All, budget(0, 2, 0)),
        ("place", patch([(Field::Location, text("Room 2"))]), Mail::All, budget(0, 2, 0)),
        ("text", patch([(Field::Body, Value::Body(Body::plain("x")))]), Mail::All, budget(0, 2, 0)),
        ("time", patch([(Field::Time, appointment("x").get(&Field::Time))]), Mail::All, budget(0, 2, 0)),
        ("reminder", patch([(Field::Reminder, Value::Minutes(5))]), Mail::Silent, budget(0, 0, 0)),
        ("categories", patch([(Field::Categories, Value::Texts(vec!["a".to_owned()]))]), Mail::Silent, budget(0, 0, 0)),
        ("one more", patch([attendees(&["ann", "ben", "cy"])]), Mail::Changed, budget(1, 0, 0)),
        ("one less", patch([attendees(&["ann"])]), Mail::Changed, budget(0, 0, 1)),
        ("another", patch([attendees(&["ann", "cy"])]), Mail::Changed, budget(1, 0, 1)),
        ("nobody left", patch([(Field::Attendees, Value::Empty)]), Mail::Changed, budget(0, 0, 2)),
        ("letter case", patch([attendees(&["Ann", "BEN"])]), Mail::Silent, budget(0, 0, 0)),
        (
            "people and place",
            patch([attendees(&["ann", "cy"]), (Field::Location, text("Room 2"))]),
            Mail::All,
            budget(1, 1, 1),
        ),
    ];
    for (what, patch, mail, budget) in rows {
        assert_eq!(mail_for_update(&meeting(&["ann", "ben"]), &patch, true), MailPlan { mail, budget }, "{what}");
        assert_eq!(mail_for_update(&meeting(&["ann", "ben"]), &patch, false), MailPlan::SILENT, "{what}, not allowed");
    }
}

#[test]
fn a_meeting_that_was_never_sent_invites_all_when_it_tells_anybody() {
    let attendees = |people: &[&str]| (Field::Attendees, Value::Attendees(meeting(people).attendees));
    let place = || (Field::Location, Value::Text("Room 2".to_owned()));
    let rows = [
        ("nothing", patch([]), 0),
        ("place", patch([place()]), 2),
        ("reminder", patch([(Field::Reminder, Value::Minutes(5))]), 0),
        ("one more", patch([attendees(&["ann", "ben", "cy"])]), 3),
        ("one less", patch([attendees(&["ann"])]), 0),
        ("nobody left", patch([(Field::Attendees, Value::Empty)]), 0),
        ("people and place", patch([attendees(&["ann", "cy", "di"]), place()]), 3),
    ];
    for (what, patch, invitations) in rows {
        let mail = if invitations == 0 { Mail::Silent } else { Mail::All };
        let plan = MailPlan { mail, budget: budget(invitations, 0, 0) };
        assert_eq!(mail_for_update_unsent(&meeting(&["ann", "ben"]), &patch, true), plan, "{what}");
        assert_eq!(mail_for_update_unsent(&meeting(&["ann", "ben"]), &patch, false), MailPlan::SILENT, "{what}");
    }
}

#[test]
fn a_removed_meeting_is_cancelled_once_with_each() {
    assert_eq!(
        mail_for_delete(&meeting(&["ann", "-walk-in"]), true),
        MailPlan { mail: Mail::All, budget: budget(0, 0, 1) }
    );
    assert_eq!(mail_for_delete(&meeting(&["ann"]), false), MailPlan::SILENT);
    assert_eq!(mail_for_delete(&meeting(&[]), true), MailPlan::SILENT);
}

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
}

#[test]
fn mails_of_an_hour_count_against_the_cap_and_then_no_more() {
    let mut meter = MailMeter::default();
    let rows = [
        (0, 6, true),
        (1, 4, true),
        (2, 1, false),
        (2, 0, true),
        (59, 1, false),
        (60, 6, true),
        (60, 1, false),
        (61, 4, true),
    ];
    for (minute, wanted, granted) in rows {
        assert_eq!(meter.ask(wanted, 10, at(minute)), granted, "{wanted} mails in minute {minute}");
    }
    assert!(!MailMeter::default().ask(u32::MAX, 10, at(0)));
}

#[test]
fn the_brake_holds_what_is_both_many_and_much() {
    let mailbox = |name: &str| Container::Mailbox(Address::new(&format!("{name}@example.test")));
    let limits = BrakeLimits { count: 10, count_overall: 1_000, fraction: 0.3, period: TimeDelta::hours(1) };
    let count = |mailbox| PairCounts { mailbox, overall: mailbox };
    // Pairs in the calendar, and how many may go within the hour.
    for (pairs, free) in [(0_u64, 10_usize), (12, 10), (33, 10), (40, 12), (1_000, 300)] {
        let mut brake = Brake::default();
        let mut left = pairs;
        let granted = (0..=free + 50)
            .take_while(|_| {
                let granted = brake.ask(&mailbox("ann"), count(left), at(0), limits).is_ok();
                left = left.saturating_sub(1);
                granted
            })
            .count();
        let spread = if pairs == 0 { 10 } else { free };
        assert_eq!(granted, spread, "of {pairs} pairs");
        assert_eq!(brake.ask(&mailbox("ann"), count(left), at(0), limits), Err(Braked::Mailbox));
        assert_eq!(brake.ask(&mailbox("ben"), count(1), at(0), limits), Ok(()), "another calendar is not held");
        assert_eq!(brake.ask(&mailbox("ann"), count(left), at(60), limits), Ok(()), "an hour later it is let go");
    }
}

#[test]
fn a_little_from_each_of_many_mailboxes_is_held_too() {
    let mailbox = |number: u32| Container::Mailbox(Address::new(&format!("m{number}@example.test")));
    let limits = BrakeLimits { count: 3, count_overall: 20, fraction: 0.1, period: TimeDelta::hours(1) };
    let pairs = PairCounts { mailbox: 10, overall: 100 };
    let mut brake = Brake::default();
    let granted = (0..50).filter(|number| brake.ask(&mailbox(number / 2), pairs, at(0), limits).is_ok()).count();
    assert_eq!(granted, 20);
    assert_eq!(brake.ask(&mailbox(99), pairs, at(1), limits), Err(Braked::Overall));
    // What was granted and not made is free again.
    brake.take_back(&mailbox(0));
    assert_eq!(brake.ask(&mailbox(99), pairs, at(1), limits), Ok(()));
    // The counts go on in the next run.
    let (of_mailbox, overall) = brake.counts(&mailbox(99));
    let mut next = Brake::new([(mailbox(99), of_mailbox)].into(), overall);
    assert_eq!(next.ask(&mailbox(99), pairs, at(2), limits), Err(Braked::Overall));
    assert_eq!(next.ask(&mailbox(99), pairs, at(60), limits), Ok(()));
}

#[test]
fn an_answer_counts_as_given_in_the_crm_if_it_moved_there_alone() {
    let with = |response| {
        let mut meeting = meeting(&["ann"]);
        meeting.attendees[0].response = response;
        meeting.attendees[0].user = Some(UserId("7".to_owned()));
        meeting
    };
    use Response::{Accepted, Declined, None as Open, Tentative};
    // The CRM as agreed and now, Exchange as agreed and now; whether the answer is to be sent.
    let rows = [
        ((Open, Accepted), (Open, Open), true),
        ((Open, Declined), (Open, Open), true),
        ((Accepted, Tentative), (Accepted, Accepted), true),
        ((Accepted, Open), (Accepted, Accepted), false),
        ((Open, Open), (Open, Accepted), false),
        ((Open, Accepted), (Open, Declined), false),
        ((Open, Accepted), (Accepted, Accepted), false),
        ((Accepted, Accepted), (Open, Open), false),
    ];
    for ((crm_agreed, crm), (exchange_agreed, exchange), sent) in rows {
        let [crm_agreed, crm, exchange_agreed, exchange] = [crm_agreed, crm, exchange_agreed, exchange].map(with);
        let copies =
            Answering { crm: &crm, crm_agreed: &crm_agreed, exchange: &exchange, exchange_agreed: &exchange_agreed };
        let found = answered(copies);
        let wanted = sent.then(|| (Address::new("ann@example.test"), crm.attendees[0].response));
        assert_eq!(found, wanted.into_iter().collect::<Vec<_>>(), "{:?}", copies.crm.attendees);
    }
    // Somebody who is no CRM user has no say there.
    let mut stranger = with(Accepted);
    stranger.attendees[0].user = Option::None;
    let open = with(Open);
    let copies = Answering { crm: &stranger, crm_agreed: &open, exchange: &open, exchange_agreed: &open };
    assert_eq!(answered(copies), []);
}

#[test]
fn a_field_that_goes_back_and_forth_is_noticed() {
    let limits = RestlessLimits { returns: 3, rewrites: 8, period: TimeDelta::hours(1) };
    let text = |text: &str| Value::Text(text.to_owned());
    // Values a field was given, one each so many minutes; and whether that is too much.
    let rows: [(&[&str], i64, Option<u32>); 6] = [
        (&["a", "b", "c", "d", "e"], 1, None),
        (&["a", "b", "a", "b"], 1, None),
        (&["a", "b", "a", "b", "a"], 1, Some(3)),
        (&["a", "b", "a", "b", "a"], 30, None),
        (&["a", "b", "c", "d", "e", "f", "g", "h", "i"], 1, Some(8)),
        (&["a", "b", "c", "d", "e", "f", "g", "h", "i"], 10, None),
    ];
    for (values, minutes, times) in rows {
        let values: Vec<Value> = values.iter().map(|value| text(value)).collect();
        let history: Vec<Rewrite<'_>> = (1..)
            .zip(values.windows(2))
            .map(|(number, pair)| Rewrite {
                at: at(number * minutes),
                field: &Field::Subject,
                old: &pair[0],
                new: &pair[1],
            })
            .collect();
        let now = at(minutes * values.len() as i64);
        let found = restless(&history, now, limits);
        assert_eq!(found, times.map(|times| Restless { field: Field::Subject, times }), "{values:?}");
    }
    // Two fields that each change a little are no fight.
    let (a, b) = (text("a"), text("b"));
    let calm = |field, old, new| Rewrite { at: at(0), field, old, new };
    let fields = [Field::Subject, Field::Location];
    let history: Vec<Rewrite<'_>> =
        fields.iter().flat_map(|field| [calm(field, &a, &b), calm(field, &b, &a), calm(field, &a, &b)]).collect();
    assert_eq!(restless(&history, at(1), limits), None);
}
