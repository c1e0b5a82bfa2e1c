//! A hard quota caps everybody below the tenant whose plan states it, whatever their own plans say
//! and whatever pays.

use std::collections::BTreeMap;

use common::{
    quota::{QuotaStanding, credit::TopUp},
    tenant::{Tenant, TenantStatus},
};
use servers::eventually;

use super::*;

/// A root, a reseller below it, and below that three customers: one that inherits, one with a
/// larger quota of its own, and one whose requests are paid for in advance.
struct Family {
    _directory: tempfile::TempDir,
    store: Store,
    tenants: Vec<Tenant>,
    plans: Vec<(usize, String)>,
}

const ROOT: usize = 0;
const RESELLER: usize = 1;
const INHERITS: usize = 2;
const LARGER: usize = 3;
const PREPAID: usize = 4;

/// One gateway over the store, with a caller for each tenant.
struct Edge {
    callers: Vec<Caller>,
    limiter: Limiter,
    keeper: tokio::task::JoinHandle<()>,
    stop: watch::Sender<bool>,
    _catalog: Catalog,
}

impl Family {
    async fn new(cap: u64, zones: [&str; 5]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("store.db").display());
        let (store, _) = Store::open_and_migrate(&url).await.unwrap();
        let mut tenants: Vec<Tenant> = Vec::new();
        for (number, zone) in zones.into_iter().enumerate() {
            let (kind, parent) = match number {
                ROOT => (TenantKind::Root, None),
                RESELLER => (TenantKind::Reseller, Some(ROOT)),
                _ => (TenantKind::Customer, Some(RESELLER)),
            };
            let parent = parent.map(|parent: usize| tenants[parent].id);
            let new = NewTenant { parent, kind, name: kind.to_string(), zone: zone.parse().unwrap(), plan: None };
            tenants.push(store.create_tenant(&new, SystemClock.now()).await.unwrap());
        }
        let capped = |per_month: u64| format!("quotas: [{{ meter: requests, per_month: {per_month} }}]");
        let plans = vec![(RESELLER, capped(cap)), (LARGER, capped(1_000)), (PREPAID, "prepaid: [requests]".to_owned())];
        let top_up = TopUp {
            reference: "order-1".into(),
            tenant: tenants[PREPAID].id,
            meter: "requests".into(),
            units: 1_000_000_000_000,
            reason: None,
            added_at: SystemClock.now(),
        };
        store.add_credit(&top_up).await.unwrap();
        Self { _directory: directory, store, tenants, plans }
    }

    fn edge(&self, boot: u128) -> Edge {
        let now = SystemClock.now();
        let mut rows = Rows::three_levels(now);
        rows.tenants.clone_from(&self.tenants);
        assert!(rows.tenants.iter().all(|tenant| tenant.status == TenantStatus::Active));
        rows.subscriptions.clear();
        for (level, terms) in &self.plans {
            rows.subscribe(*level, plan(&format!("plan-{level}"), terms));
        }
        let pepper = Pepper::new(b"a pepper for tests").unwrap();
        let hashes: Vec<_> = (0..self.tenants.len()).map(|_| pepper.hash(&Secret::generate(Mode::Live))).collect();
        for (level, hash) in hashes.iter().enumerate() {
            rows.add_key(level, *hash, Mode::Live);
        }
        let catalog = Catalog::from_rows(rows.into_catalog(), now);
        let callers = hashes.iter().zip(&self.tenants).filter_map(|(hash, tenant)| {
            let Standing::Served(tenant) = catalog.standing(tenant.id) else { return None };
            Some(Caller { key: catalog.key(hash).unwrap(), tenant })
        });
        let callers: Vec<_> = callers.collect();
        assert_eq!(callers.len(), self.tenants.len() - 1, "all but the root have a plan");
        let (stop, stopped) = watch::channel(false);
        let holder = QuotaHolder { life: StreamId::new("edge-1", boot, 0).unwrap().life(), lanes: 1 };
        let keeper = QuotaKeeper::new(Arc::clone(catalog.quotas()), self.store.clone(), holder);
        let keeper = tokio::spawn(keeper.run(stopped));
        Edge { callers, limiter: Limiter::new(), keeper, stop, _catalog: catalog }
    }

    /// The quotas of a tenant: true for its credit, false for its month.
    async fn quotas(&self, tenant: usize) -> BTreeMap<bool, QuotaStanding> {
        let quotas = self.store.quotas(self.tenants[tenant].id).await.unwrap();
        quotas.into_iter().map(|quota| (quota.source == QuotaSource::Credit, quota)).collect()
    }
}

