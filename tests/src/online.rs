//! A meeting that people hold online, made as Teams makes it: through the Graph face of the simulator, whatever way the host comes.
#![expect(clippy::disallowed_methods, reason = "tests speak HTTP themselves")]

use daybridge::sim::exchange::Running;
use serde_json::{Value, json};

/// An event with a link to join by.
pub struct Online {
    path: String,
    pub join_url: String,
}

impl Online {
    /// A meeting nobody else is invited to, from the first to the second time of `times`.
    pub async fn book(exchange: &Running, user: &str, subject: &str, html: &str, times: [&str; 2]) -> Self {
        let [start, end] = times.map(|time| json!({"dateTime": time.trim_end_matches('Z'), "timeZone": "UTC"}));
        let body = json!({"contentType": "html", "content": format!("<html><body>{html}</body></html>")});
        let event = json!({"subject": subject, "body": body, "start": start, "end": end, "isOnlineMeeting": true});
        let url = format!("{}/users/{user}/events", exchange.graph_url());
        let made = asked(exchange, reqwest::Client::new().post(&url).json(&event)).await;
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        Self { path: format!("{url}/{}", text(&made["id"])), join_url: text(&made["onlineMeeting"]["joinUrl"]) }
    }

    /// Whether it can still be joined.
    pub async fn is_online(&self, exchange: &Running) -> bool {
        let event = asked(exchange, reqwest::Client::new().get(&self.path)).await;
        event["isOnlineMeeting"] == true && event["onlineMeeting"]["joinUrl"] == self.join_url.as_str()
    }
}

/// The answer to a request that is not refused.
async fn asked(exchange: &Running, request: reqwest::RequestBuilder) -> Value {
    let (client, secret) = (exchange.client_id(), exchange.client_secret());
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", client.as_str()),
        ("client_secret", secret.as_str()),
        ("scope", "https://graph.microsoft.com/.default"),
    ];
    let url = format!("{}/oauth2/v2.0/token", exchange.authority());
    let answer = reqwest::Client::new().post(url).form(&form).send().await.expect("the simulator answers");
    let answer: Value = answer.json().await.expect("JSON");
    let token = answer["access_token"].as_str().expect("a token");
    let answer = request.bearer_auth(token).send().await.expect("the simulator answers");
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.json().await.expect("JSON")
}
