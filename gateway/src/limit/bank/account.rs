//! The account of a rate limit: the tokens in hand, how fast they are used, and how many to draw
//! next.
//!
//! Invariant: an account does no I/O and reads no clock; calls, answers and times are handed to it.

use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering},
};

use common::limit::{NANOS_PER_SECOND, Rate, RateCell};
use tokio::sync::futures::Notified;

use super::{
    draw::{Draw, Grant, Kind},
    estimate::{Estimate, LastLevel},
    lease::{Lease, MOST, Taken, Tick},
    queue_state::{QueueState, Shortage},
};
use crate::lock::locked;

/// Nanoseconds that one draw should last at the current demand.
pub(super) const HORIZON: u64 = 100_000_000;

/// Factor by which a draw exceeds the demand while the bank has plenty.
const PLENTY: u64 = 5;

/// Nanoseconds for which a lease is valid at the bank.
pub const LEASE: u64 = NANOS_PER_SECOND;

/// Nanoseconds before the end of a lease at which the gateway stops spending it. They cover an
/// unnoticed step of the bank's clock and the drift between two clocks in a second.
pub(super) const MARGIN: u64 = 100_000_000;

/// Nanoseconds until an account that holds tokens reports again.
pub(super) const REVISIT: u64 = LEASE / 2;

/// Same as [`REVISIT`], while the bank has little left and others may need the tokens.
pub(super) const REVISIT_SCARCE: u64 = HORIZON;

/// Least nanoseconds until an empty bank is asked again, even if a token refills sooner: drawing
/// tokens one by one would cost a round trip each.
pub(super) const PAUSE: u64 = 10_000_000;

/// The account of one rate limit.
pub struct Account {
    queue: QueueState,
    /// Bucket for the time in which the bank is away: this gateway's share of what was left when
    /// the bank last answered, refilled at this gateway's share of the rate.
    alone: RateCell,
    /// Number of times that `alone` was replaced.
    renewals: AtomicU32,
    lease: Lease,
    last_level: LastLevel,
    state: Mutex<DrawState>,
}

/// State of the draws, used by the bank's worker only.
#[derive(Default)]
struct DrawState {
    /// Instant of the last draw.
    drawn_at: u64,
    /// Tokens in hand after the last grant.
    after_grant: u64,
    /// Tokens used per second, smoothed.
    pace: f64,
    /// The bank had at most half of the burst left when it last answered.
    is_scarce: bool,
    /// Instant at which `alone` would have been full when it was last replaced; the time beyond it
    /// was admitted.
    alone_from: u64,
    /// The same instant as reported with the last draw.
    alone_reported: u64,
    /// Tokens admitted alone between a draw and its answer.
    owed: u64,
}

/// Receipt for one token, needed to put it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Debit(Source);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Lease(Taken),
    /// Taken from the bucket `alone`, after so many renewals; `interval` is the nanoseconds in
    /// which one token refills.
    Alone {
        renewals: u32,
        interval: u64,
    },
}

