//! An appointment on its way through the chain, and what of it a rule is shown.
//!
//! Promises: a rule that says what it reads is shown that and nothing else, and nothing else is converted for it; what is
//! the same in source and draft crosses once. Must not know: how rules are run, versions of the contract.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeSet;

use super::bindings::daybridge::rules::types as wit;
use super::convert::{self, Edits};
use crate::model::{Appointment, Field, Value};
use crate::rules::Draft;

/// Stands for every custom field among the names of what a rule reads.
const ALL_CUSTOM: &str = "custom.*";

/// The fields a rule looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads(Option<BTreeSet<Name>>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Field(Field),
    BodyHtml,
    AllCustom,
}

impl Reads {
    /// By name as in the contract. No names at all: it looks at everything. A name of a later version of the host means nothing here.
    pub fn new(names: &[String]) -> Self {
        let read = |name: &String| match name.as_str() {
            ALL_CUSTOM => Some(Name::AllCustom),
            convert::BODY_HTML => Some(Name::BodyHtml),
            name => Field::named(name).map(Name::Field),
        };
        let mut read: BTreeSet<Name> = names.iter().filter_map(read).collect();
        if read.contains(&Name::AllCustom) {
            read.retain(|name| !matches!(name, Name::Field(Field::Custom(_))));
        }
        Self((!names.is_empty()).then_some(read))
    }

    fn shows(&self, field: &Field) -> bool {
        let Some(names) = &self.0 else { return true };
        let as_custom = matches!(field, Field::Custom(_)) && names.contains(&Name::AllCustom);
        as_custom || names.iter().any(|name| matches!(name, Name::Field(read) if read == field))
    }

    fn shows_html(&self) -> bool {
        self.0.as_ref().is_none_or(|names| names.contains(&Name::BodyHtml))
    }

    /// The fields of an appointment that have a value and that the rule looks at.
    pub fn fields(&self, appointment: &Appointment) -> Vec<wit::Field> {
        let Some(names) = &self.0 else { return convert::fields(appointment) };
        let mut fields = Vec::with_capacity(names.len());
        let mut show = |field: &Field| {
            let value = appointment.get(field);
            if value != Value::Empty {
                fields.push(convert::field(field, value));
            }
        };
        for name in names {
            match name {
                Name::Field(field) => show(field),
                Name::AllCustom => {
                    appointment.custom.keys().for_each(|name| show(&Field::Custom(name.clone())));
                }
                Name::BodyHtml => {}
            }
        }
        if self.shows_html() {
            fields.extend(convert::body_html(appointment));
        }
        fields
    }
}

/// An appointment between two rules.
pub struct Passage {
    source: Appointment,
    /// What the rules so far made of it.
    pub draft: Draft,
    /// Fields that were set so far. Only these can differ from the source.
    touched: BTreeSet<Field>,
    /// All fields of the source, converted when the first rule asks for all.
    everything: OnceCell<Vec<wit::Field>>,
}

impl Passage {
    /// Begins with a draft that is like the source, unless there is one already.
    pub fn new(source: Appointment, draft: Option<Draft>) -> Self {
        let begun = draft.as_ref().map(|draft| &draft.appointment);
        let fields = begun.into_iter().flat_map(|draft| [convert::fields(draft), convert::fields(&source)]).flatten();
        let touched = fields.filter_map(|field| Field::named(&field.name)).collect();
        let draft = draft.unwrap_or_else(|| Draft { appointment: source.clone(), removed: false, mail_allowed: true });
        Self { source, draft, touched, everything: OnceCell::new() }
    }

    /// The source, whole.
    pub fn origin(&self) -> &Appointment {
        &self.source
    }

    /// Goes on with what a rule's edits make of the draft.
    pub fn go_on(&mut self, edits: Edits) {
        let Edits { names: _, set, removed, mail_allowed } = edits;
        self.draft.removed = removed.unwrap_or(self.draft.removed);
        self.draft.mail_allowed = mail_allowed.unwrap_or(self.draft.mail_allowed);
        for (field, value) in set {
            // Each field takes its value, or there were no such edits.
            if self.draft.appointment.set(&field, value).is_ok() {
                self.touched.insert(field);
            }
        }
    }

