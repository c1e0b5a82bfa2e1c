//! The account of a concurrency limit: how many permits this gateway has in use, and how many the
//! bank allows it.
//!
//! A permit is not spent: it is free again when its request ends. Permits that are not needed go
//! back with the next report, and a gateway that has more than its share while others need some is
//! allowed fewer from then on.
//!
//! Invariant: the bank counts at least as many permits for a gateway as it allows it.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use common::limit::NANOS_PER_SECOND;
use tokio::sync::futures::Notified;

use super::{
    account::{HORIZON, LEASE, MARGIN, PAUSE, REVISIT, REVISIT_SCARCE},
    draw::{Draw, Grant, Kind},
    queue_state::{QueueState, Shortage},
};
use crate::lock::locked;

/// Window in the arguments of the script, which needs one. Permits do not refill and have no
/// window.
const WINDOW_MICROS: u64 = 1_000_000;

/// The account of one concurrency limit.
pub struct ConcurrencyAccount {
    queue: QueueState,
    permits: AtomicU64,
    /// Instant at which the bank's allowance ends, in nanoseconds.
    lapses: AtomicU64,
    /// Most permits in use at once since the last draw.
    peak: AtomicU64,
    state: Mutex<DrawState>,
}

/// Permits of this gateway, packed into one atomic word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Permits {
    in_use: u32,
    /// Most permits that may be in use until the bank's allowance ends.
    allowed: u32,
}

/// State of the draws, used by the bank's worker only.
#[derive(Default)]
struct DrawState {
    drawn_at: u64,
    /// Permits used or asked for, smoothed.
    demand: f64,
    /// The bank had at most half of the limit left when it last answered.
    is_scarce: bool,
}

impl ConcurrencyAccount {
    /// Makes an account without any permit. All gateways use the same `name` for the same limit.
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self {
            queue: QueueState::new(name),
            permits: AtomicU64::new(0),
            lapses: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// Name of the limit, the same at all gateways.
    pub fn name(&self) -> &str {
        self.queue.name()
    }

    /// Shard of the bank that keeps the limit.
    pub const fn shard(&self) -> usize {
        self.queue.shard()
    }
}

/// Permits of one of `gateways` while the bank is away: an equal share of the limit, at least 1.
fn share(limit: u64, gateways: u64) -> u64 {
    (limit / gateways.max(1)).max(1)
}

// === the request path ===

impl ConcurrencyAccount {
    /// Takes a permit, to be given back by [`Self::release`]. `gateways` is the number of gateways
    /// that share the limit while the bank is away, `None` while it answers.
    pub fn take(&self, limit: u64, gateways: Option<u64>, now: u64) -> Result<(), Shortage> {
        let take = |permits: Permits| {
            let has_room = u64::from(permits.in_use) < self.most(permits, limit, gateways, now);
            has_room.then(|| Permits { in_use: permits.in_use.saturating_add(1), ..permits })
        };
        match self.update(take) {
            Some(before) => {
                self.peak.fetch_max(u64::from(before.in_use) + 1, Ordering::Relaxed);
                Ok(())
            }
            None => Err(self.shortage(limit, gateways, now)),
        }
    }

    /// Checks that [`Self::take`] would succeed, without taking a permit.
    pub fn check(&self, limit: u64, gateways: Option<u64>, now: u64) -> Result<(), Shortage> {
        match self.remaining(limit, gateways, now) {
            0 => Err(self.shortage(limit, gateways, now)),
            _ => Ok(()),
        }
    }

    /// Gives one permit back.
    pub fn release(&self) {
        self.update(|permits| Some(Permits { in_use: permits.in_use.saturating_sub(1), ..permits }));
    }

    /// Permits that this gateway can take without asking the bank: a lower bound of what is left.
    pub fn remaining(&self, limit: u64, gateways: Option<u64>, now: u64) -> u64 {
        let permits = self.permits();
        self.most(permits, limit, gateways, now).saturating_sub(permits.in_use.into())
    }

    /// Permits in use at this gateway.
    pub fn in_use(&self) -> u64 {
        self.permits().in_use.into()
    }

    /// Counts a request that found no permit; it adds to the demand like one that was served.
    pub fn missed(&self) {
        self.queue.missed();
    }

    /// Returns true if permits run low or the limit has changed, and the caller is the one who has
    /// to queue the account.
    pub fn needs_draw(&self, limit: u64, now: u64) -> bool {
        self.queue.needs_draw(terms(limit), now, || {
            if self.has_all(limit, now) { u64::MAX } else { self.remaining(limit, None, now) }
        })
    }

    /// Completes with the bank's next answer, or when the bank is found to be away.
    pub fn answered(&self) -> Notified<'_> {
        self.queue.answered()
    }

    /// Asking does not help while the bank is away, or with all permits of the limit at this
    /// gateway.
    fn shortage(&self, limit: u64, gateways: Option<u64>, now: u64) -> Shortage {
        if gateways.is_some() || self.has_all(limit, now) {
            return Shortage::Wait(NANOS_PER_SECOND);
        }
        self.queue.shortage(terms(limit), now)
    }

