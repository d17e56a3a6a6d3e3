//! `daybridge rules install`, `swap`, `rollback`, `reload`, `replay`: what would change is shown, then a person says yes.
//!
//! Promises: without a yes, on the terminal or as `--yes`, nothing is put in force; what is put in force is what was shown.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value as Json, json};

use super::super::output::line;
use super::super::{Failure, HostChoice, output};
use super::{read_rule, show};
use crate::control::client::Client;
use crate::control::{ChangeOrder, CommitOrder, FileOrder, InstallOrder, Proposal};
use crate::plugin::{fixture, script, signature_path};

#[derive(Args)]
pub(in crate::cli) struct InstallArguments {
    /// The rule's file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// File name it is to have in the chain, instead of its own.
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// Rule it is to stand before.
    #[arg(long, value_name = "RULE", conflicts_with = "after")]
    before: Option<String>,
    /// Rule it is to stand behind.
    #[arg(long, value_name = "RULE")]
    after: Option<String>,
    /// Settings, as a JSON object; without them, those of the version it takes the place of.
    #[arg(long, value_name = "JSON", value_parser = settings)]
    settings: Option<Map<String, Json>>,
    /// A look-up it may use: users, captions or key-values. May be given more than once.
    #[arg(long, value_name = "LOOKUP")]
    grant: Vec<String>,
    /// Its signature, if it does not lie beside it as FILE.minisig.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Only keep it beside the rules in force, for a later `rules swap`.
    #[arg(long)]
    no_swap: bool,
    #[command(flatten)]
    say: Say,
}

#[derive(Args)]
pub(in crate::cli) struct SwapArguments {
    /// RULE@VERSION, the first letters of a digest, or a generation's number; see `rules list --versions`.
    #[arg(value_name = "VERSION")]
    version: String,
    #[command(flatten)]
    say: Say,
}

#[derive(Args)]
pub(in crate::cli) struct RollbackArguments {
    /// The generation's number [default: the one before].
    #[arg(value_name = "GENERATION")]
    generation: Option<u64>,
    #[command(flatten)]
    say: Say,
}

#[derive(Args)]
pub(in crate::cli) struct ReloadArguments {
    /// Take list, settings and files as configuration and folder have them, also where something else was installed or
    /// restored since.
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    say: Say,
}

#[derive(Args)]
pub(in crate::cli) struct ReplayArguments {
    /// The rule's file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// File name it would have in the chain, instead of its own.
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    host: HostChoice,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What is shown of recorded calls.
#[derive(Args)]
struct Shown {
    /// Show old and new values of what recorded calls would give otherwise, not names of fields alone. They are personal data.
    #[arg(long)]
    values: bool,
}

/// How a person agrees.
#[derive(Args)]
struct Say {
    #[command(flatten)]
    host: HostChoice,
    #[command(flatten)]
    shown: Shown,
    /// Put it in force without asking, even if fixtures fail or recorded calls meet new faults.
    #[arg(long)]
    yes: bool,
    /// Print one JSON object; asks nothing.
    #[arg(long)]
    json: bool,
}

fn settings(text: &str) -> Result<Map<String, Json>, String> {
    serde_json::from_str(text).map_err(|error| format!("this is no JSON object: {error}"))
}

pub(super) async fn install(arguments: &InstallArguments) -> Result<(), Failure> {
    let InstallArguments { file, name, before, after, settings, grant, signature, no_swap, say } = arguments;
    let (own_name, bytes) = read_rule(file)?;
    let order = InstallOrder {
        file: FileOrder::new(own_name, &bytes),
        signature: read_signature(file, signature.as_deref())?,
        fixtures: read_fixtures(file)?,
        name: name.clone(),
        before: before.clone(),
        after: after.clone(),
        settings: settings.clone(),
        grant: grant.clone(),
    };
    say.through(ChangeOrder::Install(order), Asking { always: true, store_only: *no_swap }).await
}

pub(super) async fn swap(arguments: &SwapArguments) -> Result<(), Failure> {
    arguments.say.through(ChangeOrder::Swap(arguments.version.clone()), Asking::ALWAYS).await
}

pub(super) async fn rollback(arguments: &RollbackArguments) -> Result<(), Failure> {
    arguments.say.through(ChangeOrder::Rollback(arguments.generation), Asking::ALWAYS).await
}

pub(super) async fn reload(arguments: &ReloadArguments) -> Result<(), Failure> {
    // What lies in the folder would go live by itself if nothing spoke against it: only then is there something to ask.
    let asking = Asking { always: arguments.fresh, store_only: false };
    arguments.say.through(ChangeOrder::Reload { fresh: arguments.fresh }, asking).await
}

pub(super) async fn replay(arguments: &ReplayArguments) -> Result<(), Failure> {
    let (own_name, bytes) = read_rule(&arguments.file)?;
    let order = InstallOrder {
        file: FileOrder::new(own_name, &bytes),
        signature: read_signature(&arguments.file, None)?,
        fixtures: read_fixtures(&arguments.file)?,
        name: arguments.name.clone(),
        ..InstallOrder::default()
    };
    let proposal = arguments.host.client()?.propose_rules(&ChangeOrder::Install(order), arguments.shown.values).await?;
    if arguments.json {
        return output::json(&proposal.report);
    }
    line(proposal.report.to_string().trim_end());
    Ok(())
}

/// The fixtures beside a script; a component carries its own.
fn read_fixtures(file: &Path) -> Result<Option<String>, Failure> {
    if !script::is_script(&file.to_string_lossy()) {
        return Ok(None);
    }
    let fixtures = fixture::read_folder(&fixture::beside(file))
        .map_err(|error| Failure::from_error(&error, "mend the fixture, then try again"))?;
    let text = (!fixtures.is_empty()).then(|| fixture::section(&fixtures));
    Ok(text.map(|text| String::from_utf8_lossy(&text).into_owned()))
}

fn read_signature(file: &Path, named: Option<&Path>) -> Result<Option<String>, Failure> {
    let path = named.map_or_else(|| signature_path(file), Path::to_owned);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if named.is_none() && cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Failure::mendable(
            format!("cannot read the signature {}: {cause}", path.display()),
            "sign the file: daybridge rules sign FILE --key KEY",
        )),
    }
}

