//! A tenant comes, moves in the tree, and goes.
//!
//! This stands above keys, admin keys and plans, as all of those follow the tenant: nothing that
//! they import imports it.

use sqlx::{AnyConnection, Row as _};

use super::{
    Tenant, TenantKind, TenantStatus, parents,
    place::{Place, height, rewrite_paths},
    row::{Placed, audit, find, insert, present, save},
};
use crate::{
    admin,
    event::emit,
    id::TenantId,
    key,
    name::validate_name,
    plan::{
        PlanId, apply,
        subscription::{Subscription, pool_shares, rows as subscriptions, told},
        versions,
    },
    store::{
        Store, StoreError, audit_action::AuditAction, change_log::Changed, idempotency, scope::PathRange,
        transaction::ChangeTransaction,
    },
    time::{Micros, Zone},
};

/// A tenant to be created.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// The tenant above; none for a root.
    pub parent: Option<TenantId>,
    /// Its place in the tree.
    pub kind: TenantKind,
    /// Name shown to people.
    pub name: String,
    /// The clock of its billing periods.
    pub zone: Zone,
    /// The plan to subscribe to from now on, in its latest version.
    pub plan: Option<PlanId>,
}

impl Store {
    /// Creates a tenant and, if it names a plan, its subscription. Refused: a bad name, a root with
    /// a parent, any other without one. A conflict: a place under a customer or a deleted tenant, a
    /// tree deeper than [`TENANT_DEPTH_MAX`](crate::tenant::TENANT_DEPTH_MAX), a plan that is not on offer, more than is left of a
    /// partitioned pool.
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
            unpaid: None,
        };
        let mut change = self.begin_change(now).await?;
        idempotency::refuse_repetition(&mut change).await?;
        let place = Place::of(&mut change, &tenant).await?;
        let seq = change.record(Changed::Tenant(tenant.id)).await?;
        insert(change.connection(), &tenant, &place.path, place.depth, seq).await?;
        if tenant.kind == TenantKind::Root {
            apply::adopt(&mut change, tenant.id).await?;
        }
        if let Some(parent) = tenant.parent {
            parents::begin(change.connection(), tenant.id, parent).await?;
        }
        if let Some(plan) = &new.plan {
            let scope = change.scope();
            let version = versions::on_offer(change.connection(), scope, tenant.id, plan, None).await?;
            subscriptions::subscribe(change.connection(), tenant.id, &version, now).await?;
            let all = subscriptions::of(change.connection(), tenant.id).await?;
            emit(change.connection(), &[told::event(tenant.id, &all, now)], now).await?;
        }
        pool_shares::check_around(change.connection(), tenant.id, now).await?;
        audit(&mut change, AuditAction::TenantCreate, None, Some(&tenant)).await?;
        idempotency::remember(&mut change, &tenant.id.to_string()).await?;
        change.commit().await?;
        Ok(tenant)
    }

    /// Moves a tenant, with everybody below it, under another, from now on: what it used before
    /// stays with those that it was under. Keys and admin keys that were made by those above it end
    /// unless they are above it still. A conflict: a root, a place under itself, under a customer,
    /// under a deleted tenant or under another root, a tree deeper than [`TENANT_DEPTH_MAX`](crate::tenant::TENANT_DEPTH_MAX), a
    /// subscription to a plan that is not offered there, more than is left of a partitioned pool.
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
        pool_shares::check_around(change.connection(), id, now).await?;
        change.commit().await?;
        Ok(after)
    }

    /// Deletes a tenant: its keys and admin keys are revoked, its subscription ends, and what it
    /// used stays on the books. A second time changes nothing. A conflict: a tenant with others
    /// below it.
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
        key::revoke::revoke_all(&mut change, id).await?;
        admin::revoke::revoke_all(&mut change, id).await?;
        subscriptions::end_all(change.connection(), id, now).await?;
        let after = Tenant { status: TenantStatus::Deleted, revision: before.revision + 1, ..before.clone() };
        save(&mut change, AuditAction::TenantDelete, &before, &after).await?;
        change.commit().await?;
        Ok(after)
    }
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

/// Refuses a move away from the owner of a plan that the tenant, or somebody below it, has or is to
/// have.
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

/// Revokes what was made in a moved subtree by those who are above it no more, and what was made
/// with that.
async fn revoke_grants_left_behind(change: &mut ChangeTransaction, place: &Place) -> Result<(), StoreError> {
    let subtree = PathRange::below(&place.path);
    key::revoke::revoke_of_strangers(change, &subtree).await?;
    for maker in admin::revoke::revoke_of_strangers(change, &subtree).await? {
        key::revoke::revoke_made_with(change, maker, &subtree).await?;
    }
    Ok(())
}

async fn children(connection: &mut AnyConnection, id: TenantId) -> Result<i64, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS below FROM tenants WHERE parent_id = $1 AND deleted_at IS NULL")
        .bind(id.to_string())
        .fetch_one(connection)
        .await?;
    Ok(row.try_get("below")?)
}
