//! Whether a caller may go on: rates of key and tenant, and the hard quota of the meter. All or nothing, from local cells.
//!
//! A request first looks at every limit and only then debits them, so that a denial consumes nothing. If another
//! request gets in between, what was debited is given back.

mod clock;
mod quota;
mod rate;
mod state;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

pub use clock::Clock;
use common::{key::Mode, time::Micros};
pub(crate) use quota::QuotaLease;
use quota::{Held, QuotaCell, Refused};
pub use quota::{QuotaBook, QuotaKeeper};
use rate::{Rate, RateCell};
pub(crate) use rate::{RateCells, RateOwner, Rates};
pub use state::{LimitState, LimitStates};

use crate::auth::Caller;

/// How long a request may wait for the first block of a quota.
const DRAW_WAIT: Duration = Duration::from_millis(500);

/// Seconds after which a request may try again that was refused because the store did not answer.
const UNAVAILABLE_RETRY_SECONDS: u64 = 1;

/// Decides from local cells.
#[derive(Debug, Clone, Default)]
pub struct Limiter {
    clock: Clock,
}

/// The right to forward one request. What of its quota units is not settled goes back when it is dropped.
pub struct Admission {
    /// How each limit stands after this request, the one with the fewest remaining first.
    pub limits: LimitStates,
    held: Option<Held>,
}

/// Why a request must wait. Nothing was consumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// What kind of limit refused.
    pub reason: DenialReason,
    /// The limit that refused.
    pub violated: LimitState,
    /// How each limit stands.
    pub limits: Vec<LimitState>,
    /// Whole seconds until a retry can succeed, at least 1.
    pub retry_after_seconds: u64,
}

/// What kind of limit refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenialReason {
    /// Too fast.
    RateLimited,
    /// The month's hard quota is spent.
    QuotaExceeded,
    /// There may be quota left, but the store that grants it does not answer: 503.
    QuotaUnavailable,
}

/// A denial, and the quota cell whose next draw may turn it into an admission.
struct Obstacle {
    denial: Denial,
    dry: Option<Arc<QuotaCell>>,
}

/// One request before the limits that apply to it.
struct Request<'a> {
    caller: &'a Caller,
    quota: Option<&'a Arc<QuotaLease>>,
    units: u64,
    now: Micros,
    /// Nanoseconds of the monotonic clock, read once.
    nanos: u64,
}

impl Limiter {
    /// A limiter on the machine's monotonic clock.
    pub fn new() -> Self {
        Self::default()
    }

    /// A limiter on a clock of the caller's.
    pub const fn with_clock(clock: Clock) -> Self {
        Self { clock }
    }

    /// Debits every limit that applies, or none. A quota of which nothing is in hand yet denies.
    pub fn admit(&self, caller: &Caller, meter: &str, units: u64, now: Micros) -> Result<Admission, Denial> {
        self.try_admit(caller, meter, units, now).map_err(|obstacle| obstacle.denial)
    }

    /// Like [`Limiter::admit`]; if the only obstacle is a quota whose next block is on its way, waits for that, for
    /// half a second at most.
    pub async fn admit_or_wait(
        &self,
        caller: &Caller,
        meter: &str,
        units: u64,
        now: Micros,
    ) -> Result<Admission, Denial> {
        let dry = match self.try_admit(caller, meter, units, now) {
            Ok(admission) => return Ok(admission),
            Err(Obstacle { denial, dry: None }) => return Err(denial),
            Err(Obstacle { dry: Some(cell), .. }) => cell,
        };
        let deadline = tokio::time::Instant::now() + DRAW_WAIT;
        loop {
            // Listening starts before the next look, so that no draw goes unnoticed.
            let mut drew = std::pin::pin!(dry.drew.notified());
            drew.as_mut().enable();
            let denial = match self.try_admit(caller, meter, units, now) {
                Ok(admission) => return Ok(admission),
                Err(Obstacle { denial, dry: None }) => return Err(denial),
                Err(Obstacle { denial, .. }) => denial,
            };
            if tokio::time::timeout_at(deadline, drew).await.is_err() {
                dry.give_up_waiting();
                return Err(denial);
            }
        }
    }

    fn try_admit(&self, caller: &Caller, meter: &str, units: u64, now: Micros) -> Result<Admission, Obstacle> {
        // Test keys are metered and never billed: they leave the quota alone.
        let quota = match caller.key.mode {
            Mode::Live => caller.tenant.quotas.iter().find(|lease| lease.meter() == meter),
            Mode::Test => None,
        };
        let request = Request { caller, quota, units, now, nanos: self.clock.nanos() };
        request.check_rates()?;
        let held = request.take_quota()?;
        let mut limits = LimitStates::new();
        if let Some(held) = &held {
            limits.push(held.state(now));
        }
        if !request.debit_rates(&mut limits, &self.clock) {
            // Another request took the last token since the check; what is held goes back.
            drop(held);
            return Err(request.denied_by_rate());
        }
        limits.sort();
        Ok(Admission { limits, held })
    }
}

