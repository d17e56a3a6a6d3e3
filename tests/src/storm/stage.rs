//! The stage of one episode: two servers, a host between them that can be killed, and four people.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::TimeDelta;
use daybridge::app::App;
use daybridge::config::Config;
use daybridge::control::{Desk, SyncOrder, SyncReport, Which};
use daybridge::plugin::Engine;
use daybridge::store::{Batch, Durable, MemoryStore, Row, Store, StoreError, Tree};

use super::act::Fault;
use super::truth::{self, Field, PEOPLE, Shown, TAG};
use crate::crm::Crm;
use crate::ews::Outlook;
use crate::guests;
use crate::host::{AheadClock, Mails, Reach, Servers, post};

/// Passes within which a story must come to rest.
const PASSES_MAX: usize = 60;
/// Brake, cap and watch for fights have tests of their own; here they would only stand in the way.
const SYNC: &str = "[sync]\nseries_days = 90\ndelete_count = 100000\ndelete_count_overall = 100000\nmail_cap = 1000000\nreturns_max = 40\n\
    rewrites_max = 40\n[recording]\nenabled = false\n";

/// A store that dies: commit number `left` and all later ones are refused, as if the process had ended before them.
#[derive(Debug)]
pub(super) struct Dying {
    pub(super) inner: Arc<dyn Store>,
    pub(super) left: AtomicUsize,
}

impl Store for Dying {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(tree, key)
    }

    fn scan(&self, tree: Tree, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.inner.scan(tree, prefix, after, limit)
    }

    fn commit(&self, batch: Batch) -> Result<Durable, StoreError> {
        let alive = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if alive { self.inner.commit(batch) } else { Err(StoreError::Closed) }
    }
}

/// An appointment as a person meets it: by the side it is seen on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Crm(String),
    Exchange(usize, String),
}

/// What people did to an appointment since both sides last agreed.
#[derive(Clone, Debug, Default)]
pub(super) struct Typed {
    /// By field: what was typed last in the CRM, and in Outlook.
    fields: BTreeMap<Field, [Option<String>; 2]>,
    /// Subjects it bore since then; no two appointments ever bear the same.
    pub(super) subjects: BTreeSet<String>,
}

impl Typed {
    fn join(&mut self, other: Typed) {
        self.subjects.extend(other.subjects);
        for (field, values) in other.fields {
            let own = self.fields.entry(field).or_default();
            for (own, value) in own.iter_mut().zip(values) {
                *own = value.or(own.take());
            }
        }
    }
}

pub struct Stage {
    pub(super) servers: Servers,
    pub(super) crm_clock: Arc<AheadClock>,
    pub(super) clock: Arc<AheadClock>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) engine: Engine,
    pub(super) folder: tempfile::TempDir,
    pub(super) rules: PathBuf,
    pub(super) app: Option<Arc<App>>,
    pub(super) crm: Crm,
    pub(super) outlooks: Vec<Outlook>,
    pub(super) tagged: bool,
    /// Rules were swapped: with the ledger lost, what they made of the past could not be told from what people typed.
    pub(super) swapped: bool,
    /// A pair differs, as it should: with the ledger lost, nobody could tell from what.
    pub(super) uneven: bool,
    /// Numbers of series made in the CRM.
    pub(super) recurrences: i64,
    /// Each text that is typed is another one.
    pub(super) texts: u64,
    pub(super) typed: BTreeMap<Slot, Typed>,
    /// Subjects of what people deleted or cancelled since the last rest.
    pub(super) doomed: BTreeSet<String>,
    /// Subjects of series that were changed as a whole since the last rest: what then stands in which occurrence is left open.
    pub(super) spread: BTreeSet<String>,
    /// Subjects that the same series bore since the last rest.
    pub(super) kin: Vec<[String; 2]>,
    /// Items of Exchange by the CRM's id, as of the last rest.
    pub(super) pairs: BTreeMap<String, truth::Place>,
    pub(super) wanted: Option<Wanted>,
}

/// What is to happen at the next rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    LoseData,
    OtherZone,
}

pub(super) type Outcome = Result<(), String>;

