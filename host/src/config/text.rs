//! A TOML text with the place of every key: sections out of it, and mistakes in it in words for people.
//!
//! Promises: every message carries line and full key; a value that may be a secret is never quoted.
//! Must not know: which sections there are.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, Error as TomlError};

use super::{ConfigError, Environment};

/// Keys that hold secrets, wherever they stand: their values are never quoted.
const SECRETS: [&str; 4] = ["client_secret", "password", "doorbell_token", "proxy"];
/// Largest secret file: a key or a token, not a data file named by mistake.
const SECRET_BYTES_MAX: usize = 64 * 1024;
/// The largest part (0 to 1) of a name that may be mistyped for another to be offered in its place.
const UNLIKE: f64 = 0.4;

/// A parsed configuration text.
pub(super) struct Document<'a> {
    pub file: &'a Path,
    text: &'a str,
    root: Spanned<DeTable<'a>>,
    environment: Environment<'a>,
}

/// A table taken out of a document.
#[derive(Clone)]
pub(super) struct Section<'a> {
    /// `crm`, or `exchange.main` once the name is known, for messages.
    pub path: String,
    table: DeTable<'a>,
    span: Range<usize>,
    /// Keys already taken out, offered beside the others when a name is not known.
    taken: Vec<String>,
}

impl<'a> Document<'a> {
    pub fn new(file: &'a Path, text: &'a str, environment: Environment<'a>) -> Result<Self, ConfigError> {
        let root = DeTable::parse(text).map_err(|error| ConfigError::Wrong {
            file: file.to_owned(),
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            message: format!("this is not TOML: {}", error.message()),
            hint: "texts stand in quotes, sections in [brackets], one `key = value` to a line".into(),
        })?;
        Ok(Self { file, text, root, environment })
    }

