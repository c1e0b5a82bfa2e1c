//! Partitioned pools: what those right below a pool's owner are promised together may not exceed
//! it.
//!
//! Checked whenever a change could break it: a tenant that comes, moves or changes plan, on both
//! sides of it.

use std::collections::HashMap;

use sqlx::{AnyConnection, Row as _};

use super::terms::{levels, plans_up};
use crate::{
    id::TenantId,
    plan::{
        PlanId, PlanVersion, RateLimits,
        effective::{self, Level},
        versions,
    },
    store::{StoreError, row::parsed},
    tenant::TenantKind,
    time::Micros,
};

/// One tenant right below a pool's owner.
struct Child {
    tenant: TenantId,
    kind: TenantKind,
    plan: Option<PlanVersion>,
}

/// Refuses what a tenant and those around it would be promised at `at`, if a partitioned pool does
/// not have it.
pub(crate) async fn check_around(
    connection: &mut AnyConnection,
    tenant: TenantId,
    at: Micros,
) -> Result<(), StoreError> {
    let way = plans_up(connection, tenant, at).await?;
    // The tenant may own a pool, and so may the one above. A plan that is inherited comes from
    // anywhere above: what it promises is clamped there, but counted here.
    for place in 0..way.len().min(2) {
        check(connection, &way[place..], at).await?;
    }
    Ok(())
}

/// Checks the pool of the first on the way up.
async fn check(
    connection: &mut AnyConnection,
    way: &[(TenantId, Option<PlanVersion>)],
    at: Micros,
) -> Result<(), StoreError> {
    let Some((owner, Some(plan))) = way.first() else {
        return Ok(());
    };
    let limits = &plan.plan.limits;
    if limits.pool_mode.is_shared() || limits.pool.is_empty() {
        return Ok(());
    }
    let above = levels(way);
    let mut promised: Vec<RateLimits> = Vec::new();
    for child in children(connection, *owner, at).await? {
        promised.push(allotment(&child, &above)?);
    }
    check_concurrency(*owner, limits.pool.concurrent, &promised)?;
    for (window, pool) in limits.pool.iter() {
        let mut sums = (0_u64, 0_u64);
        for limits in &promised {
            let rate = limits.iter().find(|(other, _)| *other == window).map(|(_, rate)| rate);
            let rate = rate.ok_or_else(|| {
                StoreError::conflict(format!(
                    "the pool of {owner} is partitioned: everybody right below it needs a limit {}",
                    window.as_str()
                ))
            })?;
            sums = (sums.0.saturating_add(rate.limit), sums.1.saturating_add(rate.burst));
        }
        if sums.0 > pool.limit || sums.1 > pool.burst {
            return Err(StoreError::conflict(format!(
                "the pool of {owner} is partitioned and has {} {} with a burst of {}: those right below it would have \
                 {} with a burst of {}",
                pool.limit,
                window.as_str(),
                pool.burst,
                sums.0,
                sums.1
            )));
        }
    }
    Ok(())
}

fn check_concurrency(owner: TenantId, pool: Option<u64>, promised: &[RateLimits]) -> Result<(), StoreError> {
    let Some(pool) = pool else {
        return Ok(());
    };
    let refuse = |reason: String| Err(StoreError::conflict(format!("the pool of {owner} is partitioned: {reason}")));
    let mut sum = 0_u64;
    for limits in promised {
        match limits.concurrent {
            Some(concurrent) => sum = sum.saturating_add(concurrent),
            None => return refuse("everybody right below it needs a limit concurrent".into()),
        }
    }
    if sum > pool {
        return refuse(format!("{pool} requests may be under way, and those right below it would have {sum}"));
    }
    Ok(())
}

/// Returns the rates promised to one tenant for itself and everybody below it.
fn allotment(child: &Child, above: &[Level<'_>]) -> Result<RateLimits, StoreError> {
    let mut levels = vec![Level { tenant: child.tenant, plan: child.plan.as_ref() }];
    levels.extend_from_slice(above);
    let terms = effective::resolve(&levels);
    let pool = terms.as_ref().map(|terms| terms.pool.rates()).filter(|pool| !pool.is_empty());
    match (pool, child.kind) {
        (Some(pool), _) => Ok(pool),
        (None, TenantKind::Customer) => Ok(terms.map(|terms| terms.tenant.rates()).unwrap_or_default()),
        (None, _) => Err(StoreError::conflict(format!(
            "{} is right below a partitioned pool: as others may be below it, it needs a plan with a pool of its own",
            child.tenant
        ))),
    }
}

async fn children(connection: &mut AnyConnection, owner: TenantId, at: Micros) -> Result<Vec<Child>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, kind, plan_owner, plan_id, plan_version FROM tenants LEFT JOIN subscriptions ON tenant_id = id \
         AND starts_at <= $2 AND (ends_at IS NULL OR ends_at > $2) WHERE parent_id = $1 AND deleted_at IS NULL",
    )
    .bind(owner.to_string())
    .bind(at.0)
    .fetch_all(&mut *connection)
    .await?;
    let mut known: HashMap<(String, PlanId, i64), PlanVersion> = HashMap::new();
    let mut children = Vec::with_capacity(rows.len());
    for row in &rows {
        let plan = match row.try_get::<Option<i64>, _>("plan_version")? {
            None => None,
            Some(version) => {
                let key = (row.try_get::<String, _>("plan_owner")?, parsed::<PlanId>(row, "plan_id")?, version);
                if !known.contains_key(&key)
                    && let Some(plan) = versions::version_of(connection, &key.0, &key.1, version).await?
                {
                    known.insert(key.clone(), plan);
                }
                known.get(&key).cloned()
            }
        };
        children.push(Child { tenant: parsed(row, "id")?, kind: parsed(row, "kind")?, plan });
    }
    Ok(children)
}
