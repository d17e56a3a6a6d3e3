//! The program `daybridge`: runs the command and answers its exit code.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    daybridge::cli::run(std::env::args_os()).await
}
