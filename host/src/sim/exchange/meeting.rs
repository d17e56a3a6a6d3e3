//! Meetings: who gets which mail, and what becomes of the copies in other calendars.
//!
//! Promises: nothing is delivered unless the request's Send value says so; every mail is counted under its kind; an
//! attendee's copy keeps what is the attendee's own (reminder, categories, free/busy, answer). Must not know: XML, HTTP.
//!
//! One instance of a series that is changed or cancelled reaches the copies of those who have the series; who was
//! invited to that instance alone gets the mail but no copy.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::edit::default_fields;
use super::error::ExchangeError;
use super::item::{Attendee, Content, Item, Kind, Message, Person, Reply, Role, Series, Value};
use super::store::{MailKind, World};

/// Who is told of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    Nobody,
    /// Those added, removed, or in another role.
    Changed,
    All,
}

/// What a Send attribute asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Send {
    pub audience: Audience,
    /// Whether a copy of each mail is kept in Sent Items.
    pub save_copy: bool,
}

impl Send {
    /// Reads any of the Send attributes; nothing for a value that is none.
    pub fn read(text: &str) -> Option<Self> {
        let (audience, save_copy) = match text {
            "SendToNone" => (Audience::Nobody, false),
            "SendOnlyToAll" => (Audience::All, false),
            "SendToAllAndSaveCopy" => (Audience::All, true),
            "SendOnlyToChanged" => (Audience::Changed, false),
            "SendToChangedAndSaveCopy" => (Audience::Changed, true),
            _ => return None,
        };
        Some(Self { audience, save_copy })
    }
}

/// Fields of a meeting that travel with the mail.
const SHARED: &[&str] = &[
    "Subject",
    "Body",
    "Location",
    "Importance",
    "Sensitivity",
    "When",
    "IsResponseRequested",
    "AllowNewTimeProposal",
    "ConferenceType",
    "IsOnlineMeeting",
    "MeetingWorkspaceUrl",
    "NetShowUrl",
];

/// Whether two contents differ in nothing that people meet by, times and attendees aside.
pub fn says_the_same(one: &Content, other: &Content) -> bool {
    SHARED.iter().all(|name| one.plain.get(name) == other.plain.get(name))
}

/// What a meeting was before a change, as far as mails depend on it.
pub struct Before {
    pub attendees: Vec<Attendee>,
    /// Whether times or recurrence moved: answers count no more.
    pub moved: bool,
}

/// A mail about a meeting on its way.
struct Delivery<'a> {
    from: &'a Person,
    to: &'a Person,
    kind: MailKind,
    reply: Reply,
    content: Content,
    uid: &'a str,
    /// Of the sender, if a copy is kept.
    sent_items_of: Option<usize>,
}

