//! Notifications: one open connection for all mailboxes of a server, or a small question per mailbox now and then.
//!
//! Promises: an idle mailbox costs no request beside the open connection; a mailbox rings once when its subscription
//! begins, so that what happened before is looked at; a lost subscription is made anew, never in a tight loop; one
//! mailbox that refuses does not silence the others. Events carry no data beyond "look there".
//! Source: the EWS notification and affinity articles. Must not know: items, cursors, who listens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::select_all;
use roxmltree::Node;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::client::{Act, Client};
use super::config::Notifications;
use super::operations::write_calendar;
use super::soap::{self, SoapError, Xml, accepted, child, child_text, content, grandchildren, messages, one_message};
use super::stream::Splitter;
use crate::connector::http::{HeaderMap, HeaderName, Request, Streaming};
use crate::connector::{Error, Problem};
use crate::model::Address;

/// Exchange takes at most this many subscriptions per connection.
const GROUP_MAX: usize = 200;
/// Minutes for which the server is asked to hold the connection; its own limit is 30.
const CONNECTION_MINUTES: &str = "29";
/// Minutes for which a pull subscription lives without a question.
const PULL_MINUTES: &str = "60";
/// One action of a person raises several events; they are answered by one look.
const COALESCE: Duration = Duration::from_millis(100);
/// Exchange sends a sign of life every minute or so; after this long the connection is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(180);
/// A connection that brings not even the first sign of life passes through something that holds answers back.
const FIRST_WORD_MAX: Duration = Duration::from_secs(60);
/// A connection the server closes sooner is a fault, not the end of its time.
const LIFE_MIN: Duration = Duration::from_secs(2);
/// Least time between two subscriptions of one mailbox.
const RESUBSCRIBE_MIN: Duration = Duration::from_secs(5);
/// A mailbox that refused its subscription is asked again after this long.
const REFUSED_PAUSE: Duration = Duration::from_secs(10 * 60);
/// Where streaming did not work it is tried again after this long.
const STREAMING_PAUSE: Duration = Duration::from_secs(60 * 60);

const EVENTS: [&str; 5] = ["CopiedEvent", "CreatedEvent", "DeletedEvent", "ModifiedEvent", "MovedEvent"];
const ANCHOR: HeaderName = HeaderName::from_static("x-anchormailbox");
const AFFINITY: HeaderName = HeaderName::from_static("x-preferserveraffinity");
const COOKIE: HeaderName = HeaderName::from_static("cookie");
const AFFINITY_COOKIE: &str = "X-BackEndOverrideCookie=";

/// The subscriptions of one server and the connections that listen to them; lives as long as the connector.
#[derive(Default)]
pub struct Doorbell {
    subscriptions: BTreeMap<Address, Subscription>,
    lines: Vec<Line>,
    /// When a mailbox may be subscribed (again).
    not_before: BTreeMap<Address, Instant>,
    /// Streaming did not work; questions are asked until then.
    pull_until: Option<Instant>,
    /// Keeps all subscriptions on one mailbox server.
    affinity: Option<String>,
}

struct Subscription {
    id: String,
    /// Where a pull subscription stands.
    watermark: Option<String>,
}

/// One open GetStreamingEvents.
struct Line {
    streaming: Streaming,
    splitter: Splitter,
    opened: Instant,
    /// When anything came last.
    heard: Option<Instant>,
}

/// What some envelopes said.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Subscriptions with events.
    pub rung: BTreeSet<String>,
    /// Subscriptions the server does not know.
    pub lost: BTreeSet<String>,
    /// The server ends the connection.
    pub closed: bool,
}

impl News {
    fn is_nothing(&self) -> bool {
        *self == News::default()
    }

    fn add(&mut self, other: News) {
        self.rung.extend(other.rung);
        self.lost.extend(other.lost);
        self.closed |= other.closed;
    }
}

