//! Exchange Online by Microsoft Graph: one tenant with several mailboxes behind the connector's trait.
//!
//! Promises: every write names the version it is based on; a create carries our stamp and a token the server remembers, so a
//! repeat makes no second item; an item counts as deleted only if its calendar answers and the item is not in it, whatever the
//! feed says; what a write returns is as the server shows it. Graph mails attendees by itself and cannot be told not to: a write
//! that is to mail nobody and would is refused here, and not planned in the first place ([`Mailing::ByItself`]).
//! Must not know: rules, ledger, queue.

pub mod calendars;
pub mod client;
pub mod codes;
pub mod config;
mod directory;
pub mod doorbell;
pub mod feed;
pub mod inbox;
pub mod map;
pub mod recurrence;
mod series;
mod translate;
pub mod wire;
pub mod write;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{NaiveDate, SecondsFormat};
use chrono_tz::Tz;
use serde_json::json;

use self::calendars::Calendars;
use self::client::{Act, BATCH_MAX, Client};
use self::config::GraphConfig;
use self::doorbell::Doorbell;
use self::feed::Place;
use self::inbox::Inbox;
use self::wire::{Calendar, Event, Page};
use super::exchange::{self, short};
use super::http::{Method, Url};
use super::property::NamedProperty;
use super::{Batch, Capabilities, Connector, Cursor, Error, Listed, Listing, Mailing, Naming, Problem, zones};
use crate::clock::Clock;
use crate::model::recurrence::Window;
use crate::model::{
    Address, Appointment, Cause, Change, Container, DirectoryEntry, Instance, Item, ItemRef, Key, Mail, Patch,
    Response, Seen, Side, User, Version, Zone,
};

/// One tenant.
pub struct GraphConnector {
    client: Client,
    /// What is known to lie in the calendars: of anything else that can be read, its calendar is asked whether it holds it.
    calendars: Calendars,
    uids: series::Uids,
    /// Zones of the mailboxes, as far as they were asked for; none for one that is not told.
    zones: Mutex<HashMap<Address, Option<Tz>>>,
    doorbell: tokio::sync::Mutex<Doorbell>,
    inbox: Arc<Inbox>,
}

impl GraphConnector {
    /// Makes ready to speak to a tenant; nothing is sent yet.
    ///
    /// # Errors
    /// [`Problem::Refused`] for settings no server could work with; [`Problem::Certificate`] for an unusable `ca_file`;
    /// [`Problem::SignIn`] for an unusable certificate of the application.
    pub fn new(config: GraphConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Ok(Self {
            client: Client::new(config, clock)?,
            calendars: Calendars::default(),
            uids: series::Uids::default(),
            zones: Mutex::default(),
            doorbell: tokio::sync::Mutex::default(),
            inbox: Arc::new(Inbox::new()),
        })
    }

    fn config(&self) -> &GraphConfig {
        self.client.config()
    }

    /// Where notifications are handed in, for whoever listens at the public address.
    pub fn inbox(&self) -> Arc<Inbox> {
        self.inbox.clone()
    }

    /// Where the operator wants posts to be listened for: address, and path of the public address.
    pub fn hook(&self) -> Option<(SocketAddr, String)> {
        let settings = self.config().notifications.as_ref()?;
        let url: Url = settings.url.parse().ok()?;
        Some((settings.listen, url.path().to_owned()))
    }

