//! Exchange by EWS: one on-premises server with several mailboxes behind the connector's trait.
//!
//! Promises: every write names the version it is based on and says whom Exchange may mail; a create carries our stamp; an
//! item counts as deleted only if its calendar answers and the item is not in it; what a write returns is read back from
//! the server. Must not know: rules, ledger, queue.

pub mod autodiscover;
pub mod client;
pub mod codes;
pub mod config;
pub mod directory;
pub mod doorbell;
pub mod map;
pub mod operations;
pub mod recurrence;
mod series;
pub mod soap;
pub mod stream;
pub mod wire;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use chrono::{NaiveDate, SecondsFormat};
use futures::stream::{StreamExt, TryStreamExt};

use self::client::{Act, Client};
use self::config::{EwsConfig, Notifications};
use self::doorbell::Doorbell;
use self::operations::{Answer, FIND_PAGE, Search, Shape};
use self::soap::Refusal;
use self::wire::{CalendarItem, ItemId, Property};
use super::exchange::{self, short};
use super::property::NamedProperty;
use super::{Batch, Capabilities, Connector, Cursor, Error, Listed, Listing, Mailing, Problem, html};
use crate::clock::{Clock, SystemClock};
use crate::model::recurrence::Window;
use crate::model::{
    Address, Appointment, Cause, Change, Container, DirectoryEntry, Field, Instance, Item, ItemRef, Key, Mail, Patch,
    Response, Seen, Side, User, Version,
};

/// FindItem cuts long texts to this many characters; a text of that length is fetched whole.
const FIND_TEXT_MAX: usize = 255;

/// One Exchange server.
pub struct EwsConnector {
    client: Client,
    /// Ids of the calendars, as far as they were asked for.
    calendars: Mutex<HashMap<Address, String>>,
    doorbell: tokio::sync::Mutex<Doorbell>,
}

/// UID and stamp of an item.
type Keys = (Option<String>, Option<Key>);

impl EwsConnector {
    /// Makes ready to speak to a server; nothing is sent yet.
    ///
    /// # Errors
    /// [`Problem::Refused`] for settings no server could work with; [`Problem::Certificate`] for an unusable `ca_file`.
    pub fn new(config: EwsConfig) -> Result<Self, Error> {
        Self::with_clock(config, Arc::new(SystemClock))
    }

    /// The same with a clock that tells when tokens expire.
    ///
    /// # Errors
    /// As for [`EwsConnector::new`]; [`Problem::SignIn`] for an unusable certificate or key.
    pub fn with_clock(config: EwsConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Ok(Self {
            client: Client::new(config, clock)?,
            calendars: Mutex::default(),
            doorbell: tokio::sync::Mutex::default(),
        })
    }

    fn config(&self) -> &EwsConfig {
        self.client.config()
    }

