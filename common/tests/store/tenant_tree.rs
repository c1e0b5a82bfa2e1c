//! The tree under random changes, beside a model of it that is as plain as can be: fixtures, what
//! exists for whom, and what plans come to.

use std::collections::BTreeMap;

use common::{
    acting::{Acting, Scope},
    id::TenantId,
    plan::{EffectiveTerms, Plan, PlanFile, PlanLimits, QuotaKind, RateLimits, subscription::PlanStart},
    store::{PageRequest, Store, StoreError},
    tenant::{TENANT_DEPTH_MAX, TenantFilter, TenantKind, TenantStatus, lifecycle::NewTenant},
};
use proptest::prelude::*;

use crate::fixture::{Fixture, NOW, new_tenant};

/// A change, of tenants by their number in the order of creation.
#[derive(Debug, Clone)]
enum Change {
    Create { parent: usize, kind: TenantKind },
    Move { tenant: usize, parent: usize },
    Delete(usize),
    Assign { tenant: usize, plan: usize },
    End(usize),
}

/// The model of one tenant.
#[derive(Debug, Clone)]
struct Known {
    id: TenantId,
    parent: Option<usize>,
    kind: TenantKind,
    plan: Option<usize>,
    is_deleted: bool,
}

struct Model {
    plans: Vec<Plan>,
    tenants: Vec<Known>,
}

const PLANS: &str = "
plans:
  - { id: open, name: Open, currency: USD, flat_fee: '0.00' }
  - id: small
    name: Small
    currency: USD
    flat_fee: '0.00'
    limits: { tenant: { per_second: { limit: 10, burst: 40 }, concurrent: 5 }, key: { per_second: 8 } }
    quotas: [{ meter: requests, per_month: 1000, kind: soft }]
  - id: large
    name: Large
    currency: USD
    flat_fee: '0.00'
    limits: { tenant: { per_second: { limit: 100, burst: 20 }, per_day: 5000 }, key: { per_second: 50, per_hour: 7 } }
    quotas: [{ meter: requests, per_month: 500 }, { meter: pages, per_month: 9 }]
  - id: pooled
    name: Pooled
    currency: USD
    flat_fee: '0.00'
    limits: { tenant: { per_second: 3 }, pool: { per_second: { limit: 60, burst: 30 }, concurrent: 4 } }
  - id: credit
    name: Credit
    currency: USD
    flat_fee: '0.00'
    prepaid: [requests]
";

fn change() -> impl Strategy<Value = Change> {
    let kind = prop_oneof![
        3 => Just(TenantKind::Reseller),
        2 => Just(TenantKind::Customer),
    ];
    prop_oneof![
        4 => (0..12_usize, kind).prop_map(|(parent, kind)| Change::Create { parent, kind }),
        3 => (0..12_usize, 0..12_usize).prop_map(|(tenant, parent)| Change::Move { tenant, parent }),
        1 => (0..12_usize).prop_map(Change::Delete),
        4 => (0..12_usize, 0..5_usize).prop_map(|(tenant, plan)| Change::Assign { tenant, plan }),
        1 => (0..12_usize).prop_map(Change::End),
    ]
}

impl Model {
    fn way_up(&self, tenant: usize) -> Vec<usize> {
        std::iter::successors(Some(tenant), |below| self.tenants[*below].parent).collect()
    }

    fn subtree(&self, top: usize) -> Vec<usize> {
        (0..self.tenants.len()).filter(|tenant| self.way_up(*tenant).contains(&top)).collect()
    }

    fn height(&self, top: usize) -> usize {
        let depth = |tenant| self.way_up(tenant).len();
        self.subtree(top).into_iter().map(depth).max().unwrap_or(0) + 1 - depth(top)
    }

    fn may_hold(&self, parent: usize, height: usize) -> bool {
        let known = &self.tenants[parent];
        let depth = self.way_up(parent).len() + height;
        !known.is_deleted && known.kind != TenantKind::Customer && i64::try_from(depth).unwrap() <= TENANT_DEPTH_MAX
    }

    fn may_move(&self, tenant: usize, parent: usize) -> bool {
        let (moved, below) = (&self.tenants[tenant], self.subtree(tenant));
        let root = |of: usize| self.way_up(of).last().copied();
        moved.parent.is_some()
            && !moved.is_deleted
            && !below.contains(&parent)
            && root(tenant) == root(parent)
            && self.may_hold(parent, self.height(tenant))
    }

    fn may_delete(&self, tenant: usize) -> bool {
        self.tenants.iter().all(|known| known.parent != Some(tenant) || known.is_deleted)
    }

