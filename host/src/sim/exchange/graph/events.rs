//! Events: list, read, create, change, delete, answer, cancel. What happens to them happens in the shared calendar layer.
//!
//! Promises: whoever people meet by is mailed as the protocol says, for it offers no way to write silently: a create
//! invites, a change that people meet by updates, a change of attendees alone reaches those it concerns, a delete
//! cancels. Must not know: XML, HTTP.

use axum::http::{StatusCode, header};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::answer::{Answer, Refused};
use super::event::{id_of, store_id};
use super::query::{self, Shape, filtered, page};
use super::read::{self, Wanted};
use super::request::Request;
use super::settings::{Duplicate, Settings};
use crate::sim::exchange::calendar::{self, Update};
use crate::sim::exchange::error::{ExchangeError, not_found};
use crate::sim::exchange::find;
use crate::sim::exchange::item::{Content, Item, Kind, Reply, Value as Field, View};
use crate::sim::exchange::meeting::{self, Audience, Before, Send};
use crate::sim::exchange::property::PropertyValue;
use crate::sim::exchange::store::World;
use crate::sim::exchange::target::Target;
use crate::sim::exchange::zones::{self, Zone};

const EVERYONE: Send = Send { audience: Audience::All, save_copy: true };
const CHANGED: Send = Send { audience: Audience::Changed, save_copy: true };

/// One request to one mailbox.
pub struct Scene<'a> {
    pub world: &'a mut World,
    pub request: &'a Request,
    pub mailbox: usize,
    pub settings: &'a Settings,
}

impl Scene<'_> {
    fn owner(&self) -> String {
        self.world.accounts.get(self.mailbox).map(|account| account.name.clone()).unwrap_or_default()
    }

    fn context(&self, what: &str) -> String {
        let address = self.world.accounts.get(self.mailbox).map(|account| account.address.as_str());
        format!("users('{}')/{what}", address.unwrap_or_default().replace('@', "%40"))
    }

    /// The folder of a calendar's id, or the default one.
    pub fn folder(&self, calendar: Option<&str>) -> Result<usize, Refused> {
        let Some(id) = calendar else {
            let default = self.world.folder(self.mailbox, "calendar");
            return default.ok_or_else(|| ExchangeError::new("ErrorFolderNotFound", "There is no calendar.").into());
        };
        let id = store_id(id);
        let known = self.world.folders.iter().position(|folder| folder.id == id && folder.mailbox == self.mailbox);
        known
            .filter(|folder| self.world.is_calendar(*folder))
            .ok_or_else(|| ExchangeError::new("ErrorItemNotFound", "The calendar was not found in the store.").into())
    }

    /// The event that an id names.
    fn target(&self, id: &str) -> Result<Target, Refused> {
        let target = self.world.target(Some(self.mailbox), &store_id(id))?;
        let item = self.world.item(&target)?;
        let in_reach = self.world.is_calendar(item.folder) || self.settings.deleted_found;
        if item.kind == Kind::Appointment && in_reach { Ok(target) } else { Err(not_found().into()) }
    }

    /// Refuses a write whose If-Match is no longer true.
    fn check_match(&self, target: &Target) -> Result<(), Refused> {
        let Some(wanted) = self.request.header(header::IF_MATCH.as_str()) else { return Ok(()) };
        let item = self.world.item(target)?;
        let key = item.change_key();
        let fits = |tag: &str| tag.trim() == "*" || tag.trim().trim_start_matches("W/").trim_matches('"') == key;
        if wanted.split(',').any(fits) {
            return Ok(());
        }
        let status = StatusCode::from_u16(self.settings.conflict_status).unwrap_or(StatusCode::PRECONDITION_FAILED);
        let text = "The send or update operation could not be performed because the change key passed in the request does not match the current change key for the item.";
        Err(Refused::new(status, "ErrorIrresolvableConflict", text))
    }

    fn one(&self, status: StatusCode, view: View<'_>) -> Result<Answer, Refused> {
        let shape = Shape::read(self.request)?;
        let mut event = shape.write(view);
        if let Some(event) = event.as_object_mut() {
            let context = format!("{}/$metadata#{}/$entity", self.request.base, self.context("events"));
            event.insert("@odata.context".into(), context.into());
        }
        Ok(Answer::json(status, event))
    }
}

pub fn calendars(scene: &Scene<'_>) -> Result<Answer, Refused> {
    let own = |(place, folder): (usize, &crate::sim::exchange::store::Folder)| {
        (folder.mailbox == scene.mailbox && scene.world.is_calendar(place)).then_some(place)
    };
    let places: Vec<usize> = scene.world.folders.iter().enumerate().filter_map(own).collect();
    let context = scene.context("calendars");
    page(scene.request, &context, scene.settings.page_size, places, |place| shown_calendar(scene, *place))
        .map(Answer::ok)
}

