//! Tries everything a configuration promises, without changing anything: sign-in, users, mailboxes, rules.
//!
//! Promises: reads only; every line that is not well says what to do. Must not know: how it is printed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{OpenError, line, servers};
use crate::clock::Clock;
use crate::config::Config;
use crate::model::Container;
use crate::people::People;
use crate::plugin::{Compiler, Engine, EngineOptions, Live};

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckLine {
    pub what: String,
    pub ok: bool,
    /// What was found, or what is wrong.
    pub text: String,
    /// What to do; empty when all is well.
    pub hint: String,
}

/// Tries all there is to try; asks the servers, writes nothing, needs no data folder.
///
/// # Errors
/// [`OpenError`] only for what keeps even the trying from beginning.
pub async fn check(config: &Config, clock: Arc<dyn Clock>) -> Result<Vec<CheckLine>, OpenError> {
    let mut lines = Vec::new();
    let servers = Arc::new(servers(config, &clock, &|connector| connector)?.0);
    let options =
        EngineOptions { compiler: Compiler::own(), compile_limits: config.gate.compile, ..EngineOptions::default() };
    let engine = Engine::with(options).map_err(OpenError::Engine)?;
    match Live::open(super::setup(config, engine, &servers, None)).map_err(OpenError::Rules) {
        Ok(live) => lines.push(good("rules", format!("{} rules load", live.current().list().len()))),
        Err(error) => lines.push(bad("rules", line(&error), error.hint())),
    }
    let crm = servers.crm();
    if let Err(error) = crm.probe(&Container::Crm).await {
        lines.push(bad("CRM", line(&error), error.hint().to_owned()));
        return Ok(lines);
    }
    lines.push(good("CRM", "signed in".to_owned()));
    let users = match crm.users().await {
        Ok(users) => users,
        Err(error) => {
            lines.push(bad("CRM users", line(&error), error.hint().to_owned()));
            return Ok(lines);
        }
    };
    let people = People::matched(&users, &super::matching(config), &BTreeMap::new());
    lines.push(good("users", format!("{} of {} take part", people.mailboxes().count(), users.len())));
    for (user, reason) in &people.left_out {
        lines.push(good("user", format!("{} takes no part: {reason}", user.logon)));
    }
    servers.set_people(people);
    for mailbox in servers.people().mailboxes() {
        let container = Container::Mailbox(mailbox.address.clone());
        let Some(server) = servers.of(&container) else { continue };
        let what = format!("mailbox {}", mailbox.address.as_str());
        match server.probe(&container).await {
            Ok(()) => lines.push(good(&what, format!("can be used on {}", mailbox.server))),
            Err(error) => lines.push(bad(&what, line(&error), error.hint().to_owned())),
        }
    }
    Ok(lines)
}

fn good(what: &str, text: String) -> CheckLine {
    CheckLine { what: what.to_owned(), ok: true, text, hint: String::new() }
}

fn bad(what: &str, text: String, hint: String) -> CheckLine {
    CheckLine { what: what.to_owned(), ok: false, text, hint }
}
