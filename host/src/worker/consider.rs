//! From what both sides show to a decision: rules, plan, merge, mail.
//!
//! Promises: writes nothing, so a dry run and a trace show exactly what a run would do. The whole decision is made with
//! one generation of the rules. Must not know: how a decision is carried out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::anew::add_anew;
use super::look::View;
use super::series::Whole;
use super::{Conflicts, Trouble, Worker, written};
use crate::engine::{self, Answering, MailPlan, MergeInput, Merged, Op, PlanInput, Policy, Stance, Winner};
use crate::ledger::{Entry, Mark, State};
use crate::model::{
    Address, Appointment, Cause, Change, Container, Direction, Field, Item, ItemRef, Key, Known, MailBudget, Response,
    Role, Seen, Side,
};
use crate::rules::{Call, Draft, Rules, Verdict};

/// What is to be done about one appointment, and why.
pub struct Decision {
    pub key: Key,
    pub entry: Option<Entry>,
    pub view: View,
    pub op: Op,
    /// The reason, for people.
    pub why: String,
    /// The rules' draft for Exchange (from the CRM's copy) and for the CRM (from Exchange's).
    pub for_exchange: Option<Draft>,
    pub for_crm: Option<Draft>,
    pub merged: Merged,
    /// What the write mails. An exception that has to be written beside its series mails its own besides.
    pub mail: MailPlan,
    /// The series that the change of an occurrence is written to, if people made it in all of it.
    pub whole: Option<Whole>,
    /// Answers that CRM users gave in the CRM, to be sent from their own copies.
    pub answers: Vec<(Address, Response)>,
    /// What was taken out of the write, since its server would have mailed people about it.
    pub withheld: Vec<Field>,
    /// A person asked for this run: held deletions go ahead.
    pub by_person: bool,
    /// The pair's mark in the ledger, if it is or was to be made anew by the rules.
    pub mark: Option<Mark>,
    /// The pair is to be made anew by the rules in force.
    pub reapply: bool,
    /// The entry holds what an earlier run wrote and could not record.
    pub taken_in: bool,
    /// Fields that stay as the target's people have them although the rules would make them different.
    pub kept: Vec<Field>,
    pub rules: Arc<dyn Rules>,
}

/// Whether what happened to an appointment is for its people to know; rules and settings may forbid it still.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permission {
    /// It is not over, and was sent before.
    pub tells: bool,
    /// A new copy invites: this is no first sync.
    pub creates: bool,
    /// A changed copy is told of: it was a pair already.
    pub updates: bool,
}

/// A decision in short, for reports and traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub key: Key,
    /// `nothing`, `note`, `link`, `create`, `update`, `delete`, `skip`.
    pub op: &'static str,
    /// The side written to, if it is one.
    pub target: Option<Side>,
    pub container: Option<Container>,
    pub fields: Vec<Field>,
    pub mail: MailBudget,
    pub crm_writes: u32,
    pub exchange_writes: u32,
    /// Fields the rules in force would make different, but that somebody changed on the target's side.
    pub kept: Vec<Field>,
    /// Where it is on both sides, as far as it is there.
    pub items: Vec<ItemRef>,
    /// The two copies become a pair by it, whether or not something is written.
    pub links: bool,
    pub reason: String,
}

