//! Reading invoices, in the actor's scope: a tenant sees those that it owes, and those of every
//! tenant below it.

use sqlx::{
    Any, AnyConnection, Row as _,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use super::{
    BilledUsage, Invoice, InvoiceContent, InvoiceStatus, Section,
    rows::{self, select_invoices},
};
use crate::{
    id::{InvoiceId, TenantId},
    store::{
        Page, PageRequest, Store, StoreError,
        row::{corrupt, instant, parsed},
        scope::{self, PathRange},
    },
    time::{Micros, Window},
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

/// Invoices of a side within a time, for exports.
#[derive(Debug, Clone, Copy)]
pub struct InvoiceSpan {
    /// Issued by this tenant.
    pub issuer: Option<TenantId>,
    /// Owed by this tenant.
    pub tenant: Option<TenantId>,
    /// True: owed by anybody below that tenant as well, and never void.
    pub subtree: bool,
    /// The time.
    pub window: Window,
    /// True: their period starts in it, or they were finalized in it if they have none; void ones are
    /// left out. False: they were finalized in it.
    pub by_period: bool,
}

/// Usage that an invoice bills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BilledInvoice {
    /// Its place among all invoices.
    pub seq: i64,
    /// The tenant that sells.
    pub issuer: TenantId,
    /// The tenant that owes.
    pub tenant: TenantId,
    /// Start of its period.
    pub period_start: Micros,
    /// True if it closes that period; false for a part of it.
    pub closes: bool,
    /// The usage, of its own period and of earlier ones.
    pub usage: Vec<BilledUsage>,
}

/// Invoices whose usage is read at once.
const PAGE_ROWS: i64 = 1_000;

/// The condition of a span, and of what is behind a place.
macro_rules! in_span {
    () => {
        "JOIN tenants ON tenants.id = tenant_id WHERE path >= $1 AND path < $2 AND seq > $3 \
         AND ($4 = '' OR tenant_id = $4) AND ($5 = '' OR issuer_id = $5) \
         AND (CAST($6 AS BIGINT) = 0 OR invoices.status <> 'void') \
         AND CASE WHEN CAST($6 AS BIGINT) = 1 THEN COALESCE(period_start, finalized_at) ELSE finalized_at END >= $7 \
         AND CASE WHEN CAST($6 AS BIGINT) = 1 THEN COALESCE(period_start, finalized_at) ELSE finalized_at END < $8"
    };
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

    /// Invoices of a span, oldest first, from behind a place on: at most `limit`, and the place behind
    /// them.
    pub async fn invoices_in(
        &self,
        span: &InvoiceSpan,
        after: i64,
        limit: u32,
    ) -> Result<(Vec<Invoice>, Option<i64>), StoreError> {
        let mut connection = self.pool.acquire().await?;
        let statement = concat!(select_invoices!(in_span!()), " ORDER BY seq LIMIT $9");
        let query = self.bind_span(&mut connection, sqlx::query(statement), span, after).await?;
        let rows = query.bind(i64::from(limit)).fetch_all(&mut *connection).await?;
        let next = match rows.last() {
            Some(last) if rows.len() >= limit as usize => Some(last.try_get("seq")?),
            _ => None,
        };
        let invoices: Result<Vec<_>, StoreError> = rows.iter().map(rows::read).collect();
        Ok((invoices?, next))
    }

    /// Number of the invoices of a span.
    pub async fn count_invoices_in(&self, span: &InvoiceSpan) -> Result<i64, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let statement = concat!("SELECT COUNT(*) AS invoices FROM invoices ", in_span!());
        let query = self.bind_span(&mut connection, sqlx::query(statement), span, 0).await?;
        Ok(query.fetch_one(&mut *connection).await?.try_get("invoices")?)
    }

    /// Binds the parameters of the condition of a span.
    async fn bind_span<'q>(
        &self,
        connection: &mut AnyConnection,
        query: Query<'q, Any, AnyArguments>,
        span: &InvoiceSpan,
        after: i64,
    ) -> Result<Query<'q, Any, AnyArguments>, StoreError> {
        let paths = PathRange::within(connection, self.acting.scope, span.tenant).await?;
        let text = |tenant: Option<TenantId>| tenant.map(|tenant| tenant.to_string()).unwrap_or_default();
        Ok(query
            .bind(paths.from)
            .bind(paths.before)
            .bind(after)
            .bind(text(span.tenant.filter(|_| !span.subtree)))
            .bind(text(span.issuer))
            .bind(i64::from(span.by_period))
            .bind(span.window.start.0)
            .bind(span.window.end.0))
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

    /// Returns true if an invoice of an issuer has closed the period of a tenant. Void ones close none.
    pub async fn is_period_closed(
        &self,
        issuer: TenantId,
        tenant: TenantId,
        period: Window,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT 1 AS one FROM bills WHERE issuer_id = $1 AND tenant_id = $2 AND period_start = $3 \
             AND part = 0 AND status <> 'void' LIMIT 1",
        )
        .bind(issuer.to_string())
        .bind(tenant.to_string())
        .bind(period.start.0)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.is_some())
    }

    /// Usage that invoices of periods from `start` on have billed, page by page, in the order of the
    /// invoices; none is the end. Void ones bill nothing. Usage of earlier periods is left out.
    pub async fn billed_since(&self, start: Micros, after: i64) -> Result<Option<Vec<BilledInvoice>>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, issuer_id, tenant_id, period_start, part, usage, \
             CASE WHEN collective = 1 THEN content END AS content FROM invoices \
             WHERE seq > $1 AND (period_start >= $2 OR collective = 1) AND status <> 'void' ORDER BY seq LIMIT $3",
        )
        .bind(after)
        .bind(start.0)
        .bind(PAGE_ROWS)
        .fetch_all(&self.pool)
        .await?;
        let page: Result<Vec<_>, _> = rows.iter().map(|row| billed(row, start)).collect();
        page.map(|page| (!page.is_empty()).then(|| page.into_iter().flatten().collect()))
    }
}

/// Usage that an invoice bills of periods from `start` on, for each tenant that it is about.
fn billed(row: &AnyRow, start: Micros) -> Result<Vec<BilledInvoice>, StoreError> {
    let text: String = row.try_get("usage")?;
    let mut usage: Vec<BilledUsage> = serde_json::from_str(&text).map_err(|error| corrupt("billed usage", error))?;
    usage.retain(|one| one.period_start >= start);
    let whole = BilledInvoice {
        seq: row.try_get("seq")?,
        issuer: parsed(row, "issuer_id")?,
        tenant: parsed(row, "tenant_id")?,
        period_start: instant(row, "period_start")?,
        closes: row.try_get::<i64, _>("part")? == 0,
        usage,
    };
    let content: Option<String> = row.try_get("content")?;
    let Some(content) = content else { return Ok(vec![whole]) };
    let content: InvoiceContent = serde_json::from_str(&content).map_err(|error| corrupt("invoice", error))?;
    let section = |(place, section): (usize, Section)| BilledInvoice {
        tenant: section.tenant,
        period_start: section.period.window.start,
        closes: section.part == 0,
        usage: whole.usage.iter().filter(|one| one.section == Some(place)).cloned().collect(),
        ..whole.clone()
    };
    Ok(content.sections.into_iter().enumerate().map(section).collect())
}
