//! One request before the limits that apply to it: it looks at all of them first, and only then
//! debits them.
//!
//! The limits are gathered once, in place and without an allocation, as all that follows goes
//! through them again.

mod quotas;

use std::sync::Arc;

use smallvec::SmallVec;
use tokio::sync::futures::Notified;

use super::{
    Admission, Denial, DenialReason, LimitState, LimitStates,
    bank::{Account, Bank, ConcurrencyAccount, DrawRequest, Shortage},
    cells::{Owner, RateCells},
    clock::Clock,
    permits::{self, PERMITS_IN_PLACE, Permit, PermitSource},
    quota::QuotaCell,
    rate::{self, Concurrency, Rate, Rates},
    request::Request,
    token_source::{self, RATES_IN_PLACE, TokenSource},
};

/// `Retry-After` of a request that found no permit: the end of the others is not known.
const CONCURRENCY_RETRY_SECONDS: u64 = 1;

/// A quota of which nothing is known.
const NO_MONTH: LimitState =
    LimitState { policy: "quota-month", quota: 0, window_seconds: 1, remaining: 0, reset_seconds: 1 };

/// One request, and every limit that applies to it.
pub(super) struct Attempt<'r> {
    request: &'r Request<'r>,
    /// The bank, where rates are shared with other gateways.
    bank: Option<&'r Bank>,
    /// Nanoseconds of the monotonic clock, read once.
    nanos: u64,
    /// True if the request was not counted yet, or has waited for more since it was.
    counts: bool,
    /// Its rates, each with the source of its tokens.
    token_sources: SmallVec<[(&'r Rate, TokenSource<'r>); RATES_IN_PLACE]>,
    /// Its concurrency limits, each with the source of its permits.
    permit_sources: SmallVec<[(&'r Concurrency, PermitSource<'r>); PERMITS_IN_PLACE]>,
}

/// The requests that a limit applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Key,
    Tenant,
    /// A pool of the tenant, by its number.
    Pool(usize),
    Route,
}

impl Scope {
    /// Returns true if a limit of this scope applies to every request that a limit of `other`
    /// applies to.
    fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::Tenant | Self::Pool(_), Self::Key) | (Self::Pool(_), Self::Tenant) => true,
            (one, other) => one == other,
        }
    }
}

/// A denial, and the source whose filling may turn it into an admission.
pub(super) struct Denied {
    pub(super) denial: Denial,
    pub(super) awaited: Option<Awaited>,
}

/// A source that has nothing in hand, with more on its way.
pub(super) enum Awaited {
    Rate(Arc<Account>),
    Permit(Arc<ConcurrencyAccount>),
    Quota(Arc<QuotaCell>),
}

