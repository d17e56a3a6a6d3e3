//! A change that people made in all of a CRM series at once: one write of the master instead of one exception each.
//!
//! Promises: only fields that every coming occurrence now shows alike in the CRM, and that none of them has of its own in
//! Exchange; times are left to the occurrences, because moving a master makes Exchange forget its exceptions. One
//! update is mailed instead of many. Must not know: how the other occurrences are worked off (each finds that both sides
//! have the same already).

use std::collections::BTreeMap;

use super::super::consider::Decision;
use super::super::{Trouble, Worker};
use crate::engine::same_value;
use crate::ledger::{Entry, State};
use crate::model::{Appointment, Container, Field, Item, ItemRef, Key, Patch, Role, Seen};

/// Fewer occurrences are no "all of them".
const OCCURRENCES_MIN: usize = 2;

impl Worker {
    /// Writes a patch of one occurrence to its series, if all coming occurrences have it; answers the occurrence as
    /// Exchange shows it then. Nothing if it is a change of this occurrence alone.
    pub(in crate::worker) async fn update_whole(
        &self,
        decision: &Decision,
        patch: &Patch,
    ) -> Result<Option<Item>, Trouble> {
        let Key::Occurrence { uid, date } = &decision.key else { return Ok(None) };
        let (Some(crm), Some(exchange)) = (decision.view.crm.present(), decision.view.exchange.present()) else {
            return Ok(None);
        };
        let carried = patch.set.keys().all(|field| !matches!(field, Field::Time | Field::Status | Field::Custom(_)));
        let Some(series) = crm.series.as_deref().filter(|_| carried && exchange.role == Role::Organizer) else {
            return Ok(None);
        };
        let Some(key) = self.ledger.find_uid(uid).await? else { return Ok(None) };
        let Some(at) = self.ledger.get(&key).await?.and_then(|entry| entry.exchange).map(|known| known.at) else {
            return Ok(None);
        };
        if !self.all_alike(uid, series, crm, exchange, patch).await? {
            return Ok(None);
        }
        let Seen::Present(master) = self.read(&at).await? else { return Ok(None) };
        let server = self.servers.of(&at.container).ok_or(Trouble::NotSynchronized)?;
        let mut after = master.appointment.clone();
        patch.apply(&mut after)?;
        tracing::info!(appointment.key = %key, "A change of all occurrences is written to the series");
        let request = server.update(&at, &master.version, patch, &after, decision.mail.mail);
        self.ask(&server, &at.container, request).await?;
        match self.ask(&server, &at.container, server.occurrence(&at, *date)).await? {
            Seen::Present(item) => Ok(Some(*item)),
            Seen::Deleted | Seen::Absent => Err(Trouble::Undecided),
        }
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
