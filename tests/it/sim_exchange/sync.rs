//! SyncFolderItems: whoever follows the states knows the folder, however pages and changes fall.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use roxmltree::Document;

use super::{Id, SUSAN, Sim, TERRY, delete, ids_in, only, plain, set};

fn sync(state: &str, most: usize) -> String {
    let state = if state.is_empty() { String::new() } else { format!("<m:SyncState>{state}</m:SyncState>") };
    format!(
        "<m:SyncFolderItems><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>\
         <m:SyncFolderId><t:DistinguishedFolderId Id=\"calendar\"/></m:SyncFolderId>{state}\
         <m:MaxChangesReturned>{most}</m:MaxChangesReturned></m:SyncFolderItems>"
    )
}

/// A client that believes what it is told.
#[derive(Default)]
struct Follower {
    state: String,
    known: BTreeMap<String, String>,
}

impl Follower {
    /// Takes one page and answers whether it was the last, and the ids in order.
    async fn page(&mut self, sim: &Sim, most: usize) -> (bool, Vec<String>) {
        let text = sim.call(SUSAN, &sync(&self.state, most)).await;
        self.state = only(&text, "SyncState");
        let document = Document::parse(&text).unwrap();
        let mut told = Vec::new();
        let changes = document.descendants().find(|node| node.tag_name().name() == "Changes").unwrap();
        for change in changes.children() {
            let id = change.descendants().find(|node| node.tag_name().name() == "ItemId").unwrap();
            let (name, key) = (id.attribute("Id").unwrap().to_owned(), id.attribute("ChangeKey").unwrap_or_default());
            told.push(name.clone());
            let before = match change.tag_name().name() {
                "Delete" => self.known.remove(&name).is_some(),
                kind => {
                    let known = self.known.insert(name.clone(), key.to_owned()).is_some();
                    assert_eq!(kind == "Update", known, "{kind} of {name}");
                    continue;
                }
            };
            assert!(before, "deletion of an unknown item");
        }
        (only(&text, "IncludesLastItemInRange") == "true", told)
    }
}

#[tokio::test]
async fn pages_come_newest_first() {
    let sim = Sim::start().await;
    let mut made = Vec::new();
    for number in 0..5 {
        made.push(sim.create(SUSAN, "SendToNone", &plain(&format!("Number {number}"))).await);
    }
    let mut follower = Follower::default();
    let ids = |range: &[usize]| range.iter().map(|at| made[*at].id.clone()).collect::<Vec<_>>();
    assert_eq!(follower.page(&sim, 2).await, (false, ids(&[4, 3])));
    // A change in the middle of the run comes before what is still to be told.
    let subject = set("item:Subject", "<t:Subject>Changed</t:Subject>");
    sim.update(SUSAN, &made[1], "SendToNone", &subject).await;
    sim.update(SUSAN, &made[4], "SendToNone", &subject).await;
    assert_eq!(follower.page(&sim, 2).await, (false, ids(&[4, 1])));
    assert_eq!(follower.page(&sim, 2).await, (true, ids(&[2, 0])));
    assert_eq!(follower.page(&sim, 2).await, (true, vec![]));
    sim.stop().await;
}

#[tokio::test]
async fn a_follower_always_ends_with_the_truth() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let sim = Sim::start().await;
    let mut present: Vec<Id> = Vec::new();
    let mut follower = Follower::default();
    for _ in 0..150 {
        match chance.random_range(0..6) {
            0 | 1 => present.push(sim.create(SUSAN, "SendToNone", &plain("New")).await),
            2 if !present.is_empty() => {
                let at = chance.random_range(0..present.len());
                let subject = set("item:Subject", "<t:Subject>Changed</t:Subject>");
                present[at] = sim.update(SUSAN, &present[at], "SendToNone", &subject).await;
            }
            3 if !present.is_empty() => {
                let gone = present.swap_remove(chance.random_range(0..present.len()));
                let kind = if chance.random_bool(0.5) { "HardDelete" } else { "MoveToDeletedItems" };
                sim.call(SUSAN, &delete(kind, "SendToNone", &gone)).await;
            }
            _ => drop(follower.page(&sim, chance.random_range(1..5)).await),
        }
    }
    while !follower.page(&sim, 3).await.0 {}
    let truth: BTreeMap<_, _> = present.into_iter().map(|id| (id.id, id.key)).collect();
    assert_eq!(follower.known, truth, "seed {seed}");
    sim.stop().await;
}

#[tokio::test]
async fn a_moved_item_leaves_and_comes_back_as_new() {
    let sim = Sim::start().await;
    let id = sim.create(SUSAN, "SendToNone", &plain("Wanderer")).await;
    let mut follower = Follower::default();
    follower.page(&sim, 10).await;
    let to = |folder: &str, id: &Id| {
        format!(
            "<m:MoveItem><m:ToFolderId><t:DistinguishedFolderId Id=\"{folder}\"/></m:ToFolderId><m:ItemIds>{}</m:ItemIds></m:MoveItem>",
            id.xml()
        )
    };
    let moved = ids_in(&sim.call(SUSAN, &to("deleteditems", &id)).await).remove(0);
    assert_ne!(moved.id, id.id, "a move gives a new id");
    assert_eq!(follower.page(&sim, 10).await, (true, vec![id.id.clone()]));
    assert!(follower.known.is_empty());
    let back = ids_in(&sim.call(SUSAN, &to("calendar", &moved)).await).remove(0);
    assert_eq!(follower.page(&sim, 10).await, (true, vec![back.id.clone()]));
    assert_eq!(sim.codes(SUSAN, &super::get("IdOnly", "", &id.xml())).await, ["ErrorItemNotFound"]);
    sim.stop().await;
}

#[tokio::test]
async fn a_state_that_is_none_of_ours_is_refused() {
    let sim = Sim::start().await;
    sim.create(SUSAN, "SendToNone", &plain("One")).await;
    let state = only(&sim.call(SUSAN, &sync("", 10)).await, "SyncState");
    let other = Sim::start().await;
    for wrong in ["nonsense", "H4sIAA==", &state.to_lowercase()] {
        assert_eq!(sim.codes(SUSAN, &sync(wrong, 10)).await, ["ErrorInvalidSyncStateData"], "{wrong}");
    }
    assert_eq!(sim.codes(TERRY, &sync(&state, 10)).await, ["ErrorInvalidSyncStateData"], "of another folder");
    assert_eq!(other.codes(SUSAN, &sync(&state, 10)).await, ["ErrorInvalidSyncStateData"], "of another server");
    for most in [0, 513] {
        assert_eq!(sim.fault(SUSAN, "", &sync(&state, most)).await, "ErrorSchemaValidation");
    }
    sim.stop().await;
    other.stop().await;
}
