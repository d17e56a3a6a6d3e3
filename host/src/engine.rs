//! Decides what to write. Pure: no clock, no network, no store; the same input gives the same plan.
//!
//! [`plan`] answers for presence (create, delete, restore, leave alone), [`merge`] field by field for two present copies,
//! [`anew`] what new rules would make different, [`mail`] how many mails a write will cause, [`answered`] who answered in the CRM, [`Brake`] whether a deletion may go ahead,
//! [`restless`] whether a pair will ever come to rest.
//! Promises: every arm of the plan is spelt out; a conflict is a value, never an accident of order.
//! Must not know: connectors, stores, wasm.

mod answers;
mod brake;
mod mail;
mod merge;
mod planner;
mod reapply;
mod recent;
mod restless;
mod series;

pub use answers::{Answering, answered};
pub use brake::{Brake, BrakeLimits, Braked, PairCounts};
pub use mail::{
    MailMeter, MailPlan, TOLD_UNASKED, is_told_unasked, mail_for_create, mail_for_delete, mail_for_update,
    mail_for_update_unasked, mail_for_update_unsent,
};
pub use merge::{Loser, MergeInput, Merged, disturbed, merge, mergeable, moved, same_people, same_value};
pub use planner::{DeleteAgainstEdit, GONE_UNKNOWN, NEVER_THERE, Op, PlanInput, Policy, Stance, Winner, plan};
pub use reapply::{Anew, Way, anew};
pub use recent::Recent;
pub use restless::{Restless, RestlessLimits, Rewrite, restless};
pub use series::{Known as KnownOccurrence, Look, looks, of_occurrence, series_window};
