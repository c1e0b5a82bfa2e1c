//! The gateway's cost in one interleaved run: beside nginx, a bare Pingora and no proxy at all; at
//! the edge, with TLS and HTTP/2, beside HAProxy and Envoy too; or, where it only decides and
//! another proxy forwards, beside a limiter that asks Redis about every request.
//!
//! Absolute numbers drift with the machine and with whatever else it does; ratios within a round
//! hold. So every round measures every row, ratios are taken within each round, and what is shown
//! are medians over the rounds. The gateway pays for its bookkeeping: its CPU is read once all
//! usage of the round is booked. A run whose usage does not add up to what the client received has
//! failed, however fast it was.

mod checks;
mod contestant;
mod cores;
mod customers;
mod decisions;
pub mod edge;
mod figures;
mod fixture;
mod kind;
mod nginx;
mod proxies;
pub mod redis_limiter;
mod report;
mod table;
mod usage;

use std::io;

use clap::Args;
use common::{config::ConfigError, store::StoreError};
use contestant::Contestant;
use figures::Round;
pub use figures::{Figures, Row};
use fixture::Fixture;
use kind::Contest;
pub use report::{Machine, Report};
use serde::Serialize;
use servers::ServerError;
pub use usage::UsageCheck;

use crate::{load::LoadError, processes::ProcessError};

/// Options of a comparison.
#[derive(Debug, Clone, Args, Serialize)]
pub struct Options {
    /// Compares decisions (POST /check) with a limiter that asks Redis about each, instead of
    /// proxies.
    #[arg(long)]
    pub checks: bool,
    /// Compares TLS handshakes and requests over HTTP/2, with HAProxy and Envoy as well.
    #[arg(long, conflicts_with = "checks")]
    pub edge: bool,
    /// Rounds; each measures every row once.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Seconds for each of the two loops, closed and open, of a row in a round.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Connections of the client.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub connections: u16,
    /// Requests per second of the open loop; 10000 unless stated for --checks.
    #[arg(long, default_value_t = 2_000, default_value_if("checks", "true", "10000"), value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: u32,
    /// Leaves nginx out; with --edge, HAProxy and Envoy too.
    #[arg(long, conflicts_with = "checks")]
    pub without_nginx: bool,
}

impl Default for Options {
    /// As the program takes them where nothing is stated.
    fn default() -> Self {
        Self { checks: false, edge: false, rounds: 3, seconds: 10, connections: 64, rate: 2_000, without_nginx: false }
    }
}

/// A comparison that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A single core leaves no room for the client beside the measured programs.
    #[error(
        "{0} core is available to this process; a comparison needs two: one for the server that is measured, one for everything else"
    )]
    Cores(usize),
    /// A program of the machine is missing.
    #[error("`{program}` is not installed: apt-get install {package}{hint}")]
    ProgramMissing {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
        /// An alternative to the missing program.
        hint: &'static str,
    },
    /// The operating system refused something.
    #[error("{what}: {source}")]
    System {
        /// The action that failed.
        what: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The CPU time or the memory of a process cannot be read.
    #[error(transparent)]
    ProcessStat(#[from] io::Error),
    /// A process does not do as it should.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A server of the machine does not start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The load generator does not run.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The plan of the comparison is refused.
    #[error(transparent)]
    Plan(#[from] ConfigError),
}

/// Measures all rows. Each step is announced to `progress`.
pub async fn run(options: &Options, mut progress: impl FnMut(&str)) -> Result<Report, CompareError> {
    let contest = Contest::of(options);
    progress("starting upstream, billing and what is compared");
    let (mut fixture, mut contestants);
    match contest {
        Contest::Proxies => {
            fixture = Fixture::build(&proxies::CUSTOMERS).await?;
            contestants = proxies::start_all(&fixture, options).await?;
        }
        Contest::Checks => {
            fixture = Fixture::build(&checks::CUSTOMERS).await?;
            contestants = checks::start_all(&mut fixture).await?;
        }
    }
    let mut rounds: Vec<Vec<Round>> = vec![Vec::new(); contestants.len()];
    for round in 1..=options.rounds {
        for (contestant, measured) in contestants.iter_mut().zip(&mut rounds) {
            progress(&format!("round {round} of {}: {}", options.rounds, contestant.name()));
            measured.push(contestant.measure(&mut fixture, options).await?);
        }
    }
    progress("comparing usage with what the client received");
    let usage = usage::check(&fixture, contest).await?;
    let kinds = contestants.iter().map(Contestant::kind);
    Ok(Report::new(options.clone(), figures::rows(contest, kinds.zip(rounds)), usage))
}

#[cfg(test)]
mod tests {
    use super::{kind::Kind, *};

    /// A report with `options`; none on a machine with a single core. Needs the binaries
    /// `gateway`, `billing`, `upstream`, `passthrough` and `redis_limiter` of the same profile.
    async fn measured(options: &Options) -> Option<Report> {
        if std::thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
            return None;
        }
        let mut steps = 0;
        let report = run(options, |_| steps += 1).await.unwrap();
        assert!(report.usage.holds, "{report}");
        assert!(steps > 3);
        for row in &report.rows {
            // A request that shares its limits waits for its share so long and no longer, and then
            // it is denied: on a machine that is busy enough, some are.
            let may_refuse = row.kind == Kind::SharedCheck;
            let refused: u64 = row.rounds.iter().map(|round| round.refused).sum();
            assert!(row.faults == 0 || (may_refuse && row.faults == refused), "{report}");
            let median = &row.median;
            assert!(median.requests_per_second > 0.0 && median.p50_us > 0.0 && median.closed_p99_us > 0.0, "{report}");
            assert!(median.resident_mib > 0.0, "{report}");
        }
        Some(report)
    }

    fn short() -> Options {
        Options { rounds: 1, seconds: 1, connections: 8, rate: 100, ..Options::default() }
    }

    fn names(report: &Report) -> Vec<&'static str> {
        report.rows.iter().map(|row| row.name).collect()
    }

    #[tokio::test]
    async fn short_comparison_of_proxies_reports_correct_usage() {
        let options = Options { without_nginx: true, ..short() };
        let Some(report) = measured(&options).await else { return };
        assert_eq!(names(&report), ["upstream alone", "bare Pingora", "gateway"]);
        assert!(report.ok, "{report}");
        assert_eq!(report.usage.keys, 100);
        assert_eq!(report.usage.received, report.usage.recorded);
        assert!(report.usage.accepted >= Some(report.usage.recorded));
    }

    #[tokio::test]
    async fn short_comparison_of_decisions_reports_correct_usage() {
        let options = Options { checks: true, ..short() };
        let Some(report) = measured(&options).await else { return };
        assert_eq!(names(&report), ["check", "check, peek", "check, shared", "Redis limiter"]);
        let redis: Vec<_> = report.rows.iter().map(|row| row.median.redis_cpu_seconds_per_100k.is_some()).collect();
        assert_eq!(redis, [false, false, true, true]);
        assert_eq!((report.usage.keys, report.usage.accepted), (1_000, None));
        assert_eq!(report.usage.received, report.usage.recorded + report.usage.denied);
    }
}
