//! What is posted to the public address.

use daybridge::connector::graph::inbox::{Fate, Inbox, Reply};
use serde_json::json;

use super::susan;

fn post(inbox: &Inbox, entry: serde_json::Value) -> Reply {
    inbox.post(None, json!({ "value": [entry] }).to_string().as_bytes())
}

#[test]
fn the_handshake_gets_its_token_back() {
    let inbox = Inbox::new();
    assert_eq!(inbox.post(Some("a b+c"), b""), Reply::Token("a b+c".into()));
    assert_eq!(inbox.post(Some(&"x".repeat(3_000)), b""), Reply::Refused);
    for nothing in [&b""[..], b"<html>", b"[]", b"{\"value\": 1}"] {
        assert_eq!(inbox.post(None, nothing), Reply::Refused);
    }
}

#[test]
fn only_what_knows_the_secret_and_the_subscription_rings() {
    let inbox = Inbox::new();
    inbox.expect("sub-1", &susan());
    for strange in [
        json!({"subscriptionId": "sub-1"}),
        json!({"subscriptionId": "sub-1", "clientState": "guess"}),
        json!({"subscriptionId": "sub-2", "clientState": inbox.secret()}),
    ] {
        assert_eq!(post(&inbox, strange), Reply::Accepted);
        assert!(inbox.take().0.is_empty());
    }
    assert_eq!(inbox.passed_over(), 3);
    let ours = json!({"subscriptionId": "sub-1", "clientState": inbox.secret(), "changeType": "updated"});
    for _ in 0..5 {
        post(&inbox, ours.clone());
    }
    assert_eq!(inbox.take().0.into_iter().collect::<Vec<_>>(), [susan()], "five times is once");
    assert!(inbox.take().0.is_empty());
    inbox.forget("sub-1");
    post(&inbox, ours);
    assert!(inbox.take().0.is_empty());
    assert_ne!(Inbox::new().secret(), inbox.secret());
    assert!(inbox.secret().len() <= 128, "longer secrets are refused");
}

#[test]
fn the_life_of_a_subscription_is_heard_of() {
    let inbox = Inbox::new();
    inbox.expect("sub-1", &susan());
    let tell = |what: &str| {
        post(&inbox, json!({"subscriptionId": "sub-1", "clientState": inbox.secret(), "lifecycleEvent": what}));
        let (rung, fates) = inbox.take();
        (rung.len(), fates.into_iter().map(|(_, fate)| fate).collect::<Vec<_>>())
    };
    assert_eq!(tell("reauthorizationRequired"), (0, vec![Fate::Reauthorize]));
    assert_eq!(tell("subscriptionRemoved"), (1, vec![Fate::Removed]));
    assert_eq!(tell("missed"), (1, vec![]));
    assert_eq!(tell("somethingNew"), (1, vec![]));
}
