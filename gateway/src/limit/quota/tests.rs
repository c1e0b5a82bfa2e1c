//! Hard quotas over a real store: never beyond the limit, and nothing lost by a graceful end.

mod reopen;
mod subtree;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use common::{
    id::TenantId,
    key::{Mode, Pepper, Secret},
    quota::{QuotaGrant, QuotaHolder, QuotaSource},
    store::Store,
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Clock as _, Micros, Period, SystemClock, Window, Zone},
    usage::StreamId,
};
use proptest::prelude::*;
use tokio::sync::watch;

use super::*;
use crate::{
    catalog::{
        Caller, Catalog, Standing,
        fixture::{Rows, plan},
    },
    limit::{DenialReason, Limiter},
};

/// The account of a quota of requests.
fn account_of(book: &QuotaBook, tenant: TenantId, zone: &Zone, units: u64) -> Arc<QuotaAccount> {
    book.account(tenant, "requests", Allowance::Month { zone, units })
}

/// A store with one tenant, who has a key in this mode and this quota.
struct Fixture {
    _directory: tempfile::TempDir,
    store: Store,
    tenant: TenantId,
    mode: Mode,
    limit: u64,
}

/// One gateway over the store.
struct Gateway {
    catalog: Catalog,
    caller: Caller,
    limiter: Limiter,
    keeper: tokio::task::JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Fixture {
    async fn new(limit: u64, mode: Mode) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("store.db").display());
        let (store, _) = Store::open_and_migrate(&url).await.unwrap();
        let new =
            NewTenant { parent: None, kind: TenantKind::Root, name: "root".into(), zone: Zone::utc(), plan: None };
        let tenant = store.create_tenant(&new, SystemClock.now()).await.unwrap().id;
        Self { _directory: directory, store, tenant, mode, limit }
    }

    fn gateway(&self) -> Gateway {
        self.gateway_on(&format!("quotas: [{{ meter: requests, per_month: {} }}]", self.limit))
    }

    /// A gateway on whose plan the tenant has these terms.
    fn gateway_on(&self, terms: &str) -> Gateway {
        let now = SystemClock.now();
        let mut rows = Rows::three_levels(now).with_plan(plan("capped", terms));
        rows.tenants[2].id = self.tenant;
        rows.subscriptions[0].tenant = self.tenant;
        let hash = Pepper::new(b"a pepper for tests").unwrap().hash(&Secret::generate(self.mode));
        rows.add_key(2, hash, self.mode);
        let catalog = Catalog::from_rows(rows.into_catalog(), now);
        let key = catalog.key(&hash).unwrap();
        let Standing::Served(tenant) = catalog.standing(self.tenant) else { panic!("not served") };
        let (stop, stopped) = watch::channel(false);
        let life = StreamId::new("edge-1", TenantId::generate().as_u128(), 0).unwrap().life();
        let holder = QuotaHolder { life, lanes: 1 };
        let keeper = QuotaKeeper::new(Arc::clone(catalog.quotas()), self.store.clone(), holder);
        let keeper = tokio::spawn(keeper.run(stopped));
        Gateway { catalog, caller: Caller { key, tenant }, limiter: Limiter::new(), keeper, stop }
    }

    /// Units that the store can still grant.
    async fn left(&self) -> u64 {
        let now = SystemClock.now();
        let period = Period::containing(now, &Zone::utc()).unwrap();
        self.limit - self.store.quota_granted(self.tenant, "requests", QuotaSource::Month(period)).await.unwrap()
    }
}

impl Gateway {
    /// Sends a request of `estimate` units, which used `used` in the end; `None` was never
    /// answered.
    async fn request(&self, estimate: u64, used: Option<u64>) -> Result<(), DenialReason> {
        let now = SystemClock.now();
        let admission = self.limiter.admit(self.caller.request("requests", estimate, now)).await;
        let admission = admission.map_err(|denial| denial.reason)?;
        if let Some(used) = used {
            admission.settle(used);
        }
        Ok(())
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.keeper.await.unwrap();
        drop(self.catalog);
    }
}

