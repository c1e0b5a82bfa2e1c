//! Rows of subscriptions.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{Subscription, billing_override};
use crate::{
    id::TenantId,
    plan::PlanVersion,
    store::{
        StoreError,
        row::{instant, instant_or_null, parsed},
        scope::PathRange,
    },
    time::Micros,
};

macro_rules! select_subscriptions {
    ($rest:literal) => {
        concat!("SELECT tenant_id, plan_owner, plan_id, plan_version, starts_at, ends_at FROM subscriptions ", $rest)
    };
}
pub(super) use select_subscriptions;

/// Subscribes a tenant to a version of a plan from `starts_at` on; nothing else of it may be in
/// force by then.
pub(crate) async fn subscribe(
    connection: &mut AnyConnection,
    tenant: TenantId,
    plan: &PlanVersion,
    starts_at: Micros,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO subscriptions (tenant_id, plan_owner, plan_id, plan_version, starts_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(tenant.to_string())
    .bind(owner_of(plan)?.to_string())
    .bind(plan.plan.id.as_str())
    .bind(plan.version)
    .bind(starts_at.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Owner of a plan that a tenant gets: whoever is offered a plan has an owner of it above.
pub(super) fn owner_of(plan: &PlanVersion) -> Result<TenantId, StoreError> {
    plan.owner.ok_or_else(|| StoreError::not_found("plan", &plan.plan.id))
}

/// A subscription of a moved subtree, in force or ahead, to a plan of a tenant that is above it no
/// more.
pub(crate) async fn unoffered(
    connection: &mut AnyConnection,
    subtree: &PathRange,
    now: Micros,
) -> Result<Option<Subscription>, StoreError> {
    let row = sqlx::query(
        "SELECT tenant_id, plan_owner, plan_id, plan_version, starts_at, ends_at FROM subscriptions \
         JOIN tenants ON tenants.id = tenant_id LEFT JOIN tenants AS owners ON owners.id = plan_owner \
         WHERE tenants.path >= $1 AND tenants.path < $2 AND (ends_at IS NULL OR ends_at > $3) \
         AND COALESCE(substr(tenants.path, 1, length(owners.path)) = owners.path, FALSE) = FALSE \
         ORDER BY tenants.created_seq LIMIT 1",
    )
    .bind(&subtree.from)
    .bind(&subtree.before)
    .bind(now.0)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Ends what a tenant has from now on.
pub(crate) async fn end_all(connection: &mut AnyConnection, tenant: TenantId, now: Micros) -> Result<(), StoreError> {
    end_at(connection, tenant, now, now).await
}

/// Drops what would start later than `now` or at `end`, and ends what is in force at `end`. A trial
/// or pause that ends before is not made longer by that: what follows it stays, up to `end`.
pub(super) async fn end_at(
    connection: &mut AnyConnection,
    tenant: TenantId,
    end: Micros,
    now: Micros,
) -> Result<(), StoreError> {
    let now = kept_until(connection, tenant, end, now).await?;
    let tenant = tenant.to_string();
    sqlx::query("DELETE FROM subscriptions WHERE tenant_id = $1 AND (starts_at > $2 OR starts_at >= $3)")
        .bind(&tenant)
        .bind(now.0)
        .bind(end.0)
        .execute(&mut *connection)
        .await?;
    sqlx::query("UPDATE subscriptions SET ends_at = $2 WHERE tenant_id = $1 AND (ends_at IS NULL OR ends_at > $3)")
        .bind(&tenant)
        .bind(end.0)
        .bind(now.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// The instant at which what follows a trial or pause begins, if that is in force at `now` and ends
/// before
/// `end`; or else `now`.
async fn kept_until(
    connection: &mut AnyConnection,
    tenant: TenantId,
    end: Micros,
    now: Micros,
) -> Result<Micros, StoreError> {
    let terms = billing_override::of(&mut *connection, tenant).await?;
    let all = of(connection, tenant).await?;
    let in_force = |one: &&Subscription| one.starts_at <= now && one.ends_at.is_none_or(|ends| ends > now);
    let current = all.iter().rfind(in_force);
    let is_short = |one: &&Subscription| terms.get(&one.starts_at).is_some_and(|own| own.trial || own.paused);
    let follows = current.filter(is_short).and_then(|one| one.ends_at).filter(|follows| *follows < end);
    Ok(follows.filter(|follows| all.iter().any(|one| one.starts_at == *follows)).unwrap_or(now))
}

/// Ends a subscription that begins at `starts_at`.
pub(super) async fn set_end(
    connection: &mut AnyConnection,
    tenant: TenantId,
    starts_at: Micros,
    end: Micros,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE subscriptions SET ends_at = $1 WHERE tenant_id = $2 AND starts_at = $3")
        .bind(end.0)
        .bind(tenant.to_string())
        .bind(starts_at.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// The subscriptions of one tenant, by start.
pub(crate) async fn of(connection: &mut AnyConnection, tenant: TenantId) -> Result<Vec<Subscription>, StoreError> {
    let rows = sqlx::query(select_subscriptions!("WHERE tenant_id = $1 ORDER BY starts_at"))
        .bind(tenant.to_string())
        .fetch_all(connection)
        .await?;
    rows.iter().map(read).collect()
}

pub(super) async fn in_force(
    connection: &mut AnyConnection,
    tenant: TenantId,
    at: Micros,
) -> Result<Option<Subscription>, StoreError> {
    let row = sqlx::query(select_subscriptions!(
        "WHERE tenant_id = $1 AND starts_at <= $2 AND (ends_at IS NULL OR ends_at > $2) \
         ORDER BY starts_at DESC LIMIT 1"
    ))
    .bind(tenant.to_string())
    .bind(at.0)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Subscriptions that did not end before `cutoff`.
pub(crate) async fn since(connection: &mut AnyConnection, cutoff: Micros) -> Result<Vec<Subscription>, StoreError> {
    let rows =
        sqlx::query(select_subscriptions!("WHERE ends_at IS NULL OR ends_at > $1 ORDER BY tenant_id, starts_at"))
            .bind(cutoff.0)
            .fetch_all(connection)
            .await?;
    rows.iter().map(read).collect()
}

pub(super) fn read(row: &AnyRow) -> Result<Subscription, StoreError> {
    Ok(Subscription {
        tenant: parsed(row, "tenant_id")?,
        plan_owner: parsed(row, "plan_owner")?,
        plan: parsed(row, "plan_id")?,
        version: row.try_get("plan_version")?,
        starts_at: instant(row, "starts_at")?,
        ends_at: instant_or_null(row, "ends_at")?,
    })
}
