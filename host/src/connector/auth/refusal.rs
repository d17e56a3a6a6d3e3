//! What a refused sign-in means: the codes of Microsoft Entra in one table, with what to do.
//!
//! Promises: a code is looked up here and nowhere else; the words shown are the server's first sentence, without the ids that
//! follow it. Source: Microsoft Entra authentication and authorization error codes. Must not know: who signs in.

use serde::Deserialize;

use crate::connector::http::Response;
use crate::connector::{Error, Problem};

/// Longest text of the server's that is passed on.
const TEXT_MAX: usize = 300;

const DEFAULT: &str = "compare tenant, client_id and the secret or certificate with the application's registration in Microsoft Entra; the host tries again by itself after a change";

/// Numbers of `AADSTS` codes, what they mean, and what to do.
pub const CODES: &[(u32, Problem, &str)] = &[
    (
        7_000_215,
        Problem::SignIn,
        "the client secret is wrong: copy its value (not its id) from the application's \"Certificates & secrets\"",
    ),
    (
        7_000_222,
        Problem::SignIn,
        "the client secret has expired: create a new one in the application's \"Certificates & secrets\" and put it in its file",
    ),
    (700_016, Problem::SignIn, "the application is not known in this tenant: check client_id and tenant"),
    (7_000_112, Problem::SignIn, "the application is disabled in this tenant: an administrator has to enable it"),
    (90_002, Problem::SignIn, "the tenant does not exist: check tenant"),
    (900_023, Problem::SignIn, "tenant must be the directory's id or one of its domains"),
    (
        700_027,
        Problem::SignIn,
        "the certificate is not the one that is registered with the application, or has expired: upload certificate_file there",
    ),
    (
        700_024,
        Problem::SignIn,
        "the clock of this machine is wrong by minutes: signed statements look expired; set it by NTP",
    ),
    (
        7_000_218,
        Problem::SignIn,
        "the application wants a secret or a certificate: give client_secret_file or certificate_file",
    ),
    (70_011, Problem::SignIn, "the scope is wrong: it ends in /.default"),
    (
        500_011,
        Problem::SignIn,
        "the server that the token is for is not known in this tenant: check url, scope and the cloud's authority",
    ),
    (53_003, Problem::SignIn, "a Conditional Access policy blocks the application: exempt it or allow this network"),
    (90_033, Problem::Unreachable { after: None }, "nothing to do: the sign-in service has a moment's trouble"),
    (90_012, Problem::Unreachable { after: None }, "nothing to do: the sign-in service took too long"),
    (50_196, Problem::Throttled { after: None }, "nothing to do: the sign-in service asks for fewer requests"),
];

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    error: String,
    error_description: String,
    error_codes: Vec<u32>,
}

/// What a code means and what to do about it.
pub fn meaning(code: u32) -> Option<(Problem, &'static str)> {
    CODES.iter().find(|(known, ..)| *known == code).map(|(_, problem, hint)| (problem.clone(), *hint))
}

/// The error for a sign-in that was answered with something else than a token.
pub fn error(act: &str, response: &Response) -> Error {
    let problem = response.problem().unwrap_or(Problem::Malformed);
    let body: Body = serde_json::from_slice(&response.body).unwrap_or_default();
    let known = codes(&body).into_iter().find_map(meaning);
    let (problem, hint) = match (known, &problem) {
        // What the server says about waiting stands in its headers.
        (Some((Problem::Unreachable { .. } | Problem::Throttled { .. }, hint)), Problem::Throttled { .. }) => {
            (problem, hint)
        }
        (Some(known), _) => known,
        (None, Problem::Unreachable { .. } | Problem::Throttled { .. }) => {
            let error = Error::new(act, problem);
            return error.caused_by(format!("the sign-in service answered HTTP {}", response.status));
        }
        // 400 and 401 alike: the request was understood and refused (RFC 6749, 5.2).
        (None, _) if !body.error.is_empty() || problem == Problem::SignIn => (Problem::SignIn, DEFAULT),
        (None, _) => (Problem::Malformed, "check authority: what answers there is no sign-in service"),
    };
    Error::new(act, problem).hinted(hint).caused_by(words(&body, response))
}

/// The numbers in `error_codes`, or the one the description begins with.
fn codes(body: &Body) -> Vec<u32> {
    let mut codes = body.error_codes.clone();
    if let Some(rest) = body.error_description.strip_prefix("AADSTS") {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        codes.extend(digits.parse::<u32>());
    }
    codes
}

fn words(body: &Body, response: &Response) -> String {
    // "AADSTS7000215: Invalid client secret provided. ... Trace ID: ... Correlation ID: ... Timestamp: ..."
    let told = body.error_description.split(" Trace ID").next().unwrap_or_default();
    let told = told.lines().next().unwrap_or_default().trim();
    match (told.is_empty(), body.error.is_empty()) {
        (false, _) => told.chars().take(TEXT_MAX).collect(),
        (true, false) => body.error.chars().take(TEXT_MAX).collect(),
        (true, true) => format!("the sign-in service answered HTTP {}", response.status),
    }
}
