//! The terms of a tenant: its plan and those of the tenants above it, resolved.

use sqlx::AnyConnection;

use super::{Subscription, rows::in_force};
use crate::{
    id::TenantId,
    plan::{
        PlanVersion,
        effective::{self, EffectiveTerms, Level},
        versions,
    },
    store::{Store, StoreError},
    tenant::row as tenants,
    time::Micros,
};

impl Store {
    /// Resolves the terms of a tenant at `at`: the plan that it has or inherits, clamped by its
    /// ancestors.
    pub async fn effective_terms(&self, tenant: TenantId, at: Micros) -> Result<Option<EffectiveTerms>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        tenants::find(&mut connection, self.acting.scope, tenant).await?;
        let way = plans_up(&mut connection, tenant, at).await?;
        Ok(effective::resolve(&levels(&way)))
    }
}

/// A tenant and all above it, up to the root, each with the plan of its own that is in force at
/// `at`.
pub(super) async fn plans_up(
    connection: &mut AnyConnection,
    tenant: TenantId,
    at: Micros,
) -> Result<Vec<(TenantId, Option<PlanVersion>)>, StoreError> {
    let mut way = Vec::new();
    for placed in tenants::way_up(connection, tenant).await? {
        let id = placed.tenant.id;
        let plan = match in_force(connection, id, at).await? {
            Some(Subscription { plan_owner, plan, version, .. }) => {
                versions::version_of(connection, &plan_owner.to_string(), &plan, version).await?
            }
            None => None,
        };
        way.push((id, plan));
    }
    Ok(way)
}

/// The same, as it is resolved.
pub(super) fn levels(way: &[(TenantId, Option<PlanVersion>)]) -> Vec<Level<'_>> {
    way.iter().map(|(tenant, plan)| Level { tenant: *tenant, plan: plan.as_ref() }).collect()
}
