//! `POST /_sim/rows`: many rows of one entity at once, as an import by the administrator brings them.
//!
//! Promises: all of them or none; the doorbell rings as for any other change. Must not know: who imports.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::database::By;
use super::refusal::Refusal;
use super::{Crm, local_time, rest, schema};

/// Some ten thousand rows.
pub const BODY_MAX: usize = 32 * 1024 * 1024;

/// What is to be imported.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    entity: String,
    rows: Vec<Map<String, Value>>,
    /// When they were written by the server's wall; now without it.
    #[serde(default)]
    at: Option<String>,
}

/// Answers the keys, in the order of the rows.
pub async fn rows(State(crm): State<Arc<Crm>>, Json(given): Json<Rows>) -> Result<Json<Value>, Refusal> {
    let at = match &given.at {
        Some(text) => local_time::parse(text, crm.format.zone)
            .ok_or_else(|| Refusal::bad_data("at takes a date and time as ISO 8601 text"))?,
        None => local_time::now(crm.clock.as_ref(), crm.format.zone),
    };
    let by = By { user: 1, at };
    let keys = {
        let mut database = crm.database();
        let table = database.table_mut(&given.entity)?;
        let values = given.rows.iter().map(|row| rest::values(table, row, crm.format));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        table.insert_all(values, by)?
    };
    if [schema::COMMUNICATION, schema::COMM_LINK].iter().any(|name| name.eq_ignore_ascii_case(&given.entity)) {
        crm.button.press();
    }
    Ok(Json(json!({ "keys": keys })))
}
