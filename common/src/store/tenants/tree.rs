//! The tree: where a tenant may stand, moving it, and taking it out.

use sqlx::{AnyConnection, Row as _};

use super::{Placed, TENANT_DEPTH_MAX, find, parents, placed, present, save, select_tenants};
use crate::{
    acting::Scope,
    id::TenantId,
    store::{
        AuditAction, Store, StoreError, Subscription, admin_keys, keys, partition,
        scope::{self, PathRange},
        subscriptions,
        transaction::ChangeTransaction,
    },
    tenant::{Tenant, TenantKind, TenantStatus},
    time::Micros,
};

/// Where a tenant stands in the tree.
pub(super) struct Place {
    pub(super) path: String,
    pub(super) depth: i64,
}

impl Place {
    /// The place that `tenant` asks for, if it may stand there.
    pub(super) async fn of(change: &mut ChangeTransaction, tenant: &Tenant) -> Result<Self, StoreError> {
        match (tenant.kind, tenant.parent) {
            (TenantKind::Root, None) if change.scope() == Scope::Everything => {
                Ok(Self { path: format!("/{}/", tenant.id), depth: 1 })
            }
            (TenantKind::Root, None) => Err(StoreError::refused("a root stands above you: you cannot create one")),
            (TenantKind::Root, Some(parent)) => {
                Err(StoreError::refused(format!("a root stands above all others: it cannot be under {parent}")))
            }
            (kind, None) => Err(StoreError::refused(format!("a {kind} needs a parent: name the tenant it belongs to"))),
            (_, Some(parent)) => Self::under(&present(change, parent).await?, tenant.id, 1),
        }
    }

    /// The place of a tenant right under `parent`, whose own subtree is `height` levels high.
    fn under(parent: &Placed, tenant: TenantId, height: i64) -> Result<Self, StoreError> {
        let id = parent.tenant.id;
        if parent.tenant.kind == TenantKind::Customer {
            return Err(StoreError::conflict(format!("{id} is a customer: nobody can be under it")));
        }
        if parent.depth + height > TENANT_DEPTH_MAX {
            return Err(StoreError::conflict(format!(
                "{id} is {} levels down already: a tree has at most {TENANT_DEPTH_MAX}",
                parent.depth
            )));
        }
        Ok(Self { path: format!("{}{tenant}/", parent.path), depth: parent.depth + 1 })
    }
}

impl Store {
    /// Moves a tenant, with everybody below it, under another, from now on: what it used before stays with those that it
    /// was under. Keys and admin keys that were made by those above it end unless they are above it still. A conflict: a
    /// root, a place under itself, under a customer, under a deleted tenant or under another root, a tree deeper than
    /// [`TENANT_DEPTH_MAX`], a subscription to a plan that is not offered there, more than is left of a partitioned pool.
    pub async fn move_tenant(
        &self,
        id: TenantId,
        new_parent: TenantId,
        expected_revision: Option<i64>,
        now: Micros,
    ) -> Result<Tenant, StoreError> {
        let mut change = self.begin_change(now).await?;
        let moved = present(&mut change, id).await?;
        StoreError::unless_current("tenant", &id, moved.tenant.revision, expected_revision)?;
        let parent = present(&mut change, new_parent).await?;
        refuse_move(&moved, &parent)?;
        if moved.tenant.parent == Some(new_parent) {
            return Ok(moved.tenant);
        }
        let place = Place::under(&parent, id, height(change.connection(), &moved).await?)?;
        rewrite_paths(change.connection(), &moved, &place).await?;
        refuse_plans_left_behind(change.connection(), &place, now).await?;
        revoke_grants_left_behind(&mut change, &place).await?;
        if let Some(before) = moved.tenant.parent {
            parents::change(change.connection(), id, before, new_parent, now).await?;
        }
        let after = Tenant { parent: Some(new_parent), revision: moved.tenant.revision + 1, ..moved.tenant.clone() };
        save(&mut change, AuditAction::TenantMove, &moved.tenant, &after).await?;
        partition::check_around(change.connection(), id, now).await?;
        change.commit().await?;
        Ok(after)
    }

    /// Deletes a tenant: its keys and admin keys are revoked, its subscription ends, and what it used stays on the books. A second
    /// time changes nothing. A conflict: a tenant with others below it.
    pub async fn delete_tenant(
        &self,
        id: TenantId,
        expected_revision: Option<i64>,
        now: Micros,
    ) -> Result<Tenant, StoreError> {
        let mut change = self.begin_change(now).await?;
        let scope = change.scope();
        let before = find(change.connection(), scope, id).await?.tenant;
        if before.status == TenantStatus::Deleted {
            return Ok(before);
        }
        StoreError::unless_current("tenant", &id, before.revision, expected_revision)?;
        let below = children(change.connection(), id).await?;
        if below > 0 {
            return Err(StoreError::conflict(format!(
                "{id} has {below} tenants right below it: move or delete them first"
            )));
        }
        keys::revoke_all(&mut change, id).await?;
        admin_keys::revoke_all(&mut change, id).await?;
        subscriptions::end_all(change.connection(), id, now).await?;
        let after = Tenant { status: TenantStatus::Deleted, revision: before.revision + 1, ..before.clone() };
        save(&mut change, AuditAction::TenantDelete, &before, &after).await?;
        change.commit().await?;
        Ok(after)
    }

