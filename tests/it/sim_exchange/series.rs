//! Recurring series: the six patterns as a calendar view shows them.

use super::{SUSAN, Sim, delete, id_in, texts};

fn series(pattern: &str, range: &str) -> String {
    format!(
        "<t:Subject>Series</t:Subject><t:Start>2027-01-31T08:00:00</t:Start><t:End>2027-01-31T09:00:00</t:End>\
         <t:Recurrence>{pattern}{range}</t:Recurrence><t:StartTimeZone Id=\"Romance Standard Time\"/>"
    )
}

fn view(from: &str, to: &str) -> String {
    format!(
        "<m:FindItem Traversal=\"Shallow\"><m:ItemShape><t:BaseShape>Default</t:BaseShape></m:ItemShape>\
         <m:CalendarView StartDate=\"{from}T00:00:00Z\" EndDate=\"{to}T00:00:00Z\"/>\
         <m:ParentFolderIds><t:DistinguishedFolderId Id=\"calendar\"/></m:ParentFolderIds></m:FindItem>"
    )
}

fn count(range: u32) -> String {
    format!(
        "<t:NumberedRecurrence><t:StartDate>2027-01-31</t:StartDate><t:NumberOfOccurrences>{range}</t:NumberOfOccurrences></t:NumberedRecurrence>"
    )
}

async fn check(pattern: &str, range: &str, starts: &[&str]) {
    let sim = Sim::start().await;
    let id = sim.create(SUSAN, "SendToNone", &series(pattern, range)).await;
    let shown = sim.call(SUSAN, &view("2027-01-01", "2028-12-31")).await;
    assert_eq!(texts(&shown, "Start"), starts, "{pattern}");
    let master = sim.get(SUSAN, &id).await;
    assert_eq!(texts(&master, "CalendarItemType"), ["RecurringMaster"]);
    assert_eq!(texts(&master, "Start").first().map(String::as_str), starts.first().copied(), "the master is the first");
    sim.stop().await;
}

#[tokio::test]
async fn the_six_patterns_expand() {
    let daily = "<t:DailyRecurrence><t:Interval>20</t:Interval></t:DailyRecurrence>";
    let until = "<t:EndDateRecurrence><t:StartDate>2027-01-31+01:00</t:StartDate><t:EndDate>2027-04-01+01:00</t:EndDate></t:EndDateRecurrence>";
    // From 28 March on eight o'clock is an hour earlier in UTC; 1 April is the day of the end and still belongs to it.
    check(
        daily,
        until,
        &["2027-01-31T07:00:00Z", "2027-02-20T07:00:00Z", "2027-03-12T07:00:00Z", "2027-04-01T06:00:00Z"],
    )
    .await;
    let weekly = "<t:WeeklyRecurrence><t:Interval>2</t:Interval><t:DaysOfWeek>Monday Sunday</t:DaysOfWeek>\
                  <t:FirstDayOfWeek>Monday</t:FirstDayOfWeek></t:WeeklyRecurrence>";
    check(
        weekly,
        &count(4),
        &["2027-01-31T07:00:00Z", "2027-02-08T07:00:00Z", "2027-02-14T07:00:00Z", "2027-02-22T07:00:00Z"],
    )
    .await;
    let monthly = "<t:AbsoluteMonthlyRecurrence><t:Interval>1</t:Interval><t:DayOfMonth>31</t:DayOfMonth></t:AbsoluteMonthlyRecurrence>";
    check(monthly, &count(3), &["2027-01-31T07:00:00Z", "2027-02-28T07:00:00Z", "2027-03-31T06:00:00Z"]).await;
    let relative = "<t:RelativeMonthlyRecurrence><t:Interval>1</t:Interval><t:DaysOfWeek>Weekday</t:DaysOfWeek>\
                    <t:DayOfWeekIndex>Last</t:DayOfWeekIndex></t:RelativeMonthlyRecurrence>";
    check(relative, &count(2), &["2027-02-26T07:00:00Z", "2027-03-31T06:00:00Z"]).await;
    let yearly = "<t:AbsoluteYearlyRecurrence><t:DayOfMonth>29</t:DayOfMonth><t:Month>February</t:Month></t:AbsoluteYearlyRecurrence>";
    check(yearly, &count(2), &["2027-02-28T07:00:00Z", "2028-02-29T07:00:00Z"]).await;
    let thursday = "<t:RelativeYearlyRecurrence><t:DaysOfWeek>Thursday</t:DaysOfWeek><t:DayOfWeekIndex>Second</t:DayOfWeekIndex>\
                    <t:Month>March</t:Month></t:RelativeYearlyRecurrence>";
    check(thursday, &count(2), &["2027-03-11T07:00:00Z", "2028-03-09T07:00:00Z"]).await;
}

#[tokio::test]
async fn occurrences_are_addressed_by_index() {
    let sim = Sim::start().await;
    let daily = "<t:DailyRecurrence><t:Interval>1</t:Interval></t:DailyRecurrence>";
    let id = sim.create(SUSAN, "SendToNone", &series(daily, &count(3))).await;
    let index = |index: i32| {
        let id = format!("<t:OccurrenceItemId RecurringMasterId=\"{}\" InstanceIndex=\"{index}\"/>", id.id);
        super::get("Default", "", &id)
    };
    let second = sim.call(SUSAN, &index(2)).await;
    assert_eq!(texts(&second, "Start"), ["2027-02-01T07:00:00Z"]);
    for outside in [0, 4] {
        let codes = sim.codes(SUSAN, &index(outside)).await;
        assert_eq!(codes, ["ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange"]);
    }
    let occurrence = id_in(&second).unwrap();
    assert_eq!(sim.codes(SUSAN, &delete("HardDelete", "SendToNone", &occurrence)).await, ["NoError"]);
    assert_eq!(sim.codes(SUSAN, &index(2)).await, ["ErrorCalendarOccurrenceIsDeletedFromRecurrence"]);
    assert_eq!(sim.codes(SUSAN, &delete("HardDelete", "SendToNone", &occurrence)).await, ["ErrorItemNotFound"]);
    let left = sim.call(SUSAN, &view("2027-01-01", "2028-01-01")).await;
    assert_eq!(texts(&left, "Start"), ["2027-01-31T07:00:00Z", "2027-02-02T07:00:00Z"]);
    sim.stop().await;
}

#[tokio::test]
async fn a_view_is_half_open_and_at_most_two_years() {
    let sim = Sim::start().await;
    sim.create(SUSAN, "SendToNone", "<t:Start>2027-02-08T00:00:00Z</t:Start><t:End>2027-02-09T00:00:00Z</t:End>").await;
    for (from, to, seen) in [
        ("2027-02-08", "2027-02-09", 1),
        ("2027-02-09", "2027-02-10", 1),
        ("2027-02-10", "2027-02-11", 0),
        ("2027-02-07", "2027-02-08", 0),
    ] {
        let found = sim.call(SUSAN, &view(from, to)).await;
        assert_eq!(texts(&found, "Start").len(), seen, "{from} to {to}");
    }
    assert_eq!(sim.codes(SUSAN, &view("2027-01-01", "2029-02-01")).await, ["ErrorCalendarViewRangeTooBig"]);
    sim.stop().await;
}
