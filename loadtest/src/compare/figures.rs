//! From rounds to rows: medians, and ratios that are taken within each round.

use std::collections::BTreeMap;

use serde::Serialize;

use super::kind::{Contest, Kind};

/// Measured values of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Closed loop: answers per second.
    pub requests_per_second: f64,
    /// Closed loop: user and system time of the process for 100,000 answers, in seconds.
    pub cpu_seconds_per_100k: f64,
    /// Closed loop: the same of Redis, if it works for this row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_cpu_seconds_per_100k: Option<f64>,
    /// Closed loop: share of its core that the process used.
    pub core_busy: f64,
    /// Closed loop: 99 % of the answers came within this time from when the request was sent.
    pub closed_p99_us: f64,
    /// Open loop: half of the answers came within this time from when they were due.
    pub p50_us: f64,
    /// Open loop: 99 % of them.
    pub p99_us: f64,
    /// Memory of the process after the closed loop.
    pub resident_mib: f64,
}

/// One row in one round.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Round {
    /// The measured values.
    #[serde(flatten)]
    pub figures: Figures,
    /// Requests without an answer.
    pub failed: u64,
    /// Answers other than 200, and decisions other than to let the request pass.
    pub refused: u64,
    /// Answers other than 200, by their status.
    pub by_status: BTreeMap<u16, u64>,
    /// Requests of the open loop that were due and not sent.
    pub unsent: u64,
}

/// One row over all rounds.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Features that are switched on and off.
    pub switched_on: &'static str,
    /// Medians over the rounds.
    pub median: Figures,
    /// CPU per request as a multiple of each peer's.
    #[serde(flatten)]
    pub cpu_vs: BTreeMap<&'static str, Option<f64>>,
    /// Requests without an answer, refused ones, and requests not sent, in all rounds.
    pub faults: u64,
    /// Every round.
    pub rounds: Vec<Round>,
    #[serde(skip)]
    pub(super) kind: Kind,
}

/// The rows of a comparison.
pub(super) fn rows(contest: Contest, measured: impl Iterator<Item = (Kind, Vec<Round>)>) -> Vec<Row> {
    let measured: Vec<_> = measured.collect();
    let rounds_of = |kind| measured.iter().find(|(found, _)| *found == kind).map(|(_, rounds)| rounds.as_slice());
    let peers: Vec<_> = contest.peers().iter().map(|peer| (peer.field, rounds_of(peer.kind))).collect();
    let row = |(kind, rounds): &(Kind, Vec<Round>)| {
        // The upstream is not a proxy: what it costs compares with none.
        let ratio = |peer: Option<&[Round]>| kind.has_core().then(|| cpu_ratio(rounds, peer?)).flatten();
        Row {
            name: kind.name(),
            switched_on: kind.switched_on(),
            median: medians(rounds),
            cpu_vs: peers.iter().map(|(field, peer)| (*field, ratio(*peer))).collect(),
            faults: rounds.iter().map(|round| round.failed + round.refused + round.unsent).sum(),
            rounds: rounds.clone(),
            kind: *kind,
        }
    };
    measured.iter().map(row).collect()
}

fn medians(rounds: &[Round]) -> Figures {
    let of = |figure: fn(&Figures) -> f64| median(rounds.iter().map(|round| figure(&round.figures))).unwrap_or(0.0);
    Figures {
        requests_per_second: of(|figures| figures.requests_per_second),
        cpu_seconds_per_100k: of(|figures| figures.cpu_seconds_per_100k),
        redis_cpu_seconds_per_100k: median(rounds.iter().filter_map(|round| round.figures.redis_cpu_seconds_per_100k)),
        core_busy: of(|figures| figures.core_busy),
        closed_p99_us: of(|figures| figures.closed_p99_us),
        p50_us: of(|figures| figures.p50_us),
        p99_us: of(|figures| figures.p99_us),
        resident_mib: of(|figures| figures.resident_mib),
    }
}

fn cpu_ratio(rounds: &[Round], peer: &[Round]) -> Option<f64> {
    let cost = |round: &Round| round.figures.cpu_seconds_per_100k;
    median(rounds.iter().zip(peer).filter(|(_, peer)| cost(peer) > 0.0).map(|(own, peer)| cost(own) / cost(peer)))
}

pub(super) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(costs: &[f64]) -> Vec<Round> {
        let round = |cost: &f64| Round {
            figures: Figures { cpu_seconds_per_100k: *cost, ..Figures::default() },
            refused: 1,
            ..Round::default()
        };
        costs.iter().map(round).collect()
    }

    #[test]
    fn ratios_are_taken_within_each_round() {
        let measured = [
            (Kind::Upstream, rounds(&[9.0, 9.0, 9.0])),
            (Kind::Pingora, rounds(&[2.0, 20.0, 3.0])),
            (Kind::Nginx, rounds(&[1.0, 10.0, 2.0])),
        ];
        let rows = rows(Contest::Proxies, measured.into_iter());
        assert_eq!(rows[0].cpu_vs["cpu_vs_nginx"], None);
        assert_eq!(rows[1].cpu_vs["cpu_vs_nginx"], Some(2.0), "of 2, 2 and 1.5");
        assert_eq!(rows[1].cpu_vs["cpu_vs_pingora"], Some(1.0));
        assert_eq!(rows[2].cpu_vs["cpu_vs_pingora"], Some(0.5));
        assert!((rows[1].median.cpu_seconds_per_100k - 3.0).abs() < f64::EPSILON);
        assert_eq!(rows[1].faults, 3);
    }

    #[test]
    fn ratio_without_a_peer_is_absent() {
        let rows = rows(Contest::Proxies, [(Kind::Gateway, rounds(&[1.0]))].into_iter());
        assert_eq!(rows[0].cpu_vs, BTreeMap::from([("cpu_vs_nginx", None), ("cpu_vs_pingora", None)]));
    }

    #[test]
    fn median_is_the_middle_value_or_the_mean_of_two() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }
}