impl Account {
    /// Makes an empty account. All gateways use the same `name` for the same limit.
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self {
            queue: QueueState::new(name),
            alone: RateCell::default(),
            renewals: AtomicU32::new(0),
            lease: Lease::default(),
            last_level: LastLevel::default(),
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

// === the request path ===

impl Account {
    /// Takes one token. `gateways` is the number of gateways that share the limit while the bank is
    /// away, `None` while it answers. The last token in hand is kept while the bank may have more,
    /// so that `remaining` is never shown as 0 then.
    pub fn take(&self, rate: &Rate, gateways: Option<u64>, now: u64) -> Result<Debit, Shortage> {
        let tick = Tick::of_nanos(now);
        if let Some(taken) = self.lease.take(tick, 1) {
            return Ok(Debit(Source::Lease(taken)));
        }
        let shortage = self.queue.shortage(rate.fingerprint(), now);
        if (gateways.is_some() || shortage != Shortage::AskBank)
            && let Some(taken) = self.lease.take(tick, 0)
        {
            return Ok(Debit(Source::Lease(taken)));
        }
        let Some(gateways) = gateways else {
            return Err(shortage);
        };
        // Read before the debit, which must not count for a bucket that replaces this one later.
        let renewals = self.renewals.load(Ordering::Acquire);
        let share = rate.share(gateways);
        match self.alone.debit(&share, now) {
            Some(_) => Ok(Debit(Source::Alone { renewals, interval: share.interval() })),
            None => Err(Shortage::Wait(self.alone.wait(&share, now).max(1))),
        }
    }

    /// Checks that [`Self::take`] would succeed, without taking a token.
    pub fn check(&self, rate: &Rate, gateways: Option<u64>, now: u64) -> Result<(), Shortage> {
        let in_hand = self.lease.in_hand(Tick::of_nanos(now));
        if in_hand > 1 {
            return Ok(());
        }
        let shortage = self.queue.shortage(rate.fingerprint(), now);
        if in_hand > 0 && (gateways.is_some() || shortage != Shortage::AskBank) {
            return Ok(());
        }
        let Some(gateways) = gateways else {
            return Err(shortage);
        };
        match self.alone.wait(&rate.share(gateways), now) {
            0 => Ok(()),
            wait => Err(Shortage::Wait(wait)),
        }
    }

    /// Puts a token back that was taken `elapsed` nanoseconds ago. A token that was reported as
    /// spent meanwhile stays spent.
    pub fn put_back(&self, debit: Debit, elapsed: u64) {
        match debit.0 {
            Source::Lease(taken) => self.lease.put_back(taken),
            Source::Alone { renewals, interval } => {
                let _no_renewal = locked(&self.state);
                if self.renewals.load(Ordering::Acquire) == renewals {
                    self.alone.give_back(interval, elapsed);
                }
            }
        }
    }

    /// Tokens that this gateway can spend without asking the bank: a lower bound of what is left.
    pub fn remaining(&self, rate: &Rate, gateways: Option<u64>, now: u64) -> u64 {
        let in_hand = self.lease.in_hand(Tick::of_nanos(now));
        let alone = gateways.map_or(0, |gateways| rate.share(gateways).remaining(self.alone.full_at(), now));
        in_hand + alone
    }

    /// Estimates what is left of the limit from the bank's last answer. `covers` are the limits
    /// that apply to every request that this limit applies to.
    pub fn estimate<'a>(
        &self,
        rate: &Rate,
        gateways: Option<u64>,
        covers: impl Iterator<Item = &'a Rate>,
        now: u64,
    ) -> Estimate {
        let in_hand = self.remaining(rate, gateways, now);
        if gateways.is_some() || self.queue.shortage(rate.fingerprint(), now) != Shortage::AskBank {
            return Estimate { remaining: in_hand, likely: in_hand };
        }
        self.last_level.estimate(rate, in_hand, covers, now)
    }

    /// Counts a request that found no token; it adds to the demand like one that was served.
    pub fn missed(&self) {
        self.queue.missed();
    }

    /// Returns true if the account runs low or its terms have changed, and the caller is the one
    /// who has to queue it.
    pub fn needs_draw(&self, rate: &Rate, now: u64) -> bool {
        self.queue.needs_draw(rate.fingerprint(), now, || self.lease.in_hand(Tick::of_nanos(now)))
    }

    /// Completes with the bank's next answer, or when the bank is found to be away.
    pub fn answered(&self) -> Notified<'_> {
        self.queue.answered()
    }
}

// === the bank's worker ===

impl Account {
    /// Makes the next draw. `round_trip` is the nanoseconds until an answer, including the wait for
    /// the next call; `gateways` is the number of gateways that would share the limit if the bank
    /// were away.
    pub(super) fn draw(&self, rate: &Rate, now: u64, round_trip: u64, gateways: u64) -> Draw {
        let mut state = locked(&self.state);
        let unmet = self.queue.begin_draw(rate.fingerprint());
        let tick = Tick::of_nanos(now);
        let used = state.after_grant.saturating_sub(self.lease.in_hand(tick)) + unmet;
        let is_idle = used == 0;
        state.observe(used, now);
        let most = if is_idle { 0 } else { rate.burst().min(MOST) };
        let (held, returned) = self.lease.report(tick, most);
        state.after_grant = held;
        let (demand, want) = if is_idle { (0, 0) } else { state.wish(rate, held, unmet, gateways) };
        // At least 1: the last token is not taken before more was asked for.
        self.queue.set_low_water(tokens(state.pace, round_trip).min(held.midpoint(want)).max(1));
        Draw {
            kind: Kind::Rate,
            limit: rate.limit(),
            window_micros: rate.window_micros(),
            burst: rate.burst(),
            held,
            returned,
            debt: state.debt(&self.alone, &rate.share(gateways), now),
            want,
            demand,
        }
    }

