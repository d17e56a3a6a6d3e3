//! Builds everything from the configuration; the only module that names concrete backends.
//!
//! [`App::open`] opens the store and signs nowhere in; [`App::start`] sets the feeds and workers going; what a person may
//! ask of it is [`crate::control::Desk`], in `desk`. Promises: what can be told from the configuration and the data folder
//! is told before anything runs. Must not know: how any part does its work.

mod capture;
mod check;
mod claim;
mod desk;
mod entries;
mod keeper;
mod lookups;
mod metrics;
mod migrate;
mod preview;
mod reapply;
mod rules_desk;
mod trace;
mod users;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

pub use check::{CheckLine, check};
use keeper::Keeper;
use lookups::Lookups;

use crate::clock::Clock;
use crate::config::{Config, ConflictPolicy, Inviter, Protocol};
use crate::connector::ews::EwsConnector;
use crate::connector::graph::GraphConnector;
use crate::connector::sage::Sage;
use crate::connector::{Connector, Naming};
use crate::control::http as control;
use crate::engine::{BrakeLimits, DeleteAgainstEdit, Policy, RestlessLimits, Winner};
use crate::error::Chain;
use crate::feed::{FeedSettings, Feeds};
use crate::hook::{self, Hook};
use crate::identity::{HostIdentity, IdentityError};
use crate::ledger::{Ledger, LedgerError};
use crate::lifecycle::Tasks;
use crate::notify::{Notice, Notifier};
use crate::people::{Assignment, Matching};
use crate::plugin::recorder::Recorder;
use crate::plugin::{
    Breaker, Engine, EngineError, EngineOptions, LifecycleError, Live, Metrics, Observer, Observers, RuleNotice, Setup,
    Tell, Trials,
};
use crate::queue::{Queue, QueueError, QueueSettings, RetrySettings};
use crate::roster::Roster;
use crate::rules::Rules;
use crate::servers::Servers;
use crate::store::{SledStore, Store, StoreError};
use crate::worker::{CircuitTimes, Conflicts, Parts, RuleSource, SeriesSettings, Settings, Worker};

const RULES_HINT: &str =
    "the message names the file and what to do; the rules folder is rules_dir in the configuration";

/// Below the data folder: rule files and generations of the chain.
const RULES_FOLDER: &str = "rules";

/// How often the CRM's users are read again.
const USERS_INTERVAL: Duration = Duration::from_secs(600);

/// Where the rules' last calls are kept, in the data folder.
const RECORDED: &str = "rules/recorded";

/// One host, built and ready.
pub struct App {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: Tasks,
    pub(crate) queue: Arc<Queue>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) servers: Arc<Servers>,
    pub(crate) rules: Live,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) worker: Arc<Worker>,
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) notifier: Arc<Notifier>,
    pub(crate) keeper: Keeper,
    pub(crate) metrics: Metrics,
    pub(crate) started: DateTime<Utc>,
    hooks: Vec<Hook>,
    /// Held while mailboxes are carried over: one such run at a time.
    migrating: tokio::sync::Mutex<()>,
}

