//! The servers at hand and who is on them.
//!
//! Promises: one place that answers "which connector for this container". Must not know: protocols.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::connector::Connector;
use crate::model::{Address, Container};
use crate::people::People;

/// One CRM, some Exchange servers, and the people as last read.
pub struct Servers {
    crm: Arc<dyn Connector>,
    exchange: BTreeMap<String, Arc<dyn Connector>>,
    people: ArcSwap<People>,
    /// Whether the people were ever read.
    people_read: watch::Sender<bool>,
}

impl Servers {
    pub fn new(crm: Arc<dyn Connector>, exchange: Vec<Arc<dyn Connector>>) -> Self {
        let exchange = exchange.into_iter().map(|server| (server.name().to_owned(), server)).collect();
        let people = ArcSwap::from_pointee(People::default());
        Self { crm, exchange, people, people_read: watch::Sender::new(false) }
    }

    pub fn crm(&self) -> &Arc<dyn Connector> {
        &self.crm
    }

    pub fn exchange(&self) -> impl Iterator<Item = &Arc<dyn Connector>> {
        self.exchange.values()
    }

    /// The connector for a container; nothing for a mailbox that takes no part (any more).
    pub fn of(&self, container: &Container) -> Option<Arc<dyn Connector>> {
        match container {
            Container::Crm => Some(self.crm.clone()),
            Container::Mailbox(address) => {
                let people = self.people.load();
                let mailbox = people.mailbox(address)?;
                self.exchange.get(&mailbox.server).cloned()
            }
        }
    }

    /// The synchronized calendar of this address, if it has one.
    pub fn calendar(&self, address: &Address) -> Option<Container> {
        self.people.load().mailbox(address).map(|mailbox| Container::Mailbox(mailbox.address.clone()))
    }

    pub fn people(&self) -> Arc<People> {
        self.people.load_full()
    }

    /// Answers once the people were read. Before that nobody's calendar is known, and every organizer looks like a stranger.
    pub async fn people_read(&self) {
        // The sender lives as long as `self`, so the wait cannot fail.
        let _ = self.people_read.subscribe().wait_for(|read| *read).await;
    }

    pub fn set_people(&self, people: People) {
        self.people.store(Arc::new(people));
        self.people_read.send_replace(true);
    }
}
