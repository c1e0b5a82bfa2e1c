//! From rows of the store to the snapshot of tenants: the tree and the subscriptions, resolved.

use std::{collections::HashMap, sync::Arc};

use common::{
    id::TenantId,
    plan::{PlanId, PlanVersion},
    store::Subscription,
    tenant::{Tenant, TenantStatus},
    time::Micros,
};

use super::{PlanTerms, Standing, TenantEntry};
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
        let by_id: HashMap<_, _> = self.tenants.iter().map(|tenant| (tenant.id, tenant)).collect();
        let mut snapshot = HashMap::with_capacity(by_id.len());
        for tenant in &self.tenants {
            let standing = if is_suspended(tenant, &by_id) {
                Standing::Suspended
            } else if let Some((subscription, terms)) = self.in_force(tenant.id, now) {
                Standing::Served(Arc::new(TenantEntry {
                    id: tenant.id,
                    plan: subscription.plan.clone(),
                    cells: Arc::clone(self.cells.entry(tenant.id).or_default()),
                    quotas: quotas.leases(tenant.id, &tenant.zone, &terms.quotas),
                    terms,
                }))
            } else {
                Standing::NoPlan
            };
            snapshot.insert(tenant.id, standing);
        }
        snapshot
    }

    fn in_force(&self, tenant: TenantId, now: Micros) -> Option<(&Subscription, Arc<PlanTerms>)> {
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
        terms.map(|terms| (subscription, Arc::clone(terms)))
    }
}

/// The plan version that a subscription pins.
pub(super) fn plan_key(subscription: &Subscription) -> PlanKey {
    (subscription.plan.clone(), subscription.version)
}

/// Whether the tenant or any above it is suspended.
fn is_suspended(tenant: &Tenant, by_id: &HashMap<TenantId, &Tenant>) -> bool {
    let upwards = std::iter::successors(Some(tenant), |below| below.parent.and_then(|id| by_id.get(&id).copied()));
    upwards.take(DEPTH_MAX).any(|tenant| tenant.status == TenantStatus::Suspended)
}
