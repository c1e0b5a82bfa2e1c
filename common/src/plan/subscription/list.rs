//! Lists of subscriptions, in the actor's scope.

use sqlx::Row as _;

use super::{
    Subscription,
    rows::{in_force, of, read, select_subscriptions},
};
use crate::{
    id::TenantId,
    plan::{
        PlanId, PlanVersion,
        versions::{missing, version_of},
    },
    store::{Page, PageRequest, Store, StoreError, scope::PathRange},
    tenant::row as tenants,
    time::Micros,
};

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

    /// Subscriptions in force at `at`, those of a plan or of a subtree if one is named, by their
    /// tenants' creation.
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

    /// The version that a subscription pins, whatever the scope.
    pub async fn pinned_plan(&self, subscription: &Subscription) -> Result<PlanVersion, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let Subscription { plan_owner, plan, version, .. } = subscription;
        let found = version_of(&mut connection, &plan_owner.to_string(), plan, *version).await?;
        found.ok_or_else(|| missing(plan, Some(*version)))
    }
}
