//! Notifications: against the simulator, and against streams that break off, lie, or never speak.

use std::time::{Duration, Instant};

use daybridge::connector::ews::config::Notifications;
use daybridge::connector::{Connector as _, Problem};
use daybridge::model::{Container, Mail};
use daybridge::sim::fault::{Fault, Kind};

use super::answer;
use super::answers::{Canned, Say};
use super::sim::{Sim, draft, key, mailbox, susan, terry};

/// No named state takes longer than this on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

async fn ring(sim: &Sim, limit: Duration) -> Vec<Container> {
    sim.connector.doorbell(&[susan(), terry()], limit).await.unwrap()
}

/// Requests so far, without those for notifications being open.
fn requests(sim: &Sim) -> u64 {
    sim.running.faults().counters().requests
}

#[tokio::test]
async fn one_open_connection_rings_for_the_mailbox_that_changed() {
    let sim = Sim::start().await;
    assert_eq!(ring(&sim, LIMIT).await, [susan(), terry()], "a new subscription rings once");
    assert!(ring(&sim, SHORT).await.is_empty());
    let before = requests(&sim);
    for _ in 0..3 {
        assert!(ring(&sim, SHORT).await.is_empty());
    }
    assert_eq!(requests(&sim), before, "an idle mailbox costs no request");

    let wait = async {
        let rung = ring(&sim, LIMIT).await;
        (rung, Instant::now())
    };
    let write = async {
        sim.create(&draft("x"), &key(1), Mail::Silent).await;
        Instant::now()
    };
    let ((rung, heard), written) = tokio::join!(wait, write);
    assert_eq!(rung, [susan()]);
    println!("rang {:?} after the write was answered", heard.saturating_duration_since(written));
    assert!(heard.saturating_duration_since(written) < Duration::from_secs(2));

    // What happens while nobody waits is heard by the next who does.
    let made = sim.create(&draft("y"), &key(2), Mail::Silent).await;
    assert_eq!(ring(&sim, LIMIT).await, [susan()]);
    sim.connector.delete(&made.at, &made.version, Mail::Silent).await.unwrap();
    assert_eq!(ring(&sim, LIMIT).await, [susan()]);
    assert_eq!(sim.running.faults().counters().operations["GetStreamingEvents"], 1);
    assert_eq!(sim.running.faults().counters().operations["Subscribe"], 2);
}

#[tokio::test]
async fn other_mailboxes_may_come_and_go() {
    let sim = Sim::start().await;
    assert_eq!(sim.connector.doorbell(&[terry()], LIMIT).await.unwrap(), [terry()]);
    assert_eq!(ring(&sim, LIMIT).await, [susan()]);
    sim.create(&draft("x"), &key(1), Mail::Silent).await;
    assert_eq!(ring(&sim, LIMIT).await, [susan()]);
    assert!(sim.connector.doorbell(&[terry()], SHORT).await.unwrap().is_empty());
    assert!(sim.connector.doorbell(&[], SHORT).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_mailbox_that_refuses_does_not_silence_the_others() {
    let sim = Sim::start().await;
    let all = [mailbox("nobody"), susan()];
    assert_eq!(sim.connector.doorbell(&all, LIMIT).await.unwrap(), [susan()]);
    sim.create(&draft("x"), &key(1), Mail::Silent).await;
    assert_eq!(sim.connector.doorbell(&all, LIMIT).await.unwrap(), [susan()]);
    let before = requests(&sim);
    assert!(sim.connector.doorbell(&all, SHORT).await.unwrap().is_empty());
    assert_eq!(requests(&sim), before, "who refused is not asked again at once");
    let error = sim.connector.doorbell(&[mailbox("none")], LIMIT).await.unwrap_err();
    assert_eq!(error.problem, Problem::NoMailbox);
}

#[tokio::test]
async fn a_mailbox_that_is_too_busy_does_not_silence_the_others_and_is_left_alone() {
    for notifications in [Notifications::Streaming, Notifications::Pull] {
        let sim = Sim::with(|config| {
            config.notifications = notifications;
            config.pull_interval = Duration::from_millis(50);
        })
        .await;
        let mut busy = Fault::new("Subscribe", Kind::Throttle);
        (busy.container, busy.back_off_ms) = (Some("susan.maye@example.test".into()), Some(3_600_000));
        sim.running.faults().add(busy).unwrap();
        assert_eq!(ring(&sim, LIMIT).await, [terry()], "the first one is busy, the second one is listened to");
        let asked = requests(&sim);
        let hers = sim.connector.create(&susan(), &draft("hers"), &key(1), Mail::Silent).await.unwrap_err();
        assert!(matches!(hers.problem, Problem::Throttled { after: Some(left) } if left > Duration::from_secs(3_000)));
        assert_eq!(requests(&sim), asked, "not sent before the time");
        let (at, theirs, key) = (terry(), draft("theirs"), key(2));
        let (rung, _) = tokio::join!(ring(&sim, LIMIT), sim.connector.create(&at, &theirs, &key, Mail::Silent));
        assert_eq!(rung, [terry()]);
    }
}

#[tokio::test]
async fn a_lost_subscription_is_made_anew_and_rings() {
    let sim = Sim::start().await;
    ring(&sim, LIMIT).await;
    let lost =
        Fault { code: Some("ErrorSubscriptionNotFound".into()), ..Fault::new("GetStreamingEvents", Kind::Error) };
    sim.running.faults().add(lost).unwrap();
    // Each as soon as it may be subscribed again.
    let mut rung = Vec::new();
    while rung.len() < 2 {
        rung.extend(ring(&sim, LIMIT).await);
    }
    assert_eq!(rung, [susan(), terry()]);
    sim.create(&draft("x"), &key(1), Mail::Silent).await;
    assert_eq!(ring(&sim, LIMIT).await, [susan()]);
}

#[tokio::test]
async fn a_server_that_goes_down_ends_the_wait() {
    let sim = Sim::start().await;
    ring(&sim, LIMIT).await;
    assert!(ring(&sim, SHORT).await.is_empty());
    sim.running.faults().set_down(Some(daybridge::sim::fault::Down::Refuse));
    let error = sim.connector.doorbell(&[susan(), terry()], LIMIT).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Unreachable { .. }), "{error:?}");
    sim.running.faults().set_down(None);
    sim.create(&draft("x"), &key(1), Mail::Silent).await;
    assert_eq!(ring(&sim, LIMIT).await, [susan()], "what happened in between is not lost");
}