/// Tells attendees of a new or changed meeting; `instance` names the one that changed, else it is the whole item.
pub fn announce(world: &mut World, key: u64, instance: Option<DateTime<Utc>>, before: &Before, send: Send) {
    let Some(item) = world.items.get(&key).filter(|item| item.is_organizer).cloned() else { return };
    let content = instance.map_or(&item.content, |start| item.instance(start).content).clone();
    let of_item = |attendee: &&Attendee| !attendee.person.is(&item.organizer.address);
    if send.audience == Audience::Nobody {
        return;
    }
    let mut told = Vec::new();
    for attendee in content.attendees.iter().filter(of_item) {
        let known = before.attendees.iter().find(|known| known.person.is(&attendee.person.address));
        match known {
            None => told.push((attendee.person.clone(), MailKind::Request)),
            Some(_) if !item.request_sent => told.push((attendee.person.clone(), MailKind::Request)),
            Some(known) if send.audience == Audience::All || known.role != attendee.role => {
                told.push((attendee.person.clone(), MailKind::Update));
            }
            Some(_) => {}
        }
    }
    let stays = |gone: &Attendee| content.attendees.iter().any(|attendee| attendee.person.is(&gone.person.address));
    let removed: Vec<Person> = before
        .attendees
        .iter()
        .filter(of_item)
        .filter(|attendee| item.request_sent && !stays(attendee))
        .map(|attendee| attendee.person.clone())
        .collect();
    if told.is_empty() && removed.is_empty() {
        return;
    }
    let asked_again: BTreeSet<String> = match before.moved {
        true => told.iter().map(|(person, _)| person.address.to_ascii_lowercase()).collect(),
        false => BTreeSet::new(),
    };
    let item = mark_sent(world, item, instance, before.moved, &asked_again);
    let content = instance.map_or(&item.content, |start| item.instance(start).content).clone();
    let sent_items_of = send.save_copy.then_some(item.mailbox);
    for (person, kind) in told {
        if let Some(mailbox) = other_mailbox(world, &person, item.mailbox) {
            place_copy(world, mailbox, &item, instance, before.moved);
        }
        let (reply, content) = (Reply::NoResponseReceived, content.clone());
        deliver(
            world,
            Delivery { from: &item.organizer, to: &person, kind, reply, content, uid: &item.uid, sent_items_of },
        );
    }
    for person in removed {
        withdraw(world, &item, instance, &person, &content, sent_items_of);
    }
}

/// Tells all attendees that the meeting, or one instance, is off, and takes it out of their calendars.
pub fn cancel(world: &mut World, key: u64, instance: Option<DateTime<Utc>>, send: Send) {
    let Some(item) = world.items.get(&key).filter(|item| item.is_organizer).cloned() else { return };
    if send.audience == Audience::Nobody {
        return;
    }
    let content = instance.map_or(&item.content, |start| item.instance(start).content).clone();
    let sent_items_of = send.save_copy.then_some(item.mailbox);
    for attendee in content.attendees.iter().filter(|attendee| !attendee.person.is(&item.organizer.address)) {
        withdraw(world, &item, instance, &attendee.person, &content, sent_items_of);
    }
}

/// An attendee answers. `key` is the copy in the calendar or the request in the inbox; answers the key of the copy.
pub fn respond(world: &mut World, key: u64, reply: Reply, send: Option<Send>) -> Result<u64, ExchangeError> {
    let not_found = || ExchangeError::new("ErrorItemNotFound", "The meeting to answer was not found.");
    let asked = world.items.get(&key).ok_or_else(not_found)?;
    let about = asked.message.as_ref().and_then(|message| message.about.clone());
    let copy = match (asked.kind, about) {
        (Kind::Appointment, _) => asked,
        (Kind::Request, Some(id)) => world.item_by_id(&id).ok_or_else(not_found)?,
        _ => {
            return Err(ExchangeError::new(
                "ErrorInvalidReferenceItem",
                "Only a meeting or its request can be answered.",
            ));
        }
    };
    let suffix = match reply {
        Reply::Accept => "Accept",
        Reply::Decline => "Decline",
        _ => "Tentative",
    };
    if copy.is_organizer {
        let text = "The organizer cannot answer the own meeting.";
        return Err(ExchangeError::new(&format!("ErrorCalendarIsOrganizerFor{suffix}"), text));
    }
    if copy.cancelled {
        let text = "The meeting was cancelled.";
        return Err(ExchangeError::new(&format!("ErrorCalendarIsCancelledFor{suffix}"), text));
    }
    let (mut copy_key, mailbox) = (copy.key, copy.mailbox);
    let now = world.clock.now();
    let me = world.accounts.get(mailbox).map(super::store::Account::person).ok_or_else(not_found)?;
    world.change(copy_key, &me.name, |item| {
        item.my_reply = reply;
        item.replied = Some(now);
        let free_busy = if reply == Reply::Accept { "Busy" } else { "Tentative" };
        item.content.plain.insert("LegacyFreeBusyStatus", Value::Text(free_busy.into()));
    });
    let copy = world.items.get(&copy_key).cloned().ok_or_else(not_found)?;
    let deleted_items = world.folder(mailbox, "deleteditems").ok_or_else(not_found)?;
    if key != copy_key {
        world.relocate(key, deleted_items);
    }
    if reply == Reply::Decline {
        copy_key = world.relocate(copy_key, deleted_items).ok_or_else(not_found)?;
    }
    if let Some(send) = send {
        record_reply(world, &copy, &me, reply, now);
        mail_reply(world, &me, &copy, reply, copy.content.clone(), send);
    }
    Ok(copy_key)
}

