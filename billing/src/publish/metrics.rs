//! Metrics of publishing: how far other systems are behind.

use prometheus::{IntCounter, IntGauge, Registry, core::Collector};

/// Counters of what is published.
#[derive(Debug, Clone)]
pub struct PublishMetrics {
    pub(super) published: IntCounter,
    pub(super) pending: IntGauge,
    pub(super) lag_seconds: IntGauge,
    pub(super) down: IntGauge,
}

impl PublishMetrics {
    /// Metrics that `registry` collects.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| registered(registry, IntGauge::new(name, help)?);
        Ok(Self {
            published: registered(
                registry,
                IntCounter::new("tollgate_changes_published_total", "Changes that this process has published")?,
            )?,
            pending: gauge("tollgate_changes_pending", "Changes that are not published yet")?,
            lag_seconds: gauge("tollgate_changes_lag_seconds", "Age of the oldest change that is not published yet")?,
            down: gauge("tollgate_changes_down", "1 while changes cannot be published")?,
        })
    }
}

fn registered<M: Collector + Clone + 'static>(registry: &Registry, metric: M) -> Result<M, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