impl<'a> Request<'a> {
    /// Every rate that applies, with its cell.
    fn rates(&self) -> impl Iterator<Item = (&'a Rate, &'a RateCell)> {
        let Caller { key, tenant } = self.caller;
        tenant.terms.key_rates.with(&key.cells).chain(tenant.terms.tenant_rates.with(&tenant.cells))
    }

    fn check_rates(&self) -> Result<(), Obstacle> {
        if self.rates().all(|(rate, cell)| cell.wait(rate, self.nanos) == 0) {
            return Ok(());
        }
        Err(self.denied_by_rate())
    }

    /// Debits every rate, or none.
    fn debit_rates(&self, limits: &mut LimitStates, clock: &Clock) -> bool {
        for (debited, (rate, cell)) in self.rates().enumerate() {
            let Some(full_at) = cell.debit(rate, self.nanos) else {
                let elapsed = clock.nanos().saturating_sub(self.nanos);
                self.rates().take(debited).for_each(|(rate, cell)| cell.undo(rate, elapsed));
                return false;
            };
            limits.push(rate.state(full_at, self.nanos));
        }
        true
    }

    fn take_quota(&self) -> Result<Option<Held>, Obstacle> {
        let Some(lease) = self.quota else {
            return Ok(None);
        };
        let Some(cell) = lease.cell(self.now) else {
            return Err(self.denied_without_month());
        };
        lease.take(&cell, self.units, self.nanos).map(Some).map_err(|refused| self.denied_by_quota(&cell, refused))
    }

    fn states(&self, quota: Option<&QuotaCell>) -> LimitStates {
        let mut limits = LimitStates::new();
        self.rates().for_each(|(rate, cell)| limits.push(rate.state(cell.full_at(), self.nanos)));
        if let Some(cell) = quota {
            limits.push(cell.state(self.now));
        }
        limits.sort();
        limits
    }

    /// The denial by the rate that makes the caller wait longest.
    fn denied_by_rate(&self) -> Obstacle {
        let waits =
            self.rates().map(|(rate, cell)| (cell.wait(rate, self.nanos), rate.state(cell.full_at(), self.nanos)));
        let (wait, violated) = waits.max_by_key(|(wait, _)| *wait).unwrap_or((0, NO_MONTH));
        let cell = self.quota.and_then(|lease| lease.cell(self.now));
        let denial = Denial {
            reason: DenialReason::RateLimited,
            violated: LimitState { remaining: 0, ..violated },
            limits: self.states(cell.as_deref()).to_vec(),
            retry_after_seconds: wait.div_ceil(rate::NANOS_PER_SECOND).max(1),
        };
        Obstacle { denial, dry: None }
    }

    fn denied_by_quota(&self, cell: &Arc<QuotaCell>, refused: Refused) -> Obstacle {
        let violated = cell.state(self.now);
        let (reason, retry_after_seconds) = match refused {
            Refused::Spent => (DenialReason::QuotaExceeded, violated.reset_seconds.max(1)),
            Refused::Dry | Refused::Unavailable => (DenialReason::QuotaUnavailable, UNAVAILABLE_RETRY_SECONDS),
        };
        let limits = self.states(Some(cell)).to_vec();
        let dry = (refused == Refused::Dry).then(|| Arc::clone(cell));
        Obstacle { denial: Denial { reason, violated, limits, retry_after_seconds }, dry }
    }

    /// The clock shows a time that belongs to no month: no quota can be charged.
    fn denied_without_month(&self) -> Obstacle {
        let denial = Denial {
            reason: DenialReason::QuotaUnavailable,
            violated: NO_MONTH,
            limits: self.states(None).to_vec(),
            retry_after_seconds: UNAVAILABLE_RETRY_SECONDS,
        };
        Obstacle { denial, dry: None }
    }
}

/// A quota of which nothing is known.
const NO_MONTH: LimitState =
    LimitState { policy: "quota-month", quota: 0, window_seconds: 1, remaining: 0, reset_seconds: 1 };

impl Admission {
    /// The request was answered and used `units` of its meter: the quota is charged for them instead of the estimate.
    pub fn settle(self, units: u64) {
        if let Some(held) = self.held {
            held.settle(units);
        }
    }
}
