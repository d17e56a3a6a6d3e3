//! CreateItem (appointments, answers, cancellations), UpdateItem, DeleteItem, MoveItem.
//!
//! Promises: a request that breaks the schema changes nothing; every item that changed counts as one write.
//! Must not know: HTTP.

use super::call::{Call, Target};
use super::edit::{self, Change, Edit};
use super::item::{Content, Item, Kind, Person, Reply, Series};
use super::meeting::{self, Audience, Before, Send};
use super::series::Recurrence;
use super::xml::{Element, EwsError, Messages, Read, Xml, reject_schema, schema_violation};

const SEND_TO_ALL: Send = Send { audience: Audience::All, save_copy: false };

/// Something that CreateItem asks for, checked but not done.
enum Wanted {
    Appointment { item: Box<Item>, send: Send },
    Reply { target: Target, reply: Reply, send: Option<Send> },
    Cancel { target: Target },
}

pub fn create_item(call: &mut Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), EwsError> {
    let invitations = read_send(request, "SendMeetingInvitations")?;
    let folder = request.kid("SavedItemFolderId").and_then(|saved| saved.kids().next());
    let folder = folder.map(|node| call.folder(node)).transpose();
    let mut wanted = Vec::new();
    for item in request.need("Items")?.kids() {
        let folder = folder.clone();
        let one = folder.and_then(|folder| want(call, request, item, folder, invitations));
        wanted.push(reject_schema(one)?);
    }
    let mut messages = Messages::new("CreateItem");
    for one in wanted {
        let outcome = one.and_then(|one| carry_out(call, one));
        messages.add(outcome, |xml, key| write_ids(call, &key.map(whole).into_iter().collect::<Vec<_>>(), xml));
    }
    messages.write("CreateItem", xml);
    Ok(())
}

pub fn update_item(call: &mut Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), EwsError> {
    let send = read_send(request, "SendMeetingInvitationsOrCancellations")?;
    let resolution = request.need_attribute("ConflictResolution")?;
    if !matches!(resolution, "NeverOverwrite" | "AutoResolve" | "AlwaysOverwrite") {
        return Err(schema_violation("ConflictResolution has no such value"));
    }
    let changes: Vec<Element<'_>> = request.need("ItemChanges")?.kids().collect();
    // Once without effect, so that a schema violation in a later item leaves the earlier ones alone.
    for change in &changes {
        drop(reject_schema(prepare_update(call, *change, resolution, send))?);
    }
    let mut messages = Messages::new("UpdateItem");
    for change in &changes {
        let outcome = prepare_update(call, *change, resolution, send).and_then(|update| store_update(call, update));
        messages.add(outcome, |xml, target| {
            write_ids(call, &[target], xml);
            xml.open("m:ConflictResults", |xml| xml.text("t:Count", 0));
        });
    }
    messages.write("UpdateItem", xml);
    Ok(())
}

pub fn delete_item(call: &mut Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), EwsError> {
    let delete_type = request.need_attribute("DeleteType")?;
    if !matches!(delete_type, "HardDelete" | "SoftDelete" | "MoveToDeletedItems") {
        return Err(schema_violation("DeleteType has no such value"));
    }
    let send = read_send(request, "SendMeetingCancellations")?;
    let mut messages = Messages::new("DeleteItem");
    for id in request.need("ItemIds")?.kids() {
        let outcome = call.target(id).and_then(|target| delete(call, &target, delete_type, send));
        messages.add(outcome, |_, ()| {});
    }
    messages.write("DeleteItem", xml);
    Ok(())
}

pub fn move_item(call: &mut Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), EwsError> {
    let folder = request.need("ToFolderId")?.kids().next().ok_or_else(|| schema_violation("ToFolderId is empty"))?;
    let folder = call.folder(folder);
    let mut messages = Messages::new("MoveItem");
    for id in request.need("ItemIds")?.kids() {
        let outcome = folder.clone().and_then(|folder| {
            let target = call.target(id)?;
            if target.instance.is_some() {
                let text = "An occurrence cannot be moved without its series.";
                return Err(EwsError::new("ErrorCalendarCannotMoveOrCopyOccurrence", text));
            }
            let key = call.world.relocate(target.key, folder);
            call.world.writes += 1;
            key.ok_or_else(|| EwsError::new("ErrorItemNotFound", "The item was not found in the store."))
        });
        messages.add(outcome, |xml, key| write_ids(call, &[whole(key)], xml));
    }
    messages.write("MoveItem", xml);
    Ok(())
}

