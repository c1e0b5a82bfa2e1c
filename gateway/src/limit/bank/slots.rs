//! The account of a limit on requests under way: how many this gateway serves, and how many it may by the bank's leave.
//!
//! Slots are not spent: a request that ends makes room for the next one. What is not needed goes back with the next
//! report, and who has more than its part while others are short is told to let some end. The gateway is told how many
//! it may have in all, never more than the bank notes for it.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::futures::Notified;

use super::{
    account::{HORIZON, LEASE, MARGIN, PAUSE, REVISIT, REVISIT_SCARCE},
    draw::{Draw, Grant, Kind},
    front::{Front, Short},
};
use crate::{limit::rate::NANOS_PER_SECOND, lock::locked};

/// Slots neither refill nor have a window; the script wants one.
const WINDOW_MICROS: u64 = 1_000_000;

/// The account of one limit on requests under way.
pub struct SlotAccount {
    front: Front,
    room: AtomicU64,
    /// Until when the bank's leave counts, in nanoseconds.
    lapses: AtomicU64,
    /// The most that were under way since the last draw.
    peak: AtomicU64,
    course: Mutex<Course>,
}

/// What one atomic word holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    under_way: u32,
    /// How many may be under way, while the bank's leave counts.
    leave: u32,
}

/// What only the bank's client looks at.
#[derive(Default)]
struct Course {
    drawn_at: u64,
    /// Slots used or asked for, smoothed.
    demand: f64,
    /// Whether the bank had few left when it last answered.
    is_scarce: bool,
}