#[tokio::test]
async fn exactly_the_limit_is_admitted_and_then_it_is_spent() {
    let fixture = Fixture::new(100, Mode::Live).await;
    let gateway = fixture.gateway();
    for request in 0..100 {
        assert_eq!(gateway.request(1, Some(1)).await, Ok(()), "request {request}");
    }
    let denial = gateway.limiter.admit(gateway.caller.request("requests", 1, SystemClock.now())).await.err().unwrap();
    assert_eq!(denial.reason, DenialReason::QuotaExceeded);
    assert_eq!((denial.violated.policy, denial.violated.quota, denial.violated.remaining), ("quota-month", 100, 0));
    assert!(denial.retry_after_seconds >= 1 && denial.retry_after_seconds <= 31 * 86_400);
    assert_eq!(denial.retry_after_seconds, denial.violated.reset_seconds);
    gateway.stop().await;
    assert_eq!(fixture.left().await, 0);
}

#[test]
fn a_block_that_was_used_up_too_early_is_followed_by_a_much_larger_one() {
    const PLENTY: u64 = 1_000_000_000;
    let window = Window { start: Micros(0), end: Micros(i64::MAX) };
    let limit = Arc::new(AtomicU64::new(PLENTY));
    let cell = Arc::new(QuotaCell::new(
        TenantId::generate(),
        "requests".into(),
        QuotaSource::Credit,
        window,
        limit,
        Arc::default(),
    ));
    let mut blocks = Vec::new();
    for second in 1..=4 {
        let block = cell.block(second * 1_000_000_000);
        cell.granted(QuotaGrant { granted: block, left: PLENTY }, block, 0);
        blocks.push(block);
        // All of it is used at once; by the pace of the whole second, the next block would be but
        // twice as large.
        while let Ok(held) = cell.take(1) {
            held.settle(1);
        }
    }
    assert_eq!(blocks, [16, 128, 1_024, 8_192]);
    cell.granted(QuotaGrant { granted: 8_192, left: PLENTY }, 8_192, 0);
    cell.take(100).unwrap().settle(100);
    // One that lasted is followed by what its pace asks for: for two seconds.
    cell.block(5_000_000_000);
    assert_eq!(cell.block(6_000_000_000), 16);
}

#[tokio::test]
async fn another_meter_is_not_capped() {
    let fixture = Fixture::new(1, Mode::Live).await;
    let gateway = fixture.gateway();
    let request = gateway.caller.request("tokens", 1_000_000, SystemClock.now());
    gateway.limiter.try_admit(request).unwrap();
    assert!(gateway.limiter.states(request).is_empty());
}

#[tokio::test]
async fn test_keys_leave_the_quota_alone() {
    let fixture = Fixture::new(5, Mode::Test).await;
    let gateway = fixture.gateway();
    for _ in 0..20 {
        assert_eq!(gateway.request(1, Some(1)).await, Ok(()));
    }
    gateway.stop().await;
    assert_eq!(fixture.left().await, 5);
}

#[tokio::test]
async fn units_of_a_request_that_was_never_answered_go_back() {
    let fixture = Fixture::new(3, Mode::Live).await;
    let gateway = fixture.gateway();
    for _ in 0..30 {
        assert_eq!(gateway.request(2, None).await, Ok(()));
    }
    gateway.stop().await;
    assert_eq!(fixture.left().await, 3);
}

#[tokio::test]
async fn a_request_that_used_more_than_estimated_is_charged_for_it() {
    let fixture = Fixture::new(50, Mode::Live).await;
    let gateway = fixture.gateway();
    assert_eq!(gateway.request(1, Some(49)).await, Ok(()));
    assert_eq!(gateway.request(1, Some(1)).await, Ok(()));
    assert_eq!(gateway.request(1, Some(1)).await, Err(DenialReason::QuotaExceeded));
}

