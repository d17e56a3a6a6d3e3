//! Subscriptions to changes of events: made after a handshake, renewed, ended; and what is to be told to whom.
//!
//! Promises: a subscription lives only until its expiry by the server's clock; every change of its mailbox's events since
//! it was made is told once it can be delivered, or given up after four hours. Must not know: how deliveries travel.

use std::collections::{BTreeMap, VecDeque};

use axum::http::StatusCode;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use url::Url;

use super::answer::{Answer, Refused};
use super::event::{rest_id, store_id};
use super::read::find;
use super::request::Request;
use super::{State, users};
use crate::sim::exchange::Role;
use crate::sim::exchange::item::Kind;
use crate::sim::exchange::store::{Event, EventKind, World};

/// The longest life of one for Outlook items [change-notifications-subscription-lifetime].
const LIFE_MINUTES_MAX: i64 = 10_080;
/// A shorter life is raised to this.
const LIFE_MINUTES_MIN: i64 = 45;
const CLIENT_STATE_MAX: usize = 128;
/// Subscriptions of one mailbox.
const SUBSCRIPTIONS_MAX: usize = 1_000;
/// How long a delivery is tried again [change-notifications-delivery-webhooks].
const TRIED_FOR: TimeDelta = TimeDelta::hours(4);
/// The longest wait between two tries.
const RETRY_MAX: TimeDelta = TimeDelta::minutes(1);
/// How long before its end a subscription is to be renewed. (inferred: sources give no number)
const REAUTHORIZE_BEFORE: TimeDelta = TimeDelta::minutes(15);
/// Deliveries that wait at one subscription; beyond, its owner is told that some were missed.
const WAITING_MAX: usize = 10_000;
/// Changes told in one post.
const PER_POST_MAX: usize = 20;

/// By id.
pub type Subscriptions = BTreeMap<String, Subscription>;

#[derive(Clone, Debug)]
pub struct Subscription {
    mailbox: usize,
    folder: usize,
    resource: String,
    change_type: String,
    notification_url: Url,
    lifecycle_url: Option<Url>,
    client_state: Option<String>,
    expires: DateTime<Utc>,
    immutable_ids: bool,
    /// Told of up to this event.
    seen: u64,
    waiting: VecDeque<Delivery>,
    asked_to_reauthorize: bool,
}

/// What lifecycle posts say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Lifecycle {
    ReauthorizationRequired,
    SubscriptionRemoved,
    Missed,
}

impl Lifecycle {
    fn name(self) -> &'static str {
        match self {
            Lifecycle::ReauthorizationRequired => "reauthorizationRequired",
            Lifecycle::SubscriptionRemoved => "subscriptionRemoved",
            Lifecycle::Missed => "missed",
        }
    }
}

#[derive(Clone, Debug)]
struct Delivery {
    to: Url,
    body: Value,
    first: DateTime<Utc>,
    due: DateTime<Utc>,
    tries: u32,
}

/// A post that is due: where, what, and of which subscription's waiting ones it takes how many.
#[derive(Clone, Debug)]
pub struct Post {
    pub subscription: String,
    pub to: Url,
    pub body: Value,
    taken: Vec<Delivery>,
}

/// A subscription asked for, checked but without its handshake.
pub struct Wanted {
    subscription: Subscription,
    /// Both must answer the handshake.
    pub urls: Vec<Url>,
}

