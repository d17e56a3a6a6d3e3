//! Calendars that another host keeps: two hosts on one calendar would double every appointment, so this one leaves it alone.
//!
//! Each calendar says in a property of its folder which host keeps it. A host writes itself into one that says nothing, and asks
//! again now and then: soon after it wrote, since another may have done so at the same moment, and every hour, since a person may have
//! given the calendar to another host. No clock but its own is minded, and a claim does not age: a host that is gone for good is
//! replaced by a person's word.
//! Promises: nothing is asked of a calendar, and nothing written to it, before it is known to be this host's; what concerns one of
//! another host waits and spends no try; a host that only looks (a dry run) claims nothing. Must not know: how a calendar says it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex as Held;

use super::moved::HELD_DUE;
use super::{Trouble, Worker};
use crate::connector::{Connector, Problem};
use crate::identity::Claim;
use crate::ledger::Claimed;
use crate::model::{Container, Side};

/// How soon after a claim it is asked who won.
const SOON: TimeDelta = TimeDelta::minutes(1);
/// How often it is asked whether the calendar was given to another host.
const AGAIN: TimeDelta = TimeDelta::hours(1);
const NO_RIGHT: &str = "the calendar says which host keeps it: give the account the right to change the calendar's folder, or set sync.claim_mailboxes = false and see to it yourself that no second host runs";

/// Whose the calendars are, as far as they were asked.
#[derive(Debug, Default)]
pub(super) struct Calendars {
    /// Claims those that nobody keeps.
    claiming: AtomicBool,
    known: Mutex<BTreeMap<Container, Arc<Held<Standing>>>>,
}

#[derive(Clone, Debug, Default)]
enum Standing {
    #[default]
    Unknown,
    /// Nobody's, and this host only looks.
    Free,
    Ours(Claimed),
    Theirs {
        claim: Claim,
        asked: DateTime<Utc>,
    },
}

impl Calendars {
    fn of(&self, container: &Container) -> Arc<Held<Standing>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(container.clone()).or_default().clone()
    }
}

impl Worker {
    /// From now on this host works: it claims the calendars that nobody keeps.
    #[cfg(feature = "program")]
    pub(crate) fn claim_calendars(&self) {
        self.calendars.claiming.store(true, Ordering::Relaxed);
    }

    /// Takes a calendar over, whoever keeps it.
    #[cfg(feature = "program")]
    pub(crate) async fn take_over(&self, server: &Arc<dyn Connector>, container: &Container) -> Result<(), Trouble> {
        let known = self.calendars.of(container);
        let mut standing = known.lock().await;
        *standing = self.claim(server, container).await?;
        Ok(())
    }

    /// Whether the calendar is this host's to look into and to write to. Asks it where that is not known.
    pub(super) async fn is_ours(&self, server: &Arc<dyn Connector>, container: &Container) -> Result<(), Trouble> {
        // Only what takes part is claimed; in a colleague's name a directory may be asked all the same.
        if container.side() == Side::Crm || !self.settings.claim_mailboxes || self.servers.of(container).is_none() {
            return Ok(());
        }
        let known = self.calendars.of(container);
        let mut standing = known.lock().await;
        let (now, claiming) = (self.clock.now(), self.calendars.claiming.load(Ordering::Relaxed));
        if matches!(*standing, Standing::Unknown)
            && let Some(claimed) = self.ledger.claimed(container).await?
        {
            *standing = Standing::Ours(claimed);
        }
        match &*standing {
            Standing::Ours(claimed) if holds(claimed, now) => return Ok(()),
            Standing::Free if !claiming => return Ok(()),
            Standing::Theirs { claim, asked } if (now - *asked).abs() < HELD_DUE_DELTA => return Err(theirs(claim)),
            Standing::Unknown | Standing::Free | Standing::Ours(_) | Standing::Theirs { .. } => {}
        }
        let owner = self.ask_anyone(server, container, server.owner(container)).await?;
        let claim = owner.as_deref().map(Claim::read);
        match claim {
            Some(claim) if claim.is_of(&self.host) => {
                let claimed = Claimed { seen: now, sure: true };
                self.ledger.set_claimed(container, Some(&claimed)).await?;
                *standing = Standing::Ours(claimed);
                Ok(())
            }
            Some(claim) => {
                self.ledger.set_claimed(container, None).await?;
                let trouble = theirs(&claim);
                *standing = Standing::Theirs { claim, asked: now };
                Err(trouble)
            }
            None if claiming => {
                *standing = self.claim(server, container).await?;
                Ok(())
            }
            None => {
                *standing = Standing::Free;
                Ok(())
            }
        }
    }

    async fn claim(&self, server: &Arc<dyn Connector>, container: &Container) -> Result<Standing, Trouble> {
        let now = self.clock.now();
        let claim = self.host.claim(now).to_string();
        match self.ask_anyone(server, container, server.set_owner(container, &claim)).await {
            Ok(()) => {}
            // A server without such a place keeps no claims.
            Err(Trouble::Server { error, .. }) if error.problem == Problem::Unsupported => {}
            Err(Trouble::Server { server, container, error }) if error.problem == Problem::Forbidden => {
                return Err(Trouble::Server { server, container, error: error.hinted(NO_RIGHT) });
            }
            Err(trouble) => return Err(trouble),
        }
        let claimed = Claimed { seen: now, sure: false };
        self.ledger.set_claimed(container, Some(&claimed)).await?;
        Ok(Standing::Ours(claimed))
    }
}

/// [`HELD_DUE`] as a difference of times.
const HELD_DUE_DELTA: TimeDelta = TimeDelta::seconds(HELD_DUE.as_secs().cast_signed());

/// Whether it need not be asked yet. A clock that was set back makes it be asked sooner, never later.
fn holds(claimed: &Claimed, now: DateTime<Utc>) -> bool {
    (now - claimed.seen).abs() < if claimed.sure { AGAIN } else { SOON }
}

fn theirs(claim: &Claim) -> Trouble {
    Trouble::Elsewhere { machine: claim.machine.clone(), since: claim.since }
}
