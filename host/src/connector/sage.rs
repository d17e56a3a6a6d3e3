//! Sage CRM by its REST API (SData 2.0): appointments are Communication rows with their Comm_Link rows.
//!
//! Promises: an idle poll costs two requests. A write happens only after the row and its links were read again and still
//! have the version that was planned for: the server offers no better guard, so a change within the few milliseconds
//! between that read and the write is overwritten. A row is gone only when the list, asked for it, answers without it.
//! Must not know: the other side, rules, ledger.

pub mod client;
pub mod config;
mod directory;
pub mod feed;
pub mod links;
pub mod map;
pub mod people;
mod series;
pub mod wall;
pub mod wire;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{NaiveTime, TimeDelta};
use serde_json::json;
use tokio::sync::Mutex;

use self::client::{Client, Query, above, date, equal, one_of};
use self::config::{QueryDates, Removal, SageConfig};
use self::directory::Known;
use self::feed::{Met, Pages, Place, Places, Walk};
use self::links::{LinkWrite, Scope};
use self::map::{Mapping, Organizer};
use self::wall::DateFormat;
use self::wire::{Columns, Feed, Row};
use super::{Batch, Capabilities, Connector, Cursor, Error, Listed, Listing, Problem};
use crate::clock::Clock;
use crate::model::{
    Address, Appointment, Cause, Change, Container, Field, Item, ItemRef, Key, Mail, Patch, Seen, Side, Status, Time,
    User, UserId, Version,
};

const COMMUNICATION: &str = "Communication";
const COMM_LINK: &str = "Comm_Link";
const COMMUNICATION_ID: &str = "Comm_CommunicationId";
const LINK_COMMUNICATION: &str = "CmLi_Comm_CommunicationId";

/// Ids named in one query; keeps the address under the 2,048 characters every server takes.
const IDS_PER_QUERY: usize = 50;
/// Pages of one entity in one answer of `changed_since`, so that a first pass arrives in portions that can be queued.
const PAGES_PER_BATCH: usize = 5;
/// Pages read in one go for a list; with full pages a million rows.
const PAGES_MAX: usize = 5000;

/// One Sage CRM.
#[derive(Debug)]
pub struct Sage {
    config: SageConfig,
    mapping: Mapping,
    client: Client,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

/// A row with its links, as read.
struct Fresh {
    row: Row,
    links: Vec<Row>,
}

impl Sage {
    /// # Errors
    /// [`Problem::Refused`] for a setting that cannot work, [`Problem::Certificate`] for an unusable `ca_file`.
    pub fn new(config: SageConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let client = Client::new(&config)?;
        Ok(Self { mapping: Mapping::new(&config), client, clock, known: Mutex::default(), config })
    }

    fn act(&self, what: &str) -> String {
        format!("{what} in {}", self.config.name)
    }

    fn only_crm(&self, container: &Container) -> Result<(), Error> {
        match container {
            Container::Crm => Ok(()),
            Container::Mailbox(_) => Err(Error::new(self.act("open a mailbox"), Problem::Unsupported)),
        }
    }

