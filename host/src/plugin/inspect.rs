//! A rule's file as it is, for people: what it holds, and whether it would be accepted.
//!
//! Promises: every file gets an answer, junk too; nothing is put in force. Must not know: the command line.

use super::engine::Engine;
use super::fixture::{self, Fixture, FixtureError};
use super::limits::{Limits, clean};
use super::load::shape::Shape;
use super::load::{self, About, Refused};
use super::{renewal, script};

/// What a file is.
#[derive(Debug)]
pub struct Inspection {
    /// Its name; a script is known by it.
    pub file: String,
    pub bytes: u64,
    /// Hex SHA-256.
    pub digest: String,
    /// Version of the contract its SDK wrote into it.
    pub contract: Option<String>,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    /// The host's own custom sections in it: what it was built from, fixtures, a signature.
    pub sections: Vec<String>,
    pub fixtures: Result<Vec<Fixture>, FixtureError>,
    /// Why its sandbox is made anew for every call, if it is not put back after one; of a script its engine's. Nothing is
    /// said of a file that is refused.
    pub not_put_back: Option<String>,
    /// What it says about itself, or why it would be refused.
    pub about: Result<About, Refused>,
}

/// Looks at a file. Compiles it, if it gets so far, and asks it to describe itself under the default limits.
pub fn inspect(engine: &Engine, file: &str, bytes: &[u8]) -> Inspection {
    let shape = Shape::read(bytes).unwrap_or_default();
    let sections =
        wasmparser::Parser::new(0).parse_all(bytes).map_while(Result::ok).filter_map(|payload| match payload {
            wasmparser::Payload::CustomSection(section) if section.name().starts_with("daybridge:") => {
                Some(clean(section.name()))
            }
            _ => None,
        });
    let mut sections: Vec<String> = sections.collect();
    sections.sort();
    sections.dedup();
    let words = |names: &[String]| names.iter().map(|name| clean(name)).collect();
    let about = load::accept(engine, file, bytes, &Limits::default()).map(|accepted| accepted.about);
    let renewable = about.is_ok().then(|| renewal::renewable(script::component(file, bytes)));
    Inspection {
        file: file.to_owned(),
        bytes: bytes.len() as u64,
        digest: load::digest(bytes),
        imports: words(&shape.imports),
        exports: words(&shape.exports),
        contract: shape.api,
        sections,
        fixtures: fixture::carried(bytes),
        not_put_back: renewable.and_then(Result::err).map(|unfit| unfit.to_string()),
        about,
    }
}
