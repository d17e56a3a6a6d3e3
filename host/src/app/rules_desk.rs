//! What a person may ask about rules: the answers to [`RuleDesk`].
//!
//! Promises: compiles and calls rules away from the host's tasks; says who asked, never more. Must not know: HTTP.

use async_trait::async_trait;

use super::{App, line};
use crate::config::{Config, ConfigError, environment};
use crate::control::{
    ChangeOrder, CommitOrder, Desk, DiffOrder, DiffOrderSide, FileOrder, InstallOrder, Proposal, Refusal, RefusalKind,
    RuleChain, RuleDesk, RuleHistory,
};
use crate::plugin::{ChainConfig, Change, Compared, DiffSide, Install, LifecycleError, Live, Place, Showing};

/// Who asks over the control interface: the command line, or a program that holds its token.
const BY: &str = "control";

#[async_trait]
impl RuleDesk for App {
    async fn propose_rules(&self, order: ChangeOrder, values: bool) -> Result<Proposal, Refusal> {
        let change = self.change(order)?;
        let live = self.rules.clone();
        self.apart(move || {
            let proposed = live.propose_showing(change, BY, showing(values))?;
            let report = proposed.report.clone();
            let proposal = report.refused.is_none().then(|| live.hold(proposed));
            Ok(Proposal { proposal, report })
        })
        .await
    }

    async fn commit_rules(&self, order: &CommitOrder) -> Result<RuleChain, Refusal> {
        let (live, order) = (self.rules.clone(), order.clone());
        self.apart(move || {
            let proposed = live.take(&order.proposal)?;
            if order.store_only { live.store(proposed).map(drop) } else { live.commit(proposed).map(drop) }
        })
        .await?;
        self.rules().await
    }

    async fn rule_history(&self) -> Result<RuleHistory, Refusal> {
        let live = self.rules.clone();
        self.apart(move || Ok(RuleHistory { generations: live.history()?, versions: live.versions()? })).await
    }

    async fn diff_rules(&self, order: DiffOrder) -> Result<Compared, Refusal> {
        let DiffOrder { old, new, replay, values } = order;
        let (live, old, new) = (self.rules.clone(), side(old)?, side(new)?);
        let replay = replay.then(|| showing(values));
        self.apart(move || live.diff(old, new, replay)).await
    }
}

impl App {
    /// Work on rules on a thread that may wait.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, LifecycleError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| Refusal::failed("work on the rules", &error))?.map_err(|error| refusal(&error))
    }
}

pub(super) fn refusal(error: &LifecycleError) -> Refusal {
    let kind = match error {
        LifecycleError::Stale { .. } | LifecycleError::NoProposal | LifecycleError::Objections { .. } => {
            RefusalKind::NotNow
        }
        LifecycleError::Archive(_) => RefusalKind::Failed,
        LifecycleError::NoGeneration { .. }
        | LifecycleError::NothingBefore
        | LifecycleError::NoVersion { .. }
        | LifecycleError::NoRule { .. } => RefusalKind::Unknown,
        _ => RefusalKind::Invalid,
    };
    Refusal::new(kind, error.code(), line(error), error.hint())
}

impl App {
    /// The chain the configuration asks for now: its entries may have changed as well as the files.
    pub(super) fn chain_asked_for(&self) -> Result<ChainConfig, Refusal> {
        let config = Config::load(&self.config.file, &environment);
        let refused = |error: ConfigError| {
            Refusal::new(RefusalKind::Invalid, "configuration-refused", line(&error), error.hint())
        };
        Ok(config.map_err(refused)?.chain())
    }

    fn change(&self, order: ChangeOrder) -> Result<Change, Refusal> {
        match order {
            ChangeOrder::Reload { fresh } => Ok(Change::Config { config: self.chain_asked_for()?, fresh }),
            other => change(other),
        }
    }
}

fn change(order: ChangeOrder) -> Result<Change, Refusal> {
    Ok(match order {
        ChangeOrder::Reload { fresh } => Change::Reload { fresh },
        ChangeOrder::Swap(asked) => match asked.parse() {
            Ok(number) if asked.len() < SHORTEST_DIGEST => Change::Restore(Some(number)),
            _ => Change::Swap(asked),
        },
        ChangeOrder::Rollback(number) => Change::Restore(number),
        ChangeOrder::Install(order) => {
            let InstallOrder { file, signature, fixtures, name, before, after, settings, grant } = order;
            let place = match (before, after) {
                (None, None) => None,
                (Some(rule), None) => Some(Place::Before(rule)),
                (None, Some(rule)) => Some(Place::After(rule)),
                (Some(_), Some(_)) => return Err(bad("a rule stands before another or behind it, not both")),
            };
            let bytes = bytes(&file)?.into();
            Change::Install(Install { file: file.name, bytes, signature, fixtures, name, place, settings, grant })
        }
    })
}

/// What is shown of recorded calls. They are people's data: that somebody had a look at them is told in the log.
fn showing(values: bool) -> Showing {
    if !values {
        return Showing::Names;
    }
    tracing::info!(rules.by = BY, "Values of recorded calls are shown to a person who asked for them");
    Showing::Values
}

/// A text of digits that is longer is the beginning of a digest, not a generation's number.
const SHORTEST_DIGEST: usize = 12;

fn side(order: DiffOrderSide) -> Result<DiffSide, Refusal> {
    Ok(match order {
        DiffOrderSide::Generation(number) => DiffSide::Generation(number),
        DiffOrderSide::Version(asked) => DiffSide::Version(asked),
        DiffOrderSide::File(file) => DiffSide::File { bytes: bytes(&file)?.into(), name: file.name },
    })
}

fn bytes(file: &FileOrder) -> Result<Vec<u8>, Refusal> {
    file.bytes().ok_or_else(|| bad("the file's text is no base64"))
}

fn bad(message: &str) -> Refusal {
    Refusal::new(RefusalKind::Invalid, "bad-request", message, "correct the request")
}

/// The reload that needs no person: what is clean goes live, what is not stays away.
pub(super) async fn reload(live: Live, config: ChainConfig) -> Result<(), Refusal> {
    let done = tokio::task::spawn_blocking(move || live.reload_as(config)).await;
    done.map_err(|error| Refusal::failed("load the rules", &error))?.map(drop).map_err(|error| refusal(&error))
}