impl Stage {
    pub async fn set(engine: Engine, reach: Reach) -> Result<Self, String> {
        let crm_clock = Arc::new(AheadClock::default());
        let servers = Servers { reach, ..Servers::on(crm_clock.clone()).await };
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let rules = folder.path().join("own-rules");
        std::fs::create_dir(&rules).map_err(|error| error.to_string())?;
        std::fs::write(rules.join("subject-tag.wasm"), guests::component("subject-tag"))
            .map_err(|error| error.to_string())?;
        let outlooks = PEOPLE.map(|(name, _)| servers.outlook(name)).into();
        let mut stage = Self {
            crm: servers.crm(),
            outlooks,
            servers,
            crm_clock,
            clock: Arc::new(AheadClock::default()),
            store: Arc::new(MemoryStore::default()),
            engine,
            folder,
            rules,
            app: None,
            tagged: false,
            swapped: false,
            uneven: false,
            recurrences: 0,
            texts: 0,
            typed: BTreeMap::new(),
            doomed: BTreeSet::new(),
            spread: BTreeSet::new(),
            kin: Vec::new(),
            pairs: BTreeMap::new(),
            wanted: None,
        };
        stage.open(stage.store.clone(), "").await?;
        // What comes after the first pass is new.
        stage.settle().await?;
        Ok(stage)
    }

    pub fn pairs(&self) -> usize {
        self.pairs.len()
    }

    pub async fn mails(&self) -> u64 {
        let mails = self.servers.mails().await;
        mails.invitations + mails.updates + mails.cancellations
    }

    /// Ends the host and the servers.
    pub async fn strike(mut self) {
        self.app = None;
        self.servers.tasks.finish().await;
    }

    pub(super) fn more(&self, zone: &str) -> String {
        let mut more = format!("{zone}{SYNC}");
        if self.tagged {
            more = format!("rules_dir = \"{}\"\n{more}", self.rules.display());
            for rule in daybridge::plugin::default_chain() {
                more.push_str(&format!("[[rules]]\nfile = \"{}\"\n", rule.file));
            }
            more.push_str(&format!("[[rules]]\nfile = \"subject-tag.wasm\"\nsettings = {{ tag = \"{TAG}\" }}\n"));
        }
        more
    }

    pub(super) async fn open(&mut self, store: Arc<dyn Store>, zone: &str) -> Outcome {
        // Never two hosts at a time.
        self.app = None;
        let file = self.folder.path().join("daybridge.toml");
        let text = self.servers.config(self.folder.path(), &self.more(zone));
        std::fs::write(&file, &text).map_err(|error| error.to_string())?;
        let config = Config::load(&file, &|_| None).map_err(|error| format!("{error}: {}", error.hint()))?;
        let app = App::open_on(store, self.engine.clone(), config, self.clock.clone()).await;
        self.app = Some(app.map_err(|error| format!("the host does not open: {}", daybridge::error::Chain(&error)))?);
        Ok(())
    }

    pub(super) fn app(&self) -> Result<&Arc<App>, String> {
        self.app.as_ref().ok_or_else(|| "no host".to_owned())
    }

    /// Time passes: whatever the host waited for is due, and what people did before lies behind what a look at the CRM reads again.
    pub(super) async fn pass(&self, sweep: bool) -> Result<Option<SyncReport>, String> {
        self.clock.advance(TimeDelta::minutes(3));
        self.crm_clock.advance(TimeDelta::minutes(3));
        Ok(self.app()?.sync(&SyncOrder { containers: Vec::new(), sweep, dry_run: false }).await.ok())
    }

    pub(super) async fn clear_faults(&self) {
        self.servers.crm.faults().clear();
        self.servers.exchange.faults().clear();
    }

    pub(super) async fn install(&self, faults: &[Fault]) {
        for fault in faults {
            let url = if fault.crm { self.servers.crm.url() } else { self.servers.exchange.url() };
            post(&format!("{url}_sim/faults"), &fault.json(self.servers.reach)).await;
        }
    }

