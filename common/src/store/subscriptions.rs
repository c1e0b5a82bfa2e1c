//! Who has which plan, over half-open ranges of time.
//!
//! A tenant has one plan of its own at a time, and at most one change of it ahead. What was in force stays as it was: a
//! change never starts in the past.

use serde::Serialize;
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{
    Changed, Page, PageRequest, Store, StoreError,
    audit_log::{AuditAction, Audited, state},
    partition, plans,
    row::{instant, instant_or_null, parsed, zone},
    scope::PathRange,
    tenants,
    transaction::ChangeTransaction,
};
use crate::{
    acting::Scope,
    id::TenantId,
    plan::{
        EffectiveTerms, PlanId, PlanVersion,
        effective::{self, Level},
    },
    time::{Micros, Period, Zone},
};

macro_rules! select_subscriptions {
    ($rest:literal) => {
        concat!("SELECT tenant_id, plan_owner, plan_id, plan_version, starts_at, ends_at FROM subscriptions ", $rest)
    };
}

/// Most tenants that one migration of a plan moves, so that no transaction holds up all other changes for long.
pub const MIGRATED_AT_ONCE: i64 = 1_000;

/// A tenant's right to use a plan version, over a half-open range of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subscription {
    /// Whose.
    pub tenant: TenantId,
    /// The tenant that the plan belongs to.
    pub plan_owner: TenantId,
    /// The plan.
    pub plan: PlanId,
    /// The version that is pinned.
    pub version: i64,
    /// From when on.
    pub starts_at: Micros,
    /// Until when, if it was ended.
    pub ends_at: Option<Micros>,
}

/// From when on a change of plan counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanStart {
    /// From now on.
    Now,
    /// From this instant on, which has not passed.
    At(Micros),
    /// From the end of the tenant's billing period on.
    PeriodEnd,
}

