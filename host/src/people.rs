//! Who takes part: which CRM user has which mailbox on which server.
//!
//! A CRM user is matched with a mailbox by what was found in the directory, else by address, without letter case. A user who
//! was taken out of the sync, is disabled, has no address, or shares a mailbox with another user takes no part, and the
//! reason is kept for people to read.
//! Promises: a pure value, replaced as a whole when users change. Must not know: how users or mailboxes are read.

use std::collections::BTreeMap;

use crate::model::{Address, Container, DirectoryEntry, User, UserId};

/// The people of one installation, as last read.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// By address, folded.
    mailboxes: BTreeMap<String, Mailbox>,
    /// Further addresses, folded, and the mailboxes they lead to.
    aliases: BTreeMap<String, String>,
    /// The CRM's users, as read.
    pub users: Vec<User>,
    /// Users who take no part, with the reason.
    pub left_out: Vec<(User, Absence)>,
}

/// A mailbox that is synchronized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// Its primary address, as far as it is known.
    pub address: Address,
    pub user: Option<UserId>,
    /// Name of the Exchange server that holds it.
    pub server: String,
    pub means: Means,
}

/// How a CRM user's mailbox was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The CRM has its address.
    Address,
    /// The CRM has another address of it, which the directory knows.
    Alias,
    /// First and last name are those of one person in the directory.
    Name,
    /// A rule said so.
    Rule,
}

impl Means {
    /// As people are told it.
    pub fn name(self) -> &'static str {
        match self {
            Means::Address => "address",
            Means::Alias => "alias",
            Means::Name => "name",
            Means::Rule => "rule",
        }
    }
}

/// What was decided about a CRM user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// A person took the user out of the sync.
    pub disabled: bool,
    /// The mailbox that was found in a directory.
    pub found: Option<Found>,
}

/// A mailbox found in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub address: Address,
    pub aliases: Vec<Address>,
    pub means: Means,
}

/// Why a user takes no part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Absence {
    #[error("a person took the user out of the sync; to take part again: daybridge users enable {0}")]
    TakenOut(String),
    #[error("the CRM user is disabled")]
    Disabled,
    #[error("the CRM user is a resource, and resources take no part (`resources` in [users])")]
    Resource,
    #[error("the CRM user has no e-mail address; to look for the mailbox by name: daybridge users sync")]
    NoAddress,
    #[error("no Exchange server of the configuration lists this mailbox")]
    NoServer,
    #[error("CRM user {0} already has this mailbox; give one of the two another address")]
    Shared(String),
}

/// Which mailboxes a server is responsible for.
#[derive(Clone, Debug)]
pub struct Assignment {
    pub server: String,
    /// The mailboxes named by the operator; without a list, every matched CRM user's who is named nowhere else.
    pub mailboxes: Option<Vec<Address>>,
}

/// How users are matched.
#[derive(Clone, Debug)]
pub struct Matching {
    pub servers: Vec<Assignment>,
    /// CRM users who are resources (rooms, cars) take part.
    pub resources: bool,
}

impl Absence {
    /// In one word, for logs.
    pub fn code(&self) -> &'static str {
        match self {
            Absence::TakenOut(_) => "taken out by a person",
            Absence::Disabled => "disabled in the CRM",
            Absence::Resource => "a resource",
            Absence::NoAddress => "no e-mail address",
            Absence::NoServer => "its mailbox is on no server of the configuration",
            Absence::Shared(_) => "its mailbox belongs to another user",
        }
    }

    /// Whether a mailbox may be found for the user by other means.
    pub fn may_be_matched(&self) -> bool {
        matches!(self, Absence::NoAddress | Absence::NoServer)
    }
}

impl Matching {
    /// The server that is responsible for a mailbox.
    pub fn server(&self, address: &Address) -> Option<&str> {
        let names = |server: &&Assignment| server.mailboxes.iter().flatten().any(|named| named == address);
        let server = self.servers.iter().find(names);
        server
            .or_else(|| self.servers.iter().find(|server| server.mailboxes.is_none()))
            .map(|found| found.server.as_str())
    }

