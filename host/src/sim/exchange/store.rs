//! The world of the simulator: accounts, folders, items with their versions, sent mails, and the log of events.
//!
//! Promises: every change of an item goes through [`World::add`], [`World::change`], [`World::remove`] or
//! [`World::relocate`], which mint the change key and log the event. Must not know: XML, HTTP, what a meeting is.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::watch;
use uuid::Uuid;

use super::ids;
use super::item::{Content, Former, Item, Kind, Person, Reply};
use super::notify::Subscription;
use super::property::{PropertyName, PropertyValue};
use super::zones::Zone;
use super::{ListOptions, Options, Role};
use crate::clock::Clock;

/// Events kept for subscribers that poll; who falls further behind is told to subscribe anew.
const EVENTS_MAX: usize = 50_000;
/// Removed items remembered per folder for old sync states.
const GONE_MAX: usize = 100_000;
/// Versions remembered per item. Dropping the middle ones of a much-edited item only matters to sync states that broke
/// off in the middle of a page run long ago.
const VERSIONS_MAX: usize = 1_000;
/// Former shapes remembered per series; a client that is further behind only misses that old occurrences are gone.
const FORMER_MAX: usize = 50;
/// FolderClass of calendars.
const CALENDAR_CLASS: &str = "IPF.Appointment";
/// Mails kept for `/_sim/mails`; the counts go on beyond.
const MAILS_MAX: usize = 100_000;

#[derive(Clone, Debug)]
pub struct Account {
    pub name: String,
    pub address: String,
    pub aliases: Vec<String>,
    pub login: String,
    pub password: String,
    pub role: Role,
    /// The Windows name of the zone the owner chose.
    pub zone: String,
    /// Names the account in the directory.
    pub directory_id: Uuid,
}

impl Account {
    pub fn answers_to(&self, address: &str) -> bool {
        self.address.eq_ignore_ascii_case(address)
            || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(address))
    }

    pub fn person(&self) -> Person {
        Person { name: self.name.clone(), address: self.address.clone(), local: true }
    }
}

#[derive(Clone, Debug)]
pub struct Folder {
    pub id: String,
    pub mailbox: usize,
    pub distinguished: &'static str,
    pub name: String,
    /// Element and FolderClass of what it holds.
    pub element: &'static str,
    pub class: Option<&'static str>,
    pub parent: Option<usize>,
    pub gone: VecDeque<Gone>,
    /// Extended properties that clients set.
    pub properties: BTreeMap<PropertyName, PropertyValue>,
}

/// An item that left its folder.
#[derive(Clone, Debug)]
pub struct Gone {
    pub id: String,
    /// As in [`Item::versions`], while it was in the folder.
    pub versions: Vec<u64>,
    pub left: u64,
    pub immutable_id: String,
    /// All that its series ever was.
    pub former: Vec<Former>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Created,
    Modified,
    Deleted,
    Moved,
    NewMail,
}

