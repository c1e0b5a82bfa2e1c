//! Creating metrics in the process-wide registry that `/metrics` shows.
//!
//! A name belongs to one place in the code. Asking for it a second time (two gateways in one test
//! process) gives a metric that counts but is not shown.

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, core::Collector,
    default_registry,
};

/// Counters, one per combination of label values.
pub fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    registered(IntCounterVec::new(Opts::new(name, help), labels))
}

/// A counter.
pub fn counter(name: &str, help: &str) -> IntCounter {
    registered(IntCounter::new(name, help))
}

/// A gauge.
pub fn gauge(name: &str, help: &str) -> IntGauge {
    registered(IntGauge::new(name, help))
}

/// Gauges, one per combination of label values.
pub fn gauges(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    registered(IntGaugeVec::new(Opts::new(name, help), labels))
}

/// Histograms, one per combination of label values.
pub fn histograms(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
    registered(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
}

#[expect(clippy::expect_used, reason = "names and labels are constants of this program, exercised by every start")]
fn registered<C: Collector + Clone + 'static>(metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("metric is well-formed");
    let _ = default_registry().register(Box::new(metric.clone()));
    metric
}
