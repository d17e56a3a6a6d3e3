//! `daybridge demo`: see it work.

use std::path::PathBuf;

use super::Failure;
use crate::demo::{self, Options};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// End after the story instead of staying up for a look around.
    #[arg(long)]
    exit: bool,
    /// Print one JSON object per step.
    #[arg(long)]
    json: bool,
    /// Folder for the host's files; a temporary one without it.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let options = Options { exit: arguments.exit, json: arguments.json, data: arguments.data.clone() };
    let told = demo::run(&options).await.map_err(|error| {
        Failure::from_error(
            &error,
            "give the demo an empty folder with --data; what its host has to say is in host.log there",
        )
    })?;
    if told {
        return Ok(());
    }
    Err(Failure::ours("the demo's story did not come true; the step above says where"))
}
