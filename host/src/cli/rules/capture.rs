//! `daybridge rules capture ID`: a fixture from a processed appointment, masked.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::super::{Failure, HostChoice, output};

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    /// CRM communication id, Exchange item id, iCalendar UID, or a key like crm:4711.
    id: String,
    /// Write the fixture to this file, which must not exist; else it is printed.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// For this rule alone, with what the rules before it did; without it, for all rules.
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    #[command(flatten)]
    host: HostChoice,
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let captured = arguments.host.client()?.capture(&arguments.id, arguments.rule.as_deref()).await?;
    let Some(out) = &arguments.out else {
        output::line(captured.fixture.trim_end());
        return Ok(());
    };
    let file = OpenOptions::new().write(true).create_new(true).open(out);
    file.and_then(|mut file| file.write_all(captured.fixture.as_bytes())).map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::mendable(format!("{} exists already", out.display()), "name another file, or move it away")
        }
        _ => Failure::mendable(
            format!("cannot write {}: {cause}", out.display()),
            "name a file in a folder you may write to",
        ),
    })?;
    output::line(&format!(
        "Wrote {}. People and texts in it are masked; read it before you pass it on.",
        out.display()
    ));
    Ok(())
}
