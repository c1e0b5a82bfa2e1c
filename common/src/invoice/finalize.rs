//! Finalizing: an invoice gets its number, its content is frozen, and the ledger knows of it, in
//! one transaction. Several invoices may share it: they are all finalized, or none of them is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::{AnyConnection, AssertSqlSafe};

use super::{
    BilledPeriod, BilledUsage, Counts, Invoice, InvoiceLine, PinnedPlan, collective,
    freeze::{Frozen, Parties, freeze, write},
    rows::{self, select_invoices},
    series,
};
use crate::{
    id::TenantId,
    money::Currency,
    name::validate_name,
    store::{Store, StoreError, bulk, idempotency, transaction::ChangeTransaction},
    tenant::row as tenants,
    time::{Micros, Window},
};

/// An invoice that is to be finalized. The store adds the two sides, the tax and the number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInvoice {
    /// The tenant that sells.
    pub issuer: TenantId,
    /// The tenant that owes.
    pub tenant: TenantId,
    /// The currency of all amounts.
    pub currency: Currency,
    /// The period that it bills; none for a one-off invoice.
    pub period: Option<BilledPeriod>,
    /// The part of the period, as [`Invoice::part`] has it.
    pub part: u32,
    /// The greatest part that was known of as this one was computed.
    pub last_part: u32,
    /// The plan that rates the period.
    pub plan: Option<PinnedPlan>,
    /// Counts for information.
    pub counts: Counts,
    /// Its lines; their tax rules are replaced by those of the tenant.
    pub lines: Vec<InvoiceLine>,
    /// Usage that it bills.
    pub usage: Vec<BilledUsage>,
    /// The text that the issuer adds.
    pub memo: Option<String>,
    /// SHA-256 of what it was computed from.
    pub input_hash: Option<String>,
}

/// Outcome of finalizing an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finalized {
    /// It is finalized now.
    New(Box<Invoice>),
    /// The period was billed already, by this invoice.
    Before(Box<Invoice>),
}

/// That of which there is one invoice that is not void.
pub(super) type Bill = (TenantId, TenantId, Currency, Window, u32);

impl Store {
    /// Finalizes an invoice. If the tenant has one of this issuer, currency, period and part that is not
    /// void, that is given and nothing changes. Refused: amounts that do not add up. A conflict: a
    /// deleted tenant for a one-off invoice, another part of the period that came in between.
    pub async fn finalize_invoice(&self, new: &NewInvoice, now: Micros) -> Result<Finalized, StoreError> {
        let mut change = self.begin_change(now).await?;
        idempotency::refuse_repetition(&mut change).await?;
        if new.period.is_none() {
            let buyer = tenants::present(&mut change, new.tenant).await?;
            if new.tenant == new.issuer || !buyer.path.contains(&format!("/{}/", new.issuer)) {
                return Err(StoreError::refused(format!("tenant: {} is not below the issuer", new.tenant)));
            }
            check_lines(new)?;
        }
        let finalized = finalize(&mut change, std::slice::from_ref(new)).await?.pop();
        let finalized = finalized.ok_or_else(|| StoreError::refused("no invoice was written"))?;
        if let Finalized::New(invoice) = &finalized {
            idempotency::remember(&mut change, &invoice.id.to_string()).await?;
            change.commit().await?;
        }
        Ok(finalized)
    }

    /// Finalizes invoices of periods in one transaction, as [`Store::finalize_invoice`] finalizes
    /// each; gives them in their order. After an error none is finalized, and the fault may be that
    /// of a single one.
    pub async fn finalize_invoices(&self, new: &[NewInvoice], now: Micros) -> Result<Vec<Finalized>, StoreError> {
        if new.iter().any(|new| new.period.is_none()) {
            return Err(StoreError::refused("a one-off invoice is finalized by itself"));
        }
        let mut change = self.begin_change(now).await?;
        let finalized = finalize(&mut change, new).await?;
        change.commit().await?;
        Ok(finalized)
    }
}

/// Refuses texts that are no texts.
fn check_lines(new: &NewInvoice) -> Result<(), StoreError> {
    for (place, line) in new.lines.iter().enumerate() {
        let refused = |error| StoreError::refused(format!("lines[{place}].description: {error}"));
        validate_name(&line.description).map_err(refused)?;
    }
    let memo = new.memo.as_deref().map_or(Ok(()), validate_name);
    memo.map_err(|error| StoreError::refused(format!("memo: {error}")))
}

