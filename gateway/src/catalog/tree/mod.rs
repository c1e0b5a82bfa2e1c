//! The tree of tenants with their subscriptions, and how each tenant stands: a change is worked out
//! for the tenants that it touches and for those below them, and for nobody else.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use common::{
    change::{CatalogRow, ServedTenant},
    id::TenantId,
    plan::{PlanId, PlanVersion, subscription::Subscription},
    tenant::TenantStatus,
    time::{Micros, zone_release},
};

use super::{
    entry::{PlanTerms, Standing, TenantEntry, TenantSlot},
    terms::{Chain, PlanBook, PlanNumber},
};
use crate::limit::{Allowance, Pool, QuotaAccount, QuotaBook, RateCells, TenantLimits};

/// Levels of the tree that are looked at; the store keeps it far flatter. It ends walks through
/// rows that form a ring.
const DEPTH_MAX: usize = 32;

/// Every tenant that was ever named, by its id.
#[derive(Default)]
pub(super) struct Tree {
    nodes: HashMap<TenantId, Node>,
    plans: PlanBook,
    /// Times at which the next subscription of each tenant starts or ends.
    boundaries: BTreeSet<(Micros, TenantId)>,
}

/// A tenant's place in the tree. Cells stay with it whatever becomes of the tenant: no change
/// refills a bucket.
#[derive(Default)]
struct Node {
    /// None if others name it that there is no row of.
    tenant: Option<ServedTenant>,
    children: Vec<TenantId>,
    subscriptions: Vec<Pinned>,
    boundary: Option<Micros>,
    /// The plan of its own that is in force.
    own_plan: Option<PlanNumber>,
    /// The pool that this plan grants it and everybody below it.
    pool: Option<Arc<Pool>>,
    slot: Arc<TenantSlot>,
    cells: Arc<RateCells>,
    pool_cells: Option<Arc<RateCells>>,
}

/// A subscription, which pins a plan version.
struct Pinned {
    plan: PlanNumber,
    starts_at: Micros,
    ends_at: Option<Micros>,
}

impl Tree {
    /// An empty tree whose tenants will have the cells that they have in this one.
    pub(super) fn successor(&self) -> Self {
        let successor = |node: &Node| Node {
            slot: Arc::clone(&node.slot),
            cells: Arc::clone(&node.cells),
            pool_cells: node.pool_cells.clone(),
            ..Node::default()
        };
        Self { nodes: self.nodes.iter().map(|(id, node)| (*id, successor(node))).collect(), ..Self::default() }
    }

    /// Tenants that there are.
    pub(super) fn tenant_count(&self) -> usize {
        self.nodes.values().filter(|node| node.tenant.is_some()).count()
    }

    /// Gives every row that it is made from to `take`.
    pub(super) fn rows(&self, mut take: impl FnMut(CatalogRow)) {
        self.nodes.values().filter_map(|node| node.tenant.clone()).map(CatalogRow::Tenant).for_each(&mut take);
        self.plans.versions().iter().cloned().map(|version| CatalogRow::Plan(version.into())).for_each(&mut take);
        for (tenant, node) in &self.nodes {
            for pinned in &node.subscriptions {
                let version = self.plans.version(pinned.plan).and_then(|version| Some((version, version.owner?)));
                if let Some((version, plan_owner)) = version {
                    take(CatalogRow::Subscription(Subscription {
                        tenant: *tenant,
                        plan_owner,
                        plan: version.plan.id.clone(),
                        version: version.version,
                        starts_at: pinned.starts_at,
                        ends_at: pinned.ends_at,
                    }));
                }
            }
        }
    }

    /// Returns true if a plan version is known.
    pub(super) fn knows(&self, owner: TenantId, plan: &PlanId, version: i64) -> bool {
        self.plans.number(owner, plan, version).is_some()
    }

    pub(super) fn add_plan(&mut self, version: PlanVersion) {
        self.plans.add(version);
    }

    /// Returns the slot that holds the standing of a tenant, for its keys.
    pub(super) fn slot(&mut self, tenant: TenantId) -> Arc<TenantSlot> {
        Arc::clone(&self.nodes.entry(tenant).or_default().slot)
    }