    fn overlap(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.config.overlap_s))
    }

    fn of_type(&self) -> String {
        equal("Comm_Type", &self.config.comm_type)
    }

    /// Whether a row is a live appointment that takes part.
    fn takes(&self, row: &Row) -> bool {
        !row.flag("Comm_Deleted") && self.config.takes(row.text("Comm_Type").trim(), row.text("Comm_Action").trim())
    }

    fn query(&self, entity: &'static str, filter: String) -> Query {
        Query { entity, filter, order: None, index: 1, count: self.config.page_size }
    }

    fn sorted(&self, entity: &'static str, filter: String, order: &'static str) -> Query {
        Query { order: self.config.sort.then_some(order), ..self.query(entity, filter) }
    }

    /// All rows of a list, each once.
    async fn all(&self, act: &str, mut query: Query, key: &str) -> Result<Vec<Row>, Error> {
        let mut pages = Pages::default();
        let mut found: BTreeMap<String, Row> = BTreeMap::new();
        for _ in 0..PAGES_MAX {
            query.index = pages.index;
            let Feed { total, rows } = self.client.feed(act, &query).await?;
            let ids: Vec<String> = rows.iter().filter_map(|row| row.key(key)).collect();
            found.extend(rows.into_iter().filter_map(|row| Some((row.key(key)?, row))));
            if pages.take(&ids, total, query.count) {
                return Ok(found.into_values().collect());
            }
        }
        Err(self.endless(act, query.entity))
    }

    fn endless(&self, act: &str, entity: &str) -> Error {
        Error::new(act, Problem::Refused).caused_by(format!("{entity} has more than {PAGES_MAX} pages"))
    }

    /// Link rows by communication.
    async fn links(&self, act: &str, ids: &[String]) -> Result<HashMap<String, Vec<Row>>, Error> {
        let mut found: HashMap<String, Vec<Row>> = HashMap::new();
        for some in ids.chunks(IDS_PER_QUERY) {
            let query = self.sorted(COMM_LINK, one_of(LINK_COMMUNICATION, some), "CmLi_CommLinkId asc");
            for row in self.all(act, query, "CmLi_CommLinkId").await? {
                if let Some(id) = row.id(LINK_COMMUNICATION) {
                    found.entry(id).or_default().push(row);
                }
            }
        }
        Ok(found)
    }

    /// The row and its links now, or nothing if it is gone or takes no part any more.
    async fn fresh(&self, act: &str, at: &ItemRef) -> Result<Option<Fresh>, Error> {
        self.only_crm(&at.container)?;
        let row = match self.client.entry(act, COMMUNICATION, &at.id).await? {
            Some(row) => row,
            // "Not found" may also be said by a server in trouble: believe it only if the list says so too.
            None => {
                let query = Query { count: 1, ..self.query(COMMUNICATION, equal(COMMUNICATION_ID, &at.id)) };
                let listed = self.client.feed(act, &query).await?.rows.into_iter().next();
                match listed.filter(|row| row.key(COMMUNICATION_ID).as_deref() == Some(&at.id)) {
                    Some(row) => row,
                    None => return Ok(None),
                }
            }
        };
        if !self.takes(&row) {
            return Ok(None);
        }
        let links = self.links(act, std::slice::from_ref(&at.id)).await?.remove(&at.id).unwrap_or_default();
        Ok(Some(Fresh { row, links }))
    }

    /// The row if it still has that version.
    async fn unchanged(&self, act: &str, at: &ItemRef, version: &Version) -> Result<Option<Fresh>, Error> {
        let Some(fresh) = self.fresh(act, at).await? else { return Ok(None) };
        if self.mapping.version(&fresh.row, &fresh.links) == *version {
            Ok(Some(fresh))
        } else {
            Err(Error::new(act, Problem::Stale))
        }
    }

    async fn item(&self, act: &str, fresh: &Fresh) -> Result<Item, Error> {
        let people = self.people(act, std::slice::from_ref(&fresh.row), &fresh.links).await?;
        let item = self.mapping.item(&fresh.row, &fresh.links, &people);
        item.map_err(|error| Error::new(act, Problem::Refused).caused_by(error))
    }

    /// The item as the server shows it after a write.
    async fn read_back(&self, act: &str, at: &ItemRef) -> Result<Item, Error> {
        match self.fresh(act, at).await? {
            Some(fresh) => self.item(act, &fresh).await,
            None => Err(Error::new(act, Problem::NotFound)),
        }
    }

    /// The appointments among rows, with links and people.
    async fn items(&self, act: &str, rows: Vec<Row>) -> Result<Vec<Item>, Error> {
        let rows: Vec<Row> = rows.into_iter().filter(|row| self.takes(row)).collect();
        let ids: Vec<String> = rows.iter().filter_map(|row| row.key(COMMUNICATION_ID)).collect();
        let mut links = self.links(act, &ids).await?;
        let mut items = Vec::new();
        for row in rows {
            let links = row.key(COMMUNICATION_ID).and_then(|id| links.remove(&id)).unwrap_or_default();
            // A row without a start is no candidate for anything.
            let people = self.people(act, std::slice::from_ref(&row), &links).await?;
            items.extend(self.mapping.item(&row, &links, &people).ok());
        }
        Ok(items)
    }

    async fn write_links(&self, act: &str, id: &str, writes: Vec<LinkWrite>) -> Result<(), Error> {
        for write in writes {
            match write {
                LinkWrite::Add(mut columns) => {
                    columns.insert(LINK_COMMUNICATION.into(), map::id(id));
                    self.client.create(act, COMM_LINK, &columns).await?;
                }
                LinkWrite::Change { id, columns } => self.client.change(act, COMM_LINK, &id, &columns).await?,
                LinkWrite::Remove { id } => self.client.remove(act, COMM_LINK, &id).await?,
            }
        }
        Ok(())
    }

    fn change_of(&self, id: String, row: Option<&Row>) -> Change {
        let (uid, stamp) = row.map(|row| self.mapping.keys(row)).unwrap_or_default();
        Change { at: ItemRef::crm(id), uid, stamp, cause: Cause::Feed }
    }

    /// The newest update stamp of all appointments. A server that ignores the order answers an older one, which only makes
    /// the first look at the link rows longer.
    async fn newest(&self, act: &str) -> Result<Option<chrono::NaiveDateTime>, Error> {
        let query = Query { count: 1, ..self.sorted(COMMUNICATION, self.of_type(), "Comm_UpdatedDate desc") };
        let rows = self.client.feed(act, &query).await?.rows;
        Ok(rows.first().and_then(|row| wall::parse(&row.text("Comm_UpdatedDate"))).map(|stamp| stamp.wall))
    }

    /// Reads on through everything: at most [`PAGES_PER_BATCH`] pages. Answers the rows and whether they are the last;
    /// nothing if the server does not keep the order.
    async fn walk(&self, act: &str, walk: &mut Walk, place: &mut Place) -> Result<Option<(Vec<Row>, bool)>, Error> {
        let mut told = Vec::new();
        for _ in 0..PAGES_PER_BATCH {
            let behind = walk.after.map(|id| format!(" and {}", above(COMMUNICATION_ID, &id.to_string())));
            let filter = format!("{}{}", self.of_type(), behind.unwrap_or_default());
            let query = self.sorted(COMMUNICATION, filter, "Comm_CommunicationId asc");
            let Feed { total, rows } = self.client.feed(act, &query).await?;
            let met: Vec<Met> = rows.iter().filter_map(|row| meet(row, COMMUNICATION_ID, "Comm_UpdatedDate")).collect();
            let ids: Vec<String> = met.iter().map(|met| met.id.clone()).collect();
            let Some(last) = walk.take(&ids, total, query.count) else { return Ok(None) };
            place.told(&met);
            told.extend(rows);
            if last {
                return Ok(Some((told, true)));
            }
        }
        Ok(Some((told, false)))
    }

    /// Reads on in one list: at most [`PAGES_PER_BATCH`] pages. Answers the rows to tell and whether the list is drained.
    async fn poll(
        &self,
        act: &str,
        mut query: Query,
        place: &mut Place,
        columns: [&str; 2],
    ) -> Result<(Vec<Row>, bool), Error> {
        let [key, stamp] = columns;
        if let Some(since) = place.since {
            let filter = format!("{stamp} ge {}", date(since, self.config.query_dates));
            query.filter = if query.filter.is_empty() { filter } else { format!("{} and {filter}", query.filter) };
        }
        let mut told = Vec::new();
        for _ in 0..PAGES_PER_BATCH {
            query.index = place.pages.index;
            let Feed { total, rows } = self.client.feed(act, &query).await?;
            let met: Vec<(Met, Row)> =
                rows.into_iter().filter_map(|row| Some((meet(&row, key, stamp)?, row))).collect();
            if !met.is_empty() && met.iter().all(|(met, _)| met.stamp.is_none()) {
                let words = format!("the account may not read {stamp}, without which changes cannot be seen");
                return Err(Error::new(act, Problem::Forbidden).caused_by(words));
            }
            let (met, mut rows): (Vec<Met>, Vec<Row>) = met.into_iter().unzip();
            let taken = place.take(&met, total, query.count, self.config.time_zone, self.overlap());
            told.extend(taken.news.iter().filter_map(|position| rows.get_mut(*position).map(std::mem::take)));
            if taken.drained {
                return Ok((told, true));
            }
        }
        Ok((told, false))
    }

    /// Reads on in the link rows; answers the appointments whose links changed and that were not told already, and whether the
    /// list is drained.
    async fn relinked(
        &self,
        act: &str,
        place: &mut Place,
        told: &HashSet<String>,
    ) -> Result<(Vec<Change>, bool), Error> {
        let query = self.sorted(COMM_LINK, String::new(), "CmLi_UpdatedDate asc");
        let (links, drained) = self.poll(act, query, place, ["CmLi_CommLinkId", "CmLi_UpdatedDate"]).await?;
        let rows = self.linked(act, &links, told).await?;
        let changes = rows.iter().filter_map(|row| Some(self.change_of(row.key(COMMUNICATION_ID)?, Some(row))));
        Ok((changes.collect(), drained))
    }

    /// Communications of changed link rows that are appointments. Mail and tasks have link rows too, far more of them.
    async fn linked(&self, act: &str, links: &[Row], told: &HashSet<String>) -> Result<Vec<Row>, Error> {
        let ids: BTreeSet<String> = links.iter().filter_map(|link| link.id(LINK_COMMUNICATION)).collect();
        let ids: Vec<String> = ids.into_iter().filter(|id| !told.contains(id)).collect();
        let mut found = Vec::new();
        for some in ids.chunks(IDS_PER_QUERY) {
            let query = self.query(COMMUNICATION, one_of(COMMUNICATION_ID, some));
            found.extend(self.all(act, query, COMMUNICATION_ID).await?.into_iter().filter(|row| self.takes(row)));
        }
        Ok(found)
    }
}