    fn mailbox<'a>(&self, container: &'a Container) -> Result<&'a Address, Error> {
        match container {
            Container::Mailbox(address) => Ok(address),
            Container::Crm => Err(Error::new(self.client.name_act("look into the CRM"), Problem::Unsupported)),
        }
    }

    fn mapped(&self, what: &str, wire: &CalendarItem, mailbox: &Address) -> Result<Item, Error> {
        map::item(wire, mailbox, self.config())
            .map_err(|error| Error::new(self.client.name_act(what), Problem::Malformed).caused_by(error))
    }

    /// One item, or the server's "no"; `None` if it is no calendar item.
    async fn get_one(
        &self,
        act: Act<'_>,
        id: &str,
        shape: Shape,
    ) -> Result<Result<Option<CalendarItem>, Refusal>, Error> {
        let items = self.client.get_items(act, &[id.to_owned()], shape).await?;
        let first = items.into_iter().next();
        first.ok_or_else(|| self.client.failed(act.what, soap::SoapError::Missing("response message")))
    }

    /// Items by id, whole, several requests at once. Those that vanished meanwhile are left out.
    async fn get_all(&self, act: Act<'_>, ids: Vec<String>) -> Result<Vec<Item>, Error> {
        let mut items = Vec::new();
        for answer in self.get_batches(act, &ids, Shape::Full).await? {
            match answer {
                Ok(Some(wire)) => items.push(self.mapped(act.what, &wire, act.mailbox)?),
                Ok(None) => {}
                Err(refusal) if refusal.problem() == Problem::NotFound => {}
                Err(refusal) => return Err(self.client.failed(act.what, refusal)),
            }
        }
        Ok(items)
    }

    /// GetItem in batches; answers come in the order of the ids.
    async fn get_batches(
        &self,
        act: Act<'_>,
        ids: &[String],
        shape: Shape,
    ) -> Result<Vec<Result<Option<CalendarItem>, Refusal>>, Error> {
        let requests = ids.chunks(self.config().batch.into()).map(|batch| self.client.get_items(act, batch, shape));
        let requests: Vec<_> = requests.collect();
        let answers: Vec<_> =
            futures::stream::iter(requests).buffered(self.config().mailbox_requests_max.into()).try_collect().await?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// UID and stamp of items. An item that cannot be read is left out: reading it by itself will tell why, and must not
    /// hold up the others. Only what concerns the whole server ends the act.
    async fn keys(&self, act: Act<'_>, ids: &[String]) -> Result<HashMap<String, Keys>, Error> {
        let mut keys = HashMap::new();
        for (id, answer) in ids.iter().zip(self.get_batches(act, ids, Shape::Keys).await?) {
            match answer {
                Ok(Some(wire)) => {
                    let stamp = map::stamp(&wire, self.config());
                    keys.insert(id.clone(), (wire.uid, stamp));
                }
                Ok(None) => {}
                Err(refusal) if concerns_all(&refusal) => return Err(self.client.failed(act.what, refusal)),
                Err(_) => {}
            }
        }
        Ok(keys)
    }

    /// Whether an item lies in the mailbox's calendar. Folder ids of two answers are compared; where they differ, the server
    /// is asked for both folders once more in one request, since the spelling of an id may depend on how it was asked for.
    async fn is_in_calendar(&self, act: Act<'_>, wire: &CalendarItem) -> Result<bool, Error> {
        let Some(parent) = &wire.parent_folder else { return Ok(true) };
        let known = self.calendars.lock().unwrap_or_else(PoisonError::into_inner).get(act.mailbox).cloned();
        if known.as_ref() == Some(parent) {
            return Ok(true);
        }
        let (calendar, folder) = self.client.folder_ids(act, Some(parent)).await?;
        let is_calendar = match folder {
            Some(Ok(folder)) => folder == calendar,
            Some(Err(refusal)) if matches!(refusal.problem(), Problem::NoMailbox | Problem::NotFound) => false,
            Some(Err(refusal)) => return Err(self.client.failed(act.what, refusal)),
            None => *parent == calendar,
        };
        if is_calendar {
            let mut calendars = self.calendars.lock().unwrap_or_else(PoisonError::into_inner);
            calendars.insert(act.mailbox.clone(), parent.clone());
        }
        Ok(is_calendar)
    }

    /// Exchange answers "not found" also to one who may not see the item: believed only if the calendar itself answers.
    async fn confirm_gone(&self, act: Act<'_>) -> Result<(), Error> {
        self.client.folder_ids(act, None).await?;
        self.client.find_items(act, Search::All { offset: 0, count: 1 }).await?;
        Ok(())
    }

    /// An item that is to be acted on if it still has that version; nothing if it is confirmed not to be in the calendar.
    async fn get_known(&self, act: Act<'_>, at: &ItemRef, version: &Version) -> Result<Option<CalendarItem>, Error> {
        let wire = match self.get_one(act, &at.id, Shape::Keys).await? {
            Ok(Some(wire)) => wire,
            Ok(None) => {
                let error = Error::new(self.client.name_act(act.what), Problem::Refused);
                return Err(error.caused_by("it is no appointment"));
            }
            Err(refusal) if refusal.problem() == Problem::NotFound => {
                self.confirm_gone(act).await?;
                return Ok(None);
            }
            Err(refusal) => return Err(self.client.failed(act.what, refusal)),
        };
        if !self.is_in_calendar(act, &wire).await? {
            return Ok(None);
        }
        if wire.id.change_key != version.0 {
            let error = Error::new(self.client.name_act(act.what), Problem::Stale);
            return Err(error.caused_by("it changed since it was read"));
        }
        Ok(Some(wire))
    }

    /// The body to write where there is HTML: with its text changed, so that formatting, pictures, links and an online
    /// meeting's part stay.
    async fn body(&self, act: Act<'_>, at: &ItemRef, version: &Version, text: &str) -> Result<Option<String>, Error> {
        let wire = match self.get_one(act, &at.id, Shape::Full).await? {
            Ok(Some(wire)) => wire,
            Ok(None) => return Ok(None),
            Err(refusal) => return Err(self.client.failed(act.what, refusal)),
        };
        if wire.id.change_key != version.0 {
            let error = Error::new(self.client.name_act(act.what), Problem::Stale);
            return Err(error.caused_by("it changed since it was read"));
        }
        let there = wire.body.filter(|body| wire.body_is_html && !body.trim().is_empty());
        let edited = there.map(|there| html::with_text(&there, text)).transpose();
        // Unreadable HTML was never read as an appointment either; here for one that changed in between.
        edited.map_err(|error| Error::new(self.client.name_act(act.what), Problem::Refused).caused_by(error))
    }

    /// An item just written, as the server shows it now.
    async fn read_back(&self, act: Act<'_>, written: &ItemId) -> Result<Item, Error> {
        match self.get_one(act, &written.id, Shape::Full).await? {
            Ok(Some(wire)) => self.mapped(act.what, &wire, act.mailbox),
            Ok(None) => Err(self.client.failed(act.what, soap::SoapError::Missing("calendar item"))),
            Err(refusal) => Err(self.client.failed(act.what, refusal)),
        }
    }

    /// Whether a UID can be searched for is not documented (inferred from the schema, which lists the path); where the
    /// server refuses it, the property behind it is asked for.
    async fn search_uid(&self, act: Act<'_>, uid: &str) -> Result<Vec<String>, Error> {
        let found = match self.client.find_items(act, Search::Uid(uid)).await {
            Err(error) if matches!(error.problem, Problem::Refused | Problem::Unsupported) => {
                let id = base64::engine::general_purpose::STANDARD.encode(map::global_object_id(uid));
                self.client.find_items(act, Search::GlobalObjectId(&id)).await?
            }
            other => other?,
        };
        Ok(found.items.into_iter().map(|item| item.id.id).collect())
    }

    fn change(&self, mailbox: &Address, id: String, (uid, stamp): Keys) -> Change {
        Change { at: ItemRef::exchange(mailbox.clone(), id), uid, stamp, cause: Cause::Feed }
    }
}

