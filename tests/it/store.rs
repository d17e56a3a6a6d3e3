//! What every store keeps, and what sled's does with a folder that is taken, damaged or too new.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use daybridge::store::record::{self, Record, RecordError};
use daybridge::store::{Batch, Kv, MemoryStore, Row, SledStore, Store, StoreError, Tree};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

const A: Tree = Tree("a");
const B: Tree = Tree("ab");

async fn put(store: &dyn Store, tree: Tree, key: &str, value: &[u8]) {
    let mut batch = Batch::new();
    batch.put(tree, key, value);
    store.commit(batch).unwrap().await.unwrap();
}

fn keys(store: &dyn Store, tree: Tree, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let rows = store.scan(tree, prefix.as_bytes(), after.map(str::as_bytes), limit).unwrap();
    rows.into_iter().map(|row| String::from_utf8(row.key).unwrap()).collect()
}

/// Bytes that differ from place to place, so that a mixed-up part shows.
fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|place| ((place / 251) ^ (place * 7) ^ seed) as u8).collect()
}

async fn keeps_rows(store: &dyn Store) {
    assert_eq!(store.get(A, b"k").unwrap(), None);
    put(store, A, "k", b"one").await;
    put(store, B, "k", b"other").await;
    assert_eq!(store.get(A, b"k").unwrap().unwrap(), b"one");
    assert_eq!(store.get(B, b"k").unwrap().unwrap(), b"other");
    put(store, A, "k", b"").await;
    assert_eq!(store.get(A, b"k").unwrap().unwrap(), b"", "an empty value is a value");
    let mut batch = Batch::new();
    batch.remove(A, "k").remove(A, "never there").put(B, "k", "x").put(B, "k", "last counts");
    store.commit(batch).unwrap().await.unwrap();
    assert_eq!(store.get(A, b"k").unwrap(), None);
    assert_eq!(store.get(B, b"k").unwrap().unwrap(), b"last counts");
}

async fn scans_in_pages(store: &dyn Store) {
    for key in ["p1", "p2", "p3", "q", "o", "p"] {
        put(store, A, key, key.as_bytes()).await;
        put(store, B, key, b"of another tree").await;
    }
    assert_eq!(keys(store, A, "", None, 99), ["o", "p", "p1", "p2", "p3", "q"]);
    assert_eq!(keys(store, A, "p", None, 99), ["p", "p1", "p2", "p3"]);
    assert_eq!(keys(store, A, "p", None, 2), ["p", "p1"]);
    assert_eq!(keys(store, A, "p", Some("p1"), 2), ["p2", "p3"]);
    assert_eq!(keys(store, A, "p", Some("p3"), 2), [""; 0]);
    assert_eq!(keys(store, A, "p", Some("a"), 1), ["p"], "a start before the prefix is the prefix");
    assert_eq!(keys(store, A, "", Some("p3"), 0), [""; 0]);
}

async fn commits_all_or_nothing(store: &dyn Store) {
    put(store, A, "version", b"1").await;
    let mut stale = Batch::new();
    stale.expect(A, "version", Some(b"0".to_vec())).put(A, "version", "2").put(B, "row", "x");
    let refused = store.commit(stale).unwrap_err();
    assert!(matches!(refused, StoreError::Expectation { tree: "a" }), "{refused}");
    assert_eq!(store.get(A, b"version").unwrap().unwrap(), b"1");
    assert_eq!(store.get(B, b"row").unwrap(), None);

    let mut taken = Batch::new();
    taken.expect(A, "version", None).put(A, "version", "2");
    assert!(store.commit(taken).is_err());

    let mut good = Batch::new();
    good.expect(A, "version", Some(b"1".to_vec())).expect(B, "row", None).put(A, "version", "2").put(B, "row", "x");
    store.commit(good).unwrap().await.unwrap();
    assert_eq!(store.get(A, b"version").unwrap().unwrap(), b"2");
    assert_eq!(store.get(B, b"row").unwrap().unwrap(), b"x");

    let mut huge = Batch::new();
    huge.put(A, vec![b'x'; 20 << 10], "").put(B, "row", "y");
    assert!(matches!(store.commit(huge).unwrap_err(), StoreError::TooLarge { .. }));
    assert_eq!(store.get(B, b"row").unwrap().unwrap(), b"x");
}