impl Store {
    /// Every subscription, by tenant and start.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, StoreError> {
        let rows = sqlx::query(select_subscriptions!("ORDER BY tenant_id, starts_at")).fetch_all(&self.pool).await?;
        rows.iter().map(read).collect()
    }

    /// The subscriptions of one tenant, by start.
    pub async fn subscriptions_of(&self, tenant: TenantId) -> Result<Vec<Subscription>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        tenants::find(&mut connection, self.acting.scope, tenant).await?;
        of(&mut connection, tenant).await
    }

    /// Subscriptions in force at `at`, those of a plan or of a subtree if one is named, by their tenants' creation.
    pub async fn subscriptions_in_force(
        &self,
        subtree_of: Option<TenantId>,
        plan: Option<&PlanId>,
        at: Micros,
        page: PageRequest,
    ) -> Result<Page<Subscription>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let paths = PathRange::within(&mut connection, self.acting.scope, subtree_of).await?;
        let rows = sqlx::query(
            "SELECT tenant_id, plan_owner, plan_id, plan_version, starts_at, ends_at, created_seq FROM subscriptions \
             JOIN tenants ON id = tenant_id WHERE path >= $1 AND path < $2 AND created_seq > $3 \
             AND starts_at <= $4 AND (ends_at IS NULL OR ends_at > $4) AND ($5 = '' OR plan_id = $5) \
             ORDER BY created_seq LIMIT $6",
        )
        .bind(paths.from)
        .bind(paths.before)
        .bind(page.begin())
        .bind(at.0)
        .bind(plan.map(PlanId::as_str).unwrap_or_default())
        .bind(page.rows())
        .fetch_all(&mut *connection)
        .await?;
        // A tenant has one at a time, so its place among tenants is its own.
        let found: Result<_, StoreError> =
            rows.iter().map(|row| Ok((row.try_get("created_seq")?, read(row)?))).collect();
        Ok(page.page(found?))
    }

    /// The subscriptions of one tenant in pages, by start.
    pub async fn subscriptions_page(
        &self,
        tenant: TenantId,
        page: PageRequest,
    ) -> Result<Page<Subscription>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        tenants::find(&mut connection, self.acting.scope, tenant).await?;
        let rows =
            sqlx::query(select_subscriptions!("WHERE tenant_id = $1 AND starts_at > $2 ORDER BY starts_at LIMIT $3"))
                .bind(tenant.to_string())
                .bind(page.after.unwrap_or(i64::MIN))
                .bind(page.rows())
                .fetch_all(&mut *connection)
                .await?;
        let found: Result<Vec<_>, StoreError> =
            rows.iter().map(|row| read(row).map(|one| (one.starts_at.0, one))).collect();
        Ok(page.page(found?))
    }

    /// The tenant's own subscription in force at `at`.
    pub async fn subscription_at(&self, tenant: TenantId, at: Micros) -> Result<Option<Subscription>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        in_force(&mut connection, tenant, at).await
    }

    /// Gives a tenant a plan that is offered to it, in the latest version unless one is named; a change that was ahead is
    /// dropped. Refused: a start in the past. A conflict: a plan that is not on offer, a superseded version of a plan of
    /// somebody above whoever acts, a deleted tenant, more than is left of a partitioned pool.
    pub async fn assign_plan(
        &self,
        tenant: TenantId,
        plan: &PlanId,
        version: Option<i64>,
        start: PlanStart,
        now: Micros,
    ) -> Result<Subscription, StoreError> {
        let mut change = self.begin_change(now).await?;
        let zone = tenants::present(&mut change, tenant).await?.tenant.zone;
        let starts_at = start.instant(&zone, now)?;
        let scope = change.scope();
        let version = plans::on_offer(change.connection(), scope, tenant, plan, version).await?;
        let plan_owner = owner_of(&version)?;
        let before = of(change.connection(), tenant).await?;
        let same = |one: &Subscription| {
            (one.plan_owner, &one.plan, one.version, one.ends_at) == (plan_owner, plan, version.version, None)
        };
        if let Some(unchanged) = before.last().filter(|one| same(one) && one.starts_at <= starts_at) {
            return Ok(unchanged.clone());
        }
        end_at(change.connection(), tenant, starts_at, now).await?;
        subscribe(change.connection(), tenant, &version, starts_at).await?;
        partition::check_around(change.connection(), tenant, starts_at).await?;
        finish(&mut change, AuditAction::SubscriptionAssign, tenant, &before).await?;
        change.commit().await?;
        let (plan, version) = (plan.clone(), version.version);
        Ok(Subscription { tenant, plan_owner, plan, version, starts_at, ends_at: None })
    }

    /// Ends a tenant's own subscription, so that it has the plan of the nearest tenant above that has one; a change that
    /// was ahead is dropped. Without a subscription, nothing changes. Refused: a start in the past.
    pub async fn end_subscription(&self, tenant: TenantId, start: PlanStart, now: Micros) -> Result<(), StoreError> {
        let mut change = self.begin_change(now).await?;
        let zone = tenants::present(&mut change, tenant).await?.tenant.zone;
        let ends_at = start.instant(&zone, now)?;
        let before = of(change.connection(), tenant).await?;
        if before.last().is_none_or(|last| last.ends_at.is_some_and(|end| end <= ends_at)) {
            return Ok(());
        }
        end_at(change.connection(), tenant, ends_at, now).await?;
        partition::check_around(change.connection(), tenant, ends_at).await?;
        finish(&mut change, AuditAction::SubscriptionEnd, tenant, &before).await?;
        change.commit().await
    }

    /// Brings tenants that have an older version of a plan, as far as they exist for whoever acts, to its latest one; at
    /// once, or each at the end of its billing period. Who has a change of plan ahead is left out. Gives those who
    /// were moved, at most [`MIGRATED_AT_ONCE`]: nobody else is left if they are fewer.
    pub async fn migrate_plan(
        &self,
        owner: Option<TenantId>,
        plan: &PlanId,
        start: PlanStart,
        now: Micros,
    ) -> Result<Vec<TenantId>, StoreError> {
        let mut change = self.begin_change(now).await?;
        let owner = plans::writable(&mut change, owner, plan).await?;
        let latest = plans::latest(change.connection(), &owner, plan).await?;
        let latest = latest.ok_or_else(|| StoreError::not_found("plan", plan))?;
        let mut outdated = outdated(&mut change, &owner, &latest).await?;
        outdated.retain(|(tenant, zone)| start.exists(*tenant, zone));
        for (tenant, zone) in &outdated {
            let starts_at = start.instant(zone, now)?;
            let before = of(change.connection(), *tenant).await?;
            end_at(change.connection(), *tenant, starts_at, now).await?;
            subscribe(change.connection(), *tenant, &latest, starts_at).await?;
            partition::check_around(change.connection(), *tenant, starts_at).await?;
            finish(&mut change, AuditAction::SubscriptionMigrate, *tenant, &before).await?;
        }
        change.commit().await?;
        Ok(outdated.into_iter().map(|(tenant, _)| tenant).collect())
    }

    /// What a tenant may do at `at`: the plan that it has or inherits, clamped by those above.
    pub async fn effective_terms(&self, tenant: TenantId, at: Micros) -> Result<Option<EffectiveTerms>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        tenants::find(&mut connection, self.acting.scope, tenant).await?;
        let way = plans_up(&mut connection, tenant, at).await?;
        Ok(effective::resolve(&levels(&way)))
    }
}

impl PlanStart {
    /// Returns true if a tenant on this clock has such an instant: months of a zone that is not known have no end.
    fn exists(self, tenant: TenantId, zone: &Zone) -> bool {
        let exists = self != Self::PeriodEnd || zone.is_known();
        if !exists {
            tracing::warn!(event = "plan_not_migrated", %tenant, %zone, reason = "the time zone is not known");
        }
        exists
    }