#[derive(Clone, Debug)]
pub struct Event {
    pub sequence: u64,
    pub at: DateTime<Utc>,
    pub kind: EventKind,
    pub mailbox: usize,
    pub folder: usize,
    pub item: String,
    pub immutable_id: String,
    pub change_key: String,
    /// For moves: the id and folder before.
    pub old: Option<(String, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MailKind {
    Request,
    Update,
    Cancellation,
    Response,
}

/// A mail that was sent, as `/_sim/mails` lists it.
#[derive(Clone, Debug, Serialize)]
pub struct Mail {
    pub from: String,
    pub to: String,
    pub kind: MailKind,
    pub subject: String,
    pub time: DateTime<Utc>,
}

/// All there is.
#[derive(Debug)]
pub struct World {
    pub clock: Arc<dyn Clock>,
    /// Makes ids of this run differ from those of every other.
    pub salt: String,
    pub version: u64,
    pub accounts: Vec<Account>,
    pub folders: Vec<Folder>,
    pub items: BTreeMap<u64, Item>,
    /// Lists of people.
    pub lists: Vec<ListOptions>,
    by_id: HashMap<String, u64>,
    by_immutable_id: HashMap<String, u64>,
    by_uid: HashMap<(usize, String), Vec<u64>>,
    next_key: u64,
    pub mails: VecDeque<Mail>,
    pub mail_counts: BTreeMap<MailKind, u64>,
    pub events: VecDeque<Event>,
    pub subscriptions: BTreeMap<String, Subscription>,
    pub subscriptions_made: u64,
    /// The sequence of the last event; streams wait for it to move.
    pub last_event: watch::Sender<u64>,
    /// Successful changes by clients since the last look.
    pub writes: u64,
}

/// Distinguished id, display name, element, class, parent.
type Known = (&'static str, &'static str, &'static str, Option<&'static str>, Option<&'static str>);

/// The folders of every mailbox, parents first.
const FOLDERS: &[Known] = &[
    ("root", "root", "t:Folder", None, None),
    ("msgfolderroot", "Top of Information Store", "t:Folder", Some("IPF.Note"), Some("root")),
    ("calendar", "Calendar", "t:CalendarFolder", Some(CALENDAR_CLASS), Some("msgfolderroot")),
    ("contacts", "Contacts", "t:ContactsFolder", Some("IPF.Contact"), Some("msgfolderroot")),
    ("deleteditems", "Deleted Items", "t:Folder", Some("IPF.Note"), Some("msgfolderroot")),
    ("drafts", "Drafts", "t:Folder", Some("IPF.Note"), Some("msgfolderroot")),
    ("inbox", "Inbox", "t:Folder", Some("IPF.Note"), Some("msgfolderroot")),
    ("journal", "Journal", "t:Folder", Some("IPF.Journal"), Some("msgfolderroot")),
    ("junkemail", "Junk Email", "t:Folder", Some("IPF.Note"), Some("msgfolderroot")),
    ("notes", "Notes", "t:Folder", Some("IPF.StickyNote"), Some("msgfolderroot")),
    ("outbox", "Outbox", "t:Folder", Some("IPF.Note"), Some("msgfolderroot")),
    ("sentitems", "Sent Items", "t:Folder", Some("IPF.Note"), Some("msgfolderroot")),
    ("tasks", "Tasks", "t:TasksFolder", Some("IPF.Task"), Some("msgfolderroot")),
];

impl World {
    pub fn new(options: Options, clock: Arc<dyn Clock>) -> Self {
        let salt = format!("{}/{}", clock.now().timestamp_micros(), clock.chance());
        let lists = options.lists;
        let accounts: Vec<Account> = options.accounts.into_iter().map(Account::from).collect();
        let mut world = Self {
            clock,
            salt,
            version: 0,
            accounts,
            folders: Vec::new(),
            items: BTreeMap::new(),
            lists,
            by_id: HashMap::new(),
            by_immutable_id: HashMap::new(),
            by_uid: HashMap::new(),
            next_key: 1,
            mails: VecDeque::new(),
            mail_counts: BTreeMap::new(),
            events: VecDeque::new(),
            subscriptions: BTreeMap::new(),
            subscriptions_made: 0,
            last_event: watch::Sender::new(0),
            writes: 0,
        };
        for mailbox in 0..world.accounts.len() {
            let has_mailbox = world.accounts.get(mailbox).is_some_and(|account| account.role == Role::User);
            for &(distinguished, name, element, class, parent) in FOLDERS.iter().filter(|_| has_mailbox) {
                let id = ids::mint(&world.salt, &format!("folder/{mailbox}/{distinguished}"));
                let parent = parent.and_then(|parent| world.folder(mailbox, parent));
                let (name, gone) = (name.to_owned(), VecDeque::new());
                world.folders.push(Folder {
                    id,
                    mailbox,
                    distinguished,
                    name,
                    element,
                    class,
                    parent,
                    gone,
                    properties: BTreeMap::new(),
                });
            }
        }
        world
    }

    /// The account with that address, and whether it is the primary one.
    pub fn account_of(&self, address: &str) -> Option<(usize, bool)> {
        let position = self.accounts.iter().position(|account| account.answers_to(address))?;
        Some((position, self.accounts.get(position)?.address.eq_ignore_ascii_case(address)))
    }

    /// The mailbox of a user with that address.
    pub fn mailbox_of(&self, address: &str) -> Option<usize> {
        let (position, _) = self.account_of(address)?;
        self.accounts.get(position).filter(|account| account.role == Role::User).map(|_| position)
    }

    /// Whoever has that address: from the directory if known there, else as given.
    pub fn person(&self, address: &str, name: Option<&str>) -> Person {
        let known = self.mailbox_of(address).and_then(|mailbox| self.accounts.get(mailbox));
        let name = name.filter(|name| !name.is_empty());
        match known {
            Some(account) => account.person(),
            None => Person { name: name.unwrap_or(address).to_owned(), address: address.to_owned(), local: false },
        }
    }

    pub fn folder(&self, mailbox: usize, distinguished: &str) -> Option<usize> {
        self.folders.iter().position(|folder| folder.mailbox == mailbox && folder.distinguished == distinguished)
    }

    pub fn folder_id(&self, folder: usize) -> &str {
        self.folders.get(folder).map_or("", |folder| folder.id.as_str())
    }

    pub fn item_by_id(&self, id: &str) -> Option<&Item> {
        self.items.get(self.by_id.get(id).or_else(|| self.by_immutable_id.get(id))?)
    }

    pub fn is_calendar(&self, folder: usize) -> bool {
        self.folders.get(folder).is_some_and(|folder| folder.class == Some(CALENDAR_CLASS))
    }

    /// Removes a further calendar with all that is in it; its place stays empty. False for a default folder.
    pub fn remove_calendar(&mut self, place: usize) -> bool {
        let Some(folder) = self.folders.get_mut(place).filter(|folder| folder.distinguished.is_empty()) else {
            return false;
        };
        (folder.id, folder.parent, folder.mailbox) = (String::new(), None, usize::MAX);
        let keys: Vec<u64> = self.in_folder(place).map(|item| item.key).collect();
        keys.into_iter().for_each(|key| drop(self.remove(key)));
        true
    }

    /// Makes a further calendar and answers its place.
    pub fn add_calendar(&mut self, mailbox: usize, name: String) -> usize {
        let place = self.folders.len();
        self.folders.push(Folder {
            id: ids::mint(&self.salt, &format!("folder/{mailbox}/{place}")),
            mailbox,
            distinguished: "",
            name,
            element: "t:CalendarFolder",
            class: Some(CALENDAR_CLASS),
            parent: self.folder(mailbox, "calendar"),
            gone: VecDeque::new(),
            properties: BTreeMap::new(),
        });
        place
    }

    pub fn in_folder(&self, folder: usize) -> impl DoubleEndedIterator<Item = &Item> {
        self.items.values().filter(move |item| item.folder == folder)
    }

    /// The appointment with that UID in a mailbox's calendar.
    pub fn copy_of(&self, mailbox: usize, uid: &str) -> Option<&Item> {
        let keys = self.by_uid.get(&(mailbox, uid.to_owned()))?;
        keys.iter()
            .filter_map(|key| self.items.get(key))
            .find(|item| item.kind == Kind::Appointment && self.is_calendar(item.folder))
    }

    /// An appointment of a mailbox's owner, not yet stored.
    pub fn blank(&self, mailbox: usize, folder: usize) -> Item {
        let now = self.clock.now();
        let owner = self.accounts.get(mailbox).map(Account::person);
        let owner = owner.unwrap_or_else(|| Person { name: String::new(), address: String::new(), local: false });
        Item {
            key: 0,
            id: String::new(),
            kind: Kind::Appointment,
            mailbox,
            folder,
            versions: Vec::new(),
            created: now,
            modified: now,
            modified_by: owner.name.clone(),
            content: Content {
                plain: BTreeMap::new(),
                extended: BTreeMap::new(),
                start: now,
                end: now,
                all_day: false,
                start_zone: Zone::utc(),
                end_zone: Zone::utc(),
                attendees: Vec::new(),
            },
            uid: ids::mint_uid(&self.salt, self.next_key, now),
            organizer: owner,
            is_organizer: true,
            my_reply: Reply::Unknown,
            replied: None,
            sequence: 0,
            request_sent: false,
            cancelled: false,
            series: None,
            message: None,
            immutable_id: String::new(),
            transaction: None,
            former: Vec::new(),
            became_series: None,
        }
    }

    /// Stores a new item and answers its key.
    pub fn add(&mut self, item: Item) -> u64 {
        self.insert(item, None)
    }

    /// Changes an item; `by` is whose hand it was. Nothing happens if it is gone.
    pub fn change(&mut self, key: u64, by: &str, change: impl FnOnce(&mut Item)) {
        let now = self.clock.now();
        let Some(item) = self.items.get_mut(&key) else { return };
        self.version += 1;
        let (mailbox, uid) = (item.mailbox, item.uid.clone());
        let before = item.as_former(self.version);
        change(item);
        if before.is_none() && item.series.is_some() {
            item.became_series = Some(self.version);
        }
        if before != item.as_former(self.version)
            && let Some(before) = before
        {
            if item.former.len() >= FORMER_MAX {
                item.former.remove(0);
            }
            item.former.push(before);
        }
        item.modified = now;
        item.modified_by = by.to_owned();
        if item.versions.len() >= VERSIONS_MAX {
            item.versions.remove(1);
        }
        item.versions.push(self.version);
        let (folder, ids, new_uid) = (item.folder, Named::of(item), item.uid.clone());
        if new_uid != uid {
            self.forget_uid(mailbox, uid, key);
            self.by_uid.entry((mailbox, new_uid)).or_default().push(key);
        }
        self.log(EventKind::Modified, mailbox, folder, ids, None);
    }

    /// Removes an item for good.
    pub fn remove(&mut self, key: u64) -> Option<Item> {
        let item = self.take(key)?;
        self.log(EventKind::Deleted, item.mailbox, item.folder, Named::of(&item), None);
        Some(item)
    }

    /// Moves an item to another folder of the same mailbox, where it has a new id. Answers the new key.
    pub fn relocate(&mut self, key: u64, folder: usize) -> Option<u64> {
        let mut item = self.take(key)?;
        let old = (item.id.clone(), item.folder);
        item.folder = folder;
        item.versions.clear();
        item.former.clear();
        Some(self.insert(item, Some(old)))
    }

    /// Counts a mail and lists it.
    pub fn send(&mut self, from: &Person, to: &Person, kind: MailKind, subject: &str) {
        *self.mail_counts.entry(kind).or_default() += 1;
        if self.mails.len() >= MAILS_MAX {
            self.mails.pop_front();
        }
        let time = self.clock.now();
        let (from, to) = (from.address.clone(), to.address.clone());
        self.mails.push_back(Mail { from, to, kind, subject: subject.to_owned(), time });
    }

    fn insert(&mut self, mut item: Item, old: Option<(String, usize)>) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        self.version += 1;
        item.key = key;
        item.id = ids::mint(&self.salt, &format!("item/{key}"));
        item.versions.push(self.version);
        if item.immutable_id.is_empty() {
            item.immutable_id = ids::mint_immutable(&self.salt, key);
        }
        self.by_id.insert(item.id.clone(), key);
        self.by_immutable_id.insert(item.immutable_id.clone(), key);
        self.by_uid.entry((item.mailbox, item.uid.clone())).or_default().push(key);
        let (mailbox, folder, ids) = (item.mailbox, item.folder, Named::of(&item));
        let in_inbox = self.folders.get(folder).is_some_and(|folder| folder.distinguished == "inbox");
        let is_new_mail = in_inbox && item.kind != Kind::Appointment && old.is_none();
        self.items.insert(key, item);
        let kind = if old.is_some() { EventKind::Moved } else { EventKind::Created };
        if is_new_mail {
            self.log(EventKind::NewMail, mailbox, folder, ids.clone(), None);
        }
        self.log(kind, mailbox, folder, ids, old);
        key
    }

    fn take(&mut self, key: u64) -> Option<Item> {
        let item = self.items.remove(&key)?;
        self.by_id.remove(&item.id);
        self.by_immutable_id.remove(&item.immutable_id);
        self.forget_uid(item.mailbox, item.uid.clone(), key);
        self.version += 1;
        let left = self.version;
        let mut former = item.former.clone();
        former.extend(item.as_former(left));
        if let Some(folder) = self.folders.get_mut(item.folder) {
            if folder.gone.len() >= GONE_MAX {
                folder.gone.pop_front();
            }
            folder.gone.push_back(Gone {
                id: item.id.clone(),
                versions: item.versions.clone(),
                left,
                immutable_id: item.immutable_id.clone(),
                former,
            });
        }
        Some(item)
    }

    fn forget_uid(&mut self, mailbox: usize, uid: String, key: u64) {
        let entry = (mailbox, uid);
        if let Some(keys) = self.by_uid.get_mut(&entry) {
            keys.retain(|known| *known != key);
            if keys.is_empty() {
                self.by_uid.remove(&entry);
            }
        }
    }

    fn log(&mut self, kind: EventKind, mailbox: usize, folder: usize, of: Named, old: Option<(String, usize)>) {
        let sequence = *self.last_event.borrow() + 1;
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        let at = self.clock.now();
        let Named { item, immutable_id, change_key } = of;
        self.events.push_back(Event { sequence, at, kind, mailbox, folder, item, immutable_id, change_key, old });
        self.last_event.send_replace(sequence);
    }
}

/// What an event says of its item.
#[derive(Clone)]
struct Named {
    item: String,
    immutable_id: String,
    change_key: String,
}

impl Named {
    fn of(item: &Item) -> Self {
        Self { item: item.id.clone(), immutable_id: item.immutable_id.clone(), change_key: item.change_key() }
    }
}
