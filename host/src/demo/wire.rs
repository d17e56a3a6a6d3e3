//! The demo's own way to both servers: the CRM's REST API as JSON, Exchange by EWS as SOAP, the simulators' `/_sim`.
//!
//! Promises: shares nothing with the connectors but the HTTP client, so that what a step shows was really on the wire and
//! is not the host's own opinion. Must not know: the story.

mod crm;
mod exchange;
mod sim;

pub(super) use crm::{Booking, Crm};
pub(super) use exchange::{Meeting, Outlook};
pub(super) use sim::{Mails, Simulator};

use std::time::Duration;

use super::DemoError;
use crate::connector::http::{HttpClient, HttpConfig, Request, Response};

/// A simulator on this machine answers at once, unless it is told not to.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// A client for one server.
fn client() -> Result<HttpClient, DemoError> {
    let config = HttpConfig { request_timeout: ANSWER_LIMIT, ..HttpConfig::default() };
    HttpClient::new(config).map_err(|error| DemoError::caused_by("set up the demo's HTTP client", error))
}

/// Sends a request; `act` is what fails if it fails.
async fn send(http: &HttpClient, request: Request, act: &str) -> Result<Response, DemoError> {
    http.send(request).await.map_err(|error| DemoError::caused_by(act, error))
}
