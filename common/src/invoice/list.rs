//! Reading invoices, in the actor's scope: a tenant sees those that it owes, and those of every
//! tenant below it.

use sqlx::Row as _;

use super::{
    BilledUsage, Invoice, InvoiceStatus,
    rows::{self, select_invoices},
};
use crate::{
    id::{InvoiceId, TenantId},
    store::{
        Page, PageRequest, Store, StoreError,
        row::{corrupt, instant_or_null, parsed},
        scope::{self, PathRange},
    },
    time::Window,
};

/// Selects invoices.
#[derive(Debug, Clone, Copy, Default)]
pub struct InvoiceFilter {
    /// Owed by this tenant.
    pub tenant: Option<TenantId>,
    /// Issued by this tenant.
    pub issuer: Option<TenantId>,
    /// With this status.
    pub status: Option<InvoiceStatus>,
}

impl Store {
    /// An invoice.
    pub async fn invoice(&self, id: InvoiceId) -> Result<Invoice, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let invoice = rows::find(&mut connection, id).await?;
        if scope::holds_tenant(&mut connection, self.acting.scope, invoice.tenant).await? {
            return Ok(invoice);
        }
        Err(StoreError::not_found("invoice", &id))
    }

    /// Invoices that have a number, at most one of each issuer.
    pub async fn invoices_by_number(&self, number: &str) -> Result<Vec<Invoice>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let rows = sqlx::query(select_invoices!("WHERE number = $1 ORDER BY seq LIMIT 100"))
            .bind(number)
            .fetch_all(&mut *connection)
            .await?;
        let mut found = Vec::new();
        for row in &rows {
            let invoice = rows::read(row)?;
            if scope::holds_tenant(&mut connection, self.acting.scope, invoice.tenant).await? {
                found.push(invoice);
            }
        }
        Ok(found)
    }

    /// Invoices in pages, oldest first.
    pub async fn invoices(&self, filter: InvoiceFilter, page: PageRequest) -> Result<Page<Invoice>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let paths = PathRange::of(&mut connection, self.acting.scope).await?;
        let text = |tenant: Option<TenantId>| tenant.map(|tenant| tenant.to_string()).unwrap_or_default();
        let rows = sqlx::query(select_invoices!(
            "JOIN tenants ON tenants.id = tenant_id WHERE path >= $1 AND path < $2 AND seq > $3 \
             AND ($4 = '' OR tenant_id = $4) AND ($5 = '' OR issuer_id = $5) AND ($6 = '' OR invoices.status = $6) \
             ORDER BY seq LIMIT $7"
        ))
        .bind(paths.from)
        .bind(paths.before)
        .bind(page.begin())
        .bind(text(filter.tenant))
        .bind(text(filter.issuer))
        .bind(filter.status.map(InvoiceStatus::as_str).unwrap_or_default())
        .bind(page.rows())
        .fetch_all(&mut *connection)
        .await?;
        let found: Result<Vec<_>, StoreError> =
            rows.iter().map(|row| Ok((row.try_get("seq")?, rows::read(row)?))).collect();
        Ok(page.page(found?))
    }

    /// Issuers and tenants of invoices whose period overlaps a window, each once. Void invoices do
    /// not count.
    pub async fn bills_of(&self, window: Window) -> Result<Vec<(TenantId, TenantId)>, StoreError> {
        let rows = sqlx::query(
            "SELECT DISTINCT issuer_id, tenant_id FROM invoices \
             WHERE period_start < $2 AND period_end > $1 AND status <> 'void' ORDER BY tenant_id, issuer_id",
        )
        .bind(window.start.0)
        .bind(window.end.0)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok((parsed(row, "issuer_id")?, parsed(row, "tenant_id")?))).collect()
    }

    /// Usage that an invoice bills.
    pub async fn usage_of_invoice(&self, id: InvoiceId) -> Result<Vec<BilledUsage>, StoreError> {
        let row = sqlx::query("SELECT usage FROM invoices WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.pool)
            .await?;
        let row = row.ok_or_else(|| StoreError::not_found("invoice", &id))?;
        let text: String = row.try_get("usage")?;
        serde_json::from_str(&text).map_err(|error| corrupt("billed usage", error))
    }

    /// Usage that invoices of an issuer have billed to a tenant, if one of them closes this period.
    /// Void ones bill nothing.
    pub async fn billed_usage(
        &self,
        issuer: TenantId,
        tenant: TenantId,
        period: Window,
    ) -> Result<Option<Vec<BilledUsage>>, StoreError> {
        let rows = sqlx::query(
            "SELECT period_start, part, usage FROM invoices \
             WHERE issuer_id = $1 AND tenant_id = $2 AND period_start >= $3 AND status <> 'void' ORDER BY seq",
        )
        .bind(issuer.to_string())
        .bind(tenant.to_string())
        .bind(period.start.0)
        .fetch_all(&self.pool)
        .await?;
        let (mut billed, mut is_issued) = (Vec::new(), false);
        for row in &rows {
            let closes = row.try_get::<i64, _>("part")? == 0;
            is_issued |= closes && instant_or_null(row, "period_start")? == Some(period.start);
            let text: String = row.try_get("usage")?;
            let usage: Vec<BilledUsage> =
                serde_json::from_str(&text).map_err(|error| corrupt("billed usage", error))?;
            billed.extend(usage);
        }
        Ok(is_issued.then_some(billed))
    }
}