    /// Why a user takes no part, whatever mailbox there is.
    pub fn absence(&self, user: &User, standing: Option<&Standing>) -> Option<Absence> {
        if standing.is_some_and(|standing| standing.disabled) {
            Some(Absence::TakenOut(user.logon.clone()))
        } else if !user.active {
            Some(Absence::Disabled)
        } else if user.resource && !self.resources {
            Some(Absence::Resource)
        } else {
            None
        }
    }
}

impl People {
    /// Matches users with mailboxes.
    pub fn matched(users: &[User], matching: &Matching, standings: &BTreeMap<UserId, Standing>) -> Self {
        let mut people = People { users: users.to_vec(), ..People::default() };
        for user in users {
            let standing = standings.get(&user.id);
            let taken = match matching.absence(user, standing) {
                Some(absence) => Err(absence),
                None => people.take(user, matching, standing.and_then(|standing| standing.found.as_ref())),
            };
            if let Err(absence) = taken {
                people.left_out.push((user.clone(), absence));
            }
        }
        // Mailboxes that were named take part with or without a CRM user; not those of users who were taken out.
        let taken_out = people.left_out.iter().filter(|(_, absence)| matches!(absence, Absence::TakenOut(_)));
        let absent: Vec<Address> = taken_out
            .flat_map(|(user, _)| {
                let found = standings.get(&user.id).and_then(|standing| standing.found.as_ref());
                found
                    .into_iter()
                    .flat_map(|found| &found.aliases)
                    .chain(found.map(|found| &found.address))
                    .chain([&user.address])
            })
            .cloned()
            .collect();
        for server in &matching.servers {
            for address in server.mailboxes.iter().flatten() {
                if people.mailbox(address).is_none() && !absent.contains(address) {
                    let mailbox = Mailbox {
                        address: address.clone(),
                        user: None,
                        server: server.server.clone(),
                        means: Means::Address,
                    };
                    people.mailboxes.insert(address.folded(), mailbox);
                }
            }
        }
        people
    }

    /// Gives a user a mailbox, if there is a free one.
    fn take(&mut self, user: &User, matching: &Matching, found: Option<&Found>) -> Result<(), Absence> {
        let address = found.map_or(&user.address, |found| &found.address);
        if address.is_empty() {
            return Err(Absence::NoAddress);
        }
        let server = matching.server(address).ok_or(Absence::NoServer)?.to_owned();
        if let Some(other) = self.mailbox(address) {
            let other = other.user.as_ref().map_or("another user", |id| id.0.as_str()).to_owned();
            return Err(Absence::Shared(other));
        }
        let aliases = found.iter().flat_map(|found| &found.aliases).chain([&user.address]);
        for alias in aliases.filter(|alias| !alias.is_empty() && *alias != address) {
            self.aliases.entry(alias.folded()).or_insert_with(|| address.folded());
        }
        let means = found.map_or(Means::Address, |found| found.means);
        let mailbox = Mailbox { address: address.clone(), user: Some(user.id.clone()), server, means };
        self.mailboxes.insert(address.folded(), mailbox);
        Ok(())
    }

    /// The synchronized mailbox with this address, which may be any of its addresses.
    pub fn mailbox(&self, address: &Address) -> Option<&Mailbox> {
        let folded = address.folded();
        self.mailboxes.get(&folded).or_else(|| self.mailboxes.get(self.aliases.get(&folded)?))
    }

    /// The mailbox of a CRM user.
    pub fn mailbox_of(&self, user: &UserId) -> Option<&Mailbox> {
        self.mailboxes().find(|mailbox| mailbox.user.as_ref() == Some(user))
    }

    /// The addresses of users' mailboxes, the primary one first, where they are more than the CRM has.
    pub fn addresses(&self) -> BTreeMap<UserId, Vec<Address>> {
        let mut addresses: BTreeMap<UserId, Vec<Address>> = BTreeMap::new();
        for mailbox in self.mailboxes.values() {
            if let Some(user) = &mailbox.user {
                addresses.insert(user.clone(), vec![mailbox.address.clone()]);
            }
        }
        for (alias, primary) in &self.aliases {
            let user = self.mailboxes.get(primary).and_then(|mailbox| mailbox.user.as_ref());
            if let Some(known) = user.and_then(|user| addresses.get_mut(user)) {
                known.push(Address::new(alias));
            }
        }
        addresses
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