/// Checks a request for a subscription.
pub fn want(state: &State, world: &World, request: &Request, now: DateTime<Utc>) -> Result<Wanted, Refused> {
    let body = request.json()?;
    let text = |name: &str| find(&body, name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let need = |name: &str| text(name).ok_or_else(|| invalid(format!("The property {name} is required.")));
    let (resource, change_type) = (need("resource")?.to_owned(), need("changeType")?.to_owned());
    for kind in change_type.split(',') {
        if !matches!(kind.trim(), "created" | "updated" | "deleted") {
            return Err(invalid(format!("'{kind}' is not a changeType.")));
        }
    }
    let notification_url = url(need("notificationUrl")?)?;
    let lifecycle_url = text("lifecycleNotificationUrl").map(url).transpose()?;
    let client_state = text("clientState").map(str::to_owned);
    if client_state.as_ref().is_some_and(|state| state.len() > CLIENT_STATE_MAX) {
        return Err(invalid(format!("clientState is longer than {CLIENT_STATE_MAX} characters.")));
    }
    let expires = expiry(need("expirationDateTime")?, now)?;
    let (mailbox, folder) = watched(world, &resource)?;
    let same = |other: &&Subscription| {
        other.expires > now && other.resource.eq_ignore_ascii_case(&resource) && other.change_type == change_type
    };
    if state.subscriptions.values().any(|other| same(&other)) {
        let text = "A subscription with the same resource and changeType exists.";
        return Err(Refused::new(StatusCode::CONFLICT, "ExtensionError", text));
    }
    if state.subscriptions.values().filter(|other| other.mailbox == mailbox).count() >= SUBSCRIPTIONS_MAX {
        let text = format!("The mailbox has {SUBSCRIPTIONS_MAX} subscriptions already.");
        return Err(Refused::new(StatusCode::FORBIDDEN, "ErrorExceededSubscriptionCount", text));
    }
    let urls = [Some(notification_url.clone()), lifecycle_url.clone()].into_iter().flatten().collect();
    let subscription = Subscription {
        mailbox,
        folder,
        resource,
        change_type,
        notification_url,
        lifecycle_url,
        client_state,
        expires,
        immutable_ids: request.prefer.immutable_ids,
        seen: *world.last_event.borrow(),
        waiting: VecDeque::new(),
        asked_to_reauthorize: false,
    };
    Ok(Wanted { subscription, urls })
}

/// Adds a subscription whose handshake went well.
pub fn add(state: &mut State, request: &Request, id: String, wanted: Wanted) -> Answer {
    let mut shown = show(state, &id, &wanted.subscription);
    shown.insert("clientState".into(), wanted.subscription.client_state.clone().into());
    shown.insert("@odata.context".into(), format!("{}/$metadata#subscriptions/$entity", request.base).into());
    state.subscriptions.insert(id, wanted.subscription);
    Answer::json(StatusCode::CREATED, shown.into())
}

/// Says that a handshake failed.
pub fn handshake_failed(why: &str) -> Refused {
    invalid(format!("Subscription validation request failed. {why}"))
}

pub fn list(state: &State, request: &Request, now: DateTime<Utc>) -> Answer {
    let living = state.subscriptions.iter().filter(|(_, subscription)| subscription.expires > now);
    let value: Vec<Value> = living.map(|(id, subscription)| show(state, id, subscription).into()).collect();
    Answer::ok(json!({ "@odata.context": format!("{}/$metadata#subscriptions", request.base), "value": value }))
}

pub fn get(state: &State, id: &str, now: DateTime<Utc>) -> Result<Answer, Refused> {
    let found = state.subscriptions.get(id).filter(|subscription| subscription.expires > now);
    found.map(|subscription| Answer::ok(show(state, id, subscription).into())).ok_or_else(missing)
}

pub fn renew(state: &mut State, id: &str, request: &Request, now: DateTime<Utc>) -> Result<Answer, Refused> {
    let body = request.json()?;
    let wanted = find(&body, "expirationDateTime").and_then(Value::as_str);
    let expires = wanted.map(|text| expiry(text, now)).transpose()?;
    let found =
        state.subscriptions.get_mut(id).filter(|subscription| subscription.expires > now).ok_or_else(missing)?;
    found.expires = expires.unwrap_or(found.expires);
    found.asked_to_reauthorize = false;
    get(state, id, now)
}

pub fn reauthorize(state: &mut State, id: &str, now: DateTime<Utc>) -> Result<Answer, Refused> {
    let found =
        state.subscriptions.get_mut(id).filter(|subscription| subscription.expires > now).ok_or_else(missing)?;
    found.asked_to_reauthorize = true;
    Ok(Answer::empty(StatusCode::ACCEPTED))
}

pub fn delete(state: &mut State, id: &str) -> Result<Answer, Refused> {
    state.subscriptions.remove(id).map(|_| Answer::empty(StatusCode::NO_CONTENT)).ok_or_else(missing)
}

/// Puts a lifecycle event to one subscription or to all; one that is removed is gone at once.
pub fn lifecycle(state: &mut State, event: Lifecycle, id: Option<&str>, now: DateTime<Utc>) -> usize {
    let tenant = state.app.tenant.clone();
    let mut told = Vec::new();
    for (known, subscription) in state.subscriptions.iter_mut().filter(|(known, _)| id.is_none_or(|id| id == *known)) {
        told.push(known.clone());
        subscription.tell_lifecycle(known, event, &tenant, now);
    }
    if event == Lifecycle::SubscriptionRemoved {
        for id in &told {
            if let Some(removed) = state.subscriptions.remove(id) {
                state.farewells.extend(removed.waiting.into_iter().map(|delivery| (id.clone(), delivery)));
            }
        }
    }
    told.len()
}

/// Deliveries of subscriptions that are no more.
#[derive(Debug, Default)]
pub struct Farewells(VecDeque<(String, Delivery)>);

impl Extend<(String, Delivery)> for Farewells {
    fn extend<T: IntoIterator<Item = (String, Delivery)>>(&mut self, more: T) {
        self.0.extend(more);
    }
}

/// Notes what happened since the last look, drops what expired, and answers the posts that are due.
pub fn due(state: &mut State, world: &World, now: DateTime<Utc>) -> Vec<Post> {
    let tenant = state.app.tenant.clone();
    state.subscriptions.retain(|_, subscription| subscription.expires > now);
    let mut posts = Vec::new();
    for (id, subscription) in &mut state.subscriptions {
        subscription.note(id, world, &tenant, now);
        if subscription.expires - now <= REAUTHORIZE_BEFORE && !subscription.asked_to_reauthorize {
            subscription.asked_to_reauthorize = true;
            subscription.tell_lifecycle(id, Lifecycle::ReauthorizationRequired, &tenant, now);
        }
        posts.extend(subscription.take_due(id, now));
    }
    while let Some((id, delivery)) = state.farewells.0.pop_front() {
        let body = json!([delivery.body]);
        posts.push(Post { subscription: id, to: delivery.to.clone(), body, taken: vec![delivery] });
    }
    posts
}

/// When the next try is due.
pub fn next_due(state: &State) -> Option<DateTime<Utc>> {
    state.subscriptions.values().flat_map(|subscription| subscription.waiting.iter().map(|delivery| delivery.due)).min()
}

/// A post that was not taken: it is tried again, unless that was done for long enough.
pub fn failed(state: &mut State, post: Post, now: DateTime<Utc>) {
    let first_wait = TimeDelta::milliseconds(state.settings.notify_retry_ms.max(1));
    let Some(subscription) = state.subscriptions.get_mut(&post.subscription) else { return };
    for mut delivery in post.taken.into_iter().rev() {
        if now - delivery.first > TRIED_FOR {
            continue;
        }
        let doubled = first_wait * 2_i32.saturating_pow(delivery.tries.min(10));
        delivery.due = now + doubled.min(RETRY_MAX);
        delivery.tries += 1;
        subscription.waiting.push_front(delivery);
    }
}

impl Subscription {
    /// Takes the events that happened since the last look.
    fn note(&mut self, id: &str, world: &World, tenant: &str, now: DateTime<Utc>) {
        let oldest = world.events.front().map_or(0, |event| event.sequence);
        let lost = self.seen + 1 < oldest;
        let new = world.events.iter().filter(|event| event.sequence > self.seen && event.mailbox == self.mailbox);
        let told: Vec<Value> = new.filter_map(|event| self.notification(id, world, event, tenant)).collect();
        self.seen = *world.last_event.borrow();
        if lost || self.waiting.len() + told.len() > WAITING_MAX {
            self.tell_lifecycle(id, Lifecycle::Missed, tenant, now);
        }
        let room = WAITING_MAX.saturating_sub(self.waiting.len());
        let to = self.notification_url.clone();
        self.waiting.extend(told.into_iter().take(room).map(|body| Delivery::new(to.clone(), body, now)));
    }

    /// What a change is to the owner of this subscription, if anything.
    fn notification(&self, id: &str, world: &World, event: &Event, tenant: &str) -> Option<Value> {
        let came = event.folder == self.folder;
        let left = event.old.as_ref().is_some_and(|(_, folder)| *folder == self.folder);
        let (kind, item) = match event.kind {
            EventKind::Created if came => ("created", &event.item),
            EventKind::Modified if came => ("updated", &event.item),
            EventKind::Deleted if came => ("deleted", &event.item),
            EventKind::Moved if came => ("created", &event.item),
            EventKind::Moved if left => ("deleted", event.old.as_ref().map(|(old, _)| old)?),
            _ => return None,
        };
        if !self.change_type.split(',').any(|wanted| wanted.trim() == kind) {
            return None;
        }
        let now = world.item_by_id(&event.item);
        if now.is_some_and(|item| item.kind != Kind::Appointment) {
            return None;
        }
        let item = match self.immutable_ids {
            true => rest_id(&event.immutable_id),
            false => rest_id(item),
        };
        let user = world.accounts.get(self.mailbox).map(|account| account.directory_id.to_string())?;
        let path = format!("Users/{user}/Events/{item}");
        let mut body = self.frame(id, tenant);
        body.insert("changeType".into(), kind.into());
        body.insert("resource".into(), path.clone().into());
        let data = json!({
            "@odata.type": "#Microsoft.Graph.Event", "@odata.id": path,
            "@odata.etag": format!("W/\"{}\"", event.change_key), "id": item,
        });
        body.insert("resourceData".into(), data);
        Some(body.into())
    }

    fn tell_lifecycle(&mut self, id: &str, event: Lifecycle, tenant: &str, now: DateTime<Utc>) {
        let Some(to) = self.lifecycle_url.clone() else { return };
        let mut body = self.frame(id, tenant);
        body.insert("lifecycleEvent".into(), event.name().into());
        self.waiting.push_back(Delivery::new(to, body.into(), now));
    }

    /// What every post says.
    fn frame(&self, id: &str, tenant: &str) -> Map<String, Value> {
        let expires = self.expires.to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut frame = Map::new();
        frame.insert("subscriptionId".into(), id.into());
        frame.insert("subscriptionExpirationDateTime".into(), expires.into());
        frame.insert("clientState".into(), self.client_state.clone().into());
        frame.insert("tenantId".into(), tenant.into());
        frame
    }

    fn take_due(&mut self, id: &str, now: DateTime<Utc>) -> Vec<Post> {
        let mut posts: Vec<Post> = Vec::new();
        let mut stay = VecDeque::new();
        for delivery in std::mem::take(&mut self.waiting) {
            if delivery.due > now {
                stay.push_back(delivery);
                continue;
            }
            match posts.last_mut().filter(|post| post.to == delivery.to && post.taken.len() < PER_POST_MAX) {
                Some(post) => post.taken.push(delivery),
                None => {
                    let (to, taken) = (delivery.to.clone(), vec![delivery]);
                    posts.push(Post { subscription: id.to_owned(), to, body: Value::Null, taken });
                }
            }
        }
        self.waiting = stay;
        for post in &mut posts {
            post.body = post.taken.iter().map(|delivery| delivery.body.clone()).collect();
        }
        posts
    }
}

impl Delivery {
    fn new(to: Url, body: Value, now: DateTime<Utc>) -> Self {
        Self { to, body, first: now, due: now, tries: 0 }
    }
}

fn show(state: &State, id: &str, subscription: &Subscription) -> Map<String, Value> {
    let shown = json!({
        "id": id,
        "resource": subscription.resource,
        "applicationId": state.app.client_id,
        "changeType": subscription.change_type,
        "clientState": null,
        "notificationUrl": subscription.notification_url.as_str(),
        "lifecycleNotificationUrl": subscription.lifecycle_url.as_ref().map(Url::as_str),
        "notificationQueryOptions": null,
        "expirationDateTime": subscription.expires.to_rfc3339_opts(SecondsFormat::Secs, true),
        "creatorId": state.app.client_id,
        "includeResourceData": null,
        "latestSupportedTlsVersion": "v1_2",
    });
    match shown {
        Value::Object(shown) => shown,
        _ => Map::new(),
    }
}

/// The mailbox and folder of `users/{id}/events`, `users/{id}/calendars/{id}/events` and the like.
fn watched(world: &World, resource: &str) -> Result<(usize, usize), Refused> {
    let unfit = || Refused::bad("ExtensionError", format!("The resource '{resource}' cannot be watched here."));
    let spelled = resource.trim_start_matches('/').replace("('", "/").replace("')", "");
    let spelled = percent_encoding::percent_decode_str(&spelled).decode_utf8_lossy().into_owned();
    let path: Vec<&str> = spelled.split('/').filter(|segment| !segment.is_empty()).collect();
    let (user, calendar) = match path.as_slice() {
        [users, user, events] if is(users, "users") && is(events, "events") => (*user, None),
        [users, user, calendar, events] if is(users, "users") && is(calendar, "calendar") && is(events, "events") => {
            (*user, None)
        }
        [users, user, calendars, id, events]
            if is(users, "users") && is(calendars, "calendars") && is(events, "events") =>
        {
            (*user, Some(store_id(id)))
        }
        _ => return Err(unfit()),
    };
    let (mailbox, account) = users::find(world, user).ok_or_else(|| Refused::of_code("ErrorInvalidUser"))?;
    if account.role != Role::User {
        return Err(Refused::of_code("MailboxNotEnabledForRESTAPI"));
    }
    let folder = match calendar {
        None => world.folder(mailbox, "calendar"),
        Some(id) => world.folders.iter().position(|folder| folder.id == id && folder.mailbox == mailbox),
    };
    folder.map(|folder| (mailbox, folder)).ok_or_else(unfit)
}

fn is(segment: &str, name: &str) -> bool {
    segment.eq_ignore_ascii_case(name)
}

/// HTTPS only [subscription], but on this machine, where tests have no certificate.
fn url(text: &str) -> Result<Url, Refused> {
    let url = Url::parse(text).map_err(|_| invalid(format!("'{text}' is not a URL.")))?;
    let local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    match url.scheme() {
        "https" => Ok(url),
        "http" if local => Ok(url),
        _ => Err(invalid("Notification URL must be HTTPS.")),
    }
}

fn expiry(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Refused> {
    let expires = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc());
    let expires = expires.map_err(|_| invalid(format!("'{text}' is not a time.")))?;
    if expires <= now {
        return Err(invalid("The expiration date time is in the past."));
    }
    if expires > now + TimeDelta::minutes(LIFE_MINUTES_MAX) {
        let text = format!("Subscription expiration can only be {LIFE_MINUTES_MAX} minutes in the future.");
        return Err(invalid(text));
    }
    Ok(expires.max(now + TimeDelta::minutes(LIFE_MINUTES_MIN)))
}

fn invalid(text: impl Into<String>) -> Refused {
    Refused::bad("ValidationError", text)
}

fn missing() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "ResourceNotFound", "The object was not found.")
}
