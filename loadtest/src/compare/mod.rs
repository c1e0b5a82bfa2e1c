//! What the gateway costs, beside nginx, a bare Pingora and no proxy at all, in one interleaved run.
//!
//! Absolute numbers drift with the machine and with whatever else it does; ratios within a round hold. So every round
//! measures every row, ratios are taken within each round, and what is shown are medians over the rounds. The gateway
//! pays for its bookkeeping: its CPU is read once all usage of the round is booked. A run whose usage does not add up
//! to what the client received has failed, however fast it was.

mod contestant;
mod cores;
mod figures;
mod nginx;
mod process_stat;
mod report;
mod site;
mod table;
mod usage;

use std::io;

use clap::Args;
use common::{plan::PlanFileError, store::StoreError};
use contestant::Contestant;
use figures::Round;
pub use figures::{Figures, Row};
pub use report::{Machine, Report};
use serde::Serialize;
use site::Site;
pub use usage::UsageCheck;

use crate::{fleet::FleetError, load::LoadError};

/// How long and how hard to measure.
#[derive(Debug, Clone, Args, Serialize)]
pub struct Options {
    /// Rounds; each measures every row once.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Seconds for each of the two loops, closed and open, of a row in a round.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Connections of the client.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub connections: u16,
    /// Requests per second of the open loop.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: u32,
    /// Leaves nginx out.
    #[arg(long)]
    pub without_nginx: bool,
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// Nothing can be held apart on one core.
    #[error(
        "{0} core is available to this process; a comparison needs two: one for the proxy, one for everything else"
    )]
    Cores(usize),
    /// A program of the machine is missing.
    #[error("`{program}` is not installed: apt-get install {package}{hint}")]
    ProgramMissing {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
        /// What else can be done.
        hint: &'static str,
    },
    /// Something of the operating system.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A process does not do as it should.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The load generator does not run.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The plan of the comparison is refused.
    #[error(transparent)]
    Plan(#[from] PlanFileError),
}

/// Measures; `progress` is told what is being done.
pub async fn run(options: &Options, mut progress: impl FnMut(&str)) -> Result<Report, CompareError> {
    progress("starting upstream, proxies, billing and gateway");
    let mut site = Site::build().await?;
    let mut contestants = contestant::start_all(&site, options).await?;
    let mut rounds: Vec<Vec<Round>> = vec![Vec::new(); contestants.len()];
    for round in 1..=options.rounds {
        for (contestant, measured) in contestants.iter_mut().zip(&mut rounds) {
            progress(&format!("round {round} of {}: {}", options.rounds, contestant.name()));
            measured.push(contestant.measure(&mut site, options).await?);
        }
    }
    progress("comparing usage with what the client received");
    let usage = usage::check(&site).await?;
    let kinds = contestants.iter().map(Contestant::kind);
    Ok(Report::new(options.clone(), figures::rows(kinds.zip(rounds)), usage))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs the binaries `upstream`, `passthrough`, `gateway` and `billing` of the same profile.
    #[tokio::test]
    async fn a_short_comparison_adds_up() {
        if std::thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
            return;
        }
        let options = Options { rounds: 1, seconds: 1, connections: 8, rate: 100, without_nginx: true };
        let mut steps = 0;
        let report = run(&options, |_| steps += 1).await.unwrap();
        assert!(report.ok, "{report}");
        assert!(steps > 3);
        let names: Vec<_> = report.rows.iter().map(|row| row.name).collect();
        assert_eq!(names, ["upstream alone", "bare Pingora", "gateway"]);
        for row in &report.rows {
            assert!(row.median.requests_per_second > 0.0 && row.median.p50_us > 0.0, "{report}");
            assert!(row.median.resident_mib > 0.0, "{report}");
        }
        assert_eq!(report.usage.keys, 100);
        assert_eq!(report.usage.received, report.usage.recorded);
    }
}
