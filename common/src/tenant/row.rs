//! Rows of tenants: reading and writing them, and telling gateways and the audit log.
//!
//! The tree is kept by parents. Derived from them is the path
//! (`/ten_root/ten_reseller/ten_customer/`), which finds whole subtrees; a move rewrites the paths
//! below the tenant in the same transaction.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{Tenant, TenantStatus};
use crate::{
    acting::Scope,
    dunning::Unpaid,
    id::TenantId,
    store::{
        StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        change_log::Changed,
        row::{instant, instant_or_null, parsed, parsed_or_null, zone},
        scope,
        transaction::ChangeTransaction,
    },
};

macro_rules! select_tenants {
    ($rest:literal) => {
        concat!(
            "SELECT id, parent_id, kind, name, status, zone, path, depth, created_seq, created_at, deleted_at, revision, \
             unpaid_invoice, pay_at FROM tenants ",
            $rest
        )
    };
}
pub(super) use select_tenants;

/// A tenant and where it stands.
pub(crate) struct Placed {
    pub(crate) tenant: Tenant,
    pub(crate) path: String,
    pub(crate) depth: i64,
    pub(crate) created_seq: i64,
}

pub(super) async fn insert(
    connection: &mut AnyConnection,
    tenant: &Tenant,
    path: &str,
    depth: i64,
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
    .bind(path)
    .bind(depth)
    .bind(seq)
    .bind(tenant.created_at.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores what was changed of name, parent and status, logs it, and tells gateways.
pub(super) async fn save(
    change: &mut ChangeTransaction,
    action: AuditAction,
    before: &Tenant,
    after: &Tenant,
) -> Result<(), StoreError> {
    let deleted_at = (after.status == TenantStatus::Deleted).then_some(change.now().0);
    // The word of a deleted tenant is that of a refused one to programs that do not know the
    // column.
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

pub(super) async fn audit(
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
pub(crate) async fn find(connection: &mut AnyConnection, scope: Scope, id: TenantId) -> Result<Placed, StoreError> {
    let row = sqlx::query(select_tenants!("WHERE id = $1")).bind(id.to_string()).fetch_optional(connection).await?;
    let placed = row.as_ref().map(placed).transpose()?.filter(|placed| scope::holds(scope, &placed.path));
    placed.ok_or_else(|| StoreError::not_found("tenant", &id))
}

/// The tenant with this id, which is to be changed: it is in the actor's scope, and is not deleted.
pub(crate) async fn present(change: &mut ChangeTransaction, id: TenantId) -> Result<Placed, StoreError> {
    let scope = change.scope();
    let placed = find(change.connection(), scope, id).await?;
    if placed.tenant.status == TenantStatus::Deleted {
        return Err(StoreError::conflict(format!("{id} was deleted")));
    }
    Ok(placed)
}

/// A tenant and all above it, up to the root, whoever asks; nobody, if it is not known.
pub(crate) async fn way_up(connection: &mut AnyConnection, id: TenantId) -> Result<Vec<Placed>, StoreError> {
    let Some(path) = scope::path_of(connection, id).await? else {
        return Ok(Vec::new());
    };
    let mut way = Vec::new();
    // A path names all who are above, the root first.
    for above in path.split('/').rev().filter(|above| !above.is_empty()) {
        let row = sqlx::query(select_tenants!("WHERE id = $1")).bind(above).fetch_one(&mut *connection).await?;
        way.push(placed(&row)?);
    }
    Ok(way)
}

/// Every tenant that exists for the scope, by creation.
pub(crate) async fn all(connection: &mut AnyConnection, scope: Scope) -> Result<Vec<Tenant>, StoreError> {
    let paths = scope::PathRange::of(connection, scope).await?;
    let rows = sqlx::query(select_tenants!("WHERE path >= $1 AND path < $2 ORDER BY created_seq"))
        .bind(paths.from)
        .bind(paths.before)
        .fetch_all(connection)
        .await?;
    rows.iter().map(read).collect()
}

pub(super) fn placed(row: &AnyRow) -> Result<Placed, StoreError> {
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
        unpaid: unpaid(row)?,
    })
}

/// The unpaid invoice because of which a tenant is refused.
pub(crate) fn unpaid(row: &AnyRow) -> Result<Option<Unpaid>, StoreError> {
    let pay_at = row.try_get("pay_at")?;
    Ok(parsed_or_null(row, "unpaid_invoice")?.map(|invoice| Unpaid { invoice, pay_at }))
}