/// Changes are made one at a time, so of two that bill the same period, one sees the other's.
async fn finalize(change: &mut ChangeTransaction, new: &[NewInvoice]) -> Result<Vec<Finalized>, StoreError> {
    let issuers: BTreeSet<TenantId> = new.iter().map(|new| new.issuer).collect();
    let scope = change.scope();
    for issuer in &issuers {
        tenants::find(change.connection(), scope, *issuer).await?;
    }
    let engine = change.engine();
    let both = new.iter().flat_map(|new| [new.issuer, new.tenant]).collect();
    let parties = Parties::read(change.connection(), engine, &both).await?;
    let before = same_periods(change, new).await?;
    let is_new = |new: &&NewInvoice| bill(new).is_none_or(|bill| !before.contains_key(&bill));
    let fresh: Vec<&NewInvoice> = new.iter().filter(is_new).collect();
    for new in &fresh {
        refuse_other_parts(new, before.keys())?;
    }
    let mut numbers = take_numbers(change.connection(), &fresh, &parties).await?;
    let mut frozen: Vec<Frozen<'_>> = Vec::with_capacity(fresh.len());
    for new in fresh {
        let number = numbers.entry(new.issuer).or_default();
        frozen.push(freeze(new, Vec::new(), &parties, (*number, change.now()))?);
        *number += 1;
    }
    let mut written = write(change, frozen).await?.into_iter();
    let mut finalized = Vec::with_capacity(new.len());
    for new in new {
        let known = bill(new).and_then(|bill| before.get(&bill));
        let one = known.map(|invoice| Finalized::Before(Box::new(invoice.clone())));
        finalized.extend(one.or_else(|| written.next().map(|invoice| Finalized::New(Box::new(invoice)))));
    }
    Ok(finalized)
}

pub(super) fn bill(new: &NewInvoice) -> Option<Bill> {
    let BilledPeriod { window, .. } = new.period.as_ref()?;
    Some((new.issuer, new.tenant, new.currency, *window, new.part))
}

/// Refuses an invoice that does not know of a part that was billed meanwhile: it would bill it again.
pub(super) fn refuse_other_parts<'a>(
    new: &NewInvoice,
    before: impl Iterator<Item = &'a Bill>,
) -> Result<(), StoreError> {
    let Some(BilledPeriod { window, .. }) = &new.period else { return Ok(()) };
    let is_of_period = |(issuer, tenant, currency, period, _): &&Bill| {
        (*issuer, *tenant, *currency) == (new.issuer, new.tenant, new.currency) && period.start == window.start
    };
    let is_unknown = |(.., part): &Bill| *part > new.last_part || (*part == 0 && new.part > 0);
    if before.filter(is_of_period).any(is_unknown) {
        let reason = "another part of the period was billed meanwhile: the next run bills the rest";
        return Err(StoreError::conflict(reason));
    }
    Ok(())
}

/// Takes a number for each invoice; gives the first of each issuer.
pub(super) async fn take_numbers(
    connection: &mut AnyConnection,
    new: &[&NewInvoice],
    parties: &Parties,
) -> Result<BTreeMap<TenantId, i64>, StoreError> {
    let mut counts: BTreeMap<TenantId, i64> = BTreeMap::new();
    for new in new {
        *counts.entry(new.issuer).or_default() += 1;
    }
    let mut numbers = BTreeMap::new();
    for (issuer, count) in counts {
        let series = parties.details(issuer).series();
        numbers.insert(issuer, series::take(connection, issuer, series, count).await?);
    }
    Ok(numbers)
}

/// Invoices that bill the same periods already.
pub(super) async fn same_periods(
    change: &mut ChangeTransaction,
    new: &[NewInvoice],
) -> Result<HashMap<Bill, Invoice>, StoreError> {
    let wanted: BTreeSet<Micros> = new.iter().filter_map(bill).map(|(.., window, _)| window.start).collect();
    let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { return Ok(HashMap::new()) };
    let of_tenants = bulk::in_list(change.engine(), 3);
    let statement = format!(
        "{} WHERE period_start >= $1 AND period_start <= $2 AND status <> 'void' AND collective = 0 \
         AND tenant_id {of_tenants}",
        select_invoices!("")
    );
    let rows = sqlx::query(AssertSqlSafe(statement))
        .bind(first.0)
        .bind(last.0)
        .bind(bulk::list(new.iter().map(|new| new.tenant)))
        .fetch_all(change.connection())
        .await?;
    let mut found = HashMap::new();
    for row in &rows {
        let invoice = rows::read(row)?;
        if let Some(window) = invoice.period {
            let of = (invoice.issuer, invoice.tenant, invoice.content.currency, window, invoice.part);
            found.insert(of, invoice);
        }
    }
    let of_list = (*first, *last, bulk::list(new.iter().map(|new| new.tenant)));
    found.extend(collective::same_periods(change, of_list).await?);
    Ok(found)
}
