//! The task between quota cells and the store: draws blocks, gives back what is left.

use std::{sync::Arc, time::Duration};

use common::{
    store::{Store, StoreError},
    time::{Clock as _, SystemClock},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

use super::{QuotaBook, QuotaCell};
use crate::{limit::Clock, lock::locked, outage::Outage};

/// Draws under way at once: enough to hide a slow store, few enough not to drown it.
const DRAWS_AT_ONCE: usize = 16;

/// How often months that have passed are looked for.
const RETIRE_EVERY: Duration = Duration::from_secs(10);

/// How long the last refunds may take at shutdown.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);

/// The task that draws quota from the store ahead of demand and gives back what is left.
pub struct QuotaKeeper {
    book: Arc<QuotaBook>,
    store: Store,
    clock: Clock,
    outage: Arc<Outage>,
}

impl QuotaKeeper {
    /// A keeper of the catalog's quotas (`catalog.quotas()`).
    pub fn new(book: Arc<QuotaBook>, store: Store) -> Self {
        Self { book, store, clock: Clock::default(), outage: Arc::new(Outage::new("quota")) }
    }

    /// Draws and refunds until `shutdown` turns true, then gives back what is in hand. Requests should have ended by
    /// then: units that one of them returns later are stranded until the month ends.
    pub async fn run(self, shutdown: watch::Receiver<bool>) {
        let (draws, ()) = tokio::join!(self.draw_until(shutdown.clone()), self.retire_until(shutdown));
        let deadline = Instant::now() + SHUTDOWN_DEADLINE;
        if timeout_at(deadline, self.give_back_all(draws)).await.is_err() {
            tracing::warn!(event = "quota_refund_timed_out", consequence = "units stranded until the month ends");
        }
    }

    async fn draw_until(&self, mut shutdown: watch::Receiver<bool>) -> JoinSet<()> {
        let mut draws = JoinSet::new();
        loop {
            self.start_draws(&mut draws);
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => return draws,
                () = self.book.errands.wake.notified() => {}
                Some(_) = draws.join_next() => {}
            }
        }
    }

    async fn retire_until(&self, mut shutdown: watch::Receiver<bool>) {
        let mut ticks = interval(RETIRE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => return,
                _ = ticks.tick() => {}
            }
            self.book.retire_past(SystemClock.now());
            let retired = std::mem::take(&mut *locked(&self.book.errands.retired));
            for cell in retired {
                self.balance(&cell).await;
                // Requests that are still under way may return units.
                if Arc::strong_count(&cell) > 1 {
                    locked(&self.book.errands.retired).push(cell);
                }
            }
        }
    }

    fn start_draws(&self, draws: &mut JoinSet<()>) {
        while draws.len() < DRAWS_AT_ONCE {
            let Some(cell) = locked(&self.book.errands.draw).pop_front() else {
                return;
            };
            // Never cancelled: the store may have granted what nobody would then spend.
            draws.spawn(draw(cell, self.store.clone(), self.clock.clone(), Arc::clone(&self.outage)));
        }
    }

    async fn give_back_all(&self, mut draws: JoinSet<()>) {
        while draws.join_next().await.is_some() {}
        for cell in self.book.cells() {
            self.balance(&cell).await;
        }
    }

    /// Refunds what is in hand, or draws for the debt as far as the limit allows.
    async fn balance(&self, cell: &QuotaCell) {
        let in_hand = cell.empty();
        let units = in_hand.unsigned_abs();
        let now = SystemClock.now();
        let outcome = match in_hand {
            0 => return,
            1.. => self.store.refund_quota(cell.tenant(), cell.meter(), cell.period(), units, now).await,
            _ => self
                .store
                .draw_quota(cell.tenant(), cell.meter(), cell.period(), cell.limit(), units, now)
                .await
                .map(|_| ()),
        };
        let Err(error) = outcome else {
            return;
        };
        let kept = surely_not_applied(&error);
        if kept {
            cell.put_back(in_hand);
        }
        tracing::warn!(
            event = "quota_balance_failed", tenant = %cell.tenant(), meter = cell.meter(), period = %cell.period(),
            units = in_hand, kept, %error,
        );
    }
}

async fn draw(cell: Arc<QuotaCell>, store: Store, clock: Clock, outage: Arc<Outage>) {
    let wanted = cell.block(clock.nanos());
    let now = SystemClock.now();
    match store.draw_quota(cell.tenant(), cell.meter(), cell.period(), cell.limit(), wanted, now).await {
        Ok(granted) => {
            outage.over();
            cell.granted(granted, wanted, clock.nanos());
        }
        Err(error) => {
            outage.failed(&error);
            cell.failed(clock.nanos());
        }
    }
}

/// A refund is not repeated unless it certainly did not happen: twice given back would be granted twice.
const fn surely_not_applied(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable { .. } | StoreError::ReadOnly(_) | StoreError::Locked(_))
}
