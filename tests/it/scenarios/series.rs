//! Recurring series, both ways.

mod from_crm;
mod from_exchange;
mod lost;

use daybridge_tests::crm::Row;
use daybridge_tests::ews::Meeting;
use daybridge_tests::host::TestHost;
use daybridge_tests::time::{day, utc};

/// A pattern and a range as a person's Outlook writes them.
fn weekly(days: &str, start: &str, count: u32) -> String {
    format!(
        "<t:WeeklyRecurrence><t:Interval>1</t:Interval><t:DaysOfWeek>{days}</t:DaysOfWeek>\
         <t:FirstDayOfWeek>Monday</t:FirstDayOfWeek></t:WeeklyRecurrence>{}",
        counted(start, count)
    )
}

fn daily(start: &str, count: u32) -> String {
    format!("<t:DailyRecurrence><t:Interval>1</t:Interval></t:DailyRecurrence>{}", counted(start, count))
}

fn counted(start: &str, count: u32) -> String {
    format!(
        "<t:NumberedRecurrence><t:StartDate>{start}</t:StartDate><t:NumberOfOccurrences>{count}</t:NumberOfOccurrences>\
         </t:NumberedRecurrence>"
    )
}

fn endless(start: &str) -> String {
    format!("<t:NoEndRecurrence><t:StartDate>{start}</t:StartDate></t:NoEndRecurrence>")
}

/// The CRM's appointments that are not cancelled, by start.
async fn rows(host: &TestHost) -> Vec<Row> {
    let mut rows = host.crm().appointments().await;
    rows.sort_by_key(|row| row.text("Comm_DateTime"));
    rows
}

async fn starts(host: &TestHost) -> Vec<String> {
    rows(host).await.iter().map(|row| row.text("Comm_DateTime")).collect()
}

/// The days from `from` on, at an hour of the CRM's wall clock.
fn at(days: impl IntoIterator<Item = i64>, hour: u32) -> Vec<String> {
    days.into_iter().map(|offset| format!("{}T{hour:02}:00:00", day(offset))).collect()
}

/// What somebody's calendar shows in the days `from` to `until`.
async fn shown(host: &TestHost, name: &str, from: i64, until: i64) -> Vec<Meeting> {
    host.outlook(name).view(&utc(&day(from), 0), &utc(&day(until), 0)).await
}