#[tokio::test]
async fn a_raised_limit_lets_a_spent_tenant_go_on_at_once() {
    let mut fixture = Fixture::new(2, Mode::Live).await;
    let gateway = fixture.gateway();
    for _ in 0..2 {
        gateway.request(1, Some(1)).await.unwrap();
    }
    assert_eq!(gateway.request(1, Some(1)).await, Err(DenialReason::QuotaExceeded));
    fixture.limit = 4;
    account_of(gateway.catalog.quotas(), fixture.tenant, &Zone::utc(), 4);
    for _ in 0..2 {
        assert_eq!(gateway.request(1, Some(1)).await, Ok(()));
    }
    assert_eq!(gateway.request(1, Some(1)).await, Err(DenialReason::QuotaExceeded));
}

#[tokio::test]
async fn without_a_store_nothing_is_admitted_and_nobody_waits_for_long() {
    let fixture = Fixture::new(100, Mode::Live).await;
    let gateway = fixture.gateway();
    fixture.store.close().await;
    for _ in 0..20 {
        assert_eq!(gateway.request(1, Some(1)).await, Err(DenialReason::QuotaUnavailable));
    }
}

#[tokio::test]
async fn what_is_in_hand_is_served_while_the_store_is_away() {
    let fixture = Fixture::new(10_000, Mode::Live).await;
    let gateway = fixture.gateway();
    gateway.request(1, Some(1)).await.unwrap();
    fixture.store.close().await;
    let request = gateway.caller.request("requests", 1, SystemClock.now());
    gateway.limiter.try_admit(request).unwrap().settle(1);
    let told = gateway.limiter.states(request)[0].remaining;
    for unit in 0..told {
        let admitted = gateway.limiter.try_admit(gateway.caller.request("requests", 1, SystemClock.now()));
        assert!(
            admitted.map(|admission| admission.settle(1)).is_ok(),
            "unit {unit} of {told} that were told to be left"
        );
    }
}

#[tokio::test]
async fn what_was_not_needed_for_a_while_is_taken_out_of_the_cell_and_the_rest_is_kept() {
    let fixture = Fixture::new(10_000, Mode::Live).await;
    let gateway = fixture.gateway();
    gateway.request(3, Some(3)).await.unwrap();
    let cell = gateway.catalog.quotas().current().pop().unwrap();
    let in_hand = 10_000 - fixture.left().await - 3;
    assert!(in_hand > 3);
    assert_eq!(cell.take_surplus(), in_hand - 3, "as much is kept as was needed");
    assert_eq!(cell.take_surplus(), 3, "none was needed since");
    assert_eq!(cell.take_surplus(), 0);
    assert_eq!(gateway.request(1, Some(1)).await, Ok(()), "and more is drawn when it is needed again");
}