/// Why a host could not be built.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("open the data folder")]
    Store(#[source] StoreError),
    #[error("tell which host this is")]
    Identity(#[source] IdentityError),
    #[error("open the ledger")]
    Ledger(#[source] LedgerError),
    #[error("open the queue")]
    Queue(#[source] QueueError),
    #[error("prepare the connection to {server}")]
    Server {
        server: String,
        hint: &'static str,
        #[source]
        cause: crate::connector::Error,
    },
    #[error("start the rule runtime")]
    Engine(#[source] EngineError),
    #[error("load the rules")]
    Rules(#[source] LifecycleError),
    #[error("open the control interface")]
    Control(#[source] control::StartError),
    #[error("open the address for notifications")]
    Hook(#[source] hook::StartError),
}

impl OpenError {
    /// What to do about it, for a person.
    pub fn hint(&self) -> String {
        match self {
            OpenError::Store(error) => error.hint(),
            OpenError::Identity(_) => {
                "the data folder must be writable, and its file host-id as the host wrote it; without that file the host is a new one to every mailbox: daybridge exchange claim".into()
            }
            OpenError::Ledger(error) => error.hint(),
            OpenError::Queue(error) => error.hint(),
            OpenError::Server { hint, .. } => (*hint).to_owned(),
            OpenError::Engine(_) => {
                "rules need a 64-bit processor that wasmtime supports, and memory for their instances".into()
            }
            OpenError::Rules(_) => RULES_HINT.into(),
            OpenError::Control(error) => error.hint(),
            OpenError::Hook(error) => error.hint(),
        }
    }
}

impl RuleSource for Live {
    fn current(&self) -> Arc<dyn Rules> {
        Live::current(self)
    }
}

impl App {
    /// Opens store, queue and ledger, loads the rules, and builds the rest. Nothing runs yet and no server is asked.
    ///
    /// # Errors
    /// [`OpenError`], each with a hint.
    pub async fn open(config: Config, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        let store = SledStore::open(&config.data).map_err(OpenError::Store)?;
        let engine = Engine::with(EngineOptions::of_host(&config.data, &config.gate)).map_err(OpenError::Engine)?;
        Self::open_on(Arc::new(store), engine, config, clock).await
    }

    /// As [`App::open`], on a store that is open and an engine that runs already.
    ///
    /// # Errors
    /// [`OpenError`], each with a hint.
    pub async fn open_on(
        store: Arc<dyn Store>,
        engine: Engine,
        config: Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, OpenError> {
        Self::open_through(store, engine, config, clock, &|connector| connector).await
    }

    /// As [`App::open_on`], with each connector as `wrap` makes it: for whoever wants to hear, or to disturb, what passes.
    ///
    /// # Errors
    /// [`OpenError`], each with a hint.
    pub async fn open_through(
        store: Arc<dyn Store>,
        engine: Engine,
        config: Config,
        clock: Arc<dyn Clock>,
        wrap: &(dyn Fn(Arc<dyn Connector>) -> Arc<dyn Connector> + Send + Sync),
    ) -> Result<Arc<Self>, OpenError> {
        let host = HostIdentity::of_folder(&config.data).map_err(OpenError::Identity)?;
        let queue =
            Queue::open(store.clone(), clock.clone(), queue_settings(&config)).await.map_err(OpenError::Queue)?;
        let ledger = Ledger::open(store.clone()).await.map_err(OpenError::Ledger)?;
        let roster = Arc::new(Roster::open(store).await.map_err(OpenError::Store)?);
        let (queue, ledger) = (Arc::new(queue), Arc::new(ledger));
        let (servers, hooks) = servers(&config, &clock, wrap)?;
        let servers = Arc::new(servers);
        let breaker = Arc::new(Breaker::new(clock.clone(), config.breaker.settings()));
        let metrics = Metrics::default();
        let recorder = Arc::new(Recorder::open(&config.data.join(RECORDED), config.recording.into(), clock.clone()));
        let observers: [Arc<dyn Observer>; 3] = [breaker.clone(), Arc::new(metrics.clone()), recorder.clone()];
        let notifier = Arc::new(Notifier::new(
            TimeDelta::from_std(Duration::from_secs(config.notify.digest_s)).unwrap_or(TimeDelta::MAX),
        ));
        let rules = Live::open(Setup {
            observers: Observers::new(observers),
            archive: Some(config.data.join(RULES_FOLDER)),
            clock: clock.clone(),
            tell: tell(notifier.clone(), clock.clone()),
            ..setup(&config, engine, &servers, Some(recorder.clone()))
        });
        let rules = rules.map_err(OpenError::Rules)?;
        let worker = Arc::new(Worker::new(Parts {
            queue: queue.clone(),
            ledger: ledger.clone(),
            servers: servers.clone(),
            rules: Arc::new(rules.clone()),
            notifier: notifier.clone(),
            clock: clock.clone(),
            settings: settings(&config),
            host,
        }));
        worker.recall().await.map_err(OpenError::Queue)?;
        worker.recall_counts().await.map_err(OpenError::Ledger)?;
        let feeds = Arc::new(Feeds::new(worker.clone(), roster.clone(), feed_settings(&config)));
        let started = clock.now();
        let tasks = Tasks::new();
        let keeper = Keeper::new(breaker);
        Ok(Arc::new(Self {
            config,
            clock,
            tasks,
            queue,
            ledger,
            roster,
            servers,
            rules,
            recorder,
            worker,
            feeds,
            notifier,
            keeper,
            metrics,
            started,
            hooks,
            migrating: tokio::sync::Mutex::default(),
        }))
    }

    /// Sets workers, feeds and the watch over the rules and their folder going.
    pub fn start(self: &Arc<Self>) {
        self.worker.claim_calendars();
        self.keep_rules();
        self.worker.start(&self.tasks);
        self.feeds.start(&self.tasks);
        self.rules.watch(&self.tasks);
    }

    /// Opens the addresses to which Microsoft Graph's notifications are led; answers where they are.
    ///
    /// # Errors
    /// [`OpenError::Hook`].
    pub async fn listen(&self) -> Result<Vec<SocketAddr>, OpenError> {
        hook::serve(&self.hooks, &self.tasks).await.map_err(OpenError::Hook)
    }

    /// Opens the control interface; answers where it listens.
    ///
    /// # Errors
    /// [`OpenError::Control`].
    pub async fn serve(self: &Arc<Self>) -> Result<control::Address, OpenError> {
        let options = control::Options {
            listen: self.config.control.listen,
            data: self.config.data.clone(),
            doorbell_token: self.config.control.doorbell_token.as_ref().map(|token| token.expose().to_owned()),
        };
        control::serve(self.clone(), options, &self.tasks).await.map_err(OpenError::Control)
    }

    /// Resolves when somebody asked the host to stop, or a task died.
    pub async fn stopping(&self) {
        self.tasks.stopping().cancelled().await;
    }

    /// Stops: work under way is finished, nothing new is begun. True if all ended well.
    pub async fn stop_now(&self) -> bool {
        self.tasks.finish().await
    }

    /// CRM users who take no part, by id, with the reason.
    pub fn left_out(&self) -> Vec<(String, String)> {
        let people = self.servers.people();
        people.left_out.iter().map(|(user, reason)| (user.id.0.clone(), reason.to_string())).collect()
    }

    /// How many pairs the ledger holds.
    pub fn pairs(&self) -> u64 {
        self.ledger.counts().live
    }
}

/// What the rules of a configuration are built from; kept nowhere, tried on what was recorded, told to nobody.
fn setup(config: &Config, engine: Engine, servers: &Arc<Servers>, recorder: Option<Arc<Recorder>>) -> Setup {
    let recent = move |max| recorder.as_ref().map(|recorder| recorder.recent(max)).unwrap_or_default();
    let checks = Arc::new(Trials::new(Arc::new(recent)));
    Setup {
        settings: config.gate.clone(),
        checks,
        ..Setup::new(config.chain(), engine, Arc::new(Lookups(servers.clone())))
    }
}

/// Tells people what becomes of rules as it tells them everything else.
fn tell(notifier: Arc<Notifier>, clock: Arc<dyn Clock>) -> Tell {
    Arc::new(move |notice: RuleNotice| {
        let RuleNotice { code, about, title, text, hint } = notice;
        notifier.tell(Notice { code: code.to_owned(), about, title, text, hint }, clock.now());
    })
}

/// The connectors of a configuration, and where some of them are to be posted to.
fn servers(
    config: &Config,
    clock: &Arc<dyn Clock>,
    wrap: &(dyn Fn(Arc<dyn Connector>) -> Arc<dyn Connector> + Send + Sync),
) -> Result<(Servers, Vec<Hook>), OpenError> {
    let wrong = |server: &str| {
        let server = server.to_owned();
        move |cause: crate::connector::Error| OpenError::Server { server, hint: cause.hint(), cause }
    };
    let crm = Sage::new(config.crm.clone(), clock.clone()).map_err(wrong("the CRM"))?;
    let mut exchange: Vec<Arc<dyn Connector>> = Vec::new();
    let mut hooks = Vec::new();
    for server in &config.exchange {
        match &server.protocol {
            Protocol::Ews(ews) => {
                let connector = EwsConnector::with_clock(ews.clone(), clock.clone()).map_err(wrong(&server.name))?;
                exchange.push(wrap(Arc::new(connector)));
            }
            Protocol::Graph(graph) => {
                let connector = GraphConnector::new(graph.clone(), clock.clone()).map_err(wrong(&server.name))?;
                hooks.extend(connector.hook().map(|(listen, path)| Hook { listen, path, inbox: connector.inbox() }));
                exchange.push(wrap(Arc::new(connector)));
            }
        }
    }
    Ok((Servers::new(wrap(Arc::new(crm)), exchange), hooks))
}

fn queue_settings(config: &Config) -> QueueSettings {
    let sync = &config.sync;
    QueueSettings {
        settle: sync.settle(),
        retry: RetrySettings { first: sync.retry_first(), cap: sync.retry_max(), ..RetrySettings::default() },
    }
}

fn settings(config: &Config) -> Settings {
    let sync = &config.sync;
    let (winner, conflicts) = match sync.conflict {
        ConflictPolicy::Crm => (Winner::Crm, Conflicts::Fixed),
        ConflictPolicy::Exchange => (Winner::Exchange, Conflicts::Fixed),
        ConflictPolicy::Latest => (Winner::Crm, Conflicts::Latest),
    };
    Settings {
        policy: Policy {
            crm_to_exchange: sync.crm_to_exchange,
            exchange_to_crm: sync.exchange_to_crm,
            winner,
            field_winners: std::collections::BTreeMap::new(),
            delete_against_edit: DeleteAgainstEdit::EditWins,
        },
        conflicts,
        past_window: TimeDelta::days(sync.past_days.into()),
        series: SeriesSettings {
            ahead: TimeDelta::days(sync.series_days.into()),
            max: usize::try_from(sync.series_max).unwrap_or(usize::MAX),
        },
        brake: BrakeLimits {
            count: u32::try_from(sync.delete_count).unwrap_or(u32::MAX),
            count_overall: u32::try_from(sync.delete_count_overall).unwrap_or(u32::MAX),
            fraction: sync.delete_fraction,
            ..BrakeLimits::default()
        },
        restless: RestlessLimits {
            returns: sync.returns_max,
            rewrites: sync.rewrites_max,
            ..RestlessLimits::default()
        },
        exchange_invites: sync.invitations == Inviter::Exchange,
        mail_cap: u32::try_from(sync.mail_cap).unwrap_or(u32::MAX),
        circuit: CircuitTimes {
            first: sync.retry_first().min(CircuitTimes::default().first),
            longest: sync.retry_max().min(CircuitTimes::default().longest),
        },
        workers: sync.workers,
        claim_mailboxes: sync.claim_mailboxes,
    }
}

fn feed_settings(config: &Config) -> FeedSettings {
    FeedSettings {
        poll: config.sync.poll_interval(),
        sweep: config.sync.sweep_interval(),
        users: USERS_INTERVAL,
        matching: matching(config),
        namings: config.exchange.iter().map(|server| (server.name.clone(), naming(&server.protocol))).collect(),
    }
}

fn matching(config: &Config) -> Matching {
    Matching {
        resources: config.users.resources,
        servers: config
            .exchange
            .iter()
            .map(|server| Assignment {
                server: server.name.clone(),
                mailboxes: (!server.mailboxes.is_empty()).then(|| server.mailboxes.clone()),
            })
            .collect(),
    }
}

fn naming(protocol: &Protocol) -> Naming {
    match protocol {
        Protocol::Ews(_) => Naming::Ews,
        Protocol::Graph(_) => Naming::Graph,
    }
}

/// One line for a log or a person.
fn line(error: &(dyn std::error::Error + 'static)) -> String {
    Chain(error).to_string()
}
