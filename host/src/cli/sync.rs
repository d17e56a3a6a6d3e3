//! `daybridge sync`: one pass, or what it would do.

use super::output::{count, line, table};
use super::{Failure, HostChoice, output};
use crate::control::{MailCounts, PlanLine, SideName, SyncOrder, SyncReport};

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
    let report = arguments.host.client()?.sync(&order).await?;
    if arguments.json {
        return output::json(&report);
    }
    show(&report);
    Ok(())
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
    if report.dry_run {
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