    /// Adds a tenant, or puts it where it is now. Its subscriptions are to follow.
    pub(super) fn put_tenant(&mut self, tenant: ServedTenant) {
        let (id, parent) = (tenant.id, tenant.parent);
        if !tenant.zone.is_known() {
            tracing::error!(
                event = "tenant_zone_unknown",
                tenant = %id,
                zone = %tenant.zone,
                release = zone_release(),
                advice = "its hard quotas are refused and its usage is set aside until the programs are up to date"
            );
        }
        let node = self.nodes.entry(id).or_default();
        node.subscriptions.clear();
        let before = node.tenant.replace(tenant);
        let was_under = before.as_ref().and_then(|before| before.parent);
        if before.is_some() && was_under == parent {
            return;
        }
        if let Some(above) = was_under.and_then(|above| self.nodes.get_mut(&above)) {
            above.children.retain(|child| *child != id);
        }
        if let Some(parent) = parent {
            self.nodes.entry(parent).or_default().children.push(id);
        }
    }

    /// Adds a subscription to those of its tenant.
    pub(super) fn add_subscription(&mut self, subscription: &Subscription) {
        let Subscription { tenant, plan_owner, plan, version, starts_at, ends_at } = subscription;
        let Some(plan) = self.plans.number(*plan_owner, plan, *version) else {
            tracing::error!(event = "plan_version_missing", %tenant, %plan_owner, %plan, version);
            return;
        };
        let pinned = Pinned { plan, starts_at: *starts_at, ends_at: *ends_at };
        self.nodes.entry(*tenant).or_default().subscriptions.push(pinned);
    }

    /// Works out how every tenant stands at `now`.
    pub(super) fn resolve_all(&mut self, quotas: &QuotaBook, now: Micros) {
        let all: Vec<TenantId> = self.nodes.keys().copied().collect();
        self.resolve(&all, quotas, now);
    }

    /// Works out how those tenants stand of whom a subscription has started or ended by `now`.
    pub(super) fn resolve_due(&mut self, quotas: &QuotaBook, now: Micros) {
        let due: Vec<TenantId> =
            self.boundaries.iter().take_while(|(boundary, _)| *boundary <= now).map(|(_, tenant)| *tenant).collect();
        if !due.is_empty() {
            self.resolve_subtree(&due, quotas, now);
        }
    }

    /// Works out how these tenants and everybody below them stand at `now`.
    pub(super) fn resolve_subtree(&mut self, changed: &[TenantId], quotas: &QuotaBook, now: Micros) {
        let mut seen: HashSet<TenantId> = HashSet::new();
        let mut touched: Vec<TenantId> = changed.iter().copied().filter(|id| seen.insert(*id)).collect();
        let mut next = 0;
        while let Some(node) = touched.get(next).map(|id| self.nodes.get(id)) {
            let children = node.map_or(&[][..], |node| &node.children);
            touched.extend(children.iter().copied().filter(|child| seen.insert(*child)));
            next += 1;
        }
        self.resolve(&touched, quotas, now);
    }

    /// Resolves the own plan of each tenant, then its pool, and then its standing: each step looks
    /// at the tenants above.
    fn resolve(&mut self, tenants: &[TenantId], quotas: &QuotaBook, now: Micros) {
        for id in tenants {
            self.turn(*id, now);
        }
        for id in tenants {
            let chain = self.chain(*id);
            let pool = self.pool(*id, &chain);
            if let Some(node) = self.nodes.get_mut(id) {
                node.pool = pool;
            }
        }
        for id in tenants {
            let standing = self.standing_of(*id, quotas);
            if let Some(node) = self.nodes.get(id) {
                node.slot.set(standing);
            }
        }
    }