impl Awaited {
    /// Ends once more has come, or has failed to come.
    pub(super) fn filled(&self) -> Notified<'_> {
        match self {
            Self::Rate(account) => account.answered(),
            Self::Permit(account) => account.answered(),
            Self::Quota(cell) => cell.drew.notified(),
        }
    }

    /// Waiting for it took too long.
    pub(super) fn give_up(&self) {
        if let Self::Quota(cell) = self {
            cell.give_up_waiting();
        }
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rate(one), Self::Rate(other)) => Arc::ptr_eq(one, other),
            (Self::Permit(one), Self::Permit(other)) => Arc::ptr_eq(one, other),
            (Self::Quota(one), Self::Quota(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl<'r> Attempt<'r> {
    /// No limits yet, of this request.
    #[inline]
    pub(super) fn new(request: &'r Request<'r>, bank: Option<&'r Bank>, nanos: u64, counts: bool) -> Self {
        Self { request, bank, nanos, counts, token_sources: SmallVec::new(), permit_sources: SmallVec::new() }
    }

    /// Gathers every limit that applies.
    #[inline]
    pub(super) fn gather(&mut self) -> &Self {
        let Request { key, key_cells, tenant, to, .. } = *self.request;
        self.add(Owner::Key(key), &tenant.rates.key, key_cells);
        self.add(Owner::Tenant(tenant.tenant), &tenant.rates.tenant, &tenant.cells);
        for pool in &tenant.pools {
            self.add(Owner::Pool(pool.owner), &pool.rates.pool, &pool.cells);
        }
        if let Some(route) = to.route {
            self.add(Owner::Route(&route.name), &route.rates, &route.cells);
        }
        self
    }

    /// Debits every limit that applies, or none.
    #[inline]
    pub(super) fn debit(&self, clock: &Clock) -> Result<Admission, Denied> {
        self.check_concurrency()?;
        self.check_rates()?;
        let permit = self.take_permit()?;
        let held = self.take_quotas()?;
        if !self.debit_rates(|| clock.nanos()) {
            // Another request took the last token since the check; what is held goes back.
            drop((held, permit));
            return Err(self.check_rates().err().unwrap_or_else(|| self.denied_by_rate()));
        }
        let at = held.counts_at(self.request.now);
        Ok(Admission { at, held, permit })
    }

    /// The limits of one owner.
    #[inline]
    fn add(&mut self, owner: Owner<'_>, rates: &'r Rates, cells: &'r RateCells) {
        let bank = self.bank;
        for (rate, cell) in rates.with(cells) {
            self.token_sources.push((rate, TokenSource::of(cell, owner, bank)));
        }
        if let Some(limit) = rates.concurrency() {
            self.permit_sources.push((limit, PermitSource::of(cells, owner, bank)));
        }
    }

    /// States of the concurrency limits.
    fn concurrency_states(&self) -> impl Iterator<Item = LimitState> {
        self.permit_sources.iter().map(|(limit, source)| source.state(limit, self.nanos))
    }

    /// Looks at every concurrency limit. An empty source is drawn for, unless another limit is shut
    /// in any case.
    #[inline]
    pub(super) fn check_concurrency(&self) -> Result<(), Denied> {
        let (mut violated, mut is_shut, mut awaited) = (None, false, None);
        for (limit, source) in &self.permit_sources {
            let Err(shortage) = source.check(limit, self.nanos) else {
                continue;
            };
            if !is_shut {
                violated = Some(source.state(limit, self.nanos));
            }
            is_shut |= shortage != Shortage::AskBank;
            if let PermitSource::Shared { account, .. } = source {
                if self.counts {
                    account.missed();
                }
                awaited = awaited.or(Some(*account));
            }
        }
        let Some(violated) = violated else {
            return Ok(());
        };
        let awaited = awaited.filter(|_| !is_shut).map(|account| {
            self.send_for_more(true);
            Awaited::Permit(Arc::clone(account))
        });
        Err(Denied { awaited, ..self.denied_by_concurrency(violated) })
    }

    /// Takes a permit of every concurrency limit, or none.
    #[inline]
    pub(super) fn take_permit(&self) -> Result<Permit, Denied> {
        if self.permit_sources.is_empty() {
            return Ok(Permit::unlimited());
        }
        permits::take_all(&self.permit_sources, self.nanos).ok_or_else(|| {
            // Another request took the last one since the check. It may have ended already.
            if let Err(denied) = self.check_concurrency() {
                return denied;
            }
            let violated = self.concurrency_states().min_by_key(|state| state.remaining).unwrap_or(NO_MONTH);
            self.denied_by_concurrency(LimitState { remaining: 0, ..violated })
        })
    }

    /// Looks at every rate. An empty source is drawn for, unless another limit is shut in any case.
    #[inline]
    pub(super) fn check_rates(&self) -> Result<(), Denied> {
        let (mut is_shut, mut awaited) = (false, None);
        for (rate, source) in &self.token_sources {
            match source.check(rate, self.nanos) {
                Ok(()) => continue,
                Err(Shortage::Wait(_)) => is_shut = true,
                Err(Shortage::AskBank) => {}
            }
            if let TokenSource::Shared { account, .. } = source {
                if self.counts {
                    account.missed();
                }
                awaited = awaited.or(Some(*account));
            }
        }
        if !is_shut && awaited.is_none() {
            return Ok(());
        }
        let awaited = awaited.filter(|_| !is_shut).map(|account| {
            self.send_for_more(true);
            Awaited::Rate(Arc::clone(account))
        });
        Err(Denied { awaited, ..self.denied_by_rate() })
    }

    /// Debits every rate, or none.
    #[inline]
    pub(super) fn debit_rates(&self, clock: impl FnOnce() -> u64) -> bool {
        let taken = token_source::take_all(&self.token_sources, self.nanos, clock);
        if taken {
            self.send_for_more(false);
        }
        taken
    }

    /// Queues a draw for every account that runs low. `waits`: the request cannot go on without.
    fn send_for_more(&self, waits: bool) {
        let (Some(bank), nanos) = (self.bank, self.nanos) else {
            return;
        };
        for (rate, source) in &self.token_sources {
            if let TokenSource::Shared { account, .. } = source
                && account.needs_draw(rate, nanos)
            {
                let request = DrawRequest::rate(Arc::clone(account), **rate);
                bank.enqueue(if waits { request.urgent() } else { request });
            }
        }
        for (limit, source) in &self.permit_sources {
            if let PermitSource::Shared { account, .. } = source
                && account.needs_draw(limit.limit, nanos)
            {
                let request = DrawRequest::concurrency(Arc::clone(account), limit.limit);
                bank.enqueue(if waits { request.urgent() } else { request });
            }
        }
    }

    /// Returns the state of each limit, if all of them would admit the request. Empty sources are
    /// drawn for all the same.
    pub(super) fn look(&self) -> Result<LimitStates, Denied> {
        self.check_concurrency()?;
        self.check_rates()?;
        self.look_at_quotas(&self.quota_cells()?)?;
        Ok(self.states())
    }

    /// Returns the state of each limit, also of those that would refuse the request.
    pub(super) fn states(&self) -> LimitStates {
        let (Request { tenant, now, units, .. }, nanos) = (*self.request, self.nanos);
        let owners = self.owners();
        let mut limits = LimitStates::new();
        for (index, (rate, source)) in self.token_sources.iter().enumerate() {
            let others = self.token_sources.iter().enumerate().filter(|(other, _)| *other != index);
            let covers = others.filter(|(other, _)| owners[*other].covers(owners[index])).map(|(_, (rate, _))| *rate);
            if let Some((state, likely)) = source.state(rate, covers, nanos) {
                limits.push_likely(state, likely);
            }
        }
        for (limit, source) in &self.permit_sources {
            // With none in hand and more to be had, nothing is known that could be told.
            let state = source.state(limit, nanos);
            if state.remaining > 0 || source.check(limit, nanos) != Err(Shortage::AskBank) {
                limits.push(state);
            }
        }
        let quotas = self.quota_accounts().filter_map(|account| account.cell(now));
        for (state, likely) in quotas.filter_map(|cell| cell.standing(tenant.tenant, now)) {
            // As many requests like this one.
            limits.push_likely(state, likely / units.max(1));
        }
        limits
    }

    /// Returns the scope of each rate, in their order.
    fn owners(&self) -> SmallVec<[Scope; RATES_IN_PLACE]> {
        let Request { key_cells, tenant, .. } = *self.request;
        let of = |scope, rates: &Rates, cells: &RateCells| std::iter::repeat_n(scope, rates.with(cells).count());
        let key = of(Scope::Key, &tenant.rates.key, key_cells);
        let own = of(Scope::Tenant, &tenant.rates.tenant, &tenant.cells);
        let pools = tenant.pools.iter().zip(0..);
        let pools = pools.flat_map(|(pool, number)| of(Scope::Pool(number), &pool.rates.pool, &pool.cells));
        let mut owners: SmallVec<_> = key.chain(own).chain(pools).collect();
        owners.resize(self.token_sources.len(), Scope::Route);
        owners
    }

    /// The denial by the rate that makes the caller wait longest.
    pub(super) fn denied_by_rate(&self) -> Denied {
        let nanos = self.nanos;
        let wait = |(rate, source): &(&Rate, TokenSource<'_>)| {
            let wait = match source.check(rate, nanos) {
                Ok(()) => 0,
                Err(Shortage::AskBank) => 1,
                Err(Shortage::Wait(wait)) => wait,
            };
            (wait, source.refusal(rate, nanos))
        };
        let longest = self.token_sources.iter().map(wait).max_by_key(|(wait, _)| *wait);
        let (wait, violated) = longest.unwrap_or((0, NO_MONTH));
        self.denied(DenialReason::RateLimited, violated, wait.div_ceil(rate::NANOS_PER_SECOND).max(1))
    }

    fn denied_by_concurrency(&self, violated: LimitState) -> Denied {
        self.denied(DenialReason::ConcurrencyLimited, violated, CONCURRENCY_RETRY_SECONDS)
    }

    fn denied(&self, reason: DenialReason, violated: LimitState, retry_after_seconds: u64) -> Denied {
        let mut limits = self.states();
        limits.push_refusing(violated);
        Denied { denial: Denial { reason, violated, limits: limits.to_vec(), retry_after_seconds }, awaited: None }
    }
}
