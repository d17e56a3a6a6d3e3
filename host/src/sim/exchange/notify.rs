//! Subscriptions: Subscribe, Unsubscribe, GetEvents, and the envelopes of GetStreamingEvents.
//!
//! Promises: a subscriber sees every event of its folders once, in order; who fell behind the log is told so.
//! Push subscriptions are refused: this server opens no connections. Must not know: HTTP.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use super::call::Call;
use super::error::{ExchangeError, schema_violation};
use super::ids;
use super::store::{Event, EventKind, World};
use super::xml::{self, Element, Messages, Read, Xml, boolean, integer};
use super::zones::written;

/// Subscriptions of one mailbox (EWSMaxSubscriptions is of this order).
const SUBSCRIPTIONS_MAX: usize = 200;
/// Events of one notification; more are announced by `MoreEvents`.
const EVENTS_PER_ANSWER: usize = 50;
/// Subscriptions of one streaming request [how-to-maintain-affinity].
const STREAM_SUBSCRIPTIONS_MAX: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Forgotten when not asked for so long.
    Pull {
        timeout_minutes: i64,
    },
    Streaming,
}

/// Who wants to hear of which events.
#[derive(Clone, Debug)]
pub struct Subscription {
    mailbox: usize,
    /// None means all folders.
    folders: Option<Vec<usize>>,
    kinds: Vec<String>,
    mode: Mode,
    /// The last event handed to a stream.
    sent: u64,
    used: DateTime<Utc>,
}

impl Subscription {
    fn wants(&self, event: &Event) -> bool {
        let in_folder = |folder: usize| self.folders.as_ref().is_none_or(|folders| folders.contains(&folder));
        event.mailbox == self.mailbox
            && self.kinds.iter().any(|kind| kind == event.kind.element())
            && (in_folder(event.folder) || event.old.as_ref().is_some_and(|(_, folder)| in_folder(*folder)))
    }

    fn expired(&self, now: DateTime<Utc>) -> bool {
        match self.mode {
            Mode::Pull { timeout_minutes } => now - self.used > TimeDelta::minutes(timeout_minutes),
            Mode::Streaming => false,
        }
    }
}

impl EventKind {
    fn element(self) -> &'static str {
        match self {
            EventKind::Created => "CreatedEvent",
            EventKind::Modified => "ModifiedEvent",
            EventKind::Deleted => "DeletedEvent",
            EventKind::Moved => "MovedEvent",
            EventKind::NewMail => "NewMailEvent",
        }
    }
}

pub fn subscribe(call: &mut Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let wanted = request.kids().next().ok_or_else(|| schema_violation("Subscribe names no kind of subscription"))?;
    let mode = match wanted.local() {
        "PullSubscriptionRequest" => {
            let timeout_minutes = integer(&wanted.need("Timeout")?.content())?;
            if !(1..=1_440).contains(&timeout_minutes) {
                return Err(schema_violation("Timeout must be between 1 and 1440 minutes"));
            }
            Ok(Mode::Pull { timeout_minutes })
        }
        "StreamingSubscriptionRequest" => Ok(Mode::Streaming),
        _ => {
            let text = "This server opens no connections, so it takes no push subscriptions.";
            Err(ExchangeError::new("ErrorInvalidPushSubscriptionUrl", text))
        }
    };
    let outcome = mode.and_then(|mode| add(call, wanted, mode));
    let mut messages = Messages::new("Subscribe");
    messages.add(outcome, |xml, (id, watermark)| {
        xml.text("m:SubscriptionId", id);
        if let Some(watermark) = watermark {
            xml.text("m:Watermark", watermark);
        }
    });
    messages.write("Subscribe", xml);
    Ok(())
}

pub fn unsubscribe(call: &mut Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let id = request.need("SubscriptionId")?.content();
    let outcome = find(call.world, call.mailbox, id.trim()).map(|_| ());
    if outcome.is_ok() {
        call.world.subscriptions.remove(id.trim());
    }
    let mut messages = Messages::new("Unsubscribe");
    messages.add(outcome, |_, ()| {});
    messages.write("Unsubscribe", xml);
    Ok(())
}

pub fn get_events(call: &mut Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let id = request.need("SubscriptionId")?.content().trim().to_owned();
    let watermark = request.need("Watermark")?.content();
    let now = call.world.clock.now();
    let outcome = find(call.world, call.mailbox, &id).and_then(|subscription| {
        if !matches!(subscription.mode, Mode::Pull { .. }) {
            let text = "GetEvents is for pull subscriptions.";
            return Err(ExchangeError::new("ErrorInvalidPullSubscriptionId", text));
        }
        let after = read_watermark(call.world, watermark.trim())?;
        let mut events: Vec<&Event> = since(call.world, subscription, after)?.collect();
        let more = events.len() > EVENTS_PER_ANSWER;
        events.truncate(EVENTS_PER_ANSWER);
        let mut xml = Xml::new();
        write_notification(call.world, &id, Some((after, more)), &events, &mut xml);
        Ok(xml)
    });
    if let Some(subscription) = call.world.subscriptions.get_mut(&id).filter(|_| outcome.is_ok()) {
        subscription.used = now;
    }
    let mut messages = Messages::new("GetEvents");
    messages.add(outcome, |xml, notification| xml.raw(notification));
    messages.write("GetEvents", xml);
    Ok(())
}