async fn keeps_large_values_whole(store: &dyn Store) {
    let part = 64 << 10;
    for (seed, length) in
        [0, 1, part - 1, part, part + 1, 3 * part, 5_000_000, part * 2, 10, 700_000].into_iter().enumerate()
    {
        let value = pattern(length, seed);
        put(store, A, "large", &value).await;
        assert!(store.get(A, b"large").unwrap().unwrap() == value, "{length} bytes differ");
        let row = store.scan(A, b"large", None, 9).unwrap().remove(0);
        assert!(row.value == value, "{length} bytes differ in a scan");
        let mut unchanged = Batch::new();
        unchanged.expect(A, "large", Some(value)).put(B, "seen", length.to_string());
        store.commit(unchanged).unwrap().await.unwrap();
    }
    let mut gone = Batch::new();
    gone.remove(A, "large");
    store.commit(gone).unwrap().await.unwrap();
    assert_eq!(store.get(A, b"large").unwrap(), None);
}

async fn keeps_its_promises(store: &dyn Store) {
    keeps_rows(store).await;
    keeps_large_values_whole(store).await;
    commits_all_or_nothing(store).await;
    for tree in [A, B] {
        for key in keys(store, tree, "", None, 99) {
            let mut batch = Batch::new();
            batch.remove(tree, key);
            store.commit(batch).unwrap().await.unwrap();
        }
    }
    scans_in_pages(store).await;
}

#[tokio::test]
async fn memory_keeps_what_a_store_promises() {
    keeps_its_promises(&MemoryStore::new()).await;
}

#[tokio::test]
async fn sled_keeps_what_a_store_promises() {
    let folder = tempfile::tempdir().unwrap();
    keeps_its_promises(&SledStore::open(folder.path()).unwrap()).await;
}

#[tokio::test]
async fn memory_loses_at_a_power_cut_what_was_not_flushed_and_nothing_else() {
    let store = MemoryStore::held();
    let commit = |value: &str| {
        let mut batch = Batch::new();
        batch.put(A, "k", value).put(B, value, "");
        store.commit(batch).unwrap()
    };
    let first = commit("1");
    store.flush();
    first.await.unwrap();
    let (second, third) = (commit("2"), commit("3"));
    assert_eq!(store.get(A, b"k").unwrap().unwrap(), b"3", "reads see what is not durable yet");
    let next = store.power_lost(1);
    assert!(second.await.is_err(), "it is on disk, but nobody was told");
    assert!(third.await.is_err());
    assert!(store.get(A, b"k").is_err(), "this process is dead");
    assert_eq!(next.get(A, b"k").unwrap().unwrap(), b"2");
    assert_eq!(keys(&next, B, "", None, 9), ["1", "2"]);
}

#[tokio::test]
async fn sled_finds_everything_again_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let large = pattern(1_000_000, 3);
    for round in 0..3 {
        let store = SledStore::open(folder.path()).unwrap();
        if round > 0 {
            assert_eq!(keys(&store, A, "", None, 9999).len(), 500 * round);
            assert!(store.get(B, b"large").unwrap().unwrap() == large);
        }
        let commits: Vec<_> = (0..500)
            .map(|number| {
                let mut batch = Batch::new();
                batch.put(A, format!("{round}-{number}"), pattern(900, number));
                store.commit(batch).unwrap()
            })
            .collect();
        put(&store, B, "large", &large).await;
        for commit in commits {
            commit.await.unwrap();
        }
    }
}

#[tokio::test]
async fn sled_is_private_and_writes_no_value_outside_its_synced_file() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("new").join("data");
    let store = SledStore::open(&data).unwrap();
    for number in 0..200 {
        put(&store, A, &format!("{number}"), &pattern(64 << 10, number)).await;
    }
    put(&store, A, "huge", &pattern(20 << 20, 1)).await;
    assert_eq!(fs::read_dir(store.folder().join("blobs")).unwrap().count(), 0);
    #[cfg(unix)]
    for folder in [data.as_path(), store.folder()] {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700, "{}", folder.display());
    }
}

