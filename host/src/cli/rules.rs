//! `daybridge rules ...`: the chain in force, what is to become of it, and what rules are made of.
//!
//! Must not know: how rules are kept or tried.

mod change;
mod history;
mod keys;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::output::{line, table};
use super::{Failure, output};
use crate::control::RuleChain;
use crate::plugin::{SIZE_MAX, package};

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the rules in force, in their order; with --versions what there is to go back to.
    List(history::ListArguments),
    /// Try a rule's file and put it in force in the running host, in the place of its older version or at the end.
    Install(change::InstallArguments),
    /// Put a version or generation in force that the host has kept.
    Swap(change::SwapArguments),
    /// Go back to an earlier generation: rules, settings and order.
    Rollback(change::RollbackArguments),
    /// Take what configuration and rules folder hold now; if something speaks against it, the chain in force stays.
    Reload(change::ReloadArguments),
    /// Show what would differ between two generations, versions or files.
    Diff(history::DiffArguments),
    /// Show what a rule's file would change on the recorded calls; changes nothing.
    Replay(change::ReplayArguments),
    /// Make a pair of keys for signing rules.
    Keygen(keys::KeygenArguments),
    /// Sign rule files, each with a .minisig file beside it.
    Sign(keys::SignArguments),
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

pub(super) async fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => history::list(arguments).await,
        Command::Install(arguments) => change::install(arguments).await,
        Command::Swap(arguments) => change::swap(arguments).await,
        Command::Rollback(arguments) => change::rollback(arguments).await,
        Command::Reload(arguments) => change::reload(arguments).await,
        Command::Diff(arguments) => history::diff(arguments).await,
        Command::Replay(arguments) => change::replay(arguments).await,
        Command::Keygen(arguments) => keys::keygen(arguments),
        Command::Sign(arguments) => keys::sign(arguments),
        Command::Build(arguments) => build(arguments),
    }
}

/// Reads a rule's file, unless it is larger than a rule may be.
fn read_rule(file: &Path) -> Result<(String, Vec<u8>), Failure> {
    let unreadable = |cause: std::io::Error| {
        Failure::mendable(format!("cannot read {}: {cause}", file.display()), "give the file of a rule: our-rule.wasm")
    };
    let size = std::fs::metadata(file).map_err(unreadable)?.len();
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if size > SIZE_MAX {
        return Err(Failure::mendable(
            format!("rule file {name} has {size} bytes, more than the {SIZE_MAX} a rule may have"),
            "give the .wasm file of a rule",
        ));
    }
    Ok((name, std::fs::read(file).map_err(unreadable)?))
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
