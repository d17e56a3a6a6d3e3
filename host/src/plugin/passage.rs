//! An appointment on its way through the chain, and what of it a rule is shown.
//!
//! Promises: a rule that says what it reads is shown that and nothing else, and nothing else is converted for it; what is
//! the same in source and draft crosses once. Must not know: how rules are run, versions of the contract.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;

use super::convert::{self, Edits};
use super::shown;
use crate::model::{Appointment, Field, Value};
use crate::rules::Draft;

/// Stands for every custom field among the names of what a rule reads.
const ALL_CUSTOM: &str = "custom.*";

/// The fields a rule looks at, each with its name in the contract.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads(Option<BTreeMap<Name, String>>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Field(Field),
    BodyHtml,
    AllCustom,
}

impl Reads {
    /// By name as in the contract. No names at all: it looks at everything. A name of a later version of the host means nothing here.
    pub fn new(names: &[String]) -> Self {
        let read = |name: &String| {
            let read = match name.as_str() {
                ALL_CUSTOM => Name::AllCustom,
                convert::BODY_HTML => Name::BodyHtml,
                name => Name::Field(Field::named(name)?),
            };
            Some((read, name.clone()))
        };
        let mut read: BTreeMap<Name, String> = names.iter().filter_map(read).collect();
        if read.contains_key(&Name::AllCustom) {
            read.retain(|name, _| !matches!(name, Name::Field(Field::Custom(_))));
        }
        Self((!names.is_empty()).then_some(read))
    }

    fn shows(&self, field: &Field) -> bool {
        let Some(names) = &self.0 else { return true };
        let as_custom = matches!(field, Field::Custom(_)) && names.contains_key(&Name::AllCustom);
        as_custom || names.keys().any(|name| matches!(name, Name::Field(read) if read == field))
    }

    fn shows_html(&self) -> bool {
        self.0.as_ref().is_none_or(|names| names.contains_key(&Name::BodyHtml))
    }
}

/// An appointment between two rules. It is kept once, as the draft, with what the source has in the fields that were set.
pub struct Passage {
    /// What the rules so far made of it.
    pub draft: Draft,
    /// The fields that were set so far. Only these can differ from the source.
    set: BTreeMap<Field, Before>,
    /// The HTML of the source's body, once a body was set.
    html: Option<Option<String>>,
    /// The source's custom fields with their names in the contract, when a rule is first shown all of them.
    customs: OnceCell<Vec<(Field, String)>>,
}

/// A field that was set.
struct Before {
    /// In the contract.
    name: Cow<'static, str>,
    /// What the source has.
    value: Value,
}

impl Before {
    fn of(field: &Field, value: Value) -> Self {
        let name = match field {
            Field::Custom(_) => Cow::Owned(field.name()),
            fixed => Cow::Borrowed(fixed.fixed_name()),
        };
        Self { name, value }
    }
}

impl Passage {
    /// Begins with a draft that is like the source, unless there is one already.
    pub fn new(source: Appointment, draft: Option<Draft>) -> Self {
        let Some(draft) = draft else {
            let draft = Draft { appointment: source, removed: false, mail_allowed: true };
            return Self { draft, set: BTreeMap::new(), html: None, customs: OnceCell::new() };
        };
        let fields = source.fields().chain(draft.appointment.fields());
        let set = fields.map(|field| (field.clone(), Before::of(&field, source.get(&field)))).collect();
        Self { draft, set, html: Some(source.body.html), customs: OnceCell::new() }
    }

