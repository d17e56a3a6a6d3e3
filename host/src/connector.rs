//! What the sync needs from a server: read changes, read an item, write it conditionally, find it again.
//!
//! Promises: no caller looks at a status code; every error answers [`Class`]. Every write is conditional on a version,
//! every create carries a stamp that finds the item again. A removal is reported only when confirmed.
//! Must not know: rules, queue, ledger.

pub mod auth;
pub mod ews;
pub mod exchange;
pub mod graph;
pub mod html;
pub mod http;
pub mod pace;
pub mod property;
pub mod sage;
pub mod zones;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::NaiveDate;

use crate::error::Class;
use crate::model::recurrence::Window;
use crate::model::{
    Address, Appointment, Change, Container, DirectoryEntry, Field, Instance, Item, ItemRef, Key, Mail, Patch,
    Response, Seen, Side, User, UserId, Version,
};

/// One kind of server, signed in: a CRM, or one Exchange server with several mailboxes.
#[async_trait]
pub trait Connector: Send + Sync {
    fn side(&self) -> Side;

    /// The server as people call it in settings and messages.
    fn name(&self) -> &str;

    /// What this server can hold; the planner leaves the rest alone.
    fn capabilities(&self) -> Capabilities;

    /// Changes in a container since a cursor; without one, everything there is as changes (an item once).
    /// Deletions that the feed reports appear as changes of an item too: the worker confirms them by [`Connector::read`].
    ///
    /// # Errors
    /// [`Error`]; [`Problem::CursorLost`] when the cursor is no longer known (start over without one).
    async fn changed_since(&self, container: &Container, cursor: Option<&Cursor>) -> Result<Batch, Error>;

    /// The item as it is now. `Deleted` only if the container answers and the item is confirmed not to exist in it.
    async fn read(&self, at: &ItemRef) -> Result<Seen, Error>;

    /// Items in the container that carry this stamp (created by us from that key); normally none or one.
    async fn find_stamped(&self, container: &Container, stamp: &Key) -> Result<Vec<Item>, Error>;

    /// Items with this iCalendar UID in the container.
    async fn find_uid(&self, container: &Container, uid: &str) -> Result<Vec<Item>, Error>;

    /// Items in the container that could be this appointment by its natural key: same start and end (or days). The caller
    /// compares subject, organizer and all-ness, and accepts only a unique match.
    async fn find_alike(&self, container: &Container, like: &Appointment) -> Result<Vec<Item>, Error>;

    /// Occurrences of a series that begin in the window, or whose rule has them begin in it, as they are now, by their
    /// original day; at most the window's limit, the earliest. Deleted ones are not among them.
    ///
    /// # Errors
    /// [`Problem::NotFound`] if the master is gone or no series any more; [`Problem::Unsupported`] where a server has none.
    async fn occurrences(&self, master: &ItemRef, window: Window) -> Result<Vec<Instance>, Error> {
        let _ = (master, window);
        Err(Error::new("read the occurrences of a series", Problem::Unsupported))
    }

    /// The occurrence of a series with that original day. `Deleted` only if its calendar answers and the series is gone, is
    /// none any more, or has no such occurrence.
    async fn occurrence(&self, master: &ItemRef, date: NaiveDate) -> Result<Seen, Error> {
        let _ = (master, date);
        Err(Error::new("read an occurrence of a series", Problem::Unsupported))
    }

    /// The occurrences of a series that are told of by themselves when the series as a whole changes, besides what is told of
    /// the series: how many people each of them is told to. None where the server mails as it is told.
    async fn told_apart(&self, master: &ItemRef) -> Result<Vec<u32>, Error> {
        let _ = master;
        Ok(Vec::new())
    }

    /// Items that a CRM keeps as one series under that name.
    async fn in_series(&self, container: &Container, series: &str) -> Result<Vec<Item>, Error> {
        let _ = (container, series);
        Err(Error::new("read the appointments of a series", Problem::Unsupported))
    }

    /// Creates an item and returns it as the server shows it afterwards.
    async fn create(&self, container: &Container, draft: &Appointment, stamp: &Key, mail: Mail) -> Result<Item, Error>;

    /// Writes some fields of an item if it still has that version, and returns it as the server shows it afterwards.
    /// `after` is the whole appointment with the patch applied, for servers that must write related fields together.
    ///
    /// # Errors
    /// [`Class::Conflict`] if the version is no longer the item's.
    async fn update(
        &self,
        at: &ItemRef,
        version: &Version,
        patch: &Patch,
        after: &Appointment,
        mail: Mail,
    ) -> Result<Item, Error>;

    /// Removes an item if it still has that version. An item that is already gone is success.
    async fn delete(&self, at: &ItemRef, version: &Version, mail: Mail) -> Result<(), Error>;

