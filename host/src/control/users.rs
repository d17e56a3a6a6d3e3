//! CRM users and their mailboxes: what a person asks, and how they stand.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Reason, Refusal};

/// What a person may ask about users.
#[async_trait]
pub trait UserDesk: Send + Sync {
    /// The CRM's users with their mailboxes, read now.
    async fn users(&self) -> Result<UserList, Refusal>;

    /// Looks for the users' mailboxes in the directories of the Exchange servers and keeps what was found. Who was taken out
    /// of the sync stays out.
    async fn sync_users(&self) -> Result<UserList, Refusal>;

    /// Takes a user into the sync, or out of it until a person says otherwise. Nothing is deleted.
    async fn set_user(&self, order: &UserOrder) -> Result<UserInfo, Refusal>;
}

/// What is to become of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserOrder {
    /// The CRM user's id, login or address.
    pub user: String,
    pub enabled: bool,
}

/// The CRM's users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserList {
    /// By login.
    pub users: Vec<UserInfo>,
    /// What kept some mailboxes from being looked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<Reason>,
}

/// A CRM user and the mailbox that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserInfo {
    pub id: String,
    pub login: String,
    pub name: String,
    /// The address that the CRM has.
    pub address: String,
    pub resource: bool,
    pub state: UserState,
    /// Why the user takes no part.
    pub reason: Option<String>,
    pub mailbox: Option<String>,
    /// Name of the Exchange server in the configuration.
    pub server: Option<String>,
    /// How the mailbox was found: `address`, `alias`, `name`, `rule`.
    pub matched: Option<String>,
}

/// How a user stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserState {
    /// Takes part.
    Synchronized,
    /// A person took the user out.
    Disabled,
    /// Takes no part for another reason.
    LeftOut,
}

impl UserState {
    pub fn name(self) -> &'static str {
        match self {
            UserState::Synchronized => "synchronized",
            UserState::Disabled => "disabled",
            UserState::LeftOut => "left-out",
        }
    }
}
