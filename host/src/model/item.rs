//! Where appointments live and what a side shows of them: sides, keys, items, changes, mail budgets.
//!
//! Promises: ids and versions are opaque; nothing here reads into them. Must not know: any wire format.

use std::fmt;
use std::ops::AddAssign;

use chrono::NaiveDate;

use super::{Address, Appointment};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    Crm,
    Exchange,
}

impl Side {
    pub fn other(self) -> Self {
        match self {
            Side::Crm => Side::Exchange,
            Side::Exchange => Side::Crm,
        }
    }

    /// `crm` or `exchange`.
    pub fn name(self) -> &'static str {
        match self {
            Side::Crm => "crm",
            Side::Exchange => "exchange",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The way a rule chain works: from the source side to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    CrmToExchange,
    ExchangeToCrm,
}

impl Direction {
    pub fn from(source: Side) -> Self {
        match source {
            Side::Crm => Direction::CrmToExchange,
            Side::Exchange => Direction::ExchangeToCrm,
        }
    }

    pub fn source(self) -> Side {
        match self {
            Direction::CrmToExchange => Side::Crm,
            Direction::ExchangeToCrm => Side::Exchange,
        }
    }

    pub fn target(self) -> Side {
        self.source().other()
    }

    /// `crm-to-exchange` or `exchange-to-crm`.
    pub fn name(self) -> &'static str {
        match self {
            Direction::CrmToExchange => "crm-to-exchange",
            Direction::ExchangeToCrm => "exchange-to-crm",
        }
    }
}

/// What a feed watches on one side: the whole CRM, or one mailbox's calendar.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Container {
    Crm,
    Mailbox(Address),
}

impl Container {
    pub fn side(&self) -> Side {
        match self {
            Container::Crm => Side::Crm,
            Container::Mailbox(_) => Side::Exchange,
        }
    }

    /// Stable text for store keys: `crm`, or the mailbox address in lower case.
    pub fn key(&self) -> String {
        match self {
            Container::Crm => "crm".into(),
            Container::Mailbox(address) => address.folded(),
        }
    }
}

/// One item on one side.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemRef {
    pub container: Container,
    /// The side's own id, case-sensitive and opaque.
    pub id: String,
}

impl ItemRef {
    pub fn crm(id: impl Into<String>) -> Self {
        Self { container: Container::Crm, id: id.into() }
    }

    pub fn exchange(mailbox: Address, id: impl Into<String>) -> Self {
        Self { container: Container::Mailbox(mailbox), id: id.into() }
    }

    pub fn side(&self) -> Side {
        self.container.side()
    }
}

/// A side's version of an item (ChangeKey, ETag, update stamp): equal means unchanged, nothing else may be read from it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub String);

/// The name under which all work on one appointment is serialised, for its whole life: that of the side it was born on.
///
/// An item the host created is stamped with the key of its origin (an extended property in Exchange, a column in the
/// CRM), so that both copies lead to the same key even when the ledger knows neither.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Born in the CRM: the communication's id.
    Crm(String),
    /// Born in Exchange: the iCalendar UID, shared by the copies in all mailboxes.
    Uid(String),
    /// One occurrence of a series: the series' UID, and the day its rule gives in the series' own zone, wherever it was
    /// moved since.
    Occurrence { uid: String, date: NaiveDate },
    /// A series born in the CRM: what its communications share.
    CrmSeries(String),
}

/// How the day of an occurrence is written in its key.
const OCCURRENCE_DAY: &str = "%Y%m%d";

impl Key {
    /// The key written as `crm:4711`, `uid:0400...`, `occ:0400...:20270208` or `crm-series:17`.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, id) = text.split_once(':')?;
        match kind {
            _ if id.is_empty() => None,
            "crm" => Some(Key::Crm(id.to_owned())),
            "uid" => Some(Key::Uid(id.to_owned())),
            "occ" => {
                let (uid, day) = id.rsplit_once(':').filter(|(uid, day)| !uid.is_empty() && day.len() == 8)?;
                let date = NaiveDate::parse_from_str(day, OCCURRENCE_DAY).ok()?;
                Some(Key::Occurrence { uid: uid.to_owned(), date })
            }
            "crm-series" => Some(Key::CrmSeries(id.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Crm(id) => write!(f, "crm:{id}"),
            Key::Uid(uid) => write!(f, "uid:{uid}"),
            Key::Occurrence { uid, date } => write!(f, "occ:{uid}:{}", date.format(OCCURRENCE_DAY)),
            Key::CrmSeries(id) => write!(f, "crm-series:{id}"),
        }
    }
}

/// Whose copy of a meeting an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The organizer's copy, or an appointment without attendees: the truth.
    Organizer,
    /// A copy in an attendee's calendar: only its owner's response is taken from it.
    Attendee,
}

