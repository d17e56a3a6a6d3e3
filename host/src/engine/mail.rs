//! Declares how many mails a write will make Exchange send, before it is made.
//!
//! None on first sync, for the past, where a rule forbids it, and for fields people do not meet by.
//! Promises: pure; the number is exact for a server that mails each attendee once. Must not know: how a server is told.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::recent::Recent;
use crate::model::{Address, Appointment, Attendee, Field, Mail, MailBudget, Patch, Value};

/// Whom to mail, and how many mails that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailPlan {
    pub mail: Mail,
    pub budget: MailBudget,
}

impl MailPlan {
    pub const SILENT: MailPlan = MailPlan { mail: Mail::Silent, budget: MailBudget::NONE };
}

/// Mails of the recent past, so that many small writes are no storm either.
#[derive(Clone, Debug, Default)]
pub struct MailMeter {
    recent: Recent,
}

impl MailMeter {
    /// Goes on from counts that an earlier run kept.
    pub fn new(recent: Recent) -> Self {
        Self { recent }
    }

    /// What is counted: to be kept for the next run.
    pub fn counts(&self) -> &Recent {
        &self.recent
    }

    /// Takes back mails that were granted and then not caused.
    pub fn take_back(&mut self, count: u32) {
        self.recent.take_back(count);
    }

    /// Asks for the mails of one write. Granted, and counted, unless more than `cap` would be sent within an hour.
    pub fn ask(&mut self, wanted: u32, cap: u32, now: DateTime<Utc>) -> bool {
        let granted = self.recent.within(PERIOD, now).saturating_add(wanted) <= cap;
        if granted && wanted > 0 {
            self.recent.add(wanted, now);
        }
        granted
    }
}

/// The period in which mails are counted against the cap.
const PERIOD: TimeDelta = TimeDelta::hours(1);

/// Fields people meet by: a change of these is told to attendees (guide, chapter 8: time, people, text).
const MEETING_FIELDS: [Field; 4] = [Field::Time, Field::Location, Field::Subject, Field::Body];

/// What a server that mails by itself tells a meeting's attendees of: whatever travels with an invitation.
pub const TOLD_UNASKED: [Field; 7] = [
    Field::Attendees,
    Field::Time,
    Field::Location,
    Field::Subject,
    Field::Body,
    Field::Sensitivity,
    Field::Importance,
];

/// Invitations a new meeting sends.
pub fn mail_for_create(draft: &Appointment, allowed: bool) -> MailPlan {
    let invitations = count(&invited(draft));
    if !allowed || invitations == 0 {
        return MailPlan::SILENT;
    }
    MailPlan { mail: Mail::All, budget: MailBudget { invitations, ..MailBudget::NONE } }
}

/// Mails a change of an organizer's meeting sends.
pub fn mail_for_update(before: &Appointment, patch: &Patch, allowed: bool) -> MailPlan {
    update(before, patch, allowed, &MEETING_FIELDS)
}

/// The same on a server that mails by itself: that a meeting becomes private is told like time and place, and must be written.
pub fn mail_for_update_unasked(before: &Appointment, patch: &Patch, allowed: bool) -> MailPlan {
    let [time, location, subject, body] = MEETING_FIELDS;
    update(before, patch, allowed, &[time, location, subject, body, Field::Sensitivity])
}

/// Mails a change sends of a meeting that nobody was asked to yet: whoever is told of it is invited, and all are.
pub fn mail_for_update_unsent(before: &Appointment, patch: &Patch, allowed: bool) -> MailPlan {
    let MailBudget { invitations, updates, .. } = update(before, patch, allowed, &MEETING_FIELDS).budget;
    if invitations + updates == 0 {
        return MailPlan::SILENT;
    }
    let now = people_after(before, patch);
    MailPlan { mail: Mail::All, budget: MailBudget { invitations: count(&now), ..MailBudget::NONE } }
}

/// Whether a server that mails by itself would mail anybody about a change of a meeting.
pub fn is_told_unasked(before: &Appointment, patch: &Patch) -> bool {
    let stays = !invited(before).is_empty();
    let told = TOLD_UNASKED.iter().filter(|field| **field != Field::Attendees);
    (stays && told.into_iter().any(|field| patch.set.contains_key(field)))
        || mail_for_update(before, patch, true).budget.total() > 0
}

fn update(before: &Appointment, patch: &Patch, allowed: bool, met_by: &[Field]) -> MailPlan {
    let (was, now) = (invited(before), people_after(before, patch));
    let added = count(&now.difference(&was).cloned().collect());
    let removed = count(&was.difference(&now).cloned().collect());
    let met_by = met_by.iter().any(|field| patch.set.contains_key(field));
    let staying = if met_by { count(&now.intersection(&was).cloned().collect()) } else { 0 };
    let budget = MailBudget { invitations: added, updates: staying, cancellations: removed };
    if !allowed || budget.total() == 0 {
        return MailPlan::SILENT;
    }
    MailPlan { mail: if met_by { Mail::All } else { Mail::Changed }, budget }
}

/// Cancellations a removed meeting sends.
pub fn mail_for_delete(shown: &Appointment, allowed: bool) -> MailPlan {
    let cancellations = count(&invited(shown));
    if !allowed || cancellations == 0 {
        return MailPlan::SILENT;
    }
    MailPlan { mail: Mail::All, budget: MailBudget { cancellations, ..MailBudget::NONE } }
}

fn people_after(before: &Appointment, patch: &Patch) -> BTreeSet<Address> {
    match patch.set.get(&Field::Attendees) {
        Some(Value::Attendees(list)) => addresses(list, before),
        Some(_) => BTreeSet::new(),
        None => invited(before),
    }
}

fn invited(appointment: &Appointment) -> BTreeSet<Address> {
    addresses(&appointment.attendees, appointment)
}

fn addresses(list: &[Attendee], appointment: &Appointment) -> BTreeSet<Address> {
    list.iter()
        .map(|attendee| attendee.person.address.clone())
        .filter(|address| !address.is_empty())
        .filter(|address| appointment.organizer.as_ref().is_none_or(|organizer| organizer.address != *address))
        .collect()
}

fn count(set: &BTreeSet<Address>) -> u32 {
    u32::try_from(set.len()).unwrap_or(u32::MAX)
}