/// As [`respond`], for one instance of a series: it becomes an exception in both calendars, or leaves the attendee's.
pub fn respond_once(
    world: &mut World,
    key: u64,
    start: DateTime<Utc>,
    reply: Reply,
    send: Option<Send>,
) -> Result<(), ExchangeError> {
    let not_found = || ExchangeError::new("ErrorItemNotFound", "The meeting to answer was not found.");
    let copy = world.items.get(&key).cloned().ok_or_else(not_found)?;
    if copy.is_organizer || copy.cancelled {
        return respond(world, key, reply, send).map(drop);
    }
    let now = world.clock.now();
    let me = world.accounts.get(copy.mailbox).map(super::store::Account::person).ok_or_else(not_found)?;
    world.change(key, &me.name, |item| {
        let content = instance_content(item, start);
        let Some(series) = &mut item.series else { return };
        if reply == Reply::Decline {
            series.exceptions.remove(&start);
            series.deleted.insert(start);
            return;
        }
        let free_busy = if reply == Reply::Accept { "Busy" } else { "Tentative" };
        let content = series.exceptions.entry(start).or_insert(content);
        content.plain.insert("LegacyFreeBusyStatus", Value::Text(free_busy.into()));
        series.replies.insert(start, reply);
    });
    let Some(send) = send else { return Ok(()) };
    let organizer = world.mailbox_of(&copy.organizer.address);
    let theirs = organizer.and_then(|organizer| world.copy_of(organizer, &copy.uid)).filter(|item| item.is_organizer);
    if let Some(theirs) = theirs.map(|item| item.key) {
        world.change(theirs, &me.name, |item| {
            let content = instance_content(item, start);
            let Some(series) = item.series.as_mut().filter(|series| !series.deleted.contains(&start)) else { return };
            let content = series.exceptions.entry(start).or_insert(content);
            for attendee in content.attendees.iter_mut().filter(|attendee| attendee.person.is(&me.address)) {
                attendee.reply = reply;
                attendee.replied = Some(now);
            }
        });
    }
    mail_reply(world, &me, &copy, reply, instance_content(&copy, start), send);
    Ok(())
}

/// Tells the organizer what the owner of a copy answered.
fn mail_reply(world: &mut World, me: &Person, copy: &Item, reply: Reply, content: Content, send: Send) {
    let sent_items_of = send.save_copy.then_some(copy.mailbox);
    let (to, kind, uid) = (&copy.organizer, MailKind::Response, &copy.uid);
    deliver(world, Delivery { from: me, to, kind, reply, content, uid, sent_items_of });
}

/// What an exception for that instance begins as.
fn instance_content(item: &Item, start: DateTime<Utc>) -> Content {
    let view = item.instance(start);
    Content { start: view.start, end: view.end, ..view.content.clone() }
}

/// Notes on the organizer's copy that mails went out, and that old answers count no more.
fn mark_sent(
    world: &mut World,
    item: Item,
    instance: Option<DateTime<Utc>>,
    moved: bool,
    asked_again: &BTreeSet<String>,
) -> Item {
    if item.request_sent && !moved {
        return item;
    }
    let by = item.organizer.name.clone();
    let was_sent = item.request_sent;
    world.change(item.key, &by, |item| {
        item.request_sent = true;
        if moved && was_sent {
            item.sequence += 1;
        }
        let exception =
            instance.and_then(|start| item.series.as_mut().and_then(|series| series.exceptions.get_mut(&start)));
        let content = exception.unwrap_or(&mut item.content);
        for attendee in &mut content.attendees {
            if asked_again.contains(&attendee.person.address.to_ascii_lowercase()) {
                attendee.reply = Reply::Unknown;
                attendee.replied = None;
            }
        }
    });
    world.items.get(&item.key).cloned().unwrap_or(item)
}

