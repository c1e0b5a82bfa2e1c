//! How many messages of each partition are still to be booked.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::KafkaMetrics;

/// How far the partitions of this process are booked, and how far they go.
#[derive(Debug)]
pub(super) struct Lag {
    positions: Mutex<BTreeMap<i32, i64>>,
    metrics: KafkaMetrics,
}

impl Lag {
    pub(super) const fn new(metrics: KafkaMetrics) -> Self {
        Self { positions: Mutex::new(BTreeMap::new()), metrics }
    }

    /// A partition is booked up to `position`.
    pub(super) fn booked(&self, partition: i32, position: i64) {
        self.lock().insert(partition, position);
    }

    /// A partition ends at `end` and begins at `start`, if it is still ours.
    pub(super) fn observe(&self, partition: i32, start: i64, end: i64) {
        // The lock is held so that a partition that goes meanwhile does not come back as a metric.
        let positions = self.lock();
        if let Some(position) = positions.get(&partition) {
            let lag = end.saturating_sub(start.max(*position)).max(0);
            self.metrics.lag.with_label_values(&[partition.to_string()]).set(lag);
        }
    }

    /// A partition is no longer ours.
    pub(super) fn forget(&self, partition: i32) {
        let mut positions = self.lock();
        positions.remove(&partition);
        // Without it there was nothing to show yet.
        let _ = self.metrics.lag.remove_label_values(&[partition.to_string()]);
    }

    /// The partitions of this process.
    pub(super) fn partitions(&self) -> Vec<i32> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i32, i64>> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};

    use super::*;

    #[test]
    fn the_lag_of_a_partition_is_shown_while_it_is_ours() {
        let registry = Registry::new();
        let lag = Lag::new(KafkaMetrics::register(&registry).unwrap());
        let shown = || {
            let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            text.lines().filter(|line| line.starts_with("tollgate_ingest_lag_messages{")).collect::<String>()
        };
        lag.observe(3, 0, 10);
        assert_eq!(shown(), "");
        lag.booked(3, 4);
        lag.observe(3, 0, 10);
        assert_eq!(shown(), "tollgate_ingest_lag_messages{partition=\"3\"} 6");
        lag.observe(3, 8, 10);
        assert_eq!(shown(), "tollgate_ingest_lag_messages{partition=\"3\"} 2");
        lag.forget(3);
        assert_eq!(shown(), "");
    }
}
