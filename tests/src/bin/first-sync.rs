//! `first-sync --mailboxes N --appointments M`: a first sync of that size with a kill in the middle, and what it took.
//! Ends with code 1 if it mailed anybody, doubled or left out something, or asked too much when nothing had changed.

use std::process::ExitCode;

use daybridge_tests::first_sync::{self, Size};
use daybridge_tests::host::Mails;

#[expect(clippy::print_stdout, reason = "a command for people")]
#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut size = Size { mailboxes: 200, appointments: 20_000 };
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|text| text.parse::<usize>().ok()).filter(|value| *value > 0);
        match (name.as_str(), value) {
            ("--mailboxes", Some(value)) => size.mailboxes = value,
            ("--appointments", Some(value)) => size.appointments = value,
            _ => {
                println!("usage: first-sync [--mailboxes N] [--appointments M]");
                return ExitCode::from(2);
            }
        }
    }
    let began = std::time::Instant::now();
    let figures = first_sync::run(size, |what| println!("{:>6.0?}  {what}", began.elapsed())).await;
    println!("{size:#?}\n{figures:#?}");
    let all = size.appointments as u64;
    let mailboxes = size.mailboxes as u64;
    let held = figures.mails == Mails::NONE
        && (figures.pairs, figures.in_crm, figures.in_exchange) == (all, all, all)
        && figures.idle_requests.exchange <= mailboxes
        && figures.idle_requests.crm <= first_sync::IDLE_CRM_MAX;
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