fn meet(row: &Row, key: &str, stamp: &str) -> Option<Met> {
    let stamp = wall::parse(&row.text(stamp)).map(|stamp| stamp.wall);
    Some(Met { id: row.key(key)?, stamp, digest: row.digest() })
}

#[async_trait]
impl Connector for Sage {
    fn side(&self) -> Side {
        Side::Crm
    }

    fn name(&self) -> &str {
        &self.config.name
    }

    fn capabilities(&self) -> Capabilities {
        let mut unwritable = vec![Field::ShowAs, Field::Categories, Field::OnlineMeeting, Field::Recurrence];
        if self.config.responses_column.is_none() {
            unwritable.push(Field::Responses);
        }
        Capabilities { unwritable, ..Capabilities::default() }
    }

    async fn changed_since(&self, container: &Container, cursor: Option<&Cursor>) -> Result<Batch, Error> {
        self.only_crm(container)?;
        let act = self.act("look for changed communications");
        let mut places = match cursor {
            Some(cursor) => Places::parse(&cursor.0).ok_or_else(|| Error::new(&act, Problem::CursorLost))?,
            None => {
                let newest = self.newest(&act).await?;
                let now = newest.map(|at| Place::at(at, self.config.time_zone, self.overlap())).unwrap_or_default();
                Places::new(now, self.config.sort)
            }
        };
        if let Some(mut walk) = places.walk.take() {
            match self.walk(&act, &mut walk, &mut places.communications).await? {
                Some((rows, ended)) => {
                    let taken = rows.iter().filter(|row| self.takes(row));
                    let changes = taken.filter_map(|row| Some(self.change_of(row.key(COMMUNICATION_ID)?, Some(row))));
                    let mut changes: Vec<Change> = changes.collect();
                    if ended && places.links.since.is_some() {
                        let told = changes.iter().map(|change| change.at.id.clone());
                        let told = told.chain(places.communications.remembered()).collect();
                        changes.extend(self.relinked(&act, &mut places.links, &told).await?.0);
                    }
                    places.walk = (!ended).then_some(walk);
                    // What was written meanwhile is for the next pass: it was not there before.
                    return Ok(Batch { changes, next: Cursor(places.to_text()), more: !ended });
                }
                // In whatever order the server answers, the poll comes to the end of the list.
                None => places.communications = Place::default(),
            }
        }
        let query = self.sorted(COMMUNICATION, self.of_type(), "Comm_UpdatedDate asc");
        let columns = [COMMUNICATION_ID, "Comm_UpdatedDate"];
        let (rows, mut drained) = self.poll(&act, query, &mut places.communications, columns).await?;
        let mut changes = Vec::new();
        for row in rows.iter().filter(|row| row.flag("Comm_Deleted") || self.takes(row)) {
            changes.extend(row.key(COMMUNICATION_ID).map(|id| self.change_of(id, Some(row))));
        }
        if places.links.since.is_none() {
            // The CRM held no appointment so far, hence no link row of one; start with the first.
            if let Some(newest) = places.communications.newest {
                places.links = Place::at(newest, self.config.time_zone, self.overlap());
            }
        } else if drained {
            let told: HashSet<String> = changes.iter().map(|change| change.at.id.clone()).collect();
            let (relinked, links_drained) = self.relinked(&act, &mut places.links, &told).await?;
            changes.extend(relinked);
            drained = links_drained;
        }
        Ok(Batch { changes, next: Cursor(places.to_text()), more: !drained })
    }

