//! `storm --steps N --seed X`: random acts and faults on both sides, for as long as one likes. Ends with code 1 at the
//! first episode that does not hold, and prints its seed and the fewest acts that break it. With `RUST_LOG` set, such as
//! `daybridge=debug`, what the host says goes to standard error.

use std::process::ExitCode;

use daybridge_tests::host::Reach;
use daybridge_tests::storm::{self, Course, News};
use tracing_subscriber::EnvFilter;

/// Steps of one episode unless told otherwise: enough for a few dozen appointments.
const EPISODE: usize = 240;
const USAGE: &str =
    "usage: storm [--exchange ews|graph|hybrid] [--series 0|1] [--steps N] [--seed X] [--episode N] [--at-a-time N]";

#[expect(clippy::print_stdout, reason = "a command for people")]
#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut course =
        Course { seed: 1, steps: 10_000, per_episode: EPISODE, at_a_time: 4, reach: Reach::Ews, series: false };
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        if let ("--exchange", Ok(reach)) = (name.as_str(), value.parse()) {
            course.reach = reach;
            continue;
        }
        let value = value.parse::<u32>().ok();
        match (name.as_str(), value) {
            ("--steps", Some(value)) => course.steps = value as usize,
            ("--seed", Some(value)) => course.seed = value.into(),
            ("--episode", Some(value)) => course.per_episode = value as usize,
            ("--series", Some(value)) => course.series = value > 0,
            ("--at-a-time", Some(value)) => course.at_a_time = value as usize,
            _ => {
                println!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    if let Ok(filter) = EnvFilter::try_from_default_env() {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let began = std::time::Instant::now();
    let news = |news: News<'_>| println!("{:5.0?} {news:?}", began.elapsed());
    match storm::run(course, news).await {
        Ok(told) => {
            let rate = told.steps as f64 / began.elapsed().as_secs_f64();
            println!(
                "held: {told:?} in {:.0?} ({rate:.1} steps a second), seed {}, by {}",
                began.elapsed(),
                course.seed,
                course.reach
            );
            ExitCode::SUCCESS
        }
        Err(broken) => {
            println!("{broken}");
            ExitCode::FAILURE
        }
    }
}
