//! Limits with the cells that they are spent from, by owner: a tenant with its pools, and a route.

use std::sync::Arc;

use common::{id::TenantId, plan::RateLimits};

use super::{
    cells::RateCells,
    rate::{RateOwner, Rates},
};

/// Rates that a plan grants.
pub(crate) struct PlanRates {
    /// Of each key.
    pub(crate) key: Rates,
    /// Of all keys of the tenant.
    pub(crate) tenant: Rates,
    /// Of the tenant and everybody below it, if the plan is the tenant's own.
    pub(crate) pool: Rates,
}

/// Rates that a tenant and everybody below it may use together.
pub(crate) struct Pool {
    /// The tenant whose plan grants it.
    pub(crate) owner: TenantId,
    pub(crate) rates: Arc<PlanRates>,
    pub(crate) cells: Arc<RateCells>,
}

/// Limits of a tenant's requests.
pub(crate) struct TenantLimits {
    pub(crate) tenant: TenantId,
    pub(crate) rates: Arc<PlanRates>,
    pub(crate) cells: Arc<RateCells>,
    /// The pools that it draws on: its own, and those of the tenants above it.
    pub(crate) pools: Box<[Arc<Pool>]>,
}

/// Limits that all callers of a route share.
pub(crate) struct RouteLimits {
    /// Name of the route.
    pub(crate) name: Arc<str>,
    pub(crate) rates: Rates,
    pub(crate) cells: Arc<RateCells>,
}

impl PlanRates {
    pub(crate) fn new(key: &RateLimits, tenant: &RateLimits, pool: &RateLimits) -> Self {
        Self {
            key: Rates::new(RateOwner::Key, key),
            tenant: Rates::new(RateOwner::Tenant, tenant),
            pool: Rates::new(RateOwner::Pool, pool),
        }
    }
}