    /// Takes the bank's answer to a draw that was sent at `sent`. Returns the instant of the next
    /// report, or none if the gateway holds and wants nothing.
    pub(super) fn granted(
        &self,
        rate: &Rate,
        draw: &Draw,
        grant: &Grant,
        sent: u64,
        now: u64,
        gateways: u64,
    ) -> Option<u64> {
        let mut state = locked(&self.state);
        state.is_scarce = grant.level <= rate.burst() / 2;
        state.after_grant = draw.held + grant.granted;
        if state.after_grant > 0 {
            self.lease.add(grant.granted, Tick::of_nanos(sent + LEASE - MARGIN));
        }
        self.last_level.set(grant.level, state.after_grant, sent);
        state.renew(&self.alone, rate.full_at_with(grant.level, now), &rate.share(gateways), now);
        self.renewals.fetch_add(1, Ordering::AcqRel);

        let is_empty = grant.level == 0 && grant.wait_micros > 0;
        let is_short = is_empty && grant.granted < draw.want;
        let pause = PAUSE.min(rate.depth() / 2);
        let empty_until = if is_empty { now + (grant.wait_micros * 1_000).max(pause) } else { 0 };
        self.queue.set_empty_until(empty_until);
        self.queue.wake();

        let revisit = now + if state.is_scarce { REVISIT_SCARCE } else { REVISIT };
        let is_holding = state.after_grant > 0;
        match (is_short, is_holding) {
            (true, true) => Some(empty_until.min(revisit)),
            (true, false) => Some(empty_until),
            (false, true) => Some(revisit),
            (false, false) => (draw.demand > 0 || state.owed > 0).then_some(revisit),
        }
    }

    /// Takes the answer of a bank that recorded a draw sent at `sent` and grants nothing yet.
    pub(super) fn noted(&self, draw: &Draw, sent: u64) {
        let mut state = locked(&self.state);
        state.alone_from = state.alone_from.max(state.alone_reported);
        state.owed = 0;
        if draw.held > 0 {
            self.lease.add(0, Tick::of_nanos(sent + LEASE - MARGIN));
        }
        self.queue.wake();
    }

    /// Wakes the waiting requests after a call without an answer.
    pub(super) fn unanswered(&self) {
        self.queue.wake();
    }
}

impl DrawState {
    /// Updates the pace: a fall is smoothed over about two horizons, a rise counts at once.
    fn observe(&mut self, used: u64, now: u64) {
        let elapsed = now.saturating_sub(self.drawn_at).max(1);
        self.drawn_at = now;
        let (elapsed, horizon) = (elapsed as f64, HORIZON as f64);
        let pace = used as f64 * NANOS_PER_SECOND as f64 / elapsed.max(horizon / 10.0);
        let weight = (elapsed / (2.0 * horizon)).min(1.0);
        self.pace = if pace > self.pace { pace } else { self.pace + (pace - self.pace) * weight };
    }

    /// Returns the demand (tokens used in a horizon) and the tokens wanted beyond those held: at
    /// least one for each request that found none. More than the demand is wanted only as far as
    /// all gateways could do the same and leave half of the burst at the bank, because tokens in
    /// hand do not refill.
    fn wish(&self, rate: &Rate, held: u64, unmet: u64, gateways: u64) -> (u64, u64) {
        let demand = tokens(self.pace, HORIZON).max(unmet);
        let share = rate.burst() / (2 * gateways.max(1));
        let ahead = if self.is_scarce { 0 } else { demand.saturating_mul(PLENTY).min(share) };
        let target = demand.max(ahead).min(rate.burst()).min(MOST / 2);
        // One more than needed: the last token is kept.
        let needed = unmet.min(MOST / 2) + u64::from(unmet > 0 && !self.is_scarce);
        (demand, target.saturating_sub(held).max(needed))
    }

    /// Tokens that were admitted alone, have not refilled since and were not reported yet.
    fn debt(&mut self, alone: &RateCell, share: &Rate, now: u64) -> u64 {
        self.alone_reported = alone.full_at();
        self.owed + admitted(self.alone_reported, self.alone_from, share, now)
    }

    /// Replaces the bucket `alone`. Tokens admitted from it since the last draw are reported with
    /// the next one.
    fn renew(&mut self, alone: &RateCell, full_at: u64, share: &Rate, now: u64) {
        let before = alone.replace(full_at);
        self.owed = admitted(before, self.alone_reported.max(self.alone_from), share, now);
        self.alone_from = full_at;
        self.alone_reported = full_at;
    }
}

/// Tokens that a bucket admitted between the states "full at `from`" and "full at `full_at`", less
/// those that have refilled.
fn admitted(full_at: u64, from: u64, share: &Rate, now: u64) -> u64 {
    full_at.saturating_sub(now).min(full_at.saturating_sub(from)).div_ceil(share.interval())
}

/// Whole tokens that a pace per second uses in `nanos`, rounded up.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a pace is positive and within f64's 53 bits"
)]
fn tokens(pace: f64, nanos: u64) -> u64 {
    (pace * nanos as f64 / NANOS_PER_SECOND as f64).ceil() as u64
}