/// How listening ended.
enum Heard {
    Rung(BTreeSet<Address>),
    /// Subscriptions or connections have to be made anew.
    Again,
    Nothing,
}

impl Doorbell {
    /// Waits for the first mailboxes with events; an empty list after `limit`.
    pub async fn wait(
        &mut self,
        client: &Client,
        mailboxes: BTreeSet<Address>,
        limit: Duration,
    ) -> Result<BTreeSet<Address>, Error> {
        let deadline = Instant::now() + limit;
        self.forget_others(&mailboxes);
        loop {
            let fresh = self.subscribe(client, &mailboxes).await?;
            if !fresh.is_empty() {
                return Ok(fresh);
            }
            // A mailbox without a subscription is asked again at its time, also while the others are quiet.
            let missing = mailboxes.iter().filter(|mailbox| !self.subscriptions.contains_key(*mailbox));
            let retry = missing.filter_map(|mailbox| self.not_before.get(mailbox)).min();
            let until = retry.map_or(deadline, |retry| deadline.min(*retry));
            let heard = if self.subscriptions.is_empty() {
                sleep_until(until).await;
                Heard::Nothing
            } else if self.is_pulling(client) {
                self.ask(client, until).await?
            } else {
                self.listen(client, until).await?
            };
            match heard {
                Heard::Rung(mailboxes) => return Ok(mailboxes),
                Heard::Nothing if Instant::now() >= deadline => return Ok(BTreeSet::new()),
                Heard::Nothing | Heard::Again => {}
            }
        }
    }

    fn is_pulling(&self, client: &Client) -> bool {
        client.config().notifications == Notifications::Pull
            || self.pull_until.is_some_and(|until| Instant::now() < until)
    }

