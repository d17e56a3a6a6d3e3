//! The elements of items' fields.
//!
//! Must not know: which fields are asked for.

use super::item::{Attendee, BodyShape, FOUND_TEXT_MAX, Instance, Person, Value, as_text};
use super::xml::Xml;
use super::zones::written;

impl Value {
    /// Writes the element of a field, in the shape asked for.
    pub fn write(&self, name: &str, shape: BodyShape, xml: &mut Xml) {
        let tag = format!("t:{name}");
        let found = shape == BodyShape::Found;
        match self {
            Value::Text(text) if found => xml.text(&tag, text.chars().take(FOUND_TEXT_MAX).collect::<String>()),
            Value::Text(text) => xml.text(&tag, text),
            Value::Boolean(value) => xml.text(&tag, value),
            Value::Integer(value) => xml.text(&tag, value),
            Value::Time(at) => xml.text(&tag, written(*at)),
            Value::Strings(texts) => xml.open(&tag, |xml| texts.iter().for_each(|text| xml.text("t:String", text))),
            Value::Body { .. } | Value::Attendees(_) | Value::People(_) if found => {}
            Value::Body { html, text } => write_body(&tag, *html, text, shape, xml),
            Value::Attendees(list) => xml.open(&tag, |xml| list.iter().for_each(|attendee| attendee.write(xml))),
            Value::Person(person) => xml.open(&tag, |xml| person.write(xml)),
            Value::People(list) => xml.open(&tag, |xml| list.iter().for_each(|person| person.write(xml))),
            Value::Zone(zone) => xml.empty(&tag, &[("Id", &zone.id), ("Name", &zone.id)]),
            Value::Recurrence(recurrence) => xml.open(&tag, |xml| recurrence.write(xml)),
            Value::Id { id, change_key } => xml.empty(&tag, &[("Id", id), ("ChangeKey", change_key)]),
            Value::Occurrence(instance) => instance.write(&tag, xml),
            Value::Occurrences(list) => {
                xml.open(&tag, |xml| list.iter().for_each(|instance| instance.write("t:Occurrence", xml)));
            }
            Value::DeletedOccurrences(list) => xml.open(&tag, |xml| {
                for at in list {
                    xml.open("t:DeletedOccurrence", |xml| xml.text("t:Start", written(*at)));
                }
            }),
            Value::Rights => xml.open(&tag, write_rights),
            Value::ResponseObjects(names) => {
                xml.open(&tag, |xml| names.iter().for_each(|name| xml.empty(&format!("t:{name}"), &[])));
            }
        }
    }
}

impl Person {
    pub fn write(&self, xml: &mut Xml) {
        xml.open("t:Mailbox", |xml| {
            xml.text("t:Name", &self.name);
            xml.text("t:EmailAddress", &self.address);
            xml.text("t:RoutingType", "SMTP");
            xml.text("t:MailboxType", if self.local { "Mailbox" } else { "OneOff" });
        });
    }
}

impl Attendee {
    fn write(&self, xml: &mut Xml) {
        xml.open("t:Attendee", |xml| {
            self.person.write(xml);
            xml.text("t:ResponseType", self.reply.name());
            if let Some(at) = self.replied {
                xml.text("t:LastResponseTime", written(at));
            }
        });
    }
}

impl Instance {
    fn write(&self, tag: &str, xml: &mut Xml) {
        xml.open(tag, |xml| {
            xml.empty("t:ItemId", &[("Id", &self.id), ("ChangeKey", &self.change_key)]);
            xml.text("t:Start", written(self.start));
            xml.text("t:End", written(self.end));
            xml.text("t:OriginalStart", written(self.original_start));
        });
    }
}

pub fn write_rights(xml: &mut Xml) {
    for right in
        ["CreateAssociated", "CreateContents", "CreateHierarchy", "Delete", "Modify", "Read", "ViewPrivateItems"]
    {
        xml.text(&format!("t:{right}"), true);
    }
}

fn write_body(tag: &str, html: bool, text: &str, shape: BodyShape, xml: &mut Xml) {
    match (shape, html) {
        (BodyShape::Text, true) => xml.text_with(tag, &[("BodyType", "Text")], as_text(true, text)),
        (BodyShape::Html, false) => {
            let escaped = quick_xml::escape::escape(text).replace('\n', "<br>");
            xml.text_with(tag, &[("BodyType", "HTML")], format_args!("<html><body>{escaped}</body></html>"));
        }
        (_, true) => xml.text_with(tag, &[("BodyType", "HTML")], text),
        (_, false) => xml.text_with(tag, &[("BodyType", "Text")], text),
    }
}
