//! The limits of a request: rates and concurrency of key, tenant, route and every pool that the
//! tenant is in, and the hard quotas of its meter, of the tenant and of everybody above. A request
//! is admitted by all of them or debits none, from local cells.
//!
//! Invariant: a denial consumes nothing. A request first looks at every limit and only then debits
//! them; if another request gets in between, all that was debited is given back.

mod attempt;
pub mod bank;
mod cells;
pub(crate) mod clock;
mod draw;
pub(crate) mod headers;
mod owners;
mod permits;
mod quota;
mod rate;
mod request;
mod state;
#[cfg(test)]
mod tests;
mod token_source;

use std::{sync::Arc, time::Duration};

use attempt::{Attempt, Awaited, Denied};
use bank::Bank;
pub(crate) use cells::RateCells;
pub use clock::Clock;
use common::{plan::RateLimits, time::Micros};
use dashmap::DashMap;
pub(crate) use draw::Draw;
pub(crate) use owners::{PlanRates, Pool, RouteLimits, TenantLimits};
pub use permits::Permit;
use quota::Holds;
pub(crate) use quota::{Allowance, QuotaAccount};
pub use quota::{QuotaBook, QuotaKeeper};
pub use rate::{Rate, RateCell};
use rate::{RateOwner, Rates};
pub use request::{Destination, Request};
pub use state::{LimitState, LimitStates};
pub use token_source::{TokenSource, take_all};

/// Longest wait of a request for the first block of a quota.
const DRAW_WAIT: Duration = Duration::from_millis(500);

/// Decides from local cells.
#[derive(Clone, Default)]
pub struct Limiter {
    clock: Clock,
    bank: Option<Arc<Bank>>,
    /// Cells of every route ever limited, by name: they outlive every change of the configuration.
    routes: Arc<DashMap<Arc<str>, Arc<RateCells>>>,
}

/// The right to forward one request, which is in progress from now on. Quota units that are not
/// settled go back when it is dropped.
pub struct Admission {
    /// The time at which the request counts: that of its admission, and in the month of the quota
    /// that its units were taken from.
    pub at: Micros,
    held: Holds,
    permit: Permit,
}

/// The reason for which a request must wait. Nothing was consumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The kind of the limit that refused.
    pub reason: DenialReason,
    /// The limit that refused.
    pub violated: LimitState,
    /// The state of each limit.
    pub limits: Vec<LimitState>,
    /// Whole seconds until a retry can succeed, at least 1; 0 if waiting does not help.
    pub retry_after_seconds: u64,
}

/// The kind of a limit that refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenialReason {
    /// Too fast.
    RateLimited,
    /// Too many requests are in progress.
    ConcurrencyLimited,
    /// The month's hard quota is spent.
    QuotaExceeded,
    /// The credit that was paid for in advance is spent: 402.
    CreditSpent,
    /// There may be quota left, but the store that grants it does not answer: 503.
    QuotaUnavailable,
}

impl Limiter {
    /// A limiter on the machine's monotonic clock.
    pub fn new() -> Self {
        Self::default()
    }

    /// A limiter on a clock of the caller's.
    pub fn with_clock(clock: Clock) -> Self {
        Self { clock, ..Self::default() }
    }

    /// A limiter whose rates are shared through a bank. It is on the machine's clock, as the bank
    /// is.
    pub fn with_bank(bank: Arc<Bank>) -> Self {
        Self { bank: Some(bank), ..Self::default() }
    }

    /// The limits of a route, with the buckets that the limiter keeps under its name; none if
    /// nothing is limited.
    pub(crate) fn route_limits(&self, name: &Arc<str>, limits: &RateLimits) -> Option<RouteLimits> {
        let rates = Rates::new(RateOwner::Route, limits);
        let cells = || Arc::clone(&self.routes.entry(Arc::clone(name)).or_default());
        (!rates.is_empty()).then(|| RouteLimits { name: Arc::clone(name), cells: cells(), rates })
    }