/// Whether a refusal for one item says that the rest of the work is better left for later.
fn concerns_all(refusal: &Refusal) -> bool {
    refusal.back_off.is_some()
        || matches!(refusal.code.as_str(), "ErrorServerBusy" | "ErrorBatchProcessingStopped")
        || matches!(refusal.problem(), Problem::Unreachable { .. } | Problem::SignIn)
}

#[async_trait]
impl Connector for EwsConnector {
    fn side(&self) -> Side {
        Side::Exchange
    }

    fn name(&self) -> &str {
        &self.config().name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { unwritable: exchange::unwritable(), mailing: Mailing::AsTold }
    }

    async fn changed_since(&self, container: &Container, cursor: Option<&Cursor>) -> Result<Batch, Error> {
        let act = Act::new("ask for changes", self.mailbox(container)?);
        let synced = self.client.sync(act, cursor.map(|cursor| cursor.0.as_str())).await?;
        let mut known = HashSet::new();
        let present: Vec<_> =
            synced.present.into_iter().map(|item| item.id).filter(|id| known.insert(id.clone())).collect();
        let mut keys = self.keys(act, &present).await?;
        let mut changes = Vec::new();
        for id in present {
            let own = keys.remove(&id).unwrap_or_default();
            changes.push(self.change(act.mailbox, id, own));
        }
        let deleted = synced.deleted.into_iter().filter(|id| known.insert(id.clone()));
        changes.extend(deleted.map(|id| self.change(act.mailbox, id, Keys::default())));
        Ok(Batch { changes, next: Cursor(synced.state), more: synced.more })
    }

    async fn read(&self, at: &ItemRef) -> Result<Seen, Error> {
        let what = format!("read appointment {}", short(&at.id));
        let act = Act::new(&what, self.mailbox(&at.container)?);
        match self.get_one(act, &at.id, Shape::Full).await? {
            Ok(Some(wire)) if self.is_in_calendar(act, &wire).await? => {
                Ok(Seen::Present(Box::new(self.mapped(act.what, &wire, act.mailbox)?)))
            }
            Ok(Some(_)) => Ok(Seen::Deleted),
            Ok(None) => Ok(Seen::Absent),
            Err(refusal) if refusal.problem() == Problem::NotFound => {
                self.confirm_gone(act).await?;
                Ok(Seen::Deleted)
            }
            Err(refusal) => Err(self.client.failed(act.what, refusal)),
        }
    }