/// What GetStreamingEvents asks for: its subscriptions, and how long the connection may last.
pub fn stream_request(call: &Call<'_>, request: Element<'_>) -> Result<(Vec<String>, Duration), ExchangeError> {
    let minutes = integer(&request.need("ConnectionTimeout")?.content())?;
    if !(1..=30).contains(&minutes) {
        return Err(schema_violation("ConnectionTimeout must be between 1 and 30 minutes"));
    }
    let ids: Vec<String> = request.need("SubscriptionIds")?.kids().map(|id| id.content().trim().to_owned()).collect();
    if ids.is_empty() || ids.len() > STREAM_SUBSCRIPTIONS_MAX {
        return Err(schema_violation(format!("a stream takes 1 to {STREAM_SUBSCRIPTIONS_MAX} subscriptions")));
    }
    // One stream carries the subscriptions of a whole group of mailboxes [how-to-maintain-affinity].
    let may_listen = |found: &Subscription| call.by_service || Some(found.mailbox) == call.mailbox;
    let is_streaming = |id: &String| {
        let found = call.world.subscriptions.get(id);
        found.is_some_and(|found| found.mode == Mode::Streaming && may_listen(found))
    };
    if !ids.iter().all(is_streaming) {
        let bad: Vec<&str> = ids.iter().filter(|id| !is_streaming(id)).map(String::as_str).collect();
        return Err(ExchangeError::new("ErrorInvalidSubscription", bad.join(" ")));
    }
    Ok((ids, Duration::from_secs(60 * u64::try_from(minutes).unwrap_or(1))))
}

/// The answer to a GetStreamingEvents with bad subscriptions; their ids are the error's text.
pub fn stream_refused(error: &ExchangeError) -> String {
    xml::envelope(|xml| {
        xml.open("m:GetStreamingEventsResponse", |xml| {
            xml.open("m:ResponseMessages", |xml| {
                xml.element("m:GetStreamingEventsResponseMessage", &[("ResponseClass", "Error")], |xml| {
                    let shown = ExchangeError::new(&error.code, "A subscription is invalid.");
                    xml::error_payload(xml, &shown);
                    xml.open("m:ErrorSubscriptionIds", |xml| {
                        error.text.split(' ').for_each(|id| xml.text("m:SubscriptionId", id));
                    });
                });
            });
        });
    })
}

/// An envelope of a stream that only tells the connection's status: `OK` or `Closed`.
pub fn stream_status(status: &str) -> String {
    stream_envelope(|xml| xml.text("m:ConnectionStatus", status))
}

/// An envelope that keeps a stream alive.
pub fn stream_keep_alive(ids: &[String]) -> String {
    stream_envelope(|xml| {
        xml.open("m:Notifications", |xml| {
            for id in ids {
                xml.open("m:Notification", |xml| {
                    xml.text("t:SubscriptionId", id);
                    xml.open("t:StatusEvent", |_| {});
                });
            }
        });
    })
}

/// The events that streams of these subscriptions have not been handed yet, as an envelope. The error means that a
/// subscription is gone, or its events are.
pub fn stream_events(world: &mut World, ids: &[String]) -> Result<Option<String>, ExchangeError> {
    let mut notifications = Xml::new();
    let mut any = false;
    for id in ids {
        let gone = || ExchangeError::new("ErrorInvalidSubscription", id.clone());
        let subscription = world.subscriptions.get(id).ok_or_else(gone)?;
        let events: Vec<&Event> = since(world, subscription, subscription.sent)?.take(EVENTS_PER_ANSWER).collect();
        let Some(last) = events.last().map(|event| event.sequence) else { continue };
        any = true;
        write_notification(world, id, None, &events, &mut notifications);
        if let Some(subscription) = world.subscriptions.get_mut(id) {
            subscription.sent = last;
        }
    }
    Ok(any.then(|| stream_envelope(|xml| xml.open("m:Notifications", |xml| xml.raw(notifications)))))
}

fn stream_envelope(payload: impl FnOnce(&mut Xml)) -> String {
    xml::envelope(|xml| {
        let mut messages = Messages::new("GetStreamingEvents");
        messages.add(Ok(()), |xml, ()| payload(xml));
        messages.write("GetStreamingEvents", xml);
    })
}

