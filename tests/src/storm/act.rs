//! What may happen: acts of people, of servers, of the host's keeper.

use rand::Rng;

use super::one;
use crate::host::Reach;

/// Somebody of the four, by place.
pub type Who = usize;

/// One step. Picks are taken modulo what there is, so that any list of acts can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    CrmBook {
        who: Who,
        day: i64,
        hour: u32,
        people: u8,
        guest: bool,
        all_day: bool,
    },
    CrmSet {
        pick: usize,
        what: Set,
    },
    CrmComplete {
        pick: usize,
    },
    CrmCancel {
        pick: usize,
    },
    CrmDelete {
        pick: usize,
    },
    CrmInvite {
        pick: usize,
        who: Who,
    },
    CrmUninvite {
        pick: usize,
        who: Who,
    },
    Book {
        who: Who,
        day: i64,
        hour: u32,
        people: u8,
        guest: bool,
        zone: usize,
        all_day: bool,
    },
    /// A series made in Outlook.
    BookSeries {
        who: Who,
        day: i64,
        hour: u32,
        people: u8,
        pattern: usize,
    },
    /// What the CRM's page for recurring appointments leaves.
    CrmBookSeries {
        who: Who,
        day: i64,
        hour: u32,
        people: u8,
        pattern: usize,
    },
    /// All that is left of a series made in the CRM gets another place.
    CrmSetSeries {
        pick: usize,
    },
    Set {
        pick: usize,
        what: Set,
    },
    Delete {
        pick: usize,
        tell: bool,
    },
    /// The list of people becomes this.
    People {
        pick: usize,
        people: u8,
        guest: bool,
    },
    Respond {
        who: Who,
        pick: usize,
        answer: usize,
    },
    /// An attendee throws the own copy away.
    DropCopy {
        who: Who,
        pick: usize,
    },
    Pass {
        sweep: bool,
        faults: Vec<Fault>,
    },
    /// A pass while a server is down.
    PassDown {
        crm: bool,
    },
    /// The host dies after so many commits of its store, and starts again.
    Crash {
        commits: usize,
    },
    /// The host dies while a server carries out what it asked: nobody hears the answer.
    CrashAtWrite {
        fault: Fault,
    },
    Restart,
    /// Other rules come in force.
    Swap {
        tagged: bool,
    },
    /// The CRM server's clock is wrong by so many minutes.
    Skew {
        minutes: i64,
    },
    /// At rest: queue, cursors and ledger are lost.
    LoseData,
    /// At rest: the host reads the CRM's wall times in another zone for a while.
    OtherZone,
}

/// A field a person sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    Subject,
    Location,
    Text,
    Time { day: i64, hour: u32 },
    AllDay { day: i64 },
    Private(bool),
    Reminder(u32),
}

/// Something goes wrong at a server during one pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub crm: bool,
    /// Where some mailboxes are online and some not: at one that is.
    pub online: bool,
    pub operation: &'static str,
    pub kind: &'static str,
    /// An error code or an HTTP status, where the kind has one.
    pub code: &'static str,
    pub times: u32,
}

/// A mailbox that no hybrid has online.
const OFFLINE: &str = "terry.smith@example.test";

const EXCHANGE: [&str; 7] = ["CreateItem", "UpdateItem", "DeleteItem", "GetItem", "SyncFolderItems", "FindItem", "*"];
const EXCHANGE_KINDS: [(&str, &str); 9] = [
    ("drop-before", ""),
    ("drop-after-commit", ""),
    ("drop-after-commit", ""),
    ("error", "ErrorServerBusy"),
    ("error", "ErrorInternalServerError"),
    ("error", "ErrorMailboxStoreUnavailable"),
    ("throttle", ""),
    ("status", "503"),
    ("malformed", ""),
];
const CRM: [&str; 9] = [
    "POST Communication",
    "PATCH Communication",
    "POST Comm_Link",
    "PATCH Comm_Link",
    "DELETE Comm_Link",
    "GET Communication",
    "GET Comm_Link",
    "GET Users",
    "*",
];
const CRM_KINDS: [(&str, &str); 7] = [
    ("drop-before", ""),
    ("drop-after-commit", ""),
    ("drop-after-commit", ""),
    ("status", "500"),
    ("status", "503"),
    ("throttle", ""),
    ("malformed", ""),
];