    async fn find_stamped(&self, container: &Container, stamp: &Key) -> Result<Vec<Item>, Error> {
        let act = Act::new("look for our stamp", self.mailbox(container)?);
        let search = Search::Extended { property: &self.config().stamp, value: &stamp.to_string() };
        let found = self.client.find_items(act, search).await?;
        let mut items = self.get_all(act, found.items.into_iter().map(|item| item.id.id).collect()).await?;
        items.retain(|item| item.stamp.as_ref() == Some(stamp));
        Ok(items)
    }

    async fn find_uid(&self, container: &Container, uid: &str) -> Result<Vec<Item>, Error> {
        let act = Act::new("look for a UID", self.mailbox(container)?);
        let ids = self.search_uid(act, uid).await?;
        let mut items = self.get_all(act, ids).await?;
        items.retain(|item| item.uid.as_deref() == Some(uid));
        Ok(items)
    }

    async fn find_alike(&self, container: &Container, like: &Appointment) -> Result<Vec<Item>, Error> {
        let act = Act::new("look for a like appointment", self.mailbox(container)?);
        let (from, to) = exchange::moments(&like.time);
        let text = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let found = self.client.find_items(act, Search::Between { start: &text(from), end: &text(to) }).await?;
        let is_candidate = |item: &CalendarItem| {
            let is_part = matches!(item.item_type.as_deref(), Some("Occurrence" | "Exception"));
            !is_part && map::could_be_at(item, &like.time)
        };
        let ids = found.items.into_iter().filter(is_candidate).map(|item| item.id.id).collect();
        let mut items = self.get_all(act, ids).await?;
        items.retain(|item| item.appointment.time == like.time);
        Ok(items)
    }

    async fn occurrences(&self, master: &ItemRef, window: Window) -> Result<Vec<Instance>, Error> {
        self.instances(master, window).await
    }

    async fn occurrence(&self, master: &ItemRef, date: NaiveDate) -> Result<Seen, Error> {
        self.instance(master, date).await
    }

    async fn create(&self, container: &Container, draft: &Appointment, stamp: &Key, mail: Mail) -> Result<Item, Error> {
        let what = "create an appointment";
        let mailbox = self.mailbox(container)?;
        let zone = map::write_zone(&draft.time, self.config());
        let mut properties = map::new_item(draft, stamp, self.config());
        if let Some(recurrence) = &draft.recurrence {
            // What cannot be said must not become a single appointment.
            let refused = || Error::new(self.client.name_act(what), Problem::Unsupported);
            let written = map::written_recurrence(recurrence, &draft.time);
            properties.push(written.map_err(|error| refused().caused_by(error))?);
        }
        let act = Act { zone: zone.as_deref(), ..Act::new(what, mailbox) };
        let written = self.client.create_item(act, &properties, mail).await?;
        self.read_back(Act::new("read a new appointment", mailbox), &written).await
    }

    async fn update(
        &self,
        at: &ItemRef,
        version: &Version,
        patch: &Patch,
        after: &Appointment,
        mail: Mail,
    ) -> Result<Item, Error> {
        let what = format!("update appointment {}", short(&at.id));
        let mailbox = self.mailbox(&at.container)?;
        if patch.set.contains_key(&Field::Recurrence) {
            let error = Error::new(self.client.name_act(&what), Problem::Unsupported);
            return Err(error.caused_by("the pattern of a series that is there is changed in Exchange alone"));
        }
        let zone =
            if patch.set.contains_key(&Field::Time) { map::write_zone(&after.time, self.config()) } else { None };
        let act = Act { zone: zone.as_deref(), ..Act::new(&what, mailbox) };
        let mut properties = map::changes(after, patch.set.keys(), self.config());
        if patch.set.contains_key(&Field::Body)
            && let Some(html) = self.body(act, at, version, &after.body.text).await?
        {
            properties.retain(|property| !matches!(property, Property::Body(_)));
            properties.push(Property::HtmlBody(html));
        }
        let known = ItemId { id: at.id.clone(), change_key: version.0.clone() };
        let written =
            if properties.is_empty() { known } else { self.client.update_item(act, &known, &properties, mail).await? };
        let item = self.read_back(act, &written).await?;
        if item.version.0 == written.change_key {
            return Ok(item);
        }
        // Somebody wrote between our write and our reading. Taking this content for what we agreed on would swallow that
        // edit; reading again finds our write done and theirs to carry over.
        let stale = Error::new(self.client.name_act(&what), Problem::Stale).after_the_write();
        Err(stale.caused_by("it changed again while it was written"))
    }

