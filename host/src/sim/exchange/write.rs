//! CreateItem (appointments, answers, cancellations), UpdateItem, DeleteItem, MoveItem.
//!
//! Promises: a request that breaks the schema changes nothing; every item that changed counts as one write.
//! Must not know: HTTP.

use super::calendar::{self, Update};
use super::call::Call;
use super::edit_xml;
use super::error::{ExchangeError, schema_violation};
use super::item::{Item, Kind, Reply};
use super::meeting::{self, Audience, Send};
use super::mime;
use super::target::Target;
use super::xml::{Element, Messages, Read, Xml, reject_schema};

const SEND_TO_ALL: Send = Send { audience: Audience::All, save_copy: false };

/// Something that CreateItem asks for, checked but not done.
enum Wanted {
    Appointment { item: Box<Item>, send: Send },
    Reply { target: Target, reply: Reply, send: Option<Send> },
    Cancel { target: Target },
}

pub fn create_item(call: &mut Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
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
        messages.add(outcome, |xml, key| write_ids(call, &key.map(Target::whole).into_iter().collect::<Vec<_>>(), xml));
    }
    messages.write("CreateItem", xml);
    Ok(())
}

pub fn update_item(call: &mut Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
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
        let outcome = prepare_update(call, *change, resolution, send).map(|update| {
            let by = call.owner();
            calendar::store(call.world, update, &by, send)
        });
        messages.add(outcome, |xml, target| {
            write_ids(call, &[target], xml);
            xml.open("m:ConflictResults", |xml| xml.text("t:Count", 0));
        });
    }
    messages.write("UpdateItem", xml);
    Ok(())
}

pub fn delete_item(call: &mut Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let delete_type = request.need_attribute("DeleteType")?;
    if !matches!(delete_type, "HardDelete" | "SoftDelete" | "MoveToDeletedItems") {
        return Err(schema_violation("DeleteType has no such value"));
    }
    let send = read_send(request, "SendMeetingCancellations")?;
    let mut messages = Messages::new("DeleteItem");
    for id in request.need("ItemIds")?.kids() {
        let by = call.owner();
        let keep = delete_type == "MoveToDeletedItems";
        let outcome = call.target(id).and_then(|target| calendar::delete(call.world, &target, &by, keep, send));
        messages.add(outcome, |_, ()| {});
    }
    messages.write("DeleteItem", xml);
    Ok(())
}

