//! Texts without what they say: names and addresses by their masks, letters and digits by placeholders.
//!
//! Must not know: fields.

use super::Mask;
use crate::model::Address;

/// What answers and forwarded mails begin with; rules look for them, and they say nothing about anybody.
const PREFIXES: [&str; 8] = ["Re:", "RE:", "Fwd:", "FWD:", "FW:", "Fw:", "AW:", "WG:"];

/// Tags of HTML that stay, without their attributes. What else stands in angle brackets is text.
const TAGS: [&str; 36] = [
    "a",
    "b",
    "blockquote",
    "body",
    "br",
    "code",
    "div",
    "em",
    "font",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "hr",
    "html",
    "i",
    "img",
    "li",
    "meta",
    "ol",
    "p",
    "pre",
    "span",
    "strong",
    "style",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "title",
    "tr",
    "ul",
];

/// The letters of a text by `x`, the digits by `0`.
pub fn shape(text: &str) -> String {
    text.chars().map(shaped).collect()
}

fn shaped(letter: char) -> char {
    match letter {
        letter if letter.is_uppercase() => 'X',
        letter if letter.is_alphabetic() => 'x',
        letter if letter.is_numeric() => '0',
        // A sign of its own may be a symbol or a letter of some script this table does not know.
        letter if letter.is_ascii() || letter.is_whitespace() => letter,
        _ => '.',
    }
}

pub(super) struct Texts<'a> {
    pub mask: &'a mut Mask,
}

impl Texts<'_> {
    pub fn text(&mut self, text: &str) -> String {
        let (mut masked, mut rest) = self.start(text);
        let mut word_before = false;
        while let Some(letter) = rest.chars().next() {
            if !word_before && let Some((known, after)) = self.known(rest) {
                masked.push_str(&known);
                rest = after;
                word_before = true;
                continue;
            }
            masked.push(shaped(letter));
            word_before = letter.is_alphanumeric();
            rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        }
        masked
    }

    /// What a text begins with and keeps: a tag of the operator's, or what marks an answer.
    fn start<'t>(&self, text: &'t str) -> (String, &'t str) {
        let kept = self.mask.kept.iter().map(String::as_str).filter(|kept| !kept.trim().is_empty());
        let starts = kept.chain(PREFIXES).filter_map(|start| Some((start, text.strip_prefix(start)?)));
        // A word that goes on is another word.
        let whole = |(start, rest): &(&str, &str)| {
            let inside = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
            !(inside(start.chars().last()) && inside(rest.chars().next()))
        };
        let longest = starts.filter(whole).max_by_key(|(start, _)| start.len());
        longest.map_or((String::new(), text), |(start, rest)| (start.to_owned(), rest))
    }

    /// What a text goes on with, if it is something known: its mask, and what follows.
    fn known<'t>(&mut self, text: &'t str) -> Option<(String, &'t str)> {
        if let Some((scheme, rest)) =
            ["https://", "http://"].iter().find_map(|scheme| Some((scheme, text.strip_prefix(scheme)?)))
        {
            let end =
                rest.find(|letter: char| letter.is_whitespace() || "\"'<>()[]".contains(letter)).unwrap_or(rest.len());
            let (url, after) = rest.split_at_checked(end)?;
            return Some((format!("{scheme}{}", shape(url)), after));
        }
        if let Some((address, after)) = address(text) {
            let address = Address::new(address);
            let number = self.mask.number("", &address)?;
            return Some((self.mask.masked_address(number, &address).as_str().to_owned(), after));
        }
        self.name(text)
    }

    /// The longest known name a text begins with.
    fn name<'t>(&self, text: &'t str) -> Option<(String, &'t str)> {
        let people = self.mask.names.iter().map(|(key, number)| (key.as_str(), format!("Person {number}")));
        let records = self.mask.records.iter().map(|(key, mask)| (key.as_str(), mask.clone()));
        let found = people.chain(records).filter_map(|(key, mask)| Some((key, mask, after_folded(text, key)?)));
        let whole = |(_, _, rest): &(&str, String, &str)| !rest.starts_with(char::is_alphanumeric);
        found.filter(whole).max_by_key(|(key, ..)| key.len()).map(|(_, mask, rest)| (mask, rest))
    }

    /// HTML: well-known tags without their attributes, everything else as text.
    pub fn html(&mut self, html: &str) -> String {
        let (mut masked, mut rest) = (String::new(), html);
        while let Some(open) = rest.find('<') {
            let (before, from) = rest.split_at_checked(open).unwrap_or((rest, ""));
            masked.push_str(&self.text(before));
            match tag(from) {
                Some((tag, after)) => {
                    masked.push_str(&tag);
                    rest = after;
                }
                None => {
                    masked.push('<');
                    rest = from.get(1..).unwrap_or_default();
                }
            }
        }
        masked + &self.text(rest)
    }
}

/// An address a text begins with, and what follows.
fn address(text: &str) -> Option<(&str, &str)> {
    let local = |letter: char| letter.is_alphanumeric() || "._%+-'".contains(letter);
    let at = text.find(|letter: char| !local(letter))?;
    let domain = text.get(at..)?.strip_prefix('@').filter(|_| at > 0)?;
    let end = domain.find(|letter: char| !(letter.is_alphanumeric() || ".-".contains(letter))).unwrap_or(domain.len());
    let name = domain.get(..end)?.trim_end_matches(['.', '-']);
    let whole = at + 1 + name.len();
    (!name.is_empty()).then_some(())?;
    text.split_at_checked(whole)
}

/// What follows `start` in a text, letter case apart.
fn after_folded<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    let mut wanted = start.chars().peekable();
    let mut rest = text;
    while wanted.peek().is_some() {
        let letter = rest.chars().next()?;
        for lower in letter.to_lowercase() {
            if wanted.next()? != lower {
                return None;
            }
        }
        rest = rest.get(letter.len_utf8()..)?;
    }
    Some(rest)
}

/// A well-known tag at the beginning of a text, without its attributes, and what follows.
fn tag(text: &str) -> Option<(String, &str)> {
    let inside = text.strip_prefix('<')?;
    let (slash, inside) = inside.strip_prefix('/').map_or(("", inside), |inside| ("/", inside));
    let end = inside.find(|letter: char| !letter.is_ascii_alphanumeric())?;
    let name = inside.get(..end)?.to_ascii_lowercase();
    let close = inside.find('>')?;
    TAGS.contains(&name.as_str()).then(|| (format!("<{slash}{name}>"), inside.get(close + 1..).unwrap_or_default()))
}
