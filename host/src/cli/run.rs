//! `daybridge run`: the host, until it is asked to stop.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::{CONFIG_DEFAULT, Failure, output};
use crate::app::App;
use crate::clock::SystemClock;
use crate::config::{Config, environment};
use crate::{lifecycle, telemetry};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Configuration of the host.
    #[arg(long, value_name = "FILE", env = "DAYBRIDGE_CONFIG", default_value = CONFIG_DEFAULT)]
    config: PathBuf,
    /// Data folder, instead of the one in the configuration.
    #[arg(long, value_name = "DIR", env = "DAYBRIDGE_DATA")]
    data: Option<PathBuf>,
    /// Print one JSON object with the address of the control interface once the host runs.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut config = Config::load(&arguments.config, &environment)?;
    if let Some(data) = &arguments.data {
        config.data.clone_from(data);
    }
    telemetry::start(&config.log.level, config.log.format)
        .map_err(|problem| Failure::mendable(problem, "use error, warn, info, debug or trace"))?;
    let data = config.data.clone();
    let app = App::open(config, Arc::new(SystemClock)).await?;
    for address in app.listen().await? {
        tracing::info!(%address, "Notifications of Microsoft Graph are listened for on {address}");
    }
    let address = app.serve().await?;
    app.start();
    if arguments.json {
        let version = env!("CARGO_PKG_VERSION");
        output::json(&json!({ "control": address.url, "pid": address.pid, "data": data, "version": version }))?;
    } else {
        output::line(&format!("Daybridge is running; see how it is with: daybridge status --data {}", data.display()));
        output::line("Ctrl-C stops it: it finishes the writes it has begun and goes on next time where it was.");
    }
    tokio::select! {
        () = lifecycle::asked_by_system() => {}
        () = app.stopping() => {}
    }
    tracing::info!("The host stops");
    if app.stop_now().await { Ok(()) } else { Err(Failure::ours("the host did not end cleanly; see its log")) }
}
