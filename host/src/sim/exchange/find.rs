//! GetItem and FindItem.
//!
//! Promises: a CalendarView shows series as occurrences, every other view as masters. Must not know: HTTP.

use chrono::{DateTime, Months, TimeDelta, Utc};

use super::call::Call;
use super::error::{ExchangeError, schema_violation};
use super::item::{Item, Kind, View};
use super::restriction::{self, Restriction};
use super::shape::Shape;
use super::xml::{Element, Messages, Read, Xml, integer, reject_schema};
use super::zones::{self, Zone};

/// Items of one page (FindCountLimit of the default throttling policy).
const PAGE_MAX: usize = 1_000;
/// A calendar view may span two years; a leap day is allowed for.
const VIEW_MONTHS_MAX: u32 = 24;

pub fn get_item(call: &Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let shape = Shape::read(request.need("ItemShape")?)?;
    let mut messages = Messages::new("GetItem");
    for id in request.need("ItemIds")?.kids() {
        let outcome = call.target(id).and_then(|target| call.view(&target));
        messages.add(outcome, |xml, view| xml.open("m:Items", |xml| shape.write(call.world, view, xml)));
    }
    messages.write("GetItem", xml);
    Ok(())
}

pub fn find_item(call: &Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let traversal = request.need_attribute("Traversal")?;
    if !matches!(traversal, "Shallow" | "SoftDeleted" | "Associated") {
        return Err(schema_violation("Traversal has no such value"));
    }
    let shape = Shape::read(request.need("ItemShape")?)?.for_finding();
    let restriction = reject_schema(request.kid("Restriction").map(Restriction::read).transpose())?;
    let order = request.kid("SortOrder").map(restriction::read_order).transpose()?.unwrap_or_default();
    let mut messages = Messages::new("FindItem");
    for folder in request.need("ParentFolderIds")?.kids() {
        let outcome = call.folder(folder).and_then(|folder| {
            let items: Vec<&Item> = match traversal {
                "Shallow" => call.world.in_folder(folder).collect(),
                // Nothing is kept in the dumpster, and no associated items exist.
                _ => Vec::new(),
            };
            if let Some(calendar_view) = request.kid("CalendarView") {
                return expand(items, calendar_view);
            }
            let restriction = restriction.as_ref().map_err(Clone::clone)?.as_ref();
            let mut views: Vec<View<'_>> = items.into_iter().map(Item::view).collect();
            views.retain(|view| restriction.is_none_or(|restriction| restriction.fits(*view)));
            views.sort_by(|one, other| restriction::compare(&order, *one, *other));
            page(views, request.kid("IndexedPageItemView"))
        });
        messages.add(outcome, |xml, page| page.write(xml, |xml, view| shape.write(call.world, view, xml)));
    }
    messages.write("FindItem", xml);
    Ok(())
}

/// What FindItem answers for one folder.
struct Page<'a> {
    views: Vec<View<'a>>,
    total: usize,
    next_offset: usize,
    is_last: bool,
}

impl Page<'_> {
    fn write(self, xml: &mut Xml, mut one: impl FnMut(&mut Xml, View<'_>)) {
        let (total, next) = (self.total.to_string(), self.next_offset.to_string());
        let attributes = [
            ("IndexedPagingOffset", next.as_str()),
            ("TotalItemsInView", total.as_str()),
            ("IncludesLastItemInRange", if self.is_last { "true" } else { "false" }),
        ];
        xml.element("m:RootFolder", &attributes, |xml| {
            xml.open("t:Items", |xml| self.views.into_iter().for_each(|view| one(xml, view)));
        });
    }
}

fn page<'a>(views: Vec<View<'a>>, node: Option<Element<'_>>) -> Result<Page<'a>, ExchangeError> {
    let number = |name: &str| -> Result<Option<usize>, ExchangeError> {
        let Some(text) = node.and_then(|node| node.attribute(name)) else { return Ok(None) };
        let number = usize::try_from(integer(text)?);
        number
            .map(Some)
            .map_err(|_| ExchangeError::new("ErrorInvalidIndexedPagingParameters", format!("{name} is negative.")))
    };
    let most = number("MaxEntriesReturned")?.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    if most == 0 {
        return Err(ExchangeError::new("ErrorInvalidPagingMaxRows", "MaxEntriesReturned must be greater than 0."));
    }
    let total = views.len();
    let offset = number("Offset")?.unwrap_or(0).min(total);
    let from_end = node.and_then(|node| node.attribute("BasePoint")) == Some("End");
    let first = if from_end { total.saturating_sub(offset + most) } else { offset };
    let views: Vec<View<'a>> = views.into_iter().skip(first).take(most).collect();
    let next_offset = if from_end { offset + views.len() } else { first + views.len() };
    Ok(Page { is_last: next_offset >= total, views, total, next_offset })
}

/// Single appointments and occurrences that touch the window, by start. As the protocol says, what ends before the
/// window or begins at or after its end is left out.
fn expand<'a>(items: Vec<&'a Item>, node: Element<'_>) -> Result<Page<'a>, ExchangeError> {
    let bound = |name: &str| zones::instant(node.need_attribute(name)?, &Zone::utc());
    let (from, to) = (bound("StartDate")?, bound("EndDate")?);
    if to < from {
        let text = "EndDate is earlier than StartDate.";
        return Err(ExchangeError::new("ErrorCalendarEndDateIsEarlierThanStartDate", text));
    }
    if from.checked_add_months(Months::new(VIEW_MONTHS_MAX)).is_some_and(|latest| to > latest + TimeDelta::days(1)) {
        return Err(ExchangeError::new("ErrorCalendarViewRangeTooBig", "A calendar view spans at most two years."));
    }
    let mut views = window(items.into_iter(), from, to);
    let most = match node.attribute("MaxEntriesReturned") {
        Some(text) => usize::try_from(integer(text)?).unwrap_or(0),
        None => PAGE_MAX,
    };
    if most == 0 {
        return Err(ExchangeError::new("ErrorInvalidPagingMaxRows", "MaxEntriesReturned must be greater than 0."));
    }
    let total = views.len();
    if total > PAGE_MAX && node.attribute("MaxEntriesReturned").is_none() {
        let text = format!("More than {PAGE_MAX} items; ask for a shorter window.");
        return Err(ExchangeError::new("ErrorExceededFindCountLimit", text));
    }
    views.truncate(most);
    Ok(Page { is_last: views.len() == total, next_offset: views.len(), total, views })
}

/// Single appointments and occurrences that touch the window, by start.
pub fn window<'a>(items: impl Iterator<Item = &'a Item>, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<View<'a>> {
    let touches = |view: &View<'_>| view.end >= from && view.start < to;
    let mut views: Vec<View<'a>> = Vec::new();
    for item in items.filter(|item| item.kind == Kind::Appointment) {
        match &item.series {
            None => views.extend(Some(item.view()).filter(|view| touches(view))),
            Some(series) => views.extend(
                instances(item, to)
                    .filter(|start| !series.deleted.contains(start))
                    .map(|start| item.instance(start))
                    .filter(|view| touches(view)),
            ),
        }
    }
    views.sort_by_key(|view| (view.start, view.end));
    views
}

/// Original starts of the instances that may lie before `to`: exceptions may have been moved there from later.
fn instances(item: &Item, to: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
    let moved = item.series.iter().flat_map(|series| series.exceptions.keys().copied());
    let later: Vec<_> = moved.filter(|start| *start >= to).collect();
    item.instances_before(to).into_iter().chain(later)
}