    /// DeleteItem pays no heed to change keys, so the key is read right before. The moment in between is the price.
    async fn delete(&self, at: &ItemRef, version: &Version, mail: Mail) -> Result<(), Error> {
        let what = format!("delete appointment {}", short(&at.id));
        let act = Act::new(&what, self.mailbox(&at.container)?);
        let Some(wire) = self.get_known(act, at, version).await? else { return Ok(()) };
        match self.client.delete_item(act, &wire.id, mail).await {
            Err(error) if error.problem == Problem::NotFound => self.confirm_gone(act).await,
            other => other,
        }
    }

    /// CreateItem pays no heed to the change key of what it answers, so the key is read right before.
    async fn respond(&self, at: &ItemRef, version: &Version, answer: Response, mail: Mail) -> Result<Seen, Error> {
        let what = format!("answer the invitation {}", short(&at.id));
        let act = Act::new(&what, self.mailbox(&at.container)?);
        let answer = Answer::of(answer).ok_or_else(|| {
            Error::new(self.client.name_act(&what), Problem::Refused).caused_by("that is no answer to an invitation")
        })?;
        if let Some(wire) = self.get_known(act, at, version).await? {
            self.client.answer_meeting(act, &wire.id, answer, mail).await?;
        }
        self.read(at).await
    }

    async fn list(&self, container: &Container, from: Option<&Cursor>) -> Result<Listing, Error> {
        let act = Act::new("list the calendar", self.mailbox(container)?);
        let offset = from.map_or(Ok(0), |from| from.0.parse());
        let offset = offset.map_err(|_| Error::new(self.client.name_act(act.what), Problem::CursorLost))?;
        let page = self.client.find_items(act, Search::All { offset, count: FIND_PAGE }).await?;
        let mut items = Vec::new();
        let mut cut = Vec::new();
        for wire in page.items {
            let stamp = wire.extended(&self.config().stamp);
            let is_cut = |text: Option<&str>| text.is_some_and(|text| text.chars().count() >= FIND_TEXT_MAX);
            if is_cut(stamp) || is_cut(wire.uid.as_deref()) {
                cut.push(wire.id.id.clone());
            }
            let stamp = stamp.and_then(Key::parse);
            let at = ItemRef::exchange(act.mailbox.clone(), wire.id.id);
            items.push(Listed { at, version: Version(wire.id.change_key), uid: wire.uid, stamp });
        }
        let mut whole = self.keys(act, &cut).await?;
        for item in &mut items {
            if let Some((uid, stamp)) = whole.remove(&item.at.id) {
                (item.uid, item.stamp) = (uid, stamp);
            }
        }
        match page.next {
            Some(next) if next <= offset => Err(self.client.failed(act.what, soap::SoapError::Missing("next page"))),
            next => Ok(Listing { items, next: next.map(|next| Cursor(next.to_string())) }),
        }
    }

    /// One caller at a time waits; a second one waits for the first to end. A mailbox rings once when its subscription
    /// begins, so that changes from before are looked at.
    async fn doorbell(&self, containers: &[Container], limit: Duration) -> Result<Vec<Container>, Error> {
        if self.config().notifications == Notifications::Off {
            return Err(Error::new(self.client.name_act("listen for notifications"), Problem::Unsupported));
        }
        let mailboxes = containers.iter().map(|container| self.mailbox(container).cloned());
        let mailboxes = mailboxes.collect::<Result<BTreeSet<_>, _>>()?;
        let mut doorbell = self.doorbell.lock().await;
        let rung = doorbell.wait(&self.client, mailboxes, limit).await?;
        Ok(containers.iter().filter(|c| matches!(c, Container::Mailbox(m) if rung.contains(m))).cloned().collect())
    }

    async fn users(&self) -> Result<Vec<User>, Error> {
        Ok(Vec::new())
    }

    async fn find_people(&self, within: &Container, wanted: &str) -> Result<Vec<DirectoryEntry>, Error> {
        self.look_up(within, wanted).await
    }

    async fn probe(&self, container: &Container) -> Result<(), Error> {
        let act = Act::new("open the calendar", self.mailbox(container)?);
        self.client.folder_ids(act, None).await.map(|_| ())
    }

    async fn owner(&self, container: &Container) -> Result<Option<String>, Error> {
        let act = Act::new("ask who keeps a calendar", self.mailbox(container)?);
        self.client.calendar_property(act, &NamedProperty::owner()).await
    }

    async fn set_owner(&self, container: &Container, owner: &str) -> Result<(), Error> {
        let act = Act::new("claim a calendar", self.mailbox(container)?);
        self.client.set_calendar_property(act, &NamedProperty::owner(), owner).await
    }
}
