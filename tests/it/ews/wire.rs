//! Elements in the order of the schema, updates one property each, settings that no server could work with.

use daybridge::connector::ews::config::{EwsConfig, STAMP_SET};
use daybridge::connector::ews::map;
use daybridge::connector::ews::soap::{Header, envelope};
use daybridge::connector::ews::wire::{CalendarItem, write_item, write_updates};
use daybridge::model::{Address, Appointment, Attendee, AttendeeKind, Body, Field, Key, Person, Response, Time, Zone};
use roxmltree::Document;

use super::{config, item};

/// The part of the schema's sequence that a sync writes (MS-OXWSCORE, MS-OXWSMTGS).
const SEQUENCE: [&str; 18] = [
    "Subject",
    "Sensitivity",
    "Body",
    "Categories",
    "Importance",
    "ReminderIsSet",
    "ReminderMinutesBeforeStart",
    "ExtendedProperty",
    "Start",
    "End",
    "IsAllDayEvent",
    "LegacyFreeBusyStatus",
    "Location",
    "RequiredAttendees",
    "OptionalAttendees",
    "Resources",
    "StartTimeZone",
    "EndTimeZone",
];

fn draft() -> Appointment {
    let (start, end) = ("2027-02-08T09:00:00Z".parse().unwrap(), "2027-02-08T10:00:00Z".parse().unwrap());
    let mut draft = Appointment::new("S", Time::timed(start, end, Zone::named("Europe/Berlin")));
    draft.body = Body::plain("text");
    draft.location = "L".into();
    draft.reminder_minutes = Some(15);
    draft.categories = vec!["c".into()];
    for (address, kind) in [
        ("a@x.test", AttendeeKind::Required),
        ("b@x.test", AttendeeKind::Optional),
        ("c@x.test", AttendeeKind::Resource),
    ] {
        let person = Person { name: "N".into(), address: Address::new(address) };
        draft.attendees.push(Attendee { person, user: None, kind, response: Response::None, responded: None });
    }
    draft
}

fn header() -> Header<'static> {
    Header { version: "Exchange2013_SP1", impersonate: None, zone: None }
}

#[test]
fn a_new_item_follows_the_schemas_sequence() {
    let properties = map::new_item(&draft(), &Key::Uid("0400".into()), &config());
    let text = envelope(header(), |xml| write_item(xml, &properties));
    let document = Document::parse(&text).unwrap();
    let found = document.descendants().find(|node| node.tag_name().name() == "CalendarItem").unwrap();
    let names: Vec<_> = found.children().map(|node| node.tag_name().name()).collect();
    assert_eq!(names, SEQUENCE);
    let stamp = document.descendants().find(|node| node.tag_name().name() == "ExtendedFieldURI").unwrap();
    assert_eq!(stamp.attribute("PropertySetId"), Some(STAMP_SET));
    assert_eq!(stamp.next_sibling().unwrap().text(), Some("uid:0400"));
}

/// `set Location`, `delete item:Categories`, ... as the update says.
fn updates(after: &Appointment, fields: &[Field]) -> Vec<String> {
    let properties = map::changes(after, fields, &config());
    let text = envelope(header(), |xml| write_updates(xml, &properties));
    let document = Document::parse(&text).unwrap();
    let list = document.descendants().find(|node| node.tag_name().name() == "Updates").unwrap();
    list.children()
        .map(|change| {
            let path = change.first_element_child().unwrap().attribute("FieldURI").unwrap().to_owned();
            match change.tag_name().name() {
                "SetItemField" => {
                    let item = change.last_element_child().unwrap();
                    assert_eq!(item.tag_name().name(), "CalendarItem");
                    let values: Vec<_> = item.children().map(|node| node.tag_name().name()).collect();
                    assert_eq!(values.len(), 1, "one property per change");
                    assert!(path.ends_with(values[0]), "{path} {values:?}");
                    format!("set {path}")
                }
                other => {
                    assert_eq!((other, change.children().count()), ("DeleteItemField", 1));
                    format!("delete {path}")
                }
            }
        })
        .collect()
}

