//! The bank as the request path sees it: whether it is there, and a place to leave errands.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::sync::Notify;

use super::{
    Account, Answer, BankError, BankSettings, Errand, Loss, SHARDS, SlotAccount,
    client::BankClient,
    link::Directory,
    metrics::BankMetrics,
    teller::{self, Call, Teller, TellerSettings},
};
use crate::{
    limit::{Purse, clock::whole_nanos, slots::Seats},
    lock::locked,
    outage::Outage,
};

/// A bank that gateways share.
pub struct Bank {
    shards: Box<[Shard]>,
    /// How long a request may wait for it.
    patience: Duration,
    standing: Standing,
    pub(super) metrics: BankMetrics,
}

/// What a shard's task and the request path share.
pub(super) struct Shard {
    /// See [`Teller::gateways`].
    away: Arc<AtomicU64>,
    /// As it was counted last.
    was_away: AtomicBool,
    /// What became of its last loss of data.
    loss: Mutex<Loss>,
    errands: Mutex<Vec<Errand>>,
    /// Told when there is something to look at.
    pub(super) wake: Notify,
}

/// How the bank stands as a whole.
struct Standing {
    shards_away: AtomicUsize,
    /// Shards that were tried at least once.
    shards_tried: AtomicUsize,
    all_tried: Notify,
    gateways: AtomicU64,
    outage: Outage,
    /// The last failure: its kind, and what there is to say.
    problem: Mutex<Option<(&'static str, String)>>,
}

/// How the bank stands, for operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BankReport {
    /// Whether every limit is shared with the other gateways now; if not, this one admits its part alone.
    pub shared: bool,
    /// Parts of the bank that are away.
    pub shards_away: usize,
    /// Gateways that the bank heard from, when it last answered.
    pub gateways: u64,
    /// Parts of the bank that lost their data, while gateways are asked for what they know: limits refill from empty.
    #[serde(skip_serializing_if = "is_zero")]
    pub shards_restoring: usize,
    /// Parts of the bank that lost their data for good: limits refill from empty, which takes up to a day.
    #[serde(skip_serializing_if = "is_zero")]
    pub shards_refilling: usize,
    /// Why, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Bank {
    /// A bank, away until [`BankClient::run`] has reached it. `is_fresh`: no bank was ever kept before, so that every
    /// bucket starts full.
    pub fn open(settings: &BankSettings, is_fresh: bool) -> Result<(Arc<Self>, BankClient), BankError> {
        let directory = Directory::new(&settings.address, settings.timeout)?;
        let teller = TellerSettings { gateways: settings.gateways, tick: whole_nanos(settings.tick), is_fresh };
        let tellers: Vec<Teller> = (0..SHARDS).map(|_| Teller::new(teller)).collect();
        let bank = Arc::new(Self {
            shards: tellers.iter().map(|teller| Shard::new(teller.away())).collect(),
            patience: settings.timeout + settings.tick,
            standing: Standing {
                shards_away: AtomicUsize::new(SHARDS),
                shards_tried: AtomicUsize::new(0),
                all_tried: Notify::new(),
                gateways: AtomicU64::new(0),
                outage: Outage::new("token bank"),
                problem: Mutex::new(None),
            },
            metrics: BankMetrics::new(),
        });
        let client = BankClient::new(Arc::clone(&bank), tellers, directory);
        Ok((bank, client))
    }

    /// The purse of this account.
    pub(in crate::limit) fn purse<'a>(&self, account: &'a Arc<Account>) -> Purse<'a> {
        Purse::Shared { account, gateways: teller::gateways(&self.shards[account.shard()].away) }
    }

    /// The seats of this account.
    pub(in crate::limit) fn seats<'a>(&self, account: &'a Arc<SlotAccount>) -> Seats<'a> {
        Seats::Shared { account, gateways: teller::gateways(&self.shards[account.shard()].away) }
    }

    /// How long a request may wait for it.
    pub(in crate::limit) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Leaves an errand; whoever does has been told so by the account.
    pub(in crate::limit) fn leave(&self, errand: Errand) {
        let shard = &self.shards[errand.shard()];
        let is_urgent = errand.is_urgent();
        let mut errands = locked(&shard.errands);
        let was_empty = errands.is_empty();
        errands.push(errand);
        drop(errands);
        if was_empty || is_urgent {
            shard.wake.notify_one();
        }
    }

    /// A request waits.
    pub(in crate::limit) fn count_wait(&self) {
        self.metrics.waits.inc();
    }

    /// Waits until every shard has answered or failed to.
    pub async fn tried(&self) {
        let mut tried = std::pin::pin!(self.standing.all_tried.notified());
        tried.as_mut().enable();
        if self.standing.shards_tried.load(Ordering::Acquire) < SHARDS {
            tried.await;
        }
    }

    /// How it stands.
    pub fn report(&self) -> BankReport {
        let shards_away = self.standing.shards_away.load(Ordering::Acquire);
        let problem = locked(&self.standing.problem).as_ref().map(|(_, problem)| problem.clone());
        let gateways = self.standing.gateways.load(Ordering::Acquire);
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

    /// What a shard says of its last loss of data.
    pub(super) fn lost(&self, shard: usize, loss: Loss) {
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

    pub(super) fn shard(&self, shard: usize) -> &Shard {
        &self.shards[shard]
    }

    /// A call was answered after so many seconds.
    pub(super) fn answered(&self, call: &Call, answer: &Answer, seconds: f64) {
        self.metrics.trips.inc();
        self.metrics.round_trip.observe(seconds);
        self.metrics.granted.inc_by(call.tokens(answer));
        self.metrics.fleet.set(i64::try_from(answer.fleet).unwrap_or(i64::MAX));
        self.standing.gateways.store(answer.fleet, Ordering::Release);
    }

    /// A shard answered; `is_first`: nothing was known of it yet.
    pub(super) fn is_back(&self, shard: usize, is_first: bool) {
        if self.shards[shard].was_away.swap(false, Ordering::AcqRel) {
            self.metrics.away.with_label_values(&[&shard.to_string()]).set(0);
            if self.standing.shards_away.fetch_sub(1, Ordering::AcqRel) == 1 {
                *locked(&self.standing.problem) = None;
                self.standing.outage.over();
            }
        }
        self.standing.tried(is_first);
    }

    /// A shard did not answer.
    pub(super) fn is_away(&self, shard: usize, is_first: bool, error: &BankError) {
        self.metrics.errors.with_label_values(&[error.kind()]).inc();
        if !self.shards[shard].was_away.swap(true, Ordering::AcqRel) {
            self.metrics.away.with_label_values(&[&shard.to_string()]).set(1);
            self.standing.shards_away.fetch_add(1, Ordering::AcqRel);
        }
        self.standing.outage.failed(error);
        let known = locked(&self.standing.problem).replace((error.kind(), error.to_string()));
        if error.is_permanent() && known.is_none_or(|(kind, _)| kind != error.kind()) {
            tracing::error!(event = "bank_unusable", kind = error.kind(), %error, "limits are not shared");
        }
        self.standing.tried(is_first);
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Shard {
    fn new(away: Arc<AtomicU64>) -> Self {
        Self {
            away,
            was_away: AtomicBool::new(true),
            loss: Mutex::default(),
            errands: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// All errands that were left.
    pub(super) fn take(&self) -> Vec<Errand> {
        std::mem::take(&mut *locked(&self.errands))
    }
}

impl Standing {
    fn tried(&self, is_first: bool) {
        if is_first && self.shards_tried.fetch_add(1, Ordering::AcqRel) + 1 == SHARDS {
            self.all_tried.notify_waiters();
        }
    }
}
