//! `daybridge stop`.

use super::{Failure, HostChoice, output};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    host: HostChoice,
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let client = arguments.host.client()?;
    client.stop().await?;
    output::line("The host was asked to stop; it finishes the writes it has begun.");
    Ok(())
}
