//! Who takes part: which CRM user has which mailbox on which server.
//!
//! A CRM user is matched with a mailbox by address, without letter case. A user who is disabled, has no address, or shares
//! an address with another user takes no part, and the reason is kept for people to read.
//! Promises: a pure value, replaced as a whole when users change. Must not know: how users or mailboxes are read.

use std::collections::BTreeMap;

use crate::model::{Address, Container, DirectoryEntry, User, UserId};

/// The people of one installation, as last read.
#[derive(Clone, Debug, Default)]
pub struct People {
    mailboxes: BTreeMap<String, Mailbox>,
    /// The CRM's users, as read.
    pub users: Vec<User>,
    /// Users who take no part, with the reason.
    pub left_out: Vec<(User, String)>,
}

/// A mailbox that is synchronized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    pub address: Address,
    pub user: Option<UserId>,
    /// Name of the Exchange server that holds it.
    pub server: String,
}

/// Which mailboxes a server is responsible for.
#[derive(Clone, Debug)]
pub struct Assignment {
    pub server: String,
    /// The mailboxes named by the operator; without a list, every matched CRM user's who is named nowhere else.
    pub mailboxes: Option<Vec<Address>>,
}

impl People {
    /// Matches users with mailboxes.
    pub fn matched(users: &[User], servers: &[Assignment]) -> Self {
        let mut people = People { users: users.to_vec(), ..People::default() };
        let named: BTreeMap<String, &str> = servers
            .iter()
            .flat_map(|server| {
                server.mailboxes.iter().flatten().map(|address| (address.folded(), server.server.as_str()))
            })
            .collect();
        let open = servers.iter().find(|server| server.mailboxes.is_none()).map(|server| server.server.as_str());
        for user in users {
            let key = user.address.folded();
            let server = named.get(&key).copied().or(open);
            let reason = match server {
                _ if !user.active => Some("the CRM user is disabled".to_owned()),
                _ if user.address.is_empty() => Some("the CRM user has no e-mail address".to_owned()),
                None => Some("no Exchange server of the configuration lists this mailbox".to_owned()),
                Some(_) => None,
            };
            if let Some(reason) = reason {
                people.left_out.push((user.clone(), reason));
                continue;
            }
            if let Some(other) = people.mailboxes.get(&key) {
                let other = other.user.as_ref().map_or("another user", |id| id.0.as_str()).to_owned();
                let reason = format!("CRM user {other} already has this mailbox; give one of the two another address");
                people.left_out.push((user.clone(), reason));
                continue;
            }
            let server = server.unwrap_or_default().to_owned();
            people
                .mailboxes
                .insert(key, Mailbox { address: user.address.clone(), user: Some(user.id.clone()), server });
        }
        for (key, server) in named {
            people.mailboxes.entry(key.clone()).or_insert_with(|| Mailbox {
                address: Address::new(&key),
                user: None,
                server: server.to_owned(),
            });
        }
        people
    }

    /// The synchronized mailbox with this address.
    pub fn mailbox(&self, address: &Address) -> Option<&Mailbox> {
        self.mailboxes.get(&address.folded())
    }

    pub fn mailboxes(&self) -> impl Iterator<Item = &Mailbox> {
        self.mailboxes.values()
    }

    /// The mailboxes of one server, as containers.
    pub fn containers(&self, server: &str) -> Vec<Container> {
        self.mailboxes()
            .filter(|mailbox| mailbox.server == server)
            .map(|mailbox| Container::Mailbox(mailbox.address.clone()))
            .collect()
    }
}

/// Whom of an Exchange directory a CRM user is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryMatch<'a> {
    One(&'a DirectoryEntry),
    /// Two candidates are no match: a person decides.
    Several(Vec<&'a DirectoryEntry>),
    Nobody,
}

/// Finds a CRM user among the people of an Exchange directory: by any of the addresses, then by first and last name. An
/// address that fits decides, whatever names fit.
pub fn in_directory<'a>(user: &User, people: &'a [DirectoryEntry]) -> DirectoryMatch<'a> {
    let by_address = |entry: &&DirectoryEntry| {
        !user.address.is_empty()
            && std::iter::once(&entry.address).chain(&entry.aliases).any(|own| *own == user.address)
    };
    let (first, last) = (user.first_name.trim().to_lowercase(), user.last_name.trim().to_lowercase());
    let by_name = |entry: &&DirectoryEntry| {
        let own = (entry.first_name.trim().to_lowercase(), entry.last_name.trim().to_lowercase());
        let split = !first.is_empty() && !last.is_empty() && own == (first.clone(), last.clone());
        // A directory that does not tell names apart shows both in one.
        split || (own == Default::default() && entry.name.trim().to_lowercase() == format!("{first} {last}"))
    };
    let mut found: Vec<_> = people.iter().filter(by_address).collect();
    if found.is_empty() && !(first.is_empty() || last.is_empty()) {
        found = people.iter().filter(by_name).collect();
    }
    // One person may be found twice, by address and by name.
    found.dedup_by(|one, other| one.address == other.address);
    match found.as_slice() {
        [] => DirectoryMatch::Nobody,
        [one] => DirectoryMatch::One(one),
        _ => DirectoryMatch::Several(found),
    }
}
