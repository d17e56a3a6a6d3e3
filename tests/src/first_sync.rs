//! A first sync of many appointments over many mailboxes, by a host that is a process of its own: what it needs of memory,
//! requests and time, and that it mails nobody, doubles nothing and goes on where it was killed.
//!
//! A quarter of the appointments is known in both places beforehand, a quarter in Exchange alone, the rest in the CRM alone,
//! half of that with guests. The figures are read from the system and from the simulators, not from the host.

use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use chrono_tz::Europe::Berlin;
use daybridge::control::client::Client;
use daybridge::control::{Preview, Status, SyncReport};
use serde_json::{Value, json};

use crate::crm::Booking;
use crate::host::{Mails, Servers, delete, get, post};
use crate::program::{self, Running};
use crate::reach::Reach;
use crate::time::{day, utc};
use crate::wait;

/// Id of the first CRM user.
const FIRST_USER: usize = 11;
/// Appointments of one mailbox on a day, and the first of these days from today.
const PER_DAY: usize = 8;
const FIRST_DAY: usize = 20;
const FIRST_HOUR: usize = 9;
/// Rows imported into the CRM at a time; each lot is a minute younger than the one before.
const LOT: usize = 500;
/// Between two looks at a command's memory.
const LOOK: Duration = Duration::from_millis(100);
/// Without any progress for so long the sync is stuck.
const STUCK: Duration = Duration::from_secs(120);
/// After a first sync the host's own writes come back as changes; then nothing is left.
const ECHOES_MAX: usize = 8;

/// Requests to the CRM of a pass with nothing changed: the users, and two lists of what was written last. A list is read from
/// two minutes before its newest row, or from its last 2,000 rows, in pages of 200.
pub const IDLE_CRM_MAX: u64 = 24;

const MORE: &str = "[sync]\nworkers = 4\n";

/// How much there is to be synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub mailboxes: usize,
    pub appointments: usize,
}

/// Requests to both servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    pub crm: u64,
    pub exchange: u64,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub preview: Preview,
    /// Largest memory of the process that made the preview, of those that synced, and of those that made the passes behind.
    pub preview_kib: u64,
    pub sync_kib: u64,
    pub passes_kib: u64,
    /// Pairs there were when the host was killed.
    pub killed_at: u64,
    pub pairs: u64,
    pub preview_time: Duration,
    pub sync_time: Duration,
    pub preview_requests: Requests,
    pub sync_requests: Requests,
    /// Of a pass with nothing changed, and of the same with a full comparison.
    pub idle_requests: Requests,
    pub sweep_requests: Requests,
    pub mails: Mails,
    /// What is there at the end.
    pub in_crm: u64,
    pub in_exchange: u64,
}

