//! The host as a process of its own: its files, its start, its end by force or by request.
//!
//! Promises: the process dies with the demo. Must not know: the story.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::wait::until;
use super::{CRM_ZONE, DemoError};
use crate::control::client::Client;
use crate::plugin;
use crate::sim;

/// What the CRM's table script shows at the door; a fresh one for each demo would tell nobody more.
const DOORBELL_TOKEN: &str = "demo-doorbell";
/// From the start of the process to its first line.
const START_LIMIT: Duration = Duration::from_secs(30);
/// From the request to stop to the end of the process.
const STOP_LIMIT: Duration = Duration::from_secs(25);
/// Variables that would make the child another host than the one described here.
const OVERRIDES: [&str; 5] = [
    "DAYBRIDGE_CONFIG",
    "DAYBRIDGE_DATA",
    "DAYBRIDGE_CRM_PASSWORD",
    "DAYBRIDGE_EXCHANGE_DEMO_PASSWORD",
    "DAYBRIDGE_CONTROL_DOORBELL_TOKEN",
];

/// How the configuration of a demo begins.
const WRITTEN_BY: &str = "# Written by `daybridge demo`";
/// The story's own rule in the rules folder.
const RULE_FILE: &str = "example.wasm";
/// The rule that is in force at first, and the one that takes its place.
const FIRST_RULE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/dist/category.wasm"));
const SECOND_RULE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/dist/subject-tag.wasm"));

/// A running `daybridge run`.
pub(super) struct HostProcess {
    child: Child,
    config: PathBuf,
    data: PathBuf,
    control: String,
    client: Client,
}