impl Decision {
    pub fn summary(&self) -> Summary {
        let (to_crm, to_exchange) = (!self.merged.to_crm.is_empty(), !self.merged.to_exchange.is_empty());
        let linked = self.entry.as_ref().is_some_and(|entry| entry.crm.is_some() && entry.exchange.is_some());
        let (op, target) = match (&self.op, to_crm, to_exchange) {
            (Op::Nothing, _, _) => ("nothing", None),
            (Op::Note(_), _, _) => ("note", None),
            (Op::Skip(_), _, _) => ("skip", None),
            (Op::Create { on, .. }, _, _) => ("create", Some(*on)),
            (Op::Delete { on, .. }, _, _) => ("delete", Some(*on)),
            (Op::Merge, false, false) => (if linked { "note" } else { "link" }, None),
            (Op::Merge, true, false) => ("update", Some(Side::Crm)),
            (Op::Merge, _, true) => ("update", Some(Side::Exchange)),
        };
        let writes = matches!(self.op, Op::Create { .. } | Op::Delete { .. });
        let place = |side| match side {
            Side::Crm => Some(Container::Crm),
            Side::Exchange => self.view.exchange.present().map(|item| item.at.container.clone()),
        };
        Summary {
            key: self.key.clone(),
            op,
            target,
            container: target.and_then(place),
            fields: self.merged.to_crm.set.keys().chain(self.merged.to_exchange.set.keys()).cloned().collect(),
            mail: self.mail.budget,
            crm_writes: u32::from(to_crm || (writes && target == Some(Side::Crm))),
            exchange_writes: u32::from(to_exchange || (writes && target == Some(Side::Exchange))),
            kept: self.kept.clone(),
            items: [&self.view.crm, &self.view.exchange]
                .into_iter()
                .filter_map(|seen| seen.present().map(|item| item.at.clone()))
                .collect(),
            links: self.op == Op::Merge && !linked,
            reason: self.why.clone(),
        }
    }
}

/// What the chain makes of one side, now and at the last agreement.
#[derive(Default)]
struct Judged {
    stance: Option<Stance>,
    now: Option<Draft>,
    base: Option<Draft>,
    reason: Option<String>,
}