impl SlotAccount {
    /// An account of which nothing is known yet. `name` is the limit's in the whole fleet.
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self {
            front: Front::new(name),
            room: AtomicU64::new(0),
            lapses: AtomicU64::new(0),
            peak: AtomicU64::new(0),
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

/// How many each of `gateways` may serve at once that cannot ask: an equal part, and at least one.
fn share(limit: u64, gateways: u64) -> u64 {
    (limit / gateways.max(1)).max(1)
}

// === the request path ===

impl SlotAccount {
    /// Takes a slot, until [`Self::leave`]. `gateways`: how many share the limit while the bank is away; `None` if it is
    /// there.
    pub fn take(&self, limit: u64, gateways: Option<u64>, now: u64) -> Result<(), Short> {
        let enter = |room: Room| {
            let has_room = u64::from(room.under_way) < self.most(room, limit, gateways, now);
            has_room.then(|| Room { under_way: room.under_way.saturating_add(1), ..room })
        };
        match self.update(enter) {
            Some(before) => {
                self.peak.fetch_max(u64::from(before.under_way) + 1, Ordering::Relaxed);
                Ok(())
            }
            None => Err(self.short(limit, gateways, now)),
        }
    }

    /// Whether [`Self::take`] would succeed, without taking.
    pub fn check(&self, limit: u64, gateways: Option<u64>, now: u64) -> Result<(), Short> {
        match self.remaining(limit, gateways, now) {
            0 => Err(self.short(limit, gateways, now)),
            _ => Ok(()),
        }
    }

    /// A request ended that held a slot.
    pub fn leave(&self) {
        self.update(|room| Some(Room { under_way: room.under_way.saturating_sub(1), ..room }));
    }

    /// How many this gateway could begin without asking anybody: a lower bound of what is left.
    pub fn remaining(&self, limit: u64, gateways: Option<u64>, now: u64) -> u64 {
        let room = self.room();
        self.most(room, limit, gateways, now).saturating_sub(room.under_way.into())
    }

    /// How many are under way here.
    pub fn under_way(&self) -> u64 {
        self.room().under_way.into()
    }

    /// A request found nothing: its demand counts like that of one that was served.
    pub fn missed(&self) {
        self.front.missed();
    }

    /// Whether the caller is the one to put the account into the bank's queue: it runs low, or the limit has changed.
    pub fn needs_draw(&self, limit: u64, now: u64) -> bool {
        self.front.needs_draw(terms(limit), now, || {
            if self.has_all(limit, now) { u64::MAX } else { self.remaining(limit, None, now) }
        })
    }

    /// Ends with the next answer, or when it is clear that there is none.
    pub fn answered(&self) -> Notified<'_> {
        self.front.answered()
    }

    /// While alone, or with every slot here already, asking is of no use.
    fn short(&self, limit: u64, gateways: Option<u64>, now: u64) -> Short {
        if gateways.is_some() || self.has_all(limit, now) {
            return Short::Wait(NANOS_PER_SECOND);
        }
        self.front.short(terms(limit), now)
    }

    fn has_all(&self, limit: u64, now: u64) -> bool {
        self.leave_at(self.room(), now) >= limit
    }

    fn most(&self, room: Room, limit: u64, gateways: Option<u64>, now: u64) -> u64 {
        let alone = gateways.map_or(0, |gateways| share(limit, gateways));
        self.leave_at(room, now).max(alone).min(limit)
    }

    fn leave_at(&self, room: Room, now: u64) -> u64 {
        if now < self.lapses.load(Ordering::Acquire) { room.leave.into() } else { 0 }
    }

    fn room(&self) -> Room {
        self.room.load(Ordering::Acquire).into()
    }

    /// Changes the room, unless `change` has nothing to change; what it was before.
    fn update(&self, mut change: impl FnMut(Room) -> Option<Room>) -> Option<Room> {
        let change = |room: u64| change(room.into()).map(u64::from);
        self.room.fetch_update(Ordering::AcqRel, Ordering::Acquire, change).ok().map(Room::from)
    }
}

// === the bank's client ===

impl SlotAccount {
    /// What to tell the bank now. `gateways`: how many share the limit if the bank was away.
    pub(super) fn draw(&self, limit: u64, now: u64, gateways: u64) -> Draw {
        let mut course = locked(&self.course);
        let unmet = self.front.begin_draw(terms(limit));
        let under_way = self.under_way();
        let peak = self.peak.swap(under_way, Ordering::AcqRel).max(under_way);
        let demand = course.observe(peak.saturating_add(unmet.min(limit)), now);
        let ahead = if course.is_scarce { 0 } else { demand.min(limit / (2 * gateways.max(1))) };
        let target = (demand + ahead).min(limit);
        let held = self.report(target, now);
        self.front.set_low_water(ahead / 2);
        Draw {
            kind: Kind::Slots,
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

    /// Keeps leave for at most `most`, and for all that are under way: from now on no more of them begin until the
    /// answer has come. What has lapsed is dropped.
    fn report(&self, most: u64, now: u64) -> u64 {
        let mut held = 0;
        self.update(|room| {
            held = self.leave_at(room, now).min(most).max(room.under_way.into());
            Some(Room { leave: narrow(held), ..room })
        });
        held
    }

    /// The bank answered a draw that was sent at `sent`. The next look is due at the instant returned; none if nothing
    /// is held or wanted.
    pub(super) fn granted(&self, limit: u64, draw: &Draw, grant: &Grant, sent: u64, now: u64) -> Option<u64> {
        let mut course = locked(&self.course);
        course.is_scarce = grant.level <= limit / 2;
        self.update(|room| Some(Room { leave: narrow(grant.granted), ..room }));
        self.lapses.store(sent + LEASE - MARGIN, Ordering::Release);

        let is_short = grant.granted < draw.held + draw.want;
        let dry_until = if is_short { now + (grant.wait_micros * 1_000).max(PAUSE) } else { 0 };
        self.front.set_dry_until(dry_until);
        self.front.wake();

        let is_used = grant.granted > 0 || draw.demand > 0 || self.under_way() > 0;
        is_used.then_some(now + if course.is_scarce { REVISIT_SCARCE } else { REVISIT })
    }

    /// The bank took note of a draw that was sent at `sent`, and grants nothing yet.
    pub(super) fn noted(&self, draw: &Draw, sent: u64) {
        if draw.held > 0 {
            self.lapses.store(sent + LEASE - MARGIN, Ordering::Release);
        }
        self.front.wake();
    }

    /// Nobody answered: whoever waits goes on without.
    pub(super) fn unanswered(&self) {
        self.front.wake();
    }
}

impl Course {
    /// Smooths over about two horizons; a rise is believed at once.
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

/// Told apart from those of an account that was never drawn for.
const fn terms(limit: u64) -> u64 {
    limit | 1 << 63
}

/// As many as one word has room for: four thousand million.
fn narrow(slots: u64) -> u32 {
    u32::try_from(slots).unwrap_or(u32::MAX)
}

impl From<u64> for Room {
    #[expect(clippy::cast_possible_truncation, reason = "two halves")]
    fn from(word: u64) -> Self {
        Self { under_way: (word >> 32) as u32, leave: word as u32 }
    }
}

impl From<Room> for u64 {
    fn from(room: Room) -> Self {
        Self::from(room.under_way) << 32 | Self::from(room.leave)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 10;
    const SECOND: u64 = NANOS_PER_SECOND;

    /// What the account says at `now`, answered at once with leave for so many in all.
    fn answer(account: &SlotAccount, now: u64, granted: u64, level: u64) -> Draw {
        let draw = account.draw(LIMIT, now, 1);
        account.granted(LIMIT, &draw, &Grant { granted, level, wait_micros: 0, ..Grant::default() }, now, now);
        draw
    }

    fn begin(account: &SlotAccount, times: u64, now: u64) -> u64 {
        (0..times).filter(|_| account.take(LIMIT, None, now).is_ok()).count() as u64
    }

    #[test]
    fn nothing_begins_without_leave_and_a_slot_that_comes_back_is_used_again() {
        let account = SlotAccount::new("key_1:concurrent");
        assert_eq!(account.take(LIMIT, None, 0), Err(Short::Dry));
        account.missed();
        assert!(account.needs_draw(LIMIT, 0) && !account.needs_draw(LIMIT, 0));
        let draw = answer(&account, 0, 2, 8);
        assert_eq!((draw.kind, draw.held, draw.demand), (Kind::Slots, 0, 1));
        assert_eq!(begin(&account, 5, 0), 2);
        account.leave();
        assert_eq!(account.remaining(LIMIT, None, 0), 1);
        assert_eq!(begin(&account, 5, 0), 1);
    }

    #[test]
    fn a_lease_that_lapses_takes_back_what_is_free_and_no_request() {
        let account = SlotAccount::new("key_1:concurrent");
        answer(&account, 0, 5, 5);
        assert_eq!(begin(&account, 3, 0), 3);
        assert_eq!(account.remaining(LIMIT, None, LEASE - MARGIN - 1), 2);
        assert_eq!(account.remaining(LIMIT, None, LEASE - MARGIN), 0);
        assert_eq!(account.draw(LIMIT, SECOND, 1).held, 3, "they are still under way");
    }

    #[test]
    fn who_is_told_to_have_fewer_lets_requests_end_and_begins_no_more() {
        let account = SlotAccount::new("key_1:concurrent");
        answer(&account, 0, 8, 2);
        assert_eq!(begin(&account, 8, 0), 8);
        let draw = answer(&account, 0, 5, 0);
        assert_eq!(draw.held, 8);
        (0..3).for_each(|_| account.leave());
        assert_eq!(begin(&account, 5, 0), 0);
        account.leave();
        assert_eq!(begin(&account, 5, 0), 1);
    }

    #[test]
    fn nobody_asks_for_more_who_has_every_slot() {
        let account = SlotAccount::new("key_1:concurrent");
        answer(&account, 0, LIMIT, 0);
        assert_eq!(begin(&account, 20, 0), LIMIT);
        assert!(matches!(account.take(LIMIT, None, 0), Err(Short::Wait(_))));
        account.missed();
        assert!(!account.needs_draw(LIMIT, 0));
    }

    #[test]
    fn alone_it_serves_its_part_and_what_it_has_leave_for() {
        let account = SlotAccount::new("key_1:concurrent");
        let alone = |gateways| (0..20).take_while(|_| account.take(LIMIT, Some(gateways), 0).is_ok()).count();
        assert_eq!(alone(4), 2);
        assert_eq!(alone(2), 3, "five in all");
        answer(&account, 0, 7, 0);
        assert_eq!(alone(2), 2);
        assert!(account.take(1, Some(50), 0).is_err(), "a limit that was lowered counts at once");
        (0..7).for_each(|_| account.leave());
        assert!(account.take(1, Some(50), SECOND).is_ok(), "one at least");
    }

    #[test]
    fn what_is_not_used_any_more_goes_back() {
        let account = SlotAccount::new("key_1:concurrent");
        answer(&account, 0, 8, 2);
        assert_eq!(begin(&account, 8, 0), 8);
        answer(&account, SECOND / 10, 8, 2);
        (0..8).for_each(|_| account.leave());
        for tenth in 2..30 {
            answer(&account, tenth * SECOND / 10, 0, LIMIT);
        }
        let draw = account.draw(LIMIT, 3 * SECOND, 1);
        assert_eq!((draw.held, draw.want, draw.demand), (0, 0, 0));
    }
}
