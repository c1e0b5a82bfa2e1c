//! The binary `billing`: parses the command line, runs the command, turns its outcome into an exit
//! code.

use std::{io::Write as _, process::ExitCode};

use billing::command::Cli;
use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    common::files::keep_private();
    match Cli::parse().execute().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed stderr leaves nobody to tell; the exit code still does.
            let _ = writeln!(std::io::stderr().lock(), "error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
