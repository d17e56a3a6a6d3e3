//! `daybridge queue ...`: what waits, what is parked, and what a person does about it.

use clap::{Args, Subcommand, ValueEnum};

use super::output::{count, line, table};
use super::{Failure, HostChoice, output};
use crate::control::{EntryState, QueueEntry, QueueFilter, Which};

#[derive(Subcommand)]
pub(super) enum Command {
    /// List entries, oldest first.
    List(ListArguments),
    /// Show one entry with its reason and hint.
    Show(KeyArguments),
    /// Work on a parked or waiting entry now.
    Retry(RetryArguments),
    /// Forget a parked entry; the appointment stays as it is on both sides until its next change.
    Discard(KeyArguments),
}

#[derive(Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    host: HostChoice,
    /// Only entries in this state.
    #[arg(long)]
    state: Option<State>,
    /// Only entries that failed with this code, for example deletions-held.
    #[arg(long)]
    code: Option<String>,
    /// At most this many.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Print one JSON object per entry.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum State {
    Waiting,
    Leased,
    Parked,
}

#[derive(Args)]
pub(super) struct KeyArguments {
    /// The entry's key, as `queue list` shows it.
    key: String,
    #[command(flatten)]
    host: HostChoice,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct RetryArguments {
    /// The entry's key, as `queue list` shows it.
    #[arg(required_unless_present_any = ["all", "code"])]
    key: Option<String>,
    /// All parked and waiting entries.
    #[arg(long, conflicts_with_all = ["key", "code"])]
    all: bool,
    /// All entries that failed with this code, for example deletions-held or mail-cap.
    #[arg(long, conflicts_with = "key")]
    code: Option<String>,
    #[command(flatten)]
    host: HostChoice,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list(arguments).await,
        Command::Show(arguments) => {
            let entry = arguments.host.client()?.queue_entry(&arguments.key).await?;
            if arguments.json {
                return output::json(&entry);
            }
            show(&entry);
            Ok(())
        }
        Command::Retry(arguments) => {
            let which = match (&arguments.key, &arguments.code) {
                (Some(key), _) => Which::Key(key.clone()),
                (None, Some(code)) => Which::Code(code.clone()),
                (None, None) => Which::All,
            };
            let affected = arguments.host.client()?.queue_retry(&which).await?;
            if arguments.json {
                return output::json(&affected);
            }
            line(&format!("{} worked on now.", count(affected.entries, "entry is", "entries are")));
            Ok(())
        }
        Command::Discard(arguments) => {
            let affected = arguments.host.client()?.queue_discard(&arguments.key).await?;
            if arguments.json {
                return output::json(&affected);
            }
            line(&format!("{} discarded.", count(affected.entries, "entry", "entries")));
            Ok(())
        }
    }
}

async fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let state = arguments.state.map(|state| match state {
        State::Waiting => EntryState::Waiting,
        State::Leased => EntryState::Leased,
        State::Parked => EntryState::Parked,
    });
    let page = arguments
        .host
        .client()?
        .queue(&QueueFilter { state, code: arguments.code.clone(), limit: Some(arguments.limit) })
        .await?;
    if arguments.json {
        return page.entries.iter().try_for_each(output::json);
    }
    if page.entries.is_empty() {
        line("Nothing is waiting.");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = page.entries.iter().map(row).collect();
    table(&["KEY", "STATE", "BEGUN", "NEXT", "REASON"], &rows);
    let listed = page.entries.len() as u64;
    if page.total > listed {
        line(&format!("... and {} more; see --limit.", page.total - listed));
    }
    Ok(())
}

fn row(entry: &QueueEntry) -> Vec<String> {
    let reason = entry.reason.as_ref().map(|reason| format!("{}: {}", reason.code, reason.message));
    vec![
        entry.key.clone(),
        entry.state.name().to_owned(),
        entry.attempts.to_string(),
        output::time_or_dash(entry.due),
        output::or_dash(&reason.unwrap_or_default()),
    ]
}

fn show(entry: &QueueEntry) {
    line(&format!("{}: {}, begun {} times", entry.key, entry.state.name(), entry.attempts));
    line(&format!("  queued {} because of: {}", output::time(entry.queued), entry.causes.join(", ")));
    if let Some(due) = entry.due {
        line(&format!("  worked on at {}", output::time(due)));
    }
    if let Some(reason) = &entry.reason {
        line(&format!("  {}: {}\n  hint: {}", reason.code, reason.message, reason.hint));
    }
    if let Some(failure) = &entry.failure {
        line(&format!(
            "  rule {} {} (step {}, {}) in generation {}: {}{}",
            failure.rule,
            failure.version,
            failure.step,
            failure.function,
            failure.generation.number,
            failure.kind,
            failure.field.as_ref().map(|field| format!(", field {field}")).unwrap_or_default(),
        ));
        line(&format!(
            "  took {} us and {} KiB; in the log: {}",
            failure.elapsed_us,
            failure.memory_peak / 1024,
            failure.correlation
        ));
        for frame in &failure.backtrace {
            line(&format!("    at {frame}"));
        }
    }
}