    async fn read(&self, at: &ItemRef) -> Result<Seen, Error> {
        let act = self.act(&format!("read communication {}", at.id));
        match self.fresh(&act, at).await? {
            Some(fresh) => Ok(Seen::Present(Box::new(self.item(&act, &fresh).await?))),
            None => Ok(Seen::Deleted),
        }
    }

    async fn find_stamped(&self, container: &Container, stamp: &Key) -> Result<Vec<Item>, Error> {
        self.only_crm(container)?;
        let act = self.act(&format!("look for the copy of {stamp}"));
        let text = map::stamp_text(stamp);
        let column = &self.config.stamp_column;
        let filter = format!("{} and {}", self.of_type(), equal(column, &text));
        let mut rows = self.all(&act, self.query(COMMUNICATION, filter), COMMUNICATION_ID).await?;
        // The database compares without letter case.
        rows.retain(|row| row.text(column).trim() == text);
        self.items(&act, rows).await
    }

    async fn find_uid(&self, container: &Container, uid: &str) -> Result<Vec<Item>, Error> {
        self.only_crm(container)?;
        let act = self.act("look for a meeting by its UID");
        let column = &self.config.stamp_column;
        // Our own stamp, or the bare UID that another program left there.
        let texts = [map::stamp_text(&Key::Uid(uid.to_owned())), uid.to_owned()];
        let filter = texts.iter().map(|text| equal(column, text)).collect::<Vec<_>>().join(" or ");
        let mut rows = self.all(&act, self.query(COMMUNICATION, filter), COMMUNICATION_ID).await?;
        rows.retain(|row| texts.contains(&row.text(column).trim().to_owned()));
        self.items(&act, rows).await
    }

