//! `keyctl completions`: a shell's completion script.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::{cli::Cli, error::Failure, output};

const HELP: &str = "\
Examples:
  keyctl completions bash > /etc/bash_completion.d/keyctl
  keyctl completions zsh > ~/.zfunc/_keyctl
  keyctl completions fish > ~/.config/fish/completions/keyctl.fish";

/// The arguments of `keyctl completions`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct CompletionsArgs {
    /// Shell to complete in
    shell: Shell,
}

impl CompletionsArgs {
    /// Prints the script.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "keyctl", &mut script);
        output::print(String::from_utf8_lossy(&script).trim_end())
    }
}
