//! One limit as this gateway knows it while a bank is shared with others: what is in hand, how much is used, and what
//! to ask for next. It knows nothing of the network: calls and answers are handed to it with their times.

use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering},
};

use tokio::sync::futures::Notified;

use super::{
    draw::{Draw, Grant, Kind},
    front::{Front, Short},
    lease::{Lease, MOST, Taken, Tick},
    seen::{Seen, Standing},
};
use crate::{
    limit::rate::{NANOS_PER_SECOND, Rate, RateCell},
    lock::locked,
};

/// What a draw is meant to last at the current demand, in nanoseconds.
pub(super) const HORIZON: u64 = 100_000_000;

/// How much more is drawn while the bank has plenty.
const PLENTY: u64 = 5;

/// How long a lease lasts at the bank, in nanoseconds.
pub const LEASE: u64 = NANOS_PER_SECOND;

/// By how much earlier the gateway stops to spend it: a step of the bank's clock that goes unnoticed, and what clocks
/// differ by in a second.
pub(super) const MARGIN: u64 = 100_000_000;

/// When a holder looks again at what it holds: soon if others may be short of it.
pub(super) const REVISIT: u64 = LEASE / 2;
pub(super) const REVISIT_SCARCE: u64 = HORIZON;

/// How long an empty bank is left alone, even if a token refills sooner: drawing one by one would be a trip for each.
pub(super) const PAUSE: u64 = 10_000_000;

/// The account of one limit.
pub struct Account {
    front: Front,
    /// What may be admitted while the bank is away: this gateway's part of what was left when the bank last answered.
    /// What was missing then has refilled since, at this gateway's part of the rate.
    alone: RateCell,
    /// How often `alone` was started anew.
    renewals: AtomicU32,
    lease: Lease,
    seen: Seen,
    course: Mutex<Course>,
}

/// What only the bank's client looks at.
#[derive(Default)]
struct Course {
    /// When the last draw was made.
    drawn_at: u64,
    /// Tokens in hand after the last grant.
    after_grant: u64,
    /// Tokens used per second, smoothed.
    pace: f64,
    /// Whether the bank had plenty when it last answered, or has not answered yet.
    is_scarce: bool,
    /// When `alone` would have been full as it was started; what is beyond was admitted.
    alone_from: u64,
    /// The same as it was told in the last draw.
    alone_told: u64,
    /// Tokens admitted alone between a draw and its answer.
    owed: u64,
}

/// What was taken, to put it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Debit(Source);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Lease(Taken),
    /// Taken alone: how often the bucket had been started anew, and the nanoseconds in which one token refills.
    Alone {
        renewals: u32,
        interval: u64,
    },
}

impl Account {
    /// An account of which nothing is known yet. `name` is the limit's in the whole fleet.
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self {
            front: Front::new(name),
            alone: RateCell::default(),
            renewals: AtomicU32::new(0),
            lease: Lease::default(),
            seen: Seen::default(),
            course: Mutex::default(),
        }
    }

    /// The limit's name in the whole fleet.
    pub fn name(&self) -> &str {
        self.front.name()
    }

    /// The part of the bank that it belongs to.
    pub const fn shard(&self) -> usize {
        self.front.shard()
    }
}

// === the request path ===

impl Account {
    /// Takes one token. `gateways`: how many share the limit while the bank is away; `None` if it is there. The last
    /// token in hand is kept while the bank may have more: with none in hand, nothing could be told to be left.
    pub fn take(&self, rate: &Rate, gateways: Option<u64>, now: u64) -> Result<Debit, Short> {
        let tick = Tick::of_nanos(now);
        if let Some(taken) = self.lease.take(tick, 1) {
            return Ok(Debit(Source::Lease(taken)));
        }
        let short = self.front.short(rate.fingerprint(), now);
        if (gateways.is_some() || short != Short::Dry)
            && let Some(taken) = self.lease.take(tick, 0)
        {
            return Ok(Debit(Source::Lease(taken)));
        }
        let Some(gateways) = gateways else {
            return Err(short);
        };
        // Read before the debit: it must not be taken for one of a bucket that is started later.
        let renewals = self.renewals.load(Ordering::Acquire);
        let share = rate.share(gateways);
        match self.alone.debit(&share, now) {
            Some(_) => Ok(Debit(Source::Alone { renewals, interval: share.interval() })),
            None => Err(Short::Wait(self.alone.wait(&share, now).max(1))),
        }
    }

