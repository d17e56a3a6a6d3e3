//! Writes to one mailbox: create, update, delete, and what of them would mail people.
//!
//! Promises: a repeated create finds what the first one made; an online meeting's part of a body is kept; nobody is mailed who
//! was not planned for. Must not know: who planned it.

use std::collections::BTreeSet;

use chrono_tz::Tz;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::Act;
use super::wire::{self, Event};
use super::{GraphConnector, codes, map};
use crate::connector::exchange::short;
use crate::connector::http::Method;
use crate::connector::{Error, Problem, html};
use crate::model::{Address, Appointment, Field, Item, Key, Mail, Patch, Response, Role, Version};

/// The namespace of our tokens: a random id of this product, fixed for ever.
const TRANSACTIONS: Uuid = Uuid::from_u128(0x8f0c_7d3e_52a1_4b6f_9e64_c1d8_03b7_5a2d);
/// How often an appointment may have been made and deleted again in one mailbox before a person is asked.
const GENERATIONS_MAX: u32 = 16;

/// The token under which the server remembers a create: the same for a repeat, another one in each mailbox, and another one
/// for each time the item was deleted meanwhile.
pub fn transaction(stamp: &Key, mailbox: &Address, generation: u32) -> String {
    let name = format!("{stamp}\n{}\n{generation}", mailbox.folded());
    Uuid::new_v5(&TRANSACTIONS, name.as_bytes()).to_string()
}

/// Whether Graph mails attendees because of a change of this field of a meeting (attendees: those who come or go). That what else
/// travels with an invitation is told like time and place is inferred; to the careful it comes to the same.
fn is_told(field: &Field) -> bool {
    matches!(
        field,
        Field::Attendees
            | Field::Time
            | Field::Location
            | Field::Subject
            | Field::Body
            | Field::Sensitivity
            | Field::Importance
    )
}

impl GraphConnector {
    pub(super) async fn create_event(
        &self,
        mailbox: &Address,
        draft: &Appointment,
        stamp: &Key,
        mail: Mail,
    ) -> Result<Item, Error> {
        let act = Act::new("create an appointment", mailbox);
        if mail == Mail::Silent && !invited(draft, mailbox).is_empty() {
            return Err(self.unasked(act));
        }
        let zone = self.day_zone(draft, mailbox).await?;
        // What cannot be said must not become a single appointment.
        let recurrence = match &draft.recurrence {
            Some(found) => Some(
                map::written_recurrence(found, &draft.time, zone)
                    .map_err(|error| self.client.error(act, Problem::Unsupported).caused_by(error))?,
            ),
            None => None,
        };
        let url = self.client.of_mailbox(mailbox, &["events"], &[]);
        for generation in 0..GENERATIONS_MAX {
            let token = transaction(stamp, mailbox, generation);
            let mut body = map::new_event(draft, stamp, &token, zone, self.config());
            if let (Some(body), Some(recurrence)) = (body.as_object_mut(), &recurrence) {
                body.insert("recurrence".into(), recurrence.clone());
            }
            match self.client.write(act, Method::POST, url.clone(), Some(&body), None).await? {
                Ok(response) => {
                    let event: Event = self.client.read(act, response)?;
                    self.calendars.showed(mailbox, &event.id);
                    return self.made(mailbox, event, stamp).await;
                }
                Err(refusal) if refusal.is(codes::DUPLICATE) => {
                    if let Some(item) = self.made_before(act, mailbox, stamp, &token).await? {
                        return Ok(item);
                    }
                    // It was made once and is gone since: what is made now is another one.
                }
                Err(refusal) => return Err(self.client.failed(act, refusal)),
            }
        }
        let error = self.client.error(act, Problem::Refused);
        Err(error.caused_by("it was made and deleted again too often; look who deletes it"))
    }

    /// A new event as the server shows it. The answer to a create does not echo properties, so they are read where any but the
    /// stamp are carried.
    async fn made(&self, mailbox: &Address, event: Event, stamp: &Key) -> Result<Item, Error> {
        let act = Act::new("read a new appointment", mailbox);
        if self.config().fields.is_empty() {
            let item = self.mapped(act, &event, mailbox).await?;
            return Ok(Item { stamp: Some(stamp.clone()), ..item });
        }
        self.read_back(act, mailbox, &event.id).await
    }

    /// What an earlier create under the same token made: by its stamp, which it was given in the same request.
    async fn made_before(
        &self,
        act: Act<'_>,
        mailbox: &Address,
        stamp: &Key,
        token: &str,
    ) -> Result<Option<Item>, Error> {
        let found = self.found(act, mailbox, &wire::filter_property(&self.config().stamp, &stamp.to_string())).await?;
        let found = found.into_iter().find(|item| item.stamp.as_ref() == Some(stamp));
        if found.is_none() {
            tracing::debug!(token, "A create was repeated, and what the first one made is no longer there");
        }
        Ok(found)
    }