pub fn calendar(scene: &Scene<'_>, id: Option<&str>) -> Result<Answer, Refused> {
    let folder = scene.folder(id)?;
    let mut shown = shown_calendar(scene, folder);
    let wanted = query::calendar_properties(scene.request)?;
    let set = scene.world.folders.get(folder).map(|folder| &folder.properties);
    let found = wanted.into_iter().filter_map(|(id, name)| match set?.get(&name)? {
        PropertyValue::Single(text) => Some(json!({ "id": id, "value": text })),
        PropertyValue::Array(_) => None,
    });
    let found: Vec<Value> = found.collect();
    if let Some(calendar) = shown.as_object_mut() {
        query::pick(calendar, query::select(scene.request).as_deref());
        if !found.is_empty() {
            calendar.insert("singleValueExtendedProperties".into(), found.into());
        }
    }
    Ok(Answer::ok(shown))
}

/// Sets and removes extended properties [svep]; nothing else of a calendar is changed here.
pub fn update_calendar(scene: &mut Scene<'_>, id: Option<&str>) -> Result<Answer, Refused> {
    let place = scene.folder(id)?;
    let body = scene.request.json()?;
    let changes = read::calendar_properties(&body)?;
    if let Some(folder) = scene.world.folders.get_mut(place) {
        for (name, value) in changes {
            match value {
                Some(value) => folder.properties.insert(name, value),
                None => folder.properties.remove(&name),
            };
        }
        scene.world.writes += 1;
    }
    Ok(Answer::ok(shown_calendar(scene, place)))
}

pub fn create_calendar(scene: &mut Scene<'_>) -> Result<Answer, Refused> {
    let body = scene.request.json()?;
    let name = read::find(&body, "name").and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    if name.is_empty() {
        return Err(Refused::property("A calendar needs a name."));
    }
    let taken = scene.world.folders.iter().any(|folder| folder.mailbox == scene.mailbox && folder.name == name);
    if taken {
        return Err(Refused::new(StatusCode::CONFLICT, "ErrorFolderExists", "A folder with that name already exists."));
    }
    let folder = scene.world.add_calendar(scene.mailbox, name);
    scene.world.writes += 1;
    Ok(Answer::json(StatusCode::CREATED, shown_calendar(scene, folder)))
}

fn shown_calendar(scene: &Scene<'_>, place: usize) -> Value {
    let Some(folder) = scene.world.folders.get(place) else { return Value::Null };
    let owner = scene.world.accounts.get(scene.mailbox).map(|account| account.person());
    let owner = owner.map(|person| json!({ "name": person.name, "address": person.address }));
    let is_default = folder.distinguished == "calendar";
    json!({
        "id": super::event::rest_id(&folder.id), "name": folder.name, "color": "auto", "hexColor": "",
        "isDefaultCalendar": is_default, "changeKey": crate::sim::exchange::ids::FOLDER_CHANGE_KEY,
        "canShare": true, "canViewPrivateItems": true, "canEdit": true, "isTallyingResponses": true,
        "isRemovable": !is_default, "allowedOnlineMeetingProviders": ["teamsForBusiness"],
        "defaultOnlineMeetingProvider": "teamsForBusiness", "owner": owner,
    })
}

pub fn list(scene: &Scene<'_>, calendar: Option<&str>) -> Result<Answer, Refused> {
    let folder = scene.folder(calendar)?;
    let items = scene.world.in_folder(folder).filter(|item| item.kind == Kind::Appointment);
    views(scene, items.map(Item::view).collect(), "events")
}

pub fn calendar_view(scene: &Scene<'_>, calendar: Option<&str>) -> Result<Answer, Refused> {
    let folder = scene.folder(calendar)?;
    let (from, to) = window(scene.request)?;
    views(scene, find::window(scene.world.in_folder(folder), from, to), "calendarView")
}

pub fn instances(scene: &Scene<'_>, id: &str) -> Result<Answer, Refused> {
    let target = scene.target(id)?;
    let (from, to) = window(scene.request)?;
    let item = scene.world.item(&target)?;
    if item.series.is_none() || target.instance.is_some() {
        return Err(Refused::bad(
            "ErrorInvalidRequest",
            "Your request can't be completed: the event is no series master.",
        ));
    }
    views(scene, find::window(std::iter::once(item), from, to), "events")
}

fn views(scene: &Scene<'_>, views: Vec<View<'_>>, what: &str) -> Result<Answer, Refused> {
    let shape = Shape::read(scene.request)?.of_list();
    let views = filtered(scene.request, views)?;
    let context = scene.context(what);
    page(scene.request, &context, scene.settings.page_size, views, |view| shape.write(*view)).map(Answer::ok)
}

