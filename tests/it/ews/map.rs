//! Calendar items to appointments and back, table by table.

use std::collections::BTreeMap;

use daybridge::connector::ews::config::{NamedProperty, PropertyKind};
use daybridge::connector::ews::map;
use daybridge::connector::ews::soap::{Header, answer as read, envelope};
use daybridge::connector::ews::wire::{CalendarItem, write_item};
use daybridge::connector::html;
use daybridge::model::{
    Address, Appointment, Attendee, AttendeeKind, Body, Importance, Key, Person, Response, Role, Scalar, Sensitivity,
    ShowAs, Status, Time, Zone,
};

use super::{config, item};

fn appointment(content: &str) -> Appointment {
    map::appointment(&item(content), &config()).unwrap()
}

/// What the server would show of a new item: written, and read back with the identity a server adds.
fn written_and_read(draft: &Appointment, config: &daybridge::connector::ews::config::EwsConfig) -> CalendarItem {
    let properties = map::new_item(draft, &Key::Crm("4711".into()), config);
    let header = Header { version: "Exchange2013_SP1", impersonate: None, zone: None };
    let text = envelope(header, |xml| xml.element("m:Items", &[], |xml| write_item(xml, &properties)));
    let text = text.replace("<t:CalendarItem>", r#"<t:CalendarItem><t:ItemId Id="AAMk1" ChangeKey="DwA"/>"#);
    read(&text, |items| Ok(CalendarItem::read(items.first_element_child().unwrap()).unwrap())).unwrap()
}

fn attendee(name: &str, address: &str, kind: AttendeeKind) -> Attendee {
    Attendee {
        person: Person { name: name.into(), address: Address::new(address) },
        user: None,
        kind,
        response: Response::None,
        responded: None,
    }
}

fn rich() -> Appointment {
    let (start, end) = ("2027-02-08T09:00:00Z".parse().unwrap(), "2027-02-08T10:00:00Z".parse().unwrap());
    let mut draft = Appointment::new("Site visit <b> & \"more\"", Time::timed(start, end, Zone::named("Europe/Paris")));
    draft.body = Body::plain("Bring samples\n\n  and a helmet: größe 58 \u{1F477}\ttab\n</t:Body>");
    draft.location = "Plant 2".into();
    draft.attendees = vec![
        attendee("Ann", "ann@x.test", AttendeeKind::Required),
        attendee("Bob", "bob@y.test", AttendeeKind::Optional),
        attendee("Room 1", "room1@x.test", AttendeeKind::Resource),
    ];
    draft.reminder_minutes = Some(0);
    draft.sensitivity = Sensitivity::Confidential;
    draft.show_as = ShowAs::WorkingElsewhere;
    draft.importance = Importance::High;
    draft.categories = vec!["Blue".into(), "Customer".into()];
    draft.custom = BTreeMap::from([
        ("colour".to_owned(), Scalar::Text("green".into())),
        ("count".to_owned(), Scalar::Number(-7)),
        ("flag".to_owned(), Scalar::Flag(true)),
    ]);
    draft
}

fn with_fields() -> daybridge::connector::ews::config::EwsConfig {
    let mut config = config();
    let property = |name: &str, kind| NamedProperty {
        set: "66f5a359-4659-4638-81a3-d1d2b2f5c5b4".into(),
        name: Some(name.into()),
        id: None,
        kind,
    };
    config.fields = BTreeMap::from([
        ("colour".to_owned(), property("Colour", PropertyKind::String)),
        ("count".to_owned(), property("Count", PropertyKind::Integer)),
        ("flag".to_owned(), property("Flag", PropertyKind::Boolean)),
    ]);
    config
}

#[test]
fn everything_written_is_read_back_the_same() {
    let config = with_fields();
    for draft in [rich(), Appointment::new("", rich().time)] {
        let wire = written_and_read(&draft, &config);
        assert_eq!(map::appointment(&wire, &config).unwrap(), draft);
        assert_eq!(map::stamp(&wire, &config), Some(Key::Crm("4711".into())));
    }
}

#[test]
fn enumerations_travel_both_ways() {
    let config = config();
    for sensitivity in [Sensitivity::Normal, Sensitivity::Personal, Sensitivity::Private, Sensitivity::Confidential] {
        for show_as in [ShowAs::Free, ShowAs::Tentative, ShowAs::Busy, ShowAs::OutOfOffice, ShowAs::WorkingElsewhere] {
            for importance in [Importance::Low, Importance::Normal, Importance::High] {
                let draft = Appointment { sensitivity, show_as, importance, ..Appointment::new("x", rich().time) };
                assert_eq!(map::appointment(&written_and_read(&draft, &config), &config).unwrap(), draft);
            }
        }
    }
    assert_eq!(appointment("<t:LegacyFreeBusyStatus>NoData</t:LegacyFreeBusyStatus>").show_as, ShowAs::Busy);
}

#[test]
fn text_bodies_round_trip() {
    let cases = [
        ("", ""),
        (" two leading spaces", " two leading spaces"),
        ("a\nb\n\nc", "a\nb\n\nc"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("kept: \u{A0}é \u{1F4C5} \u{200B}", "kept: \u{A0}é \u{1F4C5} \u{200B}"),
        ("line break at the end\n\n", "line break at the end"),
        ("gone: \u{0}\u{8}|", "gone: |"),
        ("<not>&html;", "<not>&html;"),
    ];
    for (text, expected) in cases {
        let mut draft = rich();
        draft.body = Body::plain(text);
        let back = map::appointment(&written_and_read(&draft, &config()), &config()).unwrap();
        assert_eq!((back.body.text.as_str(), back.body.html), (expected, None), "{text:?}");
    }
}

#[test]
fn html_bodies_are_projected_and_kept() {
    let body = appointment(
        r#"<t:Body BodyType="HTML">&lt;html&gt;&lt;body&gt;&lt;p&gt;Hello &lt;b&gt;you&lt;/b&gt;&lt;/p&gt;&lt;/body&gt;&lt;/html&gt;</t:Body>"#,
    );
    assert_eq!(body.body.text, "Hello you");
    assert_eq!(body.body.html.as_deref(), Some("<html><body><p>Hello <b>you</b></p></body></html>"));
}

#[test]
fn the_text_of_html() {
    let long = "word ".repeat(400);
    let cases = [
        ("", ""),
        ("<html><body></body></html>", ""),
        ("plain", "plain"),
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("one<br>two<br/><br>three", "one\ntwo\n\nthree"),
        ("<div>one</div><div>two</div>", "one\ntwo"),
        ("<ul><li>a</li><li>b</li></ul>", "* a\n* b"),
        (r#"<a href="https://meet.test/j/1">Join</a> now"#, "Join <https://meet.test/j/1> now"),
        (r#"<a href="https://meet.test/">https://meet.test</a>"#, "https://meet.test"),
        (r#"<a href="mailto:jo@x.test">jo@x.test</a>"#, "jo@x.test"),
        ("<style>p {color: red}</style><script>x()</script><p>text</p>", "text"),
        ("<p>a</p><hr><p>b</p>", "a\n\nb"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a\nb"),
        (&format!("<p>{long}</p>"), long.trim_end()),
        ("&lt;b&gt; &amp; &uuml;", "<b> & ü"),
    ];
    for (source, expected) in cases {
        assert_eq!(html::text(source).unwrap(), expected, "{source}");
    }
}

#[test]
fn html_of_hostile_shape_is_an_error() {
    for tag in ["div", "b", "BLOCKQUOTE", "table><tr><td", "ul><li"] {
        assert_eq!(html::text(&format!("<{tag}>").repeat(100_000)), Err(html::Unreadable), "{tag}");
    }
    assert_eq!(html::text(&"x".repeat(5 << 20)), Err(html::Unreadable));
    let quoted = format!("{}deep{}", "<blockquote><p>".repeat(120), "</blockquote>".repeat(120));
    assert!(html::text(&quoted).unwrap().ends_with("> deep"));
    let long = "<p>a line<br>".repeat(20_000);
    assert_eq!(html::text(&long).unwrap().matches("a line").count(), 20_000);
    let wire = item(&format!(r#"<t:Body BodyType="HTML">{}</t:Body>"#, "&lt;i&gt;".repeat(1_000)));
    assert!(map::appointment(&wire, &config()).is_err());
}

#[test]
fn whose_copy_it_is() {
    let people = "<t:RequiredAttendees><t:Attendee><t:Mailbox><t:EmailAddress>jo@x.test</t:EmailAddress></t:Mailbox></t:Attendee></t:RequiredAttendees>";
    let organizer = |address: &str| {
        format!(
            "<t:Organizer><t:Mailbox><t:Name>O</t:Name><t:EmailAddress>{address}</t:EmailAddress></t:Mailbox></t:Organizer>"
        )
    };
    let cases = [
        (organizer("other@x.test"), Role::Organizer, "no meeting, whoever made it"),
        (format!("<t:IsMeeting>true</t:IsMeeting>{}{people}", organizer("JO@x.test")), Role::Organizer, "own address"),
        (format!("<t:IsMeeting>true</t:IsMeeting>{}{people}", organizer("other@x.test")), Role::Attendee, "another's"),
        (
            format!(
                "<t:IsMeeting>true</t:IsMeeting><t:MyResponseType>Organizer</t:MyResponseType>{}{people}",
                organizer("alias@x.test")
            ),
            Role::Organizer,
            "own by an alias, told by the response",
        ),
        (
            format!(
                "<t:IsMeeting>true</t:IsMeeting>{}{people}<t:IsOrganizer>true</t:IsOrganizer>",
                organizer("alias@x.test")
            ),
            Role::Organizer,
            "own by an alias, told by the flag",
        ),
        (format!("{}{people}", organizer("other@x.test")), Role::Attendee, "people without the meeting flag"),
        ("<t:IsMeeting>true</t:IsMeeting>".to_owned(), Role::Attendee, "a meeting of nobody known"),
    ];
    for (content, expected, why) in cases {
        assert_eq!(map::role(&item(&content), &Address::new("jo@x.test")), expected, "{why}");
    }
}

#[test]
fn attendees_are_sorted_once_each_and_without_the_organizer() {
    let one = |address: &str, response: &str| {
        format!(
            "<t:Attendee><t:Mailbox><t:Name>N</t:Name><t:EmailAddress>{address}</t:EmailAddress></t:Mailbox>
            <t:ResponseType>{response}</t:ResponseType><t:LastResponseTime>2027-01-02T03:04:05Z</t:LastResponseTime></t:Attendee>"
        )
    };
    let found = appointment(&format!(
        "<t:Organizer><t:Mailbox><t:EmailAddress>boss@x.test</t:EmailAddress></t:Mailbox></t:Organizer>
        <t:RequiredAttendees>{}{}{}</t:RequiredAttendees><t:OptionalAttendees>{}{}</t:OptionalAttendees>
        <t:Resources>{}</t:Resources>",
        one("zoe@x.test", "Accept"),
        one("BOSS@x.test", "Organizer"),
        one("Ann@x.test", "Decline"),
        one("ann@X.test", "Accept"),
        one("max@x.test", "Tentative"),
        one("room@x.test", "Unknown"),
    ));
    let shown: Vec<_> = found.attendees.iter().map(|a| (a.person.address.as_str(), a.kind, a.response)).collect();
    let expected = [
        ("Ann@x.test", AttendeeKind::Required, Response::Declined),
        ("max@x.test", AttendeeKind::Optional, Response::Tentative),
        ("room@x.test", AttendeeKind::Resource, Response::None),
        ("zoe@x.test", AttendeeKind::Required, Response::Accepted),
    ];
    assert_eq!(shown, expected);
    assert_eq!(found.attendees[0].responded, Some("2027-01-02T03:04:05Z".parse().unwrap()));
    assert_eq!(found.organizer.unwrap().address, Address::new("boss@x.test"));
}

#[test]
fn an_attendees_copy_shows_its_owners_answer() {
    let wire = item(
        "<t:IsMeeting>true</t:IsMeeting><t:MyResponseType>Accept</t:MyResponseType>
        <t:Organizer><t:Mailbox><t:EmailAddress>boss@x.test</t:EmailAddress></t:Mailbox></t:Organizer>
        <t:RequiredAttendees><t:Attendee><t:Mailbox><t:EmailAddress>Jo@x.test</t:EmailAddress></t:Mailbox>
        <t:ResponseType>Unknown</t:ResponseType></t:Attendee><t:Attendee><t:Mailbox><t:EmailAddress>max@x.test</t:EmailAddress>
        </t:Mailbox><t:ResponseType>Unknown</t:ResponseType></t:Attendee></t:RequiredAttendees>
        <t:AppointmentReplyTime>2027-01-02T03:04:05Z</t:AppointmentReplyTime>",
    );
    let item = map::item(&wire, &Address::new("jo@x.test"), &config()).unwrap();
    let responses: Vec<_> = item.appointment.attendees.iter().map(|a| (a.response, a.responded.is_some())).collect();
    assert_eq!((item.role, responses), (Role::Attendee, vec![(Response::Accepted, true), (Response::None, false)]));
    assert_eq!((item.at.id.as_str(), item.version.0.as_str()), ("AAMk1", "DwAAABY1"));
}

#[test]
fn attendees_without_an_address_stay_in_the_crm() {
    let mut draft = rich();
    draft.attendees = vec![
        attendee("No Mail", "", AttendeeKind::Required),
        attendee("Old Exchange", "/O=ORG/CN=old", AttendeeKind::Required),
    ];
    let wire = written_and_read(&draft, &config());
    let addresses: Vec<_> = wire.required.iter().map(|found| found.mailbox.address.as_str()).collect();
    assert_eq!(addresses, ["/O=ORG/CN=old"]);
}

#[test]
fn reminders() {
    let reminder = |is_set: &str, minutes: &str| {
        appointment(&format!(
            "<t:ReminderIsSet>{is_set}</t:ReminderIsSet><t:ReminderMinutesBeforeStart>{minutes}</t:ReminderMinutesBeforeStart>"
        ))
        .reminder_minutes
    };
    assert_eq!(reminder("true", "30"), Some(30));
    assert_eq!(reminder("1", "0"), Some(0));
    assert_eq!(reminder("false", "30"), None);
    assert_eq!(reminder("true", "1525252321"), Some(15), "the mark for the client's own default");
    let mut draft = rich();
    draft.reminder_minutes = Some(u32::MAX);
    assert_eq!(written_and_read(&draft, &config()).reminder_minutes.as_deref(), Some("2629800"));
}

#[test]
fn the_rest_of_an_item() {
    let found = appointment(
        "<t:Subject>S</t:Subject><t:Categories><t:String>b</t:String><t:String>a</t:String><t:String>b</t:String></t:Categories>
        <t:IsCancelled>true</t:IsCancelled><t:JoinOnlineMeetingUrl>https://meet.test/1</t:JoinOnlineMeetingUrl>",
    );
    assert_eq!(found.categories, ["a", "b"]);
    assert_eq!(found.status, Status::Cancelled);
    assert_eq!(found.online_meeting.as_deref(), Some("https://meet.test/1"));
    assert_eq!(appointment("").status, Status::Pending);
}

#[test]
fn recurrences_in_the_words_of_rfc_5545() {
    let cases = [
        ("<t:DailyRecurrence><t:Interval>3</t:Interval></t:DailyRecurrence>", "FREQ=DAILY;INTERVAL=3"),
        (
            "<t:WeeklyRecurrence><t:Interval>1</t:Interval><t:DaysOfWeek>Monday Friday</t:DaysOfWeek><t:FirstDayOfWeek>Sunday</t:FirstDayOfWeek></t:WeeklyRecurrence>",
            "FREQ=WEEKLY;BYDAY=MO,FR;WKST=SU",
        ),
        (
            "<t:AbsoluteMonthlyRecurrence><t:Interval>2</t:Interval><t:DayOfMonth>15</t:DayOfMonth></t:AbsoluteMonthlyRecurrence>",
            "FREQ=MONTHLY;INTERVAL=2;BYMONTHDAY=15",
        ),
        (
            "<t:AbsoluteMonthlyRecurrence><t:Interval>1</t:Interval><t:DayOfMonth>31</t:DayOfMonth></t:AbsoluteMonthlyRecurrence>",
            "FREQ=MONTHLY;BYMONTHDAY=28,29,30,31;BYSETPOS=-1",
        ),
        (
            "<t:RelativeMonthlyRecurrence><t:Interval>1</t:Interval><t:DaysOfWeek>Tuesday</t:DaysOfWeek><t:DayOfWeekIndex>Second</t:DayOfWeekIndex></t:RelativeMonthlyRecurrence>",
            "FREQ=MONTHLY;BYDAY=2TU",
        ),
        (
            "<t:RelativeMonthlyRecurrence><t:Interval>1</t:Interval><t:DaysOfWeek>Weekday</t:DaysOfWeek><t:DayOfWeekIndex>Last</t:DayOfWeekIndex></t:RelativeMonthlyRecurrence>",
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
        ),
        (
            "<t:AbsoluteYearlyRecurrence><t:DayOfMonth>3</t:DayOfMonth><t:Month>October</t:Month></t:AbsoluteYearlyRecurrence>",
            "FREQ=YEARLY;BYMONTH=10;BYMONTHDAY=3",
        ),
        (
            "<t:RelativeYearlyRecurrence><t:DaysOfWeek>Sunday</t:DaysOfWeek><t:DayOfWeekIndex>Last</t:DayOfWeekIndex><t:Month>March</t:Month></t:RelativeYearlyRecurrence>",
            "FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU",
        ),
        ("<t:HourlyRecurrence><t:Interval>1</t:Interval></t:HourlyRecurrence>", "X-EWS=HourlyRecurrence"),
    ];
    let ranges = [
        ("<t:NoEndRecurrence><t:StartDate>2027-02-08</t:StartDate></t:NoEndRecurrence>", ""),
        (
            "<t:EndDateRecurrence><t:StartDate>2027-02-08</t:StartDate><t:EndDate>2027-12-31+01:00</t:EndDate></t:EndDateRecurrence>",
            ";UNTIL=20271231",
        ),
        (
            "<t:NumberedRecurrence><t:StartDate>2027-02-08</t:StartDate><t:NumberOfOccurrences>10</t:NumberOfOccurrences></t:NumberedRecurrence>",
            ";COUNT=10",
        ),
    ];
    for (pattern, rule) in cases {
        for (range, end) in ranges {
            let found = appointment(&format!("<t:Recurrence>{pattern}{range}</t:Recurrence>")).recurrence.unwrap();
            let end = if rule.starts_with("X-EWS") { "" } else { end };
            assert_eq!(found.rule, format!("{rule}{end}"));
        }
    }
}

#[test]
fn uids_and_their_binary_form() {
    let own = "040000008200E00074C5B7101A82E00807EB0208405BA3C1E5D0D801000000000000000010000000AABBCCDDEEFF00112233445566778899";
    let bytes = map::global_object_id(own);
    assert_eq!(bytes.len(), own.len() / 2);
    assert_eq!((&bytes[..4], &bytes[16..20]), (&[4, 0, 0, 0][..], &[0, 0, 0, 0][..]), "the instance date is left out");
    assert_eq!(bytes[20..22], [0x40, 0x5B]);
    let foreign = map::global_object_id("abc@example.test");
    assert_eq!(foreign[..16], bytes[..16]);
    assert_eq!(foreign[36..40], 29_u32.to_le_bytes());
    assert_eq!(&foreign[40..], b"vCal-Uid\x01\0\0\0abc@example.test\0");
}