/// Syncs it, with one kill in the middle, and tells what that took.
///
/// # Panics
/// If the host fails, or comes to no end.
pub async fn run(size: Size, progress: impl Fn(&str)) -> Figures {
    let servers = Servers { reach: Reach::Ews, ..Servers::of_people(size.mailboxes).await };
    fill(&servers, size).await;
    progress("both sides are filled");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("a data folder");
    std::fs::write(folder.path().join("daybridge.toml"), servers.config(&data, MORE)).expect("a configuration");
    let mut figures = Figures::default();

    forget(&servers).await;
    let begun = Instant::now();
    let (report, peak) = pass(folder.path(), &["sync", "--preview", "--json"]).await;
    (figures.preview, figures.preview_kib, figures.preview_time) = (report.preview, peak, begun.elapsed());
    figures.preview_requests = requests(&servers).await;
    progress("the preview is made");

    forget(&servers).await;
    let begun = Instant::now();
    // Half of them are to be created in Exchange; at half of that it stands still until the host is killed.
    let quarter = size.appointments as u64 / 4;
    stand_still_after(&servers, quarter).await;
    let (host, peak, status) = live(folder.path(), &data, &progress, |status| status.pairs >= quarter).await;
    host.kill().await;
    delete(&format!("{}_sim/faults", servers.exchange.url())).await;
    (figures.killed_at, figures.sync_kib) = (status.pairs, peak);
    progress("killed");
    let all = size.appointments as u64;
    let ended = |status: &Status| status.pairs >= all && status.queue.waiting + status.queue.leased == 0;
    let (host, peak, status) = live(folder.path(), &data, &progress, ended).await;
    figures.sync_kib = figures.sync_kib.max(peak);
    (figures.pairs, figures.sync_time) = (status.pairs, begun.elapsed());
    figures.sync_requests = requests(&servers).await;
    assert_eq!(status.queue.parked, 0, "nothing is parked");
    assert!(host.terminate().await.success(), "the host stops cleanly");
    progress("synced");

    let mut echoes = 0;
    loop {
        let (report, peak) = pass(folder.path(), &["sync", "--json"]).await;
        figures.passes_kib = figures.passes_kib.max(peak);
        if report.looked_at == 0 && report.unfinished == 0 {
            break;
        }
        echoes += 1;
        assert!(echoes < ECHOES_MAX, "no rest: {report:?}");
    }
    forget(&servers).await;
    let (report, _) = pass(folder.path(), &["sync", "--json"]).await;
    figures.idle_requests = requests(&servers).await;
    assert_eq!((report.looked_at, report.writes.crm, report.writes.exchange), (0, 0, 0), "nothing changed");
    forget(&servers).await;
    let (report, peak) = pass(folder.path(), &["sync", "--sweep", "--json"]).await;
    figures.sweep_requests = requests(&servers).await;
    figures.passes_kib = figures.passes_kib.max(peak);
    assert_eq!((report.looked_at, report.writes.crm, report.writes.exchange), (0, 0, 0), "nothing changed");
    progress("passes with nothing changed are made");

    figures.mails = servers.mails().await;
    figures.in_crm = servers.crm().count("Communication", "comm_type eq 'Appointment'").await;
    for number in 1..=size.mailboxes {
        figures.in_exchange += servers.outlook(&format!("p{number:04}")).calendar().await.len() as u64;
    }
    figures
}

/// Exchange creates so many items, and answers no further create.
async fn stand_still_after(servers: &Servers, creates: u64) {
    let faults = format!("{}_sim/faults", servers.exchange.url());
    post(&faults, &json!({"operation": "CreateItem", "kind": "delay", "delay_ms": 0, "times": creates})).await;
    post(&faults, &json!({"operation": "CreateItem", "kind": "hold", "times": u32::MAX})).await;
}

/// Puts the appointments where they are beforehand.
async fn fill(servers: &Servers, size: Size) {
    let (mut communications, mut users, mut guests) = (Vec::new(), Vec::new(), Vec::new());
    let mut calendars: Vec<Vec<(String, String, String)>> = vec![Vec::new(); size.mailboxes];
    for number in 0..size.appointments {
        let (mailbox, place) = (number % size.mailboxes, number / size.mailboxes);
        let subject = format!("Appointment {number}");
        let day = day((FIRST_DAY + place / PER_DAY) as i64);
        let hour = (FIRST_HOUR + place % PER_DAY) as u32;
        let kind = (mailbox + place) % 4;
        if kind >= 2 {
            calendars[mailbox].push((subject.clone(), utc(&day, hour), utc(&day, hour + 1)));
        }
        if kind != 2 {
            let organizer = (FIRST_USER + mailbox).to_string();
            communications.push(Booking::at(&subject, &day, hour, &organizer).row());
            let colleague = FIRST_USER + (mailbox + 1) % size.mailboxes;
            let own = [FIRST_USER + mailbox, colleague];
            users.push(own[..if kind == 1 { 2 } else { 1 }].to_vec());
            guests.push((kind == 1).then(|| format!("guest{}@client.test", number % 1000)));
        }
    }
    let rows = format!("{}_sim/rows", servers.crm.url());
    let lots = communications.len().div_ceil(LOT);
    for (lot, some) in communications.chunks(LOT).enumerate() {
        let at = long_ago(lots - lot);
        let answer = post(&rows, &json!({"entity": "Communication", "rows": some, "at": at})).await;
        let keys = answer["keys"].as_array().cloned().unwrap_or_default();
        let mut links: Vec<Value> = Vec::new();
        for (place, key) in keys.iter().enumerate() {
            for user in &users[lot * LOT + place] {
                links.push(json!({"CmLi_Comm_CommunicationId": key, "CmLi_Comm_UserId": user}));
            }
            if let Some(address) = &guests[lot * LOT + place] {
                links.push(json!({"CmLi_Comm_CommunicationId": key, "CmLi_IsExternalAttendee": "Y",
                    "cmli_recipient": address, "cmli_status": 0}));
            }
        }
        post(&rows, &json!({"entity": "Comm_Link", "rows": links, "at": at})).await;
    }
    for (mailbox, appointments) in calendars.iter().enumerate() {
        let outlook = servers.outlook(&format!("p{:04}", mailbox + 1));
        for some in appointments.chunks(LOT) {
            outlook.book_all(some).await;
        }
    }
}

