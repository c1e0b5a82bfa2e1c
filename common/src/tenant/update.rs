//! Changes of a tenant that concern itself alone: its name, and whether it is served.

use super::{
    Tenant, TenantStatus,
    row::{present, save},
};
use crate::{
    id::TenantId,
    name::validate_name,
    store::{Store, StoreError, audit_action::AuditAction},
    time::Micros,
};

/// Changes to a tenant; a field without a value stays as it is.
#[derive(Debug, Clone, Default)]
pub struct TenantUpdate {
    /// Name shown to people.
    pub name: Option<String>,
}

impl Store {
    /// Suspends or resumes a tenant; doing it twice changes nothing. A conflict: a deleted one.
    pub async fn set_tenant_status(
        &self,
        id: TenantId,
        status: TenantStatus,
        now: Micros,
    ) -> Result<Tenant, StoreError> {
        if status == TenantStatus::Deleted {
            return Err(StoreError::refused("a tenant is deleted by deletion, not by its status"));
        }
        let mut change = self.begin_change(now).await?;
        let before = present(&mut change, id).await?.tenant;
        if before.status == status {
            return Ok(before);
        }
        let after = Tenant { status, revision: before.revision + 1, ..before.clone() };
        let action =
            if status == TenantStatus::Active { AuditAction::TenantResume } else { AuditAction::TenantSuspend };
        save(&mut change, action, &before, &after).await?;
        change.commit().await?;
        Ok(after)
    }

    /// Changes what a tenant is called. Refused: a bad name. A conflict: a deleted tenant.
    pub async fn update_tenant(
        &self,
        id: TenantId,
        update: &TenantUpdate,
        expected_revision: Option<i64>,
        now: Micros,
    ) -> Result<Tenant, StoreError> {
        let mut change = self.begin_change(now).await?;
        let before = present(&mut change, id).await?.tenant;
        StoreError::unless_current("tenant", &id, before.revision, expected_revision)?;
        let name = update.name.clone().unwrap_or_else(|| before.name.clone());
        validate_name(&name).map_err(|error| StoreError::refused(error.to_string()))?;
        if name == before.name {
            return Ok(before);
        }
        let after = Tenant { name, revision: before.revision + 1, ..before.clone() };
        save(&mut change, AuditAction::TenantUpdate, &before, &after).await?;
        change.commit().await?;
        Ok(after)
    }
}
