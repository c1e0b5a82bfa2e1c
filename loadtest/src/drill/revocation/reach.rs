//! Times until changes arrived.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::subject::Step;

/// Target for 95 % of all changes,
const MOST_WITHIN_MS: f64 = 100.0;

/// and for each of them.
const ALL_WITHIN_MS: f64 = 1_000.0;

/// Times until every gateway showed a change.
#[derive(Debug, Default)]
pub(super) struct Samples {
    arrived: BTreeMap<Step, Vec<Duration>>,
    missed: u64,
    /// Listeners that were disconnected meanwhile.
    pub(super) disconnected: u64,
}

/// Times until changes arrived, with one kind of store.
#[derive(Debug, Clone, Serialize)]
pub struct Reach {
    engine: &'static str,
    /// Changes that were made.
    changes: u64,
    /// Changes that did not arrive at every gateway, or did not stay there.
    missed: u64,
    /// Half of them were shown by every gateway within this time.
    p50_ms: f64,
    /// 95 % of them.
    p95_ms: f64,
    /// All.
    max_ms: f64,
    /// The slowest of each kind.
    slowest_ms: BTreeMap<String, f64>,
    /// Until a gateway that was cut off from the store, and is back, showed what it had missed: the
    /// slowest.
    cut_off_max_ms: f64,
    /// Until every gateway showed a change that was not announced: the slowest.
    #[serde(skip_serializing_if = "Option::is_none")]
    unannounced_max_ms: Option<f64>,
    /// Listeners that were disconnected so that nothing was announced.
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnected: Option<u64>,
    /// Requests that got no answer.
    unanswered: u64,
}

impl Samples {
    /// Adds the outcome of one change.
    pub(super) fn add(&mut self, step: Step, arrived: Option<Duration>) {
        match arrived {
            Some(arrived) => self.arrived.entry(step).or_default().push(arrived),
            None => self.missed += 1,
        }
    }

    fn sorted(&self) -> Vec<Duration> {
        let mut sorted: Vec<_> = self.arrived.values().flatten().copied().collect();
        sorted.sort();
        sorted
    }

    fn max_ms(&self) -> f64 {
        self.sorted().last().map_or(0.0, milliseconds)
    }
}

impl Reach {
    pub(super) fn new(
        engine: &'static str,
        samples: &Samples,
        cut_off: &Samples,
        unannounced: Option<&Samples>,
        unanswered: u64,
    ) -> Self {
        let sorted = samples.sorted();
        let slowest = |(step, times): (&Step, &Vec<Duration>)| {
            (format!("{step:?}"), times.iter().max().map_or(0.0, milliseconds))
        };
        Self {
            engine,
            changes: sorted.len() as u64 + samples.missed,
            missed: samples.missed + cut_off.missed + unannounced.map_or(0, |samples| samples.missed),
            p50_ms: within(&sorted, 50),
            p95_ms: within(&sorted, 95),
            max_ms: samples.max_ms(),
            slowest_ms: samples.arrived.iter().map(slowest).collect(),
            cut_off_max_ms: cut_off.max_ms(),
            unannounced_max_ms: unannounced.map(Samples::max_ms),
            disconnected: unannounced.map(|samples| samples.disconnected),
            unanswered,
        }
    }

    /// The first target that was missed, in words. Speed is judged only if `judges_speed` is true.
    pub(super) fn wrong(&self, judges_speed: bool) -> Option<String> {
        let engine = self.engine;
        if self.missed > 0 {
            return Some(format!("{engine}: {} changes did not arrive at every gateway, or not to stay", self.missed));
        }
        if self.unanswered > 0 {
            return Some(format!("{engine}: {} requests got no answer", self.unanswered));
        }
        if self.disconnected == Some(0) {
            return Some(format!("{engine}: no gateway listens for announcements"));
        }
        if !judges_speed {
            return None;
        }
        if self.p95_ms > MOST_WITHIN_MS {
            return Some(format!("{engine}: 95 % of changes took up to {} ms", self.p95_ms));
        }
        let slowest = [Some(self.max_ms), Some(self.cut_off_max_ms), self.unannounced_max_ms];
        let slowest = slowest.into_iter().flatten().fold(0.0, f64::max);
        (slowest > ALL_WITHIN_MS).then(|| format!("{engine}: a change took {slowest} ms"))
    }
}

/// The percentile of these sorted times.
fn within(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).map_or(0.0, milliseconds)
}

/// To a tenth: what is finer, clients do not see.
fn milliseconds(time: &Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(times: impl IntoIterator<Item = u64>, missed: u64) -> Reach {
        let mut samples = Samples { missed, ..Samples::default() };
        for time in times {
            samples.add(Step::Revoke, Some(Duration::from_millis(time)));
        }
        Reach::new("sqlite", &samples, &Samples::default(), None, 0)
    }

    #[test]
    fn percentiles_leave_missed_changes_out() {
        let reach = reach(1..=100, 1);
        assert_eq!((reach.changes, reach.missed), (101, 1));
        assert_eq!(vec![reach.p50_ms, reach.p95_ms, reach.max_ms], vec![50.0, 95.0, 100.0]);
    }

    #[test]
    fn slow_change_is_wrong_only_if_speed_is_judged() {
        assert_eq!(reach(1..=100, 0).wrong(true), None);
        assert!(reach(1..=100, 1).wrong(false).unwrap().contains("1 changes did not arrive"));
        let most = reach([10, 101], 0);
        assert!(most.wrong(false).is_none() && most.wrong(true).unwrap().contains("101 ms"));
        let all = reach((0..99).map(|_| 10).chain([1_001]), 0);
        assert!(all.wrong(true).unwrap().contains("a change took 1001 ms"));
    }
}
