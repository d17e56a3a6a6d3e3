//! `storm --steps N --seed X`: random acts and faults on both sides, for as long as one likes. Ends with code 1 at the
//! first episode that does not hold, and prints its seed and the fewest acts that break it.

use std::process::ExitCode;

use daybridge_tests::storm;

/// Steps of one episode unless told otherwise: enough for a few dozen appointments.
const EPISODE: usize = 240;

#[expect(clippy::print_stdout, reason = "a command for people")]
#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut steps, mut seed, mut episode) = (10_000, 1, EPISODE);
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|text| text.parse::<u64>().ok());
        match (name.as_str(), value) {
            ("--steps", Some(value)) => steps = usize::try_from(value).unwrap_or(usize::MAX),
            ("--seed", Some(value)) => seed = value,
            ("--episode", Some(value)) => episode = usize::try_from(value).unwrap_or(EPISODE).max(1),
            _ => {
                println!("usage: storm [--steps N] [--seed X] [--episode N]");
                return ExitCode::from(2);
            }
        }
    }
    let began = std::time::Instant::now();
    let progress = |told: &storm::Told| println!("{told:?} after {:.0?}", began.elapsed());
    match storm::run(seed, steps, episode, progress).await {
        Ok(told) => {
            println!("held: {told:?} in {:.0?}, seed {seed}", began.elapsed());
            ExitCode::SUCCESS
        }
        Err(broken) => {
            println!("{broken}");
            ExitCode::FAILURE
        }
    }
}
