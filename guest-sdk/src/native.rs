//! A host made of values, so that a rule's own tests run with plain `cargo test`.
//!
//! ```
//! # use daybridge_rule::prelude::*;
//! # struct Category;
//! # impl Rule for Category {
//! #     fn describe() -> Description {
//! #         Description::new("x").setting(Setting::text("name", "CRM", "The category"))
//! #     }
//! #     fn apply(context: &Context, _: &Appointment, draft: &mut Draft) -> Answer {
//! #         draft.add_category(context.setting_text("name"));
//! #         pass()
//! #     }
//! # }
//! use daybridge_rule::native::Test;
//!
//! let draft = Test::<Category>::crm_to_exchange().setting("name", "Sales").draft(&Appointment::new("Budget"));
//! assert_eq!(draft.categories, ["Sales"]);
//! ```
//!
//! Promises: settings have the defaults the rule described; look-ups answer only what the rule asked for; a rule is shown
//! only the fields it says it reads, so one that was forgotten is found here. Must not be taken for the sandbox: time, memory and
//! output are not limited here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::answer::{Explanation, Failure, Stop};
use crate::context::{Context, Level, LookupError};
use crate::description::{Lookup, Setting};
use crate::fields;
use crate::model::{Appointment, Choice, Conflict, Direction, Draft, Person, User};
use crate::{Hook, Rule, Value};

/// The values a rule under test can ask for.
#[derive(Clone, Debug, Default)]
pub struct Host {
    settings: BTreeMap<String, Value>,
    granted: Vec<Lookup>,
    users: Vec<User>,
    captions: BTreeMap<(String, String), String>,
    key_values: BTreeMap<String, String>,
    lines: RefCell<Vec<String>>,
}

impl Host {
    pub(crate) fn setting(&self, name: &str) -> Value {
        self.settings.get(name).cloned().unwrap_or(Value::Empty)
    }

    pub(crate) fn settings(&self) -> Vec<(String, Value)> {
        self.settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    pub(crate) fn log(&self, _: Level, message: &str) {
        self.lines.borrow_mut().push(message.to_owned());
    }

    pub(crate) fn user(&self, is: impl Fn(&User) -> bool) -> Result<Option<User>, LookupError> {
        self.granted(Lookup::Users)?;
        Ok(self.users.iter().find(|user| is(user)).cloned())
    }

    pub(crate) fn caption(&self, family: &str, code: &str) -> Result<Option<String>, LookupError> {
        self.granted(Lookup::Captions)?;
        Ok(self.captions.get(&(family.to_owned(), code.to_owned())).cloned())
    }

    pub(crate) fn key_value(&self, name: &str) -> Result<Option<String>, LookupError> {
        self.granted(Lookup::KeyValues)?;
        Ok(self.key_values.get(name).cloned())
    }

    fn granted(&self, kind: Lookup) -> Result<(), LookupError> {
        if self.granted.contains(&kind) { Ok(()) } else { Err(LookupError::NotGranted) }
    }
}

/// One rule on a host of values.
#[derive(Clone, Debug)]
pub struct Test<R> {
    direction: Direction,
    reads: Rc<[String]>,
    host: Rc<Host>,
    rule: PhantomData<R>,
}

impl<R: Rule> Test<R> {
    pub fn crm_to_exchange() -> Self {
        Self::new(Direction::CrmToExchange)
    }

    pub fn exchange_to_crm() -> Self {
        Self::new(Direction::ExchangeToCrm)
    }

    /// # Panics
    /// If the rule says that it reads a field the contract does not name.
    pub fn new(direction: Direction) -> Self {
        let description = R::describe();
        for name in &description.reads {
            let known = fields::NAMES.contains(&name.as_str())
                || name.strip_prefix("custom.").is_some_and(|own| !own.is_empty());
            assert!(
                known,
                "the rule reads {name}, which is no field; there are: {}, custom.NAME, custom.*",
                fields::NAMES.join(", ")
            );
        }
        let settings = description.settings.into_iter().map(|Setting { name, default, .. }| (name, default)).collect();
        let host = Host { settings, granted: description.lookups, ..Host::default() };
        Self { direction, reads: description.reads.into(), host: Rc::new(host), rule: PhantomData }
    }

    /// Sets a setting: a text, a number or a flag.
    ///
    /// # Panics
    /// If the rule described no setting of that name and kind.
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let described = self.host.settings.get(name).map(std::mem::discriminant);
        assert_eq!(described, Some(std::mem::discriminant(&value)), "the rule described no such setting: {name}");
        Rc::make_mut(&mut self.host).settings.insert(name.to_owned(), value);
        self
    }

