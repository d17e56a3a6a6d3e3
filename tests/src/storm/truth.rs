//! What both sides show, in one form; and what people typed since both sides last agreed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Europe::Berlin;

use crate::crm::{Crm, Row};
use crate::ews::{Meeting, Outlook};
use crate::host::Reach;
use crate::time::{day, utc};
use crate::user::{MARY, SUSAN, TERRY, WILLIAM};

/// The tag of the rule that comes and goes.
pub const TAG: &str = "[CRM] ";
/// Address, CRM id and mailbox name of the four.
pub const PEOPLE: [(&str, &str); 4] =
    [("susan.maye", SUSAN), ("terry.smith", TERRY), ("mary.jones", MARY), ("william.dolan", WILLIAM)];
/// What a series itself is called, as against its occurrences.
pub const MASTER: &str = "RecurringMaster";
const DAYS: i64 = 75;
pub const GUEST: &str = "ann.lee@client.test";

pub fn address(who: usize) -> String {
    format!("{}@example.test", PEOPLE[who].0)
}

/// An appointment as one side shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    pub subject: String,
    pub time: String,
    pub location: String,
    pub text: String,
    pub private: bool,
    /// What is complete stays as it was for those who met: nothing is written that would mail them.
    pub complete: bool,
    pub organizer: String,
    pub people: BTreeSet<String>,
}

/// A field a person may have typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    Subject,
    Time,
    Location,
    Text,
}

impl Shown {
    pub fn get(&self, field: Field) -> &str {
        match field {
            Field::Subject => &self.subject,
            Field::Time => &self.time,
            Field::Location => &self.location,
            Field::Text => &self.text,
        }
    }
}

pub fn days(first: &str, last: &str) -> String {
    format!("{first}..{last}")
}

pub fn hours(start: DateTime<Utc>, end: DateTime<Utc>) -> String {
    format!("{} {}", start.format("%Y-%m-%dT%H:%M"), end.format("%Y-%m-%dT%H:%M"))
}

/// The date in Berlin of an instant as EWS writes it.
pub fn date(instant: &str) -> String {
    let instant: DateTime<Utc> = instant.parse().unwrap_or_default();
    instant.with_timezone(&Berlin).date_naive().to_string()
}

/// A wall time of the CRM as the host is to read it.
pub fn instant(wall: &str) -> Option<DateTime<Utc>> {
    let wall: NaiveDateTime = wall.parse().ok()?;
    Berlin.from_local_datetime(&wall).earliest().map(|time| time.to_utc())
}

/// Every live appointment of the CRM by its id.
pub async fn crm(crm: &Crm) -> BTreeMap<String, Shown> {
    let rows = crm.find("Communication", "comm_type eq 'Appointment' and comm_status ne 'Cancelled'").await;
    if rows.is_empty() {
        return BTreeMap::new();
    }
    let ids: Vec<String> = rows.iter().map(Row::id).collect();
    let links = crm.find("Comm_Link", &format!("cmli_comm_communicationid in ({})", ids.join(","))).await;
    rows.iter().map(|row| (row.id(), of_row(row, &links))).collect()
}

fn of_row(row: &Row, links: &[Row]) -> Shown {
    let date = |column: &str| row.text(column).split('T').next().unwrap_or_default().to_owned();
    let time = if row.text("Comm_IsAllDayEvent") == "Y" {
        let (first, mut last) = (date("Comm_DateTime"), date("Comm_ToDateTime"));
        if row.text("Comm_ToDateTime").ends_with("T00:00:00") && last > first {
            last = last
                .parse::<chrono::NaiveDate>()
                .ok()
                .and_then(|day| day.pred_opt())
                .map_or(last, |day| day.to_string());
        }
        days(&first, &last)
    } else {
        let at = |column: &str| instant(&row.text(column)).unwrap_or_default();
        hours(at("Comm_DateTime"), at("Comm_ToDateTime"))
    };
    let of = |id: &str| PEOPLE.iter().find(|(_, user)| *user == id).map(|(name, _)| format!("{name}@example.test"));
    let organizer = of(&row.text("Comm_Organizer")).unwrap_or_else(|| row.text("Comm_Organizer"));
    let id = row.id();
    let mut people: BTreeSet<String> = links
        .iter()
        .filter(|link| link.text("CmLi_Comm_CommunicationId") == id)
        .filter_map(|link| {
            of(&link.text("CmLi_Comm_UserId")).or_else(|| Some(link.text("cmli_recipient").to_lowercase()))
        })
        .filter(|address| !address.is_empty())
        .collect();
    people.remove(&organizer);
    Shown {
        subject: row.text("Comm_Subject"),
        time,
        location: row.text("Comm_Location"),
        text: row.text("Comm_Note").replace("\r\n", "\n").trim_end().to_owned(),
        private: row.text("Comm_Private") == "Y",
        complete: row.text("Comm_Status") == "Complete",
        organizer,
        people,
    }
}

