//! Whether a caller may go on: rates of key, tenant, route and every pool that the tenant is in, and the meter's hard
//! quotas of the tenant and everybody above. All or nothing, from local cells.
//!
//! A request first looks at every limit and only then debits them, so that a denial consumes nothing. If another
//! request gets in between, what was debited is given back.

mod attempt;
pub mod bank;
mod cells;
pub(crate) mod clock;
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

use attempt::{Attempt, Dry, Obstacle};
use bank::Bank;
pub(crate) use cells::RateCells;
pub use clock::Clock;
use common::{plan::RateLimits, time::Micros};
use dashmap::DashMap;
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

/// How long a request may wait for the first block of a quota.
const DRAW_WAIT: Duration = Duration::from_millis(500);

/// Decides from local cells.
#[derive(Clone, Default)]
pub struct Limiter {
    clock: Clock,
    bank: Option<Arc<Bank>>,
    /// Cells of every route ever limited, by name: they outlive every change of the configuration.
    routes: Arc<DashMap<Arc<str>, Arc<RateCells>>>,
}

/// The right to forward one request, which is under way from now on. What of its quota units is not settled goes back
/// when it is dropped.
pub struct Admission {
    /// When the request counts: when it was admitted, and in the month of the quota that its units were taken from.
    pub at: Micros,
    held: Holds,
    permit: Permit,
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
    /// Whole seconds until a retry can succeed, at least 1; 0 if waiting does not help.
    pub retry_after_seconds: u64,
}

/// What kind of limit refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenialReason {
    /// Too fast.
    RateLimited,
    /// Too many requests are under way.
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

    /// A limiter whose rates are shared through a bank. It is on the machine's clock, as the bank is.
    pub fn with_bank(bank: Arc<Bank>) -> Self {
        Self { bank: Some(bank), ..Self::default() }
    }

    /// The limits of a route, with the buckets that the limiter keeps under its name; none if nothing is limited.
    pub(crate) fn route_limits(&self, name: &Arc<str>, limits: &RateLimits) -> Option<RouteLimits> {
        let rates = Rates::new(RateOwner::Route, limits);
        let cells = || Arc::clone(&self.routes.entry(Arc::clone(name)).or_default());
        (!rates.is_empty()).then(|| RouteLimits { name: Arc::clone(name), cells: cells(), rates })
    }

    /// Debits every limit that applies to a request, or none. If the only obstacle is a lack of something of which more
    /// is on its way, waits for that: for half a second at most for a quota, and for one trip to the bank.
    pub async fn admit(&self, request: Request<'_>) -> Result<Admission, Denial> {
        self.or_wait(|counts| self.attempt(&request, counts).gather().debit(&self.clock)).await
    }

    /// Debits every limit that applies to a request, or none, without waiting. A limit of which nothing is in hand yet
    /// denies.
    pub fn try_admit(&self, request: Request<'_>) -> Result<Admission, Denial> {
        self.attempt(&request, true).gather().debit(&self.clock).map_err(|obstacle| obstacle.denial)
    }

    /// Returns the state of each limit, if [`Limiter::admit`] would admit the request now. Nothing is debited.
    pub async fn peek(&self, request: Request<'_>) -> Result<LimitStates, Denial> {
        self.or_wait(|counts| self.attempt(&request, counts).gather().look()).await
    }

    /// Returns the state of each limit now, as a client is told with its answer. Nothing is debited, nor drawn ahead.
    pub fn states(&self, request: Request<'_>) -> LimitStates {
        self.attempt(&request, false).gather().states()
    }

    /// `counts`: the request was not counted yet, or has waited for more since it was.
    #[inline]
    fn attempt<'a>(&'a self, request: &'a Request<'a>, counts: bool) -> Attempt<'a> {
        Attempt::new(request, self.bank.as_deref(), self.clock.nanos(), counts)
    }

    /// What `attempt` leads to, at once or after waiting for what is dry. It is told whether what is missing is more
    /// than was missing at the last look.
    async fn or_wait<T>(&self, attempt: impl Fn(bool) -> Result<T, Obstacle>) -> Result<T, Denial> {
        match attempt(true) {
            Ok(admitted) => Ok(admitted),
            Err(Obstacle { denial, dry: None }) => Err(denial),
            Err(Obstacle { dry: Some(dry), .. }) => self.wait(dry, attempt).await,
        }
    }

    async fn wait<T>(&self, mut dry: Dry, attempt: impl Fn(bool) -> Result<T, Obstacle>) -> Result<T, Denial> {
        if let (Dry::Rate(_) | Dry::Permit(_), Some(bank)) = (&dry, &self.bank) {
            bank.count_wait();
        }
        let start = tokio::time::Instant::now();
        let mut has_waited = false;
        loop {
            // Listening starts before the next look, so that no answer goes unnoticed.
            let next = {
                let mut filled = std::pin::pin!(dry.filled());
                filled.as_mut().enable();
                let (denial, next) = match attempt(has_waited) {
                    Ok(admitted) => return Ok(admitted),
                    Err(Obstacle { denial, dry: None }) => return Err(denial),
                    Err(Obstacle { denial, dry: Some(next) }) => (denial, next),
                };
                has_waited = next.is(&dry);
                if has_waited && tokio::time::timeout_at(start + self.patience(&dry), filled).await.is_err() {
                    dry.give_up();
                    return Err(denial);
                }
                next
            };
            dry = next;
        }
    }

    fn patience(&self, dry: &Dry) -> Duration {
        match (dry, &self.bank) {
            (Dry::Rate(_) | Dry::Permit(_), Some(bank)) => bank.max_wait(),
            _ => DRAW_WAIT,
        }
    }
}

impl Admission {
    /// Returns true if its units were drawn from credit that was paid for in advance.
    pub fn is_prepaid(&self) -> bool {
        self.held.is_prepaid()
    }

    /// The request was answered, and `units` of its meter are billed: each quota is charged for them instead of the
    /// estimate. It is under way until what is returned is dropped.
    pub fn settle(self, units: u64) -> Permit {
        self.held.settle(units);
        self.permit
    }
}