fn add(call: &mut Call<'_>, wanted: Element<'_>, mode: Mode) -> Result<(String, Option<String>), ExchangeError> {
    let mailbox = call.own_mailbox()?;
    let all = wanted.attribute("SubscribeToAllFolders").map(boolean).transpose()?.unwrap_or(false);
    let folders = match wanted.kid("FolderIds") {
        Some(list) if !all => Some(call.folders(list)?),
        _ if all => None,
        _ => return Err(ExchangeError::new("ErrorInvalidSubscriptionRequest", "The subscription names no folder.")),
    };
    let kinds = wanted.need("EventTypes")?.kids().map(|kind| kind.content().trim().to_owned()).collect();
    let world = &mut *call.world;
    let now = world.clock.now();
    world.subscriptions.retain(|_, subscription| !subscription.expired(now));
    if world.subscriptions.values().filter(|other| other.mailbox == mailbox).count() >= SUBSCRIPTIONS_MAX {
        let text = format!("The mailbox has {SUBSCRIPTIONS_MAX} subscriptions already.");
        return Err(ExchangeError::new("ErrorExceededSubscriptionCount", text));
    }
    let last = *world.last_event.borrow();
    let sent = match wanted.kid_text("Watermark").filter(|watermark| !watermark.is_empty()) {
        Some(watermark) => read_watermark(world, &watermark)?,
        None => last,
    };
    world.subscriptions_made += 1;
    let id = STANDARD.encode(Sha256::digest(format!("{}/subscription/{}", world.salt, world.subscriptions_made)));
    let subscription = Subscription { mailbox, folders, kinds, mode, sent, used: now };
    world.subscriptions.insert(id.clone(), subscription);
    let watermark = (mode != Mode::Streaming).then(|| watermark(world, sent));
    Ok((id, watermark))
}

fn find<'w>(world: &'w World, mailbox: Option<usize>, id: &str) -> Result<&'w Subscription, ExchangeError> {
    let now = world.clock.now();
    world
        .subscriptions
        .get(id)
        .filter(|subscription| Some(subscription.mailbox) == mailbox && !subscription.expired(now))
        .ok_or_else(|| ExchangeError::new("ErrorSubscriptionNotFound", "Subscription is not found."))
}

/// The events after a sequence that a subscription wants.
fn since<'w>(
    world: &'w World,
    subscription: &'w Subscription,
    after: u64,
) -> Result<impl Iterator<Item = &'w Event>, ExchangeError> {
    let oldest = world.events.front().map_or(0, |event| event.sequence);
    if after + 1 < oldest {
        return Err(ExchangeError::new(
            "ErrorReadEventsFailed",
            "The events asked for are no longer kept; subscribe anew.",
        ));
    }
    Ok(world.events.iter().filter(move |event| event.sequence > after && subscription.wants(event)))
}

/// `pull` is the sequence asked from and whether there are more events; a stream tells neither.
fn write_notification(world: &World, id: &str, pull: Option<(u64, bool)>, events: &[&Event], xml: &mut Xml) {
    xml.open("m:Notification", |xml| {
        xml.text("t:SubscriptionId", id);
        if let Some((after, more)) = pull {
            xml.text("t:PreviousWatermark", watermark(world, after));
            xml.text("t:MoreEvents", more);
            if events.is_empty() {
                let last = *world.last_event.borrow();
                xml.open("t:StatusEvent", |xml| xml.text("t:Watermark", watermark(world, last)));
            }
        }
        for event in events {
            xml.open(&format!("t:{}", event.kind.element()), |xml| {
                let folder = |folder: usize| [("Id", world.folder_id(folder)), ("ChangeKey", ids::FOLDER_CHANGE_KEY)];
                xml.text("t:Watermark", watermark(world, event.sequence));
                xml.text("t:TimeStamp", written(event.at));
                xml.empty("t:ItemId", &[("Id", &event.item), ("ChangeKey", &event.change_key)]);
                xml.empty("t:ParentFolderId", &folder(event.folder));
                if let Some((old_item, old_folder)) = &event.old {
                    xml.empty("t:OldItemId", &[("Id", old_item), ("ChangeKey", &event.change_key)]);
                    xml.empty("t:OldParentFolderId", &folder(*old_folder));
                }
            });
        }
    });
}

fn watermark(world: &World, sequence: u64) -> String {
    STANDARD.encode(format!("{}|{sequence}", world.salt))
}

fn read_watermark(world: &World, text: &str) -> Result<u64, ExchangeError> {
    let parse = || {
        let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        let (salt, sequence) = text.split_once('|')?;
        let sequence = sequence.parse().ok()?;
        (salt == world.salt && sequence <= *world.last_event.borrow()).then_some(sequence)
    };
    parse().ok_or_else(|| ExchangeError::new("ErrorInvalidWatermark", "The watermark is invalid."))
}
