//! Who does a command's work: the running host, or this process where none runs.
//!
//! Promises: a running host holds the data folder, so there are never two at work. Must not know: which work.

use std::sync::Arc;

use super::{Failure, HostChoice, Missing};
use crate::app::App;
use crate::clock::SystemClock;
use crate::config::{Config, environment};
use crate::control::client::{Client, ClientError};
use crate::control::{
    ClaimOrder, ClaimReport, Desk, MigrateOrder, MigrateReport, Status, SyncOrder, SyncReport, UserDesk, UserInfo,
    UserList, UserOrder,
};
use crate::telemetry;

/// Without a host of its own a command prints its report; its log tells only what a person must know besides.
const LEVEL_ALONE: &str = "warn";

/// Who does the work.
pub(super) enum Host {
    Running(Client),
    Ours(Arc<App>),
}

impl Host {
    pub(super) async fn find(choice: &HostChoice) -> Result<Self, Failure> {
        let found = match choice.find() {
            Ok(client) => client.status().await.map(|_| client),
            Err(Missing::Host(error)) => Err(error),
            Err(Missing::Config(error)) => return Err(error.into()),
        };
        match found {
            Ok(client) => Ok(Host::Running(client)),
            // None runs, or one that was killed and has left its address behind.
            Err(ClientError::NotRunning { .. } | ClientError::NoAnswer { .. }) => Self::ours(choice).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn ours(choice: &HostChoice) -> Result<Self, Failure> {
        let mut config = Config::load(&choice.config_file(), &environment)?;
        if let Some(data) = &choice.data {
            config.data.clone_from(data);
        }
        telemetry::start(LEVEL_ALONE, config.log.format).map_err(Failure::ours)?;
        Ok(Host::Ours(App::open(config, Arc::new(SystemClock)).await?))
    }

    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Host::Ours(_))
    }

    pub(super) async fn sync(&self, order: &SyncOrder) -> Result<SyncReport, Failure> {
        match self {
            Host::Running(client) => Ok(client.sync(order).await?),
            Host::Ours(app) => Ok(app.sync(order).await?),
        }
    }

    pub(super) async fn status(&self) -> Result<Status, Failure> {
        match self {
            Host::Running(client) => Ok(client.status().await?),
            Host::Ours(app) => Ok(app.status().await?),
        }
    }

    pub(super) async fn users(&self) -> Result<UserList, Failure> {
        match self {
            Host::Running(client) => Ok(client.users().await?),
            Host::Ours(app) => Ok(app.users().await?),
        }
    }

    pub(super) async fn sync_users(&self) -> Result<UserList, Failure> {
        match self {
            Host::Running(client) => Ok(client.sync_users().await?),
            Host::Ours(app) => Ok(app.sync_users().await?),
        }
    }

    pub(super) async fn set_user(&self, order: &UserOrder) -> Result<UserInfo, Failure> {
        match self {
            Host::Running(client) => Ok(client.set_user(order).await?),
            Host::Ours(app) => Ok(app.set_user(order).await?),
        }
    }

    pub(super) async fn migrate(&self, order: &MigrateOrder) -> Result<MigrateReport, Failure> {
        match self {
            Host::Running(client) => Ok(client.migrate(order).await?),
            Host::Ours(app) => Ok(app.migrate(order).await?),
        }
    }

    pub(super) async fn claim(&self, order: &ClaimOrder) -> Result<ClaimReport, Failure> {
        match self {
            Host::Running(client) => Ok(client.claim(order).await?),
            Host::Ours(app) => Ok(app.claim(order).await?),
        }
    }

    /// True if all ended well.
    pub(super) async fn close(self) -> bool {
        match self {
            Host::Running(_) => true,
            Host::Ours(app) => app.stop_now().await,
        }
    }
}