/// Writes configuration and rules into the demo's folder; answers the configuration's path.
pub(super) fn write_files(
    folder: &Path,
    crm: &sim::crm::Running,
    exchange: &sim::exchange::Running,
) -> Result<PathBuf, DemoError> {
    let failed = |error| DemoError::caused_by(format!("write into {}", folder.display()), error);
    // Nobody's real host may be swept away by a demo.
    let earlier = fs::read_to_string(folder.join("daybridge.toml")).is_ok_and(|text| text.starts_with(WRITTEN_BY));
    if !earlier && ["daybridge.toml", "state"].iter().any(|name| folder.join(name).exists()) {
        return Err(DemoError::new(format!("{} holds something else than an earlier demo", folder.display())));
    }
    fs::create_dir_all(folder.join("rules")).map_err(failed)?;
    // What an earlier demo left would lead to servers that are gone.
    match fs::remove_dir_all(folder.join("state")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    // The default chain, and at its end the rule that the story replaces.
    let files = plugin::default_chain().into_iter().map(|rule| rule.file).chain([RULE_FILE.to_owned()]);
    let rules: String = files.map(|file| format!("\n[[rules]]\nfile = {file:?}\n")).collect();
    replace(&rule_file(folder), FIRST_RULE).map_err(failed)?;
    let service = |role: &str| DemoError::new(format!("the simulated {role} has no service account"));
    let crm_user = crm.users().into_iter().find(|user| user.role == "service").ok_or_else(|| service("CRM"))?;
    let mailbox_user = exchange
        .users()
        .into_iter()
        .find(|user| user.role == sim::exchange::Role::Service)
        .ok_or_else(|| service("Exchange server"))?;
    let config = folder.join("daybridge.toml");
    let text = format!(
        "{WRITTEN_BY}; every key is explained by: daybridge init --print
data = 'state'
rules_dir = 'rules'

[crm]
url = {crm_url:?}
login = {crm_login:?}
password = {crm_password:?}
time_zone = {zone:?}
responses_column = 'comm_responses'

[[exchange]]
name = 'demo'
url = {ews_url:?}
login = {ews_login:?}
password = {ews_password:?}

[sync]
settle_ms = 100
retry_first_ms = 200
retry_max_s = 1

[control]
doorbell_token = {DOORBELL_TOKEN:?}
{rules}",
        crm_url = crm.crm_url(),
        crm_login = crm_user.login,
        crm_password = crm_user.password,
        zone = CRM_ZONE.name(),
        ews_url = exchange.ews_url(),
        ews_login = mailbox_user.login,
        ews_password = mailbox_user.password,
    );
    fs::write(&config, text).map_err(failed)?;
    Ok(config)
}

impl HostProcess {
    /// Starts a host and waits until it has looked at everything once.
    pub async fn start(config: &Path) -> Result<Self, DemoError> {
        let folder = config.parent().unwrap_or(Path::new("."));
        let program =
            std::env::current_exe().map_err(|error| DemoError::caused_by("find this program's file", error))?;
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("host.log"))
            .map_err(|error| DemoError::caused_by("open the host's log", error))?;
        let mut command = Command::new(program);
        for name in OVERRIDES {
            command.env_remove(name);
        }
        let mut child = command
            .args(["run", "--json", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| DemoError::caused_by("start the host", error))?;
        let see_log = || DemoError::new(format!("the host did not start; see {}", folder.join("host.log").display()));
        let output = child.stdout.take().ok_or_else(see_log)?;
        let mut first = String::new();
        let read = tokio::time::timeout(START_LIMIT, BufReader::new(output).read_line(&mut first)).await;
        if !matches!(read, Ok(Ok(length)) if length > 0) {
            return Err(see_log());
        }
        let line: serde_json::Value = serde_json::from_str(&first).map_err(|_| see_log())?;
        let control = line.get("control").and_then(|url| url.as_str()).ok_or_else(see_log)?.to_owned();
        let data = folder.join("state");
        let client = Client::find(&data).map_err(|error| DemoError::caused_by("find the host", error))?;
        let host = Self { child, config: config.to_owned(), data, control, client };
        until("the host has looked at both servers", Instant::now(), || async {
            let status = host.client.status().await.map_err(|error| DemoError::caused_by("ask the host", error))?;
            let looked = !status.containers.is_empty() && status.containers.iter().all(|one| one.last_pass.is_some());
            Ok(looked.then_some(()))
        })
        .await?;
        Ok(host)
    }

    /// Kills the process as a power failure would (SIGKILL) and answers when it is gone.
    pub async fn kill(&mut self) -> Result<(), DemoError> {
        self.child.kill().await.map_err(|error| DemoError::caused_by("kill the host", error))
    }

    /// Starts the killed host again on the same files.
    pub async fn restart(&mut self) -> Result<(), DemoError> {
        let config = self.config.clone();
        *self = Self::start(&config).await?;
        Ok(())
    }

    /// Asks the host to stop and waits until it has.
    pub async fn stop(&mut self) -> Result<(), DemoError> {
        self.client.stop().await.map_err(|error| DemoError::caused_by("ask the host to stop", error))?;
        match tokio::time::timeout(STOP_LIMIT, self.ended()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(DemoError::new(format!("the host ended with {status}"))),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(DemoError::new(format!("the host did not stop within {} s", STOP_LIMIT.as_secs()))),
        }
    }

    /// Answers when the process has ended.
    pub async fn ended(&mut self) -> Result<ExitStatus, DemoError> {
        self.child.wait().await.map_err(|error| DemoError::caused_by("wait for the host", error))
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Address of the control interface.
    pub fn control(&self) -> &str {
        &self.control
    }

    pub fn config(&self) -> &Path {
        &self.config
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Where the CRM's table script rings, and with which token.
    pub fn doorbell(&self) -> (String, &'static str) {
        (format!("{}/doorbell/crm", self.control), DOORBELL_TOKEN)
    }

    /// Puts the second rule in the place of the first.
    pub fn replace_rule(&self) -> Result<(), DemoError> {
        let file = rule_file(self.config.parent().unwrap_or(Path::new(".")));
        replace(&file, SECOND_RULE).map_err(|error| DemoError::caused_by("replace the rule's file", error))
    }
}

fn rule_file(folder: &Path) -> PathBuf {
    folder.join("rules").join(RULE_FILE)
}

/// Writes a file whole or not at all, as everyone should who hands files to a running program.
fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut file, content)?;
    file.persist(path)?;
    Ok(())
}