    fn mailbox<'a>(&self, container: &'a Container) -> Result<&'a Address, Error> {
        match container {
            Container::Mailbox(address) => Ok(address),
            Container::Crm => Err(Error::new(self.client.name_act("look into the CRM"), Problem::Unsupported)),
        }
    }

    /// All that an appointment is made of.
    fn whole(&self) -> String {
        wire::expand(std::iter::once(&self.config().stamp).chain(self.config().fields.values()))
    }

    async fn mapped(&self, act: Act<'_>, event: &Event, mailbox: &Address) -> Result<Item, Error> {
        let home = if self.needs_home(event) { self.home(mailbox).await? } else { None };
        let mut item = map::item(event, mailbox, home, self.config())
            .map_err(|error| Error::new(self.client.name_act(act.what), Problem::Malformed).caused_by(error))?;
        if let Some(master) = event.master_id() {
            item.series = self.series_uid(act, mailbox, master).await?;
        }
        Ok(item)
    }

    async fn all_mapped(&self, act: Act<'_>, events: Vec<Event>, mailbox: &Address) -> Result<Vec<Item>, Error> {
        let mut items = Vec::with_capacity(events.len());
        for event in events {
            items.push(self.mapped(act, &event, mailbox).await?);
        }
        Ok(items)
    }

    /// Only an all-day event whose own zone says nothing needs the mailbox's.
    fn needs_home(&self, event: &Event) -> bool {
        event.is_all_day == Some(true) && !matches!(map::zone(event), Some(Zone::Iana(_)))
    }

    /// The zone of a mailbox, asked for once. A tenant that does not grant MailboxSettings.Read leaves it unknown.
    async fn home(&self, mailbox: &Address) -> Result<Option<Tz>, Error> {
        let known = self.zones.lock().unwrap_or_else(PoisonError::into_inner).get(mailbox).copied();
        if let Some(zone) = known {
            return Ok(zone);
        }
        let act = Act::new("read the mailbox's time zone", mailbox);
        let url = self.client.of_mailbox(mailbox, &["mailboxSettings"], &[]);
        let zone = match self.client.look::<wire::MailboxSettings>(act, url).await? {
            Ok(settings) => match settings.time_zone.as_deref().map(zones::from_any) {
                Some(Zone::Iana(zone)) => Some(zone),
                Some(Zone::Unknown(_)) | None => None,
            },
            Err(refusal) => {
                tracing::info!(
                    server.name = self.config().name,
                    code = refusal.code,
                    "A mailbox's time zone cannot be read; all-day appointments go by their own"
                );
                None
            }
        };
        self.zones.lock().unwrap_or_else(PoisonError::into_inner).insert(mailbox.clone(), zone);
        Ok(zone)
    }

    /// One event by its id. That it can be read does not say that it lies in the calendar: see [`Calendars`].
    async fn event(
        &self,
        act: Act<'_>,
        mailbox: &Address,
        id: &str,
        query: &[(&str, &str)],
    ) -> Result<Result<Event, client::Refusal>, Error> {
        let url = self.client.of_mailbox(mailbox, &["events", id], query);
        self.client.look(act, url).await
    }

    /// Graph answers "not found" also to one who may not see the item: believed only if the calendar itself answers.
    async fn confirm_gone(&self, act: Act<'_>, mailbox: &Address) -> Result<(), Error> {
        let query = [("$select", "id"), ("$top", "1")];
        let url = self.client.of_mailbox(mailbox, &["calendar", "events"], &query);
        self.client.get::<Page<Event>>(act, url).await.map(drop)
    }

    /// Whether an event that can be read by its id lies in the calendar: one in Deleted Items or in another calendar can be read,
    /// too. What has no UID cannot be looked for and is taken as it is. An occurrence is where its series is
    /// ([`GraphConnector::series_uid`]): it is not looked for here.
    async fn is_in_calendar(&self, act: Act<'_>, mailbox: &Address, event: &Event) -> Result<bool, Error> {
        if self.calendars.shows(mailbox, &event.id) {
            return Ok(true);
        }
        let Some(uid) = event.uid.as_deref().filter(|uid| !uid.is_empty()) else { return Ok(true) };
        let filter = format!("iCalUId eq '{}'", wire::quoted(uid));
        let query = [("$filter", filter.as_str()), ("$select", "id")];
        let url = self.client.of_mailbox(mailbox, &["calendar", "events"], &query);
        let found: Vec<Event> = self.client.list(act, url).await?;
        let is_there = found.iter().any(|other| other.id == event.id);
        if is_there {
            self.calendars.showed(mailbox, &event.id);
        }
        Ok(is_there)
    }

    /// UID and stamp of events, in few round trips. One that cannot be read is left out: reading it by itself will tell why.
    async fn keys(&self, act: Act<'_>, mailbox: &Address, ids: &[String]) -> Result<HashMap<String, Event>, Error> {
        let expand = wire::expand([&self.config().stamp]);
        let query = [("$select", wire::SELECT_KEYS), ("$expand", expand.as_str())];
        let mut keys = HashMap::new();
        for some in ids.chunks(BATCH_MAX) {
            let urls: Vec<_> = some.iter().map(|id| self.client.of_mailbox(mailbox, &["events", id], &query)).collect();
            let answers = self.client.batch::<Event>(act, &urls).await?;
            keys.extend(some.iter().cloned().zip(answers).filter_map(|(id, answer)| Some((id, answer.ok()?))));
        }
        Ok(keys)
    }

    /// The first page of a delta over a window, or the page behind a link.
    async fn delta(&self, act: Act<'_>, mailbox: &Address, place: &Place) -> Result<Page<Event>, Error> {
        let text = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let url = match place.ask() {
            Some(link) => self.client.link(act, link)?,
            None => {
                let (from, to) = (text(place.window.from), text(place.window.to));
                let query = [("startDateTime", from.as_str()), ("endDateTime", to.as_str())];
                self.client.of_mailbox(mailbox, &["calendarView", "delta"], &query)
            }
        };
        self.client.page(act, url).await
    }

    async fn found(&self, act: Act<'_>, mailbox: &Address, filter: &str) -> Result<Vec<Item>, Error> {
        let expand = self.whole();
        let query = [("$filter", filter), ("$select", wire::SELECT), ("$expand", expand.as_str())];
        let url = self.client.of_mailbox(mailbox, &["calendar", "events"], &query);
        let events = self.client.list(act, url).await?;
        self.all_mapped(act, events, mailbox).await
    }
}