fn want(
    call: &Call<'_>,
    request: Element<'_>,
    node: Element<'_>,
    folder: Option<usize>,
    invitations: Option<Send>,
) -> Result<Wanted, EwsError> {
    let reference = || call.target(node.need("ReferenceItemId")?);
    match node.local() {
        "CalendarItem" => {
            let changes = edit::changes_of(node)?;
            let send = invitations.ok_or_else(|| {
                let text = "SendMeetingInvitations is required for a calendar item.";
                EwsError::new("ErrorSendMeetingInvitationsRequired", text)
            })?;
            let item = Box::new(new_appointment(call, &changes, folder)?);
            Ok(Wanted::Appointment { item, send })
        }
        "AcceptItem" => Ok(Wanted::Reply { target: reference()?, reply: Reply::Accept, send: reply_send(request)? }),
        "TentativelyAcceptItem" => {
            Ok(Wanted::Reply { target: reference()?, reply: Reply::Tentative, send: reply_send(request)? })
        }
        "DeclineItem" => Ok(Wanted::Reply { target: reference()?, reply: Reply::Decline, send: reply_send(request)? }),
        "CancelCalendarItem" => Ok(Wanted::Cancel { target: reference()? }),
        other => Err(EwsError::new("ErrorInvalidOperation", format!("This server does not create a {other}."))),
    }
}