pub fn move_item(call: &mut Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let folder = request.need("ToFolderId")?.kids().next().ok_or_else(|| schema_violation("ToFolderId is empty"))?;
    let folder = call.folder(folder);
    let mut messages = Messages::new("MoveItem");
    for id in request.need("ItemIds")?.kids() {
        let outcome = folder.clone().and_then(|folder| {
            let target = call.target(id)?;
            if target.instance.is_some() {
                let text = "An occurrence cannot be moved without its series.";
                return Err(ExchangeError::new("ErrorCalendarCannotMoveOrCopyOccurrence", text));
            }
            let key = call.world.relocate(target.key, folder);
            call.world.writes += 1;
            key.ok_or_else(|| ExchangeError::new("ErrorItemNotFound", "The item was not found in the store."))
        });
        messages.add(outcome, |xml, key| write_ids(call, &[Target::whole(key)], xml));
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
) -> Result<Wanted, ExchangeError> {
    let reference = || call.target(node.need("ReferenceItemId")?);
    match node.local() {
        "CalendarItem" => {
            let mut changes = Vec::new();
            if let Some(content) = node.kid("MimeContent") {
                let owner = call.own_mailbox().ok().and_then(|mailbox| call.world.accounts.get(mailbox));
                let owner = owner.map(|account| account.address.clone()).unwrap_or_default();
                changes = mime::changes(&content.content(), &owner)?;
            }
            changes.extend(edit_xml::changes_of(node)?);
            let send = invitations.ok_or_else(|| {
                let text = "SendMeetingInvitations is required for a calendar item.";
                ExchangeError::new("ErrorSendMeetingInvitationsRequired", text)
            })?;
            let item =
                Box::new(calendar::draft(call.world, call.own_mailbox()?, folder, &changes, call.zone.as_ref())?);
            Ok(Wanted::Appointment { item, send })
        }
        "AcceptItem" => Ok(Wanted::Reply { target: reference()?, reply: Reply::Accept, send: reply_send(request)? }),
        "TentativelyAcceptItem" => {
            Ok(Wanted::Reply { target: reference()?, reply: Reply::Tentative, send: reply_send(request)? })
        }
        "DeclineItem" => Ok(Wanted::Reply { target: reference()?, reply: Reply::Decline, send: reply_send(request)? }),
        "CancelCalendarItem" => Ok(Wanted::Cancel { target: reference()? }),
        other => Err(ExchangeError::new("ErrorInvalidOperation", format!("This server does not create a {other}."))),
    }
}

fn carry_out(call: &mut Call<'_>, wanted: Wanted) -> Result<Option<u64>, ExchangeError> {
    match wanted {
        Wanted::Appointment { item, send } => Ok(Some(calendar::create(call.world, *item, send))),
        Wanted::Reply { target, reply, send } => {
            let key = match target.instance {
                Some(start) => {
                    meeting::respond_once(call.world, target.key, start, reply, send).map(|()| target.key)?
                }
                None => meeting::respond(call.world, target.key, reply, send)?,
            };
            call.world.writes += 1;
            Ok(Some(key))
        }
        Wanted::Cancel { target } => {
            let by = call.owner();
            calendar::cancel(call.world, &target, &by, SEND_TO_ALL)?;
            Ok(None)
        }
    }
}

fn prepare_update(
    call: &Call<'_>,
    change: Element<'_>,
    resolution: &str,
    send: Option<Send>,
) -> Result<Update, ExchangeError> {
    let id = change.kids().next().ok_or_else(|| schema_violation("ItemChange is empty"))?;
    let changes = edit_xml::updates_of(change.need("Updates")?)?;
    let target = call.target(id)?;
    let item = call.item(&target)?;
    match (resolution, target.change_key) {
        ("AlwaysOverwrite", _) => {}
        (_, None) => {
            let text = "The change key is required for this operation.";
            return Err(ExchangeError::new("ErrorChangeKeyRequiredForWriteOperations", text));
        }
        ("NeverOverwrite", Some(known)) if known != item.version() => {
            let text = "The item was changed since its change key was read.";
            return Err(ExchangeError::new("ErrorIrresolvableConflict", text));
        }
        _ => {}
    }
    if item.kind == Kind::Appointment && send.is_none() {
        let text = "SendMeetingInvitationsOrCancellations is required for a calendar item.";
        return Err(ExchangeError::new("ErrorSendMeetingInvitationsOrCancellationsRequired", text));
    }
    calendar::prepare(call.world, target, &changes, call.zone.as_ref())
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

/// The value of a Send attribute, if there is one.
fn read_send(request: Element<'_>, name: &str) -> Result<Option<Send>, ExchangeError> {
    let Some(text) = request.attribute(name) else { return Ok(None) };
    let changed_fits = name == "SendMeetingInvitationsOrCancellations";
    Send::read(text)
        .filter(|send| changed_fits || send.audience != Audience::Changed)
        .map(Some)
        .ok_or_else(|| schema_violation(format!("{text:?} is not a value of {name}")))
}

/// Whether an answer to a meeting is sent, by MessageDisposition.
fn reply_send(request: Element<'_>) -> Result<Option<Send>, ExchangeError> {
    match request.attribute("MessageDisposition") {
        Some("SaveOnly") => Ok(None),
        Some("SendOnly") => Ok(Some(SEND_TO_ALL)),
        Some("SendAndSaveCopy") => Ok(Some(Send { save_copy: true, ..SEND_TO_ALL })),
        _ => Err(ExchangeError::new(
            "ErrorMessageDispositionRequired",
            "MessageDisposition is required to answer a meeting.",
        )),
    }
}
