//! `daybridge sync`: one pass, or what it would do.

use std::sync::Arc;

use super::output::{count, line, table};
use super::{Failure, HostChoice, Missing, output};
use crate::app::App;
use crate::clock::SystemClock;
use crate::config::{Config, environment};
use crate::control::client::ClientError;
use crate::control::{Desk, MailCounts, PlanLine, SideName, SyncOrder, SyncReport};
use crate::{lifecycle, telemetry};

/// Without a host of its own the command prints its report; its log tells only what a person must know besides.
const LEVEL_ALONE: &str = "warn";

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only these: crm, or mailbox addresses; everything if none is named.
    containers: Vec<String>,
    #[command(flatten)]
    host: HostChoice,
    /// Show what would be written and mailed, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Compare everything, not only what changed.
    #[arg(long)]
    sweep: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let order =
        SyncOrder { containers: arguments.containers.clone(), sweep: arguments.sweep, dry_run: arguments.dry_run };
    let report = match ask(&arguments.host, &order).await? {
        Some(report) => report,
        None => alone(&arguments.host, &order).await?,
    };
    if arguments.json {
        return output::json(&report);
    }
    show(&report);
    Ok(())
}

/// Asks the running host; nothing if there is none, or one that was killed and has left its address behind.
async fn ask(host: &HostChoice, order: &SyncOrder) -> Result<Option<SyncReport>, Failure> {
    let answer = match host.find() {
        Ok(client) => client.sync(order).await,
        Err(Missing::Host(error)) => Err(error),
        Err(Missing::Config(error)) => return Err(error.into()),
    };
    match answer {
        Ok(report) => Ok(Some(report)),
        Err(ClientError::NotRunning { .. } | ClientError::NoAnswer { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Runs the pass in this process. A host that does run holds the data folder, so there are never two at work.
async fn alone(host: &HostChoice, order: &SyncOrder) -> Result<SyncReport, Failure> {
    let mut config = Config::load(&host.config_file(), &environment)?;
    if let Some(data) = &host.data {
        config.data.clone_from(data);
    }
    telemetry::start(LEVEL_ALONE, config.log.format).map_err(Failure::ours)?;
    let app = App::open(config, Arc::new(SystemClock)).await?;
    let report = tokio::select! {
        report = app.sync(order) => Some(report),
        () = lifecycle::asked_by_system() => None,
    };
    let ended = app.stop_now().await;
    let report = report.ok_or_else(|| {
        Failure::mendable(
            "the pass was interrupted",
            "nothing is lost: what it found waits in the queue for the next pass",
        )
    })??;
    if ended { Ok(report) } else { Err(Failure::ours("the pass did not end cleanly; see the log above")) }
}

fn show(report: &SyncReport) {
    if !report.lines.is_empty() {
        let rows: Vec<Vec<String>> = report.lines.iter().map(row).collect();
        table(&["APPOINTMENT", "WHAT", "WHERE", "FIELDS", "MAILS", "WHY"], &rows);
        line("");
    }
    if report.left_out > 0 {
        line(&format!("... and {} more.", report.left_out));
    }
    let would = if report.dry_run { "would be" } else { "were" };
    line(&format!(
        "{} looked at; {} in the CRM and {} in Exchange {would} made, {} {would} sent.",
        count(report.looked_at, "appointment", "appointments"),
        count(report.writes.crm, "write", "writes"),
        report.writes.exchange,
        count(report.mail.total(), "mail", "mails"),
    ));
    if report.dry_run && report.writes.crm + report.writes.exchange > 0 {
        line("Nothing was written. To do it: daybridge sync");
    }
    if report.unfinished > 0 {
        line(&format!("{} not finished: daybridge queue list", count(report.unfinished, "entry is", "entries are")));
    }
}

fn row(plan: &PlanLine) -> Vec<String> {
    let place = match (plan.target, &plan.container) {
        (_, Some(container)) => container.clone(),
        (Some(SideName::Crm), None) => "crm".into(),
        (Some(SideName::Exchange), None) => "exchange".into(),
        (None, None) => "-".into(),
    };
    vec![
        plan.key.clone(),
        plan.op.clone(),
        place,
        output::or_dash(&plan.fields.join(",")),
        mails(plan.mail),
        output::or_dash(&plan.reason),
    ]
}

fn mails(mail: MailCounts) -> String {
    let parts = [
        (mail.invitations, "invitation", "invitations"),
        (mail.updates, "update", "updates"),
        (mail.cancellations, "cancellation", "cancellations"),
    ];
    let texts: Vec<String> = parts
        .into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| count(number, one, many))
        .collect();
    output::or_dash(&texts.join(", "))
}