    /// The expected limits of a tenant: the lowest ones on the way up to the root.
    fn expected(&self, tenant: usize) -> Option<(TenantId, BTreeMap<String, u64>)> {
        let way = self.way_up(tenant);
        let plan = |tenant: usize| self.tenants[tenant].plan.map(|plan| &self.plans[plan]);
        let holder = way.iter().copied().find(|above| plan(*above).is_some())?;
        let own = plan(holder)?;
        let above: Vec<&Plan> = way[1..].iter().filter_map(|above| plan(*above)).collect();
        let mut lowest = BTreeMap::new();
        for (scope, rates) in [("key", &own.limits.key), ("tenant", &own.limits.tenant)] {
            for (name, value) in values(scope, rates) {
                lower(&mut lowest, name, value, true);
            }
        }
        if holder == tenant {
            for (name, value) in values("pool", &own.limits.pool) {
                lower(&mut lowest, name, value, true);
            }
        }
        for ceiling in &above {
            let PlanLimits { tenant: limits, pool, .. } = &ceiling.limits;
            let is_pool = !pool.is_empty();
            for scope in ["key", "tenant", "pool"] {
                for (name, value) in values(scope, if is_pool { pool } else { limits }) {
                    lower(&mut lowest, name, value, scope == "tenant" && !is_pool);
                }
            }
        }
        for quota in &own.quotas {
            lower(&mut lowest, format!("quota {}", quota.meter), quota.per_month, true);
        }
        for quota in above.iter().flat_map(|ceiling| &ceiling.quotas) {
            if quota.kind == QuotaKind::Hard {
                lower(&mut lowest, format!("quota {}", quota.meter), quota.per_month, true);
            }
        }
        // A soft quota below a hard one is that one.
        for quota in own.quotas.iter().filter(|quota| quota.kind == QuotaKind::Soft) {
            let hard = above.iter().flat_map(|ceiling| &ceiling.quotas);
            let hard = hard.filter(|other| other.meter == quota.meter && other.kind == QuotaKind::Hard);
            if let Some(least) = hard.map(|other| other.per_month).min() {
                lowest.insert(format!("quota {}", quota.meter), least);
            }
        }
        Some((self.tenants[holder].id, lowest))
    }
}

/// Every number that limits of a scope state.
fn values(scope: &str, rates: &RateLimits) -> Vec<(String, u64)> {
    let mut values: Vec<_> = rates
        .iter()
        .flat_map(|(window, rate)| {
            let name = format!("{scope} {}", window.as_str());
            [(format!("{name} limit"), rate.limit), (format!("{name} burst"), rate.burst)]
        })
        .collect();
    values.extend(rates.concurrent.map(|concurrent| (format!("{scope} concurrent"), concurrent)));
    values
}

fn lower(lowest: &mut BTreeMap<String, u64>, name: String, value: u64, fills: bool) {
    match lowest.get_mut(&name) {
        Some(known) => *known = (*known).min(value),
        None if fills => drop(lowest.insert(name, value)),
        None => {}
    }
}

fn found(terms: &EffectiveTerms) -> BTreeMap<String, u64> {
    let scopes = [("key", &terms.key), ("tenant", &terms.tenant), ("pool", &terms.pool)];
    let rates = scopes.into_iter().flat_map(|(scope, rates)| values(scope, &rates.rates()));
    rates.chain(terms.quotas.iter().map(|quota| (format!("quota {}", quota.meter), quota.per_month))).collect()
}

async fn apply(store: &Store, model: &mut Model, change: &Change) {
    let pick = |number: usize| number % model.tenants.len();
    match *change {
        Change::Create { parent, kind } => {
            let parent = pick(parent);
            let new: NewTenant = new_tenant(kind, Some(model.tenants[parent].id));
            let created = store.create_tenant(&new, NOW).await;
            assert_eq!(created.is_ok(), model.may_hold(parent, 1), "{created:?}");
            if let Ok(tenant) = created {
                model.tenants.push(Known { id: tenant.id, parent: Some(parent), kind, plan: None, is_deleted: false });
            }
        }
        Change::Move { tenant, parent } => {
            let (tenant, parent) = (pick(tenant), pick(parent));
            let (id, under) = (model.tenants[tenant].id, model.tenants[parent].id);
            let moved = store.move_tenant(id, under, None, NOW).await;
            assert_eq!(moved.is_ok(), model.may_move(tenant, parent), "{moved:?}");
            if moved.is_ok() {
                model.tenants[tenant].parent = Some(parent);
            }
        }
        Change::Delete(tenant) => {
            let tenant = pick(tenant);
            let deleted = store.delete_tenant(model.tenants[tenant].id, None, NOW).await;
            assert_eq!(deleted.is_ok(), model.may_delete(tenant), "{deleted:?}");
            if deleted.is_ok() {
                model.tenants[tenant].is_deleted = true;
                model.tenants[tenant].plan = None;
            }
        }
        Change::Assign { tenant, plan } => {
            let tenant = pick(tenant);
            let id = &model.plans[plan].id;
            let assigned = store.assign_plan(model.tenants[tenant].id, id, None, PlanStart::Now, NOW).await;
            assert_eq!(assigned.is_ok(), !model.tenants[tenant].is_deleted, "{assigned:?}");
            if assigned.is_ok() {
                model.tenants[tenant].plan = Some(plan);
            }
        }
        Change::End(tenant) => {
            let tenant = pick(tenant);
            let ended = store.end_subscription(model.tenants[tenant].id, PlanStart::Now, NOW).await;
            assert_eq!(ended.is_ok(), !model.tenants[tenant].is_deleted, "{ended:?}");
            if ended.is_ok() {
                model.tenants[tenant].plan = None;
            }
        }
    }
}

