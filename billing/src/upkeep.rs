//! Periodic work: partitions for the days to come, and events for tenants whose quotas run out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::{
    quota::thresholds::THRESHOLDS,
    store::{Store, StoreError},
    time::{Clock, Micros},
};
use prometheus::{IntCounterVec, Opts, Registry};

/// Days for which partitions are made ahead: nobody has to notice a failure at once.
const DAYS_AHEAD: u32 = 7;

const INTERVAL: Duration = Duration::from_hours(1);

/// Wait before failed work is tried again.
const RETRY_INTERVAL: Duration = Duration::from_mins(1);

/// Interval between looks at quotas.
const THRESHOLDS_INTERVAL: Duration = Duration::from_secs(5);

/// A look takes at most this part of the time: with many tenants it reads many rows.
const THRESHOLDS_SHARE: u32 = 10;

/// The time after the end of a month in which usage booked late still raises events.
const BOOKED_LATE: i64 = 3_600 * Micros::PER_SECOND;

/// Runs the periodic work.
pub struct Upkeep {
    store: Store,
    clock: Arc<dyn Clock>,
    /// Events raised by this process, by threshold.
    events: IntCounterVec,
}

impl Upkeep {
    /// Upkeep of `store`, with metrics that `registry` collects.
    pub fn new(store: Store, clock: Arc<dyn Clock>, registry: &Registry) -> Result<Self, prometheus::Error> {
        let events = IntCounterVec::new(
            Opts::new(
                "tollgate_usage_threshold_events_total",
                "Quotas of which this many percent were seen to be used",
            ),
            &["percent"],
        )?;
        registry.register(Box::new(events.clone()))?;
        for percent in THRESHOLDS {
            events.with_label_values(&[&percent.to_string()]).inc_by(0);
        }
        Ok(Self { store, clock, events })
    }

    /// Does it all, for ever. Any number of processes may do so.
    pub async fn keep(self) {
        tokio::join!(keep_partitions(self.store.clone(), Arc::clone(&self.clock)), self.keep_thresholds());
    }

    async fn keep_thresholds(&self) {
        loop {
            let start = Instant::now();
            if let Err(error) = self.look_at_quotas().await {
                tracing::warn!(event = "quotas_not_looked_at", %error);
            }
            tokio::time::sleep(THRESHOLDS_INTERVAL.max(start.elapsed() * THRESHOLDS_SHARE)).await;
        }
    }

    async fn look_at_quotas(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        for at in [Micros(now.0.saturating_sub(BOOKED_LATE)), now] {
            for event in self.store.raise_threshold_events(at, now).await? {
                let percent = event.percent.to_string();
                self.events.with_label_values(&[&percent]).inc();
                tracing::info!(
                    event = "usage_threshold_reached",
                    tenant = %event.tenant, meter = event.meter, period = %event.period, percent, used = event.used,
                    limit = event.limit,
                );
            }
        }
        Ok(())
    }
}

/// Makes partitions ahead, now and every hour, for ever.
async fn keep_partitions(store: Store, clock: Arc<dyn Clock>) {
    loop {
        let interval = match store.ensure_partitions(clock.now(), DAYS_AHEAD).await {
            Ok(partitions) => {
                if !partitions.made.is_empty() {
                    tracing::info!(event = "partitions_made", days = partitions.made.len(), moved = partitions.moved);
                }
                if partitions.unpartitioned > 0 {
                    tracing::warn!(event = "records_without_partition", records = partitions.unpartitioned);
                }
                INTERVAL
            }
            Err(error) => {
                tracing::warn!(event = "partitions_not_made", %error);
                RETRY_INTERVAL
            }
        };
        tokio::time::sleep(interval).await;
    }
}