    /// The whole document as a section without a name.
    pub fn whole(&self) -> Section<'a> {
        Section { path: String::new(), table: self.root.get_ref().clone(), span: 0..0, taken: Vec::new() }
    }

    /// The value of a variable of the environment; an empty one counts as none.
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }

    /// A mistake at a place of the text.
    pub fn wrong(&self, at: &Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> ConfigError {
        ConfigError::Wrong {
            file: self.file.to_owned(),
            line: line_of(self.text, at.start),
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// A path of the configuration: relative ones begin at the file's folder.
    pub fn path(&self, text: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(text)
    }

    /// Reads a section into its type.
    pub fn read<T: DeserializeOwned>(&self, section: Section<'a>) -> Result<T, ConfigError> {
        let Section { path, table, span, taken } = section;
        T::deserialize(Deserializer::from(Spanned::new(span.clone(), table)))
            .map_err(|error| self.explain(&path, &span, &taken, &error))
    }

    /// Puts the `secrets` that the section names by file (`KEY_file`) or variable (`KEY_env`) in their place, and makes paths
    /// absolute.
    /// `variables` begins the names of the variables that win over the file: `DAYBRIDGE_CRM`.
    pub fn resolve(&self, section: &mut Section<'a>, variables: &str, secrets: &[&str]) -> Result<(), ConfigError> {
        for key in secrets.iter().copied() {
            let file = section.take_text(self, &format!("{key}_file"))?;
            let variable = section.take_text(self, &format!("{key}_env"))?;
            let plain = section.table.keys().find(|found| found.get_ref() == key).map(Spanned::span);
            if let (Some((_, at)), true) =
                (file.as_ref().or(variable.as_ref()), plain.is_some() || (file.is_some() && variable.is_some()))
            {
                return Err(self.wrong(
                    at,
                    format!("{} is given more than once", section.full(key)),
                    format!("keep one of {key}, {key}_file, {key}_env"),
                ));
            }
            let own = format!("{variables}_{}", key.to_uppercase());
            let value = if let Some(value) = self.variable(&own) {
                Some((value, 0..0))
            } else if let Some((name, at)) = variable {
                let value = self.variable(&name).ok_or_else(|| {
                    self.wrong(
                        &at,
                        format!("{} names the variable {name}, which is not set", section.full(&format!("{key}_env"))),
                        format!("set {name} for the account that runs the host"),
                    )
                })?;
                Some((value, at))
            } else if let Some((name, at)) = file {
                Some((self.secret_file(&section.full(&format!("{key}_file")), &name, &at)?, at))
            } else {
                None
            };
            if let Some((value, at)) = value {
                section.put(key, value, at);
            }
        }
        absolute(&mut section.table, &self.path(""));
        Ok(())
    }

    fn secret_file(&self, key: &str, name: &str, at: &Range<usize>) -> Result<String, ConfigError> {
        let secret_file = self.path(name);
        let failed = |cause| ConfigError::Secret {
            file: self.file.to_owned(),
            line: line_of(self.text, at.start),
            key: key.to_owned(),
            secret_file: secret_file.clone(),
            cause,
        };
        let text = std::fs::read_to_string(&secret_file).map_err(failed)?;
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() || secret.len() > SECRET_BYTES_MAX {
            return Err(failed(std::io::Error::other(format!("{} bytes are no secret", secret.len()))));
        }
        Ok(secret.to_owned())
    }

    /// Puts the reader's error into words for people.
    fn explain(&self, path: &str, section: &Range<usize>, taken: &[String], error: &TomlError) -> ConfigError {
        let at = error.span().filter(|span| span.end > 0).unwrap_or_else(|| section.clone());
        let mut full: Vec<String> = Vec::new();
        if !path.is_empty() {
            full.push(path.to_owned());
        }
        full.extend(keys_of(error));
        let message = error.message();
        let names = quoted(message);
        if let Some(unknown) = message.strip_prefix("unknown field").and(names.first()) {
            if full.last() == Some(unknown) {
                full.pop();
            }
            let known: Vec<&str> = names.iter().skip(1).chain(taken).map(String::as_str).collect();
            let place = if full.is_empty() { "at the top".into() } else { format!("in [{}]", full.join(".")) };
            return self.wrong(&at, format!("unknown key {unknown} {place}"), did_you_mean(unknown, &known));
        }
        if let Some(missing) = message.strip_prefix("missing field").and(names.first()) {
            full.push(missing.clone());
            let hint = if SECRETS.contains(&missing.as_str()) {
                format!("give {missing}_file (best), {missing}_env, or {missing}")
            } else {
                format!("add `{missing} = ...`; the example explains it: daybridge init --print")
            };
            return self.wrong(&at, format!("{} is missing", full.join(".")), hint);
        }
        let key = if full.is_empty() { "the value".to_owned() } else { full.join(".") };
        if full.last().is_some_and(|key| SECRETS.contains(&key.as_str())) {
            return self.wrong(&at, format!("{key} must be a text"), "put it in quotes");
        }
        if let (Some(unknown), true) = (names.first(), message.starts_with("unknown variant")) {
            let known: Vec<&str> = names.iter().skip(1).map(String::as_str).collect();
            return self.wrong(&at, format!("{key} cannot be \"{unknown}\""), did_you_mean(unknown, &known));
        }
        let message = message.strip_prefix("invalid type: ").map_or_else(
            || format!("{key}: {message}"),
            |rest| match rest.rsplit_once(", expected ") {
                Some((found, wanted)) => {
                    format!("{key} must be {}, not {}", plain_kind(wanted), found.replace('`', ""))
                }
                None => format!("{key}: {rest}"),
            },
        );
        let wrong_zone =
            full.last().is_some_and(|key| key.ends_with("zone")).then(|| message.split('"').nth(1)).flatten();
        let hint = match wrong_zone {
            Some(zone) => {
                let zones: Vec<&str> = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
                nearest(zone, &zones).map(|zone| format!("did you mean {zone}?"))
            }
            None => None,
        };
        self.wrong(&at, message, hint.unwrap_or_else(|| SEE_EXAMPLE.to_owned()))
    }
}

/// The hint where nothing better is known.
pub(super) const SEE_EXAMPLE: &str = "the example explains every key: daybridge init --print";

impl<'a> Section<'a> {
    /// `key` with the section's path before it.
    pub fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Where a key stands, or the section itself if it is not there.
    pub fn place(&self, key: &str) -> Range<usize> {
        self.table
            .iter()
            .find(|(found, _)| found.get_ref() == key)
            .map_or_else(|| self.span.clone(), |(found, _)| found.span())
    }

    /// Keys that are left.
    pub fn keys(&self) -> Vec<(String, Range<usize>)> {
        self.table.keys().map(|key| (key.get_ref().to_string(), key.span())).collect()
    }

    /// Takes a table out; an empty one if it is not there.
    pub fn take_section(&mut self, document: &Document<'_>, key: &str) -> Result<Section<'a>, ConfigError> {
        let path = self.full(key);
        match self.take(key) {
            None => Ok(Section { path, table: DeTable::new(), span: self.span.clone(), taken: Vec::new() }),
            Some((value, at)) => section_of(document, path, value, &at),
        }
    }

    /// Takes a list of tables out; an empty one if it is not there.
    pub fn take_sections(&mut self, document: &Document<'_>, key: &str) -> Result<Vec<Section<'a>>, ConfigError> {
        let path = self.full(key);
        let Some((value, at)) = self.take(key) else { return Ok(Vec::new()) };
        match value.into_inner() {
            DeValue::Array(values) => {
                values.into_iter().map(|value| section_of(document, path.clone(), value, &at)).collect()
            }
            _ => Err(document.wrong(
                &at,
                format!("{path} must be a list of sections"),
                format!("write [[{path}]] with two brackets on each side"),
            )),
        }
    }

    /// Takes some keys out as a section of their own, so that each part of a table is read by the module it concerns.
    /// `shared` is in both.
    pub fn split(&mut self, keys: &[&str], shared: &str) -> Section<'a> {
        let mut table = DeTable::new();
        if let Some((name, value)) = self.table.get_key_value(shared) {
            table.insert(name.clone(), value.clone());
        }
        for key in keys {
            if let Some((name, value)) = self.table.remove_entry(*key) {
                table.insert(name, value);
            }
            self.taken.push((*key).to_owned());
        }
        Section { path: self.path.clone(), table, span: self.span.clone(), taken: Vec::new() }
    }

    /// Takes a text out.
    pub fn take_text(
        &mut self,
        document: &Document<'_>,
        key: &str,
    ) -> Result<Option<(String, Range<usize>)>, ConfigError> {
        let full = self.full(key);
        match self.take(key) {
            None => Ok(None),
            Some((value, at)) => match value.into_inner() {
                DeValue::String(text) => Ok(Some((text.into_owned(), at))),
                _ => Err(document.wrong(&at, format!("{full} must be a text"), "put it in quotes")),
            },
        }
    }

    fn take(&mut self, key: &str) -> Option<(Spanned<DeValue<'a>>, Range<usize>)> {
        self.taken.push(key.to_owned());
        self.table.remove_entry(key).map(|(name, value)| (value, name.span()))
    }

    fn put(&mut self, key: &str, value: String, at: Range<usize>) {
        self.table.remove(key);
        self.table.insert(
            Spanned::new(at.clone(), Cow::Owned(key.to_owned())),
            Spanned::new(at, DeValue::String(Cow::Owned(value))),
        );
    }
}

fn section_of<'a>(
    document: &Document<'_>,
    path: String,
    value: Spanned<DeValue<'a>>,
    at: &Range<usize>,
) -> Result<Section<'a>, ConfigError> {
    let span = value.span();
    match value.into_inner() {
        DeValue::Table(table) => Ok(Section { path, table, span, taken: Vec::new() }),
        _ => {
            Err(document.wrong(at, format!("{path} must be a section"), format!("write [{path}] on a line of its own")))
        }
    }
}

/// The name most like a wrong one, if one is like it.
fn nearest<'n>(wrong: &str, known: &[&'n str]) -> Option<&'n str> {
    let likeness =
        |name: &str| strsim::damerau_levenshtein(wrong, name) as f64 / wrong.len().max(name.len()).max(1) as f64;
    let best = known.iter().min_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) <= UNLIKE).then_some(*best)
}

