//! `[users]`: how CRM users are matched with mailboxes.

use serde::Deserialize;

/// How CRM users are matched with mailboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Users {
    /// `daybridge users sync` looks by first and last name for whom it does not find by address.
    pub names: bool,
    /// CRM users who are resources (rooms, cars) take part.
    pub resources: bool,
}

impl Default for Users {
    fn default() -> Self {
        Self { names: true, resources: true }
    }
}
