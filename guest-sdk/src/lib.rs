//! Everything a Daybridge rule needs: one trait, one macro.
//!
//! A rule looks at an appointment on its way from one side to the other and changes the draft of what the other side will
//! hold:
//!
//! ```
//! use daybridge_rule::prelude::*;
//!
//! struct Category;
//!
//! impl Rule for Category {
//!     fn describe() -> Description {
//!         Description::new("Adds a category to what goes to Exchange")
//!             .directions([Direction::CrmToExchange])
//!             .reads(["categories"])
//!     }
//!
//!     fn apply(_: &Context, _: &Appointment, draft: &mut Draft) -> Answer {
//!         draft.add_category("CRM");
//!         pass()
//!     }
//! }
//!
//! export!(Category);
//! ```
//!
//! Promises: the author changes a draft and this crate derives the edits, so fields the author never names pass by
//! untouched; a panic reaches the operator with its text and place; the same code runs in `cargo test` without
//! WebAssembly (see [`native`]). Rules must not know the time, chance, files or network: there is no way to reach them.

mod answer;
#[cfg(target_arch = "wasm32")]
mod arena;
#[doc(hidden)]
pub mod bindings;
mod context;
mod custom;
mod description;
#[doc(hidden)]
pub mod exports;
mod fields;
#[doc(hidden)]
pub mod glue;
mod model;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;

pub use answer::{Answer, Explanation, Failure, NextStep, Refusal, Stop, hold, pass, refuse, skip};
pub use context::{Context, LookupError};
pub use description::{Description, Hook, Lookup, Setting};
pub use fields::Value;
pub use model::{
    Appointment, Attendee, AttendeeKind, Choice, Conflict, Custom, Direction, Draft, Importance, Link, Person,
    Response, Scalar, Sensitivity, ShowAs, Span, Status, Time, User,
};

/// What a rule can do. Implement what it needs and name it in [`export!`]; the rest has no effect.
///
/// Every function must depend on nothing but its arguments, settings and look-ups: the host repeats calls on old data and
/// compares the answers.
pub trait Rule {
    /// Says what the rule is for, and what it uses. Name and version are those of the author's package.
    fn describe() -> Description;

    /// Judges an appointment: change the draft and [`pass`], or [`skip`], [`hold`], [`refuse`].
    fn apply(context: &Context, source: &Appointment, draft: &mut Draft) -> Answer {
        let _ = (context, source, draft);
        pass()
    }

    /// Says who wins where both sides changed a field; `None` leaves it to the next rule. Name it in [`export!`].
    fn resolve(context: &Context, source: &Appointment, conflict: &Conflict) -> Option<Choice> {
        let _ = (context, source, conflict);
        None
    }

    /// Puts a failure into words for people; `None` leaves it to the next rule. Name it in [`export!`].
    fn explain(context: &Context, failure: &Failure) -> Option<Explanation> {
        let _ = (context, failure);
        None
    }

    /// Chooses the CRM user for somebody of the Exchange directory; `None` for nobody. Name it in [`export!`].
    fn match_user<'a>(context: &Context, person: &Person, candidates: &'a [User]) -> Option<&'a User> {
        let _ = (context, person, candidates);
        None
    }
}

/// Version of the rule contract this crate speaks.
pub const API: &str = "0.2.0";

/// Makes a type that implements [`Rule`] the rule of this package: `export!(OurRule)` for one that judges appointments. One
/// that does something else, or more, names the functions it implements: `export!(OurRule, apply, explain)`, of `apply`, `resolve`,
/// `explain`, `match_user`. The host calls no others.
#[macro_export]
macro_rules! export {
    ($rule:ident) => {
        $crate::export!($rule, apply);
    };
    ($rule:ident, $($hook:ident),+ $(,)?) => {
        // Natively nothing is exported, but the rule is still in use.
        #[cfg(not(target_arch = "wasm32"))]
        const _: (fn() -> $crate::Description, &[$crate::Hook]) =
            (<$rule as $crate::Rule>::describe, &[$($crate::hook!($hook)),+]);

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            const HOOKS: &[$crate::Hook] = &[$($crate::hook!($hook)),+];

            struct Exported;

            impl $crate::bindings::exports::daybridge::rules::hooks::Guest for Exported {
                fn describe() -> $crate::bindings::daybridge::rules::types::Description {
                    $crate::glue::describe::<$rule>(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), HOOKS)
                }
                fn apply(
                    call: $crate::bindings::daybridge::rules::types::Call,
                    source: Vec<$crate::bindings::daybridge::rules::types::Field>,
                    draft: Vec<$crate::bindings::daybridge::rules::types::Field>,
                ) -> $crate::bindings::daybridge::rules::types::Verdict {
                    $crate::glue::apply::<$rule>(call, source, draft)
                }
                fn resolve(
                    call: $crate::bindings::daybridge::rules::types::Call,
                    source: Vec<$crate::bindings::daybridge::rules::types::Field>,
                    conflicts: Vec<$crate::bindings::daybridge::rules::types::Conflict>,
                ) -> Vec<$crate::bindings::daybridge::rules::types::Resolution> {
                    $crate::glue::resolve::<$rule>(call, source, conflicts)
                }
                fn explain(
                    failure: $crate::bindings::daybridge::rules::types::Failure,
                ) -> Option<$crate::bindings::daybridge::rules::types::Explanation> {
                    $crate::glue::explain::<$rule>(failure)
                }
                fn match_user(
                    person: $crate::bindings::daybridge::rules::types::Person,
                    candidates: Vec<$crate::bindings::daybridge::rules::types::User>,
                ) -> Option<String> {
                    $crate::glue::match_user::<$rule>(person, candidates)
                }
            }

            $crate::bindings::export_hooks!(Exported with_types_in $crate::exports);

            #[used]
            #[unsafe(link_section = "daybridge:api")]
            static API: [u8; $crate::API.len()] = $crate::glue::stamp();
        };
    };
}

/// All that a rule's source names.
pub mod prelude {
    pub use crate::{
        Answer, Appointment, Attendee, AttendeeKind, Choice, Conflict, Context, Description, Direction, Draft,
        Explanation, Failure, Hook, Importance, Link, Lookup, NextStep, Person, Refusal, Response, Rule, Scalar,
        Sensitivity, Setting, ShowAs, Span, Status, Stop, Time, User, Value, export, hold, pass, refuse, skip,
    };
}
