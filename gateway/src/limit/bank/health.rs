//! The state of the bank: which shards answer, and what became of lost data. Logged and counted
//! when it changes.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use serde::Serialize;
use tokio::sync::Notify;

use super::{
    SHARDS,
    call::Call,
    draw::{Answer, Loss},
    error::BankError,
    metrics::BankMetrics,
};
use crate::{lock::locked, outage::Outage};

/// The state of the bank, as this gateway sees it.
pub(super) struct Health {
    shards: Box<[ShardHealth]>,
    shards_away: AtomicUsize,
    /// Shards that were tried at least once.
    shards_tried: AtomicUsize,
    all_tried: Notify,
    gateways: AtomicU64,
    outage: Outage,
    /// The last failure: its kind and its text.
    problem: Mutex<Option<(&'static str, String)>>,
    metrics: BankMetrics,
}

struct ShardHealth {
    is_away: AtomicBool,
    /// State of its last loss of data.
    loss: Mutex<Loss>,
}

/// State of the bank, for operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BankReport {
    /// True if every limit is shared with the other gateways now; if not, this gateway admits its
    /// share alone.
    pub shared: bool,
    /// Shards of the bank that are away.
    pub shards_away: usize,
    /// Gateways that the bank knew of when it last answered.
    pub gateways: u64,
    /// Shards that lost their data and ask the gateways for what they know. Until then their limits
    /// refill from empty.
    #[serde(skip_serializing_if = "is_zero")]
    pub shards_restoring: usize,
    /// Shards whose data could not be restored: their limits refill from empty, which takes up to a
    /// day.
    #[serde(skip_serializing_if = "is_zero")]
    pub shards_refilling: usize,
    /// The last failure, while any shard is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Health {
    pub(super) fn new() -> Self {
        let shard = || ShardHealth { is_away: AtomicBool::new(true), loss: Mutex::default() };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            shards_away: AtomicUsize::new(SHARDS),
            shards_tried: AtomicUsize::new(0),
            all_tried: Notify::new(),
            gateways: AtomicU64::new(0),
            outage: Outage::new("token bank"),
            problem: Mutex::new(None),
            metrics: BankMetrics::new(),
        }
    }

    /// Counts a client request that waits for an answer.
    pub(super) fn count_wait(&self) {
        self.metrics.waits.inc();
    }

    /// Waits until every shard has answered or failed to.
    pub(super) async fn tried(&self) {
        let mut tried = std::pin::pin!(self.all_tried.notified());
        tried.as_mut().enable();
        if self.shards_tried.load(Ordering::Acquire) < SHARDS {
            tried.await;
        }
    }

    pub(super) fn report(&self) -> BankReport {
        let shards_away = self.shards_away.load(Ordering::Acquire);
        let problem = locked(&self.problem).as_ref().map(|(_, problem)| problem.clone());
        let gateways = self.gateways.load(Ordering::Acquire);
        let shards_in = |state| self.shards.iter().filter(|shard| *locked(&shard.loss) == state).count();
        BankReport {
            shared: shards_away == 0,
            shards_away,
            gateways,
            shards_restoring: shards_in(Loss::Asking),
            shards_refilling: shards_in(Loss::Refilling),
            problem,
        }
    }

    /// Takes what a shard's answer says about its last loss of data.
    pub(super) fn set_loss(&self, shard: usize, loss: Loss) {
        let before = std::mem::replace(&mut *locked(&self.shards[shard].loss), loss);
        if before == loss {
            return;
        }
        let label = shard.to_string();
        self.metrics.refilling.with_label_values(&[&label]).set(i64::from(loss == Loss::Refilling));
        let report = self.report();
        if loss == Loss::Asking {
            self.metrics.losses.with_label_values(&[&label]).inc();
            if report.shards_restoring == 1 {
                tracing::warn!(
                    event = "bank_data_lost",
                    consequence = "limits refill from empty until every gateway has told what it knows"
                );
            }
        } else if before == Loss::Asking && report.shards_restoring == 0 {
            if report.shards_refilling == 0 {
                tracing::info!(event = "bank_data_restored", consequence = "limits have what was left of them");
            } else {
                tracing::warn!(
                    event = "bank_data_not_restored",
                    shards = report.shards_refilling,
                    reason = "a gateway that was there before the loss has not told what it knows",
                    consequence = "limits refill from empty, those per day for up to a day"
                );
            }
        }
    }

    /// Counts an answered call and its duration.
    pub(super) fn count_answer(&self, call: &Call, answer: &Answer, seconds: f64) {
        self.metrics.trips.inc();
        self.metrics.round_trip.observe(seconds);
        self.metrics.granted.inc_by(call.tokens(answer));
        self.metrics.gateways.set(i64::try_from(answer.gateways).unwrap_or(i64::MAX));
        self.gateways.store(answer.gateways, Ordering::Release);
    }

    /// Marks a shard as back. `is_first` says that it was not tried before.
    pub(super) fn set_back(&self, shard: usize, is_first: bool) {
        if self.shards[shard].is_away.swap(false, Ordering::AcqRel) {
            self.metrics.away.with_label_values(&[&shard.to_string()]).set(0);
            if self.shards_away.fetch_sub(1, Ordering::AcqRel) == 1 {
                *locked(&self.problem) = None;
                self.outage.over();
            }
        }
        self.count_tried(is_first);
    }

    /// Marks a shard as away, for this reason. `is_first` says that it was not tried before.
    pub(super) fn set_away(&self, shard: usize, is_first: bool, error: &BankError) {
        self.metrics.errors.with_label_values(&[error.kind()]).inc();
        if !self.shards[shard].is_away.swap(true, Ordering::AcqRel) {
            self.metrics.away.with_label_values(&[&shard.to_string()]).set(1);
            self.shards_away.fetch_add(1, Ordering::AcqRel);
        }
        self.outage.failed(error);
        let known = locked(&self.problem).replace((error.kind(), error.to_string()));
        if error.is_permanent() && known.is_none_or(|(kind, _)| kind != error.kind()) {
            tracing::error!(
                event = "bank_unusable", kind = error.kind(), %error, consequence = "limits are not shared"
            );
        }
        self.count_tried(is_first);
    }

    fn count_tried(&self, is_first: bool) {
        if is_first && self.shards_tried.fetch_add(1, Ordering::AcqRel) + 1 == SHARDS {
            self.all_tried.notify_waiters();
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}
