//! Taking mailboxes over from another host, by a person's word.
//!
//! Promises: what waited for these mailboxes goes on at once. Must not know: how a calendar says whose it is.

use super::App;
use super::desk::queue_failed;
use crate::control::{ClaimOrder, ClaimReport, ClaimedMailbox, Reason, Refusal, RefusalKind};
use crate::model::Container;
use crate::worker::{ELSEWHERE, Trouble};

impl App {
    pub(super) async fn take_over(&self, order: &ClaimOrder) -> Result<ClaimReport, Refusal> {
        self.feeds.refresh_people().await.map_err(|trouble| {
            Refusal::new(RefusalKind::NotNow, &trouble.code(), trouble.to_string(), trouble.hint())
        })?;
        if order.mailboxes.is_empty() != order.all {
            let hint = "name mailboxes that `daybridge status` lists, or say that all are meant, not both";
            return Err(Refusal::new(RefusalKind::Invalid, "mailbox-not-named", "no mailbox is named", hint));
        }
        let containers: Vec<Container> = match order.all {
            true => self.feeds.containers().into_iter().filter(|container| *container != Container::Crm).collect(),
            false => self.chosen(&order.mailboxes)?,
        };
        if containers.contains(&Container::Crm) {
            let hint = "name mailboxes that `daybridge status` lists";
            return Err(Refusal::new(RefusalKind::Invalid, "mailbox-not-named", "the CRM is no mailbox", hint));
        }
        let mut report = ClaimReport::default();
        for container in containers {
            let Container::Mailbox(address) = &container else { continue };
            let taken = match self.servers.of(&container) {
                Some(server) => self.worker.take_over(&server, &container).await,
                None => Err(Trouble::NotSynchronized),
            };
            let refused = taken.err().map(|trouble| Reason {
                code: trouble.code(),
                message: trouble.to_string(),
                hint: trouble.hint(),
            });
            if refused.is_none() {
                tracing::info!("A person had this host take a mailbox over");
                self.feeds.ring(&container);
            }
            report.mailboxes.push(ClaimedMailbox { mailbox: address.as_str().to_owned(), refused });
        }
        self.end_wait(ELSEWHERE).await.map_err(queue_failed)?;
        Ok(report)
    }
}