/// When a person is asked.
#[derive(Clone, Copy)]
struct Asking {
    /// Also if nothing speaks against it.
    always: bool,
    store_only: bool,
}

impl Asking {
    const ALWAYS: Self = Self { always: true, store_only: false };
}

impl Say {
    /// Proposes a change, shows what it would do, and carries it out if the person agrees.
    async fn through(&self, order: ChangeOrder, asking: Asking) -> Result<(), Failure> {
        let client = self.host.client()?;
        let Proposal { proposal, report } = client.propose_rules(&order, self.shown.values).await?;
        if let Some(refused) = &report.refused {
            if self.json {
                output::json(&json!({ "done": false, "report": report }))?;
            }
            return Err(Failure::mendable(
                refused.message.clone(),
                "mend what the message names; the rules in force stay as they are",
            ));
        }
        if !self.json {
            line(report.to_string().trim_end());
        }
        // Storing puts nothing in force, and what changes nothing needs no yes.
        let needed = !asking.store_only && !report.unchanged && (asking.always || !report.is_clean());
        if needed && !self.yes {
            self.ask(&report)?;
        }
        let order = CommitOrder { proposal: proposal.unwrap_or_default(), store_only: asking.store_only };
        self.commit(&client, &order, &report).await
    }

    async fn commit(
        &self,
        client: &Client,
        order: &CommitOrder,
        report: &crate::plugin::GateReport,
    ) -> Result<(), Failure> {
        let chain = client.commit_rules(order).await?;
        if self.json {
            return output::json(&json!({ "done": true, "report": report, "chain": chain }));
        }
        if order.store_only {
            line("Kept beside the rules in force; put it in force with: daybridge rules swap RULE@VERSION");
            return Ok(());
        }
        show(&chain);
        Ok(())
    }

    /// Asks on the terminal. Without one nobody can say yes.
    fn ask(&self, report: &crate::plugin::GateReport) -> Result<(), Failure> {
        let mut errors = std::io::stderr();
        if self.json || !std::io::stdin().is_terminal() || !errors.is_terminal() {
            if self.json {
                output::json(&json!({ "done": false, "report": report }))?;
            }
            return Err(Failure::mendable("nothing was put in force: nobody has said yes", "to say yes: --yes"));
        }
        // A terminal that is gone says no.
        let _ = write!(errors, "Put this in force? [y/N] ").and_then(|()| errors.flush());
        let mut answer = String::new();
        let _ = std::io::stdin().read_line(&mut answer);
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::mendable("nothing was put in force", "the rules in force stay as they are")),
        }
    }
}
