//! What rules may look up: the CRM's users, as last read.
//!
//! Promises: answers from memory, so that a rule never waits. Captions and key-values of a pair are not read by this host
//! yet: a rule that asks for them is told that they are not available. Must not know: rules.

use std::sync::Arc;

use crate::model::{Address, User};
use crate::plugin::lookup::{LookupSource, Unavailable};
use crate::servers::Servers;

/// Looks up among the people of the servers.
pub(super) struct Lookups(pub Arc<Servers>);

impl LookupSource for Lookups {
    fn user_by_id(&self, id: &str) -> Result<Option<User>, Unavailable> {
        Ok(self.0.people().users.iter().find(|user| user.id.0 == id).cloned())
    }

    fn user_by_address(&self, address: &Address) -> Result<Option<User>, Unavailable> {
        Ok(self.0.people().users.iter().find(|user| user.address == *address).cloned())
    }

    fn caption(&self, _family: &str, _code: &str) -> Result<Option<String>, Unavailable> {
        Err(Unavailable)
    }

    fn key_value(&self, _appointment: &str, _name: &str) -> Result<Option<String>, Unavailable> {
        Err(Unavailable)
    }
}