#[test]
fn an_update_sets_and_deletes_one_property_each() {
    let full = draft();
    assert_eq!(updates(&full, &[Field::Location]), ["set calendar:Location"]);
    let times = [
        "set calendar:Start",
        "set calendar:End",
        "set calendar:IsAllDayEvent",
        "set calendar:StartTimeZone",
        "set calendar:EndTimeZone",
    ];
    assert_eq!(updates(&full, &[Field::Time]), times);
    assert_eq!(updates(&full, &[Field::Reminder]), ["set item:ReminderIsSet", "set item:ReminderMinutesBeforeStart"]);
    let mut empty = Appointment::new("", full.time.clone());
    empty.attendees = full.attendees.iter().take(1).cloned().collect();
    let fields = [
        Field::Subject,
        Field::Body,
        Field::Location,
        Field::Attendees,
        Field::Reminder,
        Field::Categories,
        Field::Sensitivity,
    ];
    let expected = [
        "delete item:Subject",
        "set item:Body",
        "delete calendar:Location",
        "set calendar:RequiredAttendees",
        "delete calendar:OptionalAttendees",
        "delete calendar:Resources",
        "set item:ReminderIsSet",
        "delete item:Categories",
        "set item:Sensitivity",
    ];
    assert_eq!(updates(&empty, &fields), expected);
}

#[test]
fn what_nobody_may_write_is_not_written() {
    let fields = [
        Field::Organizer,
        Field::Status,
        Field::OnlineMeeting,
        Field::Recurrence,
        Field::Regarding,
        Field::Responses,
        Field::Custom("comm_private".into()),
    ];
    assert!(map::changes(&draft(), &fields, &config()).is_empty());
}

#[test]
fn one_line_stays_one_line() {
    let mut draft = draft();
    draft.subject = "first\r\n second".into();
    let properties = map::changes(&draft, [&Field::Subject], &config());
    let text = envelope(header(), |xml| write_item(xml, &properties));
    assert!(text.contains("<t:Subject>first"), "{text}");
    assert!(!text.contains('\n') && text.contains("second"), "{text}");
}

#[test]
fn a_named_property_is_recognised_whatever_the_letter_case_of_its_set() {
    let wire: CalendarItem = item(&format!(
        r#"<t:ExtendedProperty><t:ExtendedFieldURI PropertySetId="{}" PropertyName="DaybridgeKey" PropertyType="String"/>
        <t:Value>crm:12</t:Value></t:ExtendedProperty>"#,
        STAMP_SET.to_uppercase()
    ));
    assert_eq!(map::stamp(&wire, &config()), Some(Key::Crm("12".into())));
    assert_eq!(map::stamp(&item(""), &config()), None);
}

#[test]
fn only_calendar_items_are_read() {
    for text in
        ["<Message><ItemId Id='1'/></Message>", "<CalendarItem/>", "<CalendarItem><ItemId Id=''/></CalendarItem>"]
    {
        assert_eq!(CalendarItem::read(Document::parse(text).unwrap().root_element()), None, "{text}");
    }
}

fn settings(text: &str) -> Result<EwsConfig, String> {
    let whole =
        format!("url = 'https://mail.example.test/EWS/Exchange.asmx'\nlogin = 'x'\npassword = 'top secret'\n{text}");
    let config: EwsConfig = toml::from_str(&whole).map_err(|error| error.to_string())?;
    config.check().map(|()| config)
}

#[test]
fn settings_have_defaults_and_hide_the_password() {
    let config = settings("").unwrap();
    assert_eq!((config.batch, config.page, config.impersonate), (10, 256, true));
    assert_eq!(config.version, "Exchange2013_SP1");
    assert!(!format!("{config:?}").contains("top secret"));
    let more =
        settings("[fields.Colour]\nset = 'PublicStrings'\nname = 'Colour'\n[http]\nrequest_timeout = 5").unwrap();
    assert_eq!(more.fields["Colour"].attributes()[0], ("DistinguishedPropertySetId", "PublicStrings".to_owned()));
}

#[test]
fn settings_that_cannot_work_are_refused_with_their_key() {
    let cases = [
        ("pages = 3", "pages"),
        ("page = 513", "page must be from 1 to 512"),
        ("page = 0", "page must be"),
        ("batch = 101", "batch must be"),
        ("requests_max = 0", "requests_max"),
        ("all_day_zone = 'Berlin'", "Berlin is not an IANA zone name"),
        ("pull_interval = 0", "at least 1 second"),
        ("notifications = 'push'", "push"),
        ("autodiscover_hosts = ['https://x.test']", "names of hosts"),
        ("[stamp]\nset = 'nonsense'\nname = 'x'", "neither a GUID"),
        ("[stamp]\nset = 'PublicStrings'\nname = 'x'\ntype = 'Integer'", "stamp must be of type String"),
        ("[fields.A]\nset = 'PublicStrings'", "fields.A"),
        ("[fields.A]\nset = 'PublicStrings'\nname = 'x'\nid = 3", "either a name or an id"),
    ];
    for (text, expected) in cases {
        let error = settings(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    for url in ["mail.example.test", "ftp://x.test/", "https://user:pass@x.test/"] {
        let mut config = config();
        config.url = url.into();
        assert!(config.check().is_err(), "{url}");
    }
}
