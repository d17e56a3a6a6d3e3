//! Version 0.1 of the contract, where it is another than the newest: a description without `reads`, an explanation without
//! `next`, no `settings.list`, and `apply` is handed the whole draft.
//!
//! All other types are the same by structure, which is what counts between components, so the newest version's are used.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker};

use super::State;
use crate::plugin::bindings::daybridge::rules::types as wit;
use crate::plugin::bindings::daybridge::rules::{log, lookup, settings};

#[derive(ComponentType, Lift)]
#[component(record)]
pub struct Description {
    name: String,
    version: String,
    purpose: String,
    hooks: Vec<wit::Hook>,
    directions: Vec<wit::Direction>,
    #[component(name = "settings-schema")]
    settings_schema: String,
    lookups: Vec<wit::LookupKind>,
    more: Vec<wit::Field>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub struct Explanation {
    title: String,
    text: String,
    hint: String,
    more: Vec<wit::Field>,
}

impl From<Description> for wit::Description {
    fn from(description: Description) -> Self {
        let Description { name, version, purpose, hooks, directions, settings_schema, lookups, more } = description;
        // It knows nothing of `reads`, so it is shown everything.
        Self { name, version, purpose, hooks, directions, reads: Vec::new(), settings_schema, lookups, more }
    }
}

impl From<Explanation> for wit::Explanation {
    fn from(Explanation { title, text, hint, more }: Explanation) -> Self {
        Self { title, text, hint, next: None, more }
    }
}

/// The imports of this version, answered as those of the newest.
pub fn imports(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    use log::Host as _;
    use lookup::Host as _;
    use settings::Host as _;
    linker.instance("daybridge:rules/types@0.1.0")?;
    let mut log = linker.instance("daybridge:rules/log@0.1.0")?;
    log.func_wrap("write", |mut store: Asked<'_>, (level, message): (log::Level, String)| {
        store.data_mut().write(level, message);
        Ok(())
    })?;
    log.func_wrap("panicked", |mut store: Asked<'_>, (message, place): (String, String)| {
        store.data_mut().panicked(message, place);
        Ok(())
    })?;
    let mut settings = linker.instance("daybridge:rules/settings@0.1.0")?;
    settings.func_wrap("get", |mut store: Asked<'_>, (name,): (String,)| Ok((store.data_mut().get(name),)))?;
    let mut lookup = linker.instance("daybridge:rules/lookup@0.1.0")?;
    lookup.func_wrap("user-by-id", |mut store: Asked<'_>, (id,): (String,)| Ok((store.data_mut().user_by_id(id),)))?;
    lookup.func_wrap("user-by-address", |mut store: Asked<'_>, (address,): (String,)| {
        Ok((store.data_mut().user_by_address(address),))
    })?;
    lookup.func_wrap("caption", |mut store: Asked<'_>, (family, code): (String, String)| {
        Ok((store.data_mut().caption(family, code),))
    })?;
    lookup
        .func_wrap("key-value", |mut store: Asked<'_>, (name,): (String,)| Ok((store.data_mut().key_value(name),)))?;
    Ok(())
}

type Asked<'a> = StoreContextMut<'a, State>;
