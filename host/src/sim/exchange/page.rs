//! The page for people: every calendar side by side, and the mails that were sent. Works without JavaScript.
//!
//! Promises: whatever clients wrote is shown as text, never as markup. Must not know: HTTP.

use std::fmt::Write;

use super::Role;
use super::item::{Attendee, Item, Kind, Role as Part};
use super::meeting::in_role;
use super::store::{Account, World};
use crate::sim::fault::Down;

/// Mails shown, newest first.
const MAILS_SHOWN: usize = 100;
/// Appointments shown per calendar.
const APPOINTMENTS_SHOWN: usize = 200;
const REFRESH_SECONDS: u32 = 3;

const STYLE: &str = "body{font:15px/1.4 system-ui,sans-serif;margin:1.5rem;color:#222;background:#fafafa}\
h1{font-size:1.3rem}h2{font-size:1rem;margin:.2rem 0}small{color:#666}\
.calendars{display:flex;flex-wrap:wrap;gap:1rem;align-items:flex-start}\
section{background:#fff;border:1px solid #ddd;border-radius:6px;padding:.8rem;flex:1 1 17rem;min-width:15rem}\
article{border-left:4px solid #2a6fb0;margin:.6rem 0;padding:.1rem .6rem}\
article.asked{border-left-color:#c9a227}ul{margin:.2rem 0;padding-left:1.2rem}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #eee}\
.down{background:#b00020;color:#fff;padding:.5rem .8rem;border-radius:6px}";

/// Renders the page.
pub fn render(world: &World, down: Option<Down>) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Exchange simulator</title>\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"refresh\" content=\"{REFRESH_SECONDS}\"><style>{STYLE}</style></head><body>\
         <h1>Exchange simulator</h1>"
    );
    if down.is_some() {
        page.push_str("<p class=\"down\">The server is down.</p>");
    }
    page.push_str("<div class=\"calendars\">");
    for (mailbox, account) in world.accounts.iter().enumerate().filter(|(_, account)| account.role == Role::User) {
        page.push_str(&calendar(world, mailbox, account));
    }
    page.push_str("</div>");
    page.push_str(&mails(world));
    page.push_str("</body></html>");
    page
}

fn calendar(world: &World, mailbox: usize, account: &Account) -> String {
    let folder = world.folder(mailbox, "calendar");
    let mut items: Vec<&Item> = folder.into_iter().flat_map(|folder| world.in_folder(folder)).collect();
    items.retain(|item| item.kind == Kind::Appointment);
    items.sort_by_key(|item| item.content.start);
    let mut html = format!("<section><h2>{}</h2><small>{}</small>", escape(&account.name), escape(&account.address));
    if items.is_empty() {
        html.push_str("<p><small>No appointments.</small></p>");
    }
    items.iter().take(APPOINTMENTS_SHOWN).for_each(|item| html.push_str(&appointment(item)));
    if items.len() > APPOINTMENTS_SHOWN {
        let _ = write!(html, "<p><small>and {} more</small></p>", items.len() - APPOINTMENTS_SHOWN);
    }
    html.push_str("</section>");
    html
}

fn appointment(item: &Item) -> String {
    let content = &item.content;
    let (start, end) = (content.start_zone.local(content.start), content.end_zone.local(content.end));
    let when = match content.all_day {
        true => format!("{} all day", start.format("%a %d %b %Y")),
        false => format!("{} to {}", start.format("%a %d %b %Y %H:%M"), end.format("%H:%M")),
    };
    let class = if item.is_organizer { "own" } else { "asked" };
    let subject = if content.subject().is_empty() { "(no subject)" } else { content.subject() };
    let mut html = format!(
        "<article class=\"{class}\"><strong>{}</strong><br>{} <small>{}</small>",
        escape(subject),
        escape(&when),
        escape(&content.start_zone.id)
    );
    if let Some(location) = content.text("Location").filter(|location| !location.is_empty()) {
        let _ = write!(html, "<br>{}", escape(location));
    }
    if let Some(series) = &item.series {
        let (special, deleted) = (series.exceptions.len(), series.deleted.len());
        let _ = write!(html, "<br><small>Series: {special} changed, {deleted} removed</small>");
    }
    if !item.is_organizer {
        let (organizer, reply) = (escape(&item.organizer.name), item.my_reply.name());
        let _ = write!(html, "<br><small>Organizer: {organizer}, my answer: {reply}</small>");
    }
    if !content.attendees.is_empty() {
        html.push_str("<ul>");
        for (part, note) in [(Part::Required, ""), (Part::Optional, " (optional)"), (Part::Resource, " (resource)")] {
            in_role(content, part).for_each(|attendee| html.push_str(&person(attendee, note)));
        }
        html.push_str("</ul>");
    }
    html.push_str("</article>");
    html
}

fn person(attendee: &Attendee, note: &str) -> String {
    format!("<li>{}{note}: {}</li>", escape(&attendee.person.name), attendee.reply.name())
}

fn mails(world: &World) -> String {
    let mut html = String::from("<section><h2>Mails sent</h2>");
    if world.mails.is_empty() {
        html.push_str("<p><small>None.</small></p></section>");
        return html;
    }
    html.push_str("<table><tr><th>Time (UTC)</th><th>Kind</th><th>From</th><th>To</th><th>Subject</th></tr>");
    for mail in world.mails.iter().rev().take(MAILS_SHOWN) {
        let kind = format!("{:?}", mail.kind).to_lowercase();
        let time = mail.time.format("%Y-%m-%d %H:%M:%S");
        let _ = write!(
            html,
            "<tr><td>{time}</td><td>{kind}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&mail.from),
            escape(&mail.to),
            escape(&mail.subject)
        );
    }
    html.push_str("</table></section>");
    html
}

/// Text as HTML text.
fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}
