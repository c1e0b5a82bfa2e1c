//! Plans and their versions in the store. [`super::subscription`] says who has them.
//!
//! A plan belongs to a tenant, is offered to that tenant and everybody below it, and has a name
//! that is its owner's own: [`owner`] finds the plan that a name stands for, and [`super::apply`]
//! changes what is on offer.

use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{PlanId, PlanVersion, owner};
use crate::{
    acting::Scope,
    id::TenantId,
    store::{
        Page, PageRequest, Store, StoreError,
        row::{corrupt, instant, parsed},
        scope,
    },
    time::Micros,
};

macro_rules! select_plans {
    ($rest:literal) => {
        concat!("SELECT owner_id, plan_id, version, body, created_at FROM plan_versions AS stored ", $rest)
    };
}

/// Effect of applying a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum PlanOutcome {
    /// The first version of a new plan.
    Created,
    /// A further version of a plan that had changed.
    Updated,
    /// Nothing: the latest version says the same.
    Unchanged,
}

/// A plan after it was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedPlan {
    /// The plan.
    pub id: PlanId,
    /// Its latest version now.
    pub version: i64,
    /// Effect of applying it.
    pub outcome: PlanOutcome,
}

/// A plan, and whether new subscriptions to it are possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedPlan {
    /// One version of the plan.
    pub stored: PlanVersion,
    /// True if the plan is off offer: subscribers keep it, and nobody else gets it.
    pub deprecated: bool,
    /// True if tenants below the owner may change to the plan by themselves.
    pub self_service: bool,
}

/// End of a page of plans. Lists are sorted by name, then by owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanPlace {
    /// Name of the last plan.
    pub plan: PlanId,
    /// Its owner.
    pub owner: Option<TenantId>,
}

/// One page of plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanPage {
    /// Each plan in its latest version.
    pub items: Vec<OfferedPlan>,
    /// Place at which the next page begins; none if this is the last.
    pub next: Option<PlanPlace>,
}

impl Store {
    /// The latest version of every plan in the actor's scope, by name and owner.
    pub async fn plans(&self) -> Result<Vec<PlanVersion>, StoreError> {
        let page = self.plans_page(None, None, u32::MAX).await?;
        Ok(page.items.into_iter().map(|plan| plan.stored).collect())
    }

    /// The latest version of each plan that is offered to the actor, or that belongs to a tenant of
    /// their subtree; of one owner, if one is named.
    pub async fn plans_page(
        &self,
        owner: Option<TenantId>,
        after: Option<&PlanPlace>,
        limit: u32,
    ) -> Result<PlanPage, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let own = owner::own_path(&mut connection, self.acting.scope).await?;
        let rows = sqlx::query(
            "SELECT stored.owner_id, stored.plan_id, version, body, stored.created_at, deprecated_at, allowed_at \
             FROM plan_versions AS stored LEFT JOIN tenants ON tenants.id = stored.owner_id \
             LEFT JOIN plan_deprecations AS gone ON gone.owner_id = stored.owner_id AND gone.plan_id = stored.plan_id \
             LEFT JOIN plan_self_service AS chosen ON chosen.owner_id = stored.owner_id \
             AND chosen.plan_id = stored.plan_id \
             WHERE ($1 = '' OR (path >= $1 AND path < $2) OR substr($1, 1, length(path)) = path) \
             AND ($3 = '' OR stored.owner_id = $3) AND (stored.plan_id, stored.owner_id) > ($4, $5) \
             AND version = (SELECT MAX(other.version) FROM plan_versions AS other \
             WHERE other.owner_id = stored.owner_id AND other.plan_id = stored.plan_id) \
             ORDER BY stored.plan_id, stored.owner_id LIMIT $6",
        )
        .bind(own.as_deref().unwrap_or_default())
        .bind(own.as_deref().map(|path| scope::PathRange::below(path).before).unwrap_or_default())
        .bind(owner.map(|owner| owner.to_string()).unwrap_or_default())
        .bind(after.map(|after| after.plan.to_string()).unwrap_or_default())
        .bind(after.map(|after| owner::text(after.owner)).unwrap_or_default())
        .bind(i64::from(limit) + 1)
        .fetch_all(&mut *connection)
        .await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in rows.iter().take(limit as usize) {
            let deprecated = row.try_get::<Option<i64>, _>("deprecated_at")?.is_some();
            let self_service = row.try_get::<Option<i64>, _>("allowed_at")?.is_some();
            items.push(OfferedPlan { stored: read_version(row)?, deprecated, self_service });
        }
        let is_last = rows.len() <= limit as usize;
        let place = |plan: &OfferedPlan| PlanPlace { plan: plan.stored.plan.id.clone(), owner: plan.stored.owner };
        Ok(PlanPage { next: items.last().filter(|_| !is_last).map(place), items })
    }

    /// One version of the plan that this name means to the actor; the latest if none is named.
    pub async fn plan(&self, id: &PlanId, version: Option<i64>) -> Result<PlanVersion, StoreError> {
        Ok(self.plan_of(None, id, version).await?.stored)
    }

    /// One version of a plan of `owner`, the latest if none is named; without an owner, of the plan
    /// that this name means to the actor.
    pub async fn plan_of(
        &self,
        owner: Option<TenantId>,
        id: &PlanId,
        version: Option<i64>,
    ) -> Result<OfferedPlan, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let owner = owner::meant(&mut connection, self.acting.scope, owner, id).await?;
        let found = match version {
            None => latest(&mut connection, &owner, id).await?,
            Some(version) => version_of(&mut connection, &owner, id, version).await?,
        };
        let stored = found.ok_or_else(|| missing(id, version))?;
        let deprecated = is_deprecated(&mut connection, &owner, id).await?;
        let self_service = is_self_service(&mut connection, &owner, id).await?;
        Ok(OfferedPlan { stored, deprecated, self_service })
    }

    /// Versions of a plan, the latest first; of `owner`'s, or of the one that this name means to
    /// the actor.
    pub async fn plan_versions(
        &self,
        owner: Option<TenantId>,
        id: &PlanId,
        page: PageRequest,
    ) -> Result<Page<OfferedPlan>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let owner = owner::meant(&mut connection, self.acting.scope, owner, id).await?;
        let deprecated = is_deprecated(&mut connection, &owner, id).await?;
        let self_service = is_self_service(&mut connection, &owner, id).await?;
        let rows = sqlx::query(select_plans!(
            "WHERE owner_id = $1 AND plan_id = $2 AND version < $3 ORDER BY version DESC LIMIT $4"
        ))
        .bind(owner)
        .bind(id.as_str())
        .bind(page.after.unwrap_or(i64::MAX))
        .bind(page.rows())
        .fetch_all(&mut *connection)
        .await?;
        let found: Result<Vec<_>, StoreError> = rows
            .iter()
            .map(|row| {
                read_version(row).map(|stored| (stored.version, OfferedPlan { stored, deprecated, self_service }))
            })
            .collect();
        Ok(page.page(found?))
    }
}

