//! `daybridge exchange ...`: mailboxes that move from one Exchange server to another, or from one host to another.

use clap::{Args, Subcommand};

use super::host::Host;
use super::output::{count, line, table};
use super::{Failure, HostChoice, output};
use crate::control::{ClaimOrder, MailboxMove, MigrateOrder, MigrateReport};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Carry mailboxes that have moved to another server over to it, without losing a pair.
    Migrate(MigrateArguments),
    /// Take mailboxes over that another Daybridge host keeps, or kept until it was lost.
    Claim(ClaimArguments),
}

const CLAIMS: &str = "\
Each calendar says which host keeps it; a host leaves the calendars of others alone, since two hosts on one calendar would double its
appointments. Take one over only when the other host is stopped for good, or no longer has that mailbox in its configuration. Needed
as well after the data folder was lost: to a calendar, a host with a new data folder is another host.";

#[derive(Args)]
#[command(after_help = CLAIMS)]
pub(super) struct ClaimArguments {
    /// This mailbox; may be given several times.
    #[arg(long = "mailbox", value_name = "ADDRESS", required_unless_present = "all")]
    mailboxes: Vec<String>,
    /// All mailboxes that take part.
    #[arg(long, conflicts_with = "mailboxes")]
    all: bool,
    #[command(flatten)]
    host: HostChoice,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

const STEPS: &str = "\
Steps:
  1. Move the mailboxes with Exchange's own tools.
  2. In the configuration, list them under `mailboxes` of the new [[exchange]] section, and start the host again if one runs.
     It leaves these mailboxes alone from then on; `daybridge status` shows them waiting.
  3. daybridge exchange migrate --from ews --to graph          shows what would be carried over, and how each pair is found
  4. daybridge exchange migrate --from ews --to graph --yes    does it

A running host does the work and lets the mailboxes go when they are done; without one this command does it itself. Nothing is
written to either server and nobody is mailed. Cut off at any moment, the same command goes on where it was.
A pair whose appointment is not found is parted: what the CRM has stays, and nothing is deleted.";

#[derive(Args)]
#[command(after_help = STEPS)]
pub(super) struct MigrateArguments {
    /// Where the mailboxes were: a server's name, or ews or graph.
    #[arg(long, value_name = "SERVER")]
    from: String,
    /// Where the configuration has them now: a server's name, or ews or graph.
    #[arg(long, value_name = "SERVER")]
    to: String,
    /// Only this mailbox; may be given several times.
    #[arg(long = "mailbox", value_name = "ADDRESS")]
    mailboxes: Vec<String>,
    /// Do it; without this, only show what would be done.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    host: HostChoice,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Migrate(arguments) => migrate(arguments).await,
        Command::Claim(arguments) => claim(arguments).await,
    }
}

async fn claim(arguments: &ClaimArguments) -> Result<(), Failure> {
    let order = ClaimOrder { mailboxes: arguments.mailboxes.clone(), all: arguments.all };
    let host = Host::find(&arguments.host).await?;
    let outcome = host.claim(&order).await;
    let ended = host.close().await;
    let report = outcome?;
    let refused: Vec<_> = report.mailboxes.iter().filter_map(|one| Some((one, one.refused.as_ref()?))).collect();
    if arguments.json {
        output::json(&report)?;
    } else {
        for (mailbox, reason) in &refused {
            line(&format!("{}: {}", mailbox.mailbox, reason.message));
            line(&format!("    {}", reason.hint));
        }
        let taken = (report.mailboxes.len() - refused.len()) as u64;
        line(&format!("{} now this host's.", count(taken, "mailbox is", "mailboxes are")));
    }
    if !ended {
        return Err(Failure::ours("the run did not end cleanly; see the log above"));
    }
    if refused.is_empty() {
        return Ok(());
    }
    let hint = "see what is said of each above; the others are this host's";
    Err(Failure::mendable(
        format!("{} not taken over", count(refused.len() as u64, "mailbox is", "mailboxes are")),
        hint,
    ))
}

async fn migrate(arguments: &MigrateArguments) -> Result<(), Failure> {
    let order = MigrateOrder {
        from: arguments.from.clone(),
        to: arguments.to.clone(),
        mailboxes: arguments.mailboxes.clone(),
        yes: arguments.yes,
    };
    let host = Host::find(&arguments.host).await?;
    let outcome = host.migrate(&order).await;
    let ended = host.close().await;
    let report = outcome?;
    if arguments.json {
        output::json(&report)?;
    } else {
        show(&report);
    }
    if !ended {
        return Err(Failure::ours("the run did not end cleanly; see the log above"));
    }
    let refused = report.mailboxes.iter().filter(|mailbox| mailbox.refused.is_some()).count() as u64;
    if refused == 0 {
        return Ok(());
    }
    let were = if order.yes { "carried over" } else { "ready to be carried over" };
    let hint = "see what is said of each above; the others are not affected";
    Err(Failure::mendable(format!("{} not {were}", count(refused, "mailbox is", "mailboxes are")), hint))
}

fn show(report: &MigrateReport) {
    let rows: Vec<Vec<String>> = report.mailboxes.iter().map(row).collect();
    table(
        &["MAILBOX", "FROM", "TO", "PAIRS", "BY ID", "BY UID", "BY STAMP", "BY SERIES", "NOT FOUND", "EDITED"],
        &rows,
    );
    for mailbox in &report.mailboxes {
        for (why, number) in &mailbox.missing {
            line(&format!("{}: {number} not found: {why}", mailbox.mailbox));
        }
        if mailbox.copies_missing > 0 {
            let copies = count(mailbox.copies_missing, "copy", "copies");
            line(&format!(
                "{}: {copies} of others' meetings not found; the meetings are not affected",
                mailbox.mailbox
            ));
        }
        if let Some(reason) = &mailbox.refused {
            line(&format!("{}: {}", mailbox.mailbox, reason.message));
            line(&format!("    {}", reason.hint));
        }
    }
    if !report.lines.is_empty() {
        line("");
        let rows: Vec<Vec<String>> =
            report.lines.iter().map(|left| vec![left.key.clone(), left.mailbox.clone(), left.why.clone()]).collect();
        table(&["NOT CARRIED OVER", "MAILBOX", "WHY"], &rows);
    }
    if report.left_out > 0 {
        line(&format!("... and {} more.", report.left_out));
    }
    let edited: u64 = report.mailboxes.iter().map(|mailbox| mailbox.edited).sum();
    if edited > 0 {
        let pairs = count(edited, "pair", "pairs");
        line(&format!("EDITED: {pairs} may have been edited since the last pass; the next one carries that over."));
    }
    let carried: u64 = report.mailboxes.iter().map(MailboxMove::carried).sum();
    let pairs = count(carried, "pair", "pairs");
    if report.done {
        line(&format!("{pairs} carried over. Nothing was written to a server."));
    } else {
        line(&format!("{pairs} would be carried over. Nothing was changed. To do it: the same with --yes"));
    }
}

fn row(mailbox: &MailboxMove) -> Vec<String> {
    let missing: u64 = mailbox.missing.values().sum();
    let numbers =
        [mailbox.pairs, mailbox.by_id, mailbox.by_uid, mailbox.by_stamp, mailbox.by_series, missing, mailbox.edited];
    let names = [&mailbox.mailbox, &mailbox.from, &mailbox.to].map(String::clone);
    names.into_iter().chain(numbers.map(|number| number.to_string())).collect()
}
