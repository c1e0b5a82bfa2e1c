//! From rows of the store to the snapshot of tenants: the tree and the subscriptions, resolved.

use std::{collections::HashMap, sync::Arc};

use common::{
    id::TenantId,
    plan::{PlanId, PlanVersion},
    store::Subscription,
    tenant::{Tenant, TenantStatus},
    time::Micros,
};

use super::{PlanTerms, Pool, Standing, TenantEntry};
use crate::limit::{QuotaBook, RateCells};

/// Levels of the tree that are looked at; the store keeps it far flatter. It ends walks through rows that form a ring.
const DEPTH_MAX: usize = 32;

/// A version of a plan.
pub(super) type PlanKey = (PlanId, i64);

/// Everything that the snapshot of tenants is made from, so that it can be made again without the store.
#[derive(Default)]
pub(super) struct TenantRows {
    tenants: Vec<Tenant>,
    /// By tenant.
    subscriptions: HashMap<TenantId, Vec<Subscription>>,
    plans: HashMap<PlanKey, Arc<PlanTerms>>,
    /// Rate cells of every tenant ever seen.
    cells: HashMap<TenantId, Arc<RateCells>>,
    /// Cells of every pool ever seen, by the tenant whose plan grants it.
    pool_cells: HashMap<TenantId, Arc<RateCells>>,
    /// When the next subscription starts or ends.
    next_boundary: Option<Micros>,
}

impl TenantRows {
    /// Takes over rows; plans that are known already may be left out, as versions never change.
    pub(super) fn replace(&mut self, tenants: Vec<Tenant>, subscriptions: Vec<Subscription>, plans: Vec<PlanVersion>) {
        self.tenants = tenants;
        self.subscriptions.clear();
        for subscription in subscriptions {
            self.subscriptions.entry(subscription.tenant).or_default().push(subscription);
        }
        self.add_plans(plans);
        let pinned: std::collections::HashSet<_> = self.subscriptions.values().flatten().map(plan_key).collect();
        self.plans.retain(|plan, _| pinned.contains(plan));
    }

    pub(super) fn add_plans(&mut self, plans: Vec<PlanVersion>) {
        for version in plans {
            let terms = PlanTerms::new(&version.plan);
            self.plans.insert((version.plan.id, version.version), Arc::new(terms));
        }
    }

    /// Whether the terms of this plan version are known.
    pub(super) fn knows(&self, plan: &PlanKey) -> bool {
        self.plans.contains_key(plan)
    }

    /// Whether a subscription starts or ends by `now` that the last snapshot did not show yet.
    pub(super) fn is_due(&self, now: Micros) -> bool {
        self.next_boundary.is_some_and(|boundary| boundary <= now)
    }

    /// How every tenant stands at `now`.
    pub(super) fn snapshot(&mut self, quotas: &QuotaBook, now: Micros) -> HashMap<TenantId, Standing> {
        let boundaries = self.subscriptions.values().flatten().flat_map(|one| [Some(one.starts_at), one.ends_at]);
        self.next_boundary = boundaries.flatten().filter(|boundary| *boundary > now).min();
        let in_force: Vec<_> = self.tenants.iter().map(|tenant| self.in_force(tenant.id, now)).collect();
        let pools = self.pools(&in_force);
        let by_id: HashMap<_, _> = self.tenants.iter().map(|tenant| (tenant.id, tenant)).collect();
        let mut snapshot = HashMap::with_capacity(by_id.len());
        for (tenant, in_force) in self.tenants.iter().zip(in_force) {
            let standing = if is_suspended(tenant, &by_id) {
                Standing::Suspended
            } else if let Some((plan, terms)) = in_force {
                Standing::Served(Arc::new(TenantEntry {
                    id: tenant.id,
                    plan,
                    cells: Arc::clone(self.cells.entry(tenant.id).or_default()),
                    pools: pools_of(tenant, &by_id, &pools),
                    quotas: quotas.leases(tenant.id, &tenant.zone, &terms.quotas, &terms.prepaid),
                    terms,
                }))
            } else {
                Standing::NoPlan
            };
            snapshot.insert(tenant.id, standing);
        }
        snapshot
    }

    /// The pool that each tenant's own plan grants, if it does. `in_force` is in the order of the tenants.
    fn pools(&mut self, in_force: &[Option<(PlanId, Arc<PlanTerms>)>]) -> HashMap<TenantId, Arc<Pool>> {
        let mut pools = HashMap::new();
        for (tenant, in_force) in self.tenants.iter().zip(in_force) {
            if let Some((_, terms)) = in_force
                && !terms.pool_rates.is_empty()
            {
                let cells = Arc::clone(self.pool_cells.entry(tenant.id).or_default());
                pools.insert(tenant.id, Arc::new(Pool { owner: tenant.id, terms: Arc::clone(terms), cells }));
            }
        }
        pools
    }

    /// The plan of a tenant, and its terms.
    fn in_force(&self, tenant: TenantId, now: Micros) -> Option<(PlanId, Arc<PlanTerms>)> {
        let subscription = self
            .subscriptions
            .get(&tenant)?
            .iter()
            .filter(|one| one.starts_at <= now && one.ends_at.is_none_or(|end| now < end))
            .max_by_key(|one| one.starts_at)?;
        let terms = self.plans.get(&plan_key(subscription));
        if terms.is_none() {
            tracing::error!(
                event = "plan_version_missing", %tenant, plan = %subscription.plan, version = subscription.version,
            );
        }
        terms.map(|terms| (subscription.plan.clone(), Arc::clone(terms)))
    }
}

/// The plan version that a subscription pins.
pub(super) fn plan_key(subscription: &Subscription) -> PlanKey {
    (subscription.plan.clone(), subscription.version)
}

/// Whether the tenant or any above it is suspended.
fn is_suspended(tenant: &Tenant, by_id: &HashMap<TenantId, &Tenant>) -> bool {
    upwards(tenant, by_id).any(|tenant| tenant.status == TenantStatus::Suspended)
}

/// The pools of the tenant and of those above it.
fn pools_of(
    tenant: &Tenant,
    by_id: &HashMap<TenantId, &Tenant>,
    pools: &HashMap<TenantId, Arc<Pool>>,
) -> Box<[Arc<Pool>]> {
    if pools.is_empty() {
        return Box::default();
    }
    let mut found: Vec<Arc<Pool>> = Vec::new();
    for pool in upwards(tenant, by_id).filter_map(|tenant| pools.get(&tenant.id)) {
        // Rows that form a ring come back to where they were.
        if !found.iter().any(|known| known.owner == pool.owner) {
            found.push(Arc::clone(pool));
        }
    }
    found.into()
}

/// The tenant, and those above it.
fn upwards<'a>(tenant: &'a Tenant, by_id: &HashMap<TenantId, &'a Tenant>) -> impl Iterator<Item = &'a Tenant> {
    let above = |below: &&'a Tenant| below.parent.and_then(|id| by_id.get(&id).copied());
    std::iter::successors(Some(tenant), above).take(DEPTH_MAX)
}