/// A version of the plan that this name means to `tenant`, the latest if none is named, if the
/// actor may give it. Superseded versions are given by those whose plan it is alone: everybody else
/// goes by what is on offer.
pub(crate) async fn on_offer(
    connection: &mut AnyConnection,
    scope: Scope,
    tenant: TenantId,
    id: &PlanId,
    version: Option<i64>,
) -> Result<PlanVersion, StoreError> {
    let owner = owner::offered(connection, tenant, id).await?;
    let newest = latest(connection, &owner, id).await?.ok_or_else(|| missing(id, version))?;
    if is_deprecated(connection, &owner, id).await? {
        return Err(StoreError::conflict(format!("plan {id} is not on offer any more")));
    }
    match version {
        Some(version) if version != newest.version => {
            let found = version_of(connection, &owner, id, version).await?.ok_or_else(|| missing(id, Some(version)))?;
            if owner::is_theirs(connection, scope, &owner).await? {
                return Ok(found);
            }
            Err(StoreError::conflict(format!(
                "version {version} of plan {id} was superseded by version {}: only the tenant whose plan it is can give it",
                newest.version
            )))
        }
        _ => Ok(newest),
    }
}

pub(super) fn missing(id: &PlanId, version: Option<i64>) -> StoreError {
    match version {
        None => StoreError::not_found("plan", id),
        Some(version) => StoreError::not_found("plan", &format!("{id}, version {version}")),
    }
}

pub(super) async fn is_deprecated(
    connection: &mut AnyConnection,
    owner: &str,
    id: &PlanId,
) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT plan_id FROM plan_deprecations WHERE owner_id = $1 AND plan_id = $2")
        .bind(owner)
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// Returns true if tenants may change to this plan by themselves.
pub(super) async fn is_self_service(
    connection: &mut AnyConnection,
    owner: &str,
    id: &PlanId,
) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT plan_id FROM plan_self_service WHERE owner_id = $1 AND plan_id = $2")
        .bind(owner)
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// One version of a plan, if there is one.
pub(crate) async fn version_of(
    connection: &mut AnyConnection,
    owner: &str,
    id: &PlanId,
    version: i64,
) -> Result<Option<PlanVersion>, StoreError> {
    let row = sqlx::query(select_plans!("WHERE owner_id = $1 AND plan_id = $2 AND version = $3"))
        .bind(owner)
        .bind(id.as_str())
        .bind(version)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read_version).transpose()
}

/// Every plan version that a subscription pins which did not end before `cutoff`.
pub(crate) async fn pinned_since(
    connection: &mut AnyConnection,
    cutoff: Micros,
) -> Result<Vec<PlanVersion>, StoreError> {
    let rows = sqlx::query(select_plans!(
        "WHERE EXISTS (SELECT 1 FROM subscriptions WHERE subscriptions.plan_owner = stored.owner_id \
         AND subscriptions.plan_id = stored.plan_id AND subscriptions.plan_version = stored.version \
         AND (ends_at IS NULL OR ends_at > $1)) ORDER BY plan_id, owner_id, version"
    ))
    .bind(cutoff.0)
    .fetch_all(connection)
    .await?;
    rows.iter().map(read_version).collect()
}

/// The latest version of a plan, if there is one.
pub(crate) async fn latest(
    connection: &mut AnyConnection,
    owner: &str,
    id: &PlanId,
) -> Result<Option<PlanVersion>, StoreError> {
    let row = sqlx::query(select_plans!("WHERE owner_id = $1 AND plan_id = $2 ORDER BY version DESC LIMIT 1"))
        .bind(owner)
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read_version).transpose()
}

/// Reads a row of `owner_id`, `version`, `body` and `created_at`.
pub(crate) fn read_version(row: &AnyRow) -> Result<PlanVersion, StoreError> {
    let body: String = row.try_get("body")?;
    let owner: String = row.try_get("owner_id")?;
    Ok(PlanVersion {
        owner: if owner.is_empty() { None } else { Some(parsed(row, "owner_id")?) },
        version: row.try_get("version")?,
        created_at: instant(row, "created_at")?,
        plan: serde_json::from_str(&body).map_err(|error| corrupt("plan", error))?,
    })
}
