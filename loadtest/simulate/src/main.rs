//! `make simulate`: the token bank and what others do, on the same simulated load and failures; or
//! histories of money beside a plain model.

use std::{
    error::Error,
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use simulate::{
    money::{self, History},
    picture,
    table::Report,
};

/// Compares the token bank with local counting, periodic deltas and static parts, and draws a
/// picture.
///
/// Fails if the bank admits one request more than it promises. With --money, lives whole histories of
/// invoices, payments and crashes beside a plain model, and fails where they differ.
#[derive(Debug, Parser)]
#[command(
    name = "simulate",
    after_help = "Examples:\n  make simulate\n  make simulate ARGS=\"--seconds 3\"\n  make simulate ARGS=--money\n  make simulate ARGS='--money --seed 7'\n  make simulate ARGS='--money --histories 1000'"
)]
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
    /// Histories of money instead of limits.
    #[arg(long)]
    money: bool,
    /// Number of histories, from --first on.
    #[arg(long, default_value_t = 50, requires = "money", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    histories: u64,
    /// Seed of the first history; the others follow it.
    #[arg(long, default_value_t = 0, requires = "money")]
    first: u64,
    /// Only the history of this seed.
    #[arg(long, requires = "money")]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match if arguments.money { live(&arguments) } else { run(&arguments) } {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // A closed stderr leaves nobody to tell; the exit code still does.
            let _ = writeln!(io::stderr().lock(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Lives histories of money. Returns true if store and model agreed in all of them.
fn live(arguments: &Arguments) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let seeds = match arguments.seed {
        Some(seed) => seed..=seed,
        None => arguments.first..=arguments.first + arguments.histories - 1,
    };
    let all = money::live_all(seeds)?;
    let History { tenant_months, invoices, steps, crashes } = all;
    writeln!(
        io::stdout().lock(),
        "{tenant_months} months of tenants, {steps} steps, {crashes} crashes, {invoices} invoices: all as the model has them"
    )?;
    Ok(true)
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
