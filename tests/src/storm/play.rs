//! Plays the acts: who does what, and what happens to the host.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use chrono::TimeDelta;
use daybridge::control::{ChangeOrder, CommitOrder, RuleDesk};
use serde_json::json;

use super::act::Act;
use super::stage::{Dying, Outcome, Stage, Wanted};
use super::truth::{self, PEOPLE};
use crate::ews::{Meeting, TO_ALL, TO_NONE};
use crate::host::post;
use crate::wait::wait_for;

impl Stage {
    pub async fn play(&mut self, act: &Act) -> Outcome {
        match act {
            Act::CrmBook { .. } => self.crm_book(act).await,
            Act::CrmSet { pick, what } => self.crm_set(*pick, *what).await,
            Act::CrmComplete { pick } => {
                if let Some(id) = self.crm_pick(*pick).await {
                    self.crm.patch("Communication", &id, &json!({"Comm_Status": "Complete"})).await;
                }
            }
            Act::CrmCancel { pick } => {
                if let Some(id) = self.crm_pick(*pick).await {
                    self.doom_row(&id).await;
                    self.crm.patch("Communication", &id, &json!({"Comm_Status": "Cancelled"})).await;
                }
            }
            Act::CrmDelete { pick } => {
                if let Some(id) = self.crm_pick(*pick).await {
                    self.doom_row(&id).await;
                    self.crm.delete("Communication", &id).await;
                }
            }
            Act::CrmInvite { pick, who } => self.crm_invite(*pick, *who, true).await,
            Act::CrmUninvite { pick, who } => self.crm_invite(*pick, *who, false).await,
            Act::Book { .. } => self.book(act).await,
            Act::Set { pick, what } => self.set_in_outlook(*pick, *what).await,
            Act::Delete { pick, tell } => {
                if let Some((who, item)) = self.pick(*pick, pick % 3 == 0).await {
                    self.doomed.insert(truth::of_item(&item, who).subject);
                    self.outlooks[who].delete(&item.id, if *tell { TO_ALL } else { TO_NONE }).await;
                }
            }
            Act::BookSeries { .. } => self.book_series(act).await,
            Act::CrmBookSeries { .. } => self.crm_book_series(act).await,
            Act::CrmSetSeries { pick } => self.crm_set_series(*pick).await,
            Act::People { pick, people, guest } => self.people_in_outlook(*pick, *people, *guest).await,
            Act::Respond { who, pick, answer } => {
                if let Some(copy) = self.copy(*who, *pick).await {
                    let answer = ["Accept", "TentativelyAccept", "Decline"][answer % 3];
                    self.outlooks[*who].respond(&copy.id, answer).await;
                }
            }
            Act::DropCopy { who, pick } => {
                if let Some(copy) = self.copy(*who, *pick).await {
                    self.outlooks[*who].delete(&copy.id, TO_NONE).await;
                }
            }
            other => return self.keep(other).await,
        }
        Ok(())
    }

    /// What happens to the host.
    async fn keep(&mut self, act: &Act) -> Outcome {
        match act {
            Act::Pass { sweep, faults } if faults.is_empty() => drop(self.clean_pass(*sweep).await?),
            Act::Pass { sweep, faults } => {
                self.install(faults).await;
                self.pass(*sweep).await?;
                self.clear_faults().await;
            }
            Act::PassDown { crm } => {
                let url = if *crm { self.servers.crm.url() } else { self.servers.exchange.url() };
                post(&format!("{url}_sim/down"), &json!({"down": true})).await;
                self.pass(false).await?;
                post(&format!("{url}_sim/down"), &json!({"down": false})).await;
            }
            Act::Crash { commits } => {
                let dying = Dying { inner: self.store.clone(), left: AtomicUsize::new(*commits) };
                // A host that dies while it opens is one that died, too.
                if self.open(Arc::new(dying), "").await.is_ok() {
                    self.pass(false).await?;
                }
                self.open(self.store.clone(), "").await?;
            }
            Act::CrashAtWrite { fault } => {
                self.install(std::slice::from_ref(fault)).await;
                let held = wait_for("a held answer", || async {
                    let held = |pending: daybridge::sim::fault::Pending| pending.held > 0;
                    (held(self.servers.crm.faults().pending()) || held(self.servers.exchange.faults().pending()))
                        .then_some(())
                });
                tokio::select! { () = held => {}, _ = self.pass(false) => {} }
                self.app = None;
                self.clear_faults().await;
                self.open(self.store.clone(), "").await?;
            }
            Act::Restart => self.open(self.store.clone(), "").await?,
            Act::Swap { tagged } => self.swap(*tagged).await?,
            Act::Skew { minutes } => self.crm_clock.advance(TimeDelta::minutes(*minutes)),
            Act::LoseData => self.wanted = Some(Wanted::LoseData),
            Act::OtherZone => self.wanted = Some(Wanted::OtherZone),
            other => return Err(format!("nobody plays {other:?}")),
        }
        Ok(())
    }

    async fn swap(&mut self, tagged: bool) -> Outcome {
        (self.tagged, self.swapped) = (tagged, true);
        let text = self.servers.config(self.folder.path(), &self.more(""));
        std::fs::write(self.folder.path().join("daybridge.toml"), text).map_err(|error| error.to_string())?;
        let app = self.app()?;
        let proposal =
            app.propose_rules(ChangeOrder::Reload { fresh: false }, false).await.map_err(|refusal| refusal.message)?;
        let Some(name) = proposal.proposal else { return Ok(()) };
        let order = CommitOrder { proposal: name, store_only: false };
        app.commit_rules(&order).await.map(drop).map_err(|refusal| refusal.message)
    }

    async fn doom_row(&mut self, id: &str) {
        if let Some(row) = self.crm.get("Communication", id).await {
            self.doomed.insert(row.text("Comm_Subject"));
        }
    }

    pub(super) async fn crm_pick(&self, pick: usize) -> Option<String> {
        let live = "comm_type eq 'Appointment' and comm_status ne 'Cancelled'";
        let mut ids = self.crm.ids("Communication", live, "comm_communicationid").await;
        ids.sort();
        (!ids.is_empty()).then(|| ids.swap_remove(pick % ids.len()))
    }

    /// An item of somebody's own calendar that is the organizer's: a series as a whole, or one of the days that show.
    pub(super) async fn pick(&self, pick: usize, whole: bool) -> Option<(usize, Meeting)> {
        let who = pick % PEOPLE.len();
        Some((who, self.item(who, pick / PEOPLE.len(), true, whole).await?))
    }

    /// Somebody's copy of another's meeting.
    pub(super) async fn copy(&self, who: usize, pick: usize) -> Option<Meeting> {
        self.item(who, pick, false, true).await
    }

    /// The picked item of a calendar, or the next one behind it that is the owner's own, or is not.
    async fn item(&self, who: usize, pick: usize, own: bool, whole: bool) -> Option<Meeting> {
        let outlook = &self.outlooks[who];
        let ids = if whole { outlook.ids().await } else { outlook.ids_between(&truth::from(), &truth::until()).await };
        let from = pick % ids.len().max(1);
        for id in ids.iter().cycle().skip(from).take(ids.len()) {
            let item = outlook.meeting(id).await?;
            if own == (item.organizer == truth::address(who) || item.organizer.is_empty()) {
                return Some(item);
            }
        }
        None
    }
}
