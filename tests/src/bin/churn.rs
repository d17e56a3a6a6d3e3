//! Puts, leases, records, acknowledges and removes on a store without end, and tells what was confirmed: `churn FOLDER`.
//! Ends when it is killed or the store fails.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use daybridge::clock::SystemClock;
use daybridge::ledger::Ledger;
use daybridge::model::{Container, Key};
use daybridge::queue::{Queue, QueueSettings, nothing_blocked};
use daybridge::store::SledStore;
use daybridge_tests::churn::{KEPT, PAGE, change, entry, key};

const WORKERS: usize = 6;
/// The feed waits while this much is queued.
const BACKLOG: usize = 64;
const LEASE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = std::env::args().nth(1).context("usage: churn FOLDER")?;
    let store = Arc::new(SledStore::open(Path::new(&folder))?);
    let queue = Arc::new(Queue::open(store.clone(), Arc::new(SystemClock), QueueSettings::default()).await?);
    let ledger = Arc::new(Ledger::open(store).await?);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..WORKERS {
        tasks.spawn(work(queue.clone(), ledger.clone()));
    }
    tasks.spawn(feed(queue));
    match tasks.join_next().await {
        Some(ended) => ended?,
        None => Ok(()),
    }
}

/// One write per line, so that a line is out when this returns.
fn tell(word: &str, number: u64) -> anyhow::Result<()> {
    std::io::stdout().write_all(format!("{word} {number}\n").as_bytes())?;
    Ok(std::io::stdout().flush()?)
}

async fn feed(queue: Arc<Queue>) -> anyhow::Result<()> {
    let cursor = queue.cursor(&Container::Crm).await?;
    let mut fed: u64 = cursor.map_or(Ok(0), |cursor| cursor.parse())?;
    loop {
        let page = (fed + 1..=fed + PAGE).map(change).collect();
        fed += PAGE;
        queue.put_with_cursor(page, &Container::Crm, &fed.to_string()).await?;
        tell("fed", fed)?;
        while queue.counts().waiting > BACKLOG {
            tokio::task::yield_now().await;
        }
    }
}

async fn work(queue: Arc<Queue>, ledger: Arc<Ledger>) -> anyhow::Result<()> {
    loop {
        let Some(lease) = queue.lease(LEASE, &nothing_blocked).await? else {
            queue.wait(&nothing_blocked).await;
            continue;
        };
        let Key::Crm(text) = &lease.key else { anyhow::bail!("a key that was never fed: {}", lease.key) };
        let number: u64 = text.parse()?;
        ledger.record(&entry(number), Vec::new()).await?;
        tell("recorded", number)?;
        queue.ack(&lease).await?;
        tell("acknowledged", number)?;
        if let Some(old) = number.checked_sub(KEPT).filter(|old| *old > 0) {
            tell("removing", old)?;
            if ledger.remove(&key(old)).await? {
                tell("removed", old)?;
            }
        }
    }
}