/// `startDateTime` and `endDateTime`, in UTC where they name no offset; no preference touches them.
pub fn window(request: &Request) -> Result<(DateTime<Utc>, DateTime<Utc>), Refused> {
    let bound = |name: &str| {
        let text = request.option(name).ok_or_else(|| {
            let text = format!("This request requires a time window specified by the query string parameters StartDateTime and EndDateTime: {name} is missing.");
            Refused::bad("ErrorInvalidParameter", text)
        })?;
        // A plus sign that was not encoded arrives as a blank.
        zones::instant(&text.replace(' ', "+"), &Zone::utc()).map_err(Refused::from)
    };
    let (from, to) = (bound("startDateTime")?, bound("endDateTime")?);
    if to < from {
        return Err(Refused::bad("ErrorInvalidParameter", "The end of the time window is before its start."));
    }
    Ok((from, to))
}

pub fn get(scene: &Scene<'_>, id: &str) -> Result<Answer, Refused> {
    let target = scene.target(id)?;
    scene.one(StatusCode::OK, scene.world.view(&target)?)
}

pub fn create(scene: &mut Scene<'_>, calendar: Option<&str>) -> Result<Answer, Refused> {
    let folder = scene.folder(calendar)?;
    let Wanted { changes, transaction, online, has_start, has_end } = read::read(&scene.request.json()?, false)?;
    if !has_start || !has_end {
        return Err(Refused::property("An event needs start and end."));
    }
    if let Some(token) = &transaction
        && let Some(answer) = duplicate(scene, token)?
    {
        return Ok(answer);
    }
    let mut item = calendar::draft(scene.world, scene.mailbox, Some(folder), &changes, None)?;
    item.transaction = transaction;
    if online {
        switch_on(&mut item.content, &item.uid);
    }
    // The answer must be possible before anything is done.
    Shape::read(scene.request)?;
    let key = calendar::create(scene.world, item, EVERYONE);
    let view = scene.world.view(&Target::whole(key))?;
    let location =
        format!("{}/{}", super::query::url_of(scene.request), id_of(view, &super::query::look(scene.request)?));
    Ok(scene.one(StatusCode::CREATED, view)?.with(header::LOCATION, location))
}

/// The answer to a create whose token was used before, if it was.
fn duplicate(scene: &Scene<'_>, token: &str) -> Result<Option<Answer>, Refused> {
    // An event that was deleted no longer counts. (inferred: sources do not say)
    let is_it = |item: &&Item| {
        item.mailbox == scene.mailbox
            && item.transaction.as_deref() == Some(token)
            && scene.world.is_calendar(item.folder)
    };
    let Some(item) = scene.world.items.values().find(is_it) else { return Ok(None) };
    let status = match scene.settings.duplicate {
        Duplicate::Existing => return scene.one(StatusCode::CREATED, item.view()).map(Some),
        Duplicate::BadRequest => StatusCode::BAD_REQUEST,
        Duplicate::Conflict => StatusCode::CONFLICT,
    };
    let text = "Your request can't be completed: an event with that transactionId exists.";
    let mut refused = Refused::new(status, "ErrorDuplicateTransactionId", text);
    if scene.settings.duplicate_names_event {
        let id = id_of(item.view(), &super::query::look(scene.request)?);
        refused.more.insert("@event.existingEventId".into(), id.into());
    }
    Err(refused)
}

pub fn update(scene: &mut Scene<'_>, id: &str) -> Result<Answer, Refused> {
    let target = scene.target(id)?;
    scene.check_match(&target)?;
    let body = scene.request.json()?;
    let all_day = scene.world.view(&target)?.content.all_day;
    let Wanted { changes, online, .. } = read::read(&body, all_day)?;
    let mut update = calendar::prepare(scene.world, target.clone(), &changes, None)?;
    keep_online(&mut update, online);
    Shape::read(scene.request)?;
    let send = whom(&update, scene.settings.mails_unchanged);
    let by = scene.owner();
    let exceptions = exceptions_told(scene.world, &update, send);
    let target = calendar::store(scene.world, update, &by, send);
    for (start, before) in exceptions {
        meeting::announce(scene.world, target.key, Some(start), &before, EVERYONE);
    }
    scene.one(StatusCode::OK, scene.world.view(&target)?)
}

/// Who is told of a change: everyone if what people meet by changed, else those who came, went or play another part.
fn whom(update: &Update, always: bool) -> Option<Send> {
    let people = |content: &Content| -> Vec<(String, _)> {
        let one = |attendee: &crate::sim::exchange::item::Attendee| {
            (attendee.person.address.to_ascii_lowercase(), format!("{:?}", attendee.role))
        };
        let mut people: Vec<_> = content.attendees.iter().map(one).collect();
        people.sort();
        people
    };
    if always || update.before.moved || !meeting::says_the_same(&update.was, &update.content) {
        Some(EVERYONE)
    } else if people(&update.was) != people(&update.content) {
        Some(CHANGED)
    } else {
        None
    }
}

