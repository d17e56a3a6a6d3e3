//! Streaming notifications: the run of envelopes on one connection. (Pull is shown by exchangelib.)

use super::{LIMIT, SUSAN, Sim, TERRY, only, plain, texts};
use daybridge::sim::fault::Down;
use reqwest::Response;

fn subscribe() -> String {
    "<m:Subscribe><m:StreamingSubscriptionRequest><t:FolderIds><t:DistinguishedFolderId Id=\"calendar\"/></t:FolderIds>\
     <t:EventTypes><t:EventType>CreatedEvent</t:EventType><t:EventType>MovedEvent</t:EventType></t:EventTypes>\
     </m:StreamingSubscriptionRequest></m:Subscribe>"
        .into()
}

fn listen(ids: &[&str]) -> String {
    let ids: String = ids.iter().map(|id| format!("<t:SubscriptionId>{id}</t:SubscriptionId>")).collect();
    format!(
        "<m:GetStreamingEvents><m:SubscriptionIds>{ids}</m:SubscriptionIds><m:ConnectionTimeout>1</m:ConnectionTimeout></m:GetStreamingEvents>"
    )
}

/// A stream, read envelope by envelope.
struct Stream {
    answer: Response,
    text: String,
}

impl Stream {
    async fn open(sim: &Sim, login: &str, ids: &[&str]) -> Self {
        let answer = sim.request(login, "", &listen(ids)).send().await.unwrap();
        Self { answer, text: String::new() }
    }

    /// The next envelope; nothing at the end; an error if the connection was cut.
    async fn next(&mut self) -> Result<Option<String>, reqwest::Error> {
        const END: &str = "</s:Envelope>";
        loop {
            if let Some(at) = self.text.find(END) {
                let rest = self.text.split_off(at + END.len());
                return Ok(Some(std::mem::replace(&mut self.text, rest)));
            }
            match tokio::time::timeout(LIMIT, self.answer.chunk()).await.expect("an envelope in time")? {
                Some(chunk) => self.text.push_str(std::str::from_utf8(&chunk).unwrap()),
                None => return Ok(None),
            }
        }
    }
}

#[tokio::test]
async fn a_stream_tells_what_happens_until_the_server_stops() {
    let sim = Sim::start().await;
    let id = only(&sim.call(SUSAN, &subscribe()).await, "SubscriptionId");
    // Before the stream is open: told once it is.
    let first = sim.create(SUSAN, "SendToNone", &plain("Before")).await;
    let mut stream = Stream::open(&sim, SUSAN, &[&id]).await;
    assert_eq!(only(&stream.next().await.unwrap().unwrap(), "ConnectionStatus"), "OK");
    let told = stream.next().await.unwrap().unwrap();
    assert!(told.contains("CreatedEvent") && told.contains(&first.id), "{told}");
    assert_eq!(only(&told, "SubscriptionId"), id);
    // Terry's own calendar is not watched; an invitation put into Susan's is.
    sim.create(TERRY, "SendToNone", &plain("Elsewhere")).await;
    let guest = super::attendees("RequiredAttendees", &["susan.maye@example.test"]);
    sim.create(TERRY, "SendOnlyToAll", &format!("{}{guest}", plain("Invitation"))).await;
    let told = stream.next().await.unwrap().unwrap();
    let copy = sim.list(SUSAN, "calendar").await.pop().unwrap();
    assert_eq!(texts(&told, "CreatedEvent").len(), 1);
    assert!(told.contains(&copy.id), "{told}");
    sim.tasks.stop();
    assert_eq!(only(&stream.next().await.unwrap().unwrap(), "ConnectionStatus"), "Closed");
    assert_eq!(stream.next().await.unwrap(), None);
    sim.stop().await;
}

#[tokio::test]
async fn a_stream_is_cut_when_the_server_goes_down() {
    let sim = Sim::start().await;
    let id = only(&sim.call(SUSAN, &subscribe()).await, "SubscriptionId");
    let mut stream = Stream::open(&sim, SUSAN, &[&id]).await;
    stream.next().await.unwrap();
    sim.running.faults().set_down(Some(Down::Refuse));
    stream.next().await.expect_err("a cut connection");
    sim.running.faults().set_down(None);
    // The subscription outlives it.
    let mut stream = Stream::open(&sim, SUSAN, &[&id]).await;
    assert_eq!(only(&stream.next().await.unwrap().unwrap(), "ConnectionStatus"), "OK");
    drop(stream);
    sim.stop().await;
}

#[tokio::test]
async fn bad_subscriptions_are_named() {
    let sim = Sim::start().await;
    let id = only(&sim.call(SUSAN, &subscribe()).await, "SubscriptionId");
    let text = sim.call(SUSAN, &listen(&[&id, "nonsense"])).await;
    assert_eq!(only(&text, "ResponseCode"), "ErrorInvalidSubscription");
    assert_eq!(only(&text, "SubscriptionId"), "nonsense");
    assert_eq!(sim.codes(TERRY, &listen(&[&id])).await, ["ErrorInvalidSubscription"], "of another mailbox");
    let unsubscribe = format!("<m:Unsubscribe><m:SubscriptionId>{id}</m:SubscriptionId></m:Unsubscribe>");
    assert_eq!(sim.codes(TERRY, &unsubscribe).await, ["ErrorSubscriptionNotFound"]);
    assert_eq!(sim.codes(SUSAN, &unsubscribe).await, ["NoError"]);
    assert_eq!(sim.codes(SUSAN, &unsubscribe).await, ["ErrorSubscriptionNotFound"]);
    let events = "<m:GetEvents><m:SubscriptionId>x</m:SubscriptionId><m:Watermark>y</m:Watermark></m:GetEvents>";
    assert_eq!(sim.codes(SUSAN, events).await, ["ErrorSubscriptionNotFound"]);
    sim.stop().await;
}

#[tokio::test]
async fn a_pull_subscription_expires_unasked() {
    let sim = Sim::start().await;
    let request = subscribe()
        .replace("StreamingSubscriptionRequest", "PullSubscriptionRequest")
        .replace("</m:Pull", "<t:Timeout>10</t:Timeout></m:Pull");
    let text = sim.call(SUSAN, &request).await;
    let (id, watermark) = (only(&text, "SubscriptionId"), only(&text, "Watermark"));
    let events = |watermark: &str| {
        format!(
            "<m:GetEvents><m:SubscriptionId>{id}</m:SubscriptionId><m:Watermark>{watermark}</m:Watermark></m:GetEvents>"
        )
    };
    assert_eq!(sim.codes(SUSAN, &events("nonsense")).await, ["ErrorInvalidWatermark"]);
    for _ in 0..3 {
        sim.clock.advance(chrono::TimeDelta::minutes(9));
        assert_eq!(sim.codes(SUSAN, &events(&watermark)).await, ["NoError"], "kept by asking");
    }
    sim.clock.advance(chrono::TimeDelta::minutes(11));
    assert_eq!(sim.codes(SUSAN, &events(&watermark)).await, ["ErrorSubscriptionNotFound"]);
    sim.stop().await;
}
