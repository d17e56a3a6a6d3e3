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

/// What a rule asked of a [`LookupSource`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    UserById(String),
    UserByAddress(Address),
    Caption { family: String, code: String },
    KeyValue(String),
}

/// What it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    User(Option<User>),
    Text(Option<String>),
    Unavailable,
}

/// The look-ups of one call, so that it can be judged again later. Bounded: a rule that asks without end is not noted without end.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    asked: Vec<(Question, Told)>,
    bytes: usize,
    left_out: bool,
}

/// Bytes of questions and answers noted per call. A rule asks about the people of one appointment and a few captions.
const NOTES_BYTES_MAX: usize = 64 << 10;

impl Notes {
    pub(super) fn user(&mut self, question: Question, answer: &Result<Option<User>, Unavailable>) {
        let told = answer.as_ref().map_or(Told::Unavailable, |user| Told::User(user.clone()));
        self.add(question, told);
    }

    pub(super) fn text(&mut self, question: Question, answer: &Result<Option<String>, Unavailable>) {
        let told = answer.as_ref().map_or(Told::Unavailable, |text| Told::Text(text.clone()));
        self.add(question, told);
    }

    fn add(&mut self, question: Question, told: Told) {
        let size = question.size() + told.size();
        if self.left_out || self.bytes + size > NOTES_BYTES_MAX {
            self.left_out = true;
            return;
        }
        self.bytes += size;
        self.asked.push((question, told));
    }

    /// Questions and answers, in the order in which they were asked.
    pub fn asked(&self) -> &[(Question, Told)] {
        &self.asked
    }

    /// Whether every look-up of the call is among them.
    pub fn complete(&self) -> bool {
        !self.left_out
    }
}

/// Counted for every look-up beside its texts.
const NOTE_COST: usize = 64;

impl Question {
    fn size(&self) -> usize {
        NOTE_COST
            + match self {
                Question::UserById(text) | Question::KeyValue(text) => text.len(),
                Question::UserByAddress(address) => address.as_str().len(),
                Question::Caption { family, code } => family.len() + code.len(),
            }
    }
}

impl Told {
    fn size(&self) -> usize {
        match self {
            Told::User(Some(user)) => {
                let User { id, logon, first_name, last_name, address, .. } = user;
                id.0.len() + logon.len() + first_name.len() + last_name.len() + address.as_str().len()
            }
            Told::Text(Some(text)) => text.len(),
            Told::User(None) | Told::Text(None) | Told::Unavailable => 0,
        }
    }
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
