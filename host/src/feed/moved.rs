//! Mailboxes that the configuration has on another server than the ledger: they are held until they were carried over.
//!
//! Promises: a mailbox is noted under the server it is first synchronized with; a server that was merely renamed in the configuration
//! holds nothing up. Must not know: how a mailbox is carried over.

use std::collections::{BTreeMap, BTreeSet};

use super::{Feeds, Place};
use crate::connector::Cursor;
use crate::ledger::{Home, Moving};
use crate::model::Container;
use crate::notify::Notice;
use crate::people::People;
use crate::worker::{Moved, Trouble};

impl Feeds {
    /// Holds the mailboxes that have moved, and lets the others go.
    pub(super) async fn hold_moved(&self, people: &People) -> Result<(), Trouble> {
        let mut moved = BTreeMap::new();
        for mailbox in people.mailboxes() {
            let Some(naming) = self.settings.namings.get(&mailbox.server) else { continue };
            let container = Container::Mailbox(mailbox.address.clone());
            let now = Home { server: mailbox.server.clone(), kind: naming.name().to_owned(), moving: None };
            let home = self.ledger.home(&container).await?;
            let home = match home {
                Some(home) if home == now => continue,
                Some(home) if home.moving.is_some() || home.kind != now.kind => home,
                // Of the same kind. Its server may have been given another name.
                Some(home) if self.settings.namings.contains_key(&home.server) => home,
                Some(_) | None => {
                    self.ledger.set_home(&container, &now).await?;
                    continue;
                }
            };
            moved.insert(container, way(home, now));
        }
        let ways: BTreeSet<&Moved> = moved.values().collect();
        for way in ways {
            let trouble = Trouble::Moved { from: way.from.clone(), to: way.to.clone() };
            let count = moved.values().filter(|other| *other == way).count();
            let notice = Notice {
                code: trouble.code(),
                about: way.to.clone(),
                title: format!("{count} of the mailboxes on {} wait to be carried over", way.to),
                text: trouble.to_string(),
                hint: trouble.hint(),
            };
            if moved.iter().any(|(container, other)| other == way && self.worker.held(container).is_none()) {
                self.worker.notifier.tell(notice, self.clock.now());
            }
        }
        self.worker.hold(moved);
        Ok(())
    }

    /// Makes the feed of a container start over. What it then tells was not there before the sync for that, unless its first pass is
    /// still under way.
    ///
    /// # Errors
    /// [`Trouble::Queue`] if it cannot be written.
    pub async fn begin_again(&self, container: &Container) -> Result<(), Trouble> {
        let Some(stored) = self.queue.cursor(container).await? else { return Ok(()) };
        let place = Place { cursor: Cursor(String::new()), ..Place::parse(&stored) };
        Ok(self.queue.put_with_cursor(Vec::new(), container, &place.text()).await?)
    }
}

/// Whence and whither, in words that tell the two apart: what the servers are called, else what they speak.
fn way(home: Home, now: Home) -> Moved {
    let (server, kind) = match home.moving {
        // On the way, and sent back.
        Some(Moving { server, kind, .. }) if home.server == now.server && home.kind == now.kind => (server, kind),
        Some(_) | None => (home.server, home.kind),
    };
    if server == now.server { Moved { from: kind, to: now.kind } } else { Moved { from: server, to: now.server } }
}
