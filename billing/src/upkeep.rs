//! What has to be done now and then for the store to stay quick: partitions for the days to come.

use std::{sync::Arc, time::Duration};

use common::{store::Store, time::Clock};

/// Days for which partitions are made ahead: nobody has to notice a failure at once.
const DAYS_AHEAD: u32 = 7;

const INTERVAL: Duration = Duration::from_hours(1);

/// How soon to try again what failed.
const RETRY_INTERVAL: Duration = Duration::from_mins(1);

/// Makes partitions ahead, now and every hour, for ever. Any number of processes may do so.
pub async fn keep_partitions(store: Store, clock: Arc<dyn Clock>) {
    loop {
        let interval = match store.ensure_partitions(clock.now(), DAYS_AHEAD).await {
            Ok(partitions) => {
                if !partitions.made.is_empty() {
                    tracing::info!(days = partitions.made.len(), moved = partitions.moved, "partitions_made");
                }
                if partitions.unpartitioned > 0 {
                    tracing::warn!(records = partitions.unpartitioned, "records_without_partition");
                }
                INTERVAL
            }
            Err(error) => {
                tracing::warn!(%error, "partitions_not_made");
                RETRY_INTERVAL
            }
        };
        tokio::time::sleep(interval).await;
    }
}
