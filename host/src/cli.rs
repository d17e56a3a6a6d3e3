//! The command line: what a person types, one file per command.
//!
//! Promises: data goes to stdout, everything else to stderr; `--json` prints one JSON object per line; a failure is told as
//! `error:`, its causes and a `hint:`; the exit code is 0 when done, 1 when the person can mend it, 2 when it is ours.
//! Must not know: store, queue, servers. A running host is asked over [`crate::control`].

mod check;
mod completions;
#[cfg(feature = "sim")]
mod demo;
mod exchange;
mod failure;
mod host;
mod init;
mod output;
mod queue;
mod rules;
mod run;
#[cfg(feature = "sim")]
mod simulate;
mod status;
mod stop;
mod sync;
mod trace;
mod users;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError, environment};
use crate::control::client::{Client, ClientError};
use crate::plugin::{COMPILE_COMMAND, Compiler, compile_rule};
pub use failure::Failure;

/// Configuration that is taken when none is named.
const CONFIG_DEFAULT: &str = "daybridge.toml";

const EPILOGUE: &str = "\
First steps:
  daybridge demo                       see it work: two servers, a host and a story, all on this machine
  daybridge init daybridge.toml        write a commented configuration
  daybridge check                      sign in everywhere, match users, load the rules; changes nothing
  daybridge sync --dry-run             what a first pass would write and mail; changes nothing
  daybridge run                        keep both sides the same until stopped

Exit codes: 0 done; 1 something a person can mend, see the hint; 2 the program's own failure.";

#[derive(Parser)]
#[command(name = "daybridge", version, max_term_width = 120, after_help = EPILOGUE, subcommand_required = true)]
/// Keeps appointments the same in Sage CRM and Microsoft Exchange, through rules compiled to WebAssembly.
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// See it work: two simulated servers, a host and a story, all on this machine.
    #[cfg(feature = "sim")]
    Demo(demo::Arguments),
    /// Write a commented configuration file.
    Init(init::Arguments),
    /// Sign in everywhere, match users with mailboxes, load the rules; changes nothing.
    Check(check::Arguments),
    /// Keep both sides the same until stopped.
    Run(run::Arguments),
    /// Show how a running host is: what waits where, and why.
    Status(status::Arguments),
    /// Run a pass now, or show what it would write (--dry-run).
    Sync(sync::Arguments),
    /// Tell the life of one appointment, step by step.
    Trace(trace::Arguments),
    /// List, install, swap, roll back, compare, sign or build rules.
    #[command(subcommand)]
    Rules(rules::Command),
    /// List, retry or discard waiting and parked appointments.
    #[command(subcommand)]
    Queue(queue::Command),
    /// List CRM users with their mailboxes, find mailboxes, take users in or out.
    #[command(subcommand)]
    Users(users::Command),
    /// Carry mailboxes over to another Exchange server, or take them over from another host.
    #[command(subcommand)]
    Exchange(exchange::Command),
    /// Ask a running host to stop.
    Stop(stop::Arguments),
    /// Run a simulated server that speaks the real protocol, for trying things out.
    #[cfg(feature = "sim")]
    #[command(subcommand)]
    Simulate(simulate::Command),
    /// Print a completion script for a shell.
    Completions(completions::Arguments),
}

/// Which running host is meant.
#[derive(Args)]
struct HostChoice {
    /// Configuration of the host [default: daybridge.toml].
    #[arg(long, value_name = "FILE", env = "DAYBRIDGE_CONFIG")]
    config: Option<PathBuf>,
    /// Data folder of the host, instead of the one in its configuration.
    #[arg(long, value_name = "DIR", env = "DAYBRIDGE_DATA")]
    data: Option<PathBuf>,
}

impl HostChoice {
    /// The configuration file that is meant.
    fn config_file(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| PathBuf::from(CONFIG_DEFAULT))
    }

    /// The way to the running host.
    fn client(&self) -> Result<Client, Failure> {
        self.find().map_err(|missing| match missing {
            Missing::Config(error) => error.into(),
            Missing::Host(error) => error.into(),
        })
    }

    fn find(&self) -> Result<Client, Missing> {
        let data = match &self.data {
            Some(data) => data.clone(),
            None => Config::data_of(&self.config_file(), &environment).map_err(Missing::Config)?,
        };
        Client::find(&data).map_err(Missing::Host)
    }
}

/// What kept a command from finding the host.
enum Missing {
    Config(ConfigError),
    Host(ClientError),
}

/// The hidden command by which the program compiles rules in a process of its own. Nothing if the arguments ask for another.
pub fn compile_rule_if_asked(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    Compiler::this_is_the_program();
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != COMPILE_COMMAND {
        return None;
    }
    Some(match compile_rule(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            // The host that started this reads it.
            eprintln!("{line}");
            ExitCode::FAILURE
        }
    })
}

/// Does what the arguments say, prints any failure, and answers the exit code. The first argument is the program's name.
pub async fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed output leaves nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    match execute(arguments.command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.exit_code()
        }
    }
}

async fn execute(command: Command) -> Result<(), Failure> {
    match command {
        #[cfg(feature = "sim")]
        Command::Demo(arguments) => demo::run(&arguments).await,
        Command::Init(arguments) => init::run(&arguments),
        Command::Check(arguments) => check::run(&arguments).await,
        Command::Run(arguments) => run::run(&arguments).await,
        Command::Status(arguments) => status::run(&arguments).await,
        Command::Sync(arguments) => sync::run(&arguments).await,
        Command::Trace(arguments) => trace::run(&arguments).await,
        Command::Rules(command) => rules::run(&command).await,
        Command::Queue(command) => queue::run(&command).await,
        Command::Users(command) => users::run(&command).await,
        Command::Exchange(command) => exchange::run(&command).await,
        Command::Stop(arguments) => stop::run(&arguments).await,
        #[cfg(feature = "sim")]
        Command::Simulate(command) => simulate::run(&command).await,
        Command::Completions(arguments) => {
            completions::run(&arguments);
            Ok(())
        }
    }
}
