//! `daybridge rules ...`: the chain in force.

use clap::{Args, Subcommand};

use super::output::{line, table};
use super::{Failure, HostChoice, output};
use crate::control::RuleChain;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the rules in force, in their order.
    List(Arguments),
    /// Load the rules again; if one is refused, the chain in force stays.
    Reload(Arguments),
}

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    host: HostChoice,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: &Command) -> Result<(), Failure> {
    let (arguments, chain) = match command {
        Command::List(arguments) => (arguments, arguments.host.client()?.rules().await?),
        Command::Reload(arguments) => (arguments, arguments.host.client()?.reload_rules().await?),
    };
    if arguments.json {
        return output::json(&chain);
    }
    show(&chain);
    Ok(())
}

fn show(chain: &RuleChain) {
    line(&format!("Rules generation {} ({})", chain.generation.number, chain.generation.digest));
    let rows: Vec<Vec<String>> = chain
        .rules
        .iter()
        .zip(1u32..)
        .map(|(rule, position)| {
            let directions: Vec<&str> = rule.directions.iter().map(|direction| short(direction)).collect();
            vec![
                position.to_string(),
                if rule.enabled { rule.name.clone() } else { format!("{} (off)", rule.name) },
                rule.version.clone(),
                directions.join(" "),
                rule.purpose.clone(),
                rule.file.clone(),
            ]
        })
        .collect();
    table(&["#", "RULE", "VERSION", "DIRECTIONS", "PURPOSE", "FROM"], &rows);
}

fn short(direction: &str) -> &str {
    match direction {
        "crm-to-exchange" => "crm>ex",
        "exchange-to-crm" => "ex>crm",
        other => other,
    }
}