impl Edge {
    /// Sends a request of a tenant, which is not the root; it uses `used`, or is never answered.
    async fn request(&self, tenant: usize, units: u64, used: Option<u64>) -> Result<(), (DenialReason, &'static str)> {
        let request = self.callers[tenant - 1].request("requests", units, SystemClock.now());
        let admission = self.limiter.admit(request).await.map_err(|denial| (denial.reason, denial.violated.policy))?;
        if let Some(used) = used {
            admission.settle(used);
        }
        Ok(())
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.keeper.await.unwrap();
    }
}

#[tokio::test]
async fn customers_of_a_reseller_together_are_served_what_its_cap_holds() {
    let family = Family::new(20, ["UTC"; 5]).await;
    let edge = family.edge(1);
    let mut served = BTreeMap::new();
    for round in 0..20 {
        for tenant in [INHERITS, LARGER, PREPAID, RESELLER] {
            match edge.request(tenant, 1, Some(1)).await {
                Ok(()) => *served.entry(tenant).or_insert(0_u64) += 1,
                Err((reason, policy)) => {
                    let expected = if tenant == RESELLER { "quota-month" } else { "pool-quota-month" };
                    assert_eq!((reason, policy), (DenialReason::QuotaExceeded, expected), "{tenant} in {round}");
                }
            }
        }
    }
    assert_eq!(served, BTreeMap::from([(INHERITS, 5), (LARGER, 5), (PREPAID, 5), (RESELLER, 5)]));
    edge.stop().await;
    let reseller = &family.quotas(RESELLER).await[&false];
    assert_eq!((reseller.limit, reseller.drawn, reseller.owed, reseller.left), (20, 20, 0, 0));
    // What was denied was taken from nothing.
    assert_eq!(family.quotas(LARGER).await[&false].drawn, 5);
    assert_eq!(family.quotas(PREPAID).await[&true].drawn, 5);
    assert!(family.quotas(INHERITS).await.is_empty() && family.quotas(ROOT).await.is_empty());
}

#[tokio::test]
async fn a_spent_quota_below_takes_nothing_of_the_one_above() {
    let mut family = Family::new(100, ["UTC"; 5]).await;
    family.plans[1].1 = "quotas: [{ meter: requests, per_month: 3 }]".to_owned();
    let edge = family.edge(1);
    for _ in 0..3 {
        edge.request(LARGER, 1, Some(1)).await.unwrap();
    }
    for _ in 0..50 {
        let refused = edge.request(LARGER, 1, Some(1)).await;
        assert_eq!(refused, Err((DenialReason::QuotaExceeded, "quota-month")));
    }
    edge.stop().await;
    assert_eq!(family.quotas(RESELLER).await[&false].drawn, 3);
}

#[tokio::test]
async fn a_spent_cap_above_is_asked_for_again_by_the_first_request_a_second_later() {
    let family = Family::new(20, ["UTC"; 5]).await;
    let [giver, asker] = [family.edge(1), family.edge(2)];
    giver.request(LARGER, 10, Some(1)).await.unwrap();
    let refused = loop {
        if let Err(refused) = asker.request(PREPAID, 1, Some(1)).await {
            break refused;
        }
    };
    assert_eq!(refused, (DenialReason::QuotaExceeded, "pool-quota-month"));
    giver.stop().await;
    assert!(family.quotas(RESELLER).await[&false].left > 0, "the other gave back what it had in hand");
    // As long as a spent quota is believed to be spent, at most.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(asker.request(PREPAID, 1, Some(1)).await, Ok(()));
    asker.stop().await;
}

#[tokio::test]
async fn a_cap_counts_in_the_months_of_the_tenant_whose_it_is() {
    // On the reseller's clock it is December first; on the customers', a day later.
    let zones = ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Pacific/Pago_Pago", "Pacific/Pago_Pago"];
    let family = Family::new(10, zones).await;
    let edge = family.edge(1);
    let start = |tenant: usize| {
        let zone: Zone = zones[tenant].parse().unwrap();
        "2026-12".parse::<Period>().unwrap().window(&zone).unwrap().start
    };
    assert!(start(RESELLER) < start(LARGER));
    let ask = |at| edge.limiter.admit((edge.callers[LARGER - 1]).request("requests", 1, at));
    for at in [Micros(start(RESELLER).0 - 1), start(RESELLER), start(LARGER)] {
        ask(at).await.unwrap().settle(1);
    }
    edge.stop().await;
    let drawn = async |tenant: usize| {
        let quotas = family.store.quotas(family.tenants[tenant].id).await.unwrap();
        quotas.into_iter().map(|quota| (quota.source.to_string(), quota.drawn)).collect::<Vec<_>>()
    };
    assert_eq!(drawn(RESELLER).await, [("2026-11".to_owned(), 1), ("2026-12".to_owned(), 2)]);
    assert_eq!(drawn(LARGER).await, [("2026-11".to_owned(), 2), ("2026-12".to_owned(), 1)]);
}

