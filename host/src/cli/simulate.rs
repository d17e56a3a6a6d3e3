//! `daybridge simulate crm|exchange`: a server that speaks the real protocol, until it is asked to stop.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::output::{line, table};
use super::{Failure, output};
use crate::clock::SystemClock;
use crate::lifecycle::{self, Tasks};
use crate::sim;

#[derive(Subcommand)]
pub(super) enum Command {
    /// A Sage CRM with its REST API.
    Crm(Arguments),
    /// An Exchange server with several mailboxes, reached by its web services (EWS) and by Microsoft Graph.
    Exchange(Arguments),
}

#[derive(Args)]
pub(super) struct Arguments {
    /// Address to listen on; port 0 lets the system choose.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Print the endpoints and users as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: &Command) -> Result<(), Failure> {
    let tasks = Tasks::new();
    match command {
        Command::Crm(arguments) => {
            let options = sim::crm::Options::default();
            let zone = options.zone;
            let started = sim::crm::serve(arguments.listen, options, Arc::new(SystemClock), &tasks).await;
            let server = started.map_err(|error| not_started(arguments.listen, &error))?;
            let facts = [("REST API", server.crm_url()), ("Calendars", server.url()), ("Time zone", zone.to_string())];
            if arguments.json {
                output::json(&json!({
                    "url": server.url(), "crm": server.crm_url(), "time_zone": zone.name(), "users": server.users(),
                }))?;
            } else {
                show("Sage CRM", &facts, &server.users());
            }
        }
        Command::Exchange(arguments) => {
            let options = sim::exchange::Options::default();
            let started = sim::exchange::serve(arguments.listen, options, Arc::new(SystemClock), &tasks).await;
            let server = started.map_err(|error| not_started(arguments.listen, &error))?;
            let facts = [
                ("EWS", server.ews_url()),
                ("Graph", server.graph_url()),
                ("Authority", server.authority()),
                ("Tenant", server.tenant()),
                ("Client id", server.client_id()),
                ("Secret", server.client_secret()),
                ("Calendars", server.url()),
            ];
            if arguments.json {
                output::json(&json!({
                    "url": server.url(), "ews": server.ews_url(), "graph": server.graph_url(),
                    "authority": server.authority(), "tenant": server.tenant(), "client_id": server.client_id(),
                    "client_secret": server.client_secret(), "users": server.users(),
                }))?;
            } else {
                show("Exchange server", &facts, &server.users());
            }
        }
    }
    let stopping = tasks.stopping();
    tokio::select! {
        () = lifecycle::asked_by_system() => {}
        // A task of the simulator died.
        () = stopping.cancelled() => {}
    }
    if tasks.finish().await { Ok(()) } else { Err(Failure::ours("the simulator did not end cleanly")) }
}

fn not_started(listen: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::mendable(
        format!("cannot listen on {listen}: {error}"),
        "choose another address; with port 0 the system finds a free one: --listen 127.0.0.1:0",
    )
}

fn show(what: &str, facts: &[(&str, String)], users: &impl Serialize) {
    line(&format!("A simulated {what} is running; Ctrl-C ends it, and nothing is kept."));
    for (name, value) in facts {
        line(&format!("  {name:<10} {value}"));
    }
    line("");
    let rows = serde_json::to_value(users).unwrap_or_default();
    let cell = |row: &serde_json::Value, column: &str| {
        output::or_dash(row.get(column).and_then(serde_json::Value::as_str).unwrap_or_default())
    };
    let columns = ["name", "address", "login", "password", "role"];
    let rows: Vec<Vec<String>> = rows
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| columns.iter().map(|column| cell(row, column)).collect())
        .collect();
    table(&["NAME", "ADDRESS", "LOGIN", "PASSWORD", "ROLE"], &rows);
}
