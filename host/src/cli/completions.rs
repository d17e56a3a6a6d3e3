//! `daybridge completions SHELL`.

use clap::CommandFactory;
use clap_complete::Shell;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The shell; for bash: daybridge completions bash > /etc/bash_completion.d/daybridge
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "daybridge", &mut script);
    super::output::line(String::from_utf8_lossy(&script).trim_end());
}
