//! What was decided about CRM users: who was taken out of the sync, and whose mailbox was found in a directory.
//!
//! Promises: a decision is on disk before it is answered, and holds until it is taken back. Must not know: servers, how
//! users are matched.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::model::{Address, UserId};
use crate::people::{Found, Means, Standing};
use crate::store::record::{self, Record, RecordError, twin};
use crate::store::{Batch, SCAN_ROWS_MAX, Store, StoreError, Tree};

const USERS: Tree = Tree("users");

/// The decisions of one host.
#[derive(Debug)]
pub struct Roster {
    store: Arc<dyn Store>,
    /// All of them: they are as many as there are users.
    standings: Mutex<BTreeMap<UserId, Standing>>,
}

impl Roster {
    /// Opens the roster kept in a store.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub async fn open(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let mut standings = BTreeMap::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let rows = store.scan(USERS, b"", after.as_deref(), SCAN_ROWS_MAX)?;
            for row in &rows {
                let stored: StoredStanding = record::decode(&row.value).map_err(bad)?;
                standings.insert(UserId(String::from_utf8_lossy(&row.key).into_owned()), stored.into());
            }
            match rows.into_iter().next_back() {
                Some(last) => after = Some(last.key),
                None => break,
            }
        }
        Ok(Self { store, standings: Mutex::new(standings) })
    }

    /// Every decision there is.
    pub fn standings(&self) -> BTreeMap<UserId, Standing> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what was decided about a user, durably.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written; nothing is changed then.
    pub async fn decide(&self, user: &UserId, change: impl FnOnce(&mut Standing)) -> Result<(), StoreError> {
        let durable = {
            let mut standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
            let mut standing = standings.get(user).cloned().unwrap_or_default();
            change(&mut standing);
            let mut batch = Batch::new();
            if standing == Standing::default() {
                batch.remove(USERS, user.0.as_str());
            } else {
                batch.put(
                    USERS,
                    user.0.as_str(),
                    record::encode(&StoredStanding::from(standing.clone())).map_err(bad)?,
                );
            }
            let durable = self.store.commit(batch)?;
            if standing == Standing::default() {
                standings.remove(user);
            } else {
                standings.insert(user.clone(), standing);
            }
            durable
        };
        durable.await
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredStanding {
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    found: Option<StoredFound>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredFound {
    address: String,
    #[serde(default)]
    aliases: Vec<String>,
    means: StoredMeans,
}

impl Record for StoredStanding {
    const KIND: &'static str = "user-standing";
}

twin!(StoredMeans = Means { Address, Alias, Name, Rule });

impl From<Standing> for StoredStanding {
    fn from(Standing { disabled, found }: Standing) -> Self {
        let stored = |found: Found| StoredFound {
            address: found.address.as_str().to_owned(),
            aliases: found.aliases.iter().map(|alias| alias.as_str().to_owned()).collect(),
            means: found.means.into(),
        };
        Self { disabled, found: found.map(stored) }
    }
}

impl From<StoredStanding> for Standing {
    fn from(StoredStanding { disabled, found }: StoredStanding) -> Self {
        let read = |found: StoredFound| Found {
            address: Address::new(&found.address),
            aliases: found.aliases.iter().map(|alias| Address::new(alias)).collect(),
            means: found.means.into(),
        };
        Self { disabled, found: found.map(read) }
    }
}

fn bad(cause: RecordError) -> StoreError {
    StoreError::Record { tree: USERS.0, cause: Arc::new(cause) }
}
