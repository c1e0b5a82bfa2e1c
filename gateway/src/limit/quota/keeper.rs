//! The keeper: the task that draws blocks of units from the store for the cells, and gives unneeded
//! units back.

use std::{sync::Arc, time::Duration};

use common::{
    limit::Clock,
    quota::{QuotaDraw, QuotaHolder, QuotaRefund},
    store::{Store, StoreError},
    time::{Clock as _, SystemClock},
};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use super::{book::QuotaBook, cell::QuotaCell};
use crate::{lock::locked, outage::Outage, schema::SchemaFit};

/// Cells served by one transaction: enough to keep up with many tenants at once, few enough that
/// none waits for long.
const CELLS_AT_ONCE: usize = 64;

/// Time between two looks for unneeded units and past months.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(10);

/// Longest time for the last refunds at shutdown.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);

/// Draws units from the store ahead of demand and gives back what is left.
pub struct QuotaKeeper {
    book: Arc<QuotaBook>,
    store: Store,
    holder: QuotaHolder,
    clock: Clock,
    outage: Outage,
    store_outage: Option<Arc<Outage>>,
    schema: Option<Arc<SchemaFit>>,
}

impl QuotaKeeper {
    /// Makes a keeper of the catalog's quotas (`catalog.quotas()`) that draws for this life of the
    /// gateway.
    pub fn new(book: Arc<QuotaBook>, store: Store, holder: QuotaHolder) -> Self {
        let (clock, outage) = (Clock::default(), Outage::new("quota"));
        Self { book, store, holder, clock, outage, store_outage: None, schema: None }
    }

    /// Logs outages of the store through `store_outage`, which other tasks share: one line for all
    /// of them.
    pub(crate) fn with_store_outage(self, store_outage: Arc<Outage>) -> Self {
        Self { store_outage: Some(store_outage), ..self }
    }

    /// Writes to the store only while its schema is known.
    pub(crate) fn with_schema(self, schema: Arc<SchemaFit>) -> Self {
        Self { schema: Some(schema), ..self }
    }

    fn may_write(&self) -> Result<(), StoreError> {
        self.schema.as_ref().map_or(Ok(()), |schema| schema.check())
    }