    /// A pass in which nothing goes wrong: Exchange sends exactly the mails that were declared.
    pub(super) async fn clean_pass(&self, sweep: bool) -> Result<Option<SyncReport>, String> {
        let (before, declared) = (self.servers.mails().await, self.declared().await?);
        let report = self.pass(sweep).await?;
        let (after, now) = (self.servers.mails().await, self.declared().await?);
        let sent = Mails::new(
            after.invitations - before.invitations,
            after.updates - before.updates,
            after.cancellations - before.cancellations,
        );
        let told = Mails::new(
            now.invitations - declared.invitations,
            now.updates - declared.updates,
            now.cancellations - declared.cancellations,
        );
        if sent == told { Ok(report) } else { Err(format!("declared {told:?}, sent {sent:?}: {report:?}")) }
    }

    async fn declared(&self) -> Result<Mails, String> {
        let mail = self.app()?.status().await.map_err(|refusal| refusal.message)?.mail;
        Ok(Mails::new(mail.invitations, mail.updates, mail.cancellations))
    }

    /// Passes until nothing is left to do.
    async fn settle(&self) -> Outcome {
        let mut last = None;
        for _ in 0..PASSES_MAX {
            let _ = self.app()?.queue_retry(&Which::All).await;
            let report = self.clean_pass(false).await?;
            if report.as_ref().is_some_and(|report| report.looked_at == 0 && report.unfinished == 0) {
                return Ok(());
            }
            last = report;
        }
        let waiting = self.app()?.queue(&daybridge::control::QueueFilter::default()).await;
        Err(format!("no rest within {PASSES_MAX} passes: {last:?}\n{waiting:?}"))
    }

    /// All comes to rest, and the truth is looked at.
    pub async fn rest(&mut self) -> Outcome {
        self.clear_faults().await;
        self.clock.advance(TimeDelta::hours(2));
        self.settle().await?;
        // A full pass finds what was missed. If that is nothing it was the one that has to write nothing.
        if self.unrest().await?.is_some() {
            self.check_still("at rest").await?;
        }
        let parked = self.app()?.queue(&daybridge::control::QueueFilter::default()).await;
        let parked = parked.map_err(|refusal| refusal.message)?;
        if parked.total > 0 {
            return Err(format!("left in the queue at rest: {:?}", parked.entries));
        }
        self.check_truth().await?;
        match self.wanted.take() {
            Some(Wanted::LoseData) if !self.swapped && !self.uneven => {
                self.app = None;
                self.store = Arc::new(MemoryStore::default());
                self.open(self.store.clone(), "").await?;
                self.check_still("with the ledger lost").await?;
                self.check_truth().await?;
            }
            Some(Wanted::OtherZone) => {
                self.open(self.store.clone(), "time_zone = \"Asia/Kolkata\"\n").await?;
                self.check_still("in another zone").await?;
                self.open(self.store.clone(), "").await?;
                self.check_still("back in its zone").await?;
            }
            Some(Wanted::LoseData) | None => {}
        }
        Ok(())
    }

    /// A full pass and another one write nothing on either side, and mail nobody.
    async fn check_still(&self, when: &str) -> Outcome {
        match self.unrest().await? {
            None => Ok(()),
            Some(what) => Err(format!("{when}: {what}")),
        }
    }

    /// What a full pass, and others until nothing is left to do, write or mail.
    async fn unrest(&self) -> Result<Option<String>, String> {
        let counts = async || {
            (self.servers.crm_writes().await, self.servers.exchange_writes().await, self.servers.mails().await)
        };
        let before = counts().await;
        let report = self.clean_pass(true).await?;
        self.settle().await?;
        let after = counts().await;
        if before == after {
            return Ok(None);
        }
        let what: Vec<_> =
            report.iter().flat_map(|report| &report.lines).filter(|line| line.target.is_some()).collect();
        Ok(Some(format!("writes or mails {before:?} became {after:?}: {what:?}")))
    }

