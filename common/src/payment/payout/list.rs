//! Reading payouts, in the actor's scope: a tenant sees its own, and those of every tenant below it.

use sqlx::Row as _;

use super::{
    Payout, PayoutItem,
    rows::{read, read_item, select_payouts},
};
use crate::{
    id::{PayoutId, TenantId},
    store::{
        Page, PageRequest, Store, StoreError,
        row::instant_or_null,
        scope::{self, PathRange},
    },
    time::Micros,
};

/// Selects payouts.
#[derive(Debug, Clone, Copy, Default)]
pub struct PayoutFilter {
    /// To this tenant and everybody below it.
    pub subtree_of: Option<TenantId>,
    /// Only those with items that nothing here explains.
    pub unmatched: bool,
}

impl Store {
    /// A payout.
    pub async fn payout(&self, id: PayoutId) -> Result<Payout, StoreError> {
        let row = sqlx::query(select_payouts!("WHERE id = $1")).bind(id.to_string()).fetch_optional(&self.pool);
        let found = row.await?.as_ref().map(read).transpose()?.ok_or_else(|| StoreError::not_found("payout", &id))?;
        let mut connection = self.pool.acquire().await?;
        if scope::holds_tenant(&mut connection, self.acting.scope, found.issuer).await? {
            return Ok(found);
        }
        Err(StoreError::not_found("payout", &id))
    }

    /// Payouts in pages, newest first.
    pub async fn payouts(&self, filter: PayoutFilter, page: PageRequest) -> Result<Page<Payout>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let paths = PathRange::within(&mut connection, self.acting.scope, filter.subtree_of).await?;
        let rows = sqlx::query(select_payouts!(
            "WHERE seq < $1 AND issuer_id IN (SELECT tenants.id FROM tenants WHERE path >= $2 AND path < $3) \
             AND ($4 = 0 OR unmatched > 0) ORDER BY seq DESC LIMIT $5"
        ))
        .bind(page.after.unwrap_or(i64::MAX))
        .bind(paths.from)
        .bind(paths.before)
        .bind(i64::from(filter.unmatched))
        .bind(page.rows())
        .fetch_all(&mut *connection)
        .await?;
        let found: Result<Vec<_>, StoreError> = rows.iter().map(|row| Ok((row.try_get("seq")?, read(row)?))).collect();
        Ok(page.page(found?))
    }

    /// Items of a payout, by the provider's names of them.
    pub async fn payout_items(&self, id: PayoutId) -> Result<Vec<PayoutItem>, StoreError> {
        let payout = self.payout(id).await?;
        let rows = sqlx::query(
            "SELECT id, kind, source, amount, fee, matched, note FROM payout_items WHERE payout_id = $1 ORDER BY id",
        )
        .bind(id.to_string())
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| read_item(row, payout.amount.currency())).collect()
    }

    /// Payouts that the provider is to be asked about, those that have waited longest first.
    pub async fn due_payouts(&self, now: Micros, limit: u32) -> Result<Vec<Payout>, StoreError> {
        let rows = sqlx::query(select_payouts!("WHERE check_at <= $1 ORDER BY check_at, seq LIMIT $2"))
            .bind(now.0)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }

    /// The time at which a provider was last asked for what its events may have missed.
    pub async fn provider_look(&self, issuer: TenantId, provider: &str) -> Result<Option<Micros>, StoreError> {
        let row = sqlx::query("SELECT looked_at FROM provider_looks WHERE issuer_id = $1 AND provider = $2")
            .bind(issuer.to_string())
            .bind(provider)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.as_ref().map(|row| instant_or_null(row, "looked_at")).transpose()?.flatten())
    }

    /// Keeps that a provider was asked for what its events may have missed.
    pub async fn keep_provider_look(&self, issuer: TenantId, provider: &str, now: Micros) -> Result<(), StoreError> {
        let mut write = self.begin_write().await?;
        sqlx::query(
            "INSERT INTO provider_looks (issuer_id, provider, looked_at) VALUES ($1, $2, $3) \
             ON CONFLICT (issuer_id, provider) DO UPDATE SET looked_at = excluded.looked_at",
        )
        .bind(issuer.to_string())
        .bind(provider)
        .bind(now.0)
        .execute(write.connection())
        .await?;
        write.commit().await
    }
}