#[async_trait]
impl Connector for GraphConnector {
    fn side(&self) -> Side {
        Side::Exchange
    }

    fn name(&self) -> &str {
        &self.config().name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { unwritable: exchange::unwritable(), mailing: Mailing::ByItself }
    }

    async fn changed_since(&self, container: &Container, cursor: Option<&Cursor>) -> Result<Batch, Error> {
        let mailbox = self.mailbox(container)?;
        let act = Act::new("ask for changes", mailbox);
        let today = self.config().window(self.client.clock().now());
        let place = match cursor {
            None => Place::start(today),
            Some(cursor) => Place::parse(cursor).ok_or_else(|| self.client.error(act, Problem::CursorLost))?,
        };
        let place = place.rolled(today, self.config().window_roll_days);
        let page = self.delta(act, mailbox, &place).await?;
        let (news, next, more) =
            place.take(page).map_err(|error| self.client.error(act, Problem::Malformed).caused_by(error))?;
        news.removed.iter().for_each(|id| self.calendars.doubted(mailbox, id));
        news.present.iter().for_each(|(id, _)| self.calendars.showed(mailbox, id));
        let ids: Vec<String> = news.present.iter().map(|(id, _)| id.clone()).collect();
        let mut keys = self.keys(act, mailbox, &ids).await?;
        let at = |id| ItemRef::exchange(mailbox.clone(), id);
        let mut changes = Vec::with_capacity(ids.len() + news.removed.len());
        for (id, uid) in news.present {
            let own = keys.remove(&id);
            let stamp = own.as_ref().and_then(|event| map::stamp(event, self.config()));
            let uid = own.and_then(|event| event.uid).or(uid).filter(|uid| !uid.is_empty());
            changes.push(Change { at: at(id), uid, stamp, cause: Cause::Feed });
        }
        let removed = news.removed.into_iter();
        changes.extend(removed.map(|id| Change { at: at(id), uid: None, stamp: None, cause: Cause::Feed }));
        Ok(Batch { changes, next: next.cursor(), more })
    }