impl Worker {
    /// Reads, judges by `rules` and plans; writes nothing. `anew`: as if the pair were marked to be made anew by these rules.
    pub(crate) async fn consider(
        &self,
        key: &Key,
        changes: &[Change],
        rules: &Arc<dyn Rules>,
        anew: bool,
    ) -> Result<Decision, Trouble> {
        let mut entry = self.ledger.get(key).await?;
        let made = if entry.is_none() { self.made_and_not_recorded(key).await? } else { None };
        let unrecorded = made.is_some();
        entry = entry.or(made);
        let mut taken_in = unrecorded;
        let mut view = self.look(key, entry.as_ref(), changes).await?;
        if let Some(entry) = &mut entry
            && let Some(writing) = self.ledger.writing(key).await?
        {
            taken_in |= written::take_in(entry, &writing, view.crm.present(), view.exchange.present());
        }
        if let Some(entry) = &entry {
            unread_again(&mut view.crm, entry.crm.as_ref());
            unread_again(&mut view.exchange, entry.exchange.as_ref());
        }
        self.divert(key, entry.as_ref(), &view).await?;
        let rules = Arc::clone(rules);
        let live = entry.as_ref().filter(|entry| entry.state == State::Live);
        let crm_base = entry.as_ref().and_then(|entry| entry.crm.as_ref()).map(|known| &known.appointment);
        let exchange_base = entry.as_ref().and_then(|entry| entry.exchange.as_ref()).map(|known| &known.appointment);
        let crm_known = entry.as_ref().and_then(|entry| entry.crm.as_ref());
        let forsaken = view.exchange.present().is_none() && is_half_made(&view.crm, crm_known);
        let crm_moved = has_moved(&view.crm, crm_base) && !forsaken;
        let exchange_moved = has_moved(&view.exchange, exchange_base);
        let mark = self.ledger.mark(key).await?;
        let wanted = mark.as_ref().is_some_and(|mark| !mark.done && mark.digest == rules.generation().digest);
        let reapply = (anew || wanted) && live.is_some();
        let quiet = !(reapply || unrecorded)
            && live.is_some()
            && crm_base.is_some()
            && exchange_base.is_some()
            && !crm_moved
            && !exchange_moved
            && view.crm.present().is_some()
            && view.exchange.present().is_some();
        if quiet {
            return Ok(Decision { mark, taken_in, ..self.settled(key, entry, view, rules, changes) });
        }
        let linked = crm_base.is_some() && exchange_base.is_some();
        // Of a copy that was made and never recorded it is known what it was made from.
        let recorded = linked && !entry.as_ref().is_some_and(|entry| made_anew(&view, entry));
        let begun = if recorded { None } else { self.ledger.begun(key).await? };
        let (crm_agreed, exchange_agreed) = match &begun {
            Some(begun) => (Some(&begun.crm), Some(&begun.exchange)),
            None if linked => (crm_base, exchange_base),
            None => (None, None),
        };
        let crm = self.judge(rules.as_ref(), key, Direction::CrmToExchange, &view.crm, crm_agreed).await?;
        let exchange =
            self.judge(rules.as_ref(), key, Direction::ExchangeToCrm, &view.exchange, exchange_agreed).await?;
        let (past, beyond_window) = self.when(&view);
        let input = PlanInput {
            crm: &view.crm,
            exchange: &view.exchange,
            crm_known: crm_base.is_some(),
            exchange_known: exchange_base.is_some(),
            crm_moved,
            exchange_moved,
            crm_stance: crm.stance.unwrap_or(Stance::Silent),
            exchange_stance: exchange.stance.unwrap_or(Stance::Silent),
            past,
            beyond_window,
        };
        let op = match engine::plan(&input, &self.settings.policy) {
            // What was made by half is made whole.
            Op::Nothing if (reapply || unrecorded) && linked => Op::Merge,
            op if matches!(key, Key::Occurrence { .. }) => engine::of_occurrence(op, linked, &input),
            op => op,
        };
        let why = explain(&op, &crm, &exchange);
        let mut decision = Decision {
            key: key.clone(),
            entry,
            view,
            op,
            why,
            for_exchange: crm.now.clone(),
            for_crm: exchange.now.clone(),
            merged: Merged::default(),
            mail: MailPlan::SILENT,
            whole: None,
            answers: Vec::new(),
            withheld: Vec::new(),
            by_person: by_person(changes),
            mark,
            reapply,
            taken_in,
            kept: Vec::new(),
            rules,
        };
        if decision.op == Op::Merge {
            (decision.merged, decision.kept) = self.merge(&decision, &crm, &exchange, changes).await?;
        }
        decision.answers = self.answers(&decision);
        // What people changed while a copy was made and not recorded is told like any other change.
        let tells = !past && !self.is_draft(&decision).await?;
        let first = changes.iter().any(|change| change.cause == Cause::First);
        let mail = Permission { tells, creates: !first, updates: linked || begun.is_some() };
        decision.mail = self.mail(&decision, mail);
        self.withhold(&mut decision);
        self.aim_at_whole(&mut decision, mail).await?;
        Ok(decision)
    }

    fn settled(
        &self,
        key: &Key,
        entry: Option<Entry>,
        view: View,
        rules: Arc<dyn Rules>,
        changes: &[Change],
    ) -> Decision {
        Decision {
            key: key.clone(),
            entry,
            view,
            op: Op::Nothing,
            why: "both sides are as last agreed".into(),
            for_exchange: None,
            for_crm: None,
            merged: Merged::default(),
            mail: MailPlan::SILENT,
            whole: None,
            answers: Vec::new(),
            withheld: Vec::new(),
            by_person: by_person(changes),
            mark: None,
            reapply: false,
            taken_in: false,
            kept: Vec::new(),
            rules,
        }
    }

