//! The life of one appointment in sentences, for [`crate::control::Desk::trace`].
//!
//! Promises: each decision with its reason; of what lost a conflict the old and the new value, here and in no log; what
//! would be done now is planned by the very code that would do it. Must not know: HTTP, the command line.

use super::App;
use super::desk::{entry, queue_failed};
use crate::control::{LostValue, Refusal, Story, StoryLine};
use crate::engine::{GONE_UNKNOWN, NEVER_THERE};
use crate::ledger::{Event, Lost};
use crate::model::{Attendee, AttendeeKind, Cause, Change, ItemRef, Key, MailBudget, Response, Scalar, Side, Value};
use crate::worker::Summary;

/// A value is shown up to so many characters: enough to recognise and to type again.
const VALUE_CHARS_MAX: usize = 2000;

impl App {
    pub(super) async fn story(&self, id: &str) -> Result<Story, Refusal> {
        let key = self.key_of(id).await?;
        let entry_known = self.ledger.get(&key).await.map_err(|error| Refusal::failed("read the ledger", &error))?;
        let queued = self.queue.show(&key).await.map_err(queue_failed)?;
        let mut lines: Vec<StoryLine> = self
            .ledger
            .events(&key)
            .await
            .map_err(|error| Refusal::failed("read the history", &error))?
            .iter()
            .map(story_line)
            .collect();
        let changes = queued.as_ref().map(|view| view.changes.clone()).unwrap_or_default();
        let changes = if changes.is_empty() { places(&key) } else { changes };
        let planned = self.worker.plan(&key, &changes).await;
        let nowhere =
            planned.as_ref().is_ok_and(|summary| [GONE_UNKNOWN, NEVER_THERE].contains(&summary.reason.as_str()));
        if entry_known.is_none() && queued.is_none() && lines.is_empty() && nowhere {
            return Err(Refusal::unknown(id));
        }
        let (now, text) = match planned {
            Ok(summary) => (summary.op.to_owned(), now_line(&summary)),
            Err(trouble) => ("failed".to_owned(), format!("now: {trouble}; {}", trouble.hint())),
        };
        lines.push(StoryLine { at: self.clock.now(), step: now, text, lost: Vec::new() });
        // A server that does not answer has been told of above.
        for (direction, over) in self.worker.passed_over(&key, &changes).await.unwrap_or_default() {
            let text = format!("now, {}: rule {} is passed over: {}", direction.name(), over.rule, over.why);
            lines.push(StoryLine { at: self.clock.now(), step: "passed over".to_owned(), text, lost: Vec::new() });
        }
        let known = |side| entry_known.as_ref().and_then(|entry| entry.side(side)).map(|known| known.at.clone());
        let exchange = known(Side::Exchange);
        Ok(Story {
            key: key.to_string(),
            crm_id: known(Side::Crm).map(|at| at.id),
            mailbox: exchange.as_ref().map(|at| at.container.key()),
            exchange_id: exchange.map(|at| at.id),
            uid: entry_known.as_ref().and_then(|entry| entry.uid.clone()),
            entry: queued.as_ref().map(entry),
            lines,
        })
    }

    /// The key of an appointment by whatever a person has of it.
    pub(super) async fn key_of(&self, id: &str) -> Result<Key, Refusal> {
        let failed = |error| Refusal::failed("read the ledger", &error);
        let mut places = vec![ItemRef::crm(id)];
        places.extend(
            self.feeds
                .containers()
                .into_iter()
                .filter(|container| container.side() == Side::Exchange)
                .map(|container| ItemRef { container, id: id.to_owned() }),
        );
        for place in &places {
            if let Some(key) = self.ledger.find_item(place).await.map_err(failed)? {
                return Ok(key);
            }
        }
        if let Some(key) = self.ledger.find_uid(id).await.map_err(failed)? {
            return Ok(key);
        }
        if let Some(key) = Key::parse(id) {
            // A pair can be asked for by the number of its CRM copy even if it was born in Exchange.
            if let Key::Crm(number) = &key
                && let Some(known) = self.ledger.find_item(&ItemRef::crm(number)).await.map_err(failed)?
            {
                return Ok(known);
            }
            return Ok(key);
        }
        if !id.is_empty() && id.chars().all(|c| c.is_ascii_digit()) {
            return Ok(Key::Crm(id.to_owned()));
        }
        Err(Refusal::unknown(id))
    }
}

/// Where to look for an appointment that has no work waiting.
fn places(key: &Key) -> Vec<Change> {
    match key {
        Key::Crm(number) => vec![Change { at: ItemRef::crm(number), uid: None, stamp: None, cause: Cause::Again }],
        Key::Uid(_) | Key::Occurrence { .. } | Key::CrmSeries(_) => Vec::new(),
    }
}

