//! Tenants in the store.

use super::{Store, StoreError};
use crate::{
    id::TenantId,
    plan::PlanId,
    tenant::{Tenant, TenantKind, TenantStatus},
    time::{Micros, Zone},
};

/// A tenant to be created.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// The tenant above; none for a root.
    pub parent: Option<TenantId>,
    /// Its place in the tree.
    pub kind: TenantKind,
    /// What people call it.
    pub name: String,
    /// The clock of its billing periods.
    pub zone: Zone,
    /// The plan to subscribe to from now on, in its latest version.
    pub plan: Option<PlanId>,
}

impl Store {
    /// Creates a tenant and, if it names a plan, its subscription. Refused: a bad name, a root with a parent, any other
    /// without one, a reseller or customer under a customer, an unknown parent or plan.
    pub async fn create_tenant(&self, new: &NewTenant, now: Micros) -> Result<Tenant, StoreError> {
        let _ = (new, now);
        todo!()
    }

    /// The tenant with this id.
    pub async fn tenant(&self, id: TenantId) -> Result<Tenant, StoreError> {
        let _ = id;
        todo!()
    }

    /// Every tenant, by creation.
    pub async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        todo!()
    }

    /// Suspends or resumes a tenant; doing it twice changes nothing.
    pub async fn set_tenant_status(
        &self,
        id: TenantId,
        status: TenantStatus,
        now: Micros,
    ) -> Result<Tenant, StoreError> {
        let _ = (id, status, now);
        todo!()
    }
}
