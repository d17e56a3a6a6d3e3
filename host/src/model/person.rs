//! Who takes part: addresses, attendees, CRM users.
//!
//! Promises: an address is compared without letter case, as mail systems do. Must not know: where people come from.

use std::fmt;

use chrono::{DateTime, Utc};

/// An SMTP address as written; equality, order and hash ignore letter case.
#[derive(Clone, Default)]
pub struct Address(String);

impl Address {
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Lower-case form, for keys and comparison.
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }
}
impl Eq for Address {}
impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Address {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded().cmp(&other.folded())
    }
}
impl std::hash::Hash for Address {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.folded().hash(state);
    }
}

/// Addresses are personal data: the debug form, which may reach a log, shows only the domain.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once('@') {
            Some((_, domain)) => write!(f, "…@{domain}"),
            None => f.write_str("…"),
        }
    }
}

/// Id of a CRM user (`User_UserId`), as text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub String);

/// Somebody by name and address.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Person {
    pub name: String,
    /// Empty where a CRM person has none: such a person takes part in the CRM only.
    pub address: Address,
}

/// Somebody who is asked to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attendee {
    pub person: Person,
    /// The CRM user with this address, where known.
    pub user: Option<UserId>,
    pub kind: AttendeeKind,
    pub response: Response,
    /// When the answer was given, by the server's clock; kept for display, never compared.
    pub responded: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttendeeKind {
    Required,
    Optional,
    /// A room or a thing.
    Resource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Response {
    None,
    Tentative,
    Accepted,
    Declined,
    Organizer,
}

/// A CRM user as far as a sync needs one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub logon: String,
    pub first_name: String,
    pub last_name: String,
    pub address: Address,
    /// Takes part in the sync: not disabled, not deleted, no template.
    pub active: bool,
    /// A resource user (room, car; also a user created without a licence).
    pub resource: bool,
}

impl User {
    /// First and last name, or the logon when both are blank.
    pub fn display_name(&self) -> String {
        let name = format!("{} {}", self.first_name.trim(), self.last_name.trim());
        let name = name.trim();
        if name.is_empty() { self.logon.clone() } else { name.to_owned() }
    }
}

/// Somebody in an Exchange server's directory.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DirectoryEntry {
    /// As shown in address books.
    pub name: String,
    /// Empty where the directory does not tell names apart.
    pub first_name: String,
    pub last_name: String,
    /// The primary address.
    pub address: Address,
    /// Further addresses of the same mailbox.
    pub aliases: Vec<Address>,
}

impl DirectoryEntry {
    /// Whether the text is one of the addresses, or the name.
    pub fn answers_to(&self, wanted: &str) -> bool {
        let wanted = wanted.trim();
        let address = Address::new(wanted).folded();
        let name = |text: String| !wanted.is_empty() && text.trim().to_lowercase() == wanted.to_lowercase();
        std::iter::once(&self.address).chain(&self.aliases).any(|own| own.folded() == address)
            || name(self.name.clone())
            || name(format!("{} {}", self.first_name, self.last_name))
    }
}