    async fn read_back(&self, act: Act<'_>, mailbox: &Address, id: &str) -> Result<Item, Error> {
        let expand = self.whole();
        let query = [("$select", wire::SELECT), ("$expand", expand.as_str())];
        match self.event(act, mailbox, id, &query).await? {
            Ok(event) => self.mapped(act, &event, mailbox).await,
            Err(refusal) => Err(self.client.failed(act, refusal)),
        }
    }

    pub(super) async fn update_event(
        &self,
        mailbox: &Address,
        id: &str,
        version: &Version,
        patch: &Patch,
        after: &Appointment,
        mail: Mail,
    ) -> Result<Item, Error> {
        let what = format!("update appointment {}", short(id));
        let act = Act::new(&what, mailbox);
        if patch.set.contains_key(&Field::Recurrence) {
            let error = self.client.error(act, Problem::Unsupported);
            return Err(error.caused_by("the pattern of a series that is there is changed in Exchange alone"));
        }
        if mail == Mail::Silent && self.would_mail(act, mailbox, id, patch, after).await? {
            return Err(self.unasked(act));
        }
        let zone = self.day_zone(after, mailbox).await?;
        let mut changes = map::changes(after, patch.set.keys(), zone, self.config());
        if changes.contains_key("body") {
            let body = self.body(act, mailbox, id, version, &after.body.text).await?;
            changes.insert("body".into(), body);
        }
        if changes.is_empty() {
            return self.unchanged(act, mailbox, id, version).await;
        }
        let url = self.client.of_mailbox(mailbox, &["events", id], &[]);
        let body = Value::Object(changes);
        let written = self.client.write(act, Method::PATCH, url, Some(&body), Some(&version.0)).await?;
        let written: Event = match written {
            Ok(response) => self.client.read(act, response)?,
            Err(refusal) => return Err(self.client.failed(act, refusal)),
        };
        let item = self.read_back(act, mailbox, id).await?;
        // Somebody wrote between our write and our reading. Taking this content for what we agreed on would swallow that
        // edit; reading again finds our write done and theirs to carry over.
        match written.version() {
            Some(own) if own != item.version.0 => {
                let stale = self.client.error(act, Problem::Stale).after_the_write();
                Err(stale.caused_by("it changed again while it was written"))
            }
            _ => Ok(item),
        }
    }

    /// Whether a write makes Graph mail somebody: what people meet by changes, or somebody is asked or no longer asked to come.
    async fn would_mail(
        &self,
        act: Act<'_>,
        mailbox: &Address,
        id: &str,
        patch: &Patch,
        after: &Appointment,
    ) -> Result<bool, Error> {
        if !patch.set.contains_key(&Field::Attendees) {
            return Ok(patch.set.keys().any(is_told) && !invited(after, mailbox).is_empty());
        }
        let there = match self.event(act, mailbox, id, &[("$select", "id,changeKey,attendees")]).await? {
            Ok(event) => event.attendees.unwrap_or_default(),
            Err(refusal) => return Err(self.client.failed(act, refusal)),
        };
        let there: BTreeSet<Address> = there.iter().filter_map(|own| other(own, mailbox)).collect();
        let meant = patch.set.keys().any(|field| is_told(field) && *field != Field::Attendees);
        Ok(there != invited(after, mailbox) || (meant && !there.is_empty()))
    }

    /// Nothing that Graph holds is to be written.
    async fn unchanged(&self, act: Act<'_>, mailbox: &Address, id: &str, version: &Version) -> Result<Item, Error> {
        let item = self.read_back(act, mailbox, id).await?;
        if item.version == *version {
            return Ok(item);
        }
        Err(self.client.error(act, Problem::Stale).caused_by("it changed since it was read"))
    }

    /// The body to write: the HTML that is there with its text changed, so that formatting, pictures, links and an online
    /// meeting's part stay.
    async fn body(
        &self,
        act: Act<'_>,
        mailbox: &Address,
        id: &str,
        version: &Version,
        text: &str,
    ) -> Result<Value, Error> {
        let event = match self.event(act, mailbox, id, &[("$select", "id,changeKey,body,isOnlineMeeting")]).await? {
            Ok(event) => event,
            Err(refusal) => return Err(self.client.failed(act, refusal)),
        };
        if event.version().as_deref() != Some(version.0.as_str()) {
            return Err(self.client.error(act, Problem::Stale).caused_by("it changed since it was read"));
        }
        let body = event.body.unwrap_or_default();
        let html = body.content.filter(|_| body.content_type.as_deref() == Some("html"));
        match html.filter(|html| !html.trim().is_empty()) {
            None => Ok(map::text_body(text)),
            Some(there) => match html::with_text(&there, text) {
                Ok(html) => Ok(json!({ "contentType": "html", "content": html })),
                // Unreadable HTML was never read as an appointment either; here for one that changed in between.
                Err(error) => Err(self.client.error(act, Problem::Refused).caused_by(error)),
            },
        }
    }

