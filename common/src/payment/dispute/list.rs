//! Reading disputes, in the actor's scope: a tenant sees those of what it paid, and of every tenant
//! below it.

use sqlx::Row as _;

use super::{
    Dispute, DisputeStatus,
    rows::{read, select_disputes},
};
use crate::{
    id::{InvoiceId, TenantId},
    store::{Page, PageRequest, Store, StoreError, scope::PathRange},
};

/// Selects disputes.
#[derive(Debug, Clone, Copy, Default)]
pub struct DisputeFilter {
    /// Of payments by this tenant and everybody below it.
    pub subtree_of: Option<TenantId>,
    /// Of payments of this invoice.
    pub invoice: Option<InvoiceId>,
    /// With this status.
    pub status: Option<DisputeStatus>,
}

impl Store {
    /// Disputes in pages, newest first.
    pub async fn disputes(&self, filter: DisputeFilter, page: PageRequest) -> Result<Page<Dispute>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let paths = PathRange::within(&mut connection, self.acting.scope, filter.subtree_of).await?;
        let rows = sqlx::query(select_disputes!(
            "WHERE seq < $1 AND tenant_id IN (SELECT tenants.id FROM tenants WHERE path >= $2 AND path < $3) \
             AND ($4 = '' OR invoice_id = $4) AND ($5 = '' OR status = $5) ORDER BY seq DESC LIMIT $6"
        ))
        .bind(page.after.unwrap_or(i64::MAX))
        .bind(paths.from)
        .bind(paths.before)
        .bind(filter.invoice.map(|invoice| invoice.to_string()).unwrap_or_default())
        .bind(filter.status.map_or("", DisputeStatus::as_str))
        .bind(page.rows())
        .fetch_all(&mut *connection)
        .await?;
        let found: Result<Vec<_>, StoreError> = rows.iter().map(|row| Ok((row.try_get("seq")?, read(row)?))).collect();
        Ok(page.page(found?))
    }
}
