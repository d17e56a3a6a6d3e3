//! What a client can do with appointments: create, change, delete, answer, cancel. Both protocols come through here.
//!
//! Promises: what is prepared changes nothing until it is stored; every call that changed something counts as one write;
//! who is told is said by the caller, as a [`Send`]. Must not know: XML, JSON, HTTP.

use chrono::{DateTime, Utc};

use super::edit::{Change, Edit};
use super::error::ExchangeError;
use super::item::{Content, Item, Kind, Person, Reply, Series};
use super::meeting::{self, Before, Send};
use super::series::Recurrence;
use super::store::World;
use super::target::Target;
use super::zones::Zone;

/// An appointment in that folder (else the calendar) of a mailbox, made of changes but not yet stored.
pub fn draft(
    world: &World,
    mailbox: usize,
    folder: Option<usize>,
    changes: &[Change],
    context: Option<&Zone>,
) -> Result<Item, ExchangeError> {
    let calendar = folder.or_else(|| world.folder(mailbox, "calendar"));
    let calendar = calendar.ok_or_else(|| ExchangeError::new("ErrorFolderNotFound", "The mailbox has no calendar."))?;
    let mut item = world.blank(mailbox, calendar);
    let person = |address: &str, name: Option<&str>| world.person(address, name);
    let mut edit = Edit {
        content: item.content.clone(),
        uid: item.uid.clone(),
        recurrence: None,
        is_instance: false,
        is_new: true,
        context,
        person: &person,
    };
    edit.apply(changes)?;
    (item.content, item.uid) = (edit.content, edit.uid);
    item.series = edit.recurrence.map(new_series);
    if item.is_meeting() {
        item.my_reply = Reply::Organizer;
    }
    Ok(item)
}

/// Stores a draft, and invites if asked to. Answers its key.
pub fn create(world: &mut World, item: Item, send: Send) -> u64 {
    let key = world.add(item);
    world.writes += 1;
    meeting::announce(world, key, None, &Before { attendees: Vec::new(), moved: false }, send);
    key
}

/// A change of an item that was checked, and how the item was before.
pub struct Update {
    pub target: Target,
    pub content: Content,
    /// What it said before.
    pub was: Content,
    pub uid: String,
    pub recurrence: Option<Recurrence>,
    pub before: Before,
}

/// Checks changes to an item or to one instance of a series.
pub fn prepare(
    world: &World,
    target: Target,
    changes: &[Change],
    context: Option<&Zone>,
) -> Result<Update, ExchangeError> {
    let view = world.view(&target)?;
    let item = view.item;
    let mut content = view.content.clone();
    (content.start, content.end) = (view.start, view.end);
    let was = content.clone();
    let person = |address: &str, name: Option<&str>| -> Person { world.person(address, name) };
    let recurrence = item.series.as_ref().map(|series| series.recurrence.clone());
    let mut edit = Edit {
        content,
        uid: item.uid.clone(),
        recurrence: recurrence.clone().filter(|_| target.instance.is_none()),
        is_instance: target.instance.is_some(),
        is_new: false,
        context,
        person: &person,
    };
    edit.apply(changes)?;
    let Edit { content, uid, recurrence: changed, .. } = edit;
    let times = |content: &Content| (content.start, content.end, content.all_day);
    let moved = times(&content) != times(&was) || (target.instance.is_none() && changed != recurrence);
    if let Some(original_start) = target.instance {
        stays_between_neighbours(item, original_start, &content)?;
    }
    let before = Before { attendees: was.attendees.clone(), moved };
    Ok(Update { target, content, was, uid, recurrence: changed, before })
}