    /// Answers an invitation from the mailbox owner's own copy: Exchange writes the answer into the copy and, unless `mail`
    /// is [`Mail::Silent`], sends it to the organizer. A declined copy leaves the calendar. Answers what is seen afterwards.
    ///
    /// # Errors
    /// [`Class::Conflict`] if the version is no longer the item's; [`Problem::Refused`] if there is nothing to answer (the
    /// owner is the organizer, or the meeting is cancelled); [`Problem::Unsupported`] where invitations are not answered.
    async fn respond(&self, at: &ItemRef, version: &Version, answer: Response, mail: Mail) -> Result<Seen, Error> {
        let _ = (at, version, answer, mail);
        let error = Error::new(format!("answer an invitation in {}", self.name()), Problem::Unsupported);
        Err(error.caused_by("invitations are not answered there"))
    }

    /// The items of a container with their versions, a page at a time, for a sweep; without `from` the first page. An item
    /// may come twice.
    async fn list(&self, container: &Container, from: Option<&Cursor>) -> Result<Listing, Error>;

    /// Waits until the server says that something changed in one of the containers, or returns an empty list when the
    /// server closed the wait or `limit` passed. A doorbell carries no data: the caller then asks `changed_since`.
    ///
    /// # Errors
    /// [`Problem::Unsupported`] if this server has no doorbell.
    async fn doorbell(&self, containers: &[Container], limit: Duration) -> Result<Vec<Container>, Error>;

    /// The people this server knows (CRM users). Empty where the server has no such list.
    async fn users(&self) -> Result<Vec<User>, Error>;

    /// The addresses of users' mailboxes as they were found elsewhere, the primary one first: from now on these users are
    /// shown with their primary address, and found by any of them.
    async fn know_mailboxes(&self, addresses: &BTreeMap<UserId, Vec<Address>>) {
        let _ = addresses;
    }

    /// The people of this server's directory whose address (any of theirs) or whose first and last name is the text.
    /// `within` is a container that may be acted in.
    ///
    /// # Errors
    /// [`Problem::Unsupported`] where there is no directory.
    async fn find_people(&self, within: &Container, wanted: &str) -> Result<Vec<DirectoryEntry>, Error> {
        let _ = (within, wanted);
        Err(Error::new(format!("look into the directory of {}", self.name()), Problem::Unsupported))
    }

    /// What this server calls items of a container that another kind of server named so, in the order of the ids; nothing for
    /// one it does not translate, whatever the reason.
    async fn translate(
        &self,
        container: &Container,
        from: Naming,
        ids: &[String],
    ) -> Result<Vec<Option<String>>, Error> {
        let _ = (container, from);
        Ok(vec![None; ids.len()])
    }

    /// What [`Connector::set_owner`] wrote into a calendar last, whoever did; nothing if nobody did.
    async fn owner(&self, container: &Container) -> Result<Option<String>, Error> {
        let _ = container;
        Ok(None)
    }

    /// Writes into a calendar, not into an item of it, which host keeps it: a short text without personal data.
    async fn set_owner(&self, container: &Container, owner: &str) -> Result<(), Error> {
        let _ = (container, owner);
        Err(Error::new(format!("claim a calendar in {}", self.name()), Problem::Unsupported))
    }

    /// Signs in and answers whether a container can be used; for `check` and for pairing users with mailboxes.
    async fn probe(&self, container: &Container) -> Result<(), Error>;
}

/// What a server can hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Fields this side can never hold or never lets others write; they are left out of patches.
    pub unwritable: Vec<Field>,
    pub mailing: Mailing,
}

/// Who decides whether a write mails people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mailing {
    /// The server mails whom the write says ([`Mail`]), or nobody ever.
    #[default]
    AsTold,
    /// The server mails by itself whenever a meeting's attendees, or what they meet by, are written: a write that must mail
    /// nobody cannot hold such fields.
    ByItself,
}

/// Who names the items of a mailbox: the same item has another id on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    Ews,
    Graph,
}

impl Naming {
    /// `ews` or `graph`.
    pub fn name(self) -> &'static str {
        match self {
            Naming::Ews => "ews",
            Naming::Graph => "graph",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Naming::Ews, Naming::Graph].into_iter().find(|naming| naming.name() == name)
    }
}

/// Where a feed stands; opaque, written by the connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

/// One page of a feed.
#[derive(Clone, Debug)]
pub struct Batch {
    pub changes: Vec<Change>,
    /// Valid once every change of this batch is durably queued.
    pub next: Cursor,
    /// More waits behind `next`: ask again at once.
    pub more: bool,
}

/// One page of what a container holds.
#[derive(Clone, Debug)]
pub struct Listing {
    pub items: Vec<Listed>,
    /// Where the next page begins; nothing behind the last.
    pub next: Option<Cursor>,
}

/// An item met in a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub at: ItemRef,
    pub version: Version,
    pub uid: Option<String>,
    pub stamp: Option<Key>,
}

