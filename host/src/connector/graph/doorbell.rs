//! Subscriptions to changes of calendars, kept alive, and the wait for one of them to ring.
//!
//! Promises: each mailbox has one subscription of this run, renewed in the middle of its life; those of earlier runs are removed
//! first, since their secret is gone; a mailbox that cannot be subscribed to does not keep the others from it and is tried again.
//! Must not know: cursors, what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::client::{Act, Client};
use super::config::Notifications;
use super::inbox::{Fate, Inbox};
use super::wire;
use crate::connector::http::Method;
use crate::connector::{Error, Problem};
use crate::error::{Chain, Class};
use crate::model::Address;

/// Graph keeps a subscription to events for a week at most. Three days outlast a weekend's trouble.
const LIFE: TimeDelta = TimeDelta::days(3);
/// A mailbox that could not be subscribed to is tried again after this.
const AGAIN: TimeDelta = TimeDelta::minutes(5);
/// How often the times are looked at while nothing rings.
const LOOK: Duration = Duration::from_secs(60);

/// The subscriptions of one tenant.
#[derive(Debug, Default)]
pub struct Doorbell {
    known: BTreeMap<Address, Known>,
    cleared: bool,
    /// What rang and was not told yet: whoever waits may give up at any time.
    rung: BTreeSet<Address>,
}

#[derive(Debug)]
enum Known {
    Live { id: String, renew_at: DateTime<Utc> },
    Failed { again_at: DateTime<Utc> },
}

impl Doorbell {
    /// Waits until one of the mailboxes rings, or `limit` passed.
    ///
    /// # Errors
    /// [`Problem::Unsupported`] if the operator gave no public address; what keeps all subscriptions from being made.
    pub async fn wait(
        &mut self,
        client: &Client,
        inbox: &Inbox,
        mailboxes: BTreeSet<Address>,
        limit: Duration,
    ) -> Result<BTreeSet<Address>, Error> {
        let Some(settings) = client.config().notifications.clone() else {
            return Err(Error::new(client.name_act("listen for notifications"), Problem::Unsupported));
        };
        let ends = Instant::now() + limit;
        if !self.cleared {
            clear(client, &settings).await?;
            self.cleared = true;
        }
        loop {
            let (rung, fates) = inbox.take();
            self.rung.extend(rung);
            self.suffer(inbox, fates);
            self.leave(client, inbox, &mailboxes).await;
            self.keep(client, inbox, &settings, &mailboxes).await?;
            self.rung.retain(|mailbox| mailboxes.contains(mailbox));
            let left = ends.saturating_duration_since(Instant::now());
            if !self.rung.is_empty() || left.is_zero() {
                return Ok(std::mem::take(&mut self.rung));
            }
            tokio::select! { () = inbox.posted() => {}, () = sleep(left.min(LOOK)) => {} }
        }
    }

    fn suffer(&mut self, inbox: &Inbox, fates: BTreeSet<(Address, Fate)>) {
        for (mailbox, fate) in fates {
            match (fate, self.known.get_mut(&mailbox)) {
                (Fate::Reauthorize, Some(Known::Live { renew_at, .. })) => *renew_at = DateTime::UNIX_EPOCH,
                (Fate::Removed, Some(Known::Live { id, .. })) => {
                    inbox.forget(id);
                    self.known.remove(&mailbox);
                }
                (Fate::Reauthorize | Fate::Removed, _) => {}
            }
        }
    }

    /// Ends the subscriptions of mailboxes that take no part any more. One that cannot be ended runs out by itself.
    async fn leave(&mut self, client: &Client, inbox: &Inbox, wanted: &BTreeSet<Address>) {
        let gone: Vec<Address> = self.known.keys().filter(|mailbox| !wanted.contains(*mailbox)).cloned().collect();
        for mailbox in gone {
            if let Some(Known::Live { id, .. }) = self.known.remove(&mailbox) {
                inbox.forget(&id);
                if let Err(error) = end(client, &id).await {
                    tracing::debug!(error = %Chain(&error), "A subscription could not be ended");
                }
            }
        }
    }