/// Carries a prepared change out, by the hand of the mailbox's owner, and tells attendees if asked to.
pub fn store(world: &mut World, update: Update, by: &str, send: Option<Send>) -> Target {
    let Update { target, content, uid, recurrence, before, .. } = update;
    world.change(target.key, by, |item| match (target.instance, item.series.as_mut()) {
        (Some(start), Some(series)) => {
            series.exceptions.insert(start, content);
        }
        _ => {
            // Moving a master, or changing its pattern, forgets what was special about single occurrences.
            let series = item.series.take().filter(|_| !before.moved);
            item.content = content;
            item.uid = uid;
            item.series = recurrence.map(|recurrence| series.unwrap_or_else(|| new_series(recurrence)));
            if item.is_organizer {
                item.my_reply = if item.is_meeting() { Reply::Organizer } else { Reply::Unknown };
            }
        }
    });
    world.writes += 1;
    if let Some(send) = send {
        meeting::announce(world, target.key, target.instance, &before, send);
    }
    target
}

/// The organizer calls a meeting off: attendees are told, and it goes to Deleted Items.
pub fn cancel(world: &mut World, target: &Target, by: &str, send: Send) -> Result<(), ExchangeError> {
    let item = world.item(target)?;
    if !item.is_organizer || item.kind != Kind::Appointment {
        return Err(ExchangeError::new("ErrorCalendarIsNotOrganizer", "Only the organizer can cancel a meeting."));
    }
    world.writes += 1;
    meeting::cancel(world, target.key, target.instance, send);
    take_out(world, target, by, true);
    Ok(())
}

/// Deletes an item, or one instance of a series; a meeting of the owner's is called off as `send` says.
pub fn delete(
    world: &mut World,
    target: &Target,
    by: &str,
    keep: bool,
    send: Option<Send>,
) -> Result<(), ExchangeError> {
    let item = world.item(target)?;
    if item.kind == Kind::Appointment {
        let send = send.ok_or_else(|| {
            let text = "SendMeetingCancellations is required for a calendar item.";
            ExchangeError::new("ErrorSendMeetingCancellationsRequired", text)
        })?;
        if world.is_calendar(item.folder) {
            meeting::cancel(world, target.key, target.instance, send);
        }
    }
    take_out(world, target, by, keep);
    world.writes += 1;
    Ok(())
}

/// Takes an item, or one instance of a series, out of its folder; `keep` moves a whole item to Deleted Items.
fn take_out(world: &mut World, target: &Target, by: &str, keep: bool) {
    if let Some(start) = target.instance {
        world.change(target.key, by, |item| {
            if let Some(series) = &mut item.series {
                series.exceptions.remove(&start);
                series.deleted.insert(start);
            }
        });
        return;
    }
    let mailbox = world.items.get(&target.key).map(|item| item.mailbox);
    let deleted_items = mailbox.and_then(|mailbox| world.folder(mailbox, "deleteditems"));
    match deleted_items.filter(|_| keep) {
        Some(folder) => {
            world.relocate(target.key, folder);
        }
        None => {
            world.remove(target.key);
        }
    }
}

/// An occurrence may not move to or past the day of its neighbour [event-update; updateitem-operation].
fn stays_between_neighbours(
    item: &Item,
    original_start: DateTime<Utc>,
    content: &Content,
) -> Result<(), ExchangeError> {
    let Some(series) = &item.series else { return Ok(()) };
    let zone = &item.content.start_zone;
    let day = |at: DateTime<Utc>| zone.local(at).date();
    let shown = |start: DateTime<Utc>| item.instance(start).start;
    let living = |start: &&DateTime<Utc>| !series.deleted.contains(start);
    let all = item.instances_around(original_start);
    let before = all.iter().rev().filter(living).find(|start| **start < original_start);
    let after = all.iter().filter(living).find(|start| **start > original_start);
    let crosses = before.is_some_and(|before| day(content.start) <= day(shown(*before)))
        || after.is_some_and(|after| day(content.start) >= day(shown(*after)));
    if crosses && day(content.start) != day(shown(original_start)) {
        let text = "Modified occurrence is crossing or overlapping adjacent occurrence.";
        return Err(ExchangeError::new("ErrorOccurrenceCrossingBoundary", text));
    }
    Ok(())
}

pub fn new_series(recurrence: Recurrence) -> Series {
    Series { recurrence, exceptions: Default::default(), deleted: Default::default(), replies: Default::default() }
}
