//! What should happen to a pair, given what both sides show, what they last agreed on, and what the rules say.
//!
//! Promises: one decision for each combination of presence; nothing is deleted for leaving a window, for a lost right or
//! for a direction that is switched off. Must not know: fields (that is [`super::merge`]).

use std::collections::BTreeMap;

use crate::model::{Direction, Field, Role, Seen, Side};

/// The operator's choices the plan depends on.
#[derive(Clone, Debug)]
pub struct Policy {
    pub crm_to_exchange: bool,
    pub exchange_to_crm: bool,
    /// Who wins a field both sides moved, unless a rule or `field_winners` says otherwise.
    pub winner: Winner,
    pub field_winners: BTreeMap<Field, Winner>,
    pub delete_against_edit: DeleteAgainstEdit,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            crm_to_exchange: true,
            exchange_to_crm: true,
            winner: Winner::Crm,
            field_winners: BTreeMap::new(),
            delete_against_edit: DeleteAgainstEdit::EditWins,
        }
    }
}

impl Policy {
    pub fn allows(&self, direction: Direction) -> bool {
        match direction {
            Direction::CrmToExchange => self.crm_to_exchange,
            Direction::ExchangeToCrm => self.exchange_to_crm,
        }
    }

    pub fn winner_of(&self, field: &Field) -> Winner {
        self.field_winners.get(field).copied().unwrap_or(self.winner)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Winner {
    Crm,
    Exchange,
}

impl Winner {
    pub fn side(self) -> Side {
        match self {
            Winner::Crm => Side::Crm,
            Winner::Exchange => Side::Exchange,
        }
    }
}

/// One side deleted what the other edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteAgainstEdit {
    /// The edited copy is restored on the other side, and the history says so.
    EditWins,
    DeleteWins,
}

/// What the rules make of a side's present copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stance {
    /// The side has no copy to judge, or its direction is switched off.
    Silent,
    /// The other side should have a copy.
    Wanted,
    /// The other side should have none (a cancelled communication).
    Unwanted,
    /// A rule said that this is none of the sync's business.
    Skipped,
}

