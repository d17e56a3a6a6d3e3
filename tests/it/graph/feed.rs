//! Where a feed stands, and what a page of a delta says.

use chrono::{DateTime, Utc};
use daybridge::connector::Cursor;
use daybridge::connector::graph::config::Window;
use daybridge::connector::graph::feed::{Endless, Old, Place};
use daybridge::connector::graph::wire::{Event, Page};
use serde_json::json;

use super::event;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn window(from: &str, to: &str) -> Window {
    Window { from: at(&format!("{from}T00:00:00Z")), to: at(&format!("{to}T00:00:00Z")) }
}

fn page(rows: Vec<Event>, next: Option<&str>, delta: Option<&str>) -> Page<Event> {
    Page { value: rows, next: next.map(str::to_owned), delta: delta.map(str::to_owned) }
}

fn row(id: &str, start: &str, end: &str) -> Event {
    let time = |text: &str| json!({"dateTime": text, "timeZone": "UTC"});
    event(json!({"id": id, "iCalUId": format!("uid-{id}"), "start": time(start), "end": time(end)}))
}

fn removed(id: &str) -> Event {
    serde_json::from_value(json!({"id": id, "@removed": {"reason": "deleted"}})).unwrap()
}

#[test]
fn a_place_outlives_the_host() {
    let places = [
        Place::start(window("2027-01-01", "2029-01-01")),
        Place {
            window: window("2027-01-08", "2029-01-08"),
            link: Some("https://graph.example.test/v1.0/x?$deltatoken=a b".into()),
            caught_up: true,
            old: Some(Old {
                window: window("2027-01-01", "2029-01-01"),
                link: "https://graph.example.test/old".into(),
            }),
        },
    ];
    for place in places {
        assert_eq!(Place::parse(&place.cursor()), Some(place));
    }
    for strange in [
        "",
        "H4sIAAA=",
        "{}",
        r#"{"v":2,"from":"2027-01-01T00:00:00Z","to":"2027-01-01T00:00:00Z","link":null,"caught_up":false,"old":null}"#,
    ] {
        assert_eq!(Place::parse(&Cursor(strange.into())), None, "{strange}");
    }
}

#[test]
fn the_last_word_on_an_item_counts_and_instances_stand_as_their_master() {
    let rows = vec![
        removed("a"),
        row("b", "2027-02-08T08:00:00", "2027-02-08T09:00:00"),
        row("a", "2027-02-08T08:00:00", "2027-02-08T09:00:00"),
        removed("b"),
        event(json!({"id": "o1", "type": "occurrence", "seriesMasterId": "m", "iCalUId": "uid-o1"})),
        event(json!({"id": "o2", "type": "exception", "seriesMasterId": "m", "iCalUId": "uid-o2"})),
        event(json!({"id": "", "iCalUId": "nobody"})),
    ];
    let start = Place::start(window("2027-01-01", "2029-01-01"));
    let (news, next, more) = start.take(page(rows, Some("https://g/next"), None)).unwrap();
    assert_eq!(news.present, [("a".to_owned(), Some("uid-a".to_owned())), ("m".to_owned(), None)]);
    assert_eq!(news.removed, ["b"]);
    assert_eq!((next.ask(), next.caught_up, more), (Some("https://g/next"), false, true));
    // An empty page in the middle is nothing special.
    let (news, next, more) = next.take(page(Vec::new(), None, Some("https://g/delta"))).unwrap();
    assert_eq!((news.present.len(), news.removed.len()), (0, 0));
    assert_eq!((next.ask(), next.caught_up, more), (Some("https://g/delta"), true, false));
    assert_eq!(next.take(page(Vec::new(), None, None)).unwrap_err(), Endless);
}

#[test]
fn a_window_that_fell_behind_is_begun_anew_and_nothing_between_is_missed() {
    let (old, new) = (window("2027-01-01", "2029-01-01"), window("2027-01-08", "2029-01-08"));
    let caught_up = Place { link: Some("https://g/delta-1".into()), caught_up: true, ..Place::start(old) };
    let early = window("2027-01-07", "2029-01-07");
    assert_eq!(caught_up.clone().rolled(early, 7), caught_up, "six days are not seven");
    let reading = Place { link: Some("https://g/next".into()), caught_up: false, ..caught_up.clone() };
    assert_eq!(reading.clone().rolled(new, 7), reading, "a round that is under way is not broken off");

    let rolled = caught_up.rolled(new, 7);
    assert_eq!((rolled.window, rolled.ask(), rolled.drains()), (new, None, false));
    // The new window is read; only what the old one did not show is told.
    let rows = vec![
        row("known", "2027-02-08T08:00:00", "2027-02-08T09:00:00"),
        row("edge", "2029-01-01T00:00:00", "2029-01-01T01:00:00"),
        row("across", "2028-12-31T23:00:00", "2029-01-01T01:00:00"),
    ];
    let (news, place, more) = rolled.take(page(rows, None, Some("https://g/delta-2"))).unwrap();
    assert_eq!(news.present.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["edge"]);
    assert!(more && place.drains(), "the old delta is read once more");
    assert_eq!(place.ask(), Some("https://g/delta-1"));
    let kept = Place::parse(&place.cursor()).unwrap();
    let rows = vec![row("known", "2027-02-09T08:00:00", "2027-02-09T09:00:00"), removed("gone")];
    let (news, place, more) = kept.take(page(rows, Some("https://g/old-next"), None)).unwrap();
    assert_eq!((news.present.len(), news.removed.len(), more), (1, 1, true), "what the old delta tells is told");
    assert_eq!(place.ask(), Some("https://g/old-next"));
    let (_, place, more) = place.take(page(Vec::new(), None, Some("https://g/unused"))).unwrap();
    assert!(!more);
    let expected = Place { link: Some("https://g/delta-2".into()), caught_up: true, ..Place::start(new) };
    assert_eq!(place, expected);
}

#[test]
fn windows_are_half_open() {
    let window = window("2027-02-08", "2027-02-09");
    for (start, end, inside) in [
        ("2027-02-07T23:00:00Z", "2027-02-08T00:00:00Z", false),
        ("2027-02-07T23:00:00Z", "2027-02-08T00:00:01Z", true),
        ("2027-02-08T00:00:00Z", "2027-02-08T00:00:00Z", true),
        ("2027-02-08T23:59:59Z", "2027-02-10T00:00:00Z", true),
        ("2027-02-09T00:00:00Z", "2027-02-09T01:00:00Z", false),
        ("2027-02-01T00:00:00Z", "2027-03-01T00:00:00Z", true),
    ] {
        assert_eq!(window.touches(at(start), at(end)), inside, "{start} to {end}");
    }
}