    async fn judge(
        &self,
        rules: &dyn Rules,
        key: &Key,
        direction: Direction,
        seen: &Seen,
        base: Option<&Appointment>,
    ) -> Result<Judged, Trouble> {
        let Some(item) = seen.present() else { return Ok(Judged::default()) };
        if !self.settings.policy.allows(direction) {
            return Ok(Judged::default());
        }
        let id = key.to_string();
        let now = match rules.judge(Call { id: &id, direction, source: &item.appointment }).await? {
            Verdict::Pass(draft) => *draft,
            Verdict::Skip { rule, reason } => {
                let reason = Some(format!("rule {rule}: {reason}"));
                return Ok(Judged { stance: Some(Stance::Skipped), reason, ..Judged::default() });
            }
            Verdict::Hold { rule, reason, after } => return Err(Trouble::Held { rule, reason, after }),
            Verdict::Refuse(refusal) => return Err(Trouble::Refused(refusal)),
        };
        // The agreed state may be one that the rules would not pass today; then nothing of it can be compared.
        let base = match base {
            Some(base) => match rules.judge(Call { id: &id, direction, source: base }).await? {
                Verdict::Pass(draft) => Some(*draft),
                Verdict::Skip { .. } | Verdict::Hold { .. } | Verdict::Refuse(_) => None,
            },
            None => None,
        };
        let stance = if now.removed { Stance::Unwanted } else { Stance::Wanted };
        Ok(Judged { stance: Some(stance), now: Some(now), base, reason: None })
    }

    /// Whether the appointment is over, and whether it ended before the window for taking up unpaired items.
    fn when(&self, view: &View) -> (bool, bool) {
        let now = self.clock.now();
        let item = view.crm.present().or_else(|| view.exchange.present());
        let Some(item) = item else { return (false, false) };
        let time = &item.appointment.time;
        (time.is_past(now), time.is_past(now - self.settings.past_window))
    }

    async fn merge(
        &self,
        decision: &Decision,
        crm: &Judged,
        exchange: &Judged,
        changes: &[Change],
    ) -> Result<(Merged, Vec<Field>), Trouble> {
        let (Some(crm_item), Some(exchange_item)) = (decision.view.crm.present(), decision.view.exchange.present())
        else {
            return Ok((Merged::default(), Vec::new()));
        };
        let crm_can = self.servers.crm().capabilities();
        let exchange_can =
            self.servers.of(&exchange_item.at.container).map(|server| server.capabilities()).unwrap_or_default();
        // An attendee's copy is the organizer's to change, never ours.
        let writes_exchange = exchange_item.role == Role::Organizer;
        let none = BTreeMap::new();
        let mut input = MergeInput {
            crm: &crm_item.appointment,
            exchange: &exchange_item.appointment,
            for_exchange: crm.now.as_ref().filter(|_| writes_exchange).map(|now| pair(now, crm.base.as_ref())),
            for_crm: exchange.now.as_ref().map(|now| pair(now, exchange.base.as_ref())),
            exchange_unwritable: &exchange_can.unwritable,
            crm_unwritable: &crm_can.unwritable,
            resolutions: &none,
        };
        let policy = &self.policy(changes);
        let mut merged = engine::merge(&input, policy);
        let id = decision.key.to_string();
        let resolutions;
        if !merged.conflicts.is_empty() {
            let call = Call { id: &id, direction: Direction::CrmToExchange, source: &crm_item.appointment };
            resolutions = decision.rules.resolve(&merged.conflicts, call).await?;
            if !resolutions.is_empty() {
                input.resolutions = &resolutions;
                merged = engine::merge(&input, policy);
            }
        }
        let kept = if decision.reapply { add_anew(decision, &input, &mut merged) } else { Vec::new() };
        if writes_exchange {
            self.settle(decision, crm_item, exchange_item, &mut merged).await?;
        }
        Ok((merged, kept))
    }

    /// Answers given in the CRM; Exchange's own people answer in their calendars.
    fn answers(&self, decision: &Decision) -> Vec<(Address, Response)> {
        let known = decision.entry.as_ref().and_then(|entry| Some((entry.crm.as_ref()?, entry.exchange.as_ref()?)));
        let (Op::Merge, Some((crm_agreed, exchange_agreed)), Some(crm), Some(exchange)) =
            (&decision.op, known, decision.view.crm.present(), decision.view.exchange.present())
        else {
            return Vec::new();
        };
        if !self.settings.policy.allows(Direction::CrmToExchange) {
            return Vec::new();
        }
        engine::answered(Answering {
            crm: &crm.appointment,
            crm_agreed: &crm_agreed.appointment,
            exchange: &exchange.appointment,
            exchange_agreed: &exchange_agreed.appointment,
        })
    }

