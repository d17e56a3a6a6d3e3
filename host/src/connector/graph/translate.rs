//! Names that Exchange Web Services gave the items of a mailbox, in the form Graph gives them.
//!
//! Promises: reads only; a name the server cannot translate is nothing, never a guess. Must not know: pairs, what the names are for.

use std::collections::HashMap;

use serde_json::json;

use super::GraphConnector;
use super::client::Act;
use super::wire::{Page, Translated};
use crate::connector::http::Method;
use crate::connector::{Error, Problem};
use crate::model::Address;

/// More ids one call does not take.
const IDS_MAX: usize = 1_000;
/// A call is refused as a whole for one id that is malformed: its ids are asked for in parts of this size then.
const PART: usize = 20;

impl GraphConnector {
    /// The immutable ids of items that EWS named so, in their order.
    pub(super) async fn ews_ids(&self, mailbox: &Address, ids: &[String]) -> Result<Vec<Option<String>>, Error> {
        let mut known = HashMap::new();
        for some in ids.chunks(IDS_MAX) {
            if let Some(found) = self.translated(mailbox, some).await? {
                known.extend(found);
                continue;
            }
            for part in some.chunks(PART) {
                known.extend(self.translated(mailbox, part).await?.unwrap_or_default());
            }
        }
        Ok(ids.iter().map(|id| known.get(id).cloned()).collect())
    }

    /// What one call translates; nothing if it was refused for what was in it.
    async fn translated(&self, mailbox: &Address, ids: &[String]) -> Result<Option<HashMap<String, String>>, Error> {
        let act = Act::new("translate ids of Exchange Web Services", mailbox);
        let url = self.client.of_mailbox(mailbox, &["translateExchangeIds"], &[]);
        let body = json!({ "inputIds": ids, "sourceIdType": "ewsId", "targetIdType": "restImmutableEntryId" });
        let rows: Page<Translated> = match self.client.write(act, Method::POST, url, Some(&body), None).await? {
            Ok(response) => self.client.read(act, response)?,
            Err(refusal) => {
                return match refusal.problem() {
                    Problem::Refused | Problem::NotFound => Ok(None),
                    _ => Err(self.client.failed(act, refusal)),
                };
            }
        };
        let target = |row: Translated| Some((row.source_id, row.target_id.filter(|id| !id.is_empty())?));
        Ok(Some(rows.value.into_iter().filter_map(target).collect()))
    }
}
