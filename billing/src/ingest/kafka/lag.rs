//! The lag of each partition: messages still to be booked, whichever process has the partition.
//!
//! Every process tells the lag of the whole topic, so that a partition without a process is seen as
//! well. Alerts take the maximum by partition.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::KafkaMetrics;

/// Up to where the partitions are booked, as known last.
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

    /// Takes over the positions that the store holds.
    pub(super) fn replace(&self, positions: BTreeMap<i32, i64>) {
        *self.lock() = positions;
    }

    /// Shows the lag of all partitions of the topic, by the first and the next message of each.
    pub(super) fn observe(&self, bounds: &BTreeMap<i32, Range<i64>>) {
        let positions = self.lock();
        for (partition, Range { start, end }) in bounds {
            let lag = unbooked(positions.get(partition).copied(), *start, *end);
            self.metrics.lag.with_label_values(&[partition.to_string()]).set(lag);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i32, i64>> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Messages between `position` and `end`. Messages before `start` are gone and not counted.
pub(crate) const fn unbooked(position: Option<i64>, start: i64, end: i64) -> i64 {
    let next = match position {
        Some(position) if position > start => position,
        _ => start,
    };
    if end > next { end - next } else { 0 }
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};

    use super::*;

    #[test]
    fn lag_is_shown_for_partitions_that_no_process_has() {
        let registry = Registry::new();
        let lag = Lag::new(KafkaMetrics::register(&registry).unwrap());
        let shown = || {
            let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            text.lines().filter(|line| line.starts_with("tollgate_ingest_lag_messages{")).collect::<String>()
        };
        lag.observe(&BTreeMap::from([(3, 0..10)]));
        assert_eq!(shown(), "tollgate_ingest_lag_messages{partition=\"3\"} 10");
        lag.booked(3, 4);
        lag.observe(&BTreeMap::from([(3, 0..10)]));
        assert_eq!(shown(), "tollgate_ingest_lag_messages{partition=\"3\"} 6");
        lag.replace(BTreeMap::from([(3, 9)]));
        lag.observe(&BTreeMap::from([(3, 0..10)]));
        assert_eq!(shown(), "tollgate_ingest_lag_messages{partition=\"3\"} 1");
    }

    #[test]
    fn deleted_or_booked_messages_are_no_lag() {
        for (position, start, end, expected) in
            [(None, 0, 0, 0), (None, 5, 10, 5), (Some(4), 0, 10, 6), (Some(4), 8, 10, 2), (Some(12), 0, 10, 0)]
        {
            assert_eq!(unbooked(position, start, end), expected, "{position:?} {start} {end}");
        }
    }
}