    /// Whether [`Self::take`] would succeed, without taking.
    pub fn check(&self, rate: &Rate, gateways: Option<u64>, now: u64) -> Result<(), Short> {
        let in_hand = self.lease.in_hand(Tick::of_nanos(now));
        if in_hand > 1 {
            return Ok(());
        }
        let short = self.front.short(rate.fingerprint(), now);
        if in_hand > 0 && (gateways.is_some() || short != Short::Dry) {
            return Ok(());
        }
        let Some(gateways) = gateways else {
            return Err(short);
        };
        match self.alone.wait(&rate.share(gateways), now) {
            0 => Ok(()),
            wait => Err(Short::Wait(wait)),
        }
    }

    /// Undoes a debit made `elapsed` nanoseconds ago. What the bank was told meanwhile is spent for good.
    pub fn put_back(&self, debit: Debit, elapsed: u64) {
        match debit.0 {
            Source::Lease(taken) => self.lease.put_back(taken),
            Source::Alone { renewals, interval } => {
                let _no_renewal = locked(&self.course);
                if self.renewals.load(Ordering::Acquire) == renewals {
                    self.alone.give_back(interval, elapsed);
                }
            }
        }
    }

    /// What this gateway can still admit without asking anybody: a lower bound of what is left.
    pub fn remaining(&self, rate: &Rate, gateways: Option<u64>, now: u64) -> u64 {
        let in_hand = self.lease.in_hand(Tick::of_nanos(now));
        let alone = gateways.map_or(0, |gateways| rate.share(gateways).remaining(self.alone.full_at(), now));
        in_hand + alone
    }

    /// How the limit stands, with what the bank last said of it. `covers`: limits that apply to whatever this one applies
    /// to.
    pub fn standing<'a>(
        &self,
        rate: &Rate,
        gateways: Option<u64>,
        covers: impl Iterator<Item = &'a Rate>,
        now: u64,
    ) -> Standing {
        let in_hand = self.remaining(rate, gateways, now);
        if gateways.is_some() || self.front.short(rate.fingerprint(), now) != Short::Dry {
            return Standing { remaining: in_hand, likely: in_hand };
        }
        self.seen.standing(rate, in_hand, covers, now)
    }

    /// A request found nothing: its demand counts like that of one that was served.
    pub fn missed(&self) {
        self.front.missed();
    }

    /// Whether the caller is the one to put the account into the bank's queue: it runs low, or its terms have changed.
    pub fn needs_draw(&self, rate: &Rate, now: u64) -> bool {
        self.front.needs_draw(rate.fingerprint(), now, || self.lease.in_hand(Tick::of_nanos(now)))
    }

    /// Ends with the next answer, or when it is clear that there is none.
    pub fn answered(&self) -> Notified<'_> {
        self.front.answered()
    }
}

// === the bank's client ===

impl Account {
    /// What to tell the bank now. `round_trip`: how long an answer takes, the wait for the next call included;
    /// `gateways`: how many share the limit if the bank was away.
    pub(super) fn draw(&self, rate: &Rate, now: u64, round_trip: u64, gateways: u64) -> Draw {
        let mut course = locked(&self.course);
        let unmet = self.front.begin_draw(rate.fingerprint());
        let tick = Tick::of_nanos(now);
        let used = course.after_grant.saturating_sub(self.lease.in_hand(tick)) + unmet;
        let is_idle = used == 0;
        course.observe(used, now);
        let most = if is_idle { 0 } else { rate.burst().min(MOST) };
        let (held, returned) = self.lease.report(tick, most);
        course.after_grant = held;
        let (demand, want) = if is_idle { (0, 0) } else { course.wish(rate, held, unmet, gateways) };
        // At least the last token, which is not taken before more was asked for.
        self.front.set_low_water(tokens(course.pace, round_trip).min(held.midpoint(want)).max(1));
        Draw {
            kind: Kind::Rate,
            limit: rate.limit(),
            window_micros: rate.window_micros(),
            burst: rate.burst(),
            held,
            returned,
            debt: course.debt(&self.alone, &rate.share(gateways), now),
            want,
            demand,
        }
    }