/// Writes an attendee's answer into the organizer's copy, if there is one here.
fn record_reply(world: &mut World, copy: &Item, me: &Person, reply: Reply, now: DateTime<Utc>) {
    let Some(organizer) = world.mailbox_of(&copy.organizer.address) else { return };
    let Some(key) = world.copy_of(organizer, &copy.uid).filter(|item| item.is_organizer).map(|item| item.key) else {
        return;
    };
    world.change(key, &me.name, |item| {
        let exceptions = item.series.iter_mut().flat_map(|series| series.exceptions.values_mut());
        for content in exceptions.chain([&mut item.content]) {
            for attendee in content.attendees.iter_mut().filter(|attendee| attendee.person.is(&me.address)) {
                attendee.reply = reply;
                attendee.replied = Some(now);
            }
        }
    });
}

/// Puts the meeting into an attendee's calendar, or brings the copy there up to date.
fn place_copy(world: &mut World, mailbox: usize, meeting: &Item, instance: Option<DateTime<Utc>>, moved: bool) {
    let by = meeting.organizer.name.clone();
    if let Some(key) = world.copy_of(mailbox, &meeting.uid).map(|copy| copy.key) {
        world.change(key, &by, |copy| {
            let own = copy.content.clone();
            copy.content = shared(&meeting.content, &own);
            copy.sequence = meeting.sequence;
            let before = copy.series.take().filter(|_| !moved || instance.is_some());
            copy.series = copied_series(meeting, &own);
            // What the owner said of single instances stands until the whole is asked for anew.
            if let (Some(series), Some(before)) = (&mut copy.series, before) {
                let declined = before.deleted.into_iter().filter(|start| instance != Some(*start));
                series.deleted.extend(declined);
                series.exceptions.retain(|start, _| !series.deleted.contains(start));
                series.replies = before.replies;
            }
            if moved && instance.is_none() {
                copy.my_reply = Reply::NoResponseReceived;
                copy.replied = None;
                copy.content.plain.insert("LegacyFreeBusyStatus", Value::Text("Tentative".into()));
            }
        });
        return;
    }
    let Some(calendar) = world.folder(mailbox, "calendar") else { return };
    let mut copy = world.blank(mailbox, calendar);
    copy.content.plain = default_fields("Tentative");
    let own = copy.content.clone();
    match instance {
        // Who is asked to one occurrence only gets that one, as an appointment by itself under the series' UID.
        Some(start) => {
            let view = meeting.instance(start);
            copy.content = shared(view.content, &own);
            (copy.content.start, copy.content.end) = (view.start, view.end);
        }
        None => {
            copy.content = shared(&meeting.content, &own);
            copy.series = copied_series(meeting, &own);
        }
    }
    copy.uid.clone_from(&meeting.uid);
    copy.organizer = meeting.organizer.clone();
    copy.is_organizer = false;
    copy.my_reply = Reply::NoResponseReceived;
    copy.sequence = meeting.sequence;
    copy.request_sent = true;
    world.add(copy);
}

/// The meeting's content around what the attendee keeps as the own.
fn shared(meeting: &Content, own: &Content) -> Content {
    let mut content = meeting.clone();
    content.extended.clone_from(&own.extended);
    content.plain.retain(|name, _| SHARED.contains(name));
    content.plain.extend(own.plain.iter().filter(|(name, _)| !SHARED.contains(name)).map(|(k, v)| (*k, v.clone())));
    for attendee in &mut content.attendees {
        attendee.reply = Reply::Unknown;
        attendee.replied = None;
    }
    content
}