async fn compare(store: &Store, model: &Model) {
    let ids = |tenants: Vec<usize>| tenants.into_iter().map(|tenant| model.tenants[tenant].id).collect::<Vec<_>>();
    let everybody = PageRequest { after: None, limit: 1_000 };
    for (fixture, known) in model.tenants.iter().enumerate() {
        let up: Vec<_> = store.ancestors(known.id).await.unwrap().into_iter().map(|tenant| tenant.id).collect();
        assert_eq!(up, ids(model.way_up(fixture)));
        let filter = TenantFilter { subtree_of: Some(known.id), ..TenantFilter::default() };
        let below = store.tenants_page(&filter, everybody).await.unwrap().items;
        let present = model.subtree(fixture).into_iter().filter(|below| !model.tenants[*below].is_deleted).collect();
        assert_eq!(below.iter().map(|tenant| tenant.id).collect::<Vec<_>>(), ids(present));
        // Whoever acts at this tenant sees exactly its subtree.
        let acting = Acting { scope: Scope::Subtree(known.id), ..Acting::program("test") };
        let mine = store.acting_as(acting);
        for (other, tenant) in model.tenants.iter().enumerate() {
            let seen = mine.tenant(tenant.id).await;
            assert_eq!(seen.is_ok(), model.way_up(other).contains(&fixture), "{seen:?}");
        }
        let terms = store.effective_terms(known.id, NOW).await.unwrap();
        let expected = model.expected(fixture);
        assert_eq!(terms.as_ref().map(|terms| (terms.holder, found(terms))), expected, "{known:?}");
    }
}

