//! Tenants in the store.
//!
//! A tenant never moves: its path (`/ten_root/ten_reseller/ten_customer/`) is written once and finds whole subtrees.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{
    Changed, Store, StoreError, plans,
    row::{instant, parsed, parsed_or_null},
};
use crate::{
    id::TenantId,
    plan::PlanId,
    tenant::{Tenant, TenantKind, TenantStatus, validate_name},
    time::{Micros, Zone},
};

/// Longest chain from a root down to a tenant, both counted.
pub const TENANT_DEPTH_MAX: i64 = 5;

macro_rules! select_tenants {
    ($rest:literal) => {
        concat!("SELECT id, parent_id, kind, name, status, zone, created_at FROM tenants ", $rest)
    };
}

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
    /// without one, a reseller or customer under a customer, a tree deeper than [`TENANT_DEPTH_MAX`], an unknown parent
    /// or plan.
    pub async fn create_tenant(&self, new: &NewTenant, now: Micros) -> Result<Tenant, StoreError> {
        validate_name(&new.name).map_err(|error| StoreError::refused(error.to_string()))?;
        let tenant = Tenant {
            id: TenantId::generate(),
            parent: new.parent,
            kind: new.kind,
            name: new.name.clone(),
            status: TenantStatus::Active,
            zone: new.zone.clone(),
            created_at: now,
        };
        let mut change = self.begin_change(now).await?;
        let place = Place::of(change.connection(), &tenant).await?;
        let seq = change.record(Changed::Tenant(tenant.id)).await?;
        insert(change.connection(), &tenant, &place, seq).await?;
        if let Some(plan) = &new.plan {
            plans::subscribe(change.connection(), tenant.id, plan, now).await?;
        }
        change.commit().await?;
        Ok(tenant)
    }

    /// The tenant with this id.
    pub async fn tenant(&self, id: TenantId) -> Result<Tenant, StoreError> {
        let mut connection = self.pool.acquire().await?;
        find(&mut connection, id).await
    }

    /// Every tenant, by creation.
    pub async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        all(&mut connection).await
    }

    /// Suspends or resumes a tenant; doing it twice changes nothing.
    pub async fn set_tenant_status(
        &self,
        id: TenantId,
        status: TenantStatus,
        now: Micros,
    ) -> Result<Tenant, StoreError> {
        let mut change = self.begin_change(now).await?;
        let tenant = find(change.connection(), id).await?;
        if tenant.status == status {
            return Ok(tenant);
        }
        sqlx::query("UPDATE tenants SET status = $1 WHERE id = $2")
            .bind(status.as_str())
            .bind(id.to_string())
            .execute(change.connection())
            .await?;
        change.record(Changed::Tenant(id)).await?;
        change.commit().await?;
        Ok(Tenant { status, ..tenant })
    }
}

/// Where a new tenant stands in the tree.
struct Place {
    path: String,
    depth: i64,
}

impl Place {
    /// The place that `tenant` asks for, if it may stand there.
    async fn of(connection: &mut AnyConnection, tenant: &Tenant) -> Result<Self, StoreError> {
        let parent = match (tenant.kind, tenant.parent) {
            (TenantKind::Root, None) => return Ok(Self { path: format!("/{}/", tenant.id), depth: 1 }),
            (TenantKind::Root, Some(parent)) => {
                return Err(StoreError::refused(format!(
                    "a root stands above all others: it cannot be under {parent}"
                )));
            }
            (kind, None) => {
                return Err(StoreError::refused(format!("a {kind} needs a parent: name the tenant it belongs to")));
            }
            (_, Some(parent)) => parent,
        };
        let row = sqlx::query("SELECT kind, path, depth FROM tenants WHERE id = $1")
            .bind(parent.to_string())
            .fetch_optional(connection)
            .await?
            .ok_or_else(|| StoreError::not_found("tenant", &parent))?;
        if parsed::<TenantKind>(&row, "kind")? == TenantKind::Customer {
            return Err(StoreError::refused(format!("{parent} is a customer: nobody can be under it")));
        }
        let depth = row.try_get::<i64, _>("depth")? + 1;
        if depth > TENANT_DEPTH_MAX {
            return Err(StoreError::refused(format!(
                "{parent} is {} levels down already: a tree has at most {TENANT_DEPTH_MAX}",
                depth - 1
            )));
        }
        Ok(Self { path: format!("{}{}/", row.try_get::<String, _>("path")?, tenant.id), depth })
    }
}

async fn insert(connection: &mut AnyConnection, tenant: &Tenant, place: &Place, seq: i64) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO tenants (id, parent_id, kind, name, status, zone, path, depth, created_seq, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(tenant.id.to_string())
    .bind(tenant.parent.map(|parent| parent.to_string()))
    .bind(tenant.kind.as_str())
    .bind(&tenant.name)
    .bind(tenant.status.as_str())
    .bind(tenant.zone.name())
    .bind(&place.path)
    .bind(place.depth)
    .bind(seq)
    .bind(tenant.created_at.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// The tenant with this id.
pub(super) async fn find(connection: &mut AnyConnection, id: TenantId) -> Result<Tenant, StoreError> {
    let row = sqlx::query(select_tenants!("WHERE id = $1")).bind(id.to_string()).fetch_optional(connection).await?;
    read(&row.ok_or_else(|| StoreError::not_found("tenant", &id))?)
}

/// Every tenant, by creation.
pub(super) async fn all(connection: &mut AnyConnection) -> Result<Vec<Tenant>, StoreError> {
    let rows = sqlx::query(select_tenants!("ORDER BY created_seq")).fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<Tenant, StoreError> {
    Ok(Tenant {
        id: parsed(row, "id")?,
        parent: parsed_or_null(row, "parent_id")?,
        kind: parsed(row, "kind")?,
        name: row.try_get("name")?,
        status: parsed(row, "status")?,
        zone: parsed(row, "zone")?,
        created_at: instant(row, "created_at")?,
    })
}
