//! Where a poll stands, as values.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDateTime, TimeDelta};
use chrono_tz::Tz;
use daybridge::connector::sage::feed::{Met, Pages, Place, Places, Walk};
use daybridge::connector::sage::wall::window_start;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const BERLIN: Tz = chrono_tz::Europe::Berlin;

fn overlap() -> TimeDelta {
    TimeDelta::seconds(120)
}

fn wall(text: &str) -> NaiveDateTime {
    text.parse().unwrap()
}

fn met(id: u32, stamp: &str, digest: &str) -> Met {
    Met { id: id.to_string(), stamp: Some(wall(stamp)), digest: digest.into() }
}

fn take(place: &mut Place, rows: &[Met]) -> Vec<String> {
    let taken = place.take(rows, Some(rows.len() as u64), 200, BERLIN, overlap());
    assert!(taken.drained);
    taken.news.iter().map(|position| rows[*position].id.clone()).collect()
}

#[test]
fn an_unchanged_row_in_the_overlap_is_told_once() {
    let mut place = Place::default();
    let rows = [met(1, "2027-02-01T08:00:00", "a"), met(2, "2027-02-01T08:05:00", "a")];
    assert_eq!(take(&mut place, &rows), ["1", "2"]);
    assert_eq!(place.since, Some(wall("2027-02-01T08:03:00")), "two minutes before the newest stamp of the server");
    assert_eq!(take(&mut place, &rows[1..]), [""; 0]);
    // Changed within the same second: the stamp is the same, the row is not.
    assert_eq!(take(&mut place, &[met(2, "2027-02-01T08:05:00", "b")]), ["2"]);
    // Visible late, with an earlier stamp.
    assert_eq!(take(&mut place, &[met(3, "2027-02-01T08:04:00", "a"), met(2, "2027-02-01T08:05:00", "b")]), ["3"]);
    // A server that understands days only sends more than was asked for.
    assert_eq!(take(&mut place, &[met(4, "2027-02-01T00:10:00", "a"), met(2, "2027-02-01T08:05:00", "b")]), [""; 0]);
    // An empty answer moves nothing.
    let before = place.clone();
    assert_eq!(take(&mut place, &[]), [""; 0]);
    assert_eq!(place, before);
    let places = Places::new(place.clone(), true);
    let text = places.to_text();
    assert_eq!(Places::parse(&text).unwrap(), places, "a cursor keeps it");
    assert!(text.len() < 1000);
    let older = Places::new(place, false);
    let without = older.to_text().replace("\"v\":2,\"walk\":null", "\"v\":1");
    assert_eq!(Places::parse(&without), Some(older), "one from before there were walks");
    for lost in ["", "{}", "4711", &text.replace("\"v\":2", "\"v\":3")] {
        assert_eq!(Places::parse(lost), None, "{lost}");
    }
}

#[test]
fn rows_without_a_stamp_are_told_when_met() {
    let mut place = Place::default();
    let bare = Met { id: "1".into(), stamp: None, digest: "a".into() };
    assert_eq!(take(&mut place, &[bare, met(2, "2027-02-01T08:05:00", "a")]), ["1", "2"]);
}

#[test]
fn the_night_when_clocks_go_back_hides_nothing() {
    for (newest, start) in [
        ("2027-10-31T01:59:00", "2027-10-31T01:57:00"),
        ("2027-10-31T02:59:59", "2027-10-31T01:57:59"),
        ("2027-10-31T03:01:00", "2027-10-31T01:59:00"),
        ("2027-10-31T03:02:00", "2027-10-31T03:00:00"),
        ("2027-03-28T03:00:30", "2027-03-28T02:58:30"),
    ] {
        assert_eq!(window_start(BERLIN, wall(newest), overlap()), wall(start), "{newest}");
    }
    let mut place = Place::default();
    assert_eq!(take(&mut place, &[met(1, "2027-10-31T02:59:50", "a")]), ["1"]);
    // An hour later by the sun, and earlier by the server's clock.
    assert_eq!(take(&mut place, &[met(2, "2027-10-31T02:00:10", "a"), met(1, "2027-10-31T02:59:50", "a")]), ["2"]);
    assert_eq!(take(&mut place, &[met(2, "2027-10-31T02:00:10", "a"), met(1, "2027-10-31T02:59:50", "a")]), [""; 0]);
}