#[tokio::test]
async fn where_nothing_streams_it_is_asked() {
    for refuses in [false, true] {
        let sim = Sim::with(|config| {
            config.notifications = if refuses { Notifications::Streaming } else { Notifications::Pull };
            config.pull_interval = Duration::from_millis(50);
        })
        .await;
        if refuses {
            let fault = Fault { code: Some("ErrorInvalidRequest".into()), ..Fault::new("Subscribe", Kind::Error) };
            sim.running.faults().add(fault).unwrap();
        }
        assert_eq!(ring(&sim, LIMIT).await, [susan(), terry()]);
        assert!(ring(&sim, SHORT).await.is_empty());
        let (wanted, key) = (draft("x"), key(1));
        let (rung, _) = tokio::join!(ring(&sim, LIMIT), sim.create(&wanted, &key, Mail::Silent));
        assert_eq!(rung, [susan()]);
        assert!(ring(&sim, SHORT).await.is_empty(), "an event rings once");
        assert!(!sim.running.faults().counters().operations.contains_key("GetStreamingEvents"));
    }
}

#[tokio::test]
async fn notifications_can_be_switched_off() {
    let sim = Sim::with(|config| config.notifications = Notifications::Off).await;
    assert_eq!(sim.connector.doorbell(&[susan()], LIMIT).await.unwrap_err().problem, Problem::Unsupported);
}

fn subscribed(id: &str) -> Say {
    let body = format!(
        r#"<m:SubscribeResponse><m:ResponseMessages><m:SubscribeResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode>
        <m:SubscriptionId>{id}</m:SubscriptionId></m:SubscribeResponseMessage></m:ResponseMessages></m:SubscribeResponse>"#
    );
    Say::Whole("200 OK\r\nSet-Cookie: X-BackEndOverrideCookie=mb1~3; path=/; HttpOnly", answer(&body))
}

fn streamed(content: &str) -> String {
    answer(&format!(
        r#"<m:GetStreamingEventsResponse><m:ResponseMessages><m:GetStreamingEventsResponseMessage ResponseClass="Success"
        ><m:ResponseCode>NoError</m:ResponseCode>{content}</m:GetStreamingEventsResponseMessage></m:ResponseMessages></m:GetStreamingEventsResponse>"#
    ))
}

