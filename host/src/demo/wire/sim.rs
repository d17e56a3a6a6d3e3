//! The simulators' own doors: faults, counters, mails sent, the table script's doorbell.

use serde_json::{Value, json};

use super::super::DemoError;
use crate::connector::http::{HttpClient, Method, Request};

/// The `/_sim` routes of one simulator.
pub(in super::super) struct Simulator {
    http: HttpClient,
    /// With a trailing slash.
    base: String,
}

/// Mails that Exchange sent, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Mails {
    pub invitations: u64,
    pub updates: u64,
    pub cancellations: u64,
}

impl Simulator {
    pub fn new(base: &str) -> Result<Self, DemoError> {
        Ok(Self { http: super::client()?, base: format!("{}/", base.trim_end_matches('/')) })
    }

    /// Rings there after every change in the CRM.
    pub async fn set_doorbell(&self, url: &str, token: &str) -> Result<(), DemoError> {
        self.call(Method::POST, "doorbell", Some(&json!({ "url": url, "token": token }))).await.map(drop)
    }

    /// Cuts every connection, or answers again.
    pub async fn set_down(&self, down: bool) -> Result<(), DemoError> {
        self.call(Method::POST, "down", Some(&json!({ "down": down }))).await.map(drop)
    }

    /// The next operation of that name is carried out, and its answer withheld.
    pub async fn hold(&self, operation: &str) -> Result<(), DemoError> {
        self.call(Method::POST, "faults", Some(&json!({ "operation": operation, "kind": "hold" }))).await.map(drop)
    }

    /// Requests whose answer is withheld now.
    pub async fn held(&self) -> Result<u64, DemoError> {
        Ok(self.call(Method::GET, "faults", None).await?.get("held").and_then(Value::as_u64).unwrap_or_default())
    }

    /// Forgets all faults and lets withheld answers go.
    pub async fn clear_faults(&self) -> Result<(), DemoError> {
        self.call(Method::DELETE, "faults", None).await.map(drop)
    }

    /// Writes carried out so far.
    pub async fn writes(&self) -> Result<u64, DemoError> {
        let counters = self.call(Method::GET, "counters", None).await?;
        let writes = counters.get("writes").and_then(Value::as_u64);
        writes.ok_or_else(|| DemoError::new("the simulator counts no writes"))
    }

    /// Mails sent so far.
    pub async fn mails(&self) -> Result<Mails, DemoError> {
        let answer = self.call(Method::GET, "mails", None).await?;
        let list = answer.as_array().or_else(|| answer.get("mails").and_then(Value::as_array));
        let list = list.ok_or_else(|| DemoError::new("the simulator lists no mails"))?;
        let count = |kind: &str| {
            list.iter().filter(|mail| mail.get("kind").and_then(Value::as_str) == Some(kind)).count() as u64
        };
        Ok(Mails { invitations: count("request"), updates: count("update"), cancellations: count("cancellation") })
    }

    async fn call(&self, method: Method, what: &str, body: Option<&Value>) -> Result<Value, DemoError> {
        let act = format!("{method} /_sim/{what}");
        let url = format!("{}_sim/{what}", self.base).parse().map_err(|error| DemoError::caused_by(&act, error))?;
        let mut request = Request::new(method, url);
        if let Some(body) = body {
            request = request.body("application/json", body.to_string());
        }
        let answer = super::send(&self.http, request, &act).await?;
        if !answer.status.is_success() {
            return Err(DemoError::new(format!("{act}: HTTP {}", answer.status)));
        }
        Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
    }
}