/// All a plan is made of.
#[derive(Clone, Debug)]
pub struct PlanInput<'a> {
    pub crm: &'a Seen,
    pub exchange: &'a Seen,
    /// The ledger holds an agreed state of this side.
    pub crm_known: bool,
    pub exchange_known: bool,
    /// The side's content differs from what the ledger agreed on (false where nothing is known).
    pub crm_moved: bool,
    pub exchange_moved: bool,
    pub crm_stance: Stance,
    pub exchange_stance: Stance,
    /// The appointment is over.
    pub past: bool,
    /// The appointment ended before the window in which unpaired items are taken up.
    pub beyond_window: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Both sides are as the ledger says.
    Nothing,
    /// Write nothing on either side; record what is seen (a new version, a link, both gone).
    Note(&'static str),
    Create {
        on: Side,
        why: &'static str,
    },
    /// Both copies are there: merge them field by field.
    Merge,
    Delete {
        on: Side,
        why: &'static str,
    },
    /// Not ours; the reason is told on request.
    Skip(&'static str),
}

/// Why an appointment is skipped that nobody ever synchronized and that is gone.
pub const GONE_UNKNOWN: &str = "gone before it was ever synchronized";
/// Why an appointment is skipped that is nowhere.
pub const NEVER_THERE: &str = "neither side shows it";

/// Decides. Every combination of presence has its arm.
pub fn plan(input: &PlanInput<'_>, policy: &Policy) -> Op {
    match (input.crm, input.exchange) {
        (Seen::Present(_), Seen::Present(exchange)) => both_present(input, exchange.role),
        (Seen::Present(_), Seen::Deleted) => one_deleted(input, policy, Side::Exchange),
        (Seen::Deleted, Seen::Present(_)) => one_deleted(input, policy, Side::Crm),
        (Seen::Present(_), Seen::Absent) if input.exchange_known => one_deleted(input, policy, Side::Exchange),
        (Seen::Absent, Seen::Present(_)) if input.crm_known => one_deleted(input, policy, Side::Crm),
        (Seen::Present(_), Seen::Absent) => only_on(Side::Crm, input, policy),
        (Seen::Absent, Seen::Present(_)) => only_on(Side::Exchange, input, policy),
        (Seen::Deleted, Seen::Deleted) | (Seen::Deleted, Seen::Absent) | (Seen::Absent, Seen::Deleted) => {
            if input.crm_known || input.exchange_known {
                Op::Note("gone on both sides")
            } else {
                Op::Skip(GONE_UNKNOWN)
            }
        }
        (Seen::Absent, Seen::Absent) => Op::Skip(NEVER_THERE),
    }
}

fn both_present(input: &PlanInput<'_>, role: Role) -> Op {
    let linked = input.crm_known && input.exchange_known;
    match (input.crm_stance, input.exchange_stance) {
        (Stance::Skipped, _) | (_, Stance::Skipped) => Op::Skip("a rule leaves this appointment alone"),
        // A cancellation is a decision somebody recorded in the CRM; an edit in Outlook does not undo it.
        (Stance::Unwanted, _) => match role {
            Role::Organizer => Op::Delete { on: Side::Exchange, why: "cancelled in the CRM" },
            Role::Attendee => Op::Note("cancelled in the CRM; the meeting belongs to an organizer elsewhere and stays"),
        },
        (Stance::Wanted | Stance::Silent, Stance::Unwanted) => {
            Op::Delete { on: Side::Crm, why: "a rule removes what Exchange shows" }
        }
        (Stance::Wanted | Stance::Silent, Stance::Wanted | Stance::Silent) => {
            if linked && !input.crm_moved && !input.exchange_moved { Op::Nothing } else { Op::Merge }
        }
    }
}

/// The pair has lost its copy on `gone`; the other copy is there.
fn one_deleted(input: &PlanInput<'_>, policy: &Policy, gone: Side) -> Op {
    let left = gone.other();
    let (stance, moved, gone_known, left_known) = match left {
        Side::Crm => (input.crm_stance, input.crm_moved, input.exchange_known, input.crm_known),
        Side::Exchange => (input.exchange_stance, input.exchange_moved, input.crm_known, input.exchange_known),
    };
    if !gone_known || !left_known {
        // It was deleted before the two were ever a pair: the copy that is left stands alone.
        return only_on(left, input, policy);
    }
    match stance {
        Stance::Skipped => return Op::Skip("a rule leaves this appointment alone"),
        Stance::Unwanted => return Op::Note("cancelled, and gone on the other side"),
        Stance::Wanted | Stance::Silent => {}
    }
    if moved && policy.delete_against_edit == DeleteAgainstEdit::EditWins && policy.allows(Direction::from(left)) {
        return Op::Create { on: gone, why: "deleted on one side but edited on the other: the edit wins" };
    }
    if !policy.allows(Direction::from(gone)) {
        return Op::Note("deleted on the other side; that direction is switched off, so this copy stays");
    }
    match (gone, input.past) {
        // Mailbox clean-up tools delete old meetings; the CRM's record of what happened is not theirs to remove.
        (Side::Exchange, true) => Op::Note("deleted in Exchange after it was over; the CRM keeps it as history"),
        (Side::Exchange, false) => Op::Delete { on: Side::Crm, why: "deleted in Exchange" },
        (Side::Crm, _) => Op::Delete { on: Side::Exchange, why: "deleted in the CRM" },
    }
}

/// Only one side shows it: it is new there, or the pair has lost its other copy for good.
fn only_on(side: Side, input: &PlanInput<'_>, policy: &Policy) -> Op {
    let (stance, seen, known, moved) = match side {
        Side::Crm => (input.crm_stance, input.crm, input.crm_known, input.crm_moved),
        Side::Exchange => (input.exchange_stance, input.exchange, input.exchange_known, input.exchange_moved),
    };
    if known && !moved {
        return Op::Nothing;
    }
    if known && input.past {
        return Op::Note("it is over, and the other copy was removed: this one stays alone");
    }
    match stance {
        Stance::Skipped => Op::Skip("a rule leaves this appointment alone"),
        Stance::Unwanted => Op::Skip("cancelled before it was ever synchronized"),
        Stance::Silent | Stance::Wanted if !policy.allows(Direction::from(side)) => {
            Op::Skip("this direction is switched off")
        }
        Stance::Silent | Stance::Wanted if input.beyond_window => Op::Skip("it ended before the synchronized period"),
        Stance::Silent | Stance::Wanted => match (side, seen.present().map(|item| item.role)) {
            (Side::Exchange, Some(Role::Attendee)) => {
                Op::Create { on: Side::Crm, why: "a meeting of an organizer elsewhere: a read-only stub" }
            }
            (Side::Crm, _) => Op::Create { on: Side::Exchange, why: "new in the CRM" },
            (Side::Exchange, _) => Op::Create { on: Side::Crm, why: "new in Exchange" },
        },
    }
}