    /// Cancels a meeting of the mailbox's own that others are asked to, removes anything else. Neither minds versions for sure
    /// (inferred: `If-Match` is not documented for events), so the version is read right before.
    pub(super) async fn delete_event(
        &self,
        mailbox: &Address,
        id: &str,
        version: &Version,
        mail: Mail,
    ) -> Result<(), Error> {
        let what = format!("delete appointment {}", short(id));
        let act = Act::new(&what, mailbox);
        let select = "id,changeKey,attendees,organizer,isOrganizer,responseStatus,isCancelled";
        let event = match self.event(act, mailbox, id, &[("$select", select)]).await? {
            Ok(event) => event,
            Err(refusal) if refusal.problem() == Problem::NotFound => return self.confirm_gone(act, mailbox).await,
            Err(refusal) => return Err(self.client.failed(act, refusal)),
        };
        if event.version().as_deref() != Some(version.0.as_str()) {
            return Err(self.client.error(act, Problem::Stale).caused_by("it changed since it was read"));
        }
        let others =
            event.attendees.as_ref().is_some_and(|attendees| attendees.iter().any(|own| other(own, mailbox).is_some()));
        let is_own = map::role(&event, mailbox) == Role::Organizer && event.is_cancelled != Some(true);
        let written = if is_own && others {
            if mail == Mail::Silent {
                return Err(self.unasked(act));
            }
            let url = self.client.of_mailbox(mailbox, &["events", id, "cancel"], &[]);
            self.client.write(act, Method::POST, url, Some(&json!({ "comment": "" })), None).await?
        } else {
            let url = self.client.of_mailbox(mailbox, &["events", id], &[]);
            self.client.write(act, Method::DELETE, url, None, Some(&version.0)).await?
        };
        self.calendars.doubted(mailbox, id);
        match written {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.problem() == Problem::NotFound => self.confirm_gone(act, mailbox).await,
            Err(refusal) => Err(self.client.failed(act, refusal)),
        }
    }

    /// Answers an invitation from the mailbox's own copy, if that is as it was read. A meeting that was cancelled or that is the
    /// owner's own is refused by the server.
    pub(super) async fn answer_event(
        &self,
        mailbox: &Address,
        id: &str,
        version: &Version,
        answer: Response,
        mail: Mail,
    ) -> Result<(), Error> {
        let what = format!("answer the invitation {}", short(id));
        let act = Act::new(&what, mailbox);
        let verb = match answer {
            Response::Accepted => "accept",
            Response::Tentative => "tentativelyAccept",
            Response::Declined => "decline",
            Response::None | Response::Organizer => {
                return Err(self.client.error(act, Problem::Refused).caused_by("that is no answer to an invitation"));
            }
        };
        let event = match self.event(act, mailbox, id, &[("$select", "id,changeKey")]).await? {
            Ok(event) => event,
            // Gone already: reading it tells.
            Err(refusal) if refusal.problem() == Problem::NotFound => return Ok(()),
            Err(refusal) => return Err(self.client.failed(act, refusal)),
        };
        if event.version().as_deref() != Some(version.0.as_str()) {
            return Err(self.client.error(act, Problem::Stale).caused_by("it changed since it was read"));
        }
        let url = self.client.of_mailbox(mailbox, &["events", id, verb], &[]);
        let body = json!({ "comment": "", "sendResponse": mail != Mail::Silent });
        // A declined copy leaves the calendar, and may still be read by its id.
        self.calendars.doubted(mailbox, id);
        let answered = self.client.write(act, Method::POST, url, Some(&body), None).await?;
        answered.map(drop).map_err(|refusal| self.client.failed(act, refusal))
    }

    /// The zone for the midnights of an all-day appointment: the operator's, else the mailbox's own.
    async fn day_zone(&self, draft: &Appointment, mailbox: &Address) -> Result<Tz, Error> {
        match self.config().all_day_zone {
            Some(zone) => Ok(zone),
            None if draft.time.is_all_day() => Ok(self.home(mailbox).await?.unwrap_or(Tz::UTC)),
            None => Ok(Tz::UTC),
        }
    }

    fn unasked(&self, act: Act<'_>) -> Error {
        let error = self.client.error(act, Problem::Unsupported);
        error.caused_by("Microsoft Graph would mail the attendees, and this write is to mail nobody")
    }
}

/// Those who are asked to come, but for the mailbox's owner.
fn invited(appointment: &Appointment, mailbox: &Address) -> BTreeSet<Address> {
    let others = appointment.attendees.iter().map(|attendee| &attendee.person.address);
    others.filter(|address| !address.is_empty() && *address != mailbox).cloned().collect()
}

fn other(attendee: &wire::Attendee, mailbox: &Address) -> Option<Address> {
    let address = attendee.email_address.as_ref().and_then(|own| own.address.as_deref()).unwrap_or_default();
    Some(Address::new(address)).filter(|address| !address.is_empty() && address != mailbox)
}
