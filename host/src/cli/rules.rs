//! `daybridge rules ...`: the chain in force.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::output::{count, line, table};
use super::{Failure, HostChoice, output};
use crate::control::RuleChain;
use crate::plugin::package;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the rules in force, in their order.
    List(Arguments),
    /// Load the rules again; if one is refused, the chain in force stays.
    Reload(Arguments),
    /// Build rules from their Rust crates; needs cargo and the target wasm32-unknown-unknown.
    Build(BuildArguments),
}

#[derive(Args)]
pub(super) struct BuildArguments {
    /// Folders of the rules' crates.
    #[arg(required = true, value_name = "DIR")]
    crates: Vec<PathBuf>,
    /// Folder for the built rules; each is named after its crate's folder.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Cargo's target folder, if not the usual one.
    #[arg(long, value_name = "DIR")]
    target: Option<PathBuf>,
    /// Print one JSON object per rule.
    #[arg(long)]
    json: bool,
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
        Command::Build(arguments) => return build(arguments),
    };
    if arguments.json {
        return output::json(&chain);
    }
    show(&chain);
    Ok(())
}

fn build(arguments: &BuildArguments) -> Result<(), Failure> {
    for folder in &arguments.crates {
        let named = folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let name = named.ok_or_else(|| {
            Failure::mendable(
                format!("{} is not a folder", folder.display()),
                "name the folder that holds the rule's Cargo.toml",
            )
        })?;
        let out = arguments.out.join(format!("{name}.wasm"));
        let built = package::build_rule(folder, &out, arguments.target.as_deref())
            .map_err(|error| Failure::from_error(&error, "mend the rule as the compiler says, then build it again"))?;
        if arguments.json {
            output::json(&serde_json::json!({
                "file": built.file, "bytes": built.bytes, "digest": built.digest, "source": built.source,
            }))?;
        } else {
            line(&format!("{}: {} bytes, digest {:.12}", built.file.display(), built.bytes, built.digest));
        }
    }
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
                match (&rule.set_aside, rule.enabled) {
                    (_, false) => format!("{} (off)", rule.name),
                    (Some(_), true) => format!("{} (set aside)", rule.name),
                    (None, true) => rule.name.clone(),
                },
                rule.version.clone(),
                directions.join(" "),
                rule.purpose.clone(),
                rule.file.clone(),
            ]
        })
        .collect();
    table(&["#", "RULE", "VERSION", "DIRECTIONS", "PURPOSE", "FROM"], &rows);
    for aside in chain.rules.iter().filter_map(|rule| rule.set_aside.as_ref()) {
        line(&format!(
            "\n{} {} kept failing (last: {}) and is set aside from {} until {}; {} for it",
            aside.rule,
            aside.version,
            aside.kind,
            aside.duty,
            output::time(aside.until),
            count(aside.parked, "appointment waits", "appointments wait"),
        ));
    }
}

fn short(direction: &str) -> &str {
    match direction {
        "crm-to-exchange" => "crm>ex",
        "exchange-to-crm" => "ex>crm",
        other => other,
    }
}
