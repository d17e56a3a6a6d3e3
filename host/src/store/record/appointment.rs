//! The stored form of an appointment and its parts.
//!
//! Promises: every field of the model is kept. A field added later gets `#[serde(default)]`, so that older records stay
//! readable. Must not know: trees, versions of whole records.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::twin;
use crate::model::{
    Address, Appointment, Attendee, AttendeeKind, Body, Importance, Link, Person, Recurrence, Response, Scalar,
    Sensitivity, ShowAs, Span, Status, Time, UserId, Zone,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAppointment {
    subject: String,
    body: StoredBody,
    location: String,
    time: StoredTime,
    organizer: Option<StoredPerson>,
    attendees: Vec<StoredAttendee>,
    reminder_minutes: Option<u32>,
    sensitivity: StoredSensitivity,
    show_as: StoredShowAs,
    importance: StoredImportance,
    status: StoredStatus,
    categories: Vec<String>,
    online_meeting: Option<String>,
    recurrence: Option<String>,
    regarding: Vec<StoredLink>,
    responses: String,
    custom: BTreeMap<String, StoredScalar>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBody {
    text: String,
    html: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoredTime {
    Timed { start: DateTime<Utc>, end: DateTime<Utc>, zone: String },
    AllDay { first: NaiveDate, last: NaiveDate },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPerson {
    name: String,
    address: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAttendee {
    person: StoredPerson,
    user: Option<String>,
    kind: StoredAttendeeKind,
    response: StoredResponse,
    responded: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLink {
    entity: String,
    id: String,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoredScalar {
    Text(String),
    Number(i64),
    Flag(bool),
}

twin!(StoredSensitivity = Sensitivity { Normal, Personal, Private, Confidential });
twin!(StoredShowAs = ShowAs { Free, Tentative, Busy, OutOfOffice, WorkingElsewhere });
twin!(StoredImportance = Importance { Low, Normal, High });
twin!(StoredStatus = Status { Pending, InProgress, Complete, Cancelled });
twin!(StoredAttendeeKind = AttendeeKind { Required, Optional, Resource });
twin!(StoredResponse = Response { None, Tentative, Accepted, Declined, Organizer });

impl From<Appointment> for StoredAppointment {
    fn from(from: Appointment) -> Self {
        Self {
            subject: from.subject,
            body: from.body.into(),
            location: from.location,
            time: from.time.into(),
            organizer: from.organizer.map(Into::into),
            attendees: from.attendees.into_iter().map(Into::into).collect(),
            reminder_minutes: from.reminder_minutes,
            sensitivity: from.sensitivity.into(),
            show_as: from.show_as.into(),
            importance: from.importance.into(),
            status: from.status.into(),
            categories: from.categories,
            online_meeting: from.online_meeting,
            recurrence: from.recurrence.map(|recurrence| recurrence.rule),
            regarding: from.regarding.into_iter().map(Into::into).collect(),
            responses: from.responses,
            custom: from.custom.into_iter().map(|(name, value)| (name, value.into())).collect(),
        }
    }
}

impl From<StoredAppointment> for Appointment {
    fn from(from: StoredAppointment) -> Self {
        Self {
            subject: from.subject,
            body: from.body.into(),
            location: from.location,
            time: from.time.into(),
            organizer: from.organizer.map(Into::into),
            attendees: from.attendees.into_iter().map(Into::into).collect(),
            reminder_minutes: from.reminder_minutes,
            sensitivity: from.sensitivity.into(),
            show_as: from.show_as.into(),
            importance: from.importance.into(),
            status: from.status.into(),
            categories: from.categories,
            online_meeting: from.online_meeting,
            recurrence: from.recurrence.map(|rule| Recurrence { rule }),
            regarding: from.regarding.into_iter().map(Into::into).collect(),
            responses: from.responses,
            custom: from.custom.into_iter().map(|(name, value)| (name, value.into())).collect(),
        }
    }
}

impl From<Body> for StoredBody {
    fn from(Body { text, html }: Body) -> Self {
        Self { text, html }
    }
}

impl From<StoredBody> for Body {
    fn from(StoredBody { text, html }: StoredBody) -> Self {
        Self { text, html }
    }
}

impl From<Time> for StoredTime {
    fn from(time: Time) -> Self {
        match time {
            Time::Timed(Span { start, end, zone }) => Self::Timed { start, end, zone: zone.name().to_owned() },
            Time::AllDay { first, last } => Self::AllDay { first, last },
        }
    }
}

impl From<StoredTime> for Time {
    fn from(time: StoredTime) -> Self {
        match time {
            StoredTime::Timed { start, end, zone } => Time::timed(start, end, Zone::named(&zone)),
            StoredTime::AllDay { first, last } => Time::AllDay { first, last },
        }
    }
}

impl From<Person> for StoredPerson {
    fn from(Person { name, address }: Person) -> Self {
        Self { name, address: address.as_str().to_owned() }
    }
}

impl From<StoredPerson> for Person {
    fn from(StoredPerson { name, address }: StoredPerson) -> Self {
        Self { name, address: Address::new(&address) }
    }
}

impl From<Attendee> for StoredAttendee {
    fn from(from: Attendee) -> Self {
        Self {
            person: from.person.into(),
            user: from.user.map(|user| user.0),
            kind: from.kind.into(),
            response: from.response.into(),
            responded: from.responded,
        }
    }
}

impl From<StoredAttendee> for Attendee {
    fn from(from: StoredAttendee) -> Self {
        Self {
            person: from.person.into(),
            user: from.user.map(UserId),
            kind: from.kind.into(),
            response: from.response.into(),
            responded: from.responded,
        }
    }
}

impl From<Link> for StoredLink {
    fn from(Link { entity, id, name }: Link) -> Self {
        Self { entity, id, name }
    }
}

impl From<StoredLink> for Link {
    fn from(StoredLink { entity, id, name }: StoredLink) -> Self {
        Self { entity, id, name }
    }
}

impl From<Scalar> for StoredScalar {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Text(text) => Self::Text(text),
            Scalar::Number(number) => Self::Number(number),
            Scalar::Flag(flag) => Self::Flag(flag),
        }
    }
}

impl From<StoredScalar> for Scalar {
    fn from(scalar: StoredScalar) -> Self {
        match scalar {
            StoredScalar::Text(text) => Self::Text(text),
            StoredScalar::Number(number) => Self::Number(number),
            StoredScalar::Flag(flag) => Self::Flag(flag),
        }
    }
}
