//! `daybridge rules list` and `rules diff`: what is in force, what there is to go back to, and what differs.

use std::path::Path;

use clap::Args;

use super::super::output::{line, or_dash, table, time_or_dash};
use super::super::{Failure, HostChoice, output};
use super::{read_rule, show};
use crate::control::{DiffOrder, DiffOrderSide, FileOrder, RuleHistory};
use crate::plugin::Compared;

#[derive(Args)]
pub(in crate::cli) struct ListArguments {
    #[command(flatten)]
    host: HostChoice,
    /// List the generations and the versions of rules that are kept.
    #[arg(long)]
    versions: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(in crate::cli) struct DiffArguments {
    /// A generation's number, RULE@VERSION, the first letters of a digest, or a rule's file.
    #[arg(value_name = "OLD")]
    old: String,
    /// What to compare it with.
    #[arg(value_name = "NEW")]
    new: String,
    /// Also take the recorded calls through both.
    #[arg(long)]
    replay: bool,
    /// With --replay: show old and new values of what comes out otherwise. They are personal data.
    #[arg(long, requires = "replay")]
    values: bool,
    #[command(flatten)]
    host: HostChoice,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let client = arguments.host.client()?;
    if arguments.versions {
        let history = client.rule_history().await?;
        if arguments.json {
            return output::json(&history);
        }
        show_history(&history);
        return Ok(());
    }
    let chain = client.rules().await?;
    if arguments.json {
        return output::json(&chain);
    }
    show(&chain);
    Ok(())
}

fn show_history(history: &RuleHistory) {
    let mark = |current: bool| if current { "*" } else { "" }.to_owned();
    let rows: Vec<Vec<String>> = history
        .generations
        .iter()
        .map(|one| {
            vec![
                mark(one.current),
                one.number.to_string(),
                time_or_dash(one.at),
                or_dash(&one.cause),
                or_dash(&one.by),
                or_dash(&one.digest),
                one.damaged.clone().unwrap_or_else(|| one.note.clone()),
            ]
        })
        .collect();
    table(&["", "GENERATION", "WHEN", "CAUSE", "BY", "DIGEST", "NOTE"], &rows);
    line("");
    let rows: Vec<Vec<String>> = history
        .versions
        .iter()
        .map(|one| {
            let generations: Vec<String> = one.generations.iter().map(u64::to_string).collect();
            vec![
                mark(one.current),
                format!("{}@{}", one.rule, one.version),
                format!("{:.12}", one.digest),
                one.bytes.to_string(),
                one.file.clone(),
                or_dash(&generations.join(" ")),
            ]
        })
        .collect();
    table(&["", "RULE", "DIGEST", "BYTES", "FILE", "GENERATIONS"], &rows);
}

pub(super) async fn diff(arguments: &DiffArguments) -> Result<(), Failure> {
    let order = DiffOrder {
        old: side(&arguments.old)?,
        new: side(&arguments.new)?,
        replay: arguments.replay,
        values: arguments.values,
    };
    let compared = arguments.host.client()?.diff_rules(&order).await?;
    if arguments.json {
        return output::json(&compared);
    }
    show_compared(&compared, arguments.replay);
    Ok(())
}

/// What a person means: a file if there is one of that name, a generation if it is a short number, else a version.
fn side(text: &str) -> Result<DiffOrderSide, Failure> {
    let path = Path::new(text);
    if path.is_file() {
        let (name, bytes) = read_rule(path)?;
        return Ok(DiffOrderSide::File(FileOrder::new(name, &bytes)));
    }
    Ok(match text.parse() {
        Ok(number) if text.len() < 12 => DiffOrderSide::Generation(number),
        _ => DiffOrderSide::Version(text.to_owned()),
    })
}

fn show_compared(compared: &Compared, replay: bool) {
    if compared.rules.is_empty() && compared.files.values().all(Vec::is_empty) {
        line("No difference.");
    }
    for change in &compared.rules {
        line(&change.to_string());
    }
    for (rule, lines) in compared.files.iter().filter(|(_, lines)| !lines.is_empty()) {
        line(&format!("{rule}, the files:"));
        lines.iter().for_each(|text| line(&format!("    {text}")));
    }
    match &compared.replay {
        Some(summary) => line(summary.text().trim_end()),
        None if replay => line("Replay: no calls are recorded"),
        None => {}
    }
}
