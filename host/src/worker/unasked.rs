//! Servers that mail people by themselves: what of a decision they cannot do silently is left out of it, and the reason is told.
//!
//! A new appointment is made without its attendees; of a change, what people meet by stays unwritten; what would be cancelled by
//! mail stays. Promises: writes nothing; a decision that may mail is left as it is. Must not know: how a server mails.

use super::Worker;
use super::consider::Decision;
use crate::connector::Mailing;
use crate::engine::{self, MailPlan, Op};
use crate::model::{Appointment, Container, Field, Side};

/// Why an appointment was made without its attendees.
pub(in crate::worker) const WITHOUT_ATTENDEES: &str =
    "made without its attendees: Exchange would mail them by itself, and this write is to mail nobody";
/// Why fields of a meeting were not written.
pub(super) const UNWRITTEN: &str = "what the attendees meet by was not written to Exchange: it would mail them by itself, and this write is to mail nobody";
const STAYS: &str =
    "the meeting stays in Exchange: removing it would mail the attendees, and this write is to mail nobody";

impl Worker {
    /// Takes out of a silent decision what its server would mail people about.
    pub(super) fn withhold(&self, decision: &mut Decision) {
        if decision.mail != MailPlan::SILENT || !self.mails_by_itself(decision) {
            return;
        }
        let shown = decision.view.exchange.present().map(|item| item.appointment.clone());
        match (&decision.op, shown) {
            (Op::Create { on: Side::Exchange, .. }, _) => {
                let Some(draft) = &mut decision.for_exchange else { return };
                if engine::mail_for_create(&draft.appointment, true).budget.total() == 0 {
                    return;
                }
                draft.appointment.attendees.clear();
                decision.withheld.push(Field::Attendees);
                decision.why = format!("{}; {WITHOUT_ATTENDEES}", decision.why);
            }
            (Op::Merge, Some(shown)) => {
                let patch = &mut decision.merged.to_exchange;
                if !engine::is_told_unasked(&shown, patch) {
                    return;
                }
                for field in &engine::TOLD_UNASKED {
                    if patch.set.remove(field).is_some() {
                        decision.withheld.push(field.clone());
                    }
                }
                decision.why = format!("{}; {UNWRITTEN}", decision.why);
            }
            (Op::Delete { on: Side::Exchange, .. }, Some(shown)) => {
                if engine::mail_for_delete(&shown, true).budget.total() == 0 {
                    return;
                }
                decision.op = Op::Note(STAYS);
                STAYS.clone_into(&mut decision.why);
            }
            _ => {}
        }
    }

    /// Whether the server that the decision writes to decides by itself whom it mails.
    pub(super) fn mails_by_itself(&self, decision: &Decision) -> bool {
        let place: Option<Container> = match (&decision.op, decision.view.exchange.present()) {
            (Op::Create { on: Side::Exchange, .. }, _) => {
                decision.for_exchange.as_ref().and_then(|draft| self.home(&draft.appointment))
            }
            (_, Some(item)) => Some(item.at.container.clone()),
            (_, None) => None,
        };
        place.is_some_and(|place| self.mails_in(&place))
    }

    /// Whether the server of a calendar decides by itself whom it mails.
    fn mails_in(&self, place: &Container) -> bool {
        self.servers.of(place).is_some_and(|server| server.capabilities().mailing == Mailing::ByItself)
    }

    /// Whether what is new in a calendar is to be made without its attendees, because they would be mailed unplanned.
    pub(super) fn leaves_uninvited(&self, place: &Container, draft: &Appointment, mail: MailPlan) -> bool {
        mail == MailPlan::SILENT && self.mails_in(place) && engine::mail_for_create(draft, true).budget.total() > 0
    }
}