#[test]
fn a_bulk_change_does_not_swell_the_cursor() {
    let mut place = Place::default();
    let rows: Vec<Met> = (0..10_000)
        .map(|id| met(id, &format!("2027-02-01T08:{:02}:{:02}", id / 6000, id / 100 % 60), "0123456789ab"))
        .collect();
    assert_eq!(take(&mut place, &rows).len(), 10_000);
    assert!(Places::new(place.clone(), true).to_text().len() < 200_000);
    assert_eq!(take(&mut place, &rows), [""; 0], "what is no longer remembered lies before the window");
}

/// A list that changes while it is paged, as the server shows it.
fn page(rows: &BTreeMap<(u32, u32), ()>, index: u64, count: usize) -> Vec<String> {
    rows.keys().skip(index as usize - 1).take(count).map(|(stamp, id)| format!("{id} {stamp}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, rng_seed: RngSeed::Fixed(20_270_207), ..ProptestConfig::default() })]

    /// Rows that move to the end of the list or leave it while it is paged make no other row slip through, as long as the
    /// list does not move all the time.
    #[test]
    fn paging_misses_nothing(
        size in 0_u32..200, count in 10_u32..60, cap in 10_usize..120, says_total in any::<bool>(),
        bursts in proptest::collection::vec((0_usize..6, proptest::collection::vec((0_u32..200, any::<bool>()), 1..60)), 0..=3),
    ) {
        // Keyed by update stamp, then id.
        let mut rows: BTreeMap<(u32, u32), ()> = (0..size).map(|id| ((id, id), ())).collect();
        let cap = if says_total { cap } else { cap.max(100) };
        let mut bursts: BTreeMap<usize, Vec<(u32, bool)>> = bursts.into_iter().collect();
        let (mut stamp, mut pages, mut found) = (1000, Pages::default(), BTreeSet::new());
        for round in 0.. {
            prop_assert!(round < 2000, "paging does not end");
            let marks = page(&rows, pages.index, cap.min(count as usize));
            found.extend(marks.iter().filter_map(|mark| mark.split(' ').next()).map(str::to_owned));
            if pages.take(&marks, says_total.then_some(rows.len() as u64), count) {
                break;
            }
            for (id, leaves) in bursts.remove(&round).unwrap_or_default() {
                let at = rows.keys().find(|(_, row)| *row == id).copied();
                if at.is_some_and(|at| rows.remove(&at).is_some()) && !leaves {
                    stamp += 1;
                    rows.insert((stamp, id), ());
                }
            }
        }
        for (_, id) in rows.keys() {
            prop_assert!(found.contains(&id.to_string()), "{id} slipped through");
        }
    }
}

#[test]
fn a_walk_goes_by_ids_and_notices_a_server_that_does_not() {
    let ids = |from: i64, to: i64| (from..to).map(|id| id.to_string()).collect::<Vec<_>>();
    let mut walk = Walk::default();
    assert_eq!(walk.take(&ids(1, 101), Some(150), 100), Some(false));
    assert_eq!(walk.after, Some(100));
    assert_eq!(walk.take(&ids(101, 151), Some(50), 100), Some(true), "no more than that lies behind");
    // A server that does not count: a page is the last if it is shorter than any server cuts.
    assert_eq!(Walk::default().take(&ids(1, 101), None, 1000), Some(false));
    assert_eq!(Walk::default().take(&ids(1, 100), None, 1000), Some(true));
    assert_eq!(Walk::default().take(&[], None, 100), Some(true));
    // It leaves the condition out, or the order.
    assert_eq!(walk.take(&ids(1, 101), Some(150), 100), None);
    assert_eq!(Walk::default().take(&["2".into(), "1".into()], None, 100), None);
    assert_eq!(Walk::default().take(&["a".into()], None, 100), None);
}

#[test]
fn what_a_walk_told_is_not_told_by_the_poll_behind_it() {
    let rows: Vec<Met> = (0..5).map(|id| met(id, &format!("2027-02-01T08:0{id}:00"), "a")).collect();
    let mut place = Place::at(wall("2027-02-01T08:04:00"), BERLIN, overlap());
    place.told(&rows);
    // What was written to since is.
    let later =
        [met(3, "2027-02-01T08:03:00", "a"), met(4, "2027-02-01T08:04:00", "a"), met(2, "2027-02-01T08:05:00", "b")];
    assert_eq!(take(&mut place, &later), ["2"]);
}