/// The days that are looked at: what people book lies within them, series may go on behind.
pub fn from() -> String {
    utc(&day(0), 0)
}

pub fn until() -> String {
    utc(&day(DAYS), 0)
}

/// Every appointment and every occurrence that somebody of the four is the organizer of, by mailbox and item id.
pub async fn exchange(outlooks: &[Outlook]) -> BTreeMap<(usize, String), Shown> {
    let mut all = BTreeMap::new();
    for (who, outlook) in outlooks.iter().enumerate() {
        for item in outlook.view(&from(), &until()).await {
            if item.organizer == address(who) || item.organizer.is_empty() {
                all.insert((who, item.id.clone()), of_item(&item, who));
            }
        }
    }
    all
}

pub fn of_item(item: &Meeting, who: usize) -> Shown {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap_or_default();
    let time = if item.all_day {
        // Entered in Berlin or, by the host, in UTC: there it begins at midnight.
        let in_utc = at(&item.start).time() == chrono::NaiveTime::MIN;
        let day = |text: &str, back: i64| {
            let at = at(text) - chrono::TimeDelta::seconds(back);
            if in_utc { at.date_naive() } else { at.with_timezone(&Berlin).date_naive() }.to_string()
        };
        days(&day(&item.start, 0), &day(&item.end, 1))
    } else {
        hours(at(&item.start), at(&item.end))
    };
    Shown {
        subject: item.subject.strip_prefix(TAG).unwrap_or(&item.subject).to_owned(),
        time,
        location: item.location.clone(),
        text: item.body.replace("\r\n", "\n").trim_end().to_owned(),
        private: item.sensitivity == "Private",
        complete: false,
        organizer: address(who),
        people: item.attendees.iter().map(|(address, _)| address.clone()).filter(|one| *one != address(who)).collect(),
    }
}

/// An item by the place of its mailbox and its id.
pub type Place = (usize, String);

/// Whether both sides show the same appointment. Exchange knows nothing of what is complete; and a server that mails by itself is
/// told nothing of it that its guests would hear of.
fn alike(crm: &Shown, exchange: &Shown, reach: Reach) -> bool {
    let mut expected = Shown { complete: false, ..crm.clone() };
    let meets = !(crm.people.is_empty() && exchange.people.is_empty());
    if crm.complete && meets && reach.by_graph(&crm.organizer) {
        expected.subject.clone_from(&exchange.subject);
        expected.time.clone_from(&exchange.time);
        expected.location.clone_from(&exchange.location);
        expected.text.clone_from(&exchange.text);
        expected.private = exchange.private;
        expected.people.clone_from(&exchange.people);
    }
    expected == *exchange
}

/// Which item of Exchange shows what a row of the CRM shows: each exactly one. Otherwise in words what only one side shows.
pub fn match_up(
    crm: &BTreeMap<String, Shown>,
    exchange: &BTreeMap<Place, Shown>,
    reach: Reach,
) -> Result<BTreeMap<String, Place>, String> {
    let until = until();
    let crm: Vec<(&String, &Shown)> = crm.iter().filter(|(_, shown)| shown.time < until).collect();
    let mut left: BTreeMap<&Place, &Shown> = exchange.iter().collect();
    let mut pairs = BTreeMap::new();
    // What is the same in everything first: it leaves less to choose from. What is complete may differ; the days of a series
    // have the same subject.
    let fits: [fn(&Shown, &Shown) -> bool; 3] = [
        |shown, other| other.time == shown.time && other.subject == shown.subject,
        |shown, other| other.time == shown.time || other.subject == shown.subject,
        |_, _| true,
    ];
    for fits in fits {
        for (id, shown) in &crm {
            let fits = |other: &Shown| alike(shown, other, reach) && fits(shown, other);
            if !pairs.contains_key(*id)
                && let Some(at) = left.iter().find_map(|(at, other)| fits(other).then_some(*at))
            {
                left.remove(at);
                pairs.insert((*id).clone(), at.clone());
            }
        }
    }
    let alone = crm.iter().filter(|(id, _)| !pairs.contains_key(*id));
    let mut lines: Vec<String> = alone.map(|(id, shown)| format!("only the CRM shows {id}: {shown:?}")).collect();
    lines.extend(left.iter().map(|((who, _), shown)| format!("only Exchange shows in {}: {shown:?}", PEOPLE[*who].0)));
    if lines.is_empty() { Ok(pairs) } else { Err(lines.join("\n")) }
}

/// How many series the four are the organizers of.
pub async fn series(outlooks: &[Outlook]) -> u64 {
    let mut count = 0;
    for (who, outlook) in outlooks.iter().enumerate() {
        let own = |item: &Meeting| item.organizer == address(who) || item.organizer.is_empty();
        let masters = outlook.calendar().await.into_iter().filter(|item| item.kind == MASTER && own(item));
        count += masters.count() as u64;
    }
    count
}