    /// Finds the plan of its own that is in force at `now`, and when that changes.
    fn turn(&mut self, id: TenantId, now: Micros) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let boundaries = node.subscriptions.iter().flat_map(|one| [Some(one.starts_at), one.ends_at]).flatten();
        let next = boundaries.filter(|boundary| *boundary > now).min();
        if let Some(before) = std::mem::replace(&mut node.boundary, next) {
            self.boundaries.remove(&(before, id));
        }
        if let Some(next) = next {
            self.boundaries.insert((next, id));
        }
        let in_force =
            |one: &&Pinned| one.starts_at <= now && one.ends_at.is_none_or(|end| now < end) && node.tenant.is_some();
        node.own_plan = node.subscriptions.iter().filter(in_force).max_by_key(|one| one.starts_at).map(|one| one.plan);
    }

    /// The pool that its own plan grants a tenant, if it does.
    fn pool(&mut self, id: TenantId, chain: &Chain) -> Option<Arc<Pool>> {
        chain.first().copied().flatten()?;
        let terms = self.plans.terms(chain).filter(|terms| !terms.rates.pool.is_empty())?;
        let cells = Arc::clone(self.nodes.get_mut(&id)?.pool_cells.get_or_insert_default());
        Some(Arc::new(Pool { owner: id, rates: Arc::clone(&terms.rates), cells }))
    }

    fn standing_of(&mut self, id: TenantId, quotas: &QuotaBook) -> Standing {
        let chain = self.chain(id);
        if self.nodes.get(&id).is_some_and(|node| node.is(TenantStatus::Deleted)) {
            return Standing::Deleted;
        }
        if self.upwards(id).any(|(_, node)| node.is(TenantStatus::Suspended)) {
            return Standing::Suspended;
        }
        let unpaid = self.upwards(id).find_map(|(_, node)| node.tenant.as_ref()?.unpaid.clone());
        if let Some(unpaid) = unpaid {
            return Standing::Unpaid(Arc::new(unpaid));
        }
        let terms = self.plans.terms(&chain);
        let node = self.nodes.get(&id).filter(|node| node.tenant.is_some());
        let (Some(node), Some(terms)) = (node, terms) else {
            return Standing::NoPlan;
        };
        Standing::Served(Arc::new(TenantEntry {
            id,
            limits: TenantLimits {
                tenant: id,
                rates: Arc::clone(&terms.rates),
                cells: Arc::clone(&node.cells),
                pools: self.upwards(id).filter_map(|(_, node)| node.pool.clone()).collect(),
            },
            quotas: self.leases(id, &terms, quotas),
            spent_until: self.spent_until(id),
            terms,
        }))
    }

    /// The end of the longest refusal by a budget of the tenant, or by one for the subtree of a tenant
    /// above it. It may have passed.
    fn spent_until(&self, id: TenantId) -> Option<Micros> {
        let own = self.nodes.get(&id).and_then(|node| node.tenant.as_ref()?.own_spent_until);
        let subtrees = self.upwards(id).filter_map(|(_, node)| node.tenant.as_ref()?.subtree_spent_until);
        subtrees.chain(own).max()
    }

    /// Returns the leases that requests of a tenant draw on: hard quotas, each in the months of the
    /// tenant that owns it, and credit.
    fn leases(&self, id: TenantId, terms: &PlanTerms, quotas: &QuotaBook) -> Box<[Arc<QuotaAccount>]> {
        let months = terms.caps.iter().filter_map(|cap| {
            let (owner, node) = self.upwards(id).nth(cap.place)?;
            let month = Allowance::Month { zone: &node.tenant.as_ref()?.zone, units: cap.per_month };
            Some(quotas.account(owner, &cap.meter, month))
        });
        let credits = terms.prepaid.iter().map(|meter| quotas.account(id, meter, Allowance::Credit));
        months.chain(credits).collect()
    }

    fn chain(&self, id: TenantId) -> Chain {
        self.upwards(id).map(|(_, node)| node.own_plan).collect()
    }

    /// The tenant, and those above it, each once.
    fn upwards(&self, id: TenantId) -> impl Iterator<Item = (TenantId, &Node)> {
        let with_id = |id: TenantId| self.nodes.get(&id).map(|node| (id, node));
        let above = move |(_, node): &(TenantId, &Node)| {
            // Rows that form a ring come back to where they were.
            node.tenant.as_ref()?.parent.filter(|parent| *parent != id).and_then(with_id)
        };
        std::iter::successors(with_id(id), above).take(DEPTH_MAX)
    }
}

impl Node {
    fn is(&self, status: TenantStatus) -> bool {
        self.tenant.as_ref().is_some_and(|tenant| tenant.status == status)
    }
}

#[cfg(test)]
mod tests;
