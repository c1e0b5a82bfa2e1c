//! The state of store and books as gauges, looked at all the time: what an operator has to act on
//! shows before anybody asks.

use std::time::{Duration, Instant};

use common::store::{Store, StoreError};
use prometheus::{IntGauge, Registry};

/// Interval between pings of the store.
const STORE_INTERVAL: Duration = Duration::from_secs(1);

/// Longest that the store may take to answer before it counts as down.
const STORE_TIME_LIMIT: Duration = Duration::from_secs(2);

/// Interval between counts of gaps and dead letters.
const BOOKS_INTERVAL: Duration = Duration::from_secs(5);

/// Watches a store.
pub struct Watch {
    store: Store,
    store_down: IntGauge,
    open_gaps: IntGauge,
    lost_lives: IntGauge,
    dead_letters: IntGauge,
}

impl Watch {
    /// A watch over `store`, with gauges that `registry` collects.
    pub fn new(store: Store, registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        Ok(Self {
            store,
            store_down: gauge("tollgate_store_down", "1 while the store refuses or does not answer")?,
            open_gaps: gauge(
                "tollgate_usage_open_gaps",
                "Gaps in the numbers of streams that are neither filled nor accepted",
            )?,
            lost_lives: gauge(
                "tollgate_usage_lost_lives",
                "Lives of gateways whose journals are gone and that nobody has accepted",
            )?,
            dead_letters: gauge("tollgate_usage_unresolved_dead_letters", "Dead letters that nobody has resolved")?,
        })
    }

    /// Watches for ever.
    pub async fn run(self) {
        tokio::join!(self.watch_store(), self.watch_books());
    }

    async fn watch_store(&self) {
        let mut down_since: Option<Instant> = None;
        loop {
            match (self.store.probe(STORE_TIME_LIMIT).await, down_since) {
                (Ok(()), Some(since)) => {
                    tracing::info!(event = "store_answers_again", seconds = since.elapsed().as_secs());
                    self.store_down.set(0);
                    down_since = None;
                }
                (Err(error), None) => {
                    tracing::error!(event = "store_down", %error);
                    self.store_down.set(1);
                    down_since = Some(Instant::now());
                }
                (Ok(()), None) | (Err(_), Some(_)) => {}
            }
            tokio::time::sleep(STORE_INTERVAL).await;
        }
    }

    async fn watch_books(&self) {
        loop {
            // While the store is down, the gauges keep what was counted last; that it is down is
            // told above.
            if let Err(error) = self.count_open().await {
                tracing::debug!(event = "books_not_counted", %error);
            }
            tokio::time::sleep(BOOKS_INTERVAL).await;
        }
    }

    async fn count_open(&self) -> Result<(), StoreError> {
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.open_gaps.set(gauge(self.store.open_gap_count().await?));
        self.lost_lives.set(gauge(self.store.lost_life_count().await?));
        self.dead_letters.set(gauge(self.store.dead_letter_count().await?));
        Ok(())
    }
}
