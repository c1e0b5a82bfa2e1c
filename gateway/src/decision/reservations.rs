//! Requests that were admitted and whose units are not known yet: held until they are settled, or
//! for so long.
//!
//! Invariant: each reservation is taken out exactly once: by [`Reservations::settle`], by expiry or
//! by [`Reservations::release`]. The one that takes it out owns its [`Admission`], so units are
//! charged or go back, and never both. Ids begin with the time at which they expire: their order is
//! the order in which they expire.

use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::key::KeyHash;
use prometheus::{IntCounterVec, IntGauge};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tracing::info;

use super::places::{NoPlace, Place, Places};
use crate::{
    catalog::Caller,
    config::Shares,
    limit::{Admission, Clock},
    lock::locked,
    metrics,
    route::Route,
};

/// Time between two looks for expired reservations.
const EXPIRE_EVERY: Duration = Duration::from_millis(250);

/// Bits of an id that nobody can guess. The others say when it expires, in milliseconds of the
/// process's own clock.
const RANDOM_BITS: u32 = 80;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// Names a reservation to whoever made it, and to nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReservationId(u128);

/// A request that was admitted and is not settled yet.
pub(super) struct Reservation {
    pub(super) caller: Caller,
    /// Of the credential that reserved: whoever settles shows the same one.
    pub(super) hash: KeyHash,
    pub(super) route: Arc<Route>,
    pub(super) admission: Admission,
}

/// The reason for which a reservation cannot be settled.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SettleError<E> {
    /// Never made here with this credential, or expired.
    Unknown,
    /// It was settled before.
    Settled,
    /// Its usage could not be recorded; it is as open as before.
    Unrecorded(E),
}

/// Every reservation of this process.
pub(super) struct Reservations {
    book: Mutex<Book>,
    places: Arc<Places>,
    lasts: Duration,
    clock: Clock,
    open: IntGauge,
    ended: IntCounterVec,
}

#[derive(Default)]
struct Book {
    open: BTreeMap<ReservationId, (Reservation, Place)>,
    /// Settled and not expired yet: as many as may be open at once, so that a repetition is told
    /// for what it is.
    settled: BTreeMap<ReservationId, KeyHash>,
}

impl Reservations {
    /// At most so many at once, each for at most `lasts` by `clock`.
    pub(super) fn new(shares: Shares, lasts: Duration, clock: Clock) -> Self {
        Self {
            book: Mutex::default(),
            places: Places::new(shares),
            lasts,
            clock,
            open: metrics::gauge("tollgate_reservations", "Reservations that are not settled yet"),
            ended: metrics::counters(
                "tollgate_reservations_ended_total",
                "Reservations that were settled, or whose units went back: `expired`, or `released` at the end",
                &["end"],
            ),
        }
    }

    /// A place for one more of this caller.
    pub(super) fn place(&self, caller: &Caller) -> Result<Place, NoPlace> {
        let place = || self.places.take(caller.tenant.id, caller.key.id);
        place().or_else(|_| {
            self.expire();
            place()
        })
    }

    /// Keeps a reservation.
    pub(super) fn hold(&self, place: Place, reservation: Reservation) -> ReservationId {
        let id = ReservationId::expiring(self.clock.nanos().saturating_add(nanos(self.lasts)));
        locked(&self.book).open.insert(id, (reservation, place));
        self.open.inc();
        id
    }

    /// Takes a reservation out that was made with this credential, if `record` succeeds.
    pub(super) fn settle<E>(
        &self,
        id: ReservationId,
        hash: &KeyHash,
        record: impl FnOnce(&Reservation) -> Result<(), E>,
    ) -> Result<Reservation, SettleError<E>> {
        if id.expires_by(self.clock.nanos()) {
            return Err(SettleError::Unknown);
        }
        let mut book = locked(&self.book);
        if let Some(settled_by) = book.settled.get(&id) {
            return Err(if settled_by.matches(hash) { SettleError::Settled } else { SettleError::Unknown });
        }
        let reservation = book.open.get(&id).map(|(reservation, _)| reservation);
        let reservation = reservation.filter(|open| open.hash.matches(hash)).ok_or(SettleError::Unknown)?;
        // Under the lock: whoever settles it at the same time must find it either open or settled.
        record(reservation).map_err(SettleError::Unrecorded)?;
        let taken = book.open.remove(&id).ok_or(SettleError::Unknown);
        book.settled.insert(id, *hash);
        if book.settled.len() > self.places.all() {
            book.settled.pop_first();
        }
        drop(book);
        self.open.dec();
        self.ended.with_label_values(&["settled"]).inc();
        taken.map(|(reservation, _)| reservation)
    }

    /// Gives back what has expired, again and again until told to stop.
    pub(super) async fn expire_until(&self, mut stopped: watch::Receiver<bool>) {
        let mut ticks = interval(EXPIRE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return,
                _ = ticks.tick() => self.expire(),
            }
        }
    }

    /// Gives back what has expired.
    fn expire(&self) {
        let now = self.clock.nanos();
        let mut book = locked(&self.book);
        while book.settled.first_key_value().is_some_and(|(id, _)| id.expires_by(now)) {
            book.settled.pop_first();
        }
        let mut expired = Vec::new();
        while let Some(first) = book.open.first_entry().filter(|first| first.key().expires_by(now)) {
            expired.push(first.remove());
        }
        drop(book);
        self.ended(&expired, "expired");
    }

    /// Gives back everything.
    pub(super) fn release(&self) {
        let released: Vec<_> = std::mem::take(&mut locked(&self.book).open).into_values().collect();
        if !released.is_empty() {
            info!(event = "reservations_released", reservations = released.len());
        }
        self.ended(&released, "released");
    }

    fn ended(&self, reservations: &[(Reservation, Place)], end: &str) {
        if let Ok(count) = u32::try_from(reservations.len()) {
            self.open.sub(count.into());
            self.ended.with_label_values(&[end]).inc_by(count.into());
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

// === impl ReservationId ===

impl ReservationId {
    /// A new one, for a reservation that expires at this time of the clock.
    fn expiring(at_nanos: u64) -> Self {
        let random = rand::random::<u128>() >> (u128::BITS - RANDOM_BITS);
        Self(u128::from(at_nanos.div_ceil(NANOS_PER_MILLI)) << RANDOM_BITS | random)
    }

    const fn expires_by(self, nanos: u64) -> bool {
        self.0 >> RANDOM_BITS <= (nanos / NANOS_PER_MILLI) as u128
    }
}

impl fmt::Display for ReservationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl FromStr for ReservationId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_id = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = is_id.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or("is not a reservation: send back what /check gave")
    }
}

#[cfg(test)]
mod tests;
