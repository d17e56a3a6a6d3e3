//! What can be said of a component from its outside: which version of the contract it speaks, and what it wants.
//!
//! Promises: whatever does not fit is said in our own words, both sides and the remedy named, before the engine looks at
//! the file. Must not know: how components are compiled or linked.

use wasmparser::{BinaryReaderError, Parser, Payload};

use super::{API_SECTION, Refused};
use crate::plugin::contract::{Number, PACKAGE, Version};
use crate::plugin::limits::clean;
use crate::plugin::renewal;

/// How many names a message lists.
const LISTED_MAX: usize = 5;

/// Names on the outside of a component.
#[derive(Default)]
pub struct Shape {
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    /// What the SDK wrote into its custom section.
    pub api: Option<String>,
}

impl Shape {
    pub fn read(bytes: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut shape = Self::default();
        // Modules and components inside this one have imports and exports of their own, which are its own affair.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        shape.imports.push(import?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        shape.exports.push(export?.name.name.to_owned());
                    }
                }
                Payload::CustomSection(section) if section.name() == API_SECTION => {
                    shape.api.get_or_insert(clean(&String::from_utf8_lossy(section.data())));
                }
                _ => {}
            }
        }
        Ok(shape)
    }

    /// The version of the contract it speaks, with the number it gives it.
    ///
    /// # Errors
    /// [`Refused`] if it speaks none that is served here, or wants what no rule gets.
    pub fn check(&self) -> Result<(Version, String), Refused> {
        let hooks = self.exports.iter().find_map(|export| export.strip_prefix(PACKAGE)?.strip_prefix("hooks@"));
        let Some(exported) = hooks else {
            return match &self.api {
                Some(api) if serving(api).is_none() => Err(self.of_another_version(api)),
                _ => Err(Refused::World { exports: listed(&self.exports) }),
            };
        };
        let Some(version) = serving(exported) else { return Err(self.of_another_version(exported)) };
        if let Some(said) = self.api.as_ref().filter(|said| *said != exported) {
            return Err(Refused::Disagrees { said: said.clone(), exported: clean(exported) });
        }
        if let Some((_, number)) =
            self.imports.iter().filter_map(|name| ours(name)).find(|(_, number)| serving(number).is_none())
        {
            return Err(self.of_another_version(number));
        }
        if self.exports.iter().any(|export| export == renewal::EXPORT) {
            return Err(Refused::Reserved(renewal::EXPORT));
        }
        let foreign: Vec<&String> = self.imports.iter().filter(|import| !is_offered(import)).collect();
        if foreign.is_empty() {
            return Ok((version, exported.to_owned()));
        }
        let wasi = foreign.iter().any(|import| import.starts_with("wasi:"));
        let remedy = if wasi { "build it for wasm32-unknown-unknown" } else { "take out what needs it" };
        Err(Refused::Import { imports: listed(&foreign), version: version.number(), remedy })
    }

    /// The import an engine's message names, if it names one.
    pub fn import_in<'a>(&'a self, message: &str) -> Option<&'a str> {
        self.imports.iter().find(|import| message.contains(*import)).map(String::as_str)
    }

    fn of_another_version(&self, number: &str) -> Refused {
        let missing = |import: &&String| ours(import).is_some() && !is_offered(import);
        let missing: Vec<&String> = self.imports.iter().filter(missing).collect();
        let missing = if missing.is_empty() { String::new() } else { format!("; missing here: {}", listed(&missing)) };
        // To something older, or to what is no version at all, updating the host is no remedy.
        let may_come = Number::parse(number).is_some_and(Version::may_come);
        let update =
            if may_come { format!(", or update the host to one that offers {}", clean(number)) } else { String::new() };
        Refused::Version { rule: clean(number), update, missing }
    }
}

/// Interface and version of an import of our own package.
fn ours(import: &str) -> Option<(&str, &str)> {
    import.strip_prefix(PACKAGE)?.split_once('@')
}

fn serving(number: &str) -> Option<Version> {
    Version::serving(Number::parse(number)?)
}

fn is_offered(import: &str) -> bool {
    ours(import).is_some_and(|(interface, number)| {
        serving(number).is_some_and(|version| version.imports().contains(&interface))
    })
}

/// Names in a message: cleaned, and not too many.
fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let shown: Vec<String> = names.iter().take(LISTED_MAX).map(|name| clean(name.as_ref())).collect();
    match names.len().saturating_sub(LISTED_MAX) {
        0 if names.is_empty() => "nothing".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