    fn has_all(&self, limit: u64, now: u64) -> bool {
        self.allowed_at(self.permits(), now) >= limit
    }

    fn most(&self, permits: Permits, limit: u64, gateways: Option<u64>, now: u64) -> u64 {
        let alone = gateways.map_or(0, |gateways| share(limit, gateways));
        self.allowed_at(permits, now).max(alone).min(limit)
    }

    fn allowed_at(&self, permits: Permits, now: u64) -> u64 {
        if now < self.lapses.load(Ordering::Acquire) { permits.allowed.into() } else { 0 }
    }

    fn permits(&self) -> Permits {
        self.permits.load(Ordering::Acquire).into()
    }

    /// Applies `change` unless it returns none, and returns the permits before the change.
    fn update(&self, mut change: impl FnMut(Permits) -> Option<Permits>) -> Option<Permits> {
        let change = |word: u64| change(word.into()).map(u64::from);
        self.permits.fetch_update(Ordering::AcqRel, Ordering::Acquire, change).ok().map(Permits::from)
    }
}

// === the bank's worker ===

impl ConcurrencyAccount {
    /// Makes the next draw. `gateways` is the number of gateways that would share the limit if the
    /// bank were away.
    pub(super) fn draw(&self, limit: u64, now: u64, gateways: u64) -> Draw {
        let mut state = locked(&self.state);
        let unmet = self.queue.begin_draw(terms(limit));
        let in_use = self.in_use();
        let peak = self.peak.swap(in_use, Ordering::AcqRel).max(in_use);
        let demand = state.observe(peak.saturating_add(unmet.min(limit)), now);
        let ahead = if state.is_scarce { 0 } else { demand.min(limit / (2 * gateways.max(1))) };
        let target = (demand + ahead).min(limit);
        let held = self.report(target, now);
        self.queue.set_low_water(ahead / 2);
        Draw {
            kind: Kind::Concurrency,
            limit,
            window_micros: WINDOW_MICROS,
            burst: limit,
            held,
            returned: 0,
            debt: 0,
            want: target.saturating_sub(held),
            demand,
        }
    }

    /// Lowers the allowance to `most`, or to the permits in use if they are more, and returns it.
    /// No more permits than that are taken until the answer has come. An allowance that has ended
    /// is dropped.
    fn report(&self, most: u64, now: u64) -> u64 {
        let mut held = 0;
        self.update(|permits| {
            held = self.allowed_at(permits, now).min(most).max(permits.in_use.into());
            Some(Permits { allowed: narrow(held), ..permits })
        });
        held
    }

    /// Takes the bank's answer to a draw that was sent at `sent`. Returns the instant of the next
    /// report, or none if the gateway holds and wants nothing.
    pub(super) fn granted(&self, limit: u64, draw: &Draw, grant: &Grant, sent: u64, now: u64) -> Option<u64> {
        let mut state = locked(&self.state);
        state.is_scarce = grant.level <= limit / 2;
        self.update(|permits| Some(Permits { allowed: narrow(grant.granted), ..permits }));
        self.lapses.store(sent + LEASE - MARGIN, Ordering::Release);

        let is_short = grant.granted < draw.held + draw.want;
        let empty_until = if is_short { now + (grant.wait_micros * 1_000).max(PAUSE) } else { 0 };
        self.queue.set_empty_until(empty_until);
        self.queue.wake();

        let is_used = grant.granted > 0 || draw.demand > 0 || self.in_use() > 0;
        is_used.then_some(now + if state.is_scarce { REVISIT_SCARCE } else { REVISIT })
    }

    /// Takes the answer of a bank that recorded a draw sent at `sent` and grants nothing yet.
    pub(super) fn noted(&self, draw: &Draw, sent: u64) {
        if draw.held > 0 {
            self.lapses.store(sent + LEASE - MARGIN, Ordering::Release);
        }
        self.queue.wake();
    }

    /// Wakes the waiting requests after a call without an answer.
    pub(super) fn unanswered(&self) {
        self.queue.wake();
    }
}

impl DrawState {
    /// Updates the demand: a fall is smoothed over about two horizons, a rise counts at once.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and within f64's 53 bits")]
    fn observe(&mut self, used: u64, now: u64) -> u64 {
        let elapsed = now.saturating_sub(self.drawn_at);
        self.drawn_at = now;
        let weight = (elapsed as f64 / (2.0 * HORIZON as f64)).min(1.0);
        let used = used as f64;
        self.demand = if used > self.demand { used } else { self.demand + (used - self.demand) * weight };
        if used == 0.0 && self.demand < 0.5 {
            self.demand = 0.0;
        }
        self.demand.ceil() as u64
    }
}

/// Fingerprint of the terms; the highest bit tells a limit of 0 from an account that was never
/// drawn for.
const fn terms(limit: u64) -> u64 {
    limit | 1 << 63
}

