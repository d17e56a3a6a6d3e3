//! Why rules in force were not changed.
//!
//! Promises: each has a stable code and says what to do. Must not know: who asked.

use crate::plugin::archive::ArchiveError;
use crate::plugin::chain::LoadError;

/// The chain in force stayed as it was.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    #[error(transparent)]
    Refused(LoadError),
    #[error("the new rules were not put in force: {}", objections.join("; "))]
    Objections { objections: Vec<String> },
    #[error("rules were changed meanwhile: this was compared with generation {base}, in force is {current}")]
    Stale { base: u64, current: u64 },
    #[error("this proposal is not known (any more)")]
    NoProposal,
    #[error("there is no generation {number} to go back to")]
    NoGeneration { number: u64 },
    #[error("there is no generation before the one in force")]
    NothingBefore,
    #[error("there is no version {asked}")]
    NoVersion { asked: String },
    #[error("{asked} is more than one version: {}", found.join(", "))]
    Ambiguous { asked: String, found: Vec<String> },
    #[error("there is no rule {rule} in the chain")]
    NoRule { rule: String },
    #[error("{file:?} is no name for a rule file")]
    FileName { file: String },
    #[error("there is no look-up {kind}")]
    NoLookup { kind: String },
    #[error("nothing was brought that could be stored")]
    NothingToStore,
    #[error("a generation cannot be compared with a single version")]
    Unlike,
    #[error("generation {number} has what this host does not know: {what}")]
    NotUnderstood { number: u64, what: String },
    #[error("keep the generations of rules")]
    Archive(#[source] ArchiveError),
}

impl LifecycleError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            LifecycleError::Refused(_) => "rule-refused",
            LifecycleError::Objections { .. } => "rules-staged",
            LifecycleError::Stale { .. } | LifecycleError::NoProposal => "rules-changed-meanwhile",
            LifecycleError::NoGeneration { .. }
            | LifecycleError::NothingBefore
            | LifecycleError::NoVersion { .. }
            | LifecycleError::Ambiguous { .. }
            | LifecycleError::NoRule { .. }
            | LifecycleError::FileName { .. }
            | LifecycleError::NoLookup { .. }
            | LifecycleError::NothingToStore
            | LifecycleError::Unlike => "no-such-rule",
            LifecycleError::NotUnderstood { .. } | LifecycleError::Archive(_) => "rules-archive",
        }
    }

    /// What to do about it, for a person.
    pub fn hint(&self) -> &'static str {
        match self {
            LifecycleError::Refused(_) => {
                "the message names the file and what to do; the rules in force stay as they are"
            }
            LifecycleError::Objections { .. } => {
                "look at them with `daybridge rules reload`; in force all the same: daybridge rules reload --yes"
            }
            LifecycleError::Stale { .. } | LifecycleError::NoProposal => {
                "look at what is in force now, then ask again: daybridge rules list"
            }
            LifecycleError::NoGeneration { .. }
            | LifecycleError::NothingBefore
            | LifecycleError::NoVersion { .. }
            | LifecycleError::NoRule { .. } => "what there is: daybridge rules list --versions",
            LifecycleError::Ambiguous { .. } => {
                "give the first letters of its digest instead: daybridge rules list --versions"
            }
            LifecycleError::FileName { .. } => "use a plain file name that ends in .wasm or .js: --as our-rule.wasm",
            LifecycleError::NoLookup { .. } => "there are: users, captions, key-values",
            LifecycleError::NothingToStore => "give a file: daybridge rules install FILE --no-swap",
            LifecycleError::Unlike => "compare two generations, or two versions or files",
            LifecycleError::NotUnderstood { .. } => "a newer host wrote it; update this one",
            LifecycleError::Archive(_) => {
                "look at rights, room and health of the disk with the data folder; rules in force stay as they are"
            }
        }
    }
}
