//! Ids that change with a move, ids that do not, and how one is found from the other.

use super::*;

async fn translate(sim: &Sim, ids: &[&str], from: &str, to: &str) -> Answer {
    let body = json!({ "inputIds": ids, "sourceIdType": from, "targetIdType": to });
    sim.post(&format!("/users/{SUSAN}/translateExchangeIds"), body).await
}

#[tokio::test]
async fn every_form_of_an_id_leads_to_every_other() {
    let sim = Sim::start().await;
    let made = sim.create(SUSAN, event("One", 8)).await;
    let forms = ["restId", "ewsId", "entryId", "restImmutableEntryId", "immutableEntryId"];
    let mut known = Vec::new();
    for form in forms {
        let answer = translate(&sim, &[id(&made)], "restId", form).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        known.push((form, answer.column("targetId")[0].to_owned()));
    }
    for (from, source) in &known {
        for (to, target) in &known {
            assert_eq!(translate(&sim, &[source], from, to).await.column("targetId"), [target], "{from} to {to}");
        }
    }
    let immutable = &known[3].1;
    let read = sim.get(&format!("/users/{SUSAN}/events/{immutable}")).await;
    assert_eq!(read.body["subject"], "One");
    let wrong = translate(&sim, &["nonsense", id(&made)], "restId", "ewsId").await;
    assert_eq!(wrong.body["value"][0]["errorDetails"]["code"], "ErrorInvalidIdMalformed");
    assert!(wrong.body["value"][1]["targetId"].is_string());
    let many: Vec<&str> = std::iter::repeat_n(id(&made), 1_001).collect();
    assert_eq!(translate(&sim, &many, "restId", "ewsId").await.status, StatusCode::BAD_REQUEST);
    sim.stop().await;
}

#[tokio::test]
async fn an_immutable_id_survives_what_changes_the_other() {
    let sim = Sim::start().await;
    let made = sim.create(SUSAN, event("One", 8)).await;
    let answer = translate(&sim, &[id(&made)], "restId", "restImmutableEntryId").await;
    let immutable = answer.column("targetId")[0].to_owned();
    sim.delete(&format!("/users/{SUSAN}/events/{}", id(&made))).await;
    // The event lies in Deleted Items now, under another id.
    let path = format!("/users/{SUSAN}/events/{immutable}");
    assert_eq!(sim.get(&path).await.status, StatusCode::NOT_FOUND);
    sim.set(json!({ "deleted_found": true })).await;
    let found = sim.get(&path).await;
    assert_eq!(found.body["subject"], "One");
    assert_ne!(found.body["id"], made["id"]);
    assert_eq!(sim.get(&format!("/users/{SUSAN}/events/{}", id(&made))).await.status, StatusCode::NOT_FOUND);
    sim.stop().await;
}