fn new_appointment(call: &Call<'_>, changes: &[Change<'_>], folder: Option<usize>) -> Result<Item, EwsError> {
    let mailbox = call.own_mailbox()?;
    let calendar = folder.or_else(|| call.world.folder(mailbox, "calendar"));
    let calendar = calendar.ok_or_else(|| EwsError::new("ErrorFolderNotFound", "The mailbox has no calendar."))?;
    let mut item = call.world.blank(mailbox, calendar);
    let person = |address: &str, name: Option<&str>| call.world.person(address, name);
    let mut edit = Edit {
        content: item.content.clone(),
        uid: item.uid.clone(),
        recurrence: None,
        is_instance: false,
        is_new: true,
        context: call.zone.as_ref(),
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

fn carry_out(call: &mut Call<'_>, wanted: Wanted) -> Result<Option<u64>, EwsError> {
    match wanted {
        Wanted::Appointment { item, send } => {
            let key = call.world.add(*item);
            call.world.writes += 1;
            meeting::announce(call.world, key, None, &Before { attendees: Vec::new(), moved: false }, send);
            Ok(Some(key))
        }
        Wanted::Reply { target, reply, send } => {
            if target.instance.is_some() {
                let text = "This server answers for whole series only.";
                return Err(EwsError::new("ErrorInvalidOperation", text));
            }
            let key = meeting::respond(call.world, target.key, reply, send)?;
            call.world.writes += 1;
            Ok(Some(key))
        }
        Wanted::Cancel { target } => {
            let item = call.item(&target)?;
            if !item.is_organizer || item.kind != Kind::Appointment {
                return Err(EwsError::new("ErrorCalendarIsNotOrganizer", "Only the organizer can cancel a meeting."));
            }
            call.world.writes += 1;
            meeting::cancel(call.world, target.key, target.instance, SEND_TO_ALL);
            remove(call, &target, "MoveToDeletedItems");
            Ok(None)
        }
    }
}

/// An update that was checked, and how the item was before.
struct Update {
    target: Target,
    content: Content,
    uid: String,
    recurrence: Option<Recurrence>,
    before: Before,
    send: Option<Send>,
}

fn prepare_update(
    call: &Call<'_>,
    change: Element<'_>,
    resolution: &str,
    send: Option<Send>,
) -> Result<Update, EwsError> {
    let id = change.kids().next().ok_or_else(|| schema_violation("ItemChange is empty"))?;
    let changes = edit::updates_of(change.need("Updates")?)?;
    let target = call.target(id)?;
    let item = call.item(&target)?;
    match (resolution, target.change_key) {
        ("AlwaysOverwrite", _) => {}
        (_, None) => {
            let text = "The change key is required for this operation.";
            return Err(EwsError::new("ErrorChangeKeyRequiredForWriteOperations", text));
        }
        ("NeverOverwrite", Some(known)) if known != item.version() => {
            let text = "The item was changed since its change key was read.";
            return Err(EwsError::new("ErrorIrresolvableConflict", text));
        }
        _ => {}
    }
    if item.kind == Kind::Appointment && send.is_none() {
        let text = "SendMeetingInvitationsOrCancellations is required for a calendar item.";
        return Err(EwsError::new("ErrorSendMeetingInvitationsOrCancellationsRequired", text));
    }
    let view = call.view(&target)?;
    let mut content = view.content.clone();
    (content.start, content.end) = (view.start, view.end);
    let person = |address: &str, name: Option<&str>| -> Person { call.world.person(address, name) };
    let recurrence = item.series.as_ref().map(|series| series.recurrence.clone());
    let mut edit = Edit {
        content,
        uid: item.uid.clone(),
        recurrence: recurrence.clone().filter(|_| target.instance.is_none()),
        is_instance: target.instance.is_some(),
        is_new: false,
        context: call.zone.as_ref(),
        person: &person,
    };
    edit.apply(&changes)?;
    let moved = (edit.content.start, edit.content.end, edit.content.all_day)
        != (view.start, view.end, view.content.all_day)
        || (target.instance.is_none() && edit.recurrence != recurrence);
    let before = Before { attendees: view.content.attendees.clone(), moved };
    Ok(Update { content: edit.content, uid: edit.uid, recurrence: edit.recurrence, before, send, target })
}

fn store_update(call: &mut Call<'_>, update: Update) -> Result<Target, EwsError> {
    let Update { target, content, uid, recurrence, before, send } = update;
    let by = call.owner();
    call.world.change(target.key, &by, |item| match (target.instance, item.series.as_mut()) {
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
    call.world.writes += 1;
    if let Some(send) = send {
        meeting::announce(call.world, target.key, target.instance, &before, send);
    }
    Ok(target)
}

fn delete(call: &mut Call<'_>, target: &Target, delete_type: &str, send: Option<Send>) -> Result<(), EwsError> {
    let item = call.item(target)?;
    if item.kind == Kind::Appointment {
        let send = send.ok_or_else(|| {
            let text = "SendMeetingCancellations is required for a calendar item.";
            EwsError::new("ErrorSendMeetingCancellationsRequired", text)
        })?;
        let in_calendar = call.world.folders.get(item.folder).is_some_and(|folder| folder.distinguished == "calendar");
        if in_calendar {
            meeting::cancel(call.world, target.key, target.instance, send);
        }
    }
    remove(call, target, delete_type);
    call.world.writes += 1;
    Ok(())
}

/// Takes an item, or one instance of a series, out of its folder.
fn remove(call: &mut Call<'_>, target: &Target, delete_type: &str) {
    let by = call.owner();
    if let Some(start) = target.instance {
        call.world.change(target.key, &by, |item| {
            if let Some(series) = &mut item.series {
                series.exceptions.remove(&start);
                series.deleted.insert(start);
            }
        });
        return;
    }
    let deleted_items = call.mailbox.and_then(|mailbox| call.world.folder(mailbox, "deleteditems"));
    match deleted_items.filter(|_| delete_type == "MoveToDeletedItems") {
        Some(folder) => {
            call.world.relocate(target.key, folder);
        }
        None => {
            call.world.remove(target.key);
        }
    }
}

/// Writes `m:Items` with the ids of items.
fn write_ids(call: &Call<'_>, targets: &[Target], xml: &mut Xml) {
    xml.open("m:Items", |xml| {
        for view in targets.iter().filter_map(|target| call.view(target).ok()) {
            xml.open(view.item.kind.element(), |xml| {
                xml.empty("t:ItemId", &[("Id", &view.id()), ("ChangeKey", &view.item.change_key())]);
            });
        }
    });
}

fn whole(key: u64) -> Target {
    Target { key, instance: None, change_key: None }
}

fn new_series(recurrence: Recurrence) -> Series {
    Series { recurrence, exceptions: Default::default(), deleted: Default::default() }
}

/// The value of a Send attribute, if there is one.
fn read_send(request: Element<'_>, name: &str) -> Result<Option<Send>, EwsError> {
    let Some(text) = request.attribute(name) else { return Ok(None) };
    let changed_fits = name == "SendMeetingInvitationsOrCancellations";
    Send::read(text)
        .filter(|send| changed_fits || send.audience != Audience::Changed)
        .map(Some)
        .ok_or_else(|| schema_violation(format!("{text:?} is not a value of {name}")))
}

/// Whether an answer to a meeting is sent, by MessageDisposition.
fn reply_send(request: Element<'_>) -> Result<Option<Send>, EwsError> {
    match request.attribute("MessageDisposition") {
        Some("SaveOnly") => Ok(None),
        Some("SendOnly") => Ok(Some(SEND_TO_ALL)),
        Some("SendAndSaveCopy") => Ok(Some(Send { save_copy: true, ..SEND_TO_ALL })),
        _ => {
            Err(EwsError::new("ErrorMessageDispositionRequired", "MessageDisposition is required to answer a meeting."))
        }
    }
}
