//! Requirement 22 of the rule host, second half: machine code comes from the host's own cache and is checked before it is
//! used; whatever is wrong with the cache costs a compilation and nothing else.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use daybridge::model::Direction::CrmToExchange;
use daybridge::plugin::{Engine, EngineOptions, RuleEntry};
use serde_json::json;

use super::support::{appointment, chain_on, entry, passed};

const RULES: [&str; 3] = ["category", "status", "privacy"];
const ALL: u64 = RULES.len() as u64;

/// Starts a host's engine on a folder, loads and runs the rules, and answers how many had to be compiled.
async fn compiled_at_start(folder: &Path) -> u64 {
    let engine = Engine::with(EngineOptions { cache: Some(folder.to_owned()), ..EngineOptions::default() });
    let engine = engine.expect("an engine");
    let rules: Vec<RuleEntry> = RULES.iter().map(|name| entry(name, json!({}))).collect();
    let chain = chain_on(&engine, rules).expect("a chain that loads");
    assert_eq!(passed(&chain, CrmToExchange, &appointment()).await.appointment.categories, ["CRM"]);
    engine.compiled_count()
}

/// A folder below a temporary one, with the rules compiled into it.
async fn filled() -> (tempfile::TempDir, PathBuf) {
    let above = tempfile::tempdir().expect("a folder");
    let folder = above.path().join("rules/compiled");
    assert_eq!(compiled_at_start(&folder).await, ALL);
    assert_eq!(compiled_at_start(&folder).await, 0, "a second start finds all compiled");
    (above, folder)
}

/// The files with machine code, by name.
fn code(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).expect("the folder").map(|file| file.expect("a file").path());
    let mut files: Vec<PathBuf> = files.filter(|file| !file.ends_with("key")).collect();
    files.sort();
    files
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("there").permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

#[tokio::test]
async fn a_start_compiles_what_is_new_and_nobody_else_reads_the_code() {
    let (_above, folder) = filled().await;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("key")), 0o600);
    let files = code(&folder);
    assert_eq!(files.len(), RULES.len(), "{files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600));
    fs::remove_file(&files[0]).expect("ours");
    assert_eq!(compiled_at_start(&folder).await, 1);
}

#[tokio::test]
async fn r22_a_file_that_is_not_as_it_was_written_is_compiled_again_and_replaced() {
    let (_above, folder) = filled().await;
    let files = code(&folder);
    let good = fs::read(&files[0]).expect("a file");
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let longer = [good.as_slice(), b"more"].concat();
    for (what, bytes) in [
        ("a bit of the code", flipped(good.len() / 2)),
        ("the last bit", flipped(good.len() - 1)),
        ("a bit of the check", flipped(3)),
        ("the end is missing", good[..good.len() - 100].to_vec()),
        ("nothing is left", Vec::new()),
        ("something follows", longer),
        ("machine code without a check", good[32..].to_vec()),
    ] {
        fs::write(&files[0], bytes).expect("ours");
        assert_eq!(compiled_at_start(&folder).await, 1, "{what}");
        assert_eq!(compiled_at_start(&folder).await, 0, "{what}: replaced");
    }
    // Good code, but of another rule: the check is over the name, too.
    fs::copy(&files[1], &files[0]).expect("ours");
    assert_eq!(compiled_at_start(&folder).await, 1);
}

#[tokio::test]
async fn r22_code_of_another_engine_or_another_host_is_not_used() {
    let (_above, folder) = filled().await;
    for file in code(&folder) {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let (digest, engine) = name.split_once('.').expect("digest and engine");
        assert_eq!((digest.len(), engine.len()), (64, 16), "{name}");
        fs::rename(&file, folder.join(format!("{digest}.0123456789abcdef"))).expect("ours");
    }
    assert_eq!(compiled_at_start(&folder).await, ALL, "another engine's names are not asked for");

    let (_other_above, other) = filled().await;
    for file in code(&other) {
        fs::copy(&file, folder.join(file.file_name().expect("a name"))).expect("ours");
    }
    assert_eq!(compiled_at_start(&folder).await, ALL, "another host's key does not vouch for them here");
    assert_eq!(compiled_at_start(&folder).await, 0);
}

#[tokio::test]
async fn a_key_that_others_may_know_vouches_for_nothing() {
    let (_above, folder) = filled().await;
    let key = folder.join("key");
    let before = fs::read(&key).expect("the key");
    set_mode(&key, 0o640);
    assert_eq!(compiled_at_start(&folder).await, ALL);
    assert_ne!(fs::read(&key).expect("a new key"), before);
    assert_eq!(mode(&key), 0o600);
    fs::write(&key, b"short").expect("ours");
    assert_eq!(compiled_at_start(&folder).await, ALL);
    assert_eq!(compiled_at_start(&folder).await, 0);
}

#[tokio::test]
async fn a_folder_that_others_can_write_to_is_not_used() {
    let (above, folder) = filled().await;
    for open in [0o770, 0o707, 0o722] {
        set_mode(&folder, open);
        assert_eq!(compiled_at_start(&folder).await, ALL, "{open:o}");
    }
    set_mode(&folder, 0o700);
    assert_eq!(compiled_at_start(&folder).await, 0);
    let elsewhere = above.path().join("elsewhere");
    symlink(&folder, &elsewhere).expect("a link");
    assert_eq!(compiled_at_start(&elsewhere).await, ALL, "a link could be pointed elsewhere");
    let file = above.path().join("file");
    fs::write(&file, b"").expect("a file");
    assert_eq!(compiled_at_start(&file).await, ALL);
}