    /// The operator's policy, with the winner of this round.
    fn policy(&self, changes: &[Change]) -> Policy {
        let mut policy = self.settings.policy.clone();
        if self.settings.conflicts == Conflicts::Latest
            && let Some(last) = changes.last()
        {
            policy.winner = match last.at.side() {
                Side::Crm => Winner::Crm,
                Side::Exchange => Winner::Exchange,
            };
        }
        policy
    }

    /// Makes the two copies agree under the rules after the patches: where a patch to the CRM would change, through the
    /// rules, a field of Exchange that nobody moved, the CRM takes over Exchange's view of that field too.
    async fn settle(
        &self,
        decision: &Decision,
        crm: &Item,
        exchange: &Item,
        merged: &mut Merged,
    ) -> Result<(), Trouble> {
        if merged.to_crm.is_empty() || decision.for_exchange.is_none() {
            return Ok(());
        }
        let (mut crm_after, mut exchange_after) = (crm.appointment.clone(), exchange.appointment.clone());
        merged.to_crm.apply(&mut crm_after)?;
        merged.to_exchange.apply(&mut exchange_after)?;
        let id = decision.key.to_string();
        let draft = |source| Call { id: &id, direction: Direction::CrmToExchange, source };
        let before = decision.for_exchange.as_ref();
        let after = decision.rules.judge(draft(&crm_after)).await?;
        let (Some(before), Verdict::Pass(after)) = (before, after) else { return Ok(()) };
        let disturbed = engine::disturbed(&before.appointment, &after.appointment, &exchange_after);
        if disturbed.is_empty() {
            return Ok(());
        }
        let back = Call { id: &id, direction: Direction::ExchangeToCrm, source: &exchange_after };
        let Verdict::Pass(back) = decision.rules.judge(back).await? else { return Ok(()) };
        for field in disturbed {
            let value = back.appointment.get(&field);
            if !engine::same_value(&value, &crm_after.get(&field)) {
                merged.to_crm.set.insert(field, value);
            }
        }
        Ok(())
    }

    /// A meeting that its organizer in Exchange saved and has not sent: the host does not send it in their place.
    async fn is_draft(&self, decision: &Decision) -> Result<bool, Trouble> {
        let Some(item) = decision.view.exchange.present().filter(|item| !item.sent) else { return Ok(false) };
        let whole = match &decision.key {
            Key::Occurrence { uid, .. } => self.ledger.find_uid(uid).await?,
            key => Some(key.clone()),
        };
        Ok(whole.is_some_and(|whole| is_draft(&whole, item)))
    }

    fn mail(&self, decision: &Decision, permission: Permission) -> MailPlan {
        let shown = decision.view.exchange.present();
        let allowed = self.may_tell(decision, permission);
        match &decision.op {
            Op::Create { on: Side::Exchange, .. } => decision.for_exchange.as_ref().map_or(MailPlan::SILENT, |draft| {
                engine::mail_for_create(&draft.appointment, allowed && permission.creates)
            }),
            Op::Merge => shown.map_or(MailPlan::SILENT, |item| self.mail_for_change(decision, item, permission)),
            Op::Delete { on: Side::Exchange, .. } => {
                shown.map_or(MailPlan::SILENT, |item| engine::mail_for_delete(&item.appointment, allowed && item.sent))
            }
            Op::Create { on: Side::Crm, .. }
            | Op::Delete { on: Side::Crm, .. }
            | Op::Nothing
            | Op::Note(_)
            | Op::Skip(_) => MailPlan::SILENT,
        }
    }