    /// Makes and renews subscriptions; a mailbox rings when its subscription begins.
    async fn keep(
        &mut self,
        client: &Client,
        inbox: &Inbox,
        settings: &Notifications,
        wanted: &BTreeSet<Address>,
    ) -> Result<(), Error> {
        for mailbox in wanted {
            let now = client.clock().now();
            let renewed = match self.known.get(mailbox) {
                Some(Known::Live { renew_at, .. }) if now < *renew_at => continue,
                Some(Known::Failed { again_at }) if now < *again_at => continue,
                Some(Known::Live { id, .. }) => {
                    let id = id.clone();
                    match renew(client, &id, now + LIFE).await {
                        Ok(()) => Ok(id),
                        // Whatever the server has against it: a new one takes its place.
                        Err(error) if error.class() == Class::Park => {
                            inbox.forget(&id);
                            begin(client, inbox, settings, mailbox, now + LIFE).await
                        }
                        Err(error) => Err(error),
                    }
                }
                Some(Known::Failed { .. }) | None => begin(client, inbox, settings, mailbox, now + LIFE).await,
            };
            match renewed {
                Ok(id) => {
                    let live = Known::Live { id: id.clone(), renew_at: now + LIFE / 2 };
                    let before = self.known.insert(mailbox.clone(), live);
                    if !matches!(before, Some(Known::Live { id: old, .. }) if old == id) {
                        self.rung.insert(mailbox.clone());
                    }
                }
                Err(error) if matches!(error.class(), Class::Down { .. } | Class::Auth) => return Err(error),
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), hint = error.hint(),
                        "One mailbox cannot be subscribed to; it is polled meanwhile");
                    self.known.insert(mailbox.clone(), Known::Failed { again_at: now + AGAIN });
                }
            }
        }
        Ok(())
    }
}

/// Removes what earlier runs of this host left behind: subscriptions to our own public address.
async fn clear(client: &Client, settings: &Notifications) -> Result<(), Error> {
    let act = Act::of_tenant("look for old subscriptions");
    let there: Vec<wire::Subscription> = client.list(act, client.at(&["subscriptions"], &[])).await?;
    for old in there.iter().filter(|old| old.notification_url.as_deref() == Some(settings.url.as_str())) {
        end(client, &old.id).await?;
    }
    Ok(())
}

async fn end(client: &Client, id: &str) -> Result<(), Error> {
    let act = Act::of_tenant("end a subscription");
    let url = client.at(&["subscriptions", id], &[]);
    match client.write(act, Method::DELETE, url, None, None).await? {
        Ok(_) => Ok(()),
        Err(refusal) if refusal.status.as_u16() == 404 => Ok(()),
        Err(refusal) => Err(client.failed(act, refusal)),
    }
}

async fn begin(
    client: &Client,
    inbox: &Inbox,
    settings: &Notifications,
    mailbox: &Address,
    until: DateTime<Utc>,
) -> Result<String, Error> {
    let act = Act::of_tenant("subscribe to a calendar");
    let body = json!({
        "changeType": "created,updated,deleted",
        "notificationUrl": settings.url,
        "lifecycleNotificationUrl": settings.url,
        "resource": format!("/users/{}/events", mailbox.as_str()),
        "expirationDateTime": text(until),
        "clientState": inbox.secret(),
    });
    let url = client.at(&["subscriptions"], &[]);
    match client.write(act, Method::POST, url, Some(&body), None).await? {
        Ok(response) => {
            let made: wire::Subscription = client.read(act, response)?;
            inbox.expect(&made.id, mailbox);
            Ok(made.id)
        }
        Err(refusal) => Err(client.failed(act, refusal)),
    }
}

async fn renew(client: &Client, id: &str, until: DateTime<Utc>) -> Result<(), Error> {
    let act = Act::of_tenant("renew a subscription");
    let url = client.at(&["subscriptions", id], &[]);
    let body = json!({ "expirationDateTime": text(until) });
    match client.write(act, Method::PATCH, url, Some(&body), None).await? {
        Ok(_) => Ok(()),
        Err(refusal) => Err(client.failed(act, refusal)),
    }
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