#[tokio::test]
async fn a_second_host_on_the_folder_is_refused_until_the_first_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let first = SledStore::open(folder.path()).unwrap();
    let error = SledStore::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
    assert!(error.hint().contains("stop the other host"), "{}", error.hint());
    put(&first, A, "k", b"still works").await;
    drop(first);
    let second = SledStore::open(folder.path()).unwrap();
    assert_eq!(second.get(A, b"k").unwrap().unwrap(), b"still works");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = SledStore::open(&file.join("data")).unwrap_err();
    assert!(matches!(error, StoreError::File { .. }), "{error:?}");
    assert!(error.to_string().contains("file/data"), "{error}");
}

const ROWS: usize = 1500;

/// A store that was written and closed; `reopened` leaves a snapshot beside the log, as a second start does.
async fn filled(folder: &Path, reopened: bool) {
    let store = SledStore::open(folder).unwrap();
    let mut durable = None;
    for number in 0..ROWS {
        let mut batch = Batch::new();
        batch.put(A, format!("{number:05}"), pattern(2000, number));
        durable = Some(store.commit(batch).unwrap());
    }
    durable.unwrap().await.unwrap();
    drop(store);
    if reopened {
        put(&SledStore::open(folder).unwrap(), B, "reopened", b"").await;
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// Opens a damaged store, twice: a start must not turn damage into a smaller store that looks sound.
fn report_or_keep_all(name: &str, folder: &Path) -> bool {
    let mut reported = 0;
    for _ in 0..2 {
        let found = SledStore::open(folder).and_then(|store| {
            let rows = store.scan(A, b"", None, 10_000)?;
            let intact = |(number, row): (usize, &Row)| row.value == pattern(2000, number);
            assert!(rows.iter().enumerate().all(intact), "{name}: wrong content");
            Ok(rows.len())
        });
        match found {
            Ok(found) => assert_eq!(found, ROWS, "{name}: opened with rows missing"),
            Err(error) => {
                assert!(matches!(error, StoreError::Damaged { .. }), "{name}: {error:?}");
                assert!(error.hint().contains("from a backup"), "{name}: {}", error.hint());
                reported += 1;
            }
        }
    }
    assert!(reported != 1, "{name}: reported once, then forgotten");
    reported > 0
}

#[tokio::test]
async fn a_damaged_store_is_an_error_with_a_hint_and_never_a_panic_or_a_smaller_store() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 7] = [
        ("the main file is gone", |store| fs::remove_file(store.join("db")).unwrap()),
        ("the main file is empty", |store| fs::write(store.join("db"), "").unwrap()),
        ("the main file is noise", |store| fs::write(store.join("db"), pattern(1 << 20, 5)).unwrap()),
        ("the main file is cut short", |store| {
            fs::OpenOptions::new().write(true).open(store.join("db")).unwrap().set_len(2_000_000).unwrap();
        }),
        ("the start is overwritten", |store| overwrite(&store.join("db"), 0, 64 << 10)),
        ("one bit is wrong", |store| overwrite(&store.join("db"), 1_000_000, 1)),
        ("a value lies outside", |store| fs::write(store.join("blobs").join("12345"), "x").unwrap()),
    ];
    for reopened in [false, true] {
        let sound = tempfile::tempdir().unwrap();
        filled(sound.path(), reopened).await;
        for (name, damage) in damages {
            let folder = tempfile::tempdir().unwrap();
            copy(sound.path(), folder.path());
            damage(&folder.path().join("store"));
            assert!(report_or_keep_all(name, folder.path()), "{name}: not noticed");
        }
    }
}