#[tokio::test]
async fn a_store_that_serves_many_tenants_at_once_gives_each_its_units() {
    let fixture = Fixture::new(5, Mode::Live).await;
    let book = Arc::new(QuotaBook::default());
    let mut cells = Vec::new();
    for _ in 0..3 * 64 {
        let new =
            NewTenant { parent: None, kind: TenantKind::Root, name: "root".into(), zone: Zone::utc(), plan: None };
        let tenant = fixture.store.create_tenant(&new, SystemClock.now()).await.unwrap().id;
        let account = account_of(&book, tenant, &Zone::utc(), 5);
        let cell = account.cell(SystemClock.now()).unwrap();
        assert_eq!(account.take(&cell, 5, 0).err(), Some(Refused::Drawing));
        cells.push((account, cell));
    }
    let (stop, stopped) = watch::channel(false);
    let holder = QuotaHolder { life: StreamId::new("edge-1", 1, 0).unwrap().life(), lanes: 1 };
    let keeper = tokio::spawn(QuotaKeeper::new(Arc::clone(&book), fixture.store.clone(), holder).run(stopped));
    let deadline = Duration::from_mins(1);
    let all_drawn = async {
        for (account, cell) in &cells {
            while cell.look(5).is_err() {
                account.send_for_more(cell, true, 0);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    tokio::time::timeout(deadline, all_drawn).await.expect("every cell is served");
    stop.send_replace(true);
    keeper.await.unwrap();
    assert!(fixture.store.quota_leases().await.unwrap().iter().all(|account| account.drawn == 0), "all went back");
}

#[tokio::test]
async fn a_request_counts_in_the_month_that_its_units_are_of_whatever_the_clock_does() {
    let fixture = Fixture::new(100, Mode::Live).await;
    let gateway = fixture.gateway();
    let start = "2026-12".parse::<Period>().unwrap().window(&Zone::utc()).unwrap().start;
    let admit = |now| gateway.limiter.admit(gateway.caller.request("requests", 1, now));
    let before = admit(Micros(start.0 - 1)).await.unwrap();
    assert_eq!(before.at, Micros(start.0 - 1));
    let after = admit(start).await.unwrap();
    assert_eq!(after.at, start);
    let stepped_back = admit(Micros(start.0 - 1_000)).await.unwrap();
    assert_eq!(stepped_back.at, start, "its unit is one of December");
    // Answered in December, charged in November.
    before.settle(1);
    drop((after, stepped_back));
    gateway.stop().await;
    let granted = async |period: &str| {
        let month = QuotaSource::Month(period.parse().unwrap());
        fixture.store.quota_granted(fixture.tenant, "requests", month).await.unwrap()
    };
    assert_eq!((granted("2026-11").await, granted("2026-12").await), (1, 0));
}

#[test]
fn a_cell_serves_its_month_and_the_next_month_has_its_own() {
    let book = QuotaBook::default();
    let zone: Zone = "Europe/Berlin".parse().unwrap();
    let account = account_of(&book, TenantId::generate(), &zone, 10);
    let end = "2026-11".parse::<Period>().unwrap().window(&zone).unwrap().end;
    let november = account.cell(Micros(end.0 - 1)).unwrap();
    assert_eq!(november.state(november.tenant(), Micros(end.0 - 1)).unwrap().reset_seconds, 1);
    let december = account.cell(end).unwrap();
    assert_ne!(november.source(), december.source());
    assert!(book.cells().iter().any(|cell| Arc::ptr_eq(cell, &november)), "the past month is not forgotten");
    assert!(Arc::ptr_eq(&december, &account.cell(Micros(end.0 - 1_000)).unwrap()), "a small step back changes nothing");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn gateways_together_never_exceed_the_limit_and_give_back_what_is_left(
        limit in 1_u64..400,
        gateways in 1_usize..4,
        requests in prop::collection::vec((1_u64..6, prop::option::of(0_u64..6)), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let outcome: Result<(), TestCaseError> = runtime.block_on(async {
            let fixture = Fixture::new(limit, Mode::Live).await;
            let fleet: Vec<_> = (0..gateways).map(|_| Arc::new(fixture.gateway())).collect();
            let mut clients = tokio::task::JoinSet::new();
            for gateway in &fleet {
                let (gateway, requests) = (Arc::clone(gateway), requests.clone());
                clients.spawn(async move {
                    let mut used_in_all = 0;
                    for (estimate, used) in requests {
                        // An answer never uses more than was estimated here: then there is no debt.
                        let used = used.map(|used| used.min(estimate));
                        if gateway.request(estimate, used).await.is_ok() {
                            used_in_all += used.unwrap_or(0);
                        }
                    }
                    used_in_all
                });
            }
            let used: u64 = clients.join_all().await.into_iter().sum();
            prop_assert!(used <= limit, "{used} of {limit}");
            for gateway in fleet {
                Arc::into_inner(gateway).unwrap().stop().await;
            }
            prop_assert_eq!(fixture.left().await, limit - used);
            Ok(())
        });
        runtime.shutdown_timeout(Duration::from_secs(5));
        outcome?;
    }
}

#[test]
fn quota_on_a_clock_that_is_not_known_has_no_month_to_draw_from() {
    let book = QuotaBook::default();
    let now: Micros = "2026-11-15T12:00:00Z".parse().unwrap();
    assert!(account_of(&book, TenantId::generate(), &Zone::stored("Mars/Olympus"), 10).cell(now).is_none());
    assert!(account_of(&book, TenantId::generate(), &Zone::utc(), 10).cell(now).is_some(), "others go on");
}
