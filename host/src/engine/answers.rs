//! Answers that CRM users gave in the CRM and that are to be sent from their own copies.
//!
//! In the CRM an answer is the status of the user's link row. It counts as given there if it moved since both sides last
//! agreed while Exchange's did not: where both moved, the person's own calendar is right. Promises: pure. Must not know:
//! mailboxes, how an answer is sent.

use crate::model::{Address, Appointment, Attendee, Response};

/// Both copies now and as last agreed.
#[derive(Clone, Copy, Debug)]
pub struct Answering<'a> {
    pub crm: &'a Appointment,
    pub crm_agreed: &'a Appointment,
    pub exchange: &'a Appointment,
    pub exchange_agreed: &'a Appointment,
}

/// Who answered what in the CRM.
pub fn answered(copies: Answering<'_>) -> Vec<(Address, Response)> {
    let given = |attendee: &&Attendee| {
        let address = &attendee.person.address;
        let (before, shown, agreed) =
            (of(copies.crm_agreed, address), of(copies.exchange, address), of(copies.exchange_agreed, address));
        let answer = matches!(attendee.response, Response::Tentative | Response::Accepted | Response::Declined);
        answer
            && attendee.user.is_some()
            && before.is_some_and(|before| before != attendee.response)
            && shown.is_some()
            && shown == agreed
            && shown != Some(attendee.response)
    };
    let attendees = copies.crm.attendees.iter().filter(given);
    attendees.map(|attendee| (attendee.person.address.clone(), attendee.response)).collect()
}

fn of(appointment: &Appointment, address: &Address) -> Option<Response> {
    let found = appointment.attendees.iter().find(|attendee| attendee.person.address == *address);
    found.filter(|_| !address.is_empty()).map(|attendee| attendee.response)
}