fn copied_series(meeting: &Item, own: &Content) -> Option<Series> {
    meeting.series.as_ref().map(|series| Series {
        recurrence: series.recurrence.clone(),
        exceptions: series.exceptions.iter().map(|(start, content)| (*start, shared(content, own))).collect(),
        deleted: series.deleted.clone(),
        replies: BTreeMap::new(),
    })
}

/// Sends a cancellation and takes the meeting, or one instance, out of the calendar.
fn withdraw(
    world: &mut World,
    meeting: &Item,
    instance: Option<DateTime<Utc>>,
    person: &Person,
    content: &Content,
    sent_items_of: Option<usize>,
) {
    let mailbox = other_mailbox(world, person, meeting.mailbox);
    if let Some(copy) = mailbox.and_then(|mailbox| world.copy_of(mailbox, &meeting.uid)).map(|copy| copy.key) {
        match instance {
            None => {
                world.remove(copy);
            }
            Some(start) => world.change(copy, &meeting.organizer.name, |copy| {
                if let Some(series) = &mut copy.series {
                    series.exceptions.remove(&start);
                    series.deleted.insert(start);
                }
            }),
        }
    }
    let (kind, reply, content) = (MailKind::Cancellation, Reply::Unknown, content.clone());
    let from = &meeting.organizer;
    deliver(world, Delivery { from, to: person, kind, reply, content, uid: &meeting.uid, sent_items_of });
}

/// The mailbox of a person here, unless it is the organizer's own.
fn other_mailbox(world: &World, person: &Person, own: usize) -> Option<usize> {
    world.mailbox_of(&person.address).filter(|mailbox| *mailbox != own)
}

/// Counts the mail, and puts the message into the inbox if there is one here, and into Sent Items if asked.
fn deliver(world: &mut World, delivery: Delivery<'_>) {
    let Delivery { from, to, kind, reply, content, uid, sent_items_of } = delivery;
    let prefix = match (kind, reply) {
        (MailKind::Request | MailKind::Update, _) => "",
        (MailKind::Cancellation, _) => "Canceled: ",
        (MailKind::Response, Reply::Accept) => "Accepted: ",
        (MailKind::Response, Reply::Decline) => "Declined: ",
        (MailKind::Response, _) => "Tentative: ",
    };
    let subject = format!("{prefix}{}", content.subject());
    world.send(from, to, kind, &subject);
    let inbox = world.mailbox_of(&to.address).map(|mailbox| (mailbox, "inbox"));
    let sent = sent_items_of.map(|mailbox| (mailbox, "sentitems"));
    for (mailbox, folder) in inbox.into_iter().chain(sent) {
        let Some(folder) = world.folder(mailbox, folder) else { continue };
        let mut message = world.blank(mailbox, folder);
        message.kind = match kind {
            MailKind::Request | MailKind::Update => Kind::Request,
            MailKind::Cancellation => Kind::Cancellation,
            MailKind::Response => Kind::Response,
        };
        message.content = content.clone();
        message.content.plain.insert("Subject", Value::Text(subject.clone()));
        message.content.plain.insert("ReminderIsSet", Value::Boolean(false));
        message.uid = uid.to_owned();
        message.organizer = if kind == MailKind::Response { to.clone() } else { from.clone() };
        message.is_organizer = kind == MailKind::Response;
        message.cancelled = kind == MailKind::Cancellation;
        message.message = Some(Message {
            sender: from.clone(),
            to: to.clone(),
            about: world.copy_of(mailbox, uid).map(|copy| copy.id.clone()),
            reply,
            is_update: kind == MailKind::Update,
        });
        world.add(message);
    }
}

/// The attendees of a content in one role, for people.
pub fn in_role(content: &Content, role: Role) -> impl Iterator<Item = &Attendee> {
    content.attendees.iter().filter(move |attendee| attendee.role == role)
}