    async fn find_alike(&self, container: &Container, like: &Appointment) -> Result<Vec<Item>, Error> {
        self.only_crm(container)?;
        let act = self.act("look for a like appointment");
        let zone = self.config.time_zone;
        let start = match &like.time {
            Time::Timed(span) => wall::wall_of(zone, span.start),
            Time::AllDay { first, .. } => first.and_time(NaiveTime::MIN),
        };
        // Where the server's idea of zone or time of day is uncertain, whole days around are asked for and compared here.
        let exact = self.config.query_dates == QueryDates::Second && self.config.date_format == DateFormat::Local;
        let (from, to) = if exact && !like.time.is_all_day() {
            (start, start + TimeDelta::seconds(59))
        } else {
            (start - TimeDelta::days(1), start + TimeDelta::days(2))
        };
        let exact = self.config.query_dates;
        let range = format!("Comm_DateTime between {} and {}", date(from, exact), date(to, exact));
        let query = self.query(COMMUNICATION, format!("{} and {range}", self.of_type()));
        let mut rows = self.all(&act, query, COMMUNICATION_ID).await?;
        let people = self.people(&act, &rows, &[]).await?;
        let wanted = like.organizer.as_ref().and_then(|person| Organizer::of(person, &people).user);
        if wanted.is_some() {
            // Many people have something at that time; the link rows of another's appointments need not be read.
            rows.retain(|row| map::user_in_column(row, &people).is_none_or(|user| Some(user) == wanted.as_ref()));
        }
        let mut items = self.items(&act, rows).await?;
        items.retain(|item| item.appointment.time == like.time);
        Ok(items)
    }