    fn forget_others(&mut self, mailboxes: &BTreeSet<Address>) {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|mailbox, _| mailboxes.contains(mailbox));
        self.not_before.retain(|mailbox, _| mailboxes.contains(mailbox));
        // When streaming is worth another try, its subscriptions are of the other kind.
        let tried_again = self.pull_until.is_some_and(|until| Instant::now() >= until);
        if tried_again {
            self.pull_until = None;
            self.subscriptions.clear();
        }
        if self.subscriptions.len() != before {
            self.lines.clear();
        }
    }

    /// Streaming does not work here: ask for a while.
    fn fall_back(&mut self, client: &Client) {
        tracing::info!(server.name = %client.config().name, "{} does not stream notifications; it is asked instead", client.config().name);
        self.pull_until = Some(Instant::now() + STREAMING_PAUSE);
        self.subscriptions.clear();
        self.not_before.clear();
        self.lines.clear();
    }

    /// Subscribes the mailboxes that are not; answers the new ones.
    async fn subscribe(&mut self, client: &Client, mailboxes: &BTreeSet<Address>) -> Result<BTreeSet<Address>, Error> {
        let mut fresh = BTreeSet::new();
        let mut refused = None;
        let Some(anchor) = mailboxes.first() else { return Ok(fresh) };
        for mailbox in mailboxes {
            let is_due = self.not_before.get(mailbox).is_none_or(|time| *time <= Instant::now());
            if self.subscriptions.contains_key(mailbox) || !is_due {
                continue;
            }
            let mut made = self.subscribe_one(client, anchor, mailbox).await;
            if let Err(error) = &made
                && matches!(error.problem, Problem::Refused | Problem::Unsupported)
                && self.subscriptions.is_empty()
                && !self.is_pulling(client)
            {
                self.fall_back(client);
                made = self.subscribe_one(client, anchor, mailbox).await;
            }
            match made {
                Ok(subscription) => {
                    self.subscriptions.insert(mailbox.clone(), subscription);
                    self.not_before.insert(mailbox.clone(), Instant::now() + RESUBSCRIBE_MIN);
                    self.lines.clear();
                    fresh.insert(mailbox.clone());
                }
                Err(error) => match pause_of_one(&error.problem) {
                    Some(pause) => {
                        tracing::debug!(error = %crate::error::Chain(&error), "A mailbox refused notifications");
                        self.not_before.insert(mailbox.clone(), Instant::now() + pause);
                        refused = refused.or(Some(error));
                    }
                    None if fresh.is_empty() => return Err(error),
                    None => return Ok(fresh),
                },
            }
        }
        match refused {
            Some(error) if self.subscriptions.is_empty() => Err(error),
            _ => Ok(fresh),
        }
    }

    async fn subscribe_one(
        &mut self,
        client: &Client,
        anchor: &Address,
        mailbox: &Address,
    ) -> Result<Subscription, Error> {
        let pull = self.is_pulling(client);
        let act = Act::new("ask for notifications", mailbox);
        let kind = if pull { "m:PullSubscriptionRequest" } else { "m:StreamingSubscriptionRequest" };
        let write = |xml: &mut Xml| {
            xml.element("m:Subscribe", &[], |xml| {
                xml.element(kind, &[], |xml| {
                    xml.element("t:FolderIds", &[], |xml| write_calendar(xml, mailbox));
                    xml.element("t:EventTypes", &[], |xml| EVENTS.iter().for_each(|e| xml.text("t:EventType", &[], e)));
                    if pull {
                        xml.text("t:Timeout", &[], PULL_MINUTES);
                    }
                });
            });
        };
        let request = self.with_affinity(client.request(act, write).await?, anchor);
        let read = |headers: &HeaderMap, response: Node<'_, '_>| {
            let message = one_message(response)?;
            let id = child_text(message, "SubscriptionId").ok_or(SoapError::Missing("SubscriptionId"))?;
            Ok((Subscription { id, watermark: child_text(message, "Watermark") }, affinity_cookie(headers)))
        };
        let (subscription, cookie) = client.call_with(act, request, read).await?;
        self.affinity = cookie.or(self.affinity.take());
        Ok(subscription)
    }

    /// All subscriptions of a group are kept by the mailbox server of the group's first mailbox.
    fn with_affinity(&self, request: Request, anchor: &Address) -> Request {
        let request = request.header(ANCHOR, anchor.as_str()).header(AFFINITY, "true");
        match &self.affinity {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        }
    }

    async fn open(&mut self, client: &Client) -> Result<(), Error> {
        let Some(anchor) = self.subscriptions.keys().next() else { return Ok(()) };
        let act = Act::new("listen for notifications", anchor);
        let ids: Vec<_> = self.subscriptions.values().map(|subscription| subscription.id.as_str()).collect();
        let mut lines = Vec::new();
        for group in ids.chunks(GROUP_MAX) {
            let write = |xml: &mut Xml| {
                xml.element("m:GetStreamingEvents", &[], |xml| {
                    xml.element("m:SubscriptionIds", &[], |xml| {
                        group.iter().for_each(|id| xml.text("t:SubscriptionId", &[], id));
                    });
                    xml.text("m:ConnectionTimeout", &[], CONNECTION_MINUTES);
                });
            };
            let request = self.with_affinity(client.request(act, write).await?, anchor);
            let streaming = client.stream(act, request, SILENCE_MAX).await?;
            lines.push(Line { streaming, splitter: Splitter::default(), opened: Instant::now(), heard: None });
        }
        self.lines = lines;
        Ok(())
    }

    async fn listen(&mut self, client: &Client, until: Instant) -> Result<Heard, Error> {
        if self.lines.is_empty()
            && let Err(error) = self.open(client).await
        {
            return self.failed(client, error);
        }
        let mut news = News::default();
        let mut wait = until;
        loop {
            let silent_at = self.lines.iter().map(Line::silent_at).min().unwrap_or(wait);
            let next = async { select_all(self.lines.iter_mut().map(|line| Box::pin(line.next(client)))).await.0 };
            match timeout_at(wait.min(silent_at), next).await {
                Ok(Ok(more)) => {
                    news.add(more);
                    if !news.lost.is_empty() || news.closed {
                        break;
                    }
                    wait = wait.min(Instant::now() + COALESCE);
                }
                Ok(Err(error)) if news.is_nothing() => return self.failed(client, error),
                Ok(Err(_)) => {
                    self.lines.clear();
                    break;
                }
                Err(_) if Instant::now() < wait && news.is_nothing() => return self.silent(client),
                Err(_) => break,
            }
        }
        self.judge(client, news)
    }

    /// A connection could not be opened, or brought an error.
    fn failed(&mut self, client: &Client, error: Error) -> Result<Heard, Error> {
        self.lines.clear();
        match error.problem {
            // The server does not say whose subscription it does not know.
            Problem::CursorLost => self.subscriptions.clear(),
            Problem::Refused | Problem::Unsupported => self.fall_back(client),
            _ => return Err(error),
        }
        Ok(Heard::Again)
    }

    /// A connection brought nothing for too long.
    fn silent(&mut self, client: &Client) -> Result<Heard, Error> {
        if self.lines.iter().any(|line| line.heard.is_none()) {
            self.fall_back(client);
        }
        self.lines.clear();
        Ok(Heard::Again)
    }

    fn judge(&mut self, client: &Client, news: News) -> Result<Heard, Error> {
        let rung: BTreeSet<_> = self
            .subscriptions
            .iter()
            .filter(|(_, subscription)| news.rung.contains(&subscription.id))
            .map(|(mailbox, _)| mailbox.clone())
            .collect();
        if !news.lost.is_empty() {
            self.subscriptions.retain(|_, subscription| !news.lost.contains(&subscription.id));
            self.lines.clear();
        }
        let short = self.lines.iter().any(|line| line.opened.elapsed() < LIFE_MIN);
        if news.closed {
            self.lines.clear();
        }
        match () {
            () if !rung.is_empty() => Ok(Heard::Rung(rung)),
            () if !news.lost.is_empty() => Ok(Heard::Again),
            () if news.closed && short => {
                let problem = Problem::Unreachable { after: None };
                Err(Error::new(client.name_act("listen for notifications"), problem)
                    .caused_by("the server closed the connection at once"))
            }
            () if news.closed => Ok(Heard::Again),
            () => Ok(Heard::Nothing),
        }
    }

    /// Asks each mailbox in turn until one has events.
    async fn ask(&mut self, client: &Client, until: Instant) -> Result<Heard, Error> {
        loop {
            let mut rung = BTreeSet::new();
            let mut lost = Vec::new();
            for (mailbox, subscription) in &mut self.subscriptions {
                match pull_events(client, mailbox, subscription).await {
                    Ok(true) => {
                        rung.insert(mailbox.clone());
                    }
                    Ok(false) => {}
                    Err(error) if error.problem == Problem::CursorLost => lost.push((mailbox.clone(), Duration::ZERO)),
                    // It is left out of this round; its subscription stays.
                    Err(error) if matches!(error.problem, Problem::Throttled { .. }) => {}
                    Err(error) => match pause_of_one(&error.problem) {
                        Some(pause) => lost.push((mailbox.clone(), pause)),
                        None if rung.is_empty() => return Err(error),
                        None => break,
                    },
                }
            }
            for (mailbox, pause) in &lost {
                self.subscriptions.remove(mailbox);
                let at = self.not_before.entry(mailbox.clone()).or_insert_with(Instant::now);
                *at = (*at).max(Instant::now() + *pause);
            }
            if !rung.is_empty() {
                return Ok(Heard::Rung(rung));
            }
            if !lost.is_empty() {
                return Ok(Heard::Again);
            }
            if Instant::now() >= until {
                return Ok(Heard::Nothing);
            }
            sleep_until(until.min(Instant::now() + client.config().pull_interval)).await;
        }
    }
}

