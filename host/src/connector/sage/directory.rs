//! Users and names of records, fetched when needed and kept for a short while.
//!
//! Promises: one fetch at a time; a row that names a user who came since leads to one fetch, not to one per row. A name that
//! the account may not see is empty and stops nothing. Must not know: how appointments are mapped.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::client::one_of;
use super::people::{CrmUser, People};
use super::wire::Row;
use super::{IDS_PER_QUERY, Sage};
use crate::connector::{Error, Problem};
use crate::model::{Address, UserId};

/// Users change rarely, and a name that is a minute old does no harm.
const PEOPLE_AGE_MAX: TimeDelta = TimeDelta::seconds(60);
/// Names of persons and companies change hardly ever.
const NAMES_AGE_MAX: TimeDelta = TimeDelta::minutes(10);
/// What was fetched about people, and when.
#[derive(Debug, Default)]
pub(super) struct Known {
    people: Arc<People>,
    fetched: Option<DateTime<Utc>>,
    named: Option<DateTime<Utc>>,
    /// Users that rows name and the list does not: asked for again when the list has aged.
    missing: HashSet<UserId>,
    /// Addresses of users' mailboxes, found elsewhere.
    mailboxes: BTreeMap<UserId, Vec<Address>>,
}

impl Known {
    pub fn know_mailboxes(&mut self, addresses: &BTreeMap<UserId, Vec<Address>>) {
        if self.mailboxes != *addresses {
            self.mailboxes.clone_from(addresses);
            self.fetched = None;
        }
    }
}

impl Sage {
    /// Users and names for these rows: fetched again when old, or when a row names a user who is not known yet.
    pub(super) async fn people(&self, act: &str, rows: &[Row], links: &[Row]) -> Result<Arc<People>, Error> {
        let named = rows.iter().flat_map(|row| [row.id("Comm_Organizer"), row.id("Comm_CreatedBy")]).flatten();
        let named = named.filter(|id| id.parse::<i64>().is_ok());
        let linked = links.iter().filter_map(|link| link.id("CmLi_Comm_UserId"));
        let users: HashSet<UserId> = named.chain(linked).map(UserId).collect();
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        let fits = |id: &UserId| known.people.user(id).is_some() || known.missing.contains(id);
        let old = |since: Option<DateTime<Utc>>, limit| since.is_none_or(|since| now - since >= limit);
        let expired = old(known.fetched, PEOPLE_AGE_MAX);
        if expired || !users.iter().all(fits) {
            let query = self.sorted("Users", String::new(), "User_UserId asc");
            let rows = self.all(act, query, "User_UserId").await?;
            let mut people = People::new(rows.iter().filter_map(CrmUser::from_row));
            people.know_mailboxes(&known.mailboxes);
            if old(known.named, NAMES_AGE_MAX) {
                known.named = Some(now);
            } else {
                people.take_names(&known.people);
            }
            if expired {
                known.missing.clear();
            }
            known.missing.extend(users.into_iter().filter(|id| people.user(id).is_none()));
            known.fetched = Some(now);
            known.people = Arc::new(people);
        }
        for (entity, columns) in [
            ("person", ["CmLi_Comm_PersonId", "CmLi_ExternalPersonID"].as_slice()),
            ("company", &["CmLi_Comm_CompanyId"]),
        ] {
            let ids = links.iter().flat_map(|link| columns.iter().filter_map(|column| link.id(column)));
            let unknown: BTreeSet<String> = ids.filter(|id| known.people.record_name(entity, id).is_none()).collect();
            if !unknown.is_empty() {
                let names = self.names(act, entity, unknown).await?;
                let people = Arc::make_mut(&mut known.people);
                names.into_iter().for_each(|(id, name)| people.name_record(entity, &id, name));
            }
        }
        Ok(Arc::clone(&known.people))
    }

    /// Names of persons or companies; empty ones for records the account may not see.
    async fn names(&self, act: &str, entity: &str, ids: BTreeSet<String>) -> Result<BTreeMap<String, String>, Error> {
        let (table, key, columns) = match entity {
            "person" => ("Person", "Pers_PersonId", ["Pers_FirstName", "Pers_LastName"].as_slice()),
            _ => ("Company", "Comp_CompanyId", ["Comp_Name"].as_slice()),
        };
        let list: Vec<String> = ids.iter().cloned().collect();
        let mut names: BTreeMap<String, String> = ids.into_iter().map(|id| (id, String::new())).collect();
        for some in list.chunks(IDS_PER_QUERY) {
            match self.all(act, self.query(table, one_of(key, some)), key).await {
                Ok(rows) => names.extend(rows.iter().filter_map(|row| {
                    let words = columns.iter().map(|column| row.text(column).trim().to_owned());
                    let name = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
                    Some((row.key(key)?, name))
                })),
                // A name is worth nothing that should stop an appointment.
                Err(error) => match error.problem {
                    Problem::NotFound | Problem::Forbidden | Problem::Refused | Problem::Malformed => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(names)
    }
}
