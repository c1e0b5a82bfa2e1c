//! Gauges and counters of upstreams.
//!
//! Gauges are read from the upstreams in force whenever somebody asks: an upstream or an address
//! that is gone leaves no series behind.

use std::sync::{Arc, atomic::Ordering};

use prometheus::{
    IntCounterVec, IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::{BreakerState, Upstream, cause, window::now_ms};
use crate::metrics;

/// Returns the upstreams in force; none once the gateway is gone.
type InForce = Box<dyn Fn() -> Vec<Arc<Upstream>> + Send + Sync>;

/// Counts connections to servers that could not be made.
pub(crate) struct ConnectFailures(IntCounterVec);

struct Gauges {
    in_force: InForce,
    desc: Vec<Desc>,
}

/// The families of one scrape.
struct Families {
    servers: IntGaugeVec,
    healthy: IntGaugeVec,
    up: IntGaugeVec,
    unresolved: IntGaugeVec,
    ejected: IntGaugeVec,
    ejections: IntCounterVec,
    retries: IntCounterVec,
    retries_denied: IntCounterVec,
    breaker: IntGaugeVec,
    breaker_opened: IntCounterVec,
    breaker_refused: IntCounterVec,
}

impl ConnectFailures {
    pub(crate) fn new() -> Self {
        Self(metrics::counters(
            "tollgate_upstream_connect_failures_total",
            "Connections for requests that could not be made, by what went wrong: timeout, refused, no_route, tls, other",
            &["upstream", "kind"],
        ))
    }

    pub(crate) fn count(&self, upstream: &Upstream, error: &pingora_core::Error) {
        self.0.with_label_values(&[&upstream.settings().name, cause::kind(error)]).inc();
    }
}

/// Shows the upstreams in force in `/metrics`.
pub(crate) fn register_gauges(in_force: impl Fn() -> Vec<Arc<Upstream>> + Send + Sync + 'static) {
    let Ok(families) = Families::new() else { return };
    let desc = families.all().into_iter().flat_map(|family| family.desc().into_iter().cloned()).collect();
    // A second gateway in one process (in tests) is not shown.
    let _ = prometheus::default_registry().register(Box::new(Gauges { in_force: Box::new(in_force), desc }));
}

impl Collector for Gauges {
    fn desc(&self) -> Vec<&Desc> {
        self.desc.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(families) = Families::new() else { return Vec::new() };
        for upstream in (self.in_force)() {
            families.add(&upstream);
        }
        families.all().into_iter().flat_map(Collector::collect).collect()
    }
}

impl Families {
    fn new() -> prometheus::Result<Self> {
        let gauges = |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
        let counters = |name: &str, help: &str| IntCounterVec::new(Opts::new(name, help), &["upstream"]);
        Ok(Self {
            servers: gauges(
                "tollgate_upstream_servers",
                "Servers of an upstream; a name counts once for each of its addresses, and once if it has none",
                &["upstream"],
            )?,
            healthy: gauges("tollgate_upstream_servers_healthy", "Servers whose checks succeed", &["upstream"])?,
            up: gauges(
                "tollgate_upstream_server_up",
                "1 if the checks of a server's address succeed",
                &["upstream", "server", "address"],
            )?,
            unresolved: gauges(
                "tollgate_upstream_names_unresolved",
                "Names of servers whose last look-up failed",
                &["upstream"],
            )?,
            ejected: gauges(
                "tollgate_upstream_server_ejected",
                "1 if a server's address is left out because its requests failed",
                &["upstream", "server", "address"],
            )?,
            ejections: counters("tollgate_upstream_ejections_total", "Ejections of servers whose requests failed")?,
            retries: counters(
                "tollgate_upstream_retries_total",
                "Requests that a server had got and that were tried again",
            )?,
            retries_denied: counters(
                "tollgate_upstream_retries_denied_total",
                "Requests that were not tried again, as the retry budget was used up",
            )?,
            breaker: gauges(
                "tollgate_upstream_breaker_state",
                "State of the circuit breaker: 0 closed, 1 half open, 2 open",
                &["upstream"],
            )?,
            breaker_opened: counters(
                "tollgate_upstream_breaker_opened_total",
                "Times that the circuit breaker opened",
            )?,
            breaker_refused: counters(
                "tollgate_upstream_breaker_refused_total",
                "Requests that the circuit breaker refused",
            )?,
        })
    }

    fn all(&self) -> [&dyn Collector; 11] {
        [
            &self.servers,
            &self.healthy,
            &self.up,
            &self.unresolved,
            &self.ejected,
            &self.ejections,
            &self.retries,
            &self.retries_denied,
            &self.breaker,
            &self.breaker_opened,
            &self.breaker_refused,
        ]
    }

    fn add(&self, upstream: &Upstream) {
        let (health, name) = (upstream.health(), &*upstream.settings().name);
        let set = |gauge: &IntGaugeVec, labels: &[&str], value: usize| {
            gauge.with_label_values(labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.servers, &[name], health.servers);
        set(&self.healthy, &[name], health.healthy);
        set(&self.unresolved, &[name], upstream.unresolved_names());
        for state in upstream.address_states() {
            let labels = [name, &state.server, &state.address.to_string()];
            set(&self.up, &labels, usize::from(state.up));
            set(&self.ejected, &labels, usize::from(state.ejected));
        }
        self.add_counts(upstream);
    }

    fn add_counts(&self, upstream: &Upstream) {
        let (shared, name) = (upstream.shared(), &*upstream.settings().name);
        let count = |counter: &IntCounterVec, value: u64| counter.with_label_values(&[name]).inc_by(value);
        count(&self.ejections, shared.ejections.load(Ordering::Relaxed));
        count(&self.retries, shared.retries.load(Ordering::Relaxed));
        count(&self.retries_denied, shared.retries_denied.load(Ordering::Relaxed));
        if upstream.settings().breaker.is_none() {
            return;
        }
        let state = match shared.breaker.state(now_ms()) {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        };
        self.breaker.with_label_values(&[name]).set(state);
        count(&self.breaker_opened, shared.breaker.opened());
        count(&self.breaker_refused, shared.breaker.refused());
    }
}
