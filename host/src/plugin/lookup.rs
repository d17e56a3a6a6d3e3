//! What rules may look up in the host: CRM users, captions, values kept with a pair.
//!
//! Promises: a rule gets what it asked for in its description *and* the operator granted. Sources answer from memory: a
//! rule's deadline cannot interrupt the host, so a source must never wait.

use crate::model::{Address, User};

/// A kind of look-up a rule may ask for and an operator may grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Users,
    Captions,
    KeyValues,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Users, Kind::Captions, Kind::KeyValues];

    /// `users`, `captions` or `key-values`, as in the contract and the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Users => "users",
            Kind::Captions => "captions",
            Kind::KeyValues => "key-values",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The host does not have this data (yet, or at all).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this data is not available")]
pub struct Unavailable;

/// Where look-ups are answered from. Must not wait for anything.
pub trait LookupSource: Send + Sync {
    /// The CRM user with that id.
    fn user_by_id(&self, id: &str) -> Result<Option<User>, Unavailable>;

    /// The CRM user with that address.
    fn user_by_address(&self, address: &Address) -> Result<Option<User>, Unavailable>;

    /// The text people see for a code of a CRM option list.
    fn caption(&self, family: &str, code: &str) -> Result<Option<String>, Unavailable>;

    /// A value kept with the pair of the appointment with that key.
    fn key_value(&self, appointment: &str, name: &str) -> Result<Option<String>, Unavailable>;
}

/// Has nothing: every look-up is answered with [`Unavailable`].
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLookups;

impl LookupSource for NoLookups {
    fn user_by_id(&self, _: &str) -> Result<Option<User>, Unavailable> {
        Err(Unavailable)
    }

    fn user_by_address(&self, _: &Address) -> Result<Option<User>, Unavailable> {
        Err(Unavailable)
    }

    fn caption(&self, _: &str, _: &str) -> Result<Option<String>, Unavailable> {
        Err(Unavailable)
    }

    fn key_value(&self, _: &str, _: &str) -> Result<Option<String>, Unavailable> {
        Err(Unavailable)
    }
}
