//! What the `churn` program does to a store, what it tells while doing it, and what must be true of the store after the
//! program was killed or power was lost.
//!
//! Numbers 1, 2, 3 ... are fed to the queue in pages, each page with its cursor; workers lease a number, record an
//! appointment in the ledger whose size depends on the number, and acknowledge. Old ledger entries are removed again.
//! A line is written before what it announces (`removing`) or after what it confirms (all others).

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta};
use daybridge::ledger::{Entry, Ledger};
use daybridge::model::{
    Address, Appointment, Body, Cause, Change, Container, ItemRef, Key, Known, Time, Version, Zone,
};
use daybridge::queue::Queue;

/// Numbers fed in one page.
pub const PAGE: u64 = 16;
/// How many numbers the ledger keeps.
pub const KEPT: u64 = 40;
/// Body sizes, by number: small ones, and some that fill pages or are cut into parts.
const SIZES: [usize; 8] = [300, 20_000, 300, 100_000, 300, 20_000, 200_000, 300];

pub fn key(number: u64) -> Key {
    Key::Crm(number.to_string())
}

pub fn change(number: u64) -> (Key, Change) {
    let at = ItemRef::crm(number.to_string());
    (key(number), Change { at, uid: None, stamp: None, cause: Cause::Person })
}

/// The ledger's entry for a number: its body is made from the number, so that any loss within shows.
pub fn entry(number: u64) -> Entry {
    let size = SIZES[number as usize % SIZES.len()];
    let mut text = String::with_capacity(size + 32);
    let mut word = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while text.len() < size {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        text.push_str(&format!("{word:016x}"));
    }
    let begin = DateTime::UNIX_EPOCH + TimeDelta::minutes(number as i64);
    let time = Time::timed(begin, begin + TimeDelta::minutes(30), Zone::UTC);
    let appointment = Appointment { body: Body::plain(text), ..Appointment::new(format!("number {number}"), time) };
    let known = |at| Known { at, version: Version(number.to_string()), appointment: appointment.clone() };
    Entry {
        crm: Some(known(ItemRef::crm(number.to_string()))),
        copies: vec![ItemRef::exchange(Address::new("copy@example.com"), format!("copy {number}"))],
        uid: Some(format!("uid {number}")),
        ..Entry::new(key(number))
    }
}

/// What the program has told, over all its runs on one folder.
#[derive(Debug, Default)]
pub struct Told {
    pub fed: u64,
    pub recorded: BTreeSet<u64>,
    pub acknowledged: BTreeSet<u64>,
    pub removing: BTreeSet<u64>,
    pub removed: BTreeSet<u64>,
}

impl Told {
    /// Takes in one line; half a line, cut off with the program, is ignored by the caller.
    pub fn hear(&mut self, line: &str) {
        let Some((word, number)) = line.split_once(' ') else { return };
        let number: u64 = number.parse().expect("a number in the program's line");
        match word {
            "fed" => self.fed = self.fed.max(number),
            "recorded" => drop(self.recorded.insert(number)),
            "acknowledged" => drop(self.acknowledged.insert(number)),
            "removing" => drop(self.removing.insert(number)),
            "removed" => drop(self.removed.insert(number)),
            other => panic!("unknown line {other:?}"),
        }
    }

    /// Compares the store with what was told; returns everything that is wrong.
    pub async fn check(&self, queue: &Queue, ledger: &Ledger) -> Vec<String> {
        let mut wrong = Vec::new();
        let cursor = queue.cursor(&Container::Crm).await.expect("cursor can be read");
        let fed = cursor.map_or(0, |cursor| cursor.parse().expect("a number as cursor"));
        if fed < self.fed {
            wrong.push(format!("the cursor is {fed}, {} was confirmed", self.fed));
        }
        let mut found = 0;
        for number in 1..=fed {
            let queued = queue.show(&key(number)).await.expect("queue can be read").is_some();
            let known = ledger.get(&key(number)).await.expect("ledger can be read");
            let intact = known.as_ref() == Some(&entry(number));
            found += u64::from(known.is_some());
            let removing = self.removing.contains(&number);
            if known.is_some() && !intact {
                wrong.push(format!("{number} is in the ledger with other content"));
            }
            if !queued && known.is_none() && !removing {
                wrong.push(format!("{number} was fed and is nowhere"));
            }
            if self.recorded.contains(&number) && known.is_none() && !removing {
                wrong.push(format!("{number} was recorded and is not in the ledger"));
            }
            if self.acknowledged.contains(&number) && queued {
                wrong.push(format!("{number} was acknowledged and is queued again"));
            }
            if self.removed.contains(&number) && known.is_some() {
                wrong.push(format!("{number} was removed and is back"));
            }
            let owners = [
                ledger.find_item(&ItemRef::crm(number.to_string())).await,
                ledger.find_item(&entry(number).copies[0]).await,
                ledger.find_uid(&format!("uid {number}")).await,
            ];
            for owner in owners {
                if owner.expect("index can be read").is_some() != known.is_some() {
                    wrong.push(format!("{number}: index and entry differ"));
                }
            }
        }
        let counts = ledger.counts();
        if counts.live != found {
            wrong.push(format!("the ledger counts {} entries and has {found}", counts.live));
        }
        wrong
    }
}
