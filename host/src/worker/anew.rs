//! A pair made anew by the rules in force: which way, and together with what people changed.
//!
//! The side an appointment was born on is the source of the whole; on the way back only what a rule sets itself is made anew, and of that only
//! what the other side does not hold. Promises: what people changed since both sides last agreed is merged as ever and comes first.
//! Must not know: how a person asks for it, what is written.

use super::Worker;
use super::consider::Decision;
use crate::engine::{self, Anew, MergeInput, Merged, Way};
use crate::ledger::Entry;
use crate::model::{Appointment, Direction, Field, Key, Known, Patch, Side};
use crate::rules::{Call, Draft, Rules, Verdict};

/// Both ways of a pair: from where it was born, and back.
struct Pair<'a> {
    born: Side,
    crm: (&'a Appointment, &'a Known),
    exchange: (&'a Appointment, &'a Known),
    for_exchange: Option<&'a Appointment>,
    for_crm: Option<&'a Appointment>,
    crm_unwritable: &'a [Field],
    exchange_unwritable: &'a [Field],
}

impl Pair<'_> {
    fn way(&self, to: Side) -> Anew {
        let (source, (target, agreed), draft) = match to {
            Side::Exchange => (self.crm.0, self.exchange, self.for_exchange),
            Side::Crm => (self.exchange.0, self.crm, self.for_crm),
        };
        let (source_unwritable, target_unwritable) = match to {
            Side::Exchange => (self.crm_unwritable, self.exchange_unwritable),
            Side::Crm => (self.exchange_unwritable, self.crm_unwritable),
        };
        let (agreed, from_birth) = (&agreed.appointment, self.born != to);
        let way = |draft| Way { to, source, draft, target, agreed, source_unwritable, target_unwritable, from_birth };
        draft.map(|draft| engine::anew(&way(draft))).unwrap_or_default()
    }

    /// Patches for the CRM and for Exchange, and the fields that stay as people have them.
    fn anew(&self) -> (Patch, Patch, Vec<Field>) {
        let (first, mut back) = (self.way(self.born.other()), self.way(self.born));
        back.patch.set.retain(|field, _| !first.patch.set.contains_key(field) && !first.kept.contains(field));
        let kept = first.kept.union(&back.kept).cloned().collect();
        match self.born {
            Side::Crm => (back.patch, first.patch, kept),
            Side::Exchange => (first.patch, back.patch, kept),
        }
    }
}

fn born(key: &Key) -> Side {
    match key {
        Key::Crm(_) | Key::CrmSeries(_) => Side::Crm,
        Key::Uid(_) | Key::Occurrence { .. } => Side::Exchange,
    }
}

/// Adds to a merge what the rules in force make different in the pair; answers the fields that stay as people have them.
pub(super) fn add_anew(decision: &Decision, input: &MergeInput<'_>, merged: &mut Merged) -> Vec<Field> {
    let known = decision.entry.as_ref().and_then(|entry| Some((entry.crm.as_ref()?, entry.exchange.as_ref()?)));
    let Some((crm, exchange)) = known else { return Vec::new() };
    let pair = Pair {
        born: born(&decision.key),
        crm: (input.crm, crm),
        exchange: (input.exchange, exchange),
        for_exchange: input.for_exchange.map(|(now, _)| now),
        for_crm: input.for_crm.map(|(now, _)| now),
        crm_unwritable: input.crm_unwritable,
        exchange_unwritable: input.exchange_unwritable,
    };
    let (to_crm, to_exchange, kept) = pair.anew();
    let merging: Vec<Field> = merged.to_crm.set.keys().chain(merged.to_exchange.set.keys()).cloned().collect();
    let conflicts: Vec<Field> = merged.conflicts.iter().map(|conflict| conflict.field.clone()).collect();
    let open = |field: &Field| !merging.contains(field) && !conflicts.contains(field);
    merged.to_crm.set.extend(to_crm.set.into_iter().filter(|(field, _)| open(field)));
    merged.to_exchange.set.extend(to_exchange.set.into_iter().filter(|(field, _)| open(field)));
    kept
}

impl Worker {
    /// Whether rules would make a pair different, by what the ledger holds of both sides; asks no server. True also where that cannot be
    /// said without looking closer.
    pub async fn may_change(&self, rules: &dyn Rules, entry: &Entry) -> bool {
        let (Some(crm), Some(exchange)) = (&entry.crm, &entry.exchange) else { return false };
        let id = entry.key.to_string();
        let mut drafts = Vec::new();
        for (direction, known) in [(Direction::CrmToExchange, crm), (Direction::ExchangeToCrm, exchange)] {
            if !self.settings.policy.allows(direction) {
                drafts.push(None);
                continue;
            }
            match rules.judge(Call { id: &id, direction, source: &known.appointment }).await {
                Ok(Verdict::Pass(draft)) if !draft.removed => drafts.push(Some(*draft)),
                Ok(Verdict::Skip { .. }) => return false,
                Ok(Verdict::Pass(_) | Verdict::Hold { .. } | Verdict::Refuse(_)) | Err(_) => return true,
            }
        }
        let draft = |at: usize| drafts.get(at).and_then(Option::as_ref).map(|draft: &Draft| &draft.appointment);
        let crm_can = self.servers.crm().capabilities();
        let exchange_can =
            self.servers.of(&exchange.at.container).map(|server| server.capabilities()).unwrap_or_default();
        let pair = Pair {
            born: born(&entry.key),
            crm: (&crm.appointment, crm),
            exchange: (&exchange.appointment, exchange),
            for_exchange: draft(0),
            for_crm: draft(1),
            crm_unwritable: &crm_can.unwritable,
            exchange_unwritable: &exchange_can.unwritable,
        };
        let (to_crm, to_exchange, _) = pair.anew();
        !to_crm.is_empty() || !to_exchange.is_empty()
    }
}
