//! `daybridge status`: how the running host is.

use super::output::{count, line, table, time_or_dash};
use super::{Failure, HostChoice, output};
use crate::control::{ContainerStatus, Reason, Status};

/// Notices printed: the newest of the host's; the log has them all.
const NOTICES_SHOWN: usize = 5;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    host: HostChoice,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let status = arguments.host.client()?.status().await?;
    if arguments.json {
        return output::json(&status);
    }
    show(&status);
    Ok(())
}

fn show(status: &Status) {
    line(&format!(
        "daybridge {}, process {}, up for {}; rules generation {} ({})",
        status.version,
        status.pid,
        duration(status.uptime_s),
        status.generation.number,
        status.generation.digest
    ));
    let mail = status.mail;
    line(&format!(
        "{} in the CRM and {} in Exchange since the start; mails declared: {}, {}, {}",
        count(status.writes.crm, "write", "writes"),
        status.writes.exchange,
        count(mail.invitations, "invitation", "invitations"),
        count(mail.updates, "update", "updates"),
        count(mail.cancellations, "cancellation", "cancellations"),
    ));
    line(&format!(
        "{}; queue: {} waiting, {} in work, {} parked\n",
        count(status.pairs, "pair", "pairs"),
        status.queue.waiting,
        status.queue.leased,
        status.queue.parked
    ));
    if let Some(stopped) = &status.stopped {
        line(&format!(
            "STOPPED since {}: nothing is written until rule {} has judged {}\n  {}\n  {}\n",
            output::time(stopped.since),
            stopped.rule,
            stopped.keys.join(", "),
            stopped.reason.message,
            stopped.reason.hint
        ));
    }
    for open in &status.fail_open {
        line(&format!(
            "fail-open: appointments go on without rule {} when it fails ({} so far)\n",
            open.rule,
            count(open.times, "time", "times")
        ));
    }
    let rows: Vec<Vec<String>> = status.containers.iter().map(row).collect();
    table(&["CONTAINER", "SERVER", "LAST PASS", "LAST SWEEP", "STATE"], &rows);
    for container in &status.containers {
        if let Some(paused) = &container.paused {
            line(&format!("\n{}: {}\n  {}", container.container, paused.reason.message, paused.reason.hint));
        }
    }
    for aside in &status.set_aside {
        line(&format!(
            "\nRule {} {} is set aside from {} since {} (last: {}); tried again {}; {} for it",
            aside.rule,
            aside.version,
            aside.duty,
            output::time(aside.since),
            aside.kind,
            output::time(aside.until),
            count(aside.parked, "appointment waits", "appointments wait"),
        ));
    }
    if let Some(pending) = &status.rules_pending {
        line(&format!("\n{}\n  {}", pending.message, pending.hint));
    }
    let told = |notice: &&Reason| Some(*notice) != status.rules_pending.as_ref();
    for notice in status.notices.iter().rev().filter(told).take(NOTICES_SHOWN) {
        line(&format!("\n{}\n  {}", notice.message, notice.hint));
    }
    if status.queue.parked > 0 {
        line(&format!(
            "\n{} for a person: daybridge queue list --state parked",
            count(status.queue.parked, "appointment waits", "appointments wait")
        ));
    }
}

fn row(container: &ContainerStatus) -> Vec<String> {
    let state = match &container.paused {
        None => "ok".to_owned(),
        Some(paused) => match paused.until {
            Some(until) => format!("{}, next try {}", paused.reason.code, output::time(until)),
            None => format!("{}, waits for a person", paused.reason.code),
        },
    };
    vec![
        container.container.clone(),
        container.server.clone(),
        time_or_dash(container.last_pass),
        time_or_dash(container.last_sweep),
        state,
    ]
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}