/// A change of a series told to everyone is told once more for each instance that was changed by itself [event-update].
fn exceptions_told(world: &World, update: &Update, send: Option<Send>) -> Vec<(DateTime<Utc>, Before)> {
    if send != Some(EVERYONE) || update.target.instance.is_some() || update.before.moved {
        return Vec::new();
    }
    let series = world.items.get(&update.target.key).and_then(|item| item.series.as_ref());
    let told = |(start, content): (&DateTime<Utc>, &Content)| {
        (*start, Before { attendees: content.attendees.clone(), moved: false })
    };
    series.into_iter().flat_map(|series| series.exceptions.iter()).map(told).collect()
}

pub fn delete(scene: &mut Scene<'_>, id: &str) -> Result<Answer, Refused> {
    let target = scene.target(id)?;
    scene.check_match(&target)?;
    let by = scene.owner();
    calendar::delete(scene.world, &target, &by, true, Some(EVERYONE))?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub fn cancel(scene: &mut Scene<'_>, id: &str) -> Result<Answer, Refused> {
    scene.request.json()?;
    let target = scene.target(id)?;
    let by = scene.owner();
    calendar::cancel(scene.world, &target, &by, EVERYONE).map_err(|_| {
        let text = "Your request can't be completed. You need to be an organizer to cancel a meeting.";
        Refused::bad("ErrorInvalidRequest", text)
    })?;
    Ok(Answer::empty(StatusCode::ACCEPTED))
}

pub fn respond(scene: &mut Scene<'_>, id: &str, reply: Reply) -> Result<Answer, Refused> {
    let body = scene.request.json()?;
    let target = scene.target(id)?;
    let refused = |why: &str| Refused::bad("ErrorInvalidRequest", format!("Your request can't be completed. {why}"));
    let item = scene.world.item(&target)?;
    if item.is_organizer {
        return Err(refused("You can't respond to this meeting because you're the meeting organizer."));
    }
    let send = read::find(&body, "sendResponse").and_then(Value::as_bool).unwrap_or(true);
    let asked = item.content.plain.get("IsResponseRequested") != Some(&Field::Boolean(false));
    if send && !asked {
        return Err(refused("You can't send a response because the organizer hasn't requested one."));
    }
    let send = send.then_some(EVERYONE);
    match target.instance {
        Some(start) => meeting::respond_once(scene.world, target.key, start, reply, send)?,
        None => meeting::respond(scene.world, target.key, reply, send).map(drop)?,
    }
    scene.world.writes += 1;
    Ok(Answer::empty(StatusCode::ACCEPTED))
}

const ONLINE: &str = "IsOnlineMeeting";
const JOIN_URL: &str = "JoinOnlineMeetingUrl";

/// Makes an online meeting: a link to join, and a blob at the end of the body that holds it.
fn switch_on(content: &mut Content, uid: &str) {
    let tail: String = uid.chars().rev().take(24).collect();
    let url = format!("https://teams.example.test/l/meetup-join/19%3ameeting_{tail}%40thread.v2/0");
    let before = match content.plain.get("Body") {
        Some(Field::Body { html: true, text }) => text.clone(),
        Some(Field::Body { html: false, text }) => quick_xml::escape::escape(text.as_str()).replace('\n', "<br>\n"),
        _ => String::new(),
    };
    let blob = format!(
        "<br><div class=\"me-email-text\" style=\"color:#252424\" lang=\"en-US\"><hr>\
         <div><span style=\"font-size:24px\">Microsoft Teams meeting</span></div>\
         <div><a class=\"me-email-headline\" href=\"{url}\" target=\"_blank\">Join the meeting now</a></div><hr></div>"
    );
    let text = match before.rfind("</body>") {
        Some(at) => {
            let (head, tail) = before.split_at(at);
            format!("{head}{blob}{tail}")
        }
        None => format!("{before}{blob}"),
    };
    content.plain.insert("Body", Field::Body { html: true, text });
    content.plain.insert(ONLINE, Field::Boolean(true));
    content.plain.insert(JOIN_URL, Field::Text(url));
}

/// An online meeting cannot be switched off, but it ends when its blob is taken out of the body [event-update].
fn keep_online(update: &mut Update, wanted: bool) {
    let url = update.content.text(JOIN_URL).map(str::to_owned);
    match url {
        None if wanted => switch_on(&mut update.content, &update.uid),
        None => {}
        Some(url) => {
            let kept =
                matches!(update.content.plain.get("Body"), Some(Field::Body { text, .. }) if text.contains(&url));
            if !kept {
                update.content.plain.insert(ONLINE, Field::Boolean(false));
                update.content.plain.remove(JOIN_URL);
            }
        }
    }
}
