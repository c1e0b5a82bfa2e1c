//! Parts of a period: what invoices have billed of it so far.

use sqlx::{Row as _, any::AnyRow};

use super::{BilledUsage, InvoiceContent, InvoiceLine};
use crate::{
    id::{InvoiceId, TenantId},
    money::Currency,
    store::{
        Store, StoreError,
        row::{corrupt, instant},
    },
    time::Micros,
};

/// Lines and usage of a period that an issuer's invoices have billed to a tenant. Void ones bill nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BilledBefore {
    /// Usage.
    pub usage: Vec<BilledUsage>,
    /// Lines, whichever invoices they are on.
    pub lines: Vec<InvoiceLine>,
    /// The greatest part that was billed; 0 if none was.
    pub last_part: u32,
    /// True if an invoice has closed the period.
    pub is_closed: bool,
}

/// The section of an invoice for several tenants that a row of `bills` is.
pub(super) fn section(row: &AnyRow) -> Result<Option<usize>, StoreError> {
    let section: Option<i64> = row.try_get("section")?;
    section.map(|section| usize::try_from(section).map_err(|error| corrupt("section", error))).transpose()
}

impl Store {
    /// Lines and usage that were billed of the period that began at `period_start`, in a currency; if an
    /// invoice is named, only those that were billed before it.
    pub async fn billed_before(
        &self,
        issuer: TenantId,
        tenant: TenantId,
        currency: Currency,
        period_start: Micros,
        before: Option<InvoiceId>,
    ) -> Result<BilledBefore, StoreError> {
        // Fees in advance are on the invoice of the period before, late usage on those of later ones.
        let rows = sqlx::query(
            "SELECT period_start, part, content, usage, section FROM bills WHERE issuer_id = $1 AND tenant_id = $2 \
             AND currency = $3 AND period_end >= $4 AND status <> 'void' \
             AND ($5 = '' OR seq < (SELECT named.seq FROM invoices AS named WHERE named.id = $5)) ORDER BY seq",
        )
        .bind(issuer.to_string())
        .bind(tenant.to_string())
        .bind(currency.code())
        .bind(period_start.0)
        .bind(before.map(|id| id.to_string()).unwrap_or_default())
        .fetch_all(&self.pool)
        .await?;
        let mut found = BilledBefore::default();
        for row in &rows {
            let (content, usage): (String, String) = (row.try_get("content")?, row.try_get("usage")?);
            let content: InvoiceContent = serde_json::from_str(&content).map_err(|error| corrupt("invoice", error))?;
            let usage: Vec<BilledUsage> =
                serde_json::from_str(&usage).map_err(|error| corrupt("billed usage", error))?;
            let own = instant(row, "period_start")?;
            if own == period_start {
                match row.try_get::<i64, _>("part")? {
                    0 => found.is_closed = true,
                    part => found.last_part = found.last_part.max(u32::try_from(part).unwrap_or(u32::MAX)),
                }
            }
            let section = section(row)?;
            let lines = section.map_or(content.lines.as_slice(), |section| content.lines_of(section));
            let is_of_period = |line: &InvoiceLine| line.period.map_or(own, |period| period.start) == period_start;
            found.lines.extend(lines.iter().filter(|line| is_of_period(line)).cloned());
            let is_own = |one: &BilledUsage| one.section == section && one.period_start == period_start;
            found.usage.extend(usage.into_iter().filter(is_own));
        }
        Ok(found)
    }
}
