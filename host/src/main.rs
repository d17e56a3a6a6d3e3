//! The program `daybridge`: runs the command and answers its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A compiling child needs no runtime, and its limits no threads beside it.
    daybridge::cli::compile_rule_if_asked(std::env::args_os()).unwrap_or_else(run)
}

#[tokio::main]
async fn run() -> ExitCode {
    daybridge::cli::run(std::env::args_os()).await
}
