//! `daybridge init [FILE]`: writes the commented example, and never over an existing file.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

use super::{CONFIG_DEFAULT, Failure, output};
use crate::config::EXAMPLE;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// File to write.
    #[arg(default_value = CONFIG_DEFAULT)]
    file: PathBuf,
    /// Print the example instead.
    #[arg(long)]
    print: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.print {
        output::line(EXAMPLE.trim_end());
        return Ok(());
    }
    let file = &arguments.file;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut out| out.write_all(EXAMPLE.as_bytes()))
        .map_err(|cause| match cause.kind() {
            io::ErrorKind::AlreadyExists => {
                Failure::mendable(format!("{} exists already", file.display()), "name another file, or move it away")
            }
            _ => Failure::mendable(
                format!("cannot write {}: {cause}", file.display()),
                "name a file in a folder you may write to",
            ),
        })?;
    output::line(&format!("Wrote {}. Fill in the two servers, then: daybridge check --config {0}", file.display()));
    Ok(())
}
