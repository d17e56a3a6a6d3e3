//! A changed text, put back into the HTML it was projected from.
//!
//! Promises: only where the text changed does the HTML change; what the text does not show (pictures, formatting, addresses of
//! links) stays; the part of a body by which an online meeting is joined is never lost. The text of the result is the text that
//! was wanted, but for spacing HTML cannot hold, and for an online meeting's part that somebody took out.
//! Must not know: where the HTML comes from.

use std::collections::HashMap;
use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::{Unreadable, text};

/// Stands where something was deleted, until the elements that are empty for it are gone. No text people write holds it.
const GAP: char = '\u{F8FF}';
/// Elements that are removed when an edit left nothing in them.
const HOLLOW: [&str; 14] = ["p", "div", "span", "li", "b", "i", "u", "a", "font", "strong", "em", "h1", "h2", "h3"];
/// Parts of the addresses by which meetings are joined (inferred from bodies of Teams and Skype for Business).
const JOIN_LINKS: [&str; 4] =
    ["/l/meetup-join/", "https://teams.microsoft.com/meet", "https://teams.live.com/meet", "https://meet.lync.com/"];
/// What the part for joining begins with: a marked block, or a rule made of underscores (inferred from the same).
const JOIN_BLOCK: &str = "me-email-text";
const JOIN_RULE: &str = "__________";

/// The HTML with its text changed to `wanted`.
///
/// # Errors
/// [`Unreadable`] if the HTML has no text that could be compared.
pub fn with_text(html: &str, wanted: &str) -> Result<String, Unreadable> {
    let shown = text(html)?;
    if same(&shown, wanted) {
        return Ok(html.to_owned());
    }
    let join = joining_part(html);
    let edited = edited(html, &shown, wanted);
    let is_kept = join.is_none_or(|at| html.get(at..).is_some_and(|part| edited.ends_with(part)));
    if is_kept && text(&edited).is_ok_and(|now| same(&now, wanted)) {
        return Ok(edited);
    }
    rewritten(html, wanted, join)
}

/// Whether two texts say the same: HTML holds no repeated spaces and no blank lines at the end.
fn same(a: &str, b: &str) -> bool {
    normal(a) == normal(b)
}