    /// The bank answered a draw that was sent at `sent`. The next look is due at the instant returned; none if the
    /// gateway holds and wants nothing.
    pub(super) fn granted(
        &self,
        rate: &Rate,
        draw: &Draw,
        grant: &Grant,
        sent: u64,
        now: u64,
        gateways: u64,
    ) -> Option<u64> {
        let mut course = locked(&self.course);
        course.is_scarce = grant.level <= rate.burst() / 2;
        course.after_grant = draw.held + grant.granted;
        if course.after_grant > 0 {
            self.lease.add(grant.granted, Tick::of_nanos(sent + LEASE - MARGIN));
        }
        self.seen.set(grant.level, course.after_grant, sent);
        course.renew(&self.alone, rate.full_at_with(grant.level, now), &rate.share(gateways), now);
        self.renewals.fetch_add(1, Ordering::AcqRel);

        let is_empty = grant.level == 0 && grant.wait_micros > 0;
        let is_short = is_empty && grant.granted < draw.want;
        let pause = PAUSE.min(rate.depth() / 2);
        let dry_until = if is_empty { now + (grant.wait_micros * 1_000).max(pause) } else { 0 };
        self.front.set_dry_until(dry_until);
        self.front.wake();

        let revisit = now + if course.is_scarce { REVISIT_SCARCE } else { REVISIT };
        let is_holding = course.after_grant > 0;
        match (is_short, is_holding) {
            (true, true) => Some(dry_until.min(revisit)),
            (true, false) => Some(dry_until),
            (false, true) => Some(revisit),
            (false, false) => (draw.demand > 0 || course.owed > 0).then_some(revisit),
        }
    }

    /// The bank took note of a draw that was sent at `sent`, and grants nothing yet.
    pub(super) fn noted(&self, draw: &Draw, sent: u64) {
        let mut course = locked(&self.course);
        course.alone_from = course.alone_from.max(course.alone_told);
        course.owed = 0;
        if draw.held > 0 {
            self.lease.add(0, Tick::of_nanos(sent + LEASE - MARGIN));
        }
        self.front.wake();
    }

    /// Nobody answered: whoever waits goes on without.
    pub(super) fn unanswered(&self) {
        self.front.wake();
    }
}

impl Course {
    /// Smooths the pace over about two horizons; a rise is believed at once.
    fn observe(&mut self, used: u64, now: u64) {
        let elapsed = now.saturating_sub(self.drawn_at).max(1);
        self.drawn_at = now;
        let (elapsed, horizon) = (elapsed as f64, HORIZON as f64);
        let pace = used as f64 * NANOS_PER_SECOND as f64 / elapsed.max(horizon / 10.0);
        let weight = (elapsed / (2.0 * horizon)).min(1.0);
        self.pace = if pace > self.pace { pace } else { self.pace + (pace - self.pace) * weight };
    }

    /// Tokens used in a horizon, and tokens wanted beyond those that are held: at least one for each request that found
    /// none, whatever the pace. More than the demand only as far as all gateways could do so and leave half the burst:
    /// what is in hands everywhere does not refill.
    fn wish(&self, rate: &Rate, held: u64, unmet: u64, gateways: u64) -> (u64, u64) {
        let demand = tokens(self.pace, HORIZON).max(unmet);
        let share = rate.burst() / (2 * gateways.max(1));
        let ahead = if self.is_scarce { 0 } else { demand.saturating_mul(PLENTY).min(share) };
        let target = demand.max(ahead).min(rate.burst()).min(MOST / 2);
        // One more than is needed, to keep.
        let needed = unmet.min(MOST / 2) + u64::from(unmet > 0 && !self.is_scarce);
        (demand, target.saturating_sub(held).max(needed))
    }

    /// Tokens admitted alone that the bank does not know of and that have not refilled since.
    fn debt(&mut self, alone: &RateCell, share: &Rate, now: u64) -> u64 {
        self.alone_told = alone.full_at();
        self.owed + admitted(self.alone_told, self.alone_from, share, now)
    }

    /// Starts the bucket anew. What was admitted since the last draw is told with the next.
    fn renew(&mut self, alone: &RateCell, full_at: u64, share: &Rate, now: u64) {
        let before = alone.replace(full_at);
        self.owed = admitted(before, self.alone_told.max(self.alone_from), share, now);
        self.alone_from = full_at;
        self.alone_told = full_at;
    }
}

/// Tokens admitted by a bucket that would be full at `full_at`, since it would have been full at `from`; without those
/// that have refilled.
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
