//! `daybridge check`: tries what the configuration promises, and changes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::{CONFIG_DEFAULT, Failure, output};
use crate::app::{self, CheckLine};
use crate::clock::SystemClock;
use crate::config::{Config, environment};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Configuration to check.
    #[arg(long, value_name = "FILE", env = "DAYBRIDGE_CONFIG", default_value = CONFIG_DEFAULT)]
    config: PathBuf,
    /// Print one JSON object per thing tried.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config, &environment)?;
    let lines = app::check(&config, Arc::new(SystemClock)).await?;
    for line in &lines {
        if arguments.json {
            output::json(&json!({ "what": line.what, "ok": line.ok, "detail": line.text, "hint": line.hint }))?;
        } else {
            show(line);
        }
    }
    match lines.iter().filter(|line| !line.ok).count() {
        0 => Ok(()),
        wrong => Err(Failure::mendable(
            format!("{} not as the configuration says", output::count(wrong as u64, "thing is", "things are")),
            "mend what is marked with ✗ above, then: daybridge check",
        )),
    }
}

fn show(line: &CheckLine) {
    let mark = if line.ok { "✓" } else { "✗" };
    output::line(&format!("{mark} {}: {}", line.what, line.text));
    if !line.hint.is_empty() {
        output::line(&format!("    {}", line.hint));
    }
}