    #[must_use]
    pub fn user(mut self, user: User) -> Self {
        Rc::make_mut(&mut self.host).users.push(user);
        self
    }

    #[must_use]
    pub fn caption(mut self, family: &str, code: &str, text: &str) -> Self {
        Rc::make_mut(&mut self.host).captions.insert((family.to_owned(), code.to_owned()), text.to_owned());
        self
    }

    #[must_use]
    pub fn key_value(mut self, name: &str, value: &str) -> Self {
        Rc::make_mut(&mut self.host).key_values.insert(name.to_owned(), value.to_owned());
        self
    }

    /// What the rule makes of an appointment that no rule has touched.
    pub fn apply(&self, source: &Appointment) -> Result<Draft, Stop> {
        self.apply_to(source, Draft::of(source))
    }

    /// What the rule makes of the draft that the rules before left.
    pub fn apply_to(&self, source: &Appointment, mut draft: Draft) -> Result<Draft, Stop> {
        let (removed, mail_allowed) = (draft.is_removed(), draft.is_mail_allowed());
        let shown = fields::shown(&draft, &self.reads);
        let mut changed = Draft::new(shown.clone(), removed, mail_allowed);
        R::apply(&self.context(Hook::Apply), &fields::shown(source, &self.reads), &mut changed)?;
        // As in the host, what the rule was not shown and did not set is as it was.
        let edits = fields::edits(&shown, removed, mail_allowed, changed);
        if edits.iter().any(|edit| edit.name == "body") {
            draft.body_html = None;
        }
        fields::change(&mut draft, edits);
        Ok(draft)
    }

    /// As [`Test::apply`], for a rule that must pass.
    ///
    /// # Panics
    /// If the rule does not pass the appointment on.
    pub fn draft(&self, source: &Appointment) -> Draft {
        let answer = self.apply(source);
        assert!(answer.is_ok(), "the rule did not pass the appointment on: {answer:?}");
        answer.unwrap_or_else(|_| Draft::of(source))
    }

    pub fn resolve(&self, source: &Appointment, conflict: &Conflict) -> Option<Choice> {
        R::resolve(&self.context(Hook::Resolve), &fields::shown(source, &self.reads), conflict)
    }

    pub fn explain(&self, failure: &Failure) -> Option<Explanation> {
        R::explain(&self.context(Hook::Explain), failure)
    }

    pub fn match_user<'a>(&self, person: &Person, candidates: &'a [User]) -> Option<&'a User> {
        R::match_user(&self.context(Hook::MatchUser), person, candidates)
    }

    /// The lines the rule has logged in all calls so far.
    pub fn lines(&self) -> Vec<String> {
        self.host.lines.borrow().clone()
    }

    fn context(&self, hook: Hook) -> Context {
        Context { hook, direction: self.direction, key: "crm:1".to_owned(), host: Rc::clone(&self.host) }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Flag(flag)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Number(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answer, Description, Scalar, pass};

    /// Reads less than it should.
    struct Forgetful;

    impl Rule for Forgetful {
        fn describe() -> Description {
            Description::new("Forgets that it reads the reminder").reads(["subject", "custom.area"])
        }

        fn apply(_: &Context, source: &Appointment, draft: &mut Draft) -> Answer {
            draft.location = format!("{} {} {}", source.subject, source.body, source.custom.len());
            draft.reminder = None;
            pass()
        }
    }

    #[test]
    fn a_rule_is_shown_what_it_reads_and_clears_nothing_it_does_not() {
        let mut source = Appointment { body: "line".into(), reminder: Some(15), ..Appointment::new("Budget") };
        source.custom.insert("area", Scalar::Text("north".into()));
        source.custom.insert("level", Scalar::Number(3));
        let draft = Test::<Forgetful>::crm_to_exchange().draft(&source);
        assert_eq!(draft.location, "Budget  1");
        let rest = Appointment { location: String::new(), ..(*draft).clone() };
        assert_eq!(rest, source);
    }

    struct Misspelt;

    impl Rule for Misspelt {
        fn describe() -> Description {
            Description::new("Reads what there is not").reads(["subjct"])
        }
    }

    #[test]
    #[should_panic(expected = "the rule reads subjct, which is no field")]
    fn a_misspelt_name_is_noticed() {
        Test::<Misspelt>::crm_to_exchange();
    }
}
