//! Metrics of the way from Kafka to the store; [`crate::ingest::IngestMetrics`] counts batches.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, IntGaugeVec, Opts, Registry, core::Collector};

/// Counters of the way from Kafka to the store.
#[derive(Debug, Clone)]
pub struct KafkaMetrics {
    pub(super) lost_messages: IntCounter,
    pub(super) positions_moved: IntCounter,
    pub(super) store_outages: IntCounter,
    pub(super) store_down: IntGauge,
    pub(super) kafka_outages: IntCounter,
    pub(super) lag: IntGaugeVec,
    pub(super) transaction_seconds: Histogram,
}

impl KafkaMetrics {
    /// Metrics that `registry` collects.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| registered(registry, IntCounter::new(name, help)?);
        Ok(Self {
            lost_messages: counter(
                "tollgate_ingest_lost_messages_total",
                "Messages deleted from the topic before they were booked",
            )?,
            positions_moved: counter(
                "tollgate_ingest_positions_moved_total",
                "Transactions given up because another process had booked the same messages",
            )?,
            store_outages: counter(
                "tollgate_ingest_store_outages_total",
                "Times that the store began to refuse or not to answer",
            )?,
            store_down: registered(
                registry,
                IntGauge::new("tollgate_ingest_store_down", "1 while the store refuses or does not answer")?,
            )?,
            kafka_outages: counter(
                "tollgate_ingest_kafka_outages_total",
                "Times that Kafka began not to answer or not to have the topic",
            )?,
            lag: registered(
                registry,
                IntGaugeVec::new(
                    Opts::new("tollgate_ingest_lag_messages", "Messages of a partition that are not booked yet"),
                    &["partition"],
                )?,
            )?,
            transaction_seconds: registered(
                registry,
                Histogram::with_opts(HistogramOpts::new(
                    "tollgate_ingest_transaction_seconds",
                    "Time that the store took to book one transaction",
                ))?,
            )?,
        })
    }
}

fn registered<M: Collector + Clone + 'static>(registry: &Registry, metric: M) -> Result<M, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