    /// Draws and refunds until `shutdown` turns true, then gives the units in hand back. Requests
    /// should have ended by then: units that one of them returns later go back once the journal of
    /// this life was recovered.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        // Not at once: what the first requests drew would go back before it could be needed.
        let mut ticks = interval_at(Instant::now() + GIVE_BACK_EVERY, GIVE_BACK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let draws = tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => break,
                _ = ticks.tick() => false,
                () = self.book.queue.wake.notified() => true,
            };
            // Never cancelled half-way: the store may have granted units that nobody would then
            // spend.
            if draws {
                self.draw_queued().await;
            } else {
                self.give_back_unneeded().await;
            }
        }
        if timeout(SHUTDOWN_DEADLINE, self.balance(&self.book.cells())).await.is_err() {
            tracing::warn!(event = "quota_refund_timed_out", consequence = "units go back after the next start");
        }
    }

    /// Draws for the cells that have waited longest, in one transaction.
    async fn draw_queued(&self) {
        let cells: Vec<_> = {
            let mut queue = locked(&self.book.queue.draw);
            let count = queue.len().min(CELLS_AT_ONCE);
            let first = queue.drain(..count).collect();
            if !queue.is_empty() {
                self.book.queue.wake.notify_one();
            }
            first
        };
        let nanos = self.clock.nanos();
        let draw = |cell: &'_ Arc<QuotaCell>| {
            let beyond = cell.take_debt();
            (cell.block(nanos), beyond)
        };
        let units: Vec<_> = cells.iter().map(draw).collect();
        let draws: Vec<_> =
            cells.iter().zip(units).map(|(cell, (wanted, beyond))| draw_of(cell, wanted, beyond)).collect();
        let outcome = match self.may_write() {
            Ok(()) => self.store.draw_quotas(&self.holder, &draws, SystemClock.now()).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(grants) => {
                self.outage.over();
                for ((cell, draw), grant) in cells.iter().zip(&draws).zip(grants) {
                    cell.granted(grant, draw.wanted, self.clock.nanos());
                    // A debt may have come up meanwhile.
                    cell.report_debt();
                }
            }
            Err(error) => {
                match &self.store_outage {
                    Some(store) if error.is_unreachable() => store.failed(&error),
                    _ => self.outage.failed(&error),
                }
                for (cell, draw) in cells.iter().zip(&draws) {
                    // If the store recorded the debt after all, it is corrected when the lease of
                    // this life is closed.
                    cell.put_debt_back(draw.beyond);
                    cell.failed(self.clock.nanos());
                }
            }
        }
    }

    /// Gives units back that no request has needed lately, so that other gateways can use them, and
    /// all units of past months.
    async fn give_back_unneeded(&self) {
        self.book.retire_past(SystemClock.now());
        if self.may_write().is_err() {
            return;
        }
        self.book.current().iter().for_each(QuotaCell::report_debt);
        let surplus: Vec<_> = self.book.current().into_iter().map(|cell| (cell.take_surplus(), cell)).collect();
        self.refund(surplus.into_iter().filter(|(units, _)| *units > 0).collect()).await;
        let retired = std::mem::take(&mut *locked(&self.book.queue.retired));
        self.balance(&retired).await;
        // Requests that have not ended may still return units.
        let in_use = retired.into_iter().filter(|cell| Arc::strong_count(cell) > 1);
        locked(&self.book.queue.retired).extend(in_use);
    }

    /// Refunds the units in hand, or reports the debt to the store.
    async fn balance(&self, cells: &[Arc<QuotaCell>]) {
        if self.may_write().is_err() {
            return;
        }
        let (mut refunds, mut debts) = (Vec::new(), Vec::new());
        for cell in cells {
            match cell.empty() {
                0 => {}
                units @ 1.. => refunds.push((units.unsigned_abs(), Arc::clone(cell))),
                debt => debts.push(draw_of(cell, 0, debt.unsigned_abs())),
            }
        }
        self.refund(refunds).await;
        for draws in debts.chunks(CELLS_AT_ONCE) {
            // A debt that is not reported now is found when all usage of this life is booked.
            if let Err(error) = self.store.draw_quotas(&self.holder, draws, SystemClock.now()).await {
                tracing::warn!(event = "quota_debt_not_reported", quotas = draws.len(), %error);
            }
        }
    }

    /// Refunds units that were taken out of cells.
    async fn refund(&self, units: Vec<(u64, Arc<QuotaCell>)>) {
        for units in units.chunks(CELLS_AT_ONCE) {
            let refunds: Vec<_> = units.iter().map(|(unused, cell)| refund_of(cell, *unused)).collect();
            let Err(error) = self.store.refund_quotas(&self.holder.life, &refunds, SystemClock.now()).await else {
                continue;
            };
            let kept = surely_not_applied(&error);
            if kept {
                for (unused, cell) in units {
                    cell.add(*unused);
                }
            }
            tracing::warn!(event = "quota_refund_failed", quotas = refunds.len(), kept, %error);
        }
    }
}

fn draw_of(cell: &QuotaCell, wanted: u64, beyond: u64) -> QuotaDraw<'_> {
    let (tenant, meter, source, limit) = (cell.tenant(), cell.meter(), cell.source(), cell.limit());
    QuotaDraw { tenant, meter, source, limit, wanted, beyond }
}

fn refund_of(cell: &QuotaCell, unused: u64) -> QuotaRefund<'_> {
    QuotaRefund { tenant: cell.tenant(), meter: cell.meter(), source: cell.source(), unused }
}

/// Returns true if the refund certainly did not happen. Only then is it repeated: units refunded
/// twice would be granted twice. Units that are given up here go back once all usage of this life
/// is booked.
const fn surely_not_applied(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable { .. } | StoreError::ReadOnly(_) | StoreError::Locked(_))
}