impl Line {
    fn silent_at(&self) -> Instant {
        self.heard.map_or(self.opened + FIRST_WORD_MAX, |heard| heard + SILENCE_MAX)
    }

    /// The next envelopes that say something. May be dropped while it waits: nothing is lost then.
    async fn next(&mut self, client: &Client) -> Result<News, Error> {
        let what = "listen for notifications";
        loop {
            // Whatever goes wrong between two pieces, the connection is gone and worth another.
            let broken =
                |error| Error::new(client.name_act(what), Problem::Unreachable { after: None }).caused_by(error);
            let piece = self.streaming.next().await.map_err(broken)?;
            let Some(piece) = piece else { return Ok(News { closed: true, ..News::default() }) };
            self.heard = Some(Instant::now());
            let envelopes = self
                .splitter
                .push(&piece)
                .map_err(|error| Error::new(client.name_act(what), Problem::Malformed).caused_by(error))?;
            let mut news = News::default();
            for envelope in envelopes {
                news.add(soap::answer(&envelope, read_news).map_err(|error| client.failed(what, error))?);
            }
            if !news.is_nothing() {
                return Ok(news);
            }
        }
    }
}

/// Reads one envelope of a GetStreamingEvents answer.
///
/// # Errors
/// [`SoapError`] for a failure that is not about the subscriptions.
pub fn read_news(response: Node<'_, '_>) -> Result<News, SoapError> {
    let mut news = News::default();
    for message in messages(response)? {
        for notification in grandchildren(message, "Notifications") {
            if has_events(notification) {
                news.rung.extend(child_text(notification, "SubscriptionId"));
            }
        }
        news.closed |= child_text(message, "ConnectionStatus").is_some_and(|status| status == "Closed");
        let lost: Vec<_> = grandchildren(message, "ErrorSubscriptionIds").into_iter().map(content).collect();
        match accepted(message) {
            Err(refusal) if lost.is_empty() => return Err(refusal.into()),
            _ => news.lost.extend(lost),
        }
    }
    Ok(news)
}

