//! What the CRM's status means in Exchange: cancelled removes the appointment, complete says that nobody needs to hear of it.
//!
//! The status itself stays in the CRM. Both ways the draft holds one and the same value, so no change ever comes of it.

use daybridge_rule::prelude::*;

struct StatusMeaning;

impl Rule for StatusMeaning {
    fn describe() -> Description {
        Description::new(
            "Cancelled removes the appointment from Exchange; complete drops its reminder and sends no mail",
        )
        .reads(["status", "reminder"])
    }

    fn apply(context: &Context, source: &Appointment, draft: &mut Draft) -> Answer {
        draft.status = Status::Pending;
        match (context.direction, source.status) {
            (Direction::CrmToExchange, Status::Cancelled) => draft.remove(),
            (Direction::CrmToExchange, Status::Complete) => {
                draft.forbid_mail();
                draft.reminder = None;
            }
            _ => {}
        }
        pass()
    }
}

export!(StatusMeaning);

#[cfg(test)]
mod tests {
    use daybridge_rule::native::Test;

    use super::*;

    #[test]
    fn to_exchange() {
        for (status, removed, mail, reminder) in [
            (Status::Pending, false, true, Some(15)),
            (Status::InProgress, false, true, Some(15)),
            (Status::Complete, false, false, None),
            (Status::Cancelled, true, true, Some(15)),
        ] {
            let source = Appointment { status, reminder: Some(15), ..Appointment::new("Budget") };
            let draft = Test::<StatusMeaning>::crm_to_exchange().draft(&source);
            let seen = (draft.is_removed(), draft.is_mail_allowed(), draft.reminder, draft.status);
            assert_eq!(seen, (removed, mail, reminder, Status::Pending), "{status:?}");
        }
    }

    #[test]
    fn exchange_never_moves_the_status() {
        let source = Appointment { status: Status::Complete, reminder: Some(15), ..Appointment::new("Budget") };
        let draft = Test::<StatusMeaning>::exchange_to_crm().draft(&source);
        assert_eq!(
            (draft.status, draft.reminder, draft.is_mail_allowed(), draft.is_removed()),
            (Status::Pending, Some(15), true, false)
        );
    }
}