    async fn read(&self, at: &ItemRef) -> Result<Seen, Error> {
        let what = format!("read appointment {}", short(&at.id));
        let mailbox = self.mailbox(&at.container)?;
        let act = Act::new(&what, mailbox);
        let expand = self.whole();
        let query = [("$select", wire::SELECT), ("$expand", expand.as_str())];
        match self.event(act, mailbox, &at.id, &query).await? {
            Ok(event) => {
                let is_there = match event.master_id() {
                    Some(master) => self.series_uid(act, mailbox, master).await?.is_some(),
                    None => self.is_in_calendar(act, mailbox, &event).await?,
                };
                if !is_there {
                    return Ok(Seen::Deleted);
                }
                Ok(Seen::Present(Box::new(self.mapped(act, &event, mailbox).await?)))
            }
            Err(refusal) if refusal.problem() == Problem::NotFound => {
                self.confirm_gone(act, mailbox).await?;
                Ok(Seen::Deleted)
            }
            Err(refusal) => Err(self.client.failed(act, refusal)),
        }
    }

    async fn find_stamped(&self, container: &Container, stamp: &Key) -> Result<Vec<Item>, Error> {
        let mailbox = self.mailbox(container)?;
        let act = Act::new("look for our stamp", mailbox);
        let filter = wire::filter_property(&self.config().stamp, &stamp.to_string());
        let mut items = self.found(act, mailbox, &filter).await?;
        // The server compares values without letter case.
        items.retain(|item| item.stamp.as_ref() == Some(stamp));
        Ok(items)
    }

    async fn find_uid(&self, container: &Container, uid: &str) -> Result<Vec<Item>, Error> {
        let mailbox = self.mailbox(container)?;
        let act = Act::new("look for a UID", mailbox);
        let mut items = self.found(act, mailbox, &format!("iCalUId eq '{}'", wire::quoted(uid))).await?;
        items.retain(|item| item.uid.as_deref() == Some(uid));
        Ok(items)
    }

    async fn find_alike(&self, container: &Container, like: &Appointment) -> Result<Vec<Item>, Error> {
        let mailbox = self.mailbox(container)?;
        let act = Act::new("look for a like appointment", mailbox);
        let (from, to) = exchange::moments(&like.time);
        let text = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let (from, to, expand) = (text(from), text(to), self.whole());
        let query = [
            ("startDateTime", from.as_str()),
            ("endDateTime", to.as_str()),
            ("$select", wire::SELECT),
            ("$expand", expand.as_str()),
        ];
        let url = self.client.of_mailbox(mailbox, &["calendarView"], &query);
        let mut events: Vec<Event> = self.client.list(act, url).await?;
        events.retain(|event| !matches!(event.kind.as_deref(), Some("occurrence" | "exception")));
        let mut items = self.all_mapped(act, events, mailbox).await?;
        items.retain(|item| item.appointment.time == like.time);
        Ok(items)
    }

    async fn occurrences(&self, master: &ItemRef, window: Window) -> Result<Vec<Instance>, Error> {
        self.instances(master, window).await
    }

    async fn occurrence(&self, master: &ItemRef, date: NaiveDate) -> Result<Seen, Error> {
        self.instance(master, date).await
    }

    async fn told_apart(&self, master: &ItemRef) -> Result<Vec<u32>, Error> {
        self.exceptions(master).await
    }

    async fn create(&self, container: &Container, draft: &Appointment, stamp: &Key, mail: Mail) -> Result<Item, Error> {
        let mailbox = self.mailbox(container)?;
        self.create_event(mailbox, draft, stamp, mail).await
    }

    async fn update(
        &self,
        at: &ItemRef,
        version: &Version,
        patch: &Patch,
        after: &Appointment,
        mail: Mail,
    ) -> Result<Item, Error> {
        let mailbox = self.mailbox(&at.container)?;
        self.update_event(mailbox, &at.id, version, patch, after, mail).await
    }

    async fn delete(&self, at: &ItemRef, version: &Version, mail: Mail) -> Result<(), Error> {
        let mailbox = self.mailbox(&at.container)?;
        self.delete_event(mailbox, &at.id, version, mail).await
    }

