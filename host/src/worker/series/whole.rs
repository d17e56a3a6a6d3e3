//! A change that people made in all of a CRM series at once: one write of the master instead of one exception each.
//!
//! Promises: only fields that every coming occurrence now shows alike in the CRM, and that none of them has of its own in
//! Exchange; times are left to the occurrences, because moving a master makes Exchange forget its exceptions. One
//! update is mailed instead of many, and what a server mails beside it to the people of exceptions is declared before it is
//! written. Must not know: how the other occurrences are worked off (each finds that both sides have the same already).

use std::collections::BTreeMap;

use super::super::consider::{Decision, Permission, is_draft};
use super::super::{Trouble, Worker};
use crate::connector::Error;
use crate::engine::{self, MailPlan, Op, same_value};
use crate::ledger::{Entry, State};
use crate::model::{Appointment, Container, Field, Item, ItemRef, Key, Mail, MailBudget, Patch, Role, Seen};

/// Fewer occurrences are no "all of them".
const OCCURRENCES_MIN: usize = 2;

/// The series a change is written to.
pub struct Whole {
    master: Item,
    /// The series with the change.
    after: Appointment,
    /// What the change mails if the occurrence has to be written by itself as well, being an exception.
    apart: MailPlan,
}

impl Worker {
    /// Has the change of an occurrence written to its series, if all coming occurrences have it, and declares what that mails.
    pub(in crate::worker) async fn aim_at_whole(
        &self,
        decision: &mut Decision,
        permission: Permission,
    ) -> Result<(), Trouble> {
        let (Op::Merge, Key::Occurrence { uid, .. }) = (&decision.op, &decision.key) else { return Ok(()) };
        let patch = &decision.merged.to_exchange;
        let (Some(crm), Some(exchange)) = (decision.view.crm.present(), decision.view.exchange.present()) else {
            return Ok(());
        };
        let carried = patch.set.keys().all(|field| !matches!(field, Field::Time | Field::Status | Field::Custom(_)));
        let Some(series) =
            crm.series.as_deref().filter(|_| carried && !patch.is_empty() && exchange.role == Role::Organizer)
        else {
            return Ok(());
        };
        let Some(key) = self.ledger.find_uid(uid).await? else { return Ok(()) };
        let Some(at) = self.ledger.get(&key).await?.and_then(|entry| entry.exchange).map(|known| known.at) else {
            return Ok(());
        };
        if !self.all_alike(uid, series, crm, exchange, patch).await? {
            return Ok(());
        }
        let Seen::Present(master) = self.read(&at).await? else { return Ok(()) };
        let mut after = master.appointment.clone();
        patch.apply(&mut after)?;
        if patch.set.keys().all(|field| same_value(&after.get(field), &master.appointment.get(field))) {
            // Written before, by a run that came no further than that: who is told of the series was told.
            return Ok(());
        }
        let permission = Permission { tells: permission.tells && !is_draft(&key, &master), ..permission };
        let mut mail = self.mail_for_change(decision, &master, permission);
        if self.mails_by_itself(decision) {
            let apart = self.told_apart(&at, patch).await?;
            let told = apart > 0 || engine::is_told_unasked(&master.appointment, patch);
            if told && !self.may_tell_of_change(decision, permission) {
                // People are asked to the series, or to others of its days, who are not asked to this one; and this write is
                // to mail nobody.
                return Ok(());
            }
            mail.budget.updates = mail.budget.updates.saturating_add(apart);
            if apart > 0 {
                mail.mail = Mail::All;
            }
        }
        let apart = std::mem::replace(&mut decision.mail, mail);
        decision.whole = Some(Whole { master: *master, after, apart });
        Ok(())
    }

    /// Mails about single occurrences that a change of their series causes beside those about the series.
    async fn told_apart(&self, master: &ItemRef, patch: &Patch) -> Result<u32, Trouble> {
        // That people came or went is told to these alone.
        let told = engine::TOLD_UNASKED.iter().filter(|field| **field != Field::Attendees);
        if !told.into_iter().any(|field| patch.set.contains_key(field)) {
            return Ok(0);
        }
        let server = self.servers.of(&master.container).ok_or(Trouble::NotSynchronized)?;
        let apart = self.ask(&server, &master.container, server.told_apart(master)).await?;
        Ok(apart.into_iter().fold(0, u32::saturating_add))
    }

