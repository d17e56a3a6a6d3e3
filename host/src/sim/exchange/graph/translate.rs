//! translateExchangeIds: the forms of one item's id [outlook-immutable-id].
//!
//! `entryId` and `immutableEntryId` are the binary ids in URL-safe base64 (inferred from the names; sources give no
//! sample). EWS and this server spell hex for the same bytes.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::answer::{Answer, Refused};
use super::event::{rest_id, store_id};
use super::events::Scene;
use super::read::find;
use crate::sim::exchange::error::{ExchangeError, not_found};
use crate::sim::exchange::ids;

/// Ids of one call.
const IDS_MAX: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Entry,
    Ews,
    ImmutableEntry,
    Rest,
    RestImmutable,
}

impl Form {
    fn read(value: Option<&Value>) -> Result<Self, Refused> {
        match value.and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase().as_str() {
            "entryid" => Ok(Form::Entry),
            "ewsid" => Ok(Form::Ews),
            "immutableentryid" => Ok(Form::ImmutableEntry),
            "restid" => Ok(Form::Rest),
            "restimmutableentryid" => Ok(Form::RestImmutable),
            other => Err(Refused::bad("BadRequest", format!("'{other}' is not a form of Exchange ids."))),
        }
    }

    fn is_immutable(self) -> bool {
        matches!(self, Form::ImmutableEntry | Form::RestImmutable)
    }
}

pub fn translate(scene: &Scene<'_>) -> Result<Answer, Refused> {
    let body = scene.request.json()?;
    let (from, to) = (Form::read(find(&body, "sourceIdType"))?, Form::read(find(&body, "targetIdType"))?);
    let given = find(&body, "inputIds").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if given.is_empty() || given.len() > IDS_MAX {
        return Err(Refused::bad("BadRequest", format!("inputIds must hold 1 to {IDS_MAX} ids.")));
    }
    let one = |id: &Value| {
        let id = id.as_str().unwrap_or_default();
        match of_one(scene, id, from, to) {
            Ok(target) => json!({ "sourceId": id, "targetId": target }),
            Err(error) => json!({ "sourceId": id, "errorDetails": { "code": error.code, "message": error.text } }),
        }
    };
    let value: Vec<Value> = given.iter().map(one).collect();
    let context = format!("{}/$metadata#Collection(microsoft.graph.convertIdResult)", scene.request.base);
    Ok(Answer::ok(json!({ "@odata.context": context, "value": value })))
}

fn of_one(scene: &Scene<'_>, id: &str, from: Form, to: Form) -> Result<String, ExchangeError> {
    let id = match from {
        Form::Entry | Form::ImmutableEntry => {
            let bytes = URL_SAFE_NO_PAD.decode(id.trim_end_matches('='));
            let malformed = |_| ExchangeError::new("ErrorInvalidIdMalformed", "Id is malformed.");
            STANDARD.encode(bytes.map_err(malformed)?)
        }
        Form::Ews | Form::Rest | Form::RestImmutable => store_id(id),
    };
    if ids::is_immutable(&id) != from.is_immutable() {
        return Err(ExchangeError::new("ErrorInvalidIdMalformed", "The id is not of the form that was named."));
    }
    let target = scene.world.target(Some(scene.mailbox), &id)?;
    let view = scene.world.view(&target).map_err(|_| not_found())?;
    let found = if to.is_immutable() { view.immutable_id() } else { view.id() };
    Ok(match to {
        Form::Ews => found,
        Form::Rest | Form::RestImmutable => rest_id(&found),
        Form::Entry | Form::ImmutableEntry => URL_SAFE.encode(STANDARD.decode(found).unwrap_or_default()),
    })
}
