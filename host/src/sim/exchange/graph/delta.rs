//! calendarView/delta and events/delta.
//!
//! A token holds the world version up to which its owner has been told, and where in the rows of the next item a page
//! broke off. Rows come in the order of the last change, so what changes between two pages comes again behind them.
//!
//! Promises: whoever follows the links to the end has been told of every change and of everything that is gone, an
//! occurrence that left the window among it. Must not know: writing, HTTP.

use axum::http::{StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::answer::{Answer, Refused};
use super::event::{self, Look, rest_id};
use super::events::{Scene, window};
use super::query::{link, look};
use super::settings::Reset;
use crate::sim::exchange::find;
use crate::sim::exchange::ids;
use crate::sim::exchange::item::{Former, Item, Kind, View};
use crate::sim::exchange::store::Gone;

/// Rows of one page.
const PAGE_MAX: usize = 1_000;
/// Rows of a page where the client names no number.
const PAGE_SIZE: usize = 50;

/// What is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Followed {
    /// Occurrences in a window.
    View,
    /// Single events and masters.
    Events,
}

/// What a token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Token {
    salt: String,
    epoch: u64,
    folder: String,
    followed: Followed,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    /// Told of up to this version.
    since: u64,
    /// Versions up to this one are new to the owner only where they are in the window: what a round began with.
    base: u64,
    /// The item whose rows a page broke off in, by version, and how many of them were told.
    partly: Option<(u64, usize)>,
}