/// A failed act on a server.
#[derive(Debug, thiserror::Error)]
#[error("{act}")]
pub struct Error {
    /// What was being done and to what, for people: `read appointment AAMk... in Exchange`. No address, subject or body.
    pub act: String,
    pub problem: Problem,
    /// What to do about it, where the connector knows better than [`Problem::hint`].
    pub hint: Option<&'static str>,
    /// A write was carried out all the same, and what it causes is caused.
    pub written: bool,
    /// The server's own words or the transport's error, cleaned of secrets and personal data.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What went wrong, in terms that lead to a [`Class`], an error code for people, and a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No connection, time-out, 5xx, store unavailable.
    Unreachable { after: Option<Duration> },
    /// The server asked for fewer requests.
    Throttled { after: Option<Duration> },
    /// User name or password (or token) refused.
    SignIn,
    /// Signed in, but no right to this container or item.
    Forbidden,
    /// The mailbox does not exist, or has moved to another kind of server.
    NoMailbox,
    /// Mailbox or store is full.
    Full,
    /// The version given is no longer the item's.
    Stale,
    /// The item does not exist.
    NotFound,
    /// The feed's cursor is no longer known.
    CursorLost,
    /// The server refused the data; a repeat will fail too.
    Refused,
    /// The answer could not be understood.
    Malformed,
    /// The server's certificate is not trusted.
    Certificate,
    /// This server cannot do that.
    Unsupported,
}

impl Problem {
    pub fn class(&self) -> Class {
        match self {
            Problem::Unreachable { after } => Class::Down { after: *after },
            Problem::Throttled { after } => Class::Retry { after: *after },
            Problem::Malformed => Class::Retry { after: None },
            Problem::SignIn | Problem::Certificate => Class::Auth,
            Problem::Stale => Class::Conflict,
            Problem::Forbidden
            | Problem::NoMailbox
            | Problem::Full
            | Problem::NotFound
            | Problem::CursorLost
            | Problem::Refused
            | Problem::Unsupported => Class::Park,
        }
    }

    /// Stable code under which people find this failure in logs, notices and the documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Problem::Unreachable { .. } => "server-unreachable",
            Problem::Throttled { .. } => "throttled",
            Problem::SignIn => "sign-in-refused",
            Problem::Forbidden => "no-right",
            Problem::NoMailbox => "mailbox-missing",
            Problem::Full => "mailbox-full",
            Problem::Stale => "changed-meanwhile",
            Problem::NotFound => "not-found",
            Problem::CursorLost => "feed-restarted",
            Problem::Refused => "data-refused",
            Problem::Malformed => "answer-not-understood",
            Problem::Certificate => "certificate-not-trusted",
            Problem::Unsupported => "not-supported",
        }
    }

    /// What to do about it, for a person.
    pub fn hint(&self) -> &'static str {
        match self {
            Problem::Unreachable { .. } => {
                "nothing is lost: the work waits and goes on when the server answers; check address, network and proxy if this lasts"
            }
            Problem::Throttled { .. } => "the server asked for fewer requests; the host waits as long as it was told",
            Problem::SignIn => {
                "check login and password (expired? locked?) of the account in the configuration; the host tries again by itself after a change"
            }
            Problem::Forbidden => {
                "give the account the right: in Exchange the ApplicationImpersonation role over this mailbox, in the CRM a profile that may read and edit communications"
            }
            Problem::NoMailbox => {
                "check that the mailbox exists, is enabled and not hidden, and that the CRM user's e-mail address is its primary address"
            }
            Problem::Full => "free space in the mailbox, then: daybridge queue retry",
            Problem::Stale => "nothing to do: the host reads both sides again",
            Problem::NotFound => "the item was removed meanwhile; the next pass settles it",
            Problem::CursorLost => "nothing to do: the feed starts over, and what is known is recognised",
            Problem::Refused => {
                "see the server's words; correct the appointment or the rule, then: daybridge queue retry"
            }
            Problem::Malformed => "check that the address leads to the server itself and not to a proxy's sign-in page",
            Problem::Certificate => {
                "set ca_file for this server to its issuer's certificate, or mend the server's certificate"
            }
            Problem::Unsupported => "this kind of server does not offer it",
        }
    }
}

impl Error {
    pub fn new(act: impl Into<String>, problem: Problem) -> Self {
        Self { act: act.into(), problem, hint: None, written: false, source: None }
    }

    #[must_use]
    pub fn hinted(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// As [`Error::written`].
    #[must_use]
    pub fn after_the_write(mut self) -> Self {
        self.written = true;
        self
    }

    /// What to do about it, for a person.
    pub fn hint(&self) -> &'static str {
        self.hint.unwrap_or_else(|| self.problem.hint())
    }

    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub fn class(&self) -> Class {
        self.problem.class()
    }
}