    /// Both sides show the same, nothing is lost, and what was typed on one side alone stands on both.
    async fn check_truth(&mut self) -> Outcome {
        let (crm, exchange) = (truth::crm(&self.crm).await, truth::exchange(&self.outlooks).await);
        let matched = truth::match_up(&crm, &exchange, self.servers.reach);
        self.pairs = matched.map_err(|lines| format!("the sides differ:\n{lines}"))?;
        let pairs = self.app()?.pairs();
        // A series is one of the ledger's, and so is each of its occurrences.
        let series = truth::series(&self.outlooks).await;
        if pairs != crm.len() as u64 + series {
            return Err(format!("{} appointments, {series} series, and the ledger counts {pairs} pairs", crm.len()));
        }
        self.uneven = self.pairs.iter().any(|(id, at)| {
            let shown = crm.get(id).map(|shown| Shown { complete: false, ..shown.clone() });
            shown.as_ref() != exchange.get(at)
        });
        let rows: BTreeMap<&truth::Place, &String> = self.pairs.iter().map(|(id, at)| (at, id)).collect();
        // What was typed in Outlook before anybody knew the two for a pair belongs to the CRM's row.
        let mut all: BTreeMap<Slot, Typed> = BTreeMap::new();
        for (slot, typed) in std::mem::take(&mut self.typed) {
            let row = match &slot {
                Slot::Crm(_) => None,
                Slot::Exchange(who, id) => rows.get(&(*who, id.clone())).map(|id| Slot::Crm((*id).clone())),
            };
            all.entry(row.unwrap_or(slot)).or_default().join(typed);
        }
        // Whoever was renamed on the way is the same: subjects that one appointment bore belong together.
        let mut doomed = std::mem::take(&mut self.doomed);
        let mut known = 0;
        while known < doomed.len() {
            known = doomed.len();
            for typed in all.values() {
                if !typed.subjects.is_disjoint(&doomed) {
                    doomed.extend(typed.subjects.iter().cloned());
                }
            }
            for kin in &self.kin {
                if kin.iter().any(|subject| doomed.contains(subject)) {
                    doomed.extend(kin.iter().cloned());
                }
            }
        }
        for (slot, typed) in &all {
            let shown = if let Slot::Crm(id) = slot { crm.get(id) } else { None };
            match shown {
                _ if !typed.subjects.is_disjoint(&doomed) => {}
                None => return Err(format!("{slot:?} vanished, and nobody deleted it: {typed:?}")),
                Some(_) if !typed.subjects.is_disjoint(&self.spread) => {}
                Some(shown) => check_typed(slot, typed, shown)?,
            }
        }
        self.spread.clear();
        self.kin.clear();
        // From now on each of them must stay until somebody deletes it.
        self.typed = crm
            .into_iter()
            .map(|(id, shown)| {
                let typed = Typed { subjects: [shown.subject].into(), ..Typed::default() };
                (Slot::Crm(id), typed)
            })
            .collect();
        Ok(())
    }

    pub(super) fn typed(&mut self, slot: Slot) -> &mut Typed {
        let slot = match slot {
            Slot::Exchange(who, id) => {
                let known = self.pairs.iter().find(|(_, at)| **at == (who, id.clone())).map(|(crm, _)| crm.clone());
                known.map_or(Slot::Exchange(who, id), Slot::Crm)
            }
            Slot::Crm(id) => Slot::Crm(id),
        };
        self.typed.entry(slot).or_default()
    }

    pub(super) fn note(&mut self, slot: Slot, field: Field, value: String) {
        let side = usize::from(matches!(slot, Slot::Exchange(..)));
        if field == Field::Subject {
            self.typed(slot.clone()).subjects.insert(value.clone());
        }
        self.typed(slot).fields.entry(field).or_default()[side] = Some(value);
    }

    pub(super) fn text(&mut self, word: &str) -> String {
        self.texts += 1;
        format!("{word} {}", self.texts)
    }
}

fn check_typed(slot: &Slot, typed: &Typed, shown: &Shown) -> Outcome {
    for (field, values) in &typed.fields {
        let now = shown.get(*field);
        if !values.iter().flatten().any(|value| value == now) {
            return Err(format!("{slot:?}: {field:?} is {now:?}, and people typed {values:?} (CRM, Outlook)"));
        }
    }
    Ok(())
}