    async fn in_series(&self, container: &Container, series: &str) -> Result<Vec<Item>, Error> {
        self.only_crm(container)?;
        let act = self.act(&format!("read the communications of series {series}"));
        let filter = format!("{} and {}", self.of_type(), equal("Comm_RecurrenceId", series));
        let mut rows = self.all(&act, self.query(COMMUNICATION, filter), COMMUNICATION_ID).await?;
        rows.retain(|row| row.id("Comm_RecurrenceId").as_deref() == Some(series));
        self.items(&act, rows).await
    }

    async fn create(
        &self,
        container: &Container,
        draft: &Appointment,
        stamp: &Key,
        _mail: Mail,
    ) -> Result<Item, Error> {
        self.only_crm(container)?;
        let act = self.act(&format!("create the copy of {stamp}"));
        let people = self.people(&act, &[], &[]).await?;
        let mut columns = self.mapping.new_columns(draft, stamp, &people);
        if let (Key::Occurrence { uid, .. }, true) = (stamp, self.config.mark_series) {
            columns.insert("Comm_RecurrenceId".into(), json!(series::series_number(uid)));
        }
        let made = self.client.create(&act, COMMUNICATION, &columns).await?;
        let id = match made.and_then(|row| row.key(COMMUNICATION_ID)) {
            Some(id) => id,
            // The server made the row and did not say which: the stamp finds it.
            None => match self.find_stamped(container, stamp).await?.pop() {
                Some(item) => item.at.id,
                None => {
                    return Err(
                        Error::new(act, Problem::Malformed).caused_by("the server did not say which row it made")
                    );
                }
            },
        };
        let organizer = draft.organizer.as_ref().map(|person| Organizer::of(person, &people));
        let writes = links::plan(&[], draft, organizer.as_ref(), &people, Scope::ALL);
        self.write_links(&act, &id, writes).await?;
        let item = self.read_back(&act, &ItemRef::crm(id)).await?;
        if item.stamp.is_none() && map::stamp_text(stamp) == stamp.to_string() {
            tracing::warn!(crm.id = %item.at.id, "{} did not keep the key of communication {} in column {}: if the ledger is lost, its \
                 appointment cannot be recognised. Set crm.stamp_column to a text column of Communication", self.config.name, item.at.id,
                self.config.stamp_column);
        }
        Ok(item)
    }

    async fn update(
        &self,
        at: &ItemRef,
        version: &Version,
        patch: &Patch,
        after: &Appointment,
        _mail: Mail,
    ) -> Result<Item, Error> {
        let act = self.act(&format!("change communication {}", at.id));
        let Some(Fresh { row, links }) = self.unchanged(&act, at, version).await? else {
            return Err(Error::new(act, Problem::NotFound));
        };
        let people = self.people(&act, std::slice::from_ref(&row), &links).await?;
        let mut columns = self.mapping.changed_columns(patch, after, &people);
        if patch.set.contains_key(&Field::Time) {
            columns.extend(series::exception_columns(&row));
        }
        if !columns.is_empty() {
            self.client.change(&act, COMMUNICATION, &at.id, &columns).await?;
        }
        let has = |field: &Field| patch.set.contains_key(field);
        let scope = Scope {
            organizer: has(&Field::Organizer),
            attendees: has(&Field::Attendees),
            regarding: has(&Field::Regarding),
        };
        if !scope.is_empty() {
            let organizer = if scope.organizer {
                after.organizer.as_ref().map(|person| Organizer::of(person, &people))
            } else {
                map::organizer(&row, &map::live(&links), &people)
            };
            let writes = links::plan(&links, after, organizer.as_ref(), &people, scope);
            self.write_links(&act, &at.id, writes).await?;
        }
        self.read_back(&act, at).await
    }

