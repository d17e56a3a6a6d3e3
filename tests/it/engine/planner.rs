//! Every arm of the plan: one row each, named by what people would say happened.

use daybridge::engine::{DeleteAgainstEdit, GONE_UNKNOWN, NEVER_THERE, Op, PlanInput, Policy, Stance, plan};
use daybridge::model::{Role, Seen, Side};

use super::present;

/// What a side shows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shows {
    Own,
    /// A copy in an attendee's calendar.
    Invited,
    Deleted,
    Absent,
}
use Shows::{Absent, Deleted, Invited, Own};

/// A row's circumstances; the rest is as in an ordinary pair.
#[derive(Clone, Copy)]
struct Case {
    crm: Shows,
    exchange: Shows,
    crm_known: bool,
    exchange_known: bool,
    crm_moved: bool,
    exchange_moved: bool,
    crm_stance: Stance,
    exchange_stance: Stance,
    past: bool,
    beyond_window: bool,
    to_exchange: bool,
    to_crm: bool,
    delete_wins: bool,
}

/// Both known, nothing moved, both directions on.
const PAIR: Case = Case {
    crm: Own,
    exchange: Own,
    crm_known: true,
    exchange_known: true,
    crm_moved: false,
    exchange_moved: false,
    crm_stance: Stance::Wanted,
    exchange_stance: Stance::Wanted,
    past: false,
    beyond_window: false,
    to_exchange: true,
    to_crm: true,
    delete_wins: false,
};
/// Nobody ever synchronized it.
const NEW: Case = Case { crm_known: false, exchange_known: false, ..PAIR };
const IN_CRM: Case = Case { exchange: Absent, exchange_stance: Stance::Silent, ..NEW };
const IN_EXCHANGE: Case = Case { crm: Absent, crm_stance: Stance::Silent, ..NEW };
/// The pair's copy in Exchange, or in the CRM, is gone.
const LOST_IN_EXCHANGE: Case = Case { exchange: Deleted, exchange_stance: Stance::Silent, ..PAIR };
const LOST_IN_CRM: Case = Case { crm: Deleted, crm_stance: Stance::Silent, ..PAIR };

fn seen(shows: Shows, side: Side) -> Seen {
    match shows {
        Own => present(side, Role::Organizer),
        Invited => present(side, Role::Attendee),
        Deleted => Seen::Deleted,
        Absent => Seen::Absent,
    }
}

fn decide(case: Case) -> Op {
    let (crm, exchange) = (seen(case.crm, Side::Crm), seen(case.exchange, Side::Exchange));
    let input = PlanInput {
        crm: &crm,
        exchange: &exchange,
        crm_known: case.crm_known,
        exchange_known: case.exchange_known,
        crm_moved: case.crm_moved,
        exchange_moved: case.exchange_moved,
        crm_stance: case.crm_stance,
        exchange_stance: case.exchange_stance,
        past: case.past,
        beyond_window: case.beyond_window,
    };
    let delete_against_edit =
        if case.delete_wins { DeleteAgainstEdit::DeleteWins } else { DeleteAgainstEdit::EditWins };
    let policy = Policy {
        crm_to_exchange: case.to_exchange,
        exchange_to_crm: case.to_crm,
        delete_against_edit,
        ..Policy::default()
    };
    plan(&input, &policy)
}

