//! From samples to a report: medians, and ratios that are taken within each round, with the range
//! in which they lay.

use std::{collections::BTreeMap, fmt};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::{Measure, Server};
use crate::compare::{Machine, Options, UsageCheck, figures::median};

/// A finished comparison.
#[derive(Debug, Clone, Serialize)]
pub struct EdgeReport {
    /// True if nothing failed and the usage adds up.
    pub ok: bool,
    /// The machine.
    pub machine: Machine,
    /// Options of the comparison.
    pub options: Options,
    /// A row for each measure and server.
    pub rows: Vec<Measured>,
    /// The gateway's CPU as a multiple of each peer's, by measure; named as in `gateway/nginx`.
    pub ratios: BTreeMap<Measure, BTreeMap<String, Ratio>>,
    /// Widest range of a ratio over the rounds, as a share of its median.
    pub noise: f64,
    /// The check of the gateway's usage.
    pub usage: UsageCheck,
}

/// One measure of one server.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Which measure.
    pub measure: Measure,
    /// Which server.
    pub server: Server,
    /// Medians over the rounds.
    #[serde(flatten)]
    pub median: Sample,
    /// Handshakes or requests that failed, in all rounds.
    pub failed: u64,
    /// Every round.
    pub rounds: Vec<Sample>,
}

/// One measure of one server in one round.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Sample {
    /// Handshakes or answers per second.
    pub per_second: f64,
    /// User and system time of the process for each of them, in microseconds.
    pub cpu_us: f64,
    /// Share of its core that the process used.
    pub core_busy: f64,
    /// Those that failed, including the warm-up.
    #[serde(skip)]
    pub failed: u64,
    /// The first failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A ratio over the rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// Its median.
    pub median: f64,
    /// In the round in which it was lowest.
    pub low: f64,
    /// In the round in which it was highest.
    pub high: f64,
}

impl EdgeReport {
    pub(super) fn new(options: Options, samples: BTreeMap<(Measure, Server), Vec<Sample>>, usage: UsageCheck) -> Self {
        let mut ratios = BTreeMap::<_, BTreeMap<_, _>>::new();
        for measure in Measure::ALL {
            let of = |server| samples.get(&(measure, server)).map_or(&[][..], Vec::as_slice);
            for peer in Server::PEERS {
                if let Some(ratio) = Ratio::of(of(Server::Gateway), of(peer)) {
                    let name = format!("{}/{}", Server::Gateway.name(), peer.name());
                    ratios.entry(measure).or_default().insert(name, ratio);
                }
            }
        }
        let noise = ratios.values().flat_map(BTreeMap::values).map(Ratio::spread).fold(0.0, f64::max);
        let rows: Vec<_> = samples.into_iter().map(Measured::new).collect();
        let ok = usage.holds && rows.iter().all(|row| row.failed == 0);
        Self { ok, machine: Machine::this(), options, rows, ratios, noise, usage }
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["", "", "per second", "CPU µs each", "core busy", "gateway's CPU to it"]);
        for row in &self.rows {
            let name = format!("{}/{}", Server::Gateway.name(), row.server.name());
            let ratio = self.ratios.get(&row.measure).and_then(|ratios| ratios.get(&name));
            table.add_row([
                row.measure.name().to_owned(),
                row.server.name().to_owned(),
                format!("{:.0}", row.median.per_second),
                format!("{:.1}", row.median.cpu_us),
                format!("{:.0} %", row.median.core_busy * 100.0),
                ratio.map_or_else(|| "-".to_owned(), Ratio::to_string),
            ]);
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

impl Measured {
    fn new(((measure, server), rounds): ((Measure, Server), Vec<Sample>)) -> Self {
        let of = |figure: fn(&Sample) -> f64| median(rounds.iter().map(figure)).unwrap_or(0.0);
        let median = Sample {
            per_second: of(|sample| sample.per_second),
            cpu_us: of(|sample| sample.cpu_us),
            core_busy: of(|sample| sample.core_busy),
            ..Sample::default()
        };
        let failed = rounds.iter().map(|sample| sample.failed).sum();
        Self { measure, server, median, failed, rounds }
    }
}

impl Ratio {
    /// None without a round in which both were measured.
    fn of(own: &[Sample], peer: &[Sample]) -> Option<Self> {
        let rounds = own.iter().zip(peer).filter(|(_, peer)| peer.cpu_us > 0.0);
        let ratios: Vec<f64> = rounds.map(|(own, peer)| own.cpu_us / peer.cpu_us).collect();
        let median = median(ratios.iter().copied())?;
        let (low, high) =
            ratios.iter().fold((median, median), |(low, high), ratio| (low.min(*ratio), high.max(*ratio)));
        Some(Self { median, low, high })
    }

    fn spread(&self) -> f64 {
        (self.high - self.low) / self.median
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.2} ({:.2}-{:.2})", self.median, self.low, self.high)
    }
}

impl fmt::Display for EdgeReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (machine, options) = (&self.machine, &self.options);
        writeln!(formatter, "{}, {} cores, Linux {}", machine.processor, machine.cores, machine.kernel)?;
        writeln!(
            formatter,
            "medians of {} rounds of {} s each; TLS 1.3, AES-128-GCM, X25519, ECDSA P-256; ratios with the range over \
             the rounds\n",
            options.rounds, options.seconds
        )?;
        writeln!(formatter, "{}\n", self.table())?;
        let mut told = Vec::new();
        for row in &self.rows {
            if !told.contains(&row.server) {
                told.push(row.server);
                writeln!(formatter, "{}: {}", row.server.name(), row.server.switched_on())?;
            }
        }
        writeln!(formatter)?;
        if !machine.optimised {
            writeln!(formatter, "note: this is a debug build: the numbers mean nothing")?;
        }
        for row in self.rows.iter().filter(|row| row.failed > 0) {
            let reason = row.rounds.iter().find_map(|sample| sample.reason.as_deref()).unwrap_or("unknown");
            let (server, measure, failed) = (row.server.name(), row.measure.name(), row.failed);
            writeln!(formatter, "note: {server}: {failed} {measure} failed, do not quote it: {reason}")?;
        }
        self.usage.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(costs: &[f64]) -> Vec<Sample> {
        costs.iter().map(|cpu_us| Sample { cpu_us: *cpu_us, ..Sample::default() }).collect()
    }

    #[test]
    fn ratio_is_taken_within_each_round_with_its_range() {
        let ratio = Ratio::of(&samples(&[2.0, 30.0, 4.0]), &samples(&[1.0, 10.0, 4.0])).unwrap();
        assert_eq!(ratio, Ratio { median: 2.0, low: 1.0, high: 3.0 });
        assert!((ratio.spread() - 1.0).abs() < f64::EPSILON);
        assert_eq!(Ratio::of(&samples(&[1.0]), &[]), None);
    }

    #[test]
    fn failure_or_wrong_usage_makes_the_report_fail() {
        let report = |failed, holds| {
            let sample = Sample { failed, cpu_us: 1.0, ..Sample::default() };
            let samples = BTreeMap::from([((Measure::Http2, Server::Gateway), vec![sample])]);
            EdgeReport::new(Options::default(), samples, UsageCheck { holds, ..UsageCheck::default() })
        };
        assert!(report(0, true).ok);
        assert!(!report(1, true).ok);
        assert!(!report(0, false).ok);
    }
}