    /// What a rule is shown of the source.
    pub fn source(&self, reads: &Reads) -> Cow<'_, [wit::Field]> {
        if reads.0.is_none() {
            return Cow::Borrowed(self.everything.get_or_init(|| convert::fields(&self.source)));
        }
        Cow::Owned(reads.fields(&self.source))
    }

    /// The draft with all its fields.
    pub fn whole_draft(&self) -> Vec<wit::Field> {
        convert::draft_fields(&self.draft)
    }

    /// What a rule is shown of the draft where it is another than the source: fields that were cleared are there, and empty.
    pub fn difference(&self, reads: &Reads) -> Vec<wit::Field> {
        let Draft { appointment, removed, mail_allowed } = &self.draft;
        let mut fields = Vec::new();
        for field in self.touched.iter().filter(|field| reads.shows(field)) {
            let value = appointment.get(field);
            if value != self.source.get(field) {
                fields.push(convert::field(field, value));
            }
        }
        if reads.shows_html() && appointment.body.html != self.source.body.html {
            fields.push(convert::body_html(appointment).unwrap_or_else(convert::no_body_html));
        }
        fields.extend(convert::flags(*removed, *mail_allowed));
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Body, Scalar, Time};

    fn source() -> Appointment {
        let first = chrono::NaiveDate::MIN;
        let mut source = Appointment::new("Budget", Time::AllDay { first, last: first });
        source.body = Body { text: "line".into(), html: Some("<p>line</p>".into()) };
        source.custom.insert("area".into(), Scalar::Text("north".into()));
        source.custom.insert("level".into(), Scalar::Number(3));
        source
    }

    fn reads(names: &[&str]) -> Reads {
        Reads::new(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
    }

    fn names(fields: &[wit::Field]) -> Vec<&str> {
        fields.iter().map(|field| field.name.as_str()).collect()
    }

    #[test]
    fn a_rule_is_shown_what_it_reads() {
        let passage = Passage::new(source(), None);
        let check = |read: &[&str], shown: &[&str]| assert_eq!(names(&passage.source(&reads(read))), shown, "{read:?}");
        check(&["subject"], &["subject"]);
        check(&["location"], &[]);
        check(&["body"], &["body"]);
        check(&["body-html"], &["body-html"]);
        check(&["custom.level", "custom.gone"], &["custom.level"]);
        check(&["custom.*", "custom.level"], &["custom.area", "custom.level"]);
        check(&["a-field-of-tomorrow"], &[]);
        let everything = passage.source(&reads(&[]));
        assert_eq!(everything, convert::fields(&source()));
        assert!(everything.len() > 8, "{everything:?}");
    }

    #[test]
    fn the_draft_crosses_where_it_differs() {
        let mut passage = Passage::new(source(), None);
        assert_eq!(passage.difference(&Reads::default()), []);
        let set = vec![
            (Field::Subject, Value::Text("Budget".into())),
            (Field::Body, Value::Text("other".into())),
            (Field::Custom("area".into()), Value::Empty),
        ];
        passage.go_on(Edits { names: Vec::new(), set, removed: Some(true), mail_allowed: Some(false) });
        let shown = |read: &[&str]| passage.difference(&reads(read));
        let field = |name: &str, value| wit::Field { name: name.to_owned(), value };
        let flags = [field("removed", wit::Value::Flag(true)), field("mail-allowed", wit::Value::Flag(false))];
        // The subject was set to what it was.
        assert_eq!(shown(&["subject", "location"]), flags);
        assert_eq!(shown(&["custom.*"])[0], field("custom.area", wit::Value::Empty));
        assert_eq!(
            shown(&[])[..3],
            [
                field("body", wit::Value::Text("other".into())),
                field("custom.area", wit::Value::Empty),
                field("body-html", wit::Value::Empty)
            ]
        );
    }
}