    fn instant(self, zone: &Zone, now: Micros) -> Result<Micros, StoreError> {
        match self {
            Self::Now => Ok(now),
            Self::At(at) if at < now => {
                Err(StoreError::refused(format!("{at} has passed: a plan can change from now on, or later")))
            }
            Self::At(at) => Ok(at),
            Self::PeriodEnd => Period::containing(now, zone)
                .and_then(|period| period.window(zone))
                .map(|window| window.end)
                .map_err(|error| StoreError::refused(error.to_string())),
        }
    }
}

/// A tenant and all above it, up to the root, each with the plan of its own that is in force at `at`.
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
                plans::version_of(connection, &plan_owner.to_string(), &plan, version).await?
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

/// Subscribes a tenant to a version of a plan from `starts_at` on; nothing else of it may be in force by then.
pub(super) async fn subscribe(
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
fn owner_of(plan: &PlanVersion) -> Result<TenantId, StoreError> {
    plan.owner.ok_or_else(|| StoreError::not_found("plan", &plan.plan.id))
}

/// A subscription of a moved subtree, in force or ahead, to a plan of a tenant that is above it no more.
pub(super) async fn unoffered(
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
pub(super) async fn end_all(connection: &mut AnyConnection, tenant: TenantId, now: Micros) -> Result<(), StoreError> {
    end_at(connection, tenant, now, now).await
}

/// Drops what would start later than `now` or at `end`, and ends what is in force at `end`.
async fn end_at(connection: &mut AnyConnection, tenant: TenantId, end: Micros, now: Micros) -> Result<(), StoreError> {
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

/// Tells gateways and the audit log of the subscriptions that a tenant has now.
async fn finish(
    change: &mut ChangeTransaction,
    action: AuditAction,
    tenant: TenantId,
    before: &[Subscription],
) -> Result<(), StoreError> {
    change.record(Changed::Tenant(tenant)).await?;
    let after = of(change.connection(), tenant).await?;
    let recent = |all: &[Subscription]| state(&all.iter().rev().take(2).rev().collect::<Vec<_>>());
    let (before, after) = (recent(before)?, recent(&after)?);
    let subject_kind = "subscription";
    change
        .audit(Audited { action, subject_kind, subject: tenant.to_string(), tenant: Some(tenant), before, after })
        .await
}

/// Tenants that have an older version of a plan and no change ahead, with their clocks.
async fn outdated(
    change: &mut ChangeTransaction,
    owner: &str,
    latest: &PlanVersion,
) -> Result<Vec<(TenantId, Zone)>, StoreError> {
    let (scope, now): (Scope, Micros) = (change.scope(), change.now());
    let paths = PathRange::of(change.connection(), scope).await?;
    let rows = sqlx::query(
        "SELECT tenants.id, tenants.zone FROM subscriptions JOIN tenants ON tenants.id = subscriptions.tenant_id \
         WHERE plan_id = $1 AND plan_version < $2 AND starts_at <= $3 AND ends_at IS NULL \
         AND path >= $4 AND path < $5 AND deleted_at IS NULL AND plan_owner = $6 ORDER BY created_seq LIMIT $7",
    )
    .bind(latest.plan.id.as_str())
    .bind(latest.version)
    .bind(now.0)
    .bind(paths.from)
    .bind(paths.before)
    .bind(owner)
    .bind(MIGRATED_AT_ONCE)
    .fetch_all(change.connection())
    .await?;
    rows.iter().map(|row| Ok((parsed(row, "id")?, zone(row)?))).collect()
}

/// The subscriptions of one tenant, by start.
async fn of(connection: &mut AnyConnection, tenant: TenantId) -> Result<Vec<Subscription>, StoreError> {
    let rows = sqlx::query(select_subscriptions!("WHERE tenant_id = $1 ORDER BY starts_at"))
        .bind(tenant.to_string())
        .fetch_all(connection)
        .await?;
    rows.iter().map(read).collect()
}

async fn in_force(
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
pub(super) async fn since(connection: &mut AnyConnection, cutoff: Micros) -> Result<Vec<Subscription>, StoreError> {
    let rows =
        sqlx::query(select_subscriptions!("WHERE ends_at IS NULL OR ends_at > $1 ORDER BY tenant_id, starts_at"))
            .bind(cutoff.0)
            .fetch_all(connection)
            .await?;
    rows.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<Subscription, StoreError> {
    Ok(Subscription {
        tenant: parsed(row, "tenant_id")?,
        plan_owner: parsed(row, "plan_owner")?,
        plan: parsed(row, "plan_id")?,
        version: row.try_get("plan_version")?,
        starts_at: instant(row, "starts_at")?,
        ends_at: instant_or_null(row, "ends_at")?,
    })
}
