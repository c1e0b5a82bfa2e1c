//! Keys, tenants and plans as the request path needs them: everything resolved, nothing to compute.

use std::sync::Arc;

use common::{
    id::{KeyId, TenantId},
    key::{Key, Mode},
    plan::{Plan, PlanId, Quota},
    time::Micros,
};

use crate::limit::{QuotaLease, RateCells, RateOwner, Rates};

/// A key as the request path needs it.
pub struct KeyEntry {
    /// Its public identifier.
    pub id: KeyId,
    /// Whose usage it is.
    pub tenant: TenantId,
    /// Whether its usage is billed.
    pub mode: Mode,
    pub(crate) expires_at: Option<Micros>,
    pub(crate) revoked: bool,
    pub(crate) cells: Arc<RateCells>,
}

/// A tenant as the request path needs it: it has a plan, and neither it nor one above it is suspended.
pub struct TenantEntry {
    /// Its identifier.
    pub id: TenantId,
    /// The plan that is in force.
    pub plan: PlanId,
    pub(crate) terms: Arc<PlanTerms>,
    pub(crate) cells: Arc<RateCells>,
    /// The pools that it draws on: its own, and those of the tenants above it.
    pub(crate) pools: Box<[Arc<Pool>]>,
    pub(crate) quotas: Box<[Arc<QuotaLease>]>,
}

/// What a tenant and everybody below it may use together.
pub(crate) struct Pool {
    /// The tenant whose plan grants it.
    pub(crate) owner: TenantId,
    pub(crate) terms: Arc<PlanTerms>,
    pub(crate) cells: Arc<RateCells>,
}

/// Whether a tenant is served.
#[derive(Clone)]
pub enum Standing {
    /// It is.
    Served(Arc<TenantEntry>),
    /// It or one above it is suspended.
    Suspended,
    /// No subscription is in force.
    NoPlan,
}

/// What a plan version says about speed and caps, once for all its subscribers.
pub(crate) struct PlanTerms {
    pub(crate) key_rates: Rates,
    pub(crate) tenant_rates: Rates,
    pub(crate) pool_rates: Rates,
    /// The hard ones; soft ones are billing's.
    pub(crate) quotas: Vec<Quota>,
    /// Meters that are paid for in advance.
    pub(crate) prepaid: Vec<String>,
}

impl KeyEntry {
    pub(super) fn new(key: &Key, cells: Arc<RateCells>) -> Self {
        Self {
            id: key.id,
            tenant: key.tenant,
            mode: key.mode,
            expires_at: key.expires_at,
            revoked: key.revoked_at.is_some(),
            cells,
        }
    }
}

impl PlanTerms {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            key_rates: Rates::new(RateOwner::Key, &plan.limits.key),
            tenant_rates: Rates::new(RateOwner::Tenant, &plan.limits.tenant),
            pool_rates: Rates::new(RateOwner::Pool, &plan.limits.pool),
            quotas: plan.quotas.iter().filter(|quota| quota.kind.is_hard()).cloned().collect(),
            prepaid: plan.prepaid.clone(),
        }
    }
}
