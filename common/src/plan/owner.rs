//! Whose plan a name means: the nearest tenant on the way up that has a plan of this name owns it.
//!
//! Invariant: a name never leads to a plan of a tenant that is neither above nor below the actor,
//! and its absence looks the same whether nobody or another tenant has a plan of this name.

use sqlx::{AnyConnection, Row as _};

use super::PlanId;
use crate::{
    acting::Scope,
    id::TenantId,
    store::{StoreError, row::parsed_or_null, scope},
};

/// The owner in rows; the empty text stands for plans that wait for the first root.
pub(super) fn text(owner: Option<TenantId>) -> String {
    owner.map(|owner| owner.to_string()).unwrap_or_default()
}

/// Path of the tenant whose subtree is in the actor's scope; none if everything does.
pub(super) async fn own_path(connection: &mut AnyConnection, scope: Scope) -> Result<Option<String>, StoreError> {
    let Scope::Subtree(tenant) = scope else {
        return Ok(None);
    };
    // The path of a tenant that is gone leads nowhere.
    Ok(Some(scope::path_of(connection, tenant).await?.unwrap_or_else(|| "0".into())))
}

/// Owner of the plan that this name means to `tenant`.
pub(super) async fn offered(
    connection: &mut AnyConnection,
    tenant: TenantId,
    id: &PlanId,
) -> Result<String, StoreError> {
    let path = scope::path_of(connection, tenant).await?.ok_or_else(|| StoreError::not_found("plan", id))?;
    nearest(connection, &path, id).await?.ok_or_else(|| StoreError::not_found("plan", id))
}

/// Owner of the plan that is meant by a name and, perhaps, an owner.
pub(super) async fn meant(
    connection: &mut AnyConnection,
    scope: Scope,
    owner: Option<TenantId>,
    id: &PlanId,
) -> Result<String, StoreError> {
    let unknown = || StoreError::not_found("plan", id);
    let own = own_path(connection, scope).await?;
    let owner = match (owner, &own) {
        (Some(owner), own) => {
            let path = scope::path_of(connection, owner).await?.ok_or_else(unknown)?;
            let is_visible = own.as_ref().is_none_or(|own| path.starts_with(own) || own.starts_with(&path));
            return if is_visible { Ok(owner.to_string()) } else { Err(unknown()) };
        }
        (None, Some(own)) => nearest(connection, own, id).await?,
        (None, None) => only(connection, id).await?,
    };
    owner.ok_or_else(unknown)
}

/// Returns true if the actor sells the plans of this owner, which means that it acts at the owner
/// or above it.
pub(crate) async fn is_theirs(connection: &mut AnyConnection, scope: Scope, owner: &str) -> Result<bool, StoreError> {
    match (scope, owner.parse::<TenantId>()) {
        (Scope::Everything, _) => Ok(true),
        (Scope::Subtree(_), Ok(owner)) => scope::holds_tenant(connection, scope, owner).await,
        (Scope::Subtree(_), Err(_)) => Ok(false),
    }
}

/// The owner whose plans are written if none is named: the actor's tenant, else the only root there
/// is. None: there is no root yet.
pub(crate) async fn default_owner(
    connection: &mut AnyConnection,
    scope: Scope,
) -> Result<Option<TenantId>, StoreError> {
    if let Scope::Subtree(tenant) = scope {
        return Ok(Some(tenant));
    }
    let rows = sqlx::query("SELECT id FROM tenants WHERE parent_id IS NULL AND deleted_at IS NULL LIMIT 2")
        .fetch_all(connection)
        .await?;
    if rows.len() > 1 {
        return Err(StoreError::refused(
            "there is more than one root: name the tenant that the plans are to belong to",
        ));
    }
    rows.first().map_or(Ok(None), |row| parsed_or_null(row, "id"))
}

/// Of the tenants on the path, the lowest that has a plan of this name.
async fn nearest(connection: &mut AnyConnection, path: &str, id: &PlanId) -> Result<Option<String>, StoreError> {
    let row = sqlx::query(
        "SELECT owner_id FROM plan_versions JOIN tenants ON tenants.id = owner_id \
         WHERE plan_id = $1 AND version = 1 AND substr($2, 1, length(path)) = path ORDER BY depth DESC LIMIT 1",
    )
    .bind(id.as_str())
    .bind(path)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.try_get("owner_id")).transpose()?)
}

/// The owner of the only plan of this name in the store.
async fn only(connection: &mut AnyConnection, id: &PlanId) -> Result<Option<String>, StoreError> {
    let rows = sqlx::query("SELECT owner_id FROM plan_versions WHERE plan_id = $1 AND version = 1 LIMIT 2")
        .bind(id.as_str())
        .fetch_all(connection)
        .await?;
    if rows.len() > 1 {
        return Err(StoreError::refused(format!("several tenants have a plan {id}: name the one whose plan is meant")));
    }
    Ok(rows.first().map(|row| row.try_get("owner_id")).transpose()?)
}
