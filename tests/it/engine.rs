//! The decisions as pure functions: presence, fields, mail, brake, table by table.

mod effects;
mod merge;
mod planner;
mod series;

use daybridge::model::{Address, Appointment, Container, Item, ItemRef, Role, Seen, Side, Time, Version, Zone};

/// An appointment on a day nobody cares about.
fn appointment(subject: &str) -> Appointment {
    let at = |hour: u32| {
        chrono::NaiveDate::from_ymd_opt(2026, 11, 24).and_then(|day| day.and_hms_opt(hour, 0, 0)).expect("a time")
    };
    Appointment::new(subject, Time::timed(at(9).and_utc(), at(10).and_utc(), Zone::UTC))
}

fn present(side: Side, role: Role) -> Seen {
    let container = match side {
        Side::Crm => Container::Crm,
        Side::Exchange => Container::Mailbox(Address::new("susan.maye@example.test")),
    };
    Seen::Present(Box::new(Item {
        at: ItemRef { container, id: "1".to_owned() },
        version: Version("1".to_owned()),
        uid: None,
        stamp: None,
        role,
        sent: true,
        series: None,
        appointment: appointment("Review"),
    }))
}