/// An item that changed, or left.
enum Change<'a> {
    Present(&'a Item),
    Gone(&'a Gone),
}

pub fn follow(scene: &Scene<'_>, calendar: Option<&str>, followed: Followed, epoch: u64) -> Result<Answer, Refused> {
    let request = scene.request;
    let unfit = ["select", "expand", "filter", "orderby", "search"];
    if let Some(option) =
        unfit.into_iter().find(|option| request.option(option).is_some() && followed == Followed::View)
    {
        let text = format!(
            "The following parameters are not supported with change tracking over the 'CalendarView' resource: '${option}'."
        );
        return Err(Refused::bad("ErrorInvalidUrlQuery", text));
    }
    let folder = scene.folder(calendar)?;
    let look = look(request)?;
    let given = request.option("deltatoken").or_else(|| request.option("skiptoken")).filter(|token| !token.is_empty());
    let mut token = match given {
        Some(text) => read_token(scene, text, followed, epoch)?,
        None => first_token(scene, folder, followed, epoch)?,
    };
    let size = request.prefer.page_size.unwrap_or(PAGE_SIZE).clamp(1, PAGE_MAX);
    let (mut rows, is_last) = rows(scene, folder, &mut token, size, &look);
    disturb(scene, &mut rows);
    let mut page = Map::new();
    page.insert("@odata.context".into(), format!("{}/$metadata#Collection(event)", request.base).into());
    page.insert("value".into(), rows.into());
    let mut bare = request.clone();
    bare.query.clear();
    if is_last {
        token.since = scene.world.version.saturating_sub(scene.settings.delta_replay);
        token.base = token.since;
        token.partly = None;
        page.insert("@odata.deltaLink".into(), link(&bare, &[("$deltatoken", write_token(&token))]).into());
    } else {
        page.insert("@odata.nextLink".into(), link(&bare, &[("$skiptoken", write_token(&token))]).into());
    }
    Ok(Answer::ok(page.into()))
}

fn first_token(scene: &Scene<'_>, folder: usize, followed: Followed, epoch: u64) -> Result<Token, Refused> {
    let (from, to) = match followed {
        Followed::View => window(scene.request).map(|(from, to)| (Some(from), Some(to)))?,
        Followed::Events if scene.request.option("endDateTime").is_some() => {
            window(scene.request).map(|(from, to)| (Some(from), Some(to)))?
        }
        Followed::Events => {
            let start = scene.request.option("startDateTime");
            let read =
                |text: &str| crate::sim::exchange::zones::instant(text, &crate::sim::exchange::zones::Zone::utc());
            (start.map(read).transpose()?, None)
        }
    };
    Ok(Token {
        salt: scene.world.salt.clone(),
        epoch,
        folder: scene.world.folder_id(folder).to_owned(),
        followed,
        from,
        to,
        since: 0,
        base: scene.world.version,
        partly: None,
    })
}

/// The rows of one page, and whether it is the last; the token is moved behind them.
fn rows(scene: &Scene<'_>, folder: usize, token: &mut Token, size: usize, look: &Look) -> (Vec<Value>, bool) {
    let world = &scene.world;
    let since = token.since;
    let present = world.in_folder(folder).filter(|item| item.kind == Kind::Appointment && item.version() > since);
    let gone = world.folders.get(folder).into_iter().flat_map(|folder| folder.gone.iter());
    // Who never heard of an item needs not hear that it is gone.
    let gone = gone.filter(|gone| gone.left > since && gone.versions.first().is_some_and(|first| *first <= since));
    let mut changes: Vec<(u64, Change<'_>)> = present
        .map(|item| (item.version(), Change::Present(item)))
        .chain(gone.map(|gone| (gone.left, Change::Gone(gone))))
        .collect();
    changes.sort_by_key(|(version, _)| *version);
    let mut page: Vec<Value> = Vec::new();
    let mut changes = changes.into_iter().peekable();
    while let Some((version, change)) = changes.next() {
        let told = token.partly.take().filter(|(of, _)| *of == version).map_or(0, |(_, told)| told);
        let mut of_item = match change {
            Change::Present(item) => present_rows(scene, item, token, look),
            Change::Gone(gone) => gone_rows(gone, token, look),
        };
        of_item.drain(..told.min(of_item.len()));
        let room = size.saturating_sub(page.len());
        if of_item.len() > room {
            page.extend(of_item.drain(..room));
            token.partly = Some((version, told + room));
            return (page, false);
        }
        page.extend(of_item);
        token.since = version;
        if page.len() >= size && changes.peek().is_some() {
            return (page, false);
        }
    }
    (page, true)
}

fn present_rows(scene: &Scene<'_>, item: &Item, token: &Token, look: &Look) -> Vec<Value> {
    let (Some(from), Some(to)) = (token.from, token.to) else {
        let since_start = token.from.is_none_or(|from| item.content.end >= from || item.series.is_some());
        return if since_start { vec![few(item.view(), look)] } else { Vec::new() };
    };
    if token.followed == Followed::Events {
        let views = find::window(std::iter::once(item), from, to);
        return if views.is_empty() { Vec::new() } else { vec![few(item.view(), look)] };
    }
    let views = find::window(std::iter::once(item), from, to);
    let shows_master = scene.settings.delta_masters && item.series.is_some() && !views.is_empty();
    let master = shows_master.then(|| item.view());
    let mut rows: Vec<Value> =
        master.into_iter().chain(views.iter().copied()).map(|view| event::write(view, look).into()).collect();
    // Whatever changed and is not in the window is told as removed, whether it was ever there or not.
    if item.version() > token.base {
        let shown: Vec<DateTime<Utc>> = views.iter().filter_map(|view| view.original_start).collect();
        let was_single = item.became_series.is_some_and(|version| version > token.since);
        if was_single || (item.series.is_none() && views.is_empty()) {
            rows.push(removed(&event::id_of(item.view(), look)));
        }
        let now = item.as_former(item.version());
        let old = item.former.iter().filter(|former| former.left > token.since);
        let mut lost: Vec<DateTime<Utc>> =
            old.chain(now.iter()).flat_map(|former| in_window(former, from, to)).collect();
        // Wherever they were moved to.
        let series = item.series.iter();
        lost.extend(series.flat_map(|series| series.exceptions.keys().chain(series.deleted.iter())));
        lost.retain(|at| !shown.contains(at));
        lost.sort_unstable();
        lost.dedup();
        let id = if look.immutable_ids { &item.immutable_id } else { &item.id };
        rows.extend(lost.into_iter().map(|start| removed(&rest_id(&ids::occurrence_id(id, start)))));
    }
    rows
}

fn gone_rows(gone: &Gone, token: &Token, look: &Look) -> Vec<Value> {
    let id = if look.immutable_ids { &gone.immutable_id } else { &gone.id };
    let mut rows = vec![removed(&rest_id(id))];
    if let (Followed::View, Some(from), Some(to)) = (token.followed, token.from, token.to) {
        let all = gone.former.iter().filter(|former| former.left > token.since);
        let mut starts: Vec<DateTime<Utc>> = all.flat_map(|former| in_window(former, from, to)).collect();
        starts.sort_unstable();
        starts.dedup();
        rows.extend(starts.into_iter().map(|start| removed(&rest_id(&ids::occurrence_id(id, start)))));
    }
    rows
}

/// Original starts of a series' instances in a window, with a day around it for those that were longer or moved.
fn in_window(former: &Former, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let around = TimeDelta::days(1);
    let starts = former.instances_before(to + around);
    starts.into_iter().filter(|start| *start >= from - around).collect()
}

fn removed(id: &str) -> Value {
    json!({ "@odata.type": "#microsoft.graph.event", "id": id, "@removed": { "reason": "deleted" } })
}

/// events/delta shows few properties; the rest is read one by one [event-delta, beta].
fn few(view: View<'_>, look: &Look) -> Value {
    let all = event::write(view, look);
    let names = ["@odata.etag", "id", "type", "start", "end", "subject", "iCalUId"];
    let pick = |name: &str| Some((name.to_owned(), all.get(name)?.clone()));
    Value::Object(names.into_iter().filter_map(pick).collect())
}

/// Makes a page as bad as the protocol allows, where asked to: rows twice, rows in any order.
fn disturb(scene: &Scene<'_>, rows: &mut Vec<Value>) {
    if scene.settings.delta_repeats
        && let Some(first) = rows.first().cloned()
    {
        rows.push(first);
    }
    if let Some(seed) = scene.settings.delta_shuffle {
        rows.shuffle(&mut StdRng::seed_from_u64(seed));
    }
}

fn write_token(token: &Token) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(token).unwrap_or_default())
}

fn read_token(scene: &Scene<'_>, text: &str, followed: Followed, epoch: u64) -> Result<Token, Refused> {
    let token: Option<Token> = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let ours = |token: &Token| {
        token.salt == scene.world.salt
            && token.followed == followed
            && token.since <= scene.world.version
            && scene.world.folders.iter().any(|folder| folder.id == token.folder && folder.mailbox == scene.mailbox)
    };
    let text = "The sync state generation is not found; a full synchronization is needed.";
    match token.filter(ours) {
        Some(token) if token.epoch == epoch => Ok(token),
        Some(token) if scene.settings.delta_reset == Reset::Gone => {
            let mut bare = scene.request.clone();
            bare.query.clear();
            let bound =
                |name, at: Option<DateTime<Utc>>| at.map(|at| (name, at.to_rfc3339_opts(SecondsFormat::Secs, true)));
            let bounds = [bound("startDateTime", token.from), bound("endDateTime", token.to)];
            let set: Vec<(&str, String)> =
                bounds.into_iter().flatten().chain([("$deltatoken", String::new())]).collect();
            let location = link(&bare, &set);
            Err(Refused::new(StatusCode::GONE, "syncStateNotFound", text).with(header::LOCATION, location))
        }
        _ => Err(Refused::bad("syncStateNotFound", text)),
    }
}
