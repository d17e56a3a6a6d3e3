//! Asks a running host over its control interface.
//!
//! Promises: finds the host by its data folder alone; every failure says whether a host runs there at all.
//! Must not know: how the host does what it is asked.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::http::{ADDRESS_FILE, Address, TOKEN_FILE};
use super::{
    Affected, Captured, ChangeOrder, ClaimOrder, ClaimReport, CommitOrder, DiffOrder, MigrateOrder, MigrateReport,
    Proposal, QueueEntry, QueueFilter, QueuePage, ReapplyOrder, ReapplyReport, Refusal, RefusalKind, RuleChain,
    RuleHistory, SideName, Status, Story, SyncOrder, SyncReport, UserInfo, UserList, UserOrder, Which,
};
use crate::connector::http::{HttpClient, HttpConfig, HttpError, Request, Secret, StatusCode, Url};
use crate::plugin::Compared;

/// A host on the same machine answers a question in milliseconds, unless its disk is slow.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Compiling a rule and taking recorded calls through two chains takes some seconds, on a busy machine more.
const RULES_LIMIT: Duration = Duration::from_secs(300);
/// A pass over many mailboxes takes as long as the servers need.
const SYNC_LIMIT: Duration = Duration::from_secs(60 * 60);

/// The way to one running host.
#[derive(Debug)]
pub struct Client {
    http: HttpClient,
    /// Base of all routes, without a trailing slash.
    url: String,
    token: Secret,
}

/// Why the running host gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No address file: no host runs on this data folder.
    #[error("no host is running on the data folder {}", data.display())]
    NotRunning { data: PathBuf },
    #[error("read {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// The address file is there, but nobody answers.
    #[error("the host at {url} does not answer")]
    NoAnswer {
        url: String,
        #[source]
        cause: HttpError,
    },
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl ClientError {
    /// What to do about it, for a person.
    pub fn hint(&self) -> String {
        match self {
            ClientError::NotRunning { .. } => {
                "start it: daybridge run --config FILE; or name the running host's folder with --data or --config"
                    .into()
            }
            ClientError::File { .. } => "run this command as the account that runs the host".into(),
            ClientError::NoAnswer { .. } => {
                "the host may have been killed: start it again, it goes on where it was".into()
            }
            ClientError::Refused(refusal) => refusal.hint.clone(),
        }
    }
}

impl Client {
    /// Finds the host that runs on a data folder. Does not ask it anything yet.
    ///
    /// # Errors
    /// [`ClientError::NotRunning`] if no host has left its address there, [`ClientError::File`] if it may not be read.
    pub fn find(data: &Path) -> Result<Self, ClientError> {
        let read = |name: &str| {
            let path = data.join(name);
            std::fs::read_to_string(&path).map_err(|cause| match cause.kind() {
                io::ErrorKind::NotFound => ClientError::NotRunning { data: data.to_owned() },
                _ => ClientError::File { path, cause },
            })
        };
        let address = read(ADDRESS_FILE)?;
        let address: Address = serde_json::from_str(&address)
            .map_err(|error| ClientError::File { path: data.join(ADDRESS_FILE), cause: error.into() })?;
        Self::at(&address.url, Secret::new(read(TOKEN_FILE)?))
    }