fn story_line(event: &Event) -> StoryLine {
    let mut sentences = Vec::new();
    if !event.note.is_empty() {
        sentences.push(event.note.clone());
    }
    let fields: Vec<String> = event.changes.iter().map(|change| change.field.name()).collect();
    match (fields.is_empty(), event.direction) {
        (true, _) => {}
        (false, Some(direction)) => {
            sentences.push(format!("carried over to {}: {}", place(direction.target()), fields.join(", ")));
        }
        (false, None) => sentences.push(format!("carried over both ways: {}", fields.join(", "))),
    }
    for lost in &event.lost {
        sentences.push(format!("{} was changed on both sides; what {} had gave way", lost.field, place(lost.side)));
    }
    if event.mail.total() > 0 {
        sentences.push(format!("Exchange was made to send {}", mails(event.mail)));
    }
    if let Some(generation) = &event.generation {
        sentences.push(format!("by rules generation {}", generation.number));
    }
    StoryLine {
        at: event.at,
        step: event.what.clone(),
        text: sentences.join("; "),
        lost: event.lost.iter().map(lost_value).collect(),
    }
}

fn lost_value(lost: &Lost) -> LostValue {
    LostValue { field: lost.field.name(), side: lost.side.into(), value: shown(&lost.value), kept: shown(&lost.winner) }
}

fn place(side: Side) -> &'static str {
    match side {
        Side::Crm => "the CRM",
        Side::Exchange => "Exchange",
    }
}

fn mails(budget: MailBudget) -> String {
    let parts = [
        (budget.invitations, "invitation", "invitations"),
        (budget.updates, "update", "updates"),
        (budget.cancellations, "cancellation", "cancellations"),
    ];
    let texts: Vec<String> = parts
        .into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| format!("{number} {}", if number == 1 { one } else { many }))
        .collect();
    texts.join(" and ")
}

fn now_line(summary: &Summary) -> String {
    let target = summary.target.map_or_else(String::new, |side| format!(" in {}", place(side)));
    let fields: Vec<String> = summary.fields.iter().map(crate::model::Field::name).collect();
    let fields = if fields.is_empty() { String::new() } else { format!(" ({})", fields.join(", ")) };
    let mailed =
        if summary.mail.total() > 0 { format!("; Exchange would send {}", mails(summary.mail)) } else { String::new() };
    match summary.op {
        "nothing" => "now: nothing to do, both sides are as last agreed".into(),
        op => format!("now: would {op}{target}{fields} because: {}{mailed}", summary.reason),
    }
}

/// A value as people read it.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Empty => String::new(),
        Value::Text(text) => text.clone(),
        Value::Body(body) => body.text.clone(),
        Value::Time(time) => time.to_string(),
        Value::Person(person) => person_shown(&person.name, person.address.as_str()),
        Value::Attendees(list) => list.iter().map(attendee_shown).collect::<Vec<_>>().join(", "),
        Value::Minutes(minutes) => format!("{minutes} minutes before"),
        Value::Sensitivity(value) => format!("{value:?}").to_lowercase(),
        Value::ShowAs(value) => format!("{value:?}").to_lowercase(),
        Value::Importance(value) => format!("{value:?}").to_lowercase(),
        Value::Status(value) => format!("{value:?}").to_lowercase(),
        Value::Texts(list) => list.join(", "),
        Value::Recurrence(_) => "a series".to_owned(),
        Value::Links(list) => {
            list.iter().map(|link| format!("{} {}", link.entity, link.name)).collect::<Vec<_>>().join(", ")
        }
        Value::Scalar(Scalar::Text(text)) => text.clone(),
        Value::Scalar(Scalar::Number(number)) => number.to_string(),
        Value::Scalar(Scalar::Flag(flag)) => if *flag { "yes" } else { "no" }.to_owned(),
    };
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

fn person_shown(name: &str, address: &str) -> String {
    match (name.is_empty(), address.is_empty()) {
        (_, true) => name.to_owned(),
        (true, false) => address.to_owned(),
        (false, false) => format!("{name} <{address}>"),
    }
}

fn attendee_shown(attendee: &Attendee) -> String {
    let mut text = person_shown(&attendee.person.name, attendee.person.address.as_str());
    match attendee.kind {
        AttendeeKind::Required => {}
        AttendeeKind::Optional => text.push_str(" (optional)"),
        AttendeeKind::Resource => text.push_str(" (resource)"),
    }
    match attendee.response {
        Response::None | Response::Organizer => {}
        Response::Tentative => text.push_str(" tentative"),
        Response::Accepted => text.push_str(" accepted"),
        Response::Declined => text.push_str(" declined"),
    }
    text
}