impl Fault {
    fn random(random: &mut impl Rng) -> Self {
        let crm = random.random_bool(0.5);
        let (operation, (kind, code)) = if crm {
            (*one(random, &CRM), *one(random, &CRM_KINDS))
        } else {
            (*one(random, &EXCHANGE), *one(random, &EXCHANGE_KINDS))
        };
        Self { crm, online: random.random_bool(0.5), operation, kind, code, times: random.random_range(1..3) }
    }

    /// As a simulator takes it.
    pub fn json(&self, reach: Reach) -> serde_json::Value {
        let mailbox = (!self.online).then_some(OFFLINE);
        let operation = if self.crm { self.operation } else { reach.operation_of(self.operation, mailbox) };
        let mut fault = serde_json::json!({"operation": operation, "kind": self.kind, "times": self.times});
        match self.kind {
            "error" => fault["code"] = self.code.into(),
            "status" => fault["status"] = self.code.parse::<u16>().unwrap_or(500).into(),
            "throttle" => fault["back_off_ms"] = 40.into(),
            _ => {}
        }
        fault
    }
}

impl Set {
    fn random(random: &mut impl Rng, crm: bool) -> Self {
        match random.random_range(0..if crm { 9 } else { 7 }) {
            0 | 1 => Set::Subject,
            2 | 3 => Set::Location,
            4 => Set::Text,
            5 => Set::Time { day: random.random_range(20..60), hour: random.random_range(0..23) },
            6 => Set::AllDay { day: random.random_range(20..60) },
            7 => Set::Private(random.random_bool(0.5)),
            _ => Set::Reminder(*one(random, &[5, 15, 60])),
        }
    }
}

impl Act {
    pub(super) fn is_of_series(&self) -> bool {
        matches!(self, Act::BookSeries { .. } | Act::CrmBookSeries { .. } | Act::CrmSetSeries { .. })
    }

    pub(super) fn random(random: &mut impl Rng) -> Self {
        let (who, pick) = (random.random_range(0..4), random.random_range(0..1000));
        let (day, hour) = (random.random_range(20..60), random.random_range(0..23));
        let people = *one(random, &[0, 0, 1, 2, 4, 8, 3, 6, 15]);
        let (guest, all_day) = (random.random_bool(0.2), random.random_bool(0.1));
        match random.random_range(0..100) {
            0..10 => Act::CrmBook { who, day, hour, people, guest, all_day },
            10..28 => Act::CrmSet { pick, what: Set::random(random, true) },
            28 => Act::CrmComplete { pick },
            29..31 => Act::CrmCancel { pick },
            31..34 => Act::CrmDelete { pick },
            34..37 => Act::CrmInvite { pick, who },
            37..39 => Act::CrmUninvite { pick, who },
            39 => Act::BookSeries { who, day, hour, people, pattern: random.random_range(0..5) },
            40 => Act::CrmBookSeries { who, day, hour, people, pattern: random.random_range(0..5) },
            41 => Act::CrmSetSeries { pick },
            42..47 => Act::Book { who, day, hour, people, guest, zone: random.random_range(0..6), all_day },
            47..62 => Act::Set { pick, what: Set::random(random, false) },
            62..65 => Act::Delete { pick, tell: random.random_bool(0.7) },
            65..69 => Act::People { pick, people, guest },
            69..75 => Act::Respond { who, pick, answer: random.random_range(0..3) },
            75..77 => Act::DropCopy { who, pick },
            77..84 => Act::Pass { sweep: random.random_bool(0.15), faults: Vec::new() },
            84..91 => {
                let faults = (0..random.random_range(1..4)).map(|_| Fault::random(random)).collect();
                Act::Pass { sweep: random.random_bool(0.15), faults }
            }
            91 => Act::PassDown { crm: random.random_bool(0.5) },
            92..94 => Act::Crash { commits: random.random_range(0..30) },
            94 => {
                let crm = random.random_bool(0.5);
                let operation = if crm { *one(random, &CRM[..5]) } else { *one(random, &EXCHANGE[..3]) };
                let fault = Fault { crm, online: random.random_bool(0.5), operation, kind: "hold", code: "", times: 1 };
                Act::CrashAtWrite { fault }
            }
            95 => Act::Restart,
            96 => Act::Swap { tagged: random.random_bool(0.5) },
            97 => Act::Skew { minutes: random.random_range(-15..16) },
            98 => Act::LoseData,
            _ => Act::OtherZone,
        }
    }
}