    /// Writes the merge's patch to the series; answers the occurrence as Exchange shows it then, and what was mailed besides
    /// what was declared, because it is an exception and had to be written as well.
    pub(in crate::worker) async fn update_whole(
        &self,
        decision: &Decision,
        whole: &Whole,
    ) -> Result<(Item, MailBudget), Trouble> {
        let Key::Occurrence { date, .. } = &decision.key else { return Err(Trouble::Undecided) };
        let (Whole { master, after, apart }, patch) = (whole, &decision.merged.to_exchange);
        let at = &master.at;
        let server = self.servers.of(&at.container).ok_or(Trouble::NotSynchronized)?;
        tracing::info!(appointment.key = %decision.key, "A change of all occurrences is written to the series");
        let request = server.update(at, &master.version, patch, after, decision.mail.mail);
        let series = self.ask(&server, &at.container, request).await?;
        self.counts.add_mail(decision.mail.budget);
        let Seen::Present(item) = self.ask(&server, &at.container, server.occurrence(at, *date)).await? else {
            return Err(Trouble::Undecided);
        };
        let follows = |field| same_value(&item.appointment.get(field), &series.appointment.get(field));
        if patch.set.keys().all(follows) {
            return Ok((*item, MailBudget::NONE));
        }
        // An exception keeps what it has of its own, whatever becomes of its series.
        let mut after = item.appointment.clone();
        patch.apply(&mut after)?;
        self.grant_more(decision, apart.budget).await?;
        let request = server.update(&item.at, &item.version, patch, &after, apart.mail);
        // The series is written by now, and its people are told, whatever becomes of this.
        let request = async { request.await.map_err(Error::after_the_write) };
        let written = self.ask(&server, &at.container, request).await;
        if !decision.by_person && written.as_ref().is_err_and(Trouble::is_conflict) {
            self.unmail(apart.budget.total());
        }
        let item = written?;
        self.counts.add_mail(apart.budget);
        Ok((item, apart.budget))
    }

    /// Grants mails beside those the decision was granted already.
    async fn grant_more(&self, decision: &Decision, more: MailBudget) -> Result<(), Trouble> {
        if decision.by_person { Ok(()) } else { self.ask_mail_cap(more.total()).await }
    }

    /// Whether every coming occurrence shows the same new values in the CRM, where Exchange has what it has here.
    async fn all_alike(
        &self,
        uid: &str,
        series: &str,
        crm: &Item,
        exchange: &Item,
        patch: &Patch,
    ) -> Result<bool, Trouble> {
        let now = self.clock.now();
        let mut coming: Vec<Entry> = self.ledger.occurrences(uid).await?;
        coming.retain(|entry| {
            let ahead = entry.exchange.as_ref().is_some_and(|known| !known.appointment.time.is_past(now));
            entry.state == State::Live && entry.crm.is_some() && ahead
        });
        if coming.len() < OCCURRENCES_MIN {
            return Ok(false);
        }
        let server = self.servers.crm().clone();
        let rows = self.ask(&server, &Container::Crm, server.in_series(&Container::Crm, series)).await?;
        let rows: BTreeMap<&ItemRef, &Appointment> = rows.iter().map(|row| (&row.at, &row.appointment)).collect();
        let same = |one: &Appointment, other: &Appointment| {
            patch.set.keys().all(|field| same_value(&one.get(field), &other.get(field)))
        };
        Ok(coming.iter().all(|entry| {
            let row = entry.crm.as_ref().and_then(|known| rows.get(&known.at));
            let agreed = entry.exchange.as_ref().map(|known| &known.appointment);
            row.is_some_and(|row| same(row, &crm.appointment))
                && agreed.is_some_and(|agreed| same(agreed, &exchange.appointment))
        }))
    }
}
