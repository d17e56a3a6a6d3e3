//! What Graph posts to the public address: the handshake, notifications, and events in the life of a subscription.
//!
//! Promises: a post is believed only with the secret of this run's subscriptions; it says that something changed in a mailbox
//! and nothing more, so whatever it carries is not read. Bounded in memory whatever is posted.
//! Must not know: how it is listened for.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use tokio::sync::Notify;

use crate::model::Address;

/// A longer token is none of Graph's.
const TOKEN_MAX: usize = 2_048;
/// Entries of one post that are looked at; Graph gathers some dozens.
const ENTRIES_MAX: usize = 10_000;

/// What to answer a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// 200 with this as plain text: the handshake.
    Token(String),
    /// 202: taken.
    Accepted,
    /// 400: no post of Graph's.
    Refused,
}

/// What became of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It must be renewed or it ends.
    Reauthorize,
    /// It has ended.
    Removed,
}

/// Holds what was heard until somebody asks.
#[derive(Debug)]
pub struct Inbox {
    secret: String,
    bell: Notify,
    heard: Mutex<Heard>,
    /// Notifications that named no subscription of ours, or not its secret.
    strange: AtomicU64,
}

#[derive(Debug, Default)]
struct Heard {
    /// Subscriptions of this run.
    subscriptions: HashMap<String, Address>,
    rung: BTreeSet<Address>,
    fates: BTreeSet<(Address, Fate)>,
}

#[derive(Deserialize)]
struct Post {
    value: Vec<Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Entry {
    subscription_id: String,
    client_state: Option<String>,
    lifecycle_event: Option<String>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Inbox {
    /// An inbox with a secret of its own.
    pub fn new() -> Self {
        let secret = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        Self { secret, bell: Notify::new(), heard: Mutex::default(), strange: AtomicU64::new(0) }
    }

    /// `clientState` of this run's subscriptions.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Takes a post: the `validationToken` of its query, decoded, if there is one, and its body.
    pub fn post(&self, token: Option<&str>, body: &[u8]) -> Reply {
        if let Some(token) = token {
            return if token.len() <= TOKEN_MAX { Reply::Token(token.to_owned()) } else { Reply::Refused };
        }
        let Ok(post) = serde_json::from_slice::<Post>(body) else { return Reply::Refused };
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut strange = 0_u64;
        for entry in post.value.iter().take(ENTRIES_MAX) {
            let is_ours = entry.client_state.as_deref() == Some(self.secret.as_str());
            let Some(mailbox) = heard.subscriptions.get(&entry.subscription_id).filter(|_| is_ours).cloned() else {
                strange += 1;
                continue;
            };
            match entry.lifecycle_event.as_deref() {
                Some("reauthorizationRequired") => drop(heard.fates.insert((mailbox, Fate::Reauthorize))),
                Some("subscriptionRemoved") => {
                    heard.fates.insert((mailbox.clone(), Fate::Removed));
                    heard.rung.insert(mailbox);
                }
                // `missed`, or a change: the delta tells what it was.
                Some(_) | None => drop(heard.rung.insert(mailbox)),
            }
        }
        drop(heard);
        if strange > 0 {
            self.strange.fetch_add(strange, Ordering::Relaxed);
            tracing::debug!(count = strange, "Notifications of no subscription of ours were passed over");
        }
        self.bell.notify_one();
        Reply::Accepted
    }

    /// From now on this subscription's posts are about that mailbox.
    pub fn expect(&self, subscription: &str, mailbox: &Address) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.subscriptions.insert(subscription.to_owned(), mailbox.clone());
    }

    pub fn forget(&self, subscription: &str) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).subscriptions.remove(subscription);
    }

    /// What was heard since the last question.
    pub fn take(&self) -> (BTreeSet<Address>, BTreeSet<(Address, Fate)>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut heard.rung), std::mem::take(&mut heard.fates))
    }

    /// How many notifications were passed over because they did not know the secret of a subscription of ours.
    pub fn passed_over(&self) -> u64 {
        self.strange.load(Ordering::Relaxed)
    }

    /// Resolves when something was posted since the last time.
    pub async fn posted(&self) {
        self.bell.notified().await;
    }
}