fn normal(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// One visible character and where it stands in the source.
struct Letter {
    letter: char,
    at: Range<usize>,
}

/// The edits that lead from `shown` to `wanted`, made in the source.
fn edited(html: &str, shown: &str, wanted: &str) -> String {
    let letters = letters(html);
    let old: Vec<char> = shown.chars().collect();
    let places = places(&old, &letters);
    let (old_words, new_words) = (words(shown), words(wanted));
    let mut starts = vec![0];
    for word in &old_words {
        starts.push(starts.last().copied().unwrap_or_default() + word.chars().count());
    }
    let mut cuts: Vec<Range<usize>> = Vec::new();
    let mut puts: Vec<(usize, String)> = Vec::new();
    for op in capture_diff_slices(Algorithm::Patience, &old_words, &new_words) {
        let (DiffOp::Delete { .. } | DiffOp::Insert { .. } | DiffOp::Replace { .. }) = op else { continue };
        let (from, to) = (op.old_range(), op.new_range());
        let at = |word: usize| starts.get(word).copied().unwrap_or(old.len());
        let span = at(from.start)..at(from.end);
        let new: String = new_words.get(to).unwrap_or_default().concat();
        let mut gone = places.get(span.clone()).unwrap_or_default().iter().flatten().copied().peekable();
        let anchor = match gone.peek().and_then(|place: &usize| letters.get(*place)) {
            Some(first) => first.at.start,
            None => anchor(html, &letters, &places, &old, &span),
        };
        cuts.extend(gone.filter_map(|place| letters.get(place)).map(|letter| letter.at.clone()));
        puts.push((anchor, if new.is_empty() { GAP.to_string() } else { escaped(&new) }));
    }
    hollowed(&assembled(html, &cuts, puts))
}

/// Where something new goes that takes no old letter's place: at the letter it adjoins, else at the one before or after it on the
/// same line, else behind the last one before.
fn anchor(html: &str, letters: &[Letter], places: &[Option<usize>], old: &[char], span: &Range<usize>) -> usize {
    let breaks = |range: Range<usize>| old.get(range).unwrap_or_default().contains(&'\n');
    let mut before = (0..span.start).rev().filter_map(|at| Some((at, (*places.get(at)?)?)));
    let mut after = (span.end..old.len()).filter_map(|at| Some((at, (*places.get(at)?)?)));
    let (before, after) = (before.next(), after.next());
    let end = |place: usize| letters.get(place).map(|letter| letter.at.end);
    let start = |place: usize| letters.get(place).map(|letter| letter.at.start);
    match (before, after) {
        (Some((at, place)), _) if at + 1 == span.start => end(place),
        (_, Some((at, place))) if at == span.end => start(place),
        (Some((at, place)), _) if !breaks(at + 1..span.start) => end(place),
        (_, Some((at, place))) if !breaks(span.end..at) => start(place),
        (Some((_, place)), _) => end(place),
        (None, Some((_, place))) => start(place),
        (None, None) => Some(body_start(html)),
    }
    .unwrap_or_else(|| body_start(html))
}

/// Puts a text's cuts and additions into the source.
fn assembled(html: &str, cuts: &[Range<usize>], mut puts: Vec<(usize, String)>) -> String {
    // Stable: of two additions at one place the earlier comes first.
    puts.sort_by_key(|(at, _)| *at);
    let mut result = String::with_capacity(html.len());
    let (mut puts, mut cuts, mut at) = (puts.into_iter().peekable(), cuts.iter().peekable(), 0);
    while at < html.len() || puts.peek().is_some() {
        while let Some((_, new)) = puts.next_if(|(place, _)| *place <= at) {
            result.push_str(&new);
        }
        while cuts.next_if(|cut| cut.end <= at).is_some() {}
        if let Some(cut) = cuts.peek().filter(|cut| cut.start <= at) {
            at = cut.end;
            continue;
        }
        let next_cut = cuts.peek().map_or(html.len(), |cut| cut.start);
        let next = puts.peek().map_or(next_cut, |(place, _)| next_cut.min(*place)).max(at);
        result.push_str(html.get(at..next).unwrap_or_default());
        if next == at && at >= html.len() {
            break;
        }
        at = next;
    }
    result
}

/// Takes out elements that deletions left with nothing in them, and the marks of deletions.
fn hollowed(html: &str) -> String {
    let mut html = html.to_owned();
    while let Some(at) = html.find(GAP) {
        let (left, right) = (html.get(..at).unwrap_or_default(), html.get(at + GAP.len_utf8()..).unwrap_or_default());
        let (left, right) = (left.to_owned(), right.to_owned());
        let (open, close) = (left.trim_end(), right.trim_start_matches(|c: char| c.is_whitespace() || c == GAP));
        let element = open.rfind('<').and_then(|start| {
            let tag = open.get(start + 1..)?.strip_suffix('>')?;
            let name = name(tag);
            let end = close.strip_prefix("</")?;
            let is_whole = HOLLOW.contains(&name.as_str()) && self::name(end) == name && !tag.ends_with('/');
            is_whole.then(|| (start, end.find('>')))
        });
        html = match element {
            Some((start, Some(end))) => {
                let rest = close.get(2 + end + 1..).unwrap_or_default();
                format!("{}{GAP}{rest}", open.get(..start).unwrap_or_default())
            }
            _ => format!("{left}{right}"),
        };
    }
    html
}

fn name(tag: &str) -> String {
    tag.chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// Where each character of the text stands among the letters of the source; nothing for blanks and for what the projection
/// added (bullets, addresses of links).
fn places(old: &[char], letters: &[Letter]) -> Vec<Option<usize>> {
    let visible: Vec<(usize, char)> = old.iter().copied().enumerate().filter(|(_, c)| !c.is_whitespace()).collect();
    let (left, right): (Vec<char>, Vec<char>) =
        (visible.iter().map(|(_, c)| *c).collect(), letters.iter().map(|letter| letter.letter).collect());
    let mut places = vec![None; old.len()];
    for op in capture_diff_slices(Algorithm::Myers, &left, &right) {
        if let DiffOp::Equal { old_index, new_index, len } = op {
            for step in 0..len {
                let Some((at, _)) = visible.get(old_index + step) else { continue };
                if let Some(place) = places.get_mut(*at) {
                    *place = Some(new_index + step);
                }
            }
        }
    }
    places
}

/// The visible characters of a document.
fn letters(html: &str) -> Vec<Letter> {
    let mut letters = Vec::new();
    let mut entities: HashMap<String, String> = HashMap::new();
    let mut at = 0;
    while let Some(rest) = html.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(length) = markup(rest) {
            at += length;
            continue;
        }
        if let Some(entity) = entity(rest) {
            let decoded = entities.entry(entity.to_owned()).or_insert_with(|| text(entity).unwrap_or_default()).clone();
            let end = at + entity.len();
            letters.extend(decoded.chars().filter(|c| !c.is_whitespace()).map(|letter| Letter { letter, at: at..end }));
            at = end;
            continue;
        }
        let Some(letter) = rest.chars().next() else { break };
        let end = at + letter.len_utf8();
        if !letter.is_whitespace() {
            letters.push(Letter { letter, at: at..end });
        }
        at = end;
    }
    letters
}

/// Length of the tag, comment or invisible element a text begins with.
fn markup(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('<')?;
    if inside.starts_with("!--") {
        return Some(rest.find("-->").map_or(rest.len(), |end| end + 3));
    }
    if !inside.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
        return None;
    }
    let mut quote = None;
    let mut length = rest.len();
    for (at, letter) in rest.char_indices() {
        match (quote, letter) {
            (None, '>') => {
                length = at + 1;
                break;
            }
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            _ => {}
        }
    }
    let name = name(inside);
    if ["head", "style", "script", "title"].contains(&name.as_str()) {
        // ASCII letters keep their length in either case, so places agree.
        let end = rest.to_ascii_lowercase().find(&format!("</{name}"));
        return Some(
            end.map_or(length, |end| end + rest.get(end..).and_then(|rest| rest.find('>')).map_or(2, |at| at + 1)),
        );
    }
    Some(length)
}

