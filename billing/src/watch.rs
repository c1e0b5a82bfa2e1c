//! The state of store and books as gauges, looked at all the time: what an operator has to act on
//! shows before anybody asks.

use std::time::{Duration, Instant};

use common::{
    payment::AttemptStatus,
    store::{Store, StoreError},
    time::{Clock as _, Micros, SystemClock},
};
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

/// Interval between pings of the store.
const STORE_INTERVAL: Duration = Duration::from_secs(1);

/// Longest that the store may take to answer before it counts as down.
const STORE_TIME_LIMIT: Duration = Duration::from_secs(2);

/// Interval between counts of gaps and dead letters.
const BOOKS_INTERVAL: Duration = Duration::from_secs(5);

/// Interval between looks at the money.
const MONEY_INTERVAL: Duration = Duration::from_secs(15);

/// Age of the oldest attempt to collect a payment that counts.
const ATTEMPTS_AGE: Duration = Duration::from_hours(24);

/// Watches a store.
pub struct Watch {
    store: Store,
    store_down: IntGauge,
    open_gaps: IntGauge,
    lost_lives: IntGauge,
    dead_letters: IntGauge,
    money: Money,
}

/// Gauges about invoices and payments.
struct Money {
    attempts: IntGaugeVec,
    unhandled_events: IntGauge,
    unpaid_tenants: IntGauge,
    last_finalized: IntGauge,
}

impl Watch {
    /// A watch over `store`, with gauges that `registry` collects.
    pub fn new(store: Store, registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let attempts = IntGaugeVec::new(
            Opts::new(
                "tollgate_payment_attempts_recent",
                "Attempts to collect payments that began within 24 hours, of the last 1,000, by status",
            ),
            &["status"],
        )?;
        registry.register(Box::new(attempts.clone()))?;
        let money = Money {
            attempts,
            unhandled_events: gauge(
                "tollgate_payment_events_unhandled",
                "Events that payment providers have told and that are not handled yet",
            )?,
            unpaid_tenants: gauge("tollgate_unpaid_tenants", "Tenants that are refused because of an unpaid invoice")?,
            last_finalized: gauge(
                "tollgate_invoices_last_finalized_timestamp_seconds",
                "Unix time at which the last invoice was finalized; 0 without an invoice",
            )?,
        };
        Ok(Self {
            store,
            money,
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
        tokio::join!(self.watch_store(), self.watch_books(), self.watch_money());
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

    async fn watch_money(&self) {
        loop {
            if let Err(error) = self.look_at_money().await {
                tracing::debug!(event = "money_not_counted", %error);
            }
            tokio::time::sleep(MONEY_INTERVAL).await;
        }
    }

    async fn look_at_money(&self) -> Result<(), StoreError> {
        let age = i64::try_from(ATTEMPTS_AGE.as_micros()).unwrap_or(i64::MAX);
        let figures = self.store.money_figures(Micros(SystemClock.now().0.saturating_sub(age))).await?;
        for status in AttemptStatus::ALL {
            let attempts = figures.attempts.get(&status).copied().unwrap_or_default();
            self.money.attempts.with_label_values(&[status.as_str()]).set(signed(attempts));
        }
        self.money.unhandled_events.set(signed(figures.unhandled_events));
        self.money.unpaid_tenants.set(signed(figures.unpaid_tenants));
        self.money.last_finalized.set(figures.last_finalized.map_or(0, |at| at.0 / 1_000_000));
        Ok(())
    }

    async fn count_open(&self) -> Result<(), StoreError> {
        self.open_gaps.set(signed(self.store.open_gap_count().await?));
        self.lost_lives.set(signed(self.store.lost_life_count().await?));
        self.dead_letters.set(signed(self.store.dead_letter_count().await?));
        Ok(())
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
