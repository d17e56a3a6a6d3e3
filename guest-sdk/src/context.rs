//! What a rule may ask during a call: settings, look-ups, the log.
//!
//! In WebAssembly these are the contract's imports, called directly so that a rule imports only what it uses; natively
//! they come from a [`crate::native::Host`].

use crate::model::{Direction, User};
use crate::{Hook, Value};

/// Why a look-up has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// Not asked for in the description, or not granted by the operator.
    NotGranted,
    /// The host does not have this data at the moment.
    Unavailable,
}

/// The call a rule is answering.
#[derive(Clone, Debug)]
pub struct Context {
    pub hook: Hook,
    pub direction: Direction,
    /// The appointment's lasting key, for messages; blank outside `apply` and `resolve`.
    pub key: String,
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) host: std::rc::Rc<crate::native::Host>,
}

impl Context {
    /// A setting's value, or the default its description gave, or [`Value::Empty`].
    pub fn setting(&self, name: &str) -> Value {
        #[cfg(target_arch = "wasm32")]
        return crate::bindings::daybridge::rules::settings::get(name);
        #[cfg(not(target_arch = "wasm32"))]
        self.host.setting(name)
    }

    /// All settings that have a value, by name. Cheaper than asking for many of them one by one.
    pub fn settings(&self) -> Vec<(String, Value)> {
        #[cfg(target_arch = "wasm32")]
        return crate::bindings::daybridge::rules::settings::list()
            .into_iter()
            .map(|setting| (setting.name, setting.value))
            .collect();
        #[cfg(not(target_arch = "wasm32"))]
        self.host.settings()
    }

    /// A flag setting; false if there is none of that name.
    pub fn setting_flag(&self, name: &str) -> bool {
        matches!(self.setting(name), Value::Flag(true))
    }

    /// A text setting; blank if there is none of that name.
    pub fn setting_text(&self, name: &str) -> String {
        match self.setting(name) {
            Value::Text(text) => text,
            _ => String::new(),
        }
    }

    /// A number setting; 0 if there is none of that name.
    pub fn setting_number(&self, name: &str) -> i64 {
        match self.setting(name) {
            Value::Number(number) => number,
            _ => 0,
        }
    }

    /// A list setting; empty if there is none of that name.
    pub fn setting_list(&self, name: &str) -> Vec<String> {
        match self.setting(name) {
            Value::Texts(texts) => texts,
            _ => Vec::new(),
        }
    }

    /// A line for whoever follows the rule's work in detail.
    pub fn debug(&self, message: &str) {
        self.log(Level::Debug, message);
    }

    /// A line for the operator.
    pub fn info(&self, message: &str) {
        self.log(Level::Info, message);
    }

    /// Something the operator should look at.
    pub fn warn(&self, message: &str) {
        self.log(Level::Warn, message);
    }

    fn log(&self, level: Level, message: &str) {
        #[cfg(target_arch = "wasm32")]
        crate::bindings::daybridge::rules::log::write(level, message);
        #[cfg(not(target_arch = "wasm32"))]
        self.host.log(level, message);
    }

    /// The CRM user with that id. Needs [`crate::Lookup::Users`].
    pub fn user(&self, id: &str) -> Result<Option<User>, LookupError> {
        #[cfg(target_arch = "wasm32")]
        return imports::found(imports::lookup::user_by_id(id)).map(|user| user.map(User::from));
        #[cfg(not(target_arch = "wasm32"))]
        self.host.user(|user| user.id == id)
    }

    /// The CRM user with that address, whatever its letter case. Needs [`crate::Lookup::Users`].
    pub fn user_by_address(&self, address: &str) -> Result<Option<User>, LookupError> {
        #[cfg(target_arch = "wasm32")]
        return imports::found(imports::lookup::user_by_address(address)).map(|user| user.map(User::from));
        #[cfg(not(target_arch = "wasm32"))]
        self.host.user(|user| user.address.eq_ignore_ascii_case(address))
    }

    /// The text people see for a code of a CRM option list. Needs [`crate::Lookup::Captions`].
    pub fn caption(&self, family: &str, code: &str) -> Result<Option<String>, LookupError> {
        #[cfg(target_arch = "wasm32")]
        return imports::found(imports::lookup::caption(family, code));
        #[cfg(not(target_arch = "wasm32"))]
        self.host.caption(family, code)
    }

    /// A value kept with this appointment's pair. Needs [`crate::Lookup::KeyValues`].
    pub fn key_value(&self, name: &str) -> Result<Option<String>, LookupError> {
        #[cfg(target_arch = "wasm32")]
        return imports::found(imports::lookup::key_value(name));
        #[cfg(not(target_arch = "wasm32"))]
        self.host.key_value(name)
    }
}

pub(crate) use crate::bindings::daybridge::rules::log::Level;

#[cfg(target_arch = "wasm32")]
mod imports {
    pub use crate::bindings::daybridge::rules::lookup;

    pub fn found<T>(answer: Result<T, lookup::LookupError>) -> Result<T, super::LookupError> {
        answer.map_err(|error| match error {
            lookup::LookupError::NotGranted => super::LookupError::NotGranted,
            lookup::LookupError::Unavailable => super::LookupError::Unavailable,
        })
    }
}
