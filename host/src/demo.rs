//! The demo: both simulators, a host as a process of its own, and a story told with wire clients of its own.
//!
//! Promises: nothing leaves the machine; each step is believed only when the other side shows it over its own protocol;
//! what it waits for has a limit; it leaves no process behind. Must not know: connectors, store, rules' insides.

mod host;
mod people;
mod story;
mod teller;
mod wait;
mod wire;

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use crate::clock::{Clock, SystemClock};
use crate::lifecycle::{self, Tasks};
use crate::sim;
use host::HostProcess;
use teller::Teller;

/// The simulated CRM's clock, also written into the host's configuration.
const CRM_ZONE: chrono_tz::Tz = chrono_tz::Europe::Berlin;

/// What the person asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// End after the story instead of staying up.
    pub exit: bool,
    /// One JSON object per step instead of sentences.
    pub json: bool,
    /// Where the host keeps its state; a temporary folder without it.
    pub data: Option<PathBuf>,
}

/// Why the story could not be told to its end.
#[derive(Debug, thiserror::Error)]
#[error("{act}")]
pub struct DemoError {
    act: String,
    #[source]
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl DemoError {
    fn new(act: impl Into<String>) -> Self {
        Self { act: act.into(), cause: None }
    }

    fn caused_by(act: impl Into<String>, cause: impl Error + Send + Sync + 'static) -> Self {
        Self { act: act.into(), cause: Some(Box::new(cause)) }
    }
}

/// The simulators, the folder and the host of one demo.
struct Stage {
    // First: the process has to be gone before its folder and its servers go.
    host: HostProcess,
    crm: sim::crm::Running,
    exchange: sim::exchange::Running,
    folder: Folder,
}

/// Where the demo keeps its files; a temporary one is removed in the end.
enum Folder {
    Given(PathBuf),
    Temporary(TempDir),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Folder::Given(path) => path,
            Folder::Temporary(folder) => folder.path(),
        }
    }
}

/// Tells the story; true if every step was seen on the other side. Without `exit`, ends when the system asks for it.
///
/// # Errors
/// [`DemoError`] if the stage could not be set, or the host ended by itself.
pub async fn run(options: &Options) -> Result<bool, DemoError> {
    let tasks = Tasks::new();
    let result = perform(options, &tasks).await;
    tasks.finish().await;
    result
}

async fn perform(options: &Options, tasks: &Tasks) -> Result<bool, DemoError> {
    let teller = Teller::new(options.json);
    teller.opening();
    let mut stage = Stage::set(options, tasks).await?;
    teller.places(&stage);
    let mut told = tokio::select! {
        told = story::tell(&mut stage, &teller) => told,
        () = lifecycle::asked_by_system() => false,
    };
    if told && !options.exit {
        teller.ready(&stage);
        tokio::select! {
            ended = stage.host.ended() => {
                return Err(DemoError::new(format!("the host ended by itself with {}", ended?)));
            }
            () = lifecycle::asked_by_system() => {}
        }
    }
    if let Err(error) = stage.host.stop().await {
        teller.failed("stop", &error);
        told = false;
    }
    Ok(told)
}

impl Stage {
    async fn set(options: &Options, tasks: &Tasks) -> Result<Self, DemoError> {
        let folder = match &options.data {
            // Whole, since its place is told to programs that run elsewhere.
            Some(path) => Folder::Given(
                std::path::absolute(path).map_err(|error| DemoError::caused_by("find the demo's folder", error))?,
            ),
            None => Folder::Temporary(
                tempfile::Builder::new()
                    .prefix("daybridge-demo-")
                    .tempdir()
                    .map_err(|error| DemoError::caused_by("make a temporary folder", error))?,
            ),
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let started = |what: &'static str| {
            move |error: io::Error| DemoError::caused_by(format!("start the simulated {what}"), error)
        };
        let crm_options = sim::crm::Options { zone: CRM_ZONE, ..sim::crm::Options::default() };
        let crm = sim::crm::serve(listen, crm_options, clock.clone(), tasks).await.map_err(started("CRM"))?;
        let exchange_options = sim::exchange::Options::default();
        let exchange =
            sim::exchange::serve(listen, exchange_options, clock, tasks).await.map_err(started("Exchange server"))?;
        let config = host::write_files(folder.path(), &crm, &exchange)?;
        let host = HostProcess::start(&config).await?;
        Ok(Self { crm, exchange, folder, host })
    }

    /// What a program needs to go on where the story ended.
    fn summary(&self) -> serde_json::Value {
        json!({
            "ready": true,
            "ews": self.exchange.ews_url(),
            "crm": self.crm.crm_url(),
            "control": self.host.control(),
            "data": self.host.data(),
            "config": self.host.config(),
            "users": self.exchange.users(),
            "crm_users": self.crm.users(),
        })
    }
}