#[tokio::test]
async fn what_answers_use_beyond_a_cap_is_owed_in_the_store_and_admits_nobody() {
    let family = Family::new(20, ["UTC"; 5]).await;
    let edge = family.edge(1);
    edge.request(LARGER, 1, Some(15)).await.unwrap();
    edge.request(INHERITS, 1, Some(15)).await.unwrap();
    let refused = edge.request(PREPAID, 1, Some(1)).await;
    assert_eq!(refused, Err((DenialReason::QuotaExceeded, "pool-quota-month")));
    // Told to the store without a shutdown, and without anybody asking for more.
    eventually("all that is owed", async || family.quotas(RESELLER).await[&false].owed >= 10).await;
    edge.stop().await;
    let reseller = &family.quotas(RESELLER).await[&false];
    assert_eq!((reseller.drawn, reseller.owed, reseller.left), (20, 10, 0));
    assert_eq!(family.quotas(LARGER).await[&false].drawn, 15);
    let next = family.edge(2);
    let refused = next.request(LARGER, 1, Some(1)).await;
    assert_eq!(refused, Err((DenialReason::QuotaExceeded, "pool-quota-month")), "a restart forgives nothing");
    next.stop().await;
}

#[tokio::test]
async fn a_debt_of_credit_is_paid_by_the_next_top_up_whatever_restarts() {
    for restart in [false, true] {
        let fixture = Fixture::new(0, Mode::Live).await;
        let top_up = |units: i64| TopUp {
            reference: format!("order-{units}"),
            tenant: fixture.tenant,
            meter: "requests".into(),
            units,
            reason: None,
            added_at: SystemClock.now(),
        };
        fixture.store.add_credit(&top_up(1_003)).await.unwrap();
        let mut gateway = fixture.gateway_on("prepaid: [requests]");
        gateway.request(1, Some(5_000)).await.unwrap();
        let credit = async || fixture.store.credit(fixture.tenant).await.unwrap().remove(0);
        eventually("all that is owed", async || credit().await.owed == 3_997).await;
        assert_eq!((credit().await.drawn, credit().await.left), (1_003, 0));
        if restart {
            gateway.stop().await;
            gateway = fixture.gateway_on("prepaid: [requests]");
        }
        let paid = fixture.store.add_credit(&top_up(4_000)).await.unwrap();
        assert_eq!((paid.paid, paid.drawn, paid.owed, paid.left), (5_003, 5_000, 0, 3));
        gateway.stop().await;
        let after = credit().await;
        assert_eq!((after.drawn, after.owed, after.left), (5_000, 0, 3), "restart: {restart}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn nothing_is_granted_beyond_any_cap_on_the_way_up_and_the_rest_is_owed(
        cap in 1_u64..60,
        requests in prop::collection::vec((1_usize..5, 0_usize..2, 1_u64..6, prop::option::of(0_u64..9)), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let outcome: Result<(), TestCaseError> = runtime.block_on(async {
            let family = Family::new(cap, ["UTC"; 5]).await;
            let edges = [family.edge(1), family.edge(2)];
            let mut used_by: BTreeMap<usize, u64> = BTreeMap::new();
            for (tenant, edge, units, used) in requests {
                if edges[edge].request(tenant, units, used).await.is_ok() {
                    *used_by.entry(tenant).or_default() += used.unwrap_or(0);
                }
            }
            for edge in edges {
                edge.stop().await;
            }
            let used = |tenant: usize| used_by.get(&tenant).copied().unwrap_or(0);
            let all: u64 = used_by.values().sum();
            if let Some(reseller) = family.quotas(RESELLER).await.get(&false) {
                prop_assert!(reseller.drawn <= cap, "{reseller:?}");
                prop_assert_eq!((reseller.drawn, reseller.owed), (all.min(cap), all.saturating_sub(cap)));
            }
            if let Some(larger) = family.quotas(LARGER).await.get(&false) {
                // Its own cap is larger, and clamped to the one above.
                let expected = (used(LARGER).min(cap), used(LARGER).saturating_sub(cap));
                prop_assert_eq!((larger.drawn, larger.owed), expected);
            }
            prop_assert_eq!(family.quotas(PREPAID).await[&true].drawn, used(PREPAID));
            Ok(())
        });
        runtime.shutdown_timeout(Duration::from_secs(5));
        outcome?;
    }
}