fn entity(rest: &str) -> Option<&str> {
    let end = rest.strip_prefix('&')?.find(';').filter(|end| *end <= 32)? + 2;
    let entity = rest.get(..end)?;
    let inside = entity.get(1..end - 1)?;
    inside.chars().all(|c| c.is_ascii_alphanumeric() || c == '#').then_some(entity)
}

/// Words, blanks and line breaks, each by itself.
fn words(text: &str) -> Vec<&str> {
    let kind = |c: char| match c {
        '\n' => 0,
        c if c.is_whitespace() => 1,
        c if c.is_alphanumeric() => 2,
        _ => 3,
    };
    let mut words = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (at, letter) in text.char_indices() {
        let this = kind(letter);
        if last.is_some_and(|last| last != this || this == 0 || this == 3) {
            words.extend(text.get(start..at));
            start = at;
        }
        last = Some(this);
    }
    words.extend(text.get(start..).filter(|word| !word.is_empty()));
    words
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\n', "<br>")
}

/// Behind the opening tag of the body, or of what stands before any text.
fn body_start(html: &str) -> usize {
    let lower = html.to_ascii_lowercase();
    let body = lower.find("<body").and_then(|at| Some(at + lower.get(at..)?.find('>')? + 1));
    body.or_else(|| lower.find("</head>").map(|at| at + 7)).unwrap_or(0)
}

/// Where the part begins by which an online meeting is joined: at its marked block, at the rule above its join link, or at the
/// paragraph of the link.
fn joining_part(html: &str) -> Option<usize> {
    let link = JOIN_LINKS.iter().filter_map(|link| html.find(link)).min()?;
    let before = html.get(..link)?;
    let body = body_start(html);
    // The first of a run of underscores.
    let rule = || before.rfind(JOIN_RULE).map(|at| before.get(..at).unwrap_or_default().trim_end_matches('_').len());
    let from = before.find(JOIN_BLOCK).or_else(rule).filter(|at| *at >= body).unwrap_or(link);
    let lower = before.get(..from)?.to_ascii_lowercase();
    let block = ["<div", "<p", "<table"].iter().filter_map(|tag| lower.rfind(tag)).max()?;
    Some(block.max(body))
}

/// The text as plain paragraphs, with the body's own frame and an online meeting's part around it.
fn rewritten(html: &str, wanted: &str, join: Option<usize>) -> Result<String, Unreadable> {
    let frame = html.get(..body_start(html)).unwrap_or_default();
    let Some(part) = join.and_then(|at| html.get(at..)) else {
        let end = if frame.is_empty() { "" } else { "</body></html>" };
        return Ok(format!("{frame}{}{end}", paragraphs(wanted)));
    };
    let shown = text(part)?;
    let head = match shown.lines().find(|line| !line.trim().is_empty()) {
        // What stands there of the part is the part's; the rest is the text.
        Some(first) => {
            let first = first.trim();
            let lines: Vec<&str> = wanted.lines().take_while(|line| line.trim() != first).collect();
            lines.join("\n")
        }
        None => wanted.to_owned(),
    };
    Ok(format!("{frame}{}{part}", paragraphs(head.trim_end())))
}

fn paragraphs(text: &str) -> String {
    let line = |line: &str| {
        if line.trim().is_empty() { "<div><br></div>".to_owned() } else { format!("<div>{}</div>", escaped(line)) }
    };
    text.lines().map(line).collect()
}