    async fn respond(&self, at: &ItemRef, version: &Version, answer: Response, mail: Mail) -> Result<Seen, Error> {
        let mailbox = self.mailbox(&at.container)?;
        self.answer_event(mailbox, &at.id, version, answer, mail).await?;
        self.read(at).await
    }

    async fn list(&self, container: &Container, from: Option<&Cursor>) -> Result<Listing, Error> {
        let mailbox = self.mailbox(container)?;
        let act = Act::new("list the calendar", mailbox);
        let url = match from {
            Some(link) => self.client.link(act, &link.0)?,
            None => {
                let expand = wire::expand([&self.config().stamp]);
                let query = [("$select", wire::SELECT_KEYS), ("$expand", expand.as_str())];
                self.client.of_mailbox(mailbox, &["calendar", "events"], &query)
            }
        };
        let page: wire::Page<Event> = self.client.page(act, url).await?;
        if from.is_none() {
            self.calendars.forget(mailbox);
        }
        let mut items = Vec::with_capacity(page.value.len());
        for event in page.value {
            self.calendars.showed(mailbox, &event.id);
            let version = event.version().ok_or_else(|| self.client.malformed(act, "a row has no version"))?;
            let stamp = map::stamp(&event, self.config());
            let at = ItemRef::exchange(mailbox.clone(), event.id);
            items.push(Listed { at, version: Version(version), uid: event.uid, stamp });
        }
        Ok(Listing { items, next: page.next.map(Cursor) })
    }

    /// One caller at a time waits; a second one waits for the first to end. A mailbox rings once when its subscription
    /// begins, so that changes from before are looked at.
    async fn doorbell(&self, containers: &[Container], limit: Duration) -> Result<Vec<Container>, Error> {
        let mailboxes = containers.iter().map(|container| self.mailbox(container).cloned());
        let mailboxes = mailboxes.collect::<Result<_, _>>()?;
        let mut doorbell = self.doorbell.lock().await;
        let rung = doorbell.wait(&self.client, &self.inbox, mailboxes, limit).await?;
        Ok(containers.iter().filter(|c| matches!(c, Container::Mailbox(m) if rung.contains(m))).cloned().collect())
    }

    async fn users(&self) -> Result<Vec<User>, Error> {
        self.all_people().await
    }

    async fn find_people(&self, _within: &Container, wanted: &str) -> Result<Vec<DirectoryEntry>, Error> {
        self.look_up(wanted).await
    }

    async fn translate(
        &self,
        container: &Container,
        from: Naming,
        ids: &[String],
    ) -> Result<Vec<Option<String>>, Error> {
        let mailbox = self.mailbox(container)?;
        match from {
            Naming::Ews => self.ews_ids(mailbox, ids).await,
            Naming::Graph => Ok(vec![None; ids.len()]),
        }
    }

    async fn probe(&self, container: &Container) -> Result<(), Error> {
        let mailbox = self.mailbox(container)?;
        let act = Act::new("open the calendar", mailbox);
        self.confirm_gone(act, mailbox).await
    }

    async fn owner(&self, container: &Container) -> Result<Option<String>, Error> {
        let mailbox = self.mailbox(container)?;
        let (act, property) = (Act::new("ask who keeps a calendar", mailbox), NamedProperty::owner());
        let query = [("$select", "id"), ("$expand", &*wire::expand([&property]))];
        let calendar: Calendar = self.client.get(act, self.client.of_mailbox(mailbox, &["calendar"], &query)).await?;
        Ok(calendar.extended(&property))
    }

    async fn set_owner(&self, container: &Container, owner: &str) -> Result<(), Error> {
        let mailbox = self.mailbox(container)?;
        let act = Act::new("claim a calendar", mailbox);
        let property = json!({ "id": wire::property_id(&NamedProperty::owner()), "value": owner });
        let body = json!({ "singleValueExtendedProperties": [property] });
        let url = self.client.of_mailbox(mailbox, &["calendar"], &[]);
        match self.client.write(act, Method::PATCH, url, Some(&body), None).await? {
            Ok(_) => Ok(()),
            Err(refusal) => Err(self.client.failed(act, refusal)),
        }
    }
}
