//! Writing fields: what a client's changes do to an item's content, whichever protocol they came by.
//!
//! Promises: either all changes of one item take effect or none; afterwards start, end, zones and all-day days fit
//! together as the server guarantees. Must not know: XML, JSON, meetings, mails, the store.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Timelike, Utc};

use super::error::ExchangeError;
use super::item::{Attendee, Content, Person, Reply, Role, Value};
use super::property::{OfServer, PropertyName, PropertyValue};
use super::series::{Range, Recurrence};
use super::zones::{When, Zone};

/// The longest appointment: five years.
const DURATION_DAYS_MAX: i64 = 5 * 366;
/// Attendees of one meeting; real servers stop at the size of a message.
const ATTENDEES_MAX: usize = 5_000;

/// One change to one property, read and checked as far as it can be without the item.
#[derive(Clone, Debug)]
pub enum Change {
    /// A field without a meaning of its own here, by the name [`Content::plain`] knows it by.
    Plain(&'static str, Value),
    Clear(&'static str),
    Start(When),
    End(When),
    AllDay(bool),
    StartZone(Zone),
    EndZone(Zone),
    /// For start and end, unless they name their own.
    BothZones(Zone),
    Uid(String),
    Recurrence(Option<Recurrence>),
    Attendees {
        role: Role,
        people: Vec<Invited>,
        append: bool,
    },
    AppendBody {
        html: bool,
        text: String,
    },
    Property(PropertyName, PropertyValue),
    NoProperty(PropertyName),
}

/// Someone a client invites.
#[derive(Clone, Debug)]
pub struct Invited {
    pub address: String,
    pub name: Option<String>,
}

/// An item while it is written.
pub struct Edit<'a> {
    pub content: Content,
    pub uid: String,
    pub recurrence: Option<Recurrence>,
    /// One instance of a series: it has no recurrence and no UID of its own.
    pub is_instance: bool,
    /// New: what is not given gets a default.
    pub is_new: bool,
    /// The zone of the request, for times that name none.
    pub context: Option<&'a Zone>,
    /// Looks people up by address and given name.
    pub person: &'a dyn Fn(&str, Option<&str>) -> Person,
}

impl Edit<'_> {
    /// Applies the changes. Zones come first, as they say how times are read.
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), ExchangeError> {
        if self.is_new {
            self.defaults();
        }
        let given = self.zones(changes);
        let mut times = Times { start: None, end: None };
        for change in changes {
            self.change(change, &given, &mut times)?;
        }
        self.settle(&times)
    }

    fn defaults(&mut self) {
        let half_hour = TimeDelta::minutes(30);
        let now =
            self.content.start.with_minute(0).and_then(|at| at.with_second(0)).and_then(|at| at.with_nanosecond(0));
        self.content.start = now.unwrap_or(self.content.start) + TimeDelta::hours(1);
        self.content.end = self.content.start + half_hour;
        if let Some(zone) = self.context {
            self.content.start_zone = zone.clone();
            self.content.end_zone = zone.clone();
        }
        self.content.plain.extend(default_fields("Busy"));
    }

    /// Takes the zones from the changes, and answers those that were given.
    fn zones(&mut self, changes: &[Change]) -> GivenZones {
        let mut given = GivenZones { start: None, end: None };
        for change in changes {
            match change {
                Change::StartZone(zone) => given.start = Some(zone.clone()),
                Change::EndZone(zone) => given.end = Some(zone.clone()),
                Change::BothZones(zone) => {
                    given.start.get_or_insert_with(|| zone.clone());
                    given.end.get_or_insert_with(|| zone.clone());
                }
                _ => {}
            }
        }
        if let Some(zone) = &given.start {
            self.content.start_zone = zone.clone();
            // An end zone that was never chosen follows the start.
            if self.is_new && given.end.is_none() {
                self.content.end_zone = zone.clone();
            }
        }
        if let Some(zone) = &given.end {
            self.content.end_zone = zone.clone();
        }
        given
    }

    fn change(&mut self, change: &Change, given: &GivenZones, times: &mut Times) -> Result<(), ExchangeError> {
        let utc = Zone::utc();
        let zone = |given: &Option<Zone>| given.as_ref().or(self.context).unwrap_or(&utc).clone();
        match change {
            Change::Plain(name, value) => {
                self.content.plain.insert(name, value.clone());
            }
            Change::Clear(name) => {
                self.content.plain.remove(name);
            }
            Change::Start(when) => times.start = Some(when.in_zone(&zone(&given.start))),
            Change::End(when) => times.end = Some(when.in_zone(&zone(&given.end))),
            Change::AllDay(all_day) => self.content.all_day = *all_day,
            // Zones were read before.
            Change::StartZone(_) | Change::EndZone(_) | Change::BothZones(_) => {}
            Change::Uid(_) if self.is_instance => return Err(not_for_instances("calendar:UID")),
            Change::Uid(uid) if uid.is_empty() => {}
            Change::Uid(uid) => self.uid.clone_from(uid),
            Change::Recurrence(Some(_)) if self.is_instance => return Err(not_for_instances("calendar:Recurrence")),
            Change::Recurrence(recurrence) => self.recurrence.clone_from(recurrence),
            Change::Attendees { role, people, append } => self.set_attendees(*role, people, *append)?,
            Change::AppendBody { html, text } => match self.content.plain.get_mut("Body") {
                Some(Value::Body { text: before, .. }) => before.push_str(text),
                _ => {
                    self.content.plain.insert("Body", Value::Body { html: *html, text: text.clone() });
                }
            },
            Change::Property(name, _) if name.of_server() == Some(OfServer::GlobalObjectId) => {
                return Err(read_only("an extended property the server fills"));
            }
            Change::Property(name, value) => {
                self.content.extended.insert(name.clone(), value.clone());
            }
            Change::NoProperty(name) => {
                self.content.extended.remove(name);
            }
        }
        Ok(())
    }

    /// Replaces the attendees of one role, or adds to them. Answers that were given are kept by address.
    fn set_attendees(&mut self, role: Role, people: &[Invited], append: bool) -> Result<(), ExchangeError> {
        let known: Vec<Attendee> = self.content.attendees.clone();
        if !append {
            self.content.attendees.retain(|attendee| attendee.role != role);
        }
        for Invited { address, name } in people {
            if !address.contains('@') {
                return Err(ExchangeError::new("ErrorInvalidRecipients", "An attendee has no usable e-mail address."));
            }
            let person = (self.person)(address, name.as_deref());
            let before = known.iter().find(|known| known.person.is(&person.address));
            let (reply, replied) = before.map_or((Reply::Unknown, None), |before| (before.reply, before.replied));
            if self.content.attendees.iter().any(|other| other.role == role && other.person.is(&person.address)) {
                continue;
            }
            if self.content.attendees.len() >= ATTENDEES_MAX {
                return Err(ExchangeError::new(
                    "ErrorInvalidRecipients",
                    format!("More than {ATTENDEES_MAX} attendees."),
                ));
            }
            self.content.attendees.push(Attendee { person, role, reply, replied });
        }
        Ok(())
    }

    /// Makes times, all-day days and recurrence fit together, and checks them.
    fn settle(&mut self, times: &Times) -> Result<(), ExchangeError> {
        let content = &mut self.content;
        let length = content.end - content.start;
        content.start = times.start.unwrap_or(content.start);
        content.end = times
            .end
            .unwrap_or_else(|| if times.start.is_some() && self.is_new { content.start + length } else { content.end });
        if content.end < content.start {
            return Err(ExchangeError::new(
                "ErrorCalendarEndDateIsEarlierThanStartDate",
                "EndDate is earlier than StartDate.",
            ));
        }
        if content.all_day {
            content.start = content.start_zone.midnight_before(content.start);
            content.end = content.end_zone.midnight_after(content.end);
            if content.end <= content.start {
                content.end = content.end_zone.next_midnight(content.start);
            }
        }
        if content.end - content.start > TimeDelta::days(DURATION_DAYS_MAX) {
            return Err(ExchangeError::new(
                "ErrorCalendarDurationIsTooLong",
                "An appointment may not last longer than five years.",
            ));
        }
        let Some(recurrence) = &self.recurrence else { return Ok(()) };
        let far = match recurrence.range {
            Range::Until(end) => end,
            Range::NoEnd | Range::Count(_) => recurrence.start + TimeDelta::days(3_660),
        };
        let Some(first) = recurrence.days(far).first().copied() else {
            return Err(ExchangeError::new("ErrorCalendarInvalidRecurrence", "The series has no occurrence."));
        };
        // The master is the first occurrence, whatever day it was sent with.
        let local = content.start_zone.local(content.start);
        let length = content.end - content.start;
        content.start = content.start_zone.instant(first.and_time(local.time()));
        content.end = content.start + length;
        Ok(())
    }
}

/// The fields of a fresh appointment, with the server's default reminder.
pub fn default_fields(free_busy: &str) -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("Sensitivity", Value::Text("Normal".into())),
        ("Importance", Value::Text("Normal".into())),
        ("LegacyFreeBusyStatus", Value::Text(free_busy.into())),
        ("ReminderIsSet", Value::Boolean(true)),
        ("ReminderMinutesBeforeStart", Value::Integer(15)),
        ("IsResponseRequested", Value::Boolean(true)),
        ("AllowNewTimeProposal", Value::Boolean(true)),
        ("ConferenceType", Value::Integer(0)),
    ])
}

pub fn read_only(what: &str) -> ExchangeError {
    ExchangeError::new("ErrorInvalidPropertySet", format!("Set action is invalid for property {what}."))
}

struct GivenZones {
    start: Option<Zone>,
    end: Option<Zone>,
}

struct Times {
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
}

fn not_for_instances(what: &str) -> ExchangeError {
    ExchangeError::new(
        "ErrorInvalidPropertySet",
        format!("Set action is invalid for {what} on one occurrence of a series."),
    )
}
