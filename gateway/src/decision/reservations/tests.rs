//! A reservation ends exactly once, whoever ends it.

use std::sync::atomic::{AtomicUsize, Ordering};

use common::{
    key::{Mode, Pepper, Secret},
    time::Micros,
};
use proptest::prelude::*;

use super::*;
use crate::{
    catalog::{Catalog, Standing, fixture::Rows},
    limit::Limiter,
    route::RouteSettings,
};

const NOW: Micros = Micros(1_800_000_000_000_000);
const LASTS: Duration = Duration::from_mins(1);
const MILLI: Duration = Duration::from_millis(1);

fn caller() -> Caller {
    let hash = Pepper::new(b"a pepper for tests").unwrap().hash(&Secret::generate(Mode::Live));
    let mut rows = Rows::three_levels(NOW);
    rows.add_key(2, hash, Mode::Live);
    let catalog = Catalog::from_rows(rows.into_catalog(), NOW);
    let key = catalog.key(&hash).unwrap();
    let Standing::Served(tenant) = catalog.standing(key.tenant) else { panic!("not served") };
    Caller { key, tenant }
}

fn reservation(caller: &Caller) -> Reservation {
    let admission = Limiter::new().try_admit(caller.request("requests", 1, NOW)).unwrap();
    Reservation {
        caller: caller.clone(),
        hash: hash(1),
        route: Arc::new(Route::new(RouteSettings::named("check"), &Limiter::new())),
        admission,
    }
}

fn hash(number: u8) -> KeyHash {
    KeyHash::from_hex(&format!("{number:02x}").repeat(32)).unwrap()
}

fn reservations(most: usize) -> (Reservations, Clock) {
    let clock = Clock::manual();
    let shares = Shares { all: most, tenant: most, key: most };
    (Reservations::new(shares, LASTS, clock.clone()), clock)
}

fn hold(reservations: &Reservations, caller: &Caller) -> ReservationId {
    let place = reservations.place(caller).unwrap_or_else(|reason| panic!("{reason:?}"));
    reservations.hold(place, reservation(caller))
}

/// Settles; nothing stands in the way of its record.
fn settle(reservations: &Reservations, id: ReservationId) -> Result<(), SettleError<()>> {
    reservations.settle(id, &hash(1), |_| Ok(())).map(drop)
}

#[test]
fn reservation_is_unknown_to_other_credentials_open_or_settled() {
    let (reservations, _) = reservations(10);
    let id = hold(&reservations, &caller());
    let by_another = || reservations.settle(id, &hash(2), |_| Ok::<(), ()>(())).map(drop);
    assert_eq!(by_another(), Err(SettleError::Unknown));
    assert_eq!(settle(&reservations, id), Ok(()));
    assert_eq!(by_another(), Err(SettleError::Unknown));
    assert_eq!(settle(&reservations, id), Err(SettleError::Settled));
}

#[test]
fn reservation_is_settled_once() {
    let (reservations, _) = reservations(10);
    let caller = caller();
    let [one, other] = [hold(&reservations, &caller), hold(&reservations, &caller)];
    assert_ne!(one, other);
    assert_eq!(settle(&reservations, one), Ok(()));
    assert_eq!(settle(&reservations, one), Err(SettleError::Settled));
    assert_eq!(settle(&reservations, other), Ok(()));
    assert_eq!(settle(&reservations, ReservationId(other.0 ^ 1)), Err(SettleError::Unknown));
}

#[test]
fn reservation_whose_record_fails_stays_open() {
    let (reservations, _) = reservations(10);
    let id = hold(&reservations, &caller());
    let failed = reservations.settle(id, &hash(1), |_| Err("full")).map(drop);
    assert_eq!(failed, Err(SettleError::Unrecorded("full")));
    assert_eq!(settle(&reservations, id), Ok(()));
}

#[test]
fn reservation_expires_at_its_time_and_not_before() {
    let (reservations, clock) = reservations(10);
    let caller = caller();
    let [settled_in_time, too_late] = [hold(&reservations, &caller), hold(&reservations, &caller)];
    clock.advance(LASTS.saturating_sub(MILLI));
    reservations.expire();
    assert_eq!(settle(&reservations, settled_in_time), Ok(()));
    clock.advance(MILLI);
    assert_eq!(settle(&reservations, too_late), Err(SettleError::Unknown), "even before it is looked for");
    reservations.expire();
    assert!(locked(&reservations.book).open.is_empty());
    assert!(locked(&reservations.book).settled.is_empty());
}

#[test]
fn there_is_room_for_so_many_until_one_ends() {
    let (reservations, clock) = reservations(2);
    let caller = caller();
    let first = hold(&reservations, &caller);
    hold(&reservations, &caller);
    assert!(reservations.place(&caller).is_err());
    assert_eq!(settle(&reservations, first), Ok(()));
    hold(&reservations, &caller);
    assert!(reservations.place(&caller).is_err());
    clock.advance(LASTS);
    assert!(reservations.place(&caller).is_ok(), "what has expired takes no room");
    hold(&reservations, &caller);
    reservations.release();
    assert!([(); 2].map(|()| reservations.place(&caller)).iter().all(Result::is_ok));
}

#[test]
fn of_many_that_settle_at_once_one_succeeds() {
    let (reservations, _) = reservations(10);
    let caller = caller();
    for _ in 0..100 {
        let id = hold(&reservations, &caller);
        let recorded = AtomicUsize::new(0);
        let record = |_: &Reservation| {
            recorded.fetch_add(1, Ordering::SeqCst);
            Ok::<(), ()>(())
        };
        let succeeded = std::thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(|| reservations.settle(id, &hash(1), record).is_ok()));
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(|succeeded| *succeeded).count()
        });
        assert_eq!((succeeded, recorded.load(Ordering::SeqCst)), (1, 1));
    }
}

proptest! {
    #[test]
    fn ids_are_read_back_and_ordered_by_expiry(early in 0..u64::MAX / 4, later in 2_000_000_u64..1 << 60) {
        let (first, last) = (ReservationId::expiring(early), ReservationId::expiring(early + later));
        prop_assert!(first < last);
        prop_assert_eq!(first.to_string().parse::<ReservationId>(), Ok(first));
        prop_assert!(!last.expires_by(early));
        prop_assert!(first.expires_by(early + later));
    }

    #[test]
    fn no_other_text_is_an_id(text in "\\PC{0,40}") {
        let is_id = text.len() == 32 && text.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
        prop_assert_eq!(text.parse::<ReservationId>().is_ok(), is_id);
    }
}
