//! `make drill`: pulls plugs under load and checks that the books balance.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use loadtest::{
    cli,
    drill::{DRILLS, Times},
};

/// Harms processes and servers under real load, then checks: received <= billed <= accepted, for
/// every key.
///
/// Each drill ends with one JSON line. It needs the binaries of its own profile and installs
/// nothing.
#[derive(Debug, Parser)]
#[command(
    name = "drill",
    after_help = "Examples:\n  make drill\n  make drill NAME=gateway-kill9 N=5\n  make drill NAME=broker-down ARGS=--short\n  make drill NAME=close-month N=1 ARGS=--documents\n  make drill NAME=outage ARGS='--rate 5000 --away 60'\n  make drill NAME=list"
)]
struct Arguments {
    /// The drill to run; `list` shows them; all of them if none is named.
    name: Option<String>,
    /// Number of faults, instead of the drill's own number.
    #[arg(long, short = 'n', value_parser = clap::value_parser!(u32).range(1..=10_000))]
    faults: Option<u32>,
    /// Outages of seconds instead of up to a minute.
    #[arg(long)]
    short: bool,
    /// Make the documents of all invoices, too, in the drill `close-month`.
    #[arg(long)]
    documents: bool,
    /// Requests per second of the drill `outage`, instead of its own number.
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(100..=100_000))]
    rate: Option<u32>,
    /// Seconds that the broker is away in the drill `outage`, instead of its own number.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    away: Option<u32>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let wanted = arguments.name.as_deref();
    if wanted == Some("list") {
        let mut out = io::stdout().lock();
        for drill in &DRILLS {
            let _ = writeln!(out, "{:<16} {} ({} times)", drill.name, drill.about, drill.faults);
        }
        return ExitCode::SUCCESS;
    }
    let chosen: Vec<_> = DRILLS.iter().filter(|drill| wanted.is_none_or(|name| name == drill.name)).collect();
    if chosen.is_empty() {
        let unknown = format!("no drill `{}`; `make drill NAME=list` shows them", wanted.unwrap_or_default());
        return cli::fail(&*Box::<dyn std::error::Error>::from(unknown));
    }
    let times = if arguments.short { Times::SHORT } else { Times::FULL };
    let times = if arguments.documents { times.with_documents() } else { times };
    let times = arguments.rate.map_or(times, |rate| times.at_rate(rate));
    let times = arguments.away.map_or(times, |seconds| times.away_for(Duration::from_secs(seconds.into())));
    let mut all_ok = true;
    for drill in chosen {
        let faults = arguments.faults.unwrap_or(drill.faults);
        eprintln!("drill {}: {}, {faults} times", drill.name, drill.about);
        match drill.run(faults, times).await {
            Ok(outcome) => {
                all_ok &= outcome.ok;
                let line = serde_json::to_string(&outcome).unwrap_or_default();
                let _ = writeln!(io::stdout().lock(), "{line}");
            }
            Err(error) => {
                all_ok = false;
                eprintln!("error: drill {}: {error}", drill.name);
            }
        }
    }
    if all_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