#[tokio::test]
async fn damage_anywhere_is_reported_unless_nothing_is_lost_by_it() {
    const SEED: u64 = 11;
    println!("seed {SEED}");
    let mut random = StdRng::seed_from_u64(SEED);
    let mut reported = 0;
    for reopened in [false, true] {
        let sound = tempfile::tempdir().unwrap();
        filled(sound.path(), reopened).await;
        let length = fs::metadata(sound.path().join("store/db")).unwrap().len() as usize;
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            copy(sound.path(), folder.path());
            let bytes = [1, 16, 512, 4096, 100_000][random.random_range(0..5)];
            let at = random.random_range(0..length - bytes);
            overwrite(&folder.path().join("store/db"), at, bytes);
            let name = format!("{bytes} bytes at {at} of {length}, reopened: {reopened}");
            reported += u32::from(report_or_keep_all(&name, folder.path()));
        }
    }
    assert!(reported > 10, "only {reported} of 40 were noticed");
}

/// Every byte there is changed.
fn overwrite(path: &Path, at: usize, length: usize) {
    let mut bytes = fs::read(path).unwrap();
    for (byte, noise) in bytes[at..at + length].iter_mut().zip(pattern(length, 77)) {
        *byte ^= noise | 1;
    }
    fs::write(path, bytes).unwrap();
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Brake {
    held: Vec<String>,
    until: u32,
}

impl Record for Brake {
    const KIND: &'static str = "brake";
    const VERSION: u32 = 3;

    fn upgrade(from: u32, mut data: serde_json::Value) -> Option<serde_json::Value> {
        match from {
            // Version 1 had one name only.
            1 => data["held"] = json!([data["held"]]),
            2 => data["until"] = json!(7),
            _ => return None,
        }
        Some(data)
    }
}

#[test]
fn records_of_older_versions_are_upgraded_and_of_newer_ones_refused() {
    let today = Brake { held: vec!["x".into()], until: 7 };
    assert_eq!(record::decode::<Brake>(&record::encode(&today).unwrap()).unwrap(), today);
    let stored = |text: serde_json::Value| record::decode::<Brake>(text.to_string().as_bytes());
    assert_eq!(stored(json!({"v": 1, "kind": "brake", "data": {"held": "x"}})).unwrap(), today);
    assert_eq!(stored(json!({"v": 2, "kind": "brake", "data": {"held": ["x"]}})).unwrap(), today);

    let newer = stored(json!({"v": 4, "kind": "brake", "data": {"other": true}})).unwrap_err();
    assert!(matches!(newer, RecordError::Newer { found: 4, known: 3, .. }), "{newer}");
    assert!(newer.hint().contains("newer daybridge"), "{}", newer.hint());
    assert!(matches!(stored(json!({"v": 0, "kind": "brake", "data": {}})).unwrap_err(), RecordError::Version { .. }));
    assert!(matches!(stored(json!({"v": 3, "kind": "cake", "data": {}})).unwrap_err(), RecordError::Kind { .. }));
    assert!(matches!(stored(json!({"v": 3, "kind": "brake"})).unwrap_err(), RecordError::Malformed { .. }));
    assert!(matches!(record::decode::<Brake>(b"\x00noise").unwrap_err(), RecordError::Malformed { .. }));
}

#[tokio::test]
async fn small_values_are_kept_by_kind_and_name() {
    let kv = Kv::new(Arc::new(MemoryStore::new()));
    let brake = |until| Brake { held: Vec::new(), until };
    assert_eq!(kv.get::<Brake>("crm").await.unwrap(), None);
    kv.put("crm", &brake(1)).await.unwrap();
    kv.put("exchange", &brake(2)).await.unwrap();
    assert_eq!(kv.get::<Brake>("crm").await.unwrap(), Some(brake(1)));
    assert!(!kv.replace("crm", Some(&brake(9)), &brake(3)).await.unwrap(), "it is not 9");
    assert!(kv.replace("crm", Some(&brake(1)), &brake(3)).await.unwrap());
    assert!(!kv.replace("crm", None, &brake(4)).await.unwrap(), "it exists");
    let all = kv.all::<Brake>().await.unwrap();
    assert_eq!(all, [("crm".to_owned(), brake(3)), ("exchange".to_owned(), brake(2))]);
    kv.remove::<Brake>("crm").await.unwrap();
    assert_eq!(kv.get::<Brake>("crm").await.unwrap(), None);
}