/// The name most like a wrong one, or all names.
pub(super) fn did_you_mean(wrong: &str, known: &[&str]) -> String {
    match nearest(wrong, known) {
        Some(best) => format!("did you mean {best}?"),
        None if known.is_empty() => "take it out".to_owned(),
        None => {
            let mut known = known.to_vec();
            known.sort_unstable();
            format!("known are: {}", known.join(", "))
        }
    }
}

/// Makes the paths of `..._file` keys begin at the configuration's folder.
fn absolute(table: &mut DeTable<'_>, base: &Path) {
    for (key, value) in table.iter_mut() {
        let is_path = key.get_ref().ends_with("_file");
        match value.get_mut() {
            DeValue::String(text) if is_path => {
                *text = Cow::Owned(base.join(text.as_ref()).to_string_lossy().into_owned());
            }
            DeValue::Table(inner) if key.get_ref() == "http" => absolute(inner, base),
            _ => {}
        }
    }
}

/// The keys that lead to an error; the reader tells them only in the printed form of an error without its text.
fn keys_of(error: &TomlError) -> Vec<String> {
    let mut error = error.clone();
    error.set_input(None);
    let printed = error.to_string();
    printed
        .lines()
        .last()
        .and_then(|line| line.strip_prefix("in `")?.strip_suffix('`'))
        .map(|keys| keys.split('.').map(str::to_owned).collect())
        .unwrap_or_default()
}

/// What stands in backticks.
fn quoted(message: &str) -> Vec<String> {
    message.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn plain_kind(wanted: &str) -> &str {
    match wanted {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number, which may be negative",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "string" | "path string" => "a text in quotes",
        "a sequence" => "a list in [brackets]",
        other => other,
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}