/// What a row expects; words are compared by a part of them, so that they can be improved.
#[derive(Debug)]
enum Expect {
    Nothing,
    Merge,
    Note(&'static str),
    Skip(&'static str),
    Create(Side, &'static str),
    Delete(Side, &'static str),
}

fn is(op: &Op, expected: &Expect) -> bool {
    match (op, expected) {
        (Op::Nothing, Expect::Nothing) | (Op::Merge, Expect::Merge) => true,
        (Op::Note(said), Expect::Note(part)) | (Op::Skip(said), Expect::Skip(part)) => said.contains(part),
        (Op::Create { on, why }, Expect::Create(side, part)) | (Op::Delete { on, why }, Expect::Delete(side, part)) => {
            on == side && why.contains(part)
        }
        _ => false,
    }
}

#[test]
fn each_arm_of_the_plan_decides_as_people_expect() {
    use Expect::{Create, Delete, Merge, Note, Nothing, Skip};
    use Side::{Crm, Exchange};
    use Stance::{Silent, Skipped, Unwanted};
    let rows = [
        // Both there.
        ("as agreed", PAIR, Nothing),
        ("edited in the CRM", Case { crm_moved: true, ..PAIR }, Merge),
        ("edited in Outlook", Case { exchange_moved: true, ..PAIR }, Merge),
        ("found to be the same", NEW, Merge),
        ("the ledger knows one half", Case { exchange_known: false, ..PAIR }, Merge),
        ("rule skips the CRM's", Case { crm_stance: Skipped, crm_moved: true, ..PAIR }, Skip("rule")),
        ("rule skips Exchange's", Case { exchange_stance: Skipped, exchange_moved: true, ..PAIR }, Skip("rule")),
        (
            "rule skips one, cancels the other",
            Case { crm_stance: Unwanted, exchange_stance: Skipped, ..PAIR },
            Skip("rule"),
        ),
        ("cancelled in the CRM", Case { crm_stance: Unwanted, ..PAIR }, Delete(Exchange, "cancelled in the CRM")),
        (
            "cancelled in the CRM though edited in Outlook",
            Case { crm_stance: Unwanted, exchange_moved: true, ..PAIR },
            Delete(Exchange, "cancelled in the CRM"),
        ),
        (
            "cancelled in the CRM, somebody else's meeting",
            Case { exchange: Invited, crm_stance: Unwanted, ..PAIR },
            Note("organizer elsewhere"),
        ),
        ("cancelled in Exchange", Case { exchange_stance: Unwanted, ..PAIR }, Delete(Crm, "rule removes")),
        (
            "cancelled in Exchange, CRM silent",
            Case { exchange_stance: Unwanted, crm_stance: Silent, ..PAIR },
            Delete(Crm, "rule removes"),
        ),
        ("one direction only", Case { exchange_stance: Silent, to_crm: false, crm_moved: true, ..PAIR }, Merge),
        // Gone on one side.
        ("deleted in Exchange", LOST_IN_EXCHANGE, Delete(Crm, "deleted in Exchange")),
        (
            "never seen again in Exchange",
            Case { exchange: Absent, ..LOST_IN_EXCHANGE },
            Delete(Crm, "deleted in Exchange"),
        ),
        ("deleted in the CRM", LOST_IN_CRM, Delete(Exchange, "deleted in the CRM")),
        ("never seen again in the CRM", Case { crm: Absent, ..LOST_IN_CRM }, Delete(Exchange, "deleted in the CRM")),
        ("old one deleted in the CRM", Case { past: true, ..LOST_IN_CRM }, Delete(Exchange, "deleted in the CRM")),
        ("mailbox cleaned of the past", Case { past: true, ..LOST_IN_EXCHANGE }, Note("history")),
        (
            "deleted in Exchange, edited in the CRM",
            Case { crm_moved: true, ..LOST_IN_EXCHANGE },
            Create(Exchange, "edit wins"),
        ),
        (
            "deleted in the CRM, edited in Outlook",
            Case { exchange_moved: true, ..LOST_IN_CRM },
            Create(Crm, "edit wins"),
        ),
        (
            "the same where deletions win",
            Case { crm_moved: true, delete_wins: true, ..LOST_IN_EXCHANGE },
            Delete(Crm, "deleted in Exchange"),
        ),
        (
            "edited, but the edit may not travel",
            Case { crm_moved: true, to_exchange: false, ..LOST_IN_EXCHANGE },
            Delete(Crm, "deleted in Exchange"),
        ),
        (
            "deleted in Exchange, which the CRM does not listen to",
            Case { to_crm: false, ..LOST_IN_EXCHANGE },
            Note("switched off"),
        ),
        (
            "deleted in the CRM, which Exchange does not listen to",
            Case { to_exchange: false, ..LOST_IN_CRM },
            Note("switched off"),
        ),
        ("rule skips what is left", Case { crm_stance: Skipped, ..LOST_IN_EXCHANGE }, Skip("rule")),
        ("cancelled here, gone there", Case { crm_stance: Unwanted, ..LOST_IN_EXCHANGE }, Note("cancelled")),
        (
            "gone before it was a pair",
            Case { exchange_known: false, crm_known: false, ..LOST_IN_EXCHANGE },
            Create(Exchange, "new in the CRM"),
        ),
        ("gone, and the copy left was known alone", Case { exchange_known: false, ..LOST_IN_EXCHANGE }, Nothing),
        // On one side only.
        ("new in the CRM", IN_CRM, Create(Exchange, "new in the CRM")),
        ("new in Exchange", IN_EXCHANGE, Create(Crm, "new in Exchange")),
        ("invited by a stranger", Case { exchange: Invited, ..IN_EXCHANGE }, Create(Crm, "stub")),
        ("new, direction off", Case { to_exchange: false, ..IN_CRM }, Skip("switched off")),
        ("new in Exchange, direction off", Case { to_crm: false, ..IN_EXCHANGE }, Skip("switched off")),
        ("new, long over", Case { beyond_window: true, ..IN_CRM }, Skip("before the synchronized period")),
        ("new, a rule skips it", Case { crm_stance: Skipped, ..IN_CRM }, Skip("rule")),
        ("new and already cancelled", Case { crm_stance: Unwanted, ..IN_CRM }, Skip("cancelled")),
        ("stays alone, untouched", Case { crm_known: true, ..IN_CRM }, Nothing),
        (
            "stays alone, edited when over",
            Case { crm_known: true, crm_moved: true, past: true, ..IN_CRM },
            Note("alone"),
        ),
        (
            "stood alone, edited, still to come",
            Case { crm_known: true, crm_moved: true, ..IN_CRM },
            Create(Exchange, "new in the CRM"),
        ),
        (
            "stood alone in Exchange, edited, still to come",
            Case { exchange_known: true, exchange_moved: true, ..IN_EXCHANGE },
            Create(Crm, "new in Exchange"),
        ),
        // On neither.
        ("gone on both", Case { crm: Deleted, exchange: Deleted, ..PAIR }, Note("gone on both")),
        ("gone on one, lost on the other", Case { crm: Deleted, exchange: Absent, ..PAIR }, Note("gone on both")),
        ("lost on one, gone on the other", Case { crm: Absent, exchange: Deleted, ..PAIR }, Note("gone on both")),
        ("gone unknown", Case { crm: Deleted, exchange: Deleted, ..NEW }, Skip(GONE_UNKNOWN)),
        ("gone unknown in the CRM", Case { crm: Deleted, exchange: Absent, ..NEW }, Skip(GONE_UNKNOWN)),
        ("gone unknown in Exchange", Case { crm: Absent, exchange: Deleted, ..NEW }, Skip(GONE_UNKNOWN)),
        ("nowhere", Case { crm: Absent, exchange: Absent, ..NEW }, Skip(NEVER_THERE)),
        ("nowhere, though known", Case { crm: Absent, exchange: Absent, ..PAIR }, Skip(NEVER_THERE)),
    ];
    let wrong: Vec<String> = rows
        .iter()
        .map(|(name, case, expected)| (name, decide(*case), expected))
        .filter(|(_, op, expected)| !is(op, expected))
        .map(|(name, op, expected)| format!("{name}: {op:?}, not {expected:?}"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every combination there is.
fn all_cases() -> impl Iterator<Item = Case> {
    const SHOWS: [Shows; 4] = [Own, Invited, Deleted, Absent];
    const STANCES: [Stance; 4] = [Stance::Silent, Stance::Wanted, Stance::Unwanted, Stance::Skipped];
    let choices = 9_u32;
    (0..4 * 3 * 4 * 4 * (1_usize << choices)).map(move |number| {
        let flag = |bit: u32| number >> bit & 1 == 1;
        let rest = number >> choices;
        let pick = |of: usize, below: usize| (rest / below) % of;
        Case {
            exchange: SHOWS[pick(4, 1)],
            // The CRM has no copies of other people's meetings.
            crm: [Own, Deleted, Absent][pick(3, 4)],
            crm_stance: STANCES[pick(4, 12)],
            exchange_stance: STANCES[pick(4, 48)],
            crm_known: flag(0),
            exchange_known: flag(1),
            crm_moved: flag(2),
            exchange_moved: flag(3),
            past: flag(4),
            beyond_window: flag(5),
            to_exchange: flag(6),
            to_crm: flag(7),
            delete_wins: flag(8),
        }
    })
}

#[test]
fn what_must_never_be_decided_is_decided_in_no_combination() {
    let mut counted = 0_usize;
    for case in all_cases() {
        counted += 1;
        let shows = |side| match side {
            Side::Crm => case.crm,
            Side::Exchange => case.exchange,
        };
        let is_there = |side| matches!(shows(side), Own | Invited);
        let stance = |side| match side {
            Side::Crm => case.crm_stance,
            Side::Exchange => case.exchange_stance,
        };
        let listens = |side| match side {
            Side::Crm => case.to_crm,
            Side::Exchange => case.to_exchange,
        };
        let known = |side| match side {
            Side::Crm => case.crm_known,
            Side::Exchange => case.exchange_known,
        };
        let told = || {
            format!(
                "crm {:?} {:?} known {} moved {}, exchange {:?} {:?} known {} moved {}, past {}, beyond {}, on {} {}",
                case.crm,
                case.crm_stance,
                case.crm_known,
                case.crm_moved,
                case.exchange,
                case.exchange_stance,
                case.exchange_known,
                case.exchange_moved,
                case.past,
                case.beyond_window,
                case.to_exchange,
                case.to_crm
            )
        };
        match decide(case) {
            Op::Create { on, .. } => {
                let from = on.other();
                assert!(!is_there(on) && is_there(from), "created beside a copy or from nothing: {}", told());
                assert!(listens(on), "created in a direction that is off: {}", told());
                assert!(
                    !matches!(stance(from), Stance::Skipped | Stance::Unwanted),
                    "created against the rules: {}",
                    told()
                );
                assert!(!case.beyond_window || known(from), "created outside the window: {}", told());
            }
            Op::Delete { on, .. } => {
                let gone = on.other();
                assert!(is_there(on), "deleted what is not there: {}", told());
                assert!(shows(on) != Invited || known(on), "deleted a stranger's invitation: {}", told());
                assert!(stance(on) != Stance::Skipped, "deleted what a rule leaves alone: {}", told());
                let by_rule = is_there(gone) && stance(gone) == Stance::Unwanted;
                let by_loss = !is_there(gone) && known(gone) && known(on) && listens(on);
                assert!(by_rule || by_loss, "deleted without a reason: {}", told());
            }
            Op::Merge => assert!(is_there(Side::Crm) && is_there(Side::Exchange), "merged one copy: {}", told()),
            Op::Nothing | Op::Note(_) | Op::Skip(_) => {}
        }
    }
    assert_eq!(counted, 98_304);
}
