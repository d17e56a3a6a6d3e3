//! Collects what attendees answered in Exchange for the CRM's column "Responses From Exchange".

use daybridge_rule::prelude::*;

struct Responses;

impl Rule for Responses {
    fn describe() -> Description {
        Description::new("Lists the attendees' answers in the CRM's responses column")
            .directions([Direction::ExchangeToCrm])
            .reads(["attendees", "responses"])
    }

    fn apply(_: &Context, source: &Appointment, draft: &mut Draft) -> Answer {
        let mut lines: Vec<String> = source.attendees.iter().filter_map(line).collect();
        lines.sort();
        draft.responses = lines.join("\n");
        pass()
    }
}

/// One attendee's answer; nothing for who has not answered.
fn line(attendee: &Attendee) -> Option<String> {
    let answer = match attendee.response {
        Response::Accepted => "accepted",
        Response::Tentative => "tentatively accepted",
        Response::Declined => "declined",
        Response::None | Response::Organizer => return None,
    };
    let name = if attendee.name.trim().is_empty() { &attendee.address } else { &attendee.name };
    Some(format!("{}: {answer}", name.trim()))
}

export!(Responses);

#[cfg(test)]
mod tests {
    use daybridge_rule::native::Test;

    use super::*;

    #[test]
    fn one_line_for_each_answer_sorted_by_name() {
        let source = Appointment {
            attendees: vec![
                Attendee::new("Terry Smith", "terry@example.com").answered(Response::Accepted),
                Attendee::new("Mary Jones", "mary@example.com"),
                Attendee::new("", "room4@example.com").answered(Response::Tentative),
                Attendee::new("Anna Ek", "anna@example.com").answered(Response::Declined),
            ],
            ..Appointment::new("Budget")
        };
        let draft = Test::<Responses>::exchange_to_crm().draft(&source);
        assert_eq!(
            draft.responses,
            "Anna Ek: declined\nTerry Smith: accepted\nroom4@example.com: tentatively accepted"
        );
        let nobody = Appointment::new("Budget");
        assert_eq!(Test::<Responses>::exchange_to_crm().draft(&nobody), Draft::of(&nobody));
    }
}
