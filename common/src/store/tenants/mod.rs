//! Tenants in the store.
//!
//! The tree is kept by parents. Derived from them is the path (`/ten_root/ten_reseller/ten_customer/`), which finds whole
//! subtrees; whoever moves a tenant rewrites the paths below it in the same transaction. What a tenant belonged to in
//! the past stands in [`parents`].

mod list;
mod parents;
mod tree;

use sqlx::{AnyConnection, Row as _, any::AnyRow};

pub use self::list::{TenantAccount, TenantFilter};
pub use self::parents::TenantParent;
pub(super) use self::{parents::spans_under, tree::way_up};
use super::{
    Changed, Store, StoreError,
    audit_log::{AuditAction, Audited, state},
    idempotency, partition, plans,
    row::{instant, instant_or_null, parsed, parsed_or_null, zone},
    scope, subscriptions,
    transaction::ChangeTransaction,
};
use crate::{
    acting::Scope,
    id::TenantId,
    plan::PlanId,
    tenant::{Tenant, TenantKind, TenantStatus, validate_name},
    time::{Micros, Zone},
};

/// Longest chain from a root down to a tenant, both counted.
pub const TENANT_DEPTH_MAX: i64 = 5;

macro_rules! select_tenants {
    ($rest:literal) => {
        concat!(
            "SELECT id, parent_id, kind, name, status, zone, path, depth, created_seq, created_at, deleted_at, revision \
             FROM tenants ",
            $rest
        )
    };
}
use select_tenants;

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

/// What is to be changed of a tenant; nothing else is.
#[derive(Debug, Clone, Default)]
pub struct TenantUpdate {
    /// What people call it.
    pub name: Option<String>,
}

impl Store {
    /// Creates a tenant and, if it names a plan, its subscription. Refused: a bad name, a root with a parent, any other
    /// without one. A conflict: a place under a customer or a deleted tenant, a tree deeper than [`TENANT_DEPTH_MAX`], a
    /// plan that is not on offer, more than is left of a partitioned pool.
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
            revision: 1,
        };
        let mut change = self.begin_change(now).await?;
        idempotency::refuse_repetition(&mut change).await?;
        let place = tree::Place::of(&mut change, &tenant).await?;
        let seq = change.record(Changed::Tenant(tenant.id)).await?;
        insert(change.connection(), &tenant, &place, seq).await?;
        if tenant.kind == TenantKind::Root {
            plans::adopt(&mut change, tenant.id).await?;
        }
        if let Some(parent) = tenant.parent {
            parents::begin(change.connection(), tenant.id, parent).await?;
        }
        if let Some(plan) = &new.plan {
            let scope = change.scope();
            let version = plans::on_offer(change.connection(), scope, tenant.id, plan, None).await?;
            subscriptions::subscribe(change.connection(), tenant.id, &version, now).await?;
        }
        partition::check_around(change.connection(), tenant.id, now).await?;
        audit(&mut change, AuditAction::TenantCreate, None, Some(&tenant)).await?;
        idempotency::remember(&mut change, &tenant.id.to_string()).await?;
        change.commit().await?;
        Ok(tenant)
    }

    /// The tenant with this id.
    pub async fn tenant(&self, id: TenantId) -> Result<Tenant, StoreError> {
        let mut connection = self.pool.acquire().await?;
        Ok(find(&mut connection, self.acting.scope, id).await?.tenant)
    }

    /// Every tenant, by creation, deleted ones too.
    pub async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        all(&mut connection, self.acting.scope).await
    }

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

/// A tenant and where it stands.
pub(super) struct Placed {
    pub(super) tenant: Tenant,
    pub(super) path: String,
    pub(super) depth: i64,
    pub(super) created_seq: i64,
}