    /// Debits every limit that applies to a request, or none. If nothing is missing but tokens,
    /// permits or units that are on their way, waits for them: half a second at most for a quota,
    /// and one trip to the bank.
    pub async fn admit(&self, request: Request<'_>) -> Result<Admission, Denial> {
        self.or_wait(|counts| self.attempt(&request, counts).gather().debit(&self.clock)).await
    }

    /// Debits every limit that applies to a request, or none, without waiting. A limit of which
    /// nothing is in hand yet denies.
    pub fn try_admit(&self, request: Request<'_>) -> Result<Admission, Denial> {
        self.attempt(&request, true).gather().debit(&self.clock).map_err(|denied| denied.denial)
    }

    /// Returns the state of each limit, if [`Limiter::admit`] would admit the request now. Nothing
    /// is debited.
    pub async fn peek(&self, request: Request<'_>) -> Result<LimitStates, Denial> {
        self.or_wait(|counts| self.attempt(&request, counts).gather().look()).await
    }

    /// Returns the state of each limit now, as a client is told with its answer. Nothing is
    /// debited, nor drawn ahead.
    pub fn states(&self, request: Request<'_>) -> LimitStates {
        self.attempt(&request, false).gather().states()
    }

    /// `counts`: the request was not counted yet, or has waited for more since it was.
    #[inline]
    fn attempt<'a>(&'a self, request: &'a Request<'a>, counts: bool) -> Attempt<'a> {
        Attempt::new(request, self.bank.as_deref(), self.clock.nanos(), counts)
    }

    /// Returns the outcome of `attempt`, at once or after waiting for a source that is being
    /// filled. `attempt` is told whether more is missing than at the last look.
    async fn or_wait<T>(&self, attempt: impl Fn(bool) -> Result<T, Denied>) -> Result<T, Denial> {
        match attempt(true) {
            Ok(admitted) => Ok(admitted),
            Err(Denied { denial, awaited: None }) => Err(denial),
            Err(Denied { awaited: Some(awaited), .. }) => self.wait(awaited, attempt).await,
        }
    }

    async fn wait<T>(&self, mut awaited: Awaited, attempt: impl Fn(bool) -> Result<T, Denied>) -> Result<T, Denial> {
        if let (Awaited::Rate(_) | Awaited::Permit(_), Some(bank)) = (&awaited, &self.bank) {
            bank.count_wait();
        }
        let start = tokio::time::Instant::now();
        let mut has_waited = false;
        loop {
            // Listening starts before the next look, so that no answer goes unnoticed.
            let next = {
                let mut filled = std::pin::pin!(awaited.filled());
                filled.as_mut().enable();
                let (denial, next) = match attempt(has_waited) {
                    Ok(admitted) => return Ok(admitted),
                    Err(Denied { denial, awaited: None }) => return Err(denial),
                    Err(Denied { denial, awaited: Some(next) }) => (denial, next),
                };
                has_waited = next.is(&awaited);
                if has_waited && tokio::time::timeout_at(start + self.patience(&awaited), filled).await.is_err() {
                    awaited.give_up();
                    return Err(denial);
                }
                next
            };
            awaited = next;
        }
    }

    fn patience(&self, awaited: &Awaited) -> Duration {
        match (awaited, &self.bank) {
            (Awaited::Rate(_) | Awaited::Permit(_), Some(bank)) => bank.max_wait(),
            _ => DRAW_WAIT,
        }
    }
}

impl Admission {
    /// Returns true if its units were drawn from credit that was paid for in advance.
    pub fn is_prepaid(&self) -> bool {
        self.held.is_prepaid()
    }

    /// The request was answered, and `units` of its meter are billed: each quota is charged for
    /// them instead of the estimate. The request is in progress until the permit is dropped.
    pub fn settle(self, units: u64) -> Permit {
        self.held.settle(units);
        self.permit
    }
}