    /// A tenant and all above it, up to the root, as far as they exist for whoever acts.
    pub async fn ancestors(&self, id: TenantId) -> Result<Vec<Tenant>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let scope = self.acting.scope;
        let way = way_up(&mut connection, id).await?;
        if !way.first().is_some_and(|first| scope::holds(scope, &first.path)) {
            return Err(StoreError::not_found("tenant", &id));
        }
        Ok(way.into_iter().filter(|placed| scope::holds(scope, &placed.path)).map(|placed| placed.tenant).collect())
    }
}

/// A tenant and all above it, up to the root, whoever asks; nobody, if it is not known.
pub(in crate::store) async fn way_up(connection: &mut AnyConnection, id: TenantId) -> Result<Vec<Placed>, StoreError> {
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

fn refuse_move(moved: &Placed, parent: &Placed) -> Result<(), StoreError> {
    let (id, above) = (moved.tenant.id, parent.tenant.id);
    if moved.tenant.kind == TenantKind::Root {
        return Err(StoreError::conflict(format!("{id} is a root: it stands above all others")));
    }
    if parent.path.starts_with(&moved.path) {
        return Err(StoreError::conflict(format!(
            "{above} is {id} itself or below it: a tenant cannot be under itself"
        )));
    }
    let root = |path: &str| path.split('/').nth(1).map(str::to_owned);
    if root(&moved.path) != root(&parent.path) {
        return Err(StoreError::conflict(format!("{above} belongs to another root than {id}")));
    }
    Ok(())
}

/// Refuses a move away from the owner of a plan that the tenant, or somebody below it, has or is to have.
async fn refuse_plans_left_behind(
    connection: &mut AnyConnection,
    place: &Place,
    now: Micros,
) -> Result<(), StoreError> {
    match subscriptions::unoffered(connection, &PathRange::below(&place.path), now).await? {
        None => Ok(()),
        Some(Subscription { tenant, plan, plan_owner, .. }) => Err(StoreError::conflict(format!(
            "{tenant} has plan {plan} of {plan_owner}, which would not be above it any more: give it another plan first"
        ))),
    }
}

/// Revokes what was made in a moved subtree by those who are above it no more, and what was made with that.
async fn revoke_grants_left_behind(change: &mut ChangeTransaction, place: &Place) -> Result<(), StoreError> {
    let subtree = PathRange::below(&place.path);
    keys::revoke_of_strangers(change, &subtree).await?;
    for maker in admin_keys::revoke_of_strangers(change, &subtree).await? {
        keys::revoke_made_with(change, maker, &subtree).await?;
    }
    Ok(())
}

/// Levels of the subtree, the tenant's own counted.
async fn height(connection: &mut AnyConnection, top: &Placed) -> Result<i64, StoreError> {
    let paths = PathRange::below(&top.path);
    let row = sqlx::query("SELECT MAX(depth) AS deepest FROM tenants WHERE path >= $1 AND path < $2")
        .bind(paths.from)
        .bind(paths.before)
        .fetch_one(connection)
        .await?;
    Ok(row.try_get::<i64, _>("deepest")? - top.depth + 1)
}

async fn rewrite_paths(connection: &mut AnyConnection, moved: &Placed, place: &Place) -> Result<(), StoreError> {
    let paths = PathRange::below(&moved.path);
    let behind = i64::try_from(moved.path.len()).unwrap_or(i64::MAX) + 1;
    sqlx::query(
        "UPDATE tenants SET path = CAST($1 AS TEXT) || substr(path, CAST($2 AS INTEGER)), depth = depth + $3 \
         WHERE path >= $4 AND path < $5",
    )
    .bind(&place.path)
    .bind(behind)
    .bind(place.depth - moved.depth)
    .bind(paths.from)
    .bind(paths.before)
    .execute(connection)
    .await?;
    Ok(())
}

async fn children(connection: &mut AnyConnection, id: TenantId) -> Result<i64, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS below FROM tenants WHERE parent_id = $1 AND deleted_at IS NULL")
        .bind(id.to_string())
        .fetch_one(connection)
        .await?;
    Ok(row.try_get("below")?)
}
