//! `daybridge trace ID`: the life of one appointment.

use super::output::line;
use super::{Failure, HostChoice, output};
use crate::control::{SideName, Story};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// CRM communication id, Exchange item id, iCalendar UID, or a key like crm:4711.
    id: String,
    #[command(flatten)]
    host: HostChoice,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let story = arguments.host.client()?.trace(&arguments.id).await?;
    if arguments.json {
        return output::json(&story);
    }
    show(&story);
    Ok(())
}

fn show(story: &Story) {
    line(&format!("Appointment {}", story.key));
    let places = [
        ("CRM communication", &story.crm_id),
        ("Exchange mailbox", &story.mailbox),
        ("Exchange item", &story.exchange_id),
        ("iCalendar UID", &story.uid),
    ];
    for (name, value) in places {
        line(&format!("  {name:<18} {}", value.as_deref().unwrap_or("-")));
    }
    if let Some(entry) = &story.entry {
        line(&format!("  {:<18} {}, begun {} times", "In the queue", entry.state.name(), entry.attempts));
        if let Some(reason) = &entry.reason {
            line(&format!("    {}\n    hint: {}", reason.message, reason.hint));
        }
    }
    line("");
    let width = story.lines.iter().map(|step| step.step.chars().count()).max().unwrap_or_default();
    for step in &story.lines {
        line(&format!("{}  {:<width$}  {}", output::time(step.at), step.step, step.text));
        for lost in &step.lost {
            let side = if lost.side == SideName::Crm { "the CRM" } else { "Exchange" };
            line(&format!("    {} in {side} was: {}", lost.field, one_line(&lost.value)));
            line(&format!(
                "    {} now is: {}",
                " ".repeat(lost.field.chars().count() + 3 + side.len()),
                one_line(&lost.kept)
            ));
        }
    }
}

/// Line breaks shown as such; nothing as a dash.
fn one_line(text: &str) -> String {
    output::or_dash(&text.replace("\r\n", "\n").replace('\n', " ⏎ "))
}
