//! Keys, tenants and plans as the request path needs them: everything resolved, nothing to compute.

use std::sync::Arc;

use common::{
    id::{KeyId, TenantId},
    key::{Key, KeyHash, Mode},
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
    pub(crate) hash: KeyHash,
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
    pub(crate) quotas: Box<[Arc<QuotaLease>]>,
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
    pub(crate) quotas: Vec<Quota>,
}

impl KeyEntry {
    pub(super) fn new(key: &Key, cells: Arc<RateCells>) -> Self {
        Self {
            id: key.id,
            tenant: key.tenant,
            mode: key.mode,
            hash: key.hash,
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
            quotas: plan.quotas.clone(),
        }
    }
}
