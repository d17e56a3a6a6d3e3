//! `daybridge rules ...`: the chain in force, what is to become of it, and what rules are made of.
//!
//! Must not know: how rules are kept or tried.

mod capture;
mod change;
mod history;
mod inspect;
mod keys;
mod new;
mod reapply;
mod test;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::output::{count, line, table};
use super::{Failure, output};
use crate::control::{RuleChain, RuleInfo, RuleOptions};
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
    /// Make existing pairs anew by the rules in force, or show what that would change; swapping a rule alone rewrites nothing.
    Reapply(reapply::Arguments),
    /// Show what would differ between two generations, versions or files.
    Diff(history::DiffArguments),
    /// Show what a rule's file would change on the recorded calls; changes nothing.
    Replay(change::ReplayArguments),
    /// Make a pair of keys for signing rules.
    Keygen(keys::KeygenArguments),
    /// Sign rule files, each with a .minisig file beside it.
    Sign(keys::SignArguments),
    /// Begin a rule: a small one that works, with a fixture to try it on.
    New(new::Arguments),
    /// Build rules from their Rust crates; needs cargo and the target wasm32-unknown-unknown.
    Build(BuildArguments),
    /// Try rules on their fixtures, in the real sandbox under the real limits; no host needs to run.
    Test(test::Arguments),
    /// Tell what a rule's file is and whether it would be accepted; no host needs to run.
    Inspect(inspect::Arguments),
    /// Make a fixture of what a running host did with an appointment; people and texts are masked.
    Capture(capture::Arguments),
}

#[derive(Args)]
pub(super) struct BuildArguments {
    /// Folders of the rules' crates. A .js file needs no building: it is checked, and copied.
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
        Command::Reapply(arguments) => reapply::run(arguments).await,
        Command::New(arguments) => new::run(arguments),
        Command::Build(arguments) => build(arguments),
        Command::Test(arguments) => test::run(arguments),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Capture(arguments) => capture::run(arguments).await,
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
        if folder.extension().is_some_and(|end| end == "js") {
            build_script(folder, arguments)?;
            continue;
        }
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

/// A script is its own rule: what can be wrong with it is said, and it is laid beside the others with its fixtures.
fn build_script(file: &Path, arguments: &BuildArguments) -> Result<(), Failure> {
    let rule = test::Rule::load(&test::engine()?, file, None)?;
    let name = file.file_name().unwrap_or_default();
    let out = arguments.out.join(name);
    let copied = std::fs::create_dir_all(&arguments.out).and_then(|()| std::fs::copy(file, &out));
    let bytes = copied.map_err(|cause| {
        Failure::mendable(format!("cannot write {}: {cause}", out.display()), "name a folder you may write to")
    })?;
    if arguments.json {
        return output::json(&serde_json::json!({ "file": out, "bytes": bytes, "digest": rule.digest() }));
    }
    line(&format!("{}: {bytes} bytes, digest {:.12}; a script needs no building", out.display(), rule.digest()));
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
                on_error(&rule.options),
                rule.purpose.clone(),
                rule.file.clone(),
            ]
        })
        .collect();
    table(&["#", "RULE", "VERSION", "DIRECTIONS", "ON ERROR", "PURPOSE", "FROM"], &rows);
    let details: Vec<String> = chain.rules.iter().filter_map(details).collect();
    if !details.is_empty() {
        line(&format!("\n{}", details.join("\n")));
    }
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

/// What is done when the rule fails; a chain that goes on without it must not look like any other.
fn on_error(options: &RuleOptions) -> String {
    match (options.on_error.as_str(), options.retry_after_s) {
        ("skip", _) => "skip (fail-open)".to_owned(),
        (what, Some(seconds)) => format!("{what} after {seconds} s"),
        (what, None) => what.to_owned(),
    }
}

/// Conditions and messages are too long for a column: they stand below, for the rules that have them.
fn details(rule: &RuleInfo) -> Option<String> {
    let options = &rule.options;
    let alone = if options.only_default_message { "says only" } else { "says first" };
    let parts = [
        options
            .condition
            .as_ref()
            .map(|condition| format!("runs if {}", condition.split_whitespace().collect::<Vec<_>>().join(" "))),
        options.default_message.as_ref().map(|message| format!("{alone} \"{message}\"")),
        options.log_level.as_ref().map(|level| format!("logs {level}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("{}: {}", rule.name, parts.join("; ")))
}

fn short(direction: &str) -> &str {
    match direction {
        "crm-to-exchange" => "crm>ex",
        "exchange-to-crm" => "ex>crm",
        other => other,
    }
}
