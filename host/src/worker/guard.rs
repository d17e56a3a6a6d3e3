//! What stands between a decision and its write: the brake on deletions, the cap on mails, the watch for pairs that keep
//! changing back and forth.
//!
//! Promises: what is granted is counted durably before the write, so that a restart in the middle of a storm forgets
//! nothing; a person's word goes before all three. Must not know: how something is written.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use super::consider::Decision;
use super::{Trouble, Worker};
use crate::engine::{Brake, Braked, MailMeter, PairCounts, Recent, Rewrite, restless};
use crate::ledger::{Counted, Event, LedgerError};
use crate::model::{Address, Container};
use crate::notify::Notice;

/// [`Event::what`] of a pair that was set aside because it kept changing, and of one that a person let go on.
const SET_ASIDE: &str = "set aside";
const LET_GO: &str = "let go on";

/// Names the counts are kept under.
const MAILS: &str = "mails";
const DELETIONS: &str = "deletions";

impl Worker {
    /// Takes up what an earlier run of this host counted.
    ///
    /// # Errors
    /// [`LedgerError`] if the counts cannot be read.
    pub async fn recall_counts(&self) -> Result<(), LedgerError> {
        let (mut mailboxes, mut overall, mut mails) = (BTreeMap::new(), Recent::default(), Recent::default());
        for (name, Counted { counts }) in self.ledger.counted().await? {
            let recent = Recent::new(counts);
            match name.split_once(' ') {
                Some((DELETIONS, "crm")) => drop(mailboxes.insert(Container::Crm, recent)),
                Some((DELETIONS, address)) => {
                    mailboxes.insert(Container::Mailbox(Address::new(address)), recent);
                }
                None if name == DELETIONS => overall = recent,
                None if name == MAILS => mails = recent,
                // Of a later version of this program.
                Some(_) | None => {}
            }
        }
        *self.brake.lock().unwrap_or_else(PoisonError::into_inner) = Brake::new(mailboxes, overall);
        *self.mail_meter.lock().unwrap_or_else(PoisonError::into_inner) = MailMeter::new(mails);
        Ok(())
    }

    /// Grants one deletion, or holds it.
    pub(super) async fn ask_brake(&self, decision: &Decision, container: &Container) -> Result<(), Trouble> {
        let mailbox = mailbox(decision, container);
        let pairs = PairCounts { mailbox: self.ledger.count_in(&mailbox).await?, overall: self.ledger.counts().live };
        let counts = {
            let mut brake = self.brake.lock().unwrap_or_else(PoisonError::into_inner);
            brake
                .ask(&mailbox, pairs, self.clock.now(), self.settings.brake)
                .map_err(|limit| Trouble::Braked { side: container.side(), overall: limit == Braked::Overall })?;
            brake.counts(&mailbox)
        };
        let kept =
            [(format!("{DELETIONS} {}", mailbox.key()), counted(&counts.0)), (DELETIONS.into(), counted(&counts.1))];
        Ok(self.ledger.keep_counted(&kept).await?)
    }

    /// Takes back a deletion that the server refused as out of date: it will be asked for again.
    pub(super) fn unbrake(&self, decision: &Decision, container: &Container) {
        let mut brake = self.brake.lock().unwrap_or_else(PoisonError::into_inner);
        brake.take_back(&mailbox(decision, container));
    }

    /// Grants the mails of one write, or holds it.
    pub(super) async fn ask_mail_cap(&self, wanted: u32) -> Result<(), Trouble> {
        if wanted == 0 {
            return Ok(());
        }
        let cap = self.settings.mail_cap;
        let counts = {
            let mut meter = self.mail_meter.lock().unwrap_or_else(PoisonError::into_inner);
            if !meter.ask(wanted, cap, self.clock.now()) {
                return Err(Trouble::MailCap { wanted, cap });
            }
            counted(meter.counts())
        };
        Ok(self.ledger.keep_counted(&[(MAILS.to_owned(), counts)]).await?)
    }

    /// Takes back mails of a write that the server refused as out of date.
    pub(super) fn unmail(&self, wanted: u32) {
        self.mail_meter.lock().unwrap_or_else(PoisonError::into_inner).take_back(wanted);
    }

    /// Lets a linked pair be written to again, unless it keeps changing back and forth: then it is set aside until a
    /// person says otherwise, and people are told once.
    pub(super) async fn ask_rest(&self, decision: &Decision) -> Result<(), Trouble> {
        let Some(entry) = &decision.entry else { return Ok(()) };
        let events = self.ledger.events(&entry.key).await?;
        let since = events.iter().rposition(|event| [SET_ASIDE, LET_GO].contains(&event.what.as_str()));
        let held = since.and_then(|at| events.get(at)).filter(|event| event.what == SET_ASIDE);
        if let Some(event) = held {
            if !decision.by_person {
                return Err(Trouble::KeepsChanging { what: event.note.clone() });
            }
            let event = Event::new(self.clock.now(), LET_GO).note("a person let it go on");
            return Ok(self.ledger.record(entry, vec![event]).await?);
        }
        if decision.by_person {
            return Ok(());
        }
        let rewrites: Vec<Rewrite<'_>> = events
            .iter()
            .skip(since.map_or(0, |at| at + 1))
            .flat_map(|event| {
                event.changes.iter().map(|change| Rewrite {
                    at: event.at,
                    field: &change.field,
                    old: &change.old,
                    new: &change.new,
                })
            })
            .collect();
        let Some(found) = restless(&rewrites, self.clock.now(), self.settings.restless) else { return Ok(()) };
        let what = format!("{} was changed back and forth {} times within an hour", found.field, found.times);
        let trouble = Trouble::KeepsChanging { what: what.clone() };
        // Told before it is recorded: cut off in between, people are told twice rather than not at all.
        self.notifier.tell(
            Notice {
                code: trouble.code(),
                about: entry.key.to_string(),
                title: format!("Appointment {} is set aside: it does not come to rest", entry.key),
                text: trouble.to_string(),
                hint: trouble.hint(),
            },
            self.clock.now(),
        );
        self.ledger.record(entry, vec![Event::new(self.clock.now(), SET_ASIDE).note(what)]).await?;
        Err(trouble)
    }
}

/// The mailbox a pair lives in; the container itself where none is known.
fn mailbox(decision: &Decision, container: &Container) -> Container {
    let known = decision.entry.as_ref().and_then(|entry| entry.exchange.as_ref()).map(|known| &known.at.container);
    let shown = decision.view.exchange.present().map(|item| &item.at.container);
    known.or(shown).unwrap_or(container).clone()
}

fn counted(recent: &Recent) -> Counted {
    Counted { counts: recent.counts().to_vec() }
}