/// Clamps a number of permits to the 32 bits that the word has for it.
fn narrow(permits: u64) -> u32 {
    u32::try_from(permits).unwrap_or(u32::MAX)
}

impl From<u64> for Permits {
    #[expect(clippy::cast_possible_truncation, reason = "two halves")]
    fn from(word: u64) -> Self {
        Self { in_use: (word >> 32) as u32, allowed: word as u32 }
    }
}

impl From<Permits> for u64 {
    fn from(permits: Permits) -> Self {
        Self::from(permits.in_use) << 32 | Self::from(permits.allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 10;
    const SECOND: u64 = NANOS_PER_SECOND;

    /// Draws at `now`, and answers at once that `granted` permits in all are allowed.
    fn answer(account: &ConcurrencyAccount, now: u64, granted: u64, level: u64) -> Draw {
        let draw = account.draw(LIMIT, now, 1);
        account.granted(LIMIT, &draw, &Grant { granted, level, wait_micros: 0, ..Grant::default() }, now, now);
        draw
    }

    fn begin(account: &ConcurrencyAccount, times: u64, now: u64) -> u64 {
        (0..times).filter(|_| account.take(LIMIT, None, now).is_ok()).count() as u64
    }

    #[test]
    fn no_permit_without_a_grant_and_a_released_permit_is_used_again() {
        let account = ConcurrencyAccount::new("key_1:concurrent");
        assert_eq!(account.take(LIMIT, None, 0), Err(Shortage::AskBank));
        account.missed();
        assert!(account.needs_draw(LIMIT, 0) && !account.needs_draw(LIMIT, 0));
        let draw = answer(&account, 0, 2, 8);
        assert_eq!((draw.kind, draw.held, draw.demand), (Kind::Concurrency, 0, 1));
        assert_eq!(begin(&account, 5, 0), 2);
        account.release();
        assert_eq!(account.remaining(LIMIT, None, 0), 1);
        assert_eq!(begin(&account, 5, 0), 1);
    }

    #[test]
    fn lapsed_lease_takes_free_permits_back_and_counts_those_in_use() {
        let account = ConcurrencyAccount::new("key_1:concurrent");
        answer(&account, 0, 5, 5);
        assert_eq!(begin(&account, 3, 0), 3);
        assert_eq!(account.remaining(LIMIT, None, LEASE - MARGIN - 1), 2);
        assert_eq!(account.remaining(LIMIT, None, LEASE - MARGIN), 0);
        assert_eq!(account.draw(LIMIT, SECOND, 1).held, 3, "they are still in use");
    }

    #[test]
    fn gateway_that_is_allowed_fewer_takes_none_until_enough_are_released() {
        let account = ConcurrencyAccount::new("key_1:concurrent");
        answer(&account, 0, 8, 2);
        assert_eq!(begin(&account, 8, 0), 8);
        let draw = answer(&account, 0, 5, 0);
        assert_eq!(draw.held, 8);
        (0..3).for_each(|_| account.release());
        assert_eq!(begin(&account, 5, 0), 0);
        account.release();
        assert_eq!(begin(&account, 5, 0), 1);
    }

    #[test]
    fn gateway_with_every_permit_does_not_ask_for_more() {
        let account = ConcurrencyAccount::new("key_1:concurrent");
        answer(&account, 0, LIMIT, 0);
        assert_eq!(begin(&account, 20, 0), LIMIT);
        assert!(matches!(account.take(LIMIT, None, 0), Err(Shortage::Wait(_))));
        account.missed();
        assert!(!account.needs_draw(LIMIT, 0));
    }

    #[test]
    fn gateway_without_the_bank_uses_its_share_and_its_allowance() {
        let account = ConcurrencyAccount::new("key_1:concurrent");
        let alone = |gateways| (0..20).take_while(|_| account.take(LIMIT, Some(gateways), 0).is_ok()).count();
        assert_eq!(alone(4), 2);
        assert_eq!(alone(2), 3, "five in all");
        answer(&account, 0, 7, 0);
        assert_eq!(alone(2), 2);
        assert!(account.take(1, Some(50), 0).is_err(), "a limit that was lowered counts at once");
        (0..7).for_each(|_| account.release());
        assert!(account.take(1, Some(50), SECOND).is_ok(), "one at least");
    }

    #[test]
    fn unused_permits_go_back() {
        let account = ConcurrencyAccount::new("key_1:concurrent");
        answer(&account, 0, 8, 2);
        assert_eq!(begin(&account, 8, 0), 8);
        answer(&account, SECOND / 10, 8, 2);
        (0..8).for_each(|_| account.release());
        for tenth in 2..30 {
            answer(&account, tenth * SECOND / 10, 0, LIMIT);
        }
        let draw = account.draw(LIMIT, 3 * SECOND, 1);
        assert_eq!((draw.held, draw.want, draw.demand), (0, 0, 0));
    }
}