    /// The source, whole.
    pub fn origin(&self) -> Cow<'_, Appointment> {
        let draft = &self.draft.appointment;
        if self.set.is_empty() {
            return Cow::Borrowed(draft);
        }
        let mut source = draft.clone();
        for (field, before) in &self.set {
            // It comes from an appointment, so it fits.
            let _ = source.set(field, before.value.clone());
        }
        if let Some(html) = &self.html {
            source.body.html.clone_from(html);
        }
        Cow::Owned(source)
    }

    /// Goes on with what a rule's edits make of the draft.
    pub fn go_on(&mut self, edits: Edits) {
        let Edits { names: _, set, removed, mail_allowed } = edits;
        self.draft.removed = removed.unwrap_or(self.draft.removed);
        self.draft.mail_allowed = mail_allowed.unwrap_or(self.draft.mail_allowed);
        let draft = &mut self.draft.appointment;
        for (field, value) in set {
            if !self.set.contains_key(&field) {
                self.set.insert(field.clone(), Before::of(&field, draft.get(&field)));
            }
            if field == Field::Body && self.html.is_none() {
                self.html = Some(draft.body.html.take());
            }
            // Each field takes its value, or there were no such edits.
            let _ = draft.set(&field, value);
        }
    }

    /// What a rule is shown of the source: the fields that have a value and that it looks at.
    pub fn source<'a>(&'a self, reads: &'a Reads) -> Vec<shown::Field<'a>> {
        let mut fields = Fields::default();
        match &reads.0 {
            None => {
                Field::FIXED.iter().for_each(|field| fields.show(field.fixed_name(), self.value(field)));
                self.customs().iter().for_each(|(field, name)| fields.show(name, self.value(field)));
            }
            Some(names) => {
                for (read, name) in names {
                    match read {
                        Name::Field(field) => fields.show(name, self.value(field)),
                        Name::AllCustom => {
                            self.customs().iter().for_each(|(field, name)| fields.show(name, self.value(field)));
                        }
                        Name::BodyHtml => {}
                    }
                }
            }
        }
        if reads.shows_html() {
            fields.show(convert::BODY_HTML, html_of(self.html.as_ref().unwrap_or(&self.draft.appointment.body.html)));
        }
        fields.0
    }

    /// The draft with all its fields.
    pub fn whole_draft(&self) -> Vec<shown::Field<'_>> {
        let Draft { appointment, removed, mail_allowed } = &self.draft;
        let mut fields = Fields::default();
        Field::FIXED.iter().for_each(|field| fields.show(field.fixed_name(), shown::Value::of(appointment, field)));
        let of_source = self.customs().iter().map(|(field, name)| (field, name.as_str()));
        let set = self.set.iter().map(|(field, before)| (field, &*before.name));
        let customs: BTreeMap<&Field, &str> =
            of_source.chain(set).filter(|(field, _)| matches!(field, Field::Custom(_))).collect();
        customs.into_iter().for_each(|(field, name)| fields.show(name, shown::Value::of(appointment, field)));
        fields.show(convert::BODY_HTML, html_of(&appointment.body.html));
        fields.show(convert::REMOVED, shown::Value::Flag(*removed));
        fields.show(convert::MAIL_ALLOWED, shown::Value::Flag(*mail_allowed));
        fields.0
    }

    /// What a rule is shown of the draft where it is another than the source: fields that were cleared are there, and empty.
    pub fn difference(&self, reads: &Reads) -> Vec<shown::Field<'_>> {
        let Draft { appointment, removed, mail_allowed } = &self.draft;
        let mut fields = Fields::default();
        for (field, before) in self.set.iter().filter(|(field, _)| reads.shows(field)) {
            if appointment.get(field) != before.value {
                fields.put(&before.name, shown::Value::of(appointment, field));
            }
        }
        if reads.shows_html() && self.html.as_ref().is_some_and(|html| *html != appointment.body.html) {
            fields.put(convert::BODY_HTML, html_of(&appointment.body.html));
        }
        if *removed {
            fields.put(convert::REMOVED, shown::Value::Flag(true));
        }
        if !mail_allowed {
            fields.put(convert::MAIL_ALLOWED, shown::Value::Flag(false));
        }
        fields.0
    }

    /// A field of the source.
    fn value(&self, field: &Field) -> shown::Value<'_> {
        match self.set.get(field) {
            Some(before) => (&before.value).into(),
            None => shown::Value::of(&self.draft.appointment, field),
        }
    }

    fn customs(&self) -> &[(Field, String)] {
        self.customs.get_or_init(|| {
            let kept = self.draft.appointment.custom.keys().map(|name| Field::Custom(name.clone()));
            let kept = kept.filter(|field| !self.set.contains_key(field));
            let was =
                |(field, before): &(&Field, &Before)| matches!(field, Field::Custom(_)) && before.value != Value::Empty;
            let set = self.set.iter().filter(was).map(|(field, _)| field.clone());
            let mut customs: Vec<(Field, String)> =
                kept.chain(set).map(|field| (field.clone(), field.name())).collect();
            customs.sort();
            customs
        })
    }
}

