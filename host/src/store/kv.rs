//! Small durable values by name, for modules that have little to keep.
//!
//! Promises: a `put` that returned survives power loss. Must not know: what the values mean.

use std::sync::Arc;

use super::record::{self, Record};
use super::{Batch, Store, StoreError, Tree};

const KV: Tree = Tree("kv");
/// Most values [`Kv::all`] returns of one kind.
pub const KV_ROWS_MAX: usize = 10_000;

/// Values by kind ([`Record::KIND`]) and name.
#[derive(Clone, Debug)]
pub struct Kv {
    store: Arc<dyn Store>,
}

impl Kv {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// The value of that name.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read or was written by a newer host.
    pub async fn get<T: Record>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let bytes = self.store.get(KV, &row::<T>(name))?;
        bytes.as_deref().map(decode).transpose()
    }

    /// Sets the value of that name, durably.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub async fn put<T: Record>(&self, name: &str, value: &T) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.put(KV, row::<T>(name), encode(value)?);
        self.store.commit(batch)?.await
    }

    /// Sets the value if it is still `old` (`None`: does not exist yet). False if somebody else was faster.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub async fn replace<T: Record>(&self, name: &str, old: Option<&T>, new: &T) -> Result<bool, StoreError> {
        let mut batch = Batch::new();
        batch.expect(KV, row::<T>(name), old.map(encode).transpose()?);
        batch.put(KV, row::<T>(name), encode(new)?);
        match self.store.commit(batch) {
            Ok(durable) => durable.await.map(|()| true),
            Err(StoreError::Expectation { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the value of that name, durably; it need not exist.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub async fn remove<T: Record>(&self, name: &str) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.remove(KV, row::<T>(name));
        self.store.commit(batch)?.await
    }

    /// All values of a kind with their names, in name order, at most [`KV_ROWS_MAX`].
    ///
    /// # Errors
    /// [`StoreError`] if one cannot be read.
    pub async fn all<T: Record>(&self) -> Result<Vec<(String, T)>, StoreError> {
        let prefix = row::<T>("");
        let rows = self.store.scan(KV, &prefix, None, KV_ROWS_MAX)?;
        rows.into_iter()
            .map(|row| {
                let name = row.key.get(prefix.len()..).unwrap_or_default();
                Ok((String::from_utf8_lossy(name).into_owned(), decode(&row.value)?))
            })
            .collect()
    }
}

fn row<T: Record>(name: &str) -> Vec<u8> {
    format!("{}/{name}", T::KIND).into_bytes()
}

fn encode<T: Record>(value: &T) -> Result<Vec<u8>, StoreError> {
    record::encode(value).map_err(|cause| StoreError::Record { tree: KV.0, cause: Arc::new(cause) })
}

fn decode<T: Record>(bytes: &[u8]) -> Result<T, StoreError> {
    record::decode(bytes).map_err(|cause| StoreError::Record { tree: KV.0, cause: Arc::new(cause) })
}
