//! `daybridge sync`: one pass, or what it would do.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::host::Host;
use super::output::{count, line, table};
use super::{Failure, HostChoice, output};
use crate::control::{MailCounts, PlanLine, SYNC_LINES_MAX, SideName, SyncOrder, SyncReport};
use crate::lifecycle;

const BAR: &str = "{bar:40} {pos} of {len}  {elapsed_precise}, {eta_precise} left";
/// Between two looks at how far a pass is.
const BAR_PAUSE: Duration = Duration::from_millis(500);
/// Failures shown in a preview; the list is in a dry run.
const FAILED_SHOWN: usize = 20;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only these: crm, or mailbox addresses; everything if none is named.
    containers: Vec<String>,
    #[command(flatten)]
    host: HostChoice,
    /// Show what would be written and mailed, and write nothing.
    #[arg(long, conflicts_with_all = ["preview", "yes"])]
    dry_run: bool,
    /// Before a first pass: count what would be linked, created, left alone and mailed, ask, and then do it.
    #[arg(long)]
    preview: bool,
    /// With --preview: do it without asking.
    #[arg(long, requires = "preview")]
    yes: bool,
    /// Compare everything, not only what changed.
    #[arg(long)]
    sweep: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let order = SyncOrder {
        containers: arguments.containers.clone(),
        sweep: arguments.sweep,
        dry_run: arguments.dry_run || arguments.preview,
    };
    let host = Host::find(&arguments.host).await?;
    let outcome = tokio::select! {
        outcome = pass(arguments, &host, &order) => Some(outcome),
        () = lifecycle::asked_by_system(), if host.is_ours() => None,
    };
    let ended = host.close().await;
    outcome.unwrap_or_else(|| {
        Err(Failure::mendable(
            "the pass was interrupted",
            "nothing is lost: what it found waits in the queue for the next pass",
        ))
    })?;
    if ended { Ok(()) } else { Err(Failure::ours("the pass did not end cleanly; see the log above")) }
}

async fn pass(arguments: &Arguments, host: &Host, order: &SyncOrder) -> Result<(), Failure> {
    let report = host.sync(order).await?;
    if !arguments.preview {
        if arguments.json {
            return output::json(&report);
        }
        show(&report);
        return Ok(());
    }
    if !arguments.json {
        show_preview(&report);
    } else if !arguments.yes {
        return output::json(&report);
    }
    if !arguments.yes && !confirmed()? {
        line("Nothing was written. To do it: daybridge sync --preview --yes");
        return Ok(());
    }
    let report = first(host, &SyncOrder { dry_run: false, ..order.clone() }, report.looked_at).await?;
    if arguments.json {
        return output::json(&report);
    }
    show(&report);
    Ok(())
}

/// Passes until all is worked off, with a bar for people. Killed at any moment, the next pass goes on where it was.
async fn first(host: &Host, order: &SyncOrder, expected: u64) -> Result<SyncReport, Failure> {
    let bar = ProgressBar::new(expected);
    if let Ok(style) = ProgressStyle::with_template(BAR) {
        bar.set_style(style);
    }
    let begun = host.status().await?.looked_at;
    let mut whole = SyncReport::default();
    loop {
        let mut passing = std::pin::pin!(host.sync(order));
        let report = loop {
            tokio::select! {
                report = &mut passing => break report?,
                () = tokio::time::sleep(BAR_PAUSE) => {
                    let status = host.status().await?;
                    let done = status.looked_at.saturating_sub(begun);
                    bar.set_length(expected.max(done + status.queue.waiting));
                    bar.set_position(done);
                }
            }
        };
        let (worked, unfinished) = (report.looked_at, report.unfinished);
        add(&mut whole, report);
        // What is left waits for a server or a person.
        if unfinished == 0 || worked == 0 {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(whole)
}

fn add(whole: &mut SyncReport, part: SyncReport) {
    whole.looked_at += part.looked_at;
    whole.writes.crm += part.writes.crm;
    whole.writes.exchange += part.writes.exchange;
    whole.mail += part.mail;
    whole.unfinished = part.unfinished;
    whole.left_out += part.left_out;
    let room = SYNC_LINES_MAX.saturating_sub(whole.lines.len());
    whole.left_out += part.lines.len().saturating_sub(room) as u64;
    whole.lines.extend(part.lines.into_iter().take(room));
}

/// Asks the person at the terminal; nobody there is a no.
fn confirmed() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    line("Do it now? [y/N]");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|error| Failure::ours("read the answer").caused_by(&error))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn show_preview(report: &SyncReport) {
    let preview = &report.preview;
    let rows = [
        ("found on both sides, to be linked", preview.linked),
        ("to be created in the CRM", preview.created_in_crm),
        ("to be created in Exchange", preview.created_in_exchange),
        ("to be updated", preview.updated),
        ("to be deleted", preview.deleted),
        ("mails Exchange would send", report.mail.total()),
        ("that would fail", preview.failed),
    ];
    line(&format!("{} looked at, nothing written:", count(report.looked_at, "appointment", "appointments")));
    for (what, number) in rows {
        line(&format!("  {number:>8}  {what}"));
    }
    for (why, number) in &preview.skipped {
        line(&format!("  {number:>8}  left alone: {why}"));
    }
    for plan in report.lines.iter().filter(|plan| plan.op == "failed").take(FAILED_SHOWN) {
        line(&format!("  {}: {}", plan.key, plan.reason));
    }
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
