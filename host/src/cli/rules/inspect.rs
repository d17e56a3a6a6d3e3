//! `daybridge rules inspect FILE`: what a rule's file is.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::super::output::{line, or_dash};
use super::super::{Failure, output};
use crate::model::Direction;
use crate::plugin::fixture::Fixture;
use crate::plugin::inspect::{Inspection, inspect};
use crate::plugin::{API, About, Hook, SIZE_MAX};

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The file; anything may be given.
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let bytes = read(&arguments.file)?;
    let name = arguments.file.file_name().unwrap_or_default().to_string_lossy();
    let inspection = inspect(&super::test::engine()?, &name, &bytes);
    if arguments.json {
        return output::json(&as_json(&inspection));
    }
    show(&arguments.file, &inspection);
    Ok(())
}

/// A file, but no more of it than shows that it is too large.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(file).and_then(|opened| opened.take(SIZE_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|cause| {
        Failure::mendable(format!("cannot read {}: {cause}", file.display()), "name a file that you may read")
    })?;
    Ok(bytes)
}

fn hook(hook: &Hook) -> &'static str {
    match hook {
        Hook::Apply => "apply",
        Hook::Resolve => "resolve",
        Hook::Explain => "explain",
        Hook::MatchUser => "match-user",
    }
}

fn directions(about: &About) -> Vec<&'static str> {
    about.directions.iter().copied().map(Direction::name).collect()
}

fn as_json(of: &Inspection) -> Json {
    let about = of.about.as_ref().ok();
    let schema = about.and_then(|about| serde_json::from_str::<Json>(&about.settings_schema).ok());
    json!({
        "file": of.file,
        "bytes": of.bytes,
        "digest": of.digest,
        "contract": of.contract,
        "imports": of.imports,
        "exports": of.exports,
        "sections": of.sections,
        "fixtures": of.fixtures.as_ref().map(|fixtures| names(fixtures)).unwrap_or_default(),
        "fixtures_error": of.fixtures.as_ref().err().map(ToString::to_string),
        "accepted": of.about.is_ok(),
        "refused": of.about.as_ref().err().map(|refused| format!("the file {refused}")),
        "name": about.map(|about| &about.name),
        "version": about.map(|about| &about.version),
        "purpose": about.map(|about| &about.purpose),
        "hooks": about.map(|about| about.hooks.iter().map(hook).collect::<Vec<_>>()),
        "directions": about.map(directions),
        "lookups": about.map(|about| about.lookups.iter().map(|kind| kind.name()).collect::<Vec<_>>()),
        "settings": schema,
        "sandbox": of.about.is_ok().then(|| sandbox(of)),
    })
}

/// What becomes of its sandbox after a call.
fn sandbox(of: &Inspection) -> String {
    match &of.not_put_back {
        None => "put back after each call to what it was before the first".to_owned(),
        Some(why) => format!("made anew for each call: {why}"),
    }
}

fn names(fixtures: &[Fixture]) -> Vec<&str> {
    fixtures.iter().map(|fixture| fixture.name.as_str()).collect()
}

fn show(file: &Path, of: &Inspection) {
    let row = |name: &str, text: &str| line(&format!("  {name:<12} {}", or_dash(text)));
    match &of.about {
        Ok(About { name, version, .. }) => line(&format!("{}: rule {name} {version}", file.display())),
        Err(_) => line(&format!("{}: not accepted", file.display())),
    }
    if let Err(refused) = &of.about {
        row("refused", &format!("the file {refused}"));
    }
    if let Ok(about) = &of.about {
        row("purpose", &about.purpose);
        row("hooks", &about.hooks.iter().map(hook).collect::<Vec<_>>().join(", "));
        row("directions", &directions(about).join(", "));
        row("looks up", &about.lookups.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", "));
        settings(&about.settings_schema);
    }
    if of.about.is_ok() {
        row("sandbox", &sandbox(of));
    }
    row("contract", &of.contract.as_ref().map(|rule| format!("{rule} (this host offers {API})")).unwrap_or_default());
    let list = |name: &str, items: &[String]| {
        row(name, items.first().map(String::as_str).unwrap_or_default());
        items.iter().skip(1).for_each(|item| line(&format!("  {:<12} {item}", "")));
    };
    list("imports", &of.imports);
    list("exports", &of.exports);
    match &of.fixtures {
        Ok(fixtures) => row("fixtures", &names(fixtures).join(", ")),
        Err(error) => row("fixtures", &error.to_string()),
    }
    row("carries", &of.sections.join(", "));
    row("bytes", &of.bytes.to_string());
    row("digest", &of.digest);
}

/// The settings as a person reads them: name, kind, default, what it is for.
fn settings(schema: &str) {
    let schema: Json = serde_json::from_str(schema).unwrap_or_default();
    let empty = serde_json::Map::new();
    let properties = schema.get("properties").and_then(Json::as_object).unwrap_or(&empty);
    if properties.is_empty() {
        return line(&format!("  {:<12} -", "settings"));
    }
    for (number, (name, property)) in properties.iter().enumerate() {
        let word = |key: &str| property.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
        let choices = property.get("enum").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let choices: Vec<&str> = choices.iter().filter_map(Json::as_str).collect();
        let kind = if choices.is_empty() { word("type") } else { choices.join(" | ") };
        let default = property.get("default").map(|value| format!(" = {value}")).unwrap_or_default();
        let about = word("description");
        let about = if about.is_empty() { about } else { format!("; {about}") };
        let head = if number == 0 { "settings" } else { "" };
        line(&format!("  {head:<12} {name}: {kind}{default}{about}"));
    }
}
