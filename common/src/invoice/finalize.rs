//! Finalizing: an invoice gets its number, its content is frozen, and the ledger knows of it, in
//! one transaction.

use sqlx::AnyConnection;

use super::{
    BilledPeriod, BilledUsage, BillingDetails, Counts, Invoice, InvoiceContent, InvoiceKind, InvoiceLine,
    InvoiceStatus, Party, PinnedPlan, TaxLine, details, parts,
    rows::{self, select_invoices},
    series,
    tax::{self, TaxGroup},
};
use crate::{
    acting::Scope,
    id::{InvoiceId, TenantId},
    ledger::{Account, Cause, CauseKind, Posting, rows::post},
    money::{Currency, Money, MoneyError},
    name::validate_name,
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        idempotency,
        row::corrupt,
        transaction::ChangeTransaction,
    },
    tenant::row as tenants,
    time::Micros,
    wallet::draw::use_credit,
};

/// Seconds of a day to pay.
const DAY_SECONDS: i64 = 86_400;

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

/// Amounts of an invoice.
struct Sums {
    taxes: Vec<TaxGroup>,
    net: Money,
    tax: Money,
    total: Money,
}

impl Store {
    /// Finalizes an invoice. If the tenant has one of this issuer, currency, period and part that is not
    /// void, that is given and nothing changes. Refused: amounts that do not add up. A conflict: a
    /// deleted tenant for a one-off invoice, another part that came in between.
    pub async fn finalize_invoice(&self, new: &NewInvoice, now: Micros) -> Result<Finalized, StoreError> {
        let mut change = self.begin_change(now).await?;
        idempotency::refuse_repetition(&mut change).await?;
        let scope = change.scope();
        tenants::find(change.connection(), scope, new.issuer).await?;
        if new.period.is_none() {
            let buyer = tenants::present(&mut change, new.tenant).await?;
            if new.tenant == new.issuer || !buyer.path.contains(&format!("/{}/", new.issuer)) {
                return Err(StoreError::refused(format!("tenant: {} is not below the issuer", new.tenant)));
            }
            check_lines(new)?;
        }
        let seller = details::read(change.connection(), new.issuer).await?;
        // The series is locked from here on: of two that bill the same period, one waits.
        let number = series::next(change.connection(), new.issuer, seller.series()).await?;
        if let Some(before) = same_period(change.connection(), new).await? {
            return Ok(Finalized::Before(Box::new(before)));
        }
        refuse_other_parts(change.connection(), new).await?;
        let invoice = write(&mut change, new, &seller, number).await?;
        idempotency::remember(&mut change, &invoice.id.to_string()).await?;
        change.commit().await?;
        Ok(Finalized::New(Box::new(invoice)))
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

/// The invoice that bills the period already.
async fn same_period(connection: &mut AnyConnection, new: &NewInvoice) -> Result<Option<Invoice>, StoreError> {
    let Some(BilledPeriod { window, .. }) = &new.period else { return Ok(None) };
    let row = sqlx::query(select_invoices!(
        "WHERE issuer_id = $1 AND tenant_id = $2 AND currency = $3 AND period_start = $4 AND period_end = $5 \
         AND part = $6 AND status <> 'void'"
    ))
    .bind(new.issuer.to_string())
    .bind(new.tenant.to_string())
    .bind(new.currency.code())
    .bind(window.start.0)
    .bind(window.end.0)
    .bind(i64::from(new.part))
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(rows::read).transpose()
}

/// Refuses an invoice that does not know of a part that was billed meanwhile: it would bill it again.
async fn refuse_other_parts(connection: &mut AnyConnection, new: &NewInvoice) -> Result<(), StoreError> {
    let Some(BilledPeriod { window, .. }) = &new.period else { return Ok(()) };
    let last = parts::last(connection, new.issuer, new.tenant, window.start).await?;
    if last > new.last_part || (new.part > 0 && parts::is_closed(connection, new, window.start).await?) {
        return Err(StoreError::conflict(
            "another part of the period was billed meanwhile: the next run bills the rest",
        ));
    }
    Ok(())
}

async fn write(
    change: &mut ChangeTransaction,
    new: &NewInvoice,
    seller: &BillingDetails,
    number: i64,
) -> Result<Invoice, StoreError> {
    let now = change.now();
    let buyer = details::read(change.connection(), new.tenant).await?;
    let mut lines = new.lines.clone();
    for line in &mut lines {
        line.tax = buyer.tax_of(line.meter.as_deref());
    }
    let sums = sums(&lines, seller, new.currency).map_err(|error| StoreError::refused(format!("lines: {error}")))?;
    let content = InvoiceContent {
        issuer: party(change.connection(), new.issuer, seller).await?,
        buyer: party(change.connection(), new.tenant, &buyer).await?,
        currency: new.currency,
        period: new.period.clone(),
        plan: new.plan.clone(),
        counts: new.counts,
        lines,
        taxes: sums.taxes.iter().map(TaxLine::of).collect(),
        subtotal_minor: sums.net.minor(),
        tax_minor: sums.tax.minor(),
        memo: new.memo.clone(),
        input_hash: new.input_hash.clone(),
    };
    let id = InvoiceId::generate();
    post_invoice(change.connection(), (new.issuer, new.tenant), id, &sums, now).await?;
    let parties = (new.issuer, new.tenant);
    let used = use_credit(change.connection(), parties, sums.total, &id.to_string(), now).await?;
    let credit_used = Money::sum(used.iter().map(|one| one.amount), new.currency)
        .map_err(|error| StoreError::refused(format!("credit: {error}")))?;
    let open = Money::from_minor(sums.total.minor() - credit_used.minor(), new.currency);
    let invoice = Invoice {
        id,
        number: series::text(seller.series(), number),
        issuer: new.issuer,
        tenant: new.tenant,
        kind: if new.period.is_some() { InvoiceKind::Period } else { InvoiceKind::OneOff },
        part: new.part,
        status: if open.minor() > 0 { InvoiceStatus::Finalized } else { InvoiceStatus::Paid },
        period: new.period.as_ref().map(|period| period.window),
        total: sums.total,
        credit_used,
        open,
        finalized_at: now,
        due_at: now.plus_seconds(i64::from(seller.payment_days()) * DAY_SECONDS),
        content,
    };
    insert(change.connection(), &invoice, &new.usage, seller.series(), number).await?;
    let (action, subject_kind) = (AuditAction::InvoiceFinalize, "invoice");
    let (subject, tenant) = (invoice.id.to_string(), Some(invoice.tenant));
    let summary = serde_json::json!({ "number": invoice.number, "total": invoice.total.to_string() });
    change.audit(Audited { action, subject_kind, subject, tenant, before: None, after: state(&summary)? }).await?;
    Ok(invoice)
}

/// The amounts of an invoice, tax included.
fn sums(lines: &[InvoiceLine], seller: &BillingDetails, currency: Currency) -> Result<Sums, MoneyError> {
    let amounts: Vec<_> = lines.iter().map(|line| (Money::from_minor(line.amount_minor, currency), line.tax)).collect();
    let taxes = tax::groups(&amounts, seller.tax_rounding, currency)?;
    let net = Money::sum(taxes.iter().map(|group| group.net), currency)?;
    let tax = Money::sum(taxes.iter().map(|group| group.tax), currency)?;
    Ok(Sums { net, tax, total: net.checked_add(tax)?, taxes })
}

async fn party(
    connection: &mut AnyConnection,
    tenant: TenantId,
    details: &BillingDetails,
) -> Result<Party, StoreError> {
    let placed = tenants::find(connection, Scope::Everything, tenant).await?;
    Ok(Party {
        tenant,
        name: details.legal_name.clone().unwrap_or(placed.tenant.name),
        address: details.address.clone(),
        email: details.email.clone(),
        tax_id: details.tax_id.clone(),
    })
}

async fn insert(
    connection: &mut AnyConnection,
    invoice: &Invoice,
    usage: &[BilledUsage],
    series: &str,
    number: i64,
) -> Result<(), StoreError> {
    let json = |error: serde_json::Error| corrupt("invoice", error);
    sqlx::query(
        "INSERT INTO invoices (id, number, issuer_id, series, series_number, tenant_id, kind, status, currency, \
         period_start, period_end, part, total, credit_used, open, finalized_at, due_at, content, usage) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
    )
    .bind(invoice.id.to_string())
    .bind(&invoice.number)
    .bind(invoice.issuer.to_string())
    .bind(series)
    .bind(number)
    .bind(invoice.tenant.to_string())
    .bind(invoice.kind.as_str())
    .bind(invoice.status.as_str())
    .bind(invoice.total.currency().code())
    .bind(invoice.period.map(|period| period.start.0))
    .bind(invoice.period.map(|period| period.end.0))
    .bind(i64::from(invoice.part))
    .bind(invoice.total.minor())
    .bind(invoice.credit_used.minor())
    .bind(invoice.open.minor())
    .bind(invoice.finalized_at.0)
    .bind(invoice.due_at.0)
    .bind(serde_json::to_string(&invoice.content).map_err(json)?)
    .bind(serde_json::to_string(usage).map_err(json)?)
    .execute(connection)
    .await?;
    Ok(())
}

/// The receivable, and the revenue and tax that it stands for. An invoice of nothing has no posting.
async fn post_invoice(
    connection: &mut AnyConnection,
    parties: (TenantId, TenantId),
    id: InvoiceId,
    sums: &Sums,
    now: Micros,
) -> Result<(), StoreError> {
    let minus = |money: Money| Money::from_minor(-money.minor(), money.currency());
    let entries =
        [(Account::Receivable, sums.total), (Account::Revenue, minus(sums.net)), (Account::Tax, minus(sums.tax))];
    if entries.iter().all(|(_, amount)| amount.is_zero()) {
        return Ok(());
    }
    let cause = Cause { kind: CauseKind::Invoice, id: id.to_string() };
    let posting = Posting::new(parties, format!("invoice:{id}"), cause, now, &entries)
        .map_err(|error| StoreError::refused(error.to_string()))?;
    post(connection, &posting).await.map(drop)
}

impl TaxLine {
    fn of(group: &TaxGroup) -> Self {
        Self { rule: group.rule, net_minor: group.net.minor(), tax_minor: group.tax.minor() }
    }
}
