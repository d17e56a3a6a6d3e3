//! Sends answers that CRM users gave in the CRM from their own copies of the meeting.
//!
//! Promises: an answer is sent once; one that cannot be sent stops nothing. Must not know: how an answer was found.

use chrono::NaiveDate;

use super::consider::Decision;
use super::{Trouble, Worker};
use crate::connector::Problem;
use crate::model::{Address, Key, Mail, Response, Role, Seen};

impl Worker {
    /// Sends the answers of a decision; answers how many were sent.
    pub(super) async fn send_answers(&self, decision: &Decision) -> Result<u32, Trouble> {
        let uid = || decision.view.exchange.present().and_then(|item| item.uid.clone());
        // Of a series the answer is to this occurrence, and to no other.
        let (uid, date) = match &decision.key {
            Key::Occurrence { uid, date } => (Some(uid.clone()), Some(*date)),
            Key::Uid(_) | Key::Crm(_) | Key::CrmSeries(_) => (uid(), None),
        };
        let Some(uid) = uid else { return Ok(0) };
        let mut sent = 0;
        for (address, answer) in &decision.answers {
            match self.send_answer(&uid, date, address, *answer).await {
                Ok(true) => sent += 1,
                Ok(false) => tracing::info!(
                    appointment.key = %decision.key,
                    "An answer given in the CRM is not sent: its giver's calendar has no copy of the meeting"
                ),
                // There is nothing to answer any more, or this server cannot: the CRM shows the answer all the same.
                Err(Trouble::Server { error, .. })
                    if matches!(error.problem, Problem::Refused | Problem::Unsupported | Problem::NotFound) =>
                {
                    tracing::info!(appointment.key = %decision.key, error = %error, "An answer given in the CRM is not sent");
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(sent)
    }

    async fn send_answer(
        &self,
        uid: &str,
        date: Option<NaiveDate>,
        address: &Address,
        answer: Response,
    ) -> Result<bool, Trouble> {
        let Some(home) = self.servers.calendar(address) else { return Ok(false) };
        let Some(server) = self.servers.of(&home) else { return Ok(false) };
        let found = self.ask(&server, &home, server.find_uid(&home, uid)).await?;
        let Some(mut copy) = found.into_iter().find(|item| item.role == Role::Attendee) else { return Ok(false) };
        // Who is invited to one occurrence only has that one, as an appointment by itself.
        if let Some(date) = date.filter(|_| copy.appointment.recurrence.is_some()) {
            match self.ask(&server, &home, server.occurrence(&copy.at, date)).await? {
                Seen::Present(occurrence) => copy = *occurrence,
                _ => return Ok(false),
            }
        }
        self.ask(&server, &home, server.respond(&copy.at, &copy.version, answer, Mail::All)).await?;
        Ok(true)
    }
}