/// A moment of the CRM's wall clock, hours before now and `minutes` more.
#[expect(clippy::disallowed_methods, reason = "what is imported is older than the sync")]
fn long_ago(minutes: usize) -> String {
    let at = Utc::now() - TimeDelta::hours(3) - TimeDelta::minutes(minutes as i64);
    at.with_timezone(&Berlin).format("%Y-%m-%dT%H:%M:%S").to_string()
}

/// Runs a host until what is waited for; answers it, its largest memory, and its status.
async fn live(
    folder: &Path,
    data: &Path,
    progress: &impl Fn(&str),
    holds: impl Fn(&Status) -> bool,
) -> (Running, u64, Status) {
    let mut host = program::start(folder, &["run", "--config", "daybridge.toml", "--json"]);
    host.json().await;
    let client = Client::find(data).expect("a running host");
    let (mut moved, mut pairs, mut told) = (Instant::now(), 0, 0);
    loop {
        let status = client.status().await.unwrap_or_else(|error| panic!("{error}: {}", host.messages()));
        if holds(&status) {
            let peak = host.memory_peak_kib().expect("Linux");
            return (host, peak, status);
        }
        if status.pairs != pairs {
            (moved, pairs) = (Instant::now(), status.pairs);
        }
        if pairs / 1000 != told {
            told = pairs / 1000;
            progress(&format!("{pairs} pairs, {} KiB", host.memory_peak_kib().unwrap_or_default()));
        }
        assert!(moved.elapsed() < STUCK, "no progress at {status:?}");
        wait::pause().await;
    }
}

/// Runs a command that reports, to its end; answers the report and its largest memory.
async fn pass(folder: &Path, arguments: &[&str]) -> (SyncReport, u64) {
    let mut command = program::start(folder, arguments);
    let mut peak = 0;
    let report = loop {
        peak = command.memory_peak_kib().unwrap_or(peak).max(peak);
        if let Ok(report) = tokio::time::timeout(LOOK, command.next()).await {
            break report;
        }
    };
    let report = report.unwrap_or_else(|| panic!("{arguments:?}: {}", command.messages()));
    assert!(command.ended().await.success(), "{arguments:?}: {}", command.messages());
    (serde_json::from_value(report).expect("a report"), peak)
}

async fn forget(servers: &Servers) {
    for url in [servers.crm.url(), servers.exchange.url()] {
        delete(&format!("{url}_sim/counters")).await;
    }
}

async fn requests(servers: &Servers) -> Requests {
    let of = async |url: String| get(&format!("{url}_sim/counters")).await["requests"].as_u64().unwrap_or_default();
    Requests { crm: of(servers.crm.url()).await, exchange: of(servers.exchange.url()).await }
}