    /// The host at a known address.
    ///
    /// # Errors
    /// [`ClientError::NoAnswer`] if the machine's HTTP set-up does not work.
    pub fn at(url: &str, token: Secret) -> Result<Self, ClientError> {
        let config = HttpConfig { request_timeout: ANSWER_LIMIT, ..HttpConfig::default() };
        let http = HttpClient::new(config).map_err(|cause| ClientError::NoAnswer { url: url.to_owned(), cause })?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), token })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/v1/status", &[]).await
    }

    pub async fn queue(&self, filter: &QueueFilter) -> Result<QueuePage, ClientError> {
        let state = filter.state.map(|state| state.name().to_owned());
        let limit = filter.limit.map(|limit| limit.to_string());
        self.get("/v1/queue", &[("state", state), ("code", filter.code.clone()), ("limit", limit)]).await
    }

    pub async fn queue_entry(&self, key: &str) -> Result<QueueEntry, ClientError> {
        self.get("/v1/queue/entry", &[("key", Some(key.to_owned()))]).await
    }

    pub async fn queue_retry(&self, which: &Which) -> Result<Affected, ClientError> {
        self.post("/v1/queue/retry", which, ANSWER_LIMIT).await
    }

    pub async fn queue_discard(&self, key: &str) -> Result<Affected, ClientError> {
        self.post("/v1/queue/discard", &serde_json::json!({ "key": key }), ANSWER_LIMIT).await
    }

    pub async fn trace(&self, id: &str) -> Result<Story, ClientError> {
        self.get("/v1/trace", &[("id", Some(id.to_owned()))]).await
    }

    pub async fn rules(&self) -> Result<RuleChain, ClientError> {
        self.get("/v1/rules", &[]).await
    }

    pub async fn reload_rules(&self) -> Result<RuleChain, ClientError> {
        self.post("/v1/rules/reload", &(), RULES_LIMIT).await
    }

    pub async fn propose_rules(&self, order: &ChangeOrder, values: bool) -> Result<Proposal, ClientError> {
        self.post(&format!("/v1/rules/propose?values={values}"), order, RULES_LIMIT).await
    }

    pub async fn commit_rules(&self, order: &CommitOrder) -> Result<RuleChain, ClientError> {
        self.post("/v1/rules/commit", order, RULES_LIMIT).await
    }

    pub async fn rule_history(&self) -> Result<RuleHistory, ClientError> {
        self.get("/v1/rules/history", &[]).await
    }

    pub async fn diff_rules(&self, order: &DiffOrder) -> Result<Compared, ClientError> {
        self.post("/v1/rules/diff", order, RULES_LIMIT).await
    }

    pub async fn reapply(&self, order: &ReapplyOrder) -> Result<ReapplyReport, ClientError> {
        self.post("/v1/rules/reapply", order, SYNC_LIMIT).await
    }

    pub async fn capture(&self, id: &str, rule: Option<&str>) -> Result<Captured, ClientError> {
        let query = [("id", Some(id.to_owned())), ("rule", rule.map(str::to_owned))];
        self.get("/v1/rules/capture", &query).await
    }

    pub async fn sync(&self, order: &SyncOrder) -> Result<SyncReport, ClientError> {
        self.post("/v1/sync", order, SYNC_LIMIT).await
    }

    pub async fn users(&self) -> Result<UserList, ClientError> {
        self.ask(Request::get(self.route("/v1/users")?).timeout(RULES_LIMIT)).await
    }

    pub async fn sync_users(&self) -> Result<UserList, ClientError> {
        self.post("/v1/users/sync", &(), SYNC_LIMIT).await
    }

    pub async fn set_user(&self, order: &UserOrder) -> Result<UserInfo, ClientError> {
        self.post("/v1/users/set", order, RULES_LIMIT).await
    }

    /// Takes mailboxes over that another host keeps, or kept.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn claim(&self, order: &ClaimOrder) -> Result<ClaimReport, ClientError> {
        self.post("/v1/exchange/claim", order, SYNC_LIMIT).await
    }

    pub async fn migrate(&self, order: &MigrateOrder) -> Result<MigrateReport, ClientError> {
        self.post("/v1/exchange/migrate", order, SYNC_LIMIT).await
    }

    pub async fn doorbell(&self, side: SideName) -> Result<(), ClientError> {
        self.post("/v1/doorbell", &serde_json::json!({ "side": side }), ANSWER_LIMIT).await
    }

    pub async fn stop(&self) -> Result<(), ClientError> {
        self.post("/v1/stop", &(), ANSWER_LIMIT).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, Option<String>)]) -> Result<T, ClientError> {
        let mut target = path.to_owned();
        for (name, value) in query {
            if let Some(value) = value {
                target.push(if target.contains('?') { '&' } else { '?' });
                target.push_str(&format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
            }
        }
        self.ask(Request::get(self.route(&target)?)).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        limit: Duration,
    ) -> Result<T, ClientError> {
        let json = serde_json::to_vec(body).unwrap_or_default();
        self.ask(Request::post(self.route(path)?).body("application/json", json).timeout(limit)).await
    }

    async fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T, ClientError> {
        let no_answer = |cause| ClientError::NoAnswer { url: self.url.clone(), cause };
        let response = self.http.send(request.bearer(&self.token)).await.map_err(no_answer)?;
        if response.status.is_success() {
            return response.json().map_err(no_answer);
        }
        let refusal: Refusal = response.json().map_err(no_answer)?;
        Err(ClientError::Refused(Refusal { kind: kind_of(response.status), ..refusal }))
    }

    fn route(&self, target: &str) -> Result<Url, ClientError> {
        let text = format!("{}{target}", self.url);
        Url::parse(&text)
            .map_err(|error| ClientError::File { path: PathBuf::from(ADDRESS_FILE), cause: io::Error::other(error) })
    }
}

/// Whose move it is, from the status the server gives each kind.
fn kind_of(status: StatusCode) -> RefusalKind {
    match status {
        StatusCode::BAD_REQUEST => RefusalKind::Invalid,
        StatusCode::UNAUTHORIZED => RefusalKind::NotAllowed,
        StatusCode::NOT_FOUND => RefusalKind::Unknown,
        StatusCode::CONFLICT => RefusalKind::NotNow,
        _ => RefusalKind::Failed,
    }
}
