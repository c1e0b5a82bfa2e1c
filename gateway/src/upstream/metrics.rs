//! Gauges and counters of upstreams.
//!
//! Gauges are read from the upstreams in force whenever somebody asks: an upstream or an address
//! that is gone leaves no series behind.

use std::sync::Arc;

use prometheus::{
    IntCounterVec, IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::{Upstream, cause};
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
    let desc = families.all().iter().flat_map(|family| family.desc().into_iter().cloned()).collect();
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
        families.all().iter().flat_map(|family| family.collect()).collect()
    }
}

impl Families {
    fn new() -> prometheus::Result<Self> {
        let gauges = |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
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
        })
    }

    const fn all(&self) -> [&IntGaugeVec; 4] {
        [&self.servers, &self.healthy, &self.up, &self.unresolved]
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
            set(&self.up, &[name, &state.server, &state.address.to_string()], usize::from(state.up));
        }
    }
}
