//! The CRM's people and records by name, as far as appointments need them.
//!
//! Promises: pure look-ups over what was fetched. Must not know: requests, when to fetch again.

use std::collections::{BTreeMap, HashMap};

use super::wire::Row;
use crate::model::{Address, User, UserId};

/// A CRM user with what new appointments of theirs are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrmUser {
    pub user: User,
    /// `User_PrimaryChannelId`: the team.
    pub channel: Option<i64>,
    /// `User_PrimaryTerritory`.
    pub territory: Option<i64>,
    /// The address of the row, where the user is shown with another.
    listed: Option<Address>,
}

/// Users by id and address; names of persons and companies by id.
#[derive(Clone, Debug, Default)]
pub struct People {
    users: BTreeMap<UserId, CrmUser>,
    by_address: HashMap<Address, UserId>,
    names: HashMap<(String, String), String>,
}

impl CrmUser {
    /// The user of a row of `Users`, or nothing for a row without an id.
    pub fn from_row(row: &Row) -> Option<Self> {
        let user = User {
            id: UserId(row.key("User_UserId")?),
            logon: row.text("User_Logon"),
            first_name: row.text("User_FirstName"),
            last_name: row.text("User_LastName"),
            address: Address::new(&row.text("User_EmailAddress")),
            active: !["User_Disabled", "User_Deleted", "User_IsTemplate"].iter().any(|column| row.flag(column)),
            resource: row.flag("User_Resource"),
        };
        Some(Self {
            user,
            channel: row.integer("User_PrimaryChannelId"),
            territory: row.integer("User_PrimaryTerritory"),
            listed: None,
        })
    }
}

impl People {
    pub fn new(users: impl IntoIterator<Item = CrmUser>) -> Self {
        let mut people = Self::default();
        for user in users {
            let address = user.user.address.clone();
            let rank = |user: &User| (user.active, !user.resource);
            // Two users with one address: the one who takes part stands for it, then the one with the smaller id.
            let better = people.with_address(&address).is_none_or(|other| rank(&user.user) > rank(other));
            if !address.is_empty() && better {
                people.by_address.insert(address, user.user.id.clone());
            }
            people.users.insert(user.user.id.clone(), user);
        }
        people
    }

    /// Adds the name of a record: `person` or `company`.
    pub fn name_record(&mut self, entity: &str, id: &str, name: String) {
        self.names.insert((entity.to_owned(), id.to_owned()), name);
    }

    /// Takes over the names of records from an older state.
    pub fn take_names(&mut self, older: &People) {
        self.names.clone_from(&older.names);
    }

    /// Users whose mailboxes are known are shown with the first of their addresses, and found by each.
    pub fn know_mailboxes(&mut self, addresses: &BTreeMap<UserId, Vec<Address>>) {
        for (id, addresses) in addresses {
            let Some(user) = self.users.get_mut(id) else { continue };
            if let Some(primary) = addresses.first().filter(|primary| **primary != user.user.address) {
                user.listed = Some(std::mem::replace(&mut user.user.address, primary.clone()));
            }
            for address in addresses {
                self.by_address.insert(address.clone(), id.clone());
            }
        }
    }

    /// The users as their rows list them.
    pub fn listed(&self) -> impl Iterator<Item = User> {
        self.users.values().map(|user| match &user.listed {
            Some(listed) => User { address: listed.clone(), ..user.user.clone() },
            None => user.user.clone(),
        })
    }

    pub fn user(&self, id: &UserId) -> Option<&User> {
        self.users.get(id).map(|user| &user.user)
    }

    pub fn crm_user(&self, id: &UserId) -> Option<&CrmUser> {
        self.users.get(id)
    }

    pub fn with_address(&self, address: &Address) -> Option<&User> {
        self.user(self.by_address.get(address)?)
    }

    pub fn record_name(&self, entity: &str, id: &str) -> Option<&str> {
        self.names.get(&(entity.to_owned(), id.to_owned())).map(String::as_str)
    }
}
