//! One line of a pair's history: what was done, field by field, and what was lost in a conflict.
//!
//! Promises: an event is bounded, so that a history is. Must not know: store, trees.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::model::{Body, Direction, Field, MailBudget, Side, Value};
use crate::rules::Generation;
use crate::store::record::{Record, RecordError, StoredSide, StoredValue};

/// Most fields an event tells of.
pub const EVENT_FIELDS_MAX: usize = 200;
/// Longest text kept in an event, in characters: a conflict's loser must be readable, a whole HTML body need not be.
pub const EVENT_TEXT_MAX: usize = 16_000;
/// Most members of a list kept in an event.
pub const EVENT_LIST_MAX: usize = 500;

/// Something that happened to a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub at: DateTime<Utc>,
    /// Short stable word: `created`, `updated`, `removed`, `paired`, `conflict`, `skipped`, `parked` ...
    pub what: String,
    /// In words for people, without personal data; may be empty.
    pub note: String,
    /// Which way the content went, if it did.
    pub direction: Option<Direction>,
    pub changes: Vec<FieldChange>,
    /// Values that lost a conflict, with the side they came from.
    pub lost: Vec<Lost>,
    /// The mail that was declared for the write.
    pub mail: MailBudget,
    /// The rules in force.
    pub generation: Option<Generation>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    pub field: Field,
    pub old: Value,
    pub new: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    pub field: Field,
    pub side: Side,
    pub value: Value,
    /// What took its place; empty also where an event was recorded before this was kept.
    pub winner: Value,
}

impl Event {
    /// An event of which nothing but its name is known.
    pub fn new(at: DateTime<Utc>, what: impl Into<String>) -> Self {
        Self {
            at,
            what: what.into(),
            note: String::new(),
            direction: None,
            changes: Vec::new(),
            lost: Vec::new(),
            mail: MailBudget::NONE,
            generation: None,
        }
    }

    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct StoredEvent {
    at: DateTime<Utc>,
    what: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    note: String,
    /// Side the content came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<StoredSide>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    changes: Vec<StoredFieldChange>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lost: Vec<StoredLost>,
    #[serde(default)]
    mail: StoredMail,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generation: Option<StoredGeneration>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredFieldChange {
    field: String,
    old: StoredValue,
    new: StoredValue,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredLost {
    field: String,
    side: StoredSide,
    value: StoredValue,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    winner: Option<StoredValue>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct StoredMail {
    invitations: u32,
    updates: u32,
    cancellations: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredGeneration {
    number: u64,
    digest: String,
}

impl Record for StoredEvent {
    const KIND: &'static str = "ledger-event";
}

impl From<Event> for StoredEvent {
    fn from(from: Event) -> Self {
        let stored = |value| StoredValue::from(cut_value(value));
        Self {
            at: from.at,
            what: cut(from.what),
            note: cut(from.note),
            source: from.direction.map(|direction| direction.source().into()),
            changes: from
                .changes
                .into_iter()
                .take(EVENT_FIELDS_MAX)
                .map(|of| StoredFieldChange { field: of.field.name(), old: stored(of.old), new: stored(of.new) })
                .collect(),
            lost: from
                .lost
                .into_iter()
                .take(EVENT_FIELDS_MAX)
                .map(|of| StoredLost {
                    field: of.field.name(),
                    side: of.side.into(),
                    value: stored(of.value),
                    winner: Some(stored(of.winner)),
                })
                .collect(),
            mail: StoredMail {
                invitations: from.mail.invitations,
                updates: from.mail.updates,
                cancellations: from.mail.cancellations,
            },
            generation: from.generation.map(Into::into),
        }
    }
}

impl TryFrom<StoredEvent> for Event {
    type Error = RecordError;

    fn try_from(from: StoredEvent) -> Result<Self, RecordError> {
        let changes = from
            .changes
            .into_iter()
            .map(|of| Ok(FieldChange { field: field(of.field)?, old: of.old.into(), new: of.new.into() }));
        let lost = from.lost.into_iter().map(|of| {
            let winner = of.winner.map_or(Value::Empty, Into::into);
            Ok(Lost { field: field(of.field)?, side: of.side.into(), value: of.value.into(), winner })
        });
        Ok(Self {
            at: from.at,
            what: from.what,
            note: from.note,
            direction: from.source.map(|side| Direction::from(side.into())),
            changes: changes.collect::<Result<_, RecordError>>()?,
            lost: lost.collect::<Result<_, RecordError>>()?,
            mail: MailBudget {
                invitations: from.mail.invitations,
                updates: from.mail.updates,
                cancellations: from.mail.cancellations,
            },
            generation: from.generation.map(Into::into),
        })
    }
}

impl From<Generation> for StoredGeneration {
    fn from(Generation { number, digest }: Generation) -> Self {
        Self { number, digest }
    }
}

impl From<StoredGeneration> for Generation {
    fn from(StoredGeneration { number, digest }: StoredGeneration) -> Self {
        Self { number, digest }
    }
}

pub(super) fn field(name: String) -> Result<Field, RecordError> {
    Field::named(&name).ok_or(RecordError::Content { what: "field", found: name })
}

fn cut(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(EVENT_TEXT_MAX) {
        text.truncate(at);
        text.push('…');
    }
    text
}

/// Texts and lists cut to what an event keeps; of a body only the text.
fn cut_value(value: Value) -> Value {
    match value {
        Value::Text(text) => Value::Text(cut(text)),
        Value::Body(body) => Value::Body(Body::plain(cut(body.text))),
        Value::Attendees(list) => Value::Attendees(list.into_iter().take(EVENT_LIST_MAX).collect()),
        Value::Texts(list) => Value::Texts(list.into_iter().take(EVENT_LIST_MAX).map(cut).collect()),
        Value::Links(list) => Value::Links(list.into_iter().take(EVENT_LIST_MAX).collect()),
        Value::Scalar(crate::model::Scalar::Text(text)) => Value::Scalar(crate::model::Scalar::Text(cut(text))),
        Value::Empty
        | Value::Time(_)
        | Value::Person(_)
        | Value::Minutes(_)
        | Value::Sensitivity(_)
        | Value::ShowAs(_)
        | Value::Importance(_)
        | Value::Status(_)
        | Value::Recurrence(_)
        | Value::Scalar(_) => value,
    }
}
