//! Reports the last use of keys to the store once a minute. A request writes one number in memory,
//! once a minute and key, and nothing else.

use std::{sync::Arc, time::Duration};

use common::{
    id::KeyId,
    store::{Store, StoreError},
    time::{Clock as _, Micros, SystemClock},
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{entry::minute, memory::Catalog};
use crate::outage::Outage;

const REPORT_EVERY: Duration = Duration::from_mins(1);

/// Keys in one transaction of the store.
const KEYS_AT_ONCE: usize = 500;

/// Longest time for one transaction.
const REPORT_TIMEOUT: Duration = Duration::from_secs(20);

/// Longest time for the last report.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("store did not answer in time")]
    Timeout(#[from] tokio::time::error::Elapsed),
}

impl Catalog {
    /// Reports once a minute when keys were last used, until `shutdown` turns true, and then once
    /// more.
    pub async fn report_use(self: Arc<Self>, store: Store, mut shutdown: watch::Receiver<bool>) {
        let outage = Outage::new("last use of keys");
        let mut since = 1;
        let mut ticks = interval(REPORT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let ends = tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => true,
                _ = ticks.tick() => false,
            };
            // What is used from now on in this minute is reported with the next.
            let next = minute(SystemClock.now());
            let report = async {
                self.schema.check()?;
                self.report_used_since(&store, since).await
            };
            let outcome = if ends {
                timeout(SHUTDOWN_DEADLINE, report).await.unwrap_or_else(|elapsed| Err(elapsed.into()))
            } else {
                report.await
            };
            match outcome {
                Ok(()) => {
                    outage.over();
                    since = next;
                }
                Err(ReportError::Store(error)) if error.is_unreachable() => self.store_outage.failed(&error),
                Err(error) => outage.failed(&error),
            }
            if ends {
                return;
            }
        }
    }

    async fn report_used_since(&self, store: &Store, since: u32) -> Result<(), ReportError> {
        for keys in self.used_since(since).chunks(KEYS_AT_ONCE) {
            timeout(REPORT_TIMEOUT, store.touch_keys(keys)).await??;
        }
        Ok(())
    }

    /// Keys that were accepted in this minute or later.
    fn used_since(&self, since: u32) -> Vec<(KeyId, Micros)> {
        let used = self.keys.iter().filter(|entry| entry.used_minute() >= since);
        used.map(|entry| (entry.id, Micros(i64::from(entry.used_minute()) * Micros::PER_MINUTE))).collect()
    }
}
