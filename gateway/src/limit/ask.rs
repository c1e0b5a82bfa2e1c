//! One request as it is asked about: by whom, for what, and what may come of it.

use common::{key::Mode, time::Micros};

use super::{
    Admission, Denial, Destination, LimitStates, Limiter,
    request::{Limits, Obstacle, Request},
};
use crate::auth::Caller;

/// A question to a [`Limiter`]. Nothing is looked at or debited before it is put.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub(super) limiter: &'a Limiter,
    pub(super) caller: &'a Caller,
    pub(super) to: Destination<'a>,
    pub(super) units: u64,
    pub(super) now: Micros,
}

impl<'a> Ask<'a> {
    /// Debits every limit that applies, or none. A limit of which nothing is in hand yet denies.
    pub fn admit(self) -> Result<Admission, Denial> {
        self.attempt(true).map_err(|obstacle| obstacle.denial)
    }

    /// Like [`Ask::admit`]; if the only obstacle is something of which more is on its way, waits for that: for half a
    /// second at most for a quota, and for one trip to the bank.
    pub async fn admit_or_wait(self) -> Result<Admission, Denial> {
        self.limiter.or_wait(|counts| self.attempt(counts)).await
    }

    /// How each limit stands, if [`Ask::admit_or_wait`] would admit now. Nothing is debited.
    pub async fn peek_or_wait(self) -> Result<LimitStates, Denial> {
        self.limiter.or_wait(|counts| Limits::of(&self.request(counts)).gather().look()).await
    }

    /// How each limit stands now, as a client is told with its answer. Nothing is debited, nor sent for.
    pub fn standing(self) -> LimitStates {
        Limits::of(&self.request(false)).gather().standing()
    }

    /// `counts`: it was not counted yet, or has waited for more since it was.
    #[inline]
    fn request(self, counts: bool) -> Request<'a> {
        let Self { limiter, caller, to, units, now } = self;
        // Test keys are metered and never billed: they leave quotas alone.
        let quotas = match caller.key.mode {
            Mode::Live => &caller.tenant.quotas[..],
            Mode::Test => &[],
        };
        let route = to.route.filter(|route| !route.limits.is_empty()).map(|route| (route, limiter.route_cells(route)));
        let nanos = limiter.clock.nanos();
        Request { caller, route, bank: limiter.bank.as_deref(), quotas, meter: to.meter, units, now, nanos, counts }
    }

    #[inline]
    fn attempt(self, counts: bool) -> Result<Admission, Obstacle> {
        let request = self.request(counts);
        let mut limits = Limits::of(&request);
        let limits = limits.gather();
        limits.check_slots()?;
        limits.check_rates()?;
        let slots = limits.take_slots()?;
        let held = limits.take_quotas()?;
        if !limits.debit_rates(|| self.limiter.clock.nanos()) {
            // Another request took the last token since the check; what is held goes back.
            drop((held, slots));
            return Err(limits.check_rates().err().unwrap_or_else(|| limits.denied_by_rate()));
        }
        let at = held.counts_at(self.now);
        Ok(Admission { at, held, slots })
    }
}