async fn run(fixture: &Fixture, changes: &[Change]) {
    let store = fixture.store().await;
    let plans = PlanFile::parse(PLANS, "test").unwrap().plans;
    let mut model = Model { plans: plans.clone(), tenants: Vec::new() };
    // Two trees, so that nobody gets from one into the other.
    for _ in 0..2 {
        let root = store.create_tenant(&new_tenant(TenantKind::Root, None), NOW).await.unwrap();
        store.apply_plans_of(Some(root.id), &plans, NOW).await.unwrap();
        let kind = TenantKind::Root;
        model.tenants.push(Known { id: root.id, parent: None, kind, plan: None, is_deleted: false });
    }
    for change in changes {
        apply(&store, &mut model, change).await;
    }
    compare(&store, &model).await;
    store.close().await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn random_changes_match_tree_model_on_sqlite(changes in prop::collection::vec(change(), 1..40)) {
        runtime().block_on(run(&Fixture::sqlite(), &changes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn random_changes_match_tree_model_on_postgres(changes in prop::collection::vec(change(), 1..40)) {
        runtime().block_on(run(&Fixture::postgres(), &changes));
    }
}

crate::fixture::on_both_engines!(
    partitioned_pool_is_checked_at_each_change,
    deletion_keeps_booked_usage,
    refused_move_names_reason
);

/// A reseller with this plan, and the root above it.
async fn reseller(store: &Store, plan: &str) -> (TenantId, TenantId) {
    let root = store.create_tenant(&new_tenant(TenantKind::Root, None), NOW).await.unwrap().id;
    let new = NewTenant { plan: Some(plan.parse().unwrap()), ..new_tenant(TenantKind::Reseller, Some(root)) };
    (root, store.create_tenant(&new, NOW).await.unwrap().id)
}

async fn partitioned_pool_is_checked_at_each_change(fixture: Fixture) {
    let store = fixture.store().await;
    let plans = "
plans:
  - id: pooled
    name: Pooled
    currency: USD
    flat_fee: '0.00'
    limits: { pool_mode: partitioned, pool: { per_second: { limit: 100, burst: 100 } } }
  - id: half
    name: Half
    currency: USD
    flat_fee: '0.00'
    limits: { tenant: { per_second: { limit: 50, burst: 50 } } }
  - { id: open, name: Open, currency: USD, flat_fee: '0.00' }
";
    store.apply_plans(&PlanFile::parse(plans, "test").unwrap().plans, NOW).await.unwrap();
    let (root, pooled) = reseller(&store, "pooled").await;
    let half =
        |parent| NewTenant { plan: Some("half".parse().unwrap()), ..new_tenant(TenantKind::Customer, Some(parent)) };
    let first = store.create_tenant(&half(pooled), NOW).await.unwrap().id;
    store.create_tenant(&half(pooled), NOW).await.unwrap();
    let refused = |error: StoreError, part: &str| assert!(error.to_string().contains(part), "{error}");
    refused(store.create_tenant(&half(pooled), NOW).await.unwrap_err(), "partitioned and has 100 per_second");
    let elsewhere = store.create_tenant(&half(root), NOW).await.unwrap().id;
    refused(store.move_tenant(elsewhere, pooled, None, NOW).await.unwrap_err(), "partitioned");
    let open = "open".parse().unwrap();
    let opened = store.assign_plan(first, &open, None, PlanStart::Now, NOW.plus_seconds(1)).await;
    refused(opened.unwrap_err(), "needs a limit per_second");
    let without = store.end_subscription(first, PlanStart::Now, NOW.plus_seconds(1)).await;
    refused(without.unwrap_err(), "needs a limit per_second");
    let below = new_tenant(TenantKind::Reseller, Some(pooled));
    refused(store.create_tenant(&below, NOW).await.unwrap_err(), "needs a plan with a pool of its own");
    // One goes, another fits.
    store.delete_tenant(first, None, NOW.plus_seconds(2)).await.unwrap();
    store.move_tenant(elsewhere, pooled, None, NOW.plus_seconds(2)).await.unwrap();
}

async fn deletion_keeps_booked_usage(fixture: Fixture) {
    let store = fixture.store().await;
    store.apply_plans(&PlanFile::parse(PLANS, "test").unwrap().plans, NOW).await.unwrap();
    let (root, reseller) = reseller(&store, "small").await;
    let key = crate::fixture::key(&store, reseller).await;
    let child = store.create_tenant(&new_tenant(TenantKind::Customer, Some(reseller)), NOW).await.unwrap().id;
    let later = NOW.plus_seconds(60);
    let error = store.delete_tenant(reseller, None, later).await.unwrap_err();
    assert!(error.to_string().contains("move or delete them first"), "{error}");
    store.delete_tenant(child, None, later).await.unwrap();
    let deleted = store.delete_tenant(reseller, None, later).await.unwrap();
    assert_eq!(deleted.status, TenantStatus::Deleted);
    assert_eq!(store.tenant(reseller).await.unwrap(), deleted, "it stays on the books");
    assert_eq!(store.key(key.id).await.unwrap().revoked_at, Some(later));
    let subscription = store.subscription_at(reseller, NOW).await.unwrap().unwrap();
    assert_eq!(subscription.ends_at, Some(later));
    assert_eq!(store.effective_terms(reseller, later).await.unwrap(), None);
    assert!(store.create_tenant(&new_tenant(TenantKind::Customer, Some(reseller)), later).await.is_err());
    assert!(store.create_key(&crate::fixture::new_key(reseller), later).await.is_err());
    assert!(store.set_tenant_status(reseller, TenantStatus::Active, later).await.is_err());
    let filter = TenantFilter { parent: Some(root), ..TenantFilter::default() };
    let page = PageRequest { after: None, limit: 10 };
    assert!(store.tenants_page(&filter, page).await.unwrap().items.is_empty(), "lists leave it out");
    let filter = TenantFilter { status: Some(TenantStatus::Deleted), ..filter };
    assert_eq!(store.tenants_page(&filter, page).await.unwrap().items, [deleted]);
}

async fn refused_move_names_reason(fixture: Fixture) {
    let store = fixture.store().await;
    store.apply_plans(&PlanFile::parse(PLANS, "test").unwrap().plans, NOW).await.unwrap();
    let (root, reseller) = reseller(&store, "small").await;
    let other_root = store.create_tenant(&new_tenant(TenantKind::Root, None), NOW).await.unwrap().id;
    let refused = async |tenant, parent, part: &str| {
        let error = store.move_tenant(tenant, parent, None, NOW).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    };
    refused(root, reseller, "is a root").await;
    refused(reseller, reseller, "cannot be under itself").await;
    refused(reseller, other_root, "belongs to another root").await;
    let stale = store.move_tenant(reseller, root, Some(7), NOW).await.unwrap_err();
    assert!(matches!(stale, StoreError::Stale { expected: 7, found: 1, .. }), "{stale}");
    let past = PlanStart::At(NOW.plus_seconds(-1));
    let error = store.assign_plan(reseller, &"large".parse().unwrap(), None, past, NOW).await.unwrap_err();
    assert!(error.to_string().contains("has passed"), "{error}");
}