/// Fields on their way to a rule.
#[derive(Default)]
struct Fields<'a>(Vec<shown::Field<'a>>);

impl<'a> Fields<'a> {
    /// Adds a field, if it has a value.
    fn show(&mut self, name: &'a str, value: shown::Value<'a>) {
        if value != shown::Value::Empty {
            self.put(name, value);
        }
    }

    fn put(&mut self, name: &'a str, value: shown::Value<'a>) {
        self.0.push(shown::Field { name, value });
    }
}

fn html_of(html: &Option<String>) -> shown::Value<'_> {
    html.as_deref().map_or(shown::Value::Empty, shown::Value::Text)
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

    fn names<'a>(fields: &[shown::Field<'a>]) -> Vec<&'a str> {
        fields.iter().map(|field| field.name).collect()
    }

    #[test]
    fn a_rule_is_shown_what_it_reads() {
        let passage = Passage::new(source(), None);
        let check = |read: &[&str], shown: &[&str]| {
            let reads = reads(read);
            assert_eq!(names(&passage.source(&reads)), shown, "{read:?}");
        };
        check(&["subject"], &["subject"]);
        check(&["location"], &[]);
        check(&["body"], &["body"]);
        check(&["body-html"], &["body-html"]);
        check(&["custom.level", "custom.gone"], &["custom.level"]);
        check(&["custom.*", "custom.level"], &["custom.area", "custom.level"]);
        check(&["a-field-of-tomorrow"], &[]);
        let all = [
            "subject",
            "body",
            "time",
            "sensitivity",
            "show-as",
            "importance",
            "status",
            "custom.area",
            "custom.level",
            "body-html",
        ];
        check(&[], &all);
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
        let field = |name, value| shown::Field { name, value };
        let flags = [field("removed", shown::Value::Flag(true)), field("mail-allowed", shown::Value::Flag(false))];
        // The subject was set to what it was.
        assert_eq!(shown(&["subject", "location"]), flags);
        assert_eq!(shown(&["custom.*"])[0], field("custom.area", shown::Value::Empty));
        assert_eq!(
            shown(&[])[..3],
            [
                field("body", shown::Value::Text("other")),
                field("custom.area", shown::Value::Empty),
                field("body-html", shown::Value::Empty)
            ]
        );
    }
    #[test]
    fn the_source_stays_what_it_was() {
        let mut passage = Passage::new(source(), None);
        let was = format!("{:?}", passage.source(&Reads::default()));
        let set = vec![
            (Field::Subject, Value::Empty),
            (Field::Body, Value::Text("other".into())),
            (Field::Reminder, Value::Minutes(5)),
            (Field::Custom("area".into()), Value::Empty),
            (Field::Custom("new".into()), Value::Text("new".into())),
        ];
        passage.go_on(Edits { names: Vec::new(), set, removed: None, mail_allowed: None });
        passage.go_on(Edits {
            names: Vec::new(),
            set: vec![(Field::Body, Value::Empty)],
            removed: None,
            mail_allowed: None,
        });
        assert_eq!(format!("{:?}", passage.source(&Reads::default())), was);
        assert_eq!(*passage.origin(), source());
        assert_eq!(passage.origin().body.html, source().body.html);
        assert_eq!(
            names(&passage.whole_draft()),
            [
                "time",
                "reminder",
                "sensitivity",
                "show-as",
                "importance",
                "status",
                "custom.level",
                "custom.new",
                "removed",
                "mail-allowed"
            ]
        );
        // The same for a rule that is tried as if others ran before it.
        let tried = Passage::new(source(), Some(passage.draft.clone()));
        assert_eq!(format!("{:?}", tried.source(&Reads::default())), was);
        assert_eq!(tried.difference(&Reads::default()), passage.difference(&Reads::default()));
    }
}