#[tokio::test]
async fn envelopes_may_come_in_any_pieces() {
    let hello = streamed("<m:ConnectionStatus>OK</m:ConnectionStatus>");
    let event = streamed(
        "<m:Notifications><m:Notification><t:SubscriptionId>b</t:SubscriptionId><t:CreatedEvent/></m:Notification></m:Notifications>",
    );
    let text = format!("{hello}\r\n{event}");
    let pieces = text.as_bytes().chunks(7).map(|piece| String::from_utf8(piece.to_vec()).unwrap()).collect();
    let server = Canned::new(vec![subscribed("a"), subscribed("b"), Say::Pieces(pieces)]);
    let connector = server.connector(|_| {});
    let both = [susan(), terry()];
    assert_eq!(connector.doorbell(&both, LIMIT).await.unwrap(), both);
    assert_eq!(connector.doorbell(&both, LIMIT).await.unwrap(), [terry()]);
    let requests = server.requests.lock().unwrap().clone();
    let head = |index: usize| requests[index].to_lowercase();
    assert!(!head(0).contains("cookie:") && head(0).contains("x-preferserveraffinity: true"));
    for index in [1, 2] {
        assert!(head(index).contains("cookie: x-backendoverridecookie=mb1~3"), "{}", head(index));
        assert!(head(index).contains("x-anchormailbox: susan.maye@example.test"));
    }
    assert!(requests[2].contains("<t:SubscriptionId>a</t:SubscriptionId><t:SubscriptionId>b</t:SubscriptionId>"));
}

#[tokio::test]
async fn a_stream_that_ends_at_once_is_an_error_not_a_loop() {
    for say in [Say::Pieces(vec![]), Say::Pieces(vec![streamed("<m:ConnectionStatus>Closed</m:ConnectionStatus>")])] {
        let server = Canned::new(vec![subscribed("a"), say]);
        let connector = server.connector(|_| {});
        connector.doorbell(&[susan()], LIMIT).await.unwrap();
        let error = connector.doorbell(&[susan()], LIMIT).await.unwrap_err();
        assert!(matches!(error.problem, Problem::Unreachable { .. }), "{error:?}");
        assert_eq!(server.operations(), ["Subscribe", "GetStreamingEvents"]);
    }
}

#[tokio::test]
async fn a_stream_of_nonsense_ends_with_a_bound() {
    for piece in ["x".repeat(10_000), "<Envelope></Envelope>".to_owned()] {
        let server = Canned::new(vec![subscribed("a"), Say::Endless(piece)]);
        let connector = server.connector(|_| {});
        connector.doorbell(&[susan()], LIMIT).await.unwrap();
        let error = connector.doorbell(&[susan()], LIMIT).await.unwrap_err();
        assert_eq!(error.problem, Problem::Malformed, "{error:?}");
    }
}

#[tokio::test]
async fn a_silent_stream_waits_no_longer_than_asked() {
    let server =
        Canned::new(vec![subscribed("a"), Say::Silence(streamed("<m:ConnectionStatus>OK</m:ConnectionStatus>"))]);
    let connector = server.connector(|_| {});
    connector.doorbell(&[susan()], LIMIT).await.unwrap();
    for _ in 0..3 {
        assert!(connector.doorbell(&[susan()], SHORT).await.unwrap().is_empty());
    }
    assert_eq!(server.operations(), ["Subscribe", "GetStreamingEvents"], "the connection stays open between waits");
}

#[tokio::test]
async fn subscriptions_named_as_lost_are_made_anew_after_a_pause() {
    let lost = answer(
        r#"<m:GetStreamingEventsResponse><m:ResponseMessages><m:M ResponseClass="Error"><m:ResponseCode>ErrorInvalidSubscription</m:ResponseCode>
        <m:ErrorSubscriptionIds><m:SubscriptionId>a</m:SubscriptionId></m:ErrorSubscriptionIds></m:M></m:ResponseMessages></m:GetStreamingEventsResponse>"#,
    );
    let server = Canned::new(vec![subscribed("a"), Say::Pieces(vec![lost]), subscribed("c")]);
    let connector = server.connector(|_| {});
    connector.doorbell(&[susan()], LIMIT).await.unwrap();
    assert!(connector.doorbell(&[susan()], SHORT).await.unwrap().is_empty(), "not in a tight loop");
    assert_eq!(connector.doorbell(&[susan()], LIMIT).await.unwrap(), [susan()]);
    assert_eq!(server.operations(), ["Subscribe", "GetStreamingEvents", "Subscribe"]);
}