    /// What the merge's patch of Exchange's copy mails, written to that item.
    pub(super) fn mail_for_change(&self, decision: &Decision, item: &Item, permission: Permission) -> MailPlan {
        let plan = if self.mails_by_itself(decision) {
            engine::mail_for_update_unasked
        } else if !item.sent {
            engine::mail_for_update_unsent
        } else {
            engine::mail_for_update
        };
        plan(&item.appointment, &decision.merged.to_exchange, self.may_tell_of_change(decision, permission))
    }

    pub(super) fn may_tell_of_change(&self, decision: &Decision, permission: Permission) -> bool {
        self.may_tell(decision, permission) && permission.updates
    }

    fn may_tell(&self, decision: &Decision, permission: Permission) -> bool {
        let permitted = decision.for_exchange.as_ref().is_none_or(|draft| draft.mail_allowed);
        permission.tells && permitted && self.settings.exchange_invites
    }
}

/// Whether this copy of an appointment, or of an occurrence of a series, with that key was saved with its people and not sent.
pub(super) fn is_draft(whole: &Key, item: &Item) -> bool {
    // Whoever is added to an appointment of nobody else's is the first to be asked.
    let has_guests = engine::mail_for_delete(&item.appointment, true) != MailPlan::SILENT;
    matches!(whole, Key::Uid(_)) && !item.sent && has_guests
}

fn pair<'a>(now: &'a Draft, base: Option<&'a Draft>) -> (&'a Appointment, Option<&'a Appointment>) {
    (&now.appointment, base.map(|draft| &draft.appointment))
}

/// An item of the version last agreed on was not touched. If its time reads differently all the same, our reading of it
/// changed (a newer zone table, another zone in the configuration), and that rewrites nothing.
fn unread_again(seen: &mut Seen, known: Option<&Known>) {
    if let (Seen::Present(item), Some(known)) = (seen, known)
        && item.at == known.at
        && item.version == known.version
        && item.appointment.time != known.appointment.time
    {
        item.appointment.time = known.appointment.time.clone();
    }
}

fn has_moved(seen: &Seen, base: Option<&Appointment>) -> bool {
    match (seen.present(), base) {
        (Some(item), Some(base)) => {
            !engine::moved(base, &item.appointment).is_empty() || renamed(base, &item.appointment)
        }
        (Some(_), None) | (None, _) => false,
    }
}

/// A row of the CRM that was cut off before anybody's calendar showed it: it has no organizer, and was never read when both
/// sides agreed. Whatever else became of it, it goes with what it was made of.
fn is_half_made(seen: &Seen, known: Option<&Known>) -> bool {
    let (Some(item), Some(known)) = (seen.present(), known) else { return false };
    let unread = known.version.0.is_empty();
    unread && item.appointment.organizer.is_none() && known.appointment.organizer.is_some()
}

/// A side shows another item than the one agreed on.
fn made_anew(view: &View, entry: &Entry) -> bool {
    let other = |seen: &Seen, known: Option<&Known>| match (seen.present(), known) {
        (Some(item), Some(known)) => item.at != known.at,
        (None, _) | (_, None) => false,
    };
    other(&view.crm, entry.crm.as_ref()) || other(&view.exchange, entry.exchange.as_ref())
}

/// Fields the merge does not move by itself but a rule may read.
fn renamed(base: &Appointment, now: &Appointment) -> bool {
    [Field::Organizer, Field::Recurrence].iter().any(|field| base.get(field) != now.get(field))
}

fn by_person(changes: &[Change]) -> bool {
    changes.iter().any(|change| change.cause == Cause::Person)
}

fn explain(op: &Op, crm: &Judged, exchange: &Judged) -> String {
    let by_rule = crm.reason.as_ref().or(exchange.reason.as_ref());
    match op {
        Op::Nothing => "both sides are as last agreed".into(),
        Op::Merge => "both sides show it: what moved is carried over, field by field".into(),
        Op::Note(why) | Op::Create { why, .. } | Op::Delete { why, .. } => (*why).into(),
        Op::Skip(why) => by_rule.cloned().unwrap_or_else(|| (*why).into()),
    }
}