/// An item as a side shows it right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub at: ItemRef,
    pub version: Version,
    /// iCalendar UID (Exchange), or the CRM column that holds one.
    pub uid: Option<String>,
    /// Our stamp: the key of the appointment this item was created from.
    pub stamp: Option<Key>,
    pub role: Role,
    /// Whether its attendees were ever asked to come; true where the side does not say. A meeting can be stored with attendees
    /// whom nobody has told [EWS: MeetingRequestWasSent].
    pub sent: bool,
    /// The series it is an occurrence of, by the side's own name for it (UID, or what communications share). Nothing for
    /// a single appointment and for the master of a series.
    pub series: Option<String>,
    pub appointment: Appointment,
}

/// An occurrence of a series as Exchange shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The day the rule gives, in the series' own zone.
    pub date: NaiveDate,
    pub item: Item,
}

/// What a side shows for an item right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Present(Box<Item>),
    /// It was there and is gone, and the side confirmed it (the container answers, the item does not exist).
    Deleted,
    /// Nothing is known to have ever been there.
    Absent,
}

impl Seen {
    pub fn present(&self) -> Option<&Item> {
        match self {
            Seen::Present(item) => Some(item),
            Seen::Deleted | Seen::Absent => None,
        }
    }
}

/// An item as both sides last agreed on it: what the ledger keeps of each side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub at: ItemRef,
    pub version: Version,
    /// The content as the side showed it after the last write or read.
    pub appointment: Appointment,
}

impl From<&Item> for Known {
    fn from(item: &Item) -> Self {
        Self { at: item.at.clone(), version: item.version.clone(), appointment: item.appointment.clone() }
    }
}

/// "Look at this item": where to look, never what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub at: ItemRef,
    /// iCalendar UID and stamp where the feed could learn them; they lead an unknown item to its key.
    pub uid: Option<String>,
    pub stamp: Option<Key>,
    pub cause: Cause,
}

/// Why an item is to be looked at; for traces only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The side's change feed named it.
    Feed,
    /// The first pass over a container, before it had a cursor: what it brings was there already, so it mails nobody.
    First,
    /// A sweep found it.
    Sweep,
    /// A person asked.
    Person,
    /// The host itself: the way of a change was not finished.
    Again,
}

impl Cause {
    pub fn name(self) -> &'static str {
        match self {
            Cause::Feed => "feed",
            Cause::First => "first",
            Cause::Sweep => "sweep",
            Cause::Person => "person",
            Cause::Again => "again",
        }
    }
}

/// Whom Exchange may mail because of a write. Planned beforehand, then obeyed by the connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mail {
    /// Nobody (EWS: SendToNone).
    Silent,
    /// Only attendees who were added or removed.
    Changed,
    /// Every attendee.
    All,
}

/// How many mails a write will make Exchange send, declared before it is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailBudget {
    pub invitations: u32,
    pub updates: u32,
    pub cancellations: u32,
}

impl MailBudget {
    pub const NONE: MailBudget = MailBudget { invitations: 0, updates: 0, cancellations: 0 };

    pub fn total(self) -> u32 {
        self.invitations.saturating_add(self.updates).saturating_add(self.cancellations)
    }
}

impl AddAssign for MailBudget {
    fn add_assign(&mut self, more: MailBudget) {
        self.invitations = self.invitations.saturating_add(more.invitations);
        self.updates = self.updates.saturating_add(more.updates);
        self.cancellations = self.cancellations.saturating_add(more.cancellations);
    }
}
