//! The plain text of an HTML body, and a changed text put back into it.
//!
//! Promises: the same HTML always gives the same text; lines are broken where the HTML breaks them and nowhere else; the
//! target of a link is kept beside its words; HTML that cannot be read is an error, never a crash and never an empty text.
//! Must not know: where the HTML comes from.

mod edit;

use std::panic::{AssertUnwindSafe, catch_unwind};

use html2text::config;
use html2text::render::RichAnnotation;

pub use edit::with_text;

/// Outlook keeps pictures apart, so a longer body is no text people wrote; reading it would hold up a thread for seconds.
const LENGTH_MAX: usize = 4 << 20;
/// Reading takes time with the square of the nesting. A mail quoted a hundred times over stays below this.
const DEPTH_MAX: usize = 500;
/// Wider than any line people write, so that nothing is wrapped.
const WIDTH: usize = 20_000;

/// The HTML reader gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its HTML cannot be turned into text")]
pub struct Unreadable;

/// The text of an HTML document, without blank lines at its end.
///
/// # Errors
/// [`Unreadable`].
pub fn text(html: &str) -> Result<String, Unreadable> {
    if html.len() > LENGTH_MAX || depth(html) > DEPTH_MAX {
        return Err(Unreadable);
    }
    // The renderer is a library fed with what strangers mailed: a panic in it must stay this item's problem.
    let rendered = catch_unwind(AssertUnwindSafe(|| {
        config::rich().raw_mode(true).allow_width_overflow().lines_from_read(html.as_bytes(), WIDTH)
    }));
    let lines = rendered.map_err(|_| Unreadable)?.map_err(|_| Unreadable)?;
    let mut text = String::new();
    for line in lines {
        let mut written = String::new();
        let mut link: Option<(String, usize)> = None;
        for piece in line.tagged_strings() {
            let target = piece.tag.iter().find_map(|tag| match tag {
                RichAnnotation::Link(target) => Some(target),
                _ => None,
            });
            if link.as_ref().map(|(open, _)| open) != target {
                close_link(&mut written, link.take());
                link = target.map(|target| (target.clone(), written.len()));
            }
            written.push_str(&piece.s);
        }
        close_link(&mut written, link);
        text.push_str(written.trim_end());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    Ok(text)
}

/// Puts ` <target>` behind the words of a link, unless they are the target already.
fn close_link(line: &mut String, link: Option<(String, usize)>) {
    let Some((target, began)) = link else { return };
    let words = line.get(began..).unwrap_or_default().trim();
    let address = target.strip_prefix("mailto:").unwrap_or(&target);
    let is_shown = words.trim_end_matches('/') == address.trim_end_matches('/');
    if !words.is_empty() && !is_shown && !target.starts_with('#') {
        line.push_str(&format!(" <{address}>"));
    }
}

/// How deep the elements nest at most, from their tags alone. Elements that close themselves when their like begins are
/// not counted: what they nest in is.
fn depth(html: &str) -> usize {
    const CLOSE_THEMSELVES: [&str; 26] = [
        "area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta", "option", "p",
        "param", "source", "tbody", "td", "tfoot", "th", "thead", "tr", "track", "wbr", "o:p",
    ];
    let (mut depth, mut deepest) = (0_usize, 0);
    for tag in html.split('<').skip(1) {
        let (is_end, tag) = tag.strip_prefix('/').map_or((false, tag), |rest| (true, rest));
        let name: String = tag
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == ':')
            .take(16)
            .collect::<String>()
            .to_ascii_lowercase();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || CLOSE_THEMSELVES.contains(&name.as_str()) {
            continue;
        }
        depth = if is_end { depth.saturating_sub(1) } else { depth + 1 };
        deepest = deepest.max(depth);
    }
    deepest
}