/// Anything but a sign of life.
fn has_events(notification: Node<'_, '_>) -> bool {
    let is_event = |name: &str| name.ends_with("Event") && name != "StatusEvent";
    notification.children().any(|node| node.is_element() && is_event(node.tag_name().name()))
}

async fn pull_events(client: &Client, mailbox: &Address, subscription: &mut Subscription) -> Result<bool, Error> {
    let act = Act::new("ask for events", mailbox);
    let watermark = subscription.watermark.clone().unwrap_or_default();
    let write = |xml: &mut Xml| {
        xml.element("m:GetEvents", &[], |xml| {
            xml.text("m:SubscriptionId", &[], &subscription.id);
            xml.text("m:Watermark", &[], &watermark);
        });
    };
    let read = |response: Node<'_, '_>| {
        let message = one_message(response)?;
        let notification = child(message, "Notification").ok_or(SoapError::Missing("Notification"))?;
        let marks = notification.children().filter_map(|event| child_text(event, "Watermark"));
        Ok((has_events(notification), marks.fold(None, |_, mark| Some(mark))))
    };
    let (has_events, mark) = client.call(act, write, read).await?;
    subscription.watermark = mark.or(subscription.watermark.take());
    Ok(has_events)
}

/// For how long the mailbox is not asked again, if other mailboxes may still be fine.
fn pause_of_one(problem: &Problem) -> Option<Duration> {
    match problem {
        Problem::Throttled { after } => Some(after.unwrap_or(RESUBSCRIBE_MIN)),
        Problem::Forbidden
        | Problem::NoMailbox
        | Problem::NotFound
        | Problem::Full
        | Problem::Refused
        | Problem::CursorLost => Some(REFUSED_PAUSE),
        _ => None,
    }
}

fn affinity_cookie(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.filter_map(|cookie| cookie.split(';').next()).map(str::trim);
    pairs.rfind(|pair| pair.starts_with(AFFINITY_COOKIE)).map(str::to_owned)
}