    async fn delete(&self, at: &ItemRef, version: &Version, _mail: Mail) -> Result<(), Error> {
        let act = self.act(&format!("remove communication {}", at.id));
        let Some(fresh) = self.unchanged(&act, at, version).await? else { return Ok(()) };
        match self.config.delete {
            Removal::Delete => self.client.remove(&act, COMMUNICATION, &at.id).await,
            Removal::Cancel if self.item(&act, &fresh).await?.appointment.status == Status::Cancelled => Ok(()),
            Removal::Cancel => {
                let columns = Columns::from_iter([("Comm_Status".to_owned(), json!("Cancelled"))]);
                self.client.change(&act, COMMUNICATION, &at.id, &columns).await
            }
        }
    }

    async fn list(&self, container: &Container, from: Option<&Cursor>) -> Result<Listing, Error> {
        self.only_crm(container)?;
        let act = self.act("list all communications");
        let pages = from.map(|from| Pages::parse(&from.0).ok_or_else(|| Error::new(&act, Problem::CursorLost)));
        let mut pages = pages.transpose()?.unwrap_or_default();
        let query = self.sorted(COMMUNICATION, self.of_type(), "Comm_CommunicationId asc");
        let query = Query { index: pages.index, ..query };
        let Feed { total, rows } = self.client.feed(&act, &query).await?;
        let ids: Vec<String> = rows.iter().filter_map(|row| row.key(COMMUNICATION_ID)).collect();
        let links = self.links(&act, &ids).await?;
        let mut items = Vec::new();
        for row in rows.iter().filter(|row| self.takes(row)) {
            let Some(id) = row.key(COMMUNICATION_ID) else { continue };
            let version = self.mapping.version(row, links.get(&id).map(Vec::as_slice).unwrap_or_default());
            let (uid, stamp) = self.mapping.keys(row);
            items.push(Listed { at: ItemRef::crm(id), version, uid, stamp });
        }
        let last = pages.take(&ids, total, query.count);
        Ok(Listing { items, next: (!last).then(|| Cursor(pages.to_text())) })
    }

    async fn doorbell(&self, _containers: &[Container], _limit: Duration) -> Result<Vec<Container>, Error> {
        Err(Error::new(self.act("wait for changes"), Problem::Unsupported))
    }

    async fn users(&self) -> Result<Vec<User>, Error> {
        let act = self.act("list the users");
        Ok(self.people(&act, &[], &[]).await?.listed().collect())
    }

    async fn know_mailboxes(&self, addresses: &BTreeMap<UserId, Vec<Address>>) {
        self.known.lock().await.know_mailboxes(addresses);
    }

    async fn probe(&self, container: &Container) -> Result<(), Error> {
        self.only_crm(container)?;
        let act = self.act("sign in");
        self.client.feed(&act, &Query { count: 1, ..self.query(COMMUNICATION, self.of_type()) }).await?;
        let Some(columns) = self.client.columns(&act, COMMUNICATION).await? else { return Ok(()) };
        let wanted = [Some(&self.config.stamp_column), self.config.responses_column.as_ref()].into_iter().flatten();
        for column in wanted.chain(&self.config.columns) {
            if !columns.contains(&column.to_lowercase()) {
                let words = format!("Communication has no column {column}");
                let hint = "create the column in the CRM, or change the setting that names it";
                return Err(Error::new(act, Problem::Refused).hinted(hint).caused_by(words));
            }
        }
        Ok(())
    }
}