async fn insert(
    connection: &mut AnyConnection,
    tenant: &Tenant,
    place: &tree::Place,
    seq: i64,
) -> Result<(), StoreError> {
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

/// Stores what was changed of name, parent and status, logs it, and tells gateways.
async fn save(
    change: &mut ChangeTransaction,
    action: AuditAction,
    before: &Tenant,
    after: &Tenant,
) -> Result<(), StoreError> {
    let deleted_at = (after.status == TenantStatus::Deleted).then_some(change.now().0);
    // The word of a deleted tenant is that of a refused one to programs that do not know the column.
    let status = if deleted_at.is_some() { TenantStatus::Suspended } else { after.status };
    sqlx::query(
        "UPDATE tenants SET name = $1, parent_id = $2, status = $3, deleted_at = $4, revision = $5 WHERE id = $6",
    )
    .bind(&after.name)
    .bind(after.parent.map(|parent| parent.to_string()))
    .bind(status.as_str())
    .bind(deleted_at)
    .bind(after.revision)
    .bind(after.id.to_string())
    .execute(change.connection())
    .await?;
    change.record(Changed::Tenant(after.id)).await?;
    audit(change, action, Some(before), Some(after)).await
}

async fn audit(
    change: &mut ChangeTransaction,
    action: AuditAction,
    before: Option<&Tenant>,
    after: Option<&Tenant>,
) -> Result<(), StoreError> {
    let Some(subject) = after.or(before).map(|tenant| tenant.id) else {
        return Ok(());
    };
    let before = before.map(state).transpose()?.flatten();
    let after = after.map(state).transpose()?.flatten();
    let (subject_kind, tenant) = ("tenant", Some(subject));
    change.audit(Audited { action, subject_kind, subject: subject.to_string(), tenant, before, after }).await
}

/// The tenant with this id, if it exists for the scope.
pub(super) async fn find(connection: &mut AnyConnection, scope: Scope, id: TenantId) -> Result<Placed, StoreError> {
    let row = sqlx::query(select_tenants!("WHERE id = $1")).bind(id.to_string()).fetch_optional(connection).await?;
    let placed = row.as_ref().map(placed).transpose()?.filter(|placed| scope::holds(scope, &placed.path));
    placed.ok_or_else(|| StoreError::not_found("tenant", &id))
}

/// The tenant with this id, which is to be changed: it exists for whoever acts, and is not deleted.
pub(super) async fn present(change: &mut ChangeTransaction, id: TenantId) -> Result<Placed, StoreError> {
    let scope = change.scope();
    let placed = find(change.connection(), scope, id).await?;
    if placed.tenant.status == TenantStatus::Deleted {
        return Err(StoreError::conflict(format!("{id} was deleted")));
    }
    Ok(placed)
}

/// Every tenant that exists for the scope, by creation.
pub(super) async fn all(connection: &mut AnyConnection, scope: Scope) -> Result<Vec<Tenant>, StoreError> {
    let paths = scope::PathRange::of(connection, scope).await?;
    let rows = sqlx::query(select_tenants!("WHERE path >= $1 AND path < $2 ORDER BY created_seq"))
        .bind(paths.from)
        .bind(paths.before)
        .fetch_all(connection)
        .await?;
    rows.iter().map(read).collect()
}

fn placed(row: &AnyRow) -> Result<Placed, StoreError> {
    Ok(Placed {
        tenant: read(row)?,
        path: row.try_get("path")?,
        depth: row.try_get("depth")?,
        created_seq: row.try_get("created_seq")?,
    })
}

fn read(row: &AnyRow) -> Result<Tenant, StoreError> {
    let status = match instant_or_null(row, "deleted_at")? {
        Some(_) => TenantStatus::Deleted,
        None => parsed(row, "status")?,
    };
    Ok(Tenant {
        id: parsed(row, "id")?,
        parent: parsed_or_null(row, "parent_id")?,
        kind: parsed(row, "kind")?,
        name: row.try_get("name")?,
        status,
        zone: zone(row)?,
        created_at: instant(row, "created_at")?,
        revision: row.try_get("revision")?,
    })
}
