//! `daybridge rules reapply`: existing pairs made anew by the rules in force.

use crate::cli::output::{count, line, table};
use crate::cli::{Failure, HostChoice, output};
use crate::control::{PlanLine, ReapplyOrder, ReapplyReport};

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    host: HostChoice,
    /// Do it; without this, only show what would change.
    #[arg(long)]
    yes: bool,
    /// Only pairs in which this rule sets something, by the name `rules list` shows.
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only pairs in this mailbox; may be given several times.
    #[arg(long = "mailbox", value_name = "ADDRESS")]
    mailboxes: Vec<String>,
    /// At most so many pairs.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let order = ReapplyOrder {
        yes: arguments.yes,
        rule: arguments.rule.clone(),
        mailboxes: arguments.mailboxes.clone(),
        limit: arguments.limit,
    };
    let report = arguments.host.client()?.reapply(&order).await?;
    if arguments.json {
        return output::json(&report);
    }
    show(&report);
    Ok(())
}

fn show(report: &ReapplyReport) {
    if !report.lines.is_empty() {
        let rows: Vec<Vec<String>> = report.lines.iter().map(row).collect();
        table(&["APPOINTMENT", "WHAT", "WHERE", "FIELDS", "MAILS", "WHY"], &rows);
        line("");
    }
    if report.left_out > 0 {
        line(&format!("... and {} more.", report.left_out));
    }
    let changed = if report.done { "changed" } else { "would change" };
    let more = if report.more { "; the limit is reached, there may be more" } else { "" };
    line(&format!(
        "Rules generation {} ({}): of {} looked at, {} {changed}{more}.",
        report.generation.number,
        report.generation.digest,
        count(report.looked_at, "pair", "pairs"),
        report.pairs
    ));
    if !report.fields.is_empty() {
        let fields: Vec<String> = report.fields.iter().map(|(field, pairs)| format!("{field} in {pairs}")).collect();
        line(&format!("Fields: {}.", fields.join(", ")));
    }
    let mail = report.mail;
    line(&format!(
        "Mails: {}, {}, {}.",
        count(mail.invitations, "invitation", "invitations"),
        count(mail.updates, "update", "updates"),
        count(mail.cancellations, "cancellation", "cancellations"),
    ));
    if report.kept > 0 {
        line(&format!(
            "{} as somebody has changed {} since.",
            count(report.kept, "field stays", "fields stay"),
            if report.kept == 1 { "it" } else { "them" }
        ));
    }
    if report.failed > 0 {
        line(&format!("{} left out: see WHY above.", count(report.failed, "pair is", "pairs are")));
    }
    if report.done {
        let writes = report.writes;
        line(&format!("{} in the CRM and {} in Exchange.", count(writes.crm, "write", "writes"), writes.exchange));
    } else if report.pairs > 0 {
        line("Nothing was written. To do it: daybridge rules reapply --yes");
    }
    if report.unfinished > 0 {
        line(&format!("{} not finished: daybridge queue list", count(report.unfinished, "pair is", "pairs are")));
    }
}

fn row(plan: &PlanLine) -> Vec<String> {
    vec![
        plan.key.clone(),
        plan.op.clone(),
        output::or_dash(plan.container.as_deref().unwrap_or_default()),
        output::or_dash(&plan.fields.join(",")),
        plan.mail.total().to_string(),
        output::or_dash(&plan.reason),
    ]
}
