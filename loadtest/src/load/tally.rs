//! Counts of requests and answers.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Request, connection::Failure};

/// Result of a run. `requests` = `received` + `failures`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LoadResult {
    /// Requests that were sent, or for which there was no connection.
    pub requests: u64,
    /// Answers received to their last byte.
    pub received: u64,
    /// Requests of the open loop that were due and never sent, as all connections were busy.
    pub unsent: u64,
    /// Answers by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Answers by label and status.
    pub by_label: BTreeMap<String, BTreeMap<u16, u64>>,
    /// Requests without an answer.
    pub failures: Failures,
    /// From the start to the last answer.
    pub seconds: f64,
    /// Latency of the answers received.
    pub latency: Latency,
    /// Results of the stages.
    pub stages: Vec<StageResult>,
    /// Each answer by itself, in the order in which they came, if the load is traced.
    #[serde(skip)]
    pub trace: Vec<Exchange>,
}

/// Result of one stage of a run. A request belongs to the stage in which it was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct StageResult {
    /// Answers received to their last byte.
    pub received: u64,
    /// Their latency.
    pub latency: Latency,
}

/// A request that was answered.
#[derive(Debug, Clone, Copy)]
pub struct Exchange {
    /// The moment when it was due: its latency runs from here.
    pub due: Instant,
    /// Before its first byte was sent.
    pub sent: Instant,
    /// After the last byte of its answer was here.
    pub received: Instant,
    /// Status of the answer.
    pub status: u16,
}

/// Requests without an answer, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// No connection.
    pub connect: u64,
    /// The connection ended or was reset before the answer was complete.
    pub closed: u64,
    /// The bytes are not an HTTP/1 answer.
    pub malformed: u64,
    /// The answer took too long.
    pub timeout: u64,
}

/// Latency of answers, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half of them took at most this long.
    pub p50_us: f64,
    /// 90 %.
    pub p90_us: f64,
    /// 99 %.
    pub p99_us: f64,
    /// The longest.
    pub max_us: f64,
}

impl Failures {
    /// All.
    pub const fn total(&self) -> u64 {
        self.connect + self.closed + self.malformed + self.timeout
    }
}

impl Exchange {
    /// Time from when it was due until its answer was here.
    pub fn latency(&self) -> Duration {
        self.received.saturating_duration_since(self.due)
    }
}

impl LoadResult {
    /// Answers with `status` to requests with `label`.
    pub fn received_of(&self, label: &str, status: u16) -> u64 {
        self.by_label.get(label).and_then(|by_status| by_status.get(&status)).copied().unwrap_or(0)
    }

    /// Answers per second.
    pub fn per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.received as f64 / self.seconds } else { 0.0 }
    }
}

/// Counts while a run goes on.
pub(super) struct Tally {
    requests: u64,
    received: Vec<BTreeMap<u16, u64>>,
    failures: Failures,
    /// By stage.
    latency: Vec<Histogram<u64>>,
    trace: Option<Vec<Exchange>>,
}

impl Tally {
    /// Counts for so many different requests.
    pub(super) fn new(kinds: usize, traced: bool) -> Self {
        Self {
            requests: 0,
            received: vec![BTreeMap::new(); kinds],
            failures: Failures::default(),
            latency: Vec::new(),
            trace: traced.then(Vec::new),
        }
    }

    pub(super) fn received(&mut self, kind: usize, stage: usize, exchange: Exchange) {
        self.requests += 1;
        *self.received[kind].entry(exchange.status).or_default() += 1;
        if self.latency.len() <= stage {
            self.latency.resize_with(stage + 1, histogram);
        }
        self.latency[stage].saturating_record(u64::try_from(exchange.latency().as_nanos()).unwrap_or(u64::MAX));
        if let Some(trace) = &mut self.trace {
            trace.push(exchange);
        }
    }

    pub(super) fn failed(&mut self, failure: Failure) {
        self.requests += 1;
        let count = match failure {
            Failure::Connect => &mut self.failures.connect,
            Failure::Closed => &mut self.failures.closed,
            Failure::Malformed => &mut self.failures.malformed,
            Failure::Timeout => &mut self.failures.timeout,
        };
        *count += 1;
    }

    pub(super) fn result(&self, requests: &[Request], elapsed: Duration, unsent: u64) -> LoadResult {
        let mut result = LoadResult {
            requests: self.requests,
            unsent,
            failures: self.failures,
            seconds: elapsed.as_secs_f64(),
            latency: whole(&self.latency),
            stages: self.latency.iter().map(StageResult::of).collect(),
            trace: self.trace.clone().unwrap_or_default(),
            ..LoadResult::default()
        };
        for (request, by_status) in requests.iter().zip(&self.received) {
            let of_label = result.by_label.entry(request.label.clone()).or_default();
            for (status, count) in by_status {
                result.received += count;
                *result.by_status.entry(*status).or_default() += count;
                *of_label.entry(*status).or_default() += count;
            }
        }
        result
    }
}

fn histogram() -> Histogram<u64> {
    // Nanoseconds in buckets of 0.1 %, from one microsecond to an hour; longer ones count as an
    // hour.
    let bounds = Histogram::new_with_bounds(1_000, 3_600_000_000_000, 3);
    bounds.unwrap_or_else(|_| unreachable!("the bounds are constant and in order"))
}

/// Of all stages together.
fn whole(stages: &[Histogram<u64>]) -> Latency {
    let mut sum = histogram();
    for stage in stages {
        // They all have the same bounds.
        let _ = sum.add(stage);
    }
    Latency::of(&sum)
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        let micros = |nanos: u64| nanos as f64 / 1_000.0;
        let quantile = |quantile| micros(histogram.value_at_quantile(quantile));
        if histogram.is_empty() {
            return Self::default();
        }
        Self { p50_us: quantile(0.50), p90_us: quantile(0.90), p99_us: quantile(0.99), max_us: micros(histogram.max()) }
    }
}

impl StageResult {
    fn of(histogram: &Histogram<u64>) -> Self {
        Self { received: histogram.len(), latency: Latency::of(histogram) }
    }
}
