//! The stored form of a single field's value, for the history of pairs.
//!
//! Promises: any value of any field is kept as it is. Must not know: which field it belongs to.

use serde::{Deserialize, Serialize};

use super::appointment::{
    StoredAttendee, StoredBody, StoredImportance, StoredLink, StoredPerson, StoredScalar, StoredSensitivity,
    StoredShowAs, StoredStatus, StoredTime,
};
use crate::model::{Recurrence, Value};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoredValue {
    Empty,
    Text(String),
    Body(StoredBody),
    Time(StoredTime),
    Person(StoredPerson),
    Attendees(Vec<StoredAttendee>),
    Minutes(u32),
    Sensitivity(StoredSensitivity),
    ShowAs(StoredShowAs),
    Importance(StoredImportance),
    Status(StoredStatus),
    Texts(Vec<String>),
    Recurrence(String),
    Links(Vec<StoredLink>),
    Scalar(StoredScalar),
}

impl From<Value> for StoredValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Empty => Self::Empty,
            Value::Text(text) => Self::Text(text),
            Value::Body(body) => Self::Body(body.into()),
            Value::Time(time) => Self::Time(time.into()),
            Value::Person(person) => Self::Person(person.into()),
            Value::Attendees(attendees) => Self::Attendees(attendees.into_iter().map(Into::into).collect()),
            Value::Minutes(minutes) => Self::Minutes(minutes),
            Value::Sensitivity(sensitivity) => Self::Sensitivity(sensitivity.into()),
            Value::ShowAs(show_as) => Self::ShowAs(show_as.into()),
            Value::Importance(importance) => Self::Importance(importance.into()),
            Value::Status(status) => Self::Status(status.into()),
            Value::Texts(texts) => Self::Texts(texts),
            Value::Recurrence(recurrence) => Self::Recurrence(recurrence.rule),
            Value::Links(links) => Self::Links(links.into_iter().map(Into::into).collect()),
            Value::Scalar(scalar) => Self::Scalar(scalar.into()),
        }
    }
}

impl From<StoredValue> for Value {
    fn from(value: StoredValue) -> Self {
        match value {
            StoredValue::Empty => Self::Empty,
            StoredValue::Text(text) => Self::Text(text),
            StoredValue::Body(body) => Self::Body(body.into()),
            StoredValue::Time(time) => Self::Time(time.into()),
            StoredValue::Person(person) => Self::Person(person.into()),
            StoredValue::Attendees(attendees) => Self::Attendees(attendees.into_iter().map(Into::into).collect()),
            StoredValue::Minutes(minutes) => Self::Minutes(minutes),
            StoredValue::Sensitivity(sensitivity) => Self::Sensitivity(sensitivity.into()),
            StoredValue::ShowAs(show_as) => Self::ShowAs(show_as.into()),
            StoredValue::Importance(importance) => Self::Importance(importance.into()),
            StoredValue::Status(status) => Self::Status(status.into()),
            StoredValue::Texts(texts) => Self::Texts(texts),
            StoredValue::Recurrence(rule) => Self::Recurrence(Recurrence { rule }),
            StoredValue::Links(links) => Self::Links(links.into_iter().map(Into::into).collect()),
            StoredValue::Scalar(scalar) => Self::Scalar(scalar.into()),
        }
    }
}
