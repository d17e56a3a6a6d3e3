//! A rule of usual size, for benchmarks: marks the subject, maps a custom column, counts the answers into the body.
//! `tests/bench` has the same logic in JavaScript and for another plugin host; a change here is a change there.

use daybridge_rule::prelude::*;

struct Mapping;

impl Rule for Mapping {
    fn describe() -> Description {
        Description::new("Does what implementers usually want")
            .reads(["subject", "body", "location", "attendees", "show-as", "categories", "custom.customer"])
            .setting(Setting::text("tag", "[CRM] ", "Before the subject"))
    }

    fn apply(context: &Context, source: &Appointment, draft: &mut Draft) -> Answer {
        if source.subject.trim().is_empty() {
            return refuse("no-subject", "Give the appointment a subject");
        }
        let tag = context.setting_text("tag");
        if !draft.subject.starts_with(&tag) {
            draft.subject = format!("{tag}{}", draft.subject);
        }
        let count = |response| source.attendees.iter().filter(|attendee| attendee.response == response).count();
        let (accepted, declined) = (count(Response::Accepted), count(Response::Declined));
        if let Some(Scalar::Text(customer)) = source.custom.get("customer") {
            draft.add_category(format!("Customer: {customer}"));
            draft.body = format!("{}\n\nCustomer: {customer}\nAccepted: {accepted}, declined: {declined}", draft.body);
        }
        if source.attendees.iter().any(|attendee| attendee.kind == AttendeeKind::Resource) {
            draft.show_as = ShowAs::OutOfOffice;
        }
        if draft.location.is_empty() {
            draft.location = "Office".to_owned();
        }
        pass()
    }
}

export!(Mapping);
