//! `make simulate`: the token bank and what others do, on the same simulated load and failures.

use std::{
    error::Error,
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use simulate::{picture, table::Report};

/// Compares the token bank with local counting, periodic deltas and static parts, and draws a
/// picture.
///
/// Fails if the bank admits one request more than it promises.
#[derive(Debug, Parser)]
#[command(name = "simulate", after_help = "Examples:\n  make simulate\n  make simulate ARGS=\"--seconds 3\"")]
struct Arguments {
    /// Seconds of load in each row.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Path of the file with all figures.
    #[arg(long, default_value = "target/simulate.json")]
    json: PathBuf,
    /// Path of the picture.
    #[arg(long, default_value = "docs/limits.svg")]
    picture: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // A closed stderr leaves nobody to tell; the exit code still does.
            let _ = writeln!(io::stderr().lock(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the comparison. Returns true if the bank kept its promises.
fn run(arguments: &Arguments) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let report = Report::new(arguments.seconds)?;
    write!(io::stdout().lock(), "{report}")?;
    if let Some(folder) = arguments.json.parent() {
        fs::create_dir_all(folder)?;
    }
    serde_json::to_writer_pretty(File::create(&arguments.json)?, &report)?;
    picture::draw(&report.rows, &arguments.picture)?;
    Ok(report.ok)
}
