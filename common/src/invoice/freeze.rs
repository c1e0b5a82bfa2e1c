//! Freezing: the content of an invoice as it stays, and its rows in the store.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::{
    BilledUsage, BillingDetails, Invoice, InvoiceContent, InvoiceKind, InvoiceLine, InvoiceStatus, NewInvoice, Party,
    Section, TaxLine, collective,
    event::{of_invoice, of_status},
    series,
    tax::{self, TaxGroup},
};
use crate::{
    deferral::{NewDeferral, defer},
    event::{EventType, NewEvent, emit},
    id::{InvoiceId, TenantId},
    ledger::{
        Account, Cause, CauseKind, Posting,
        rows::{currency, post_all},
    },
    money::{Currency, Money, MoneyError},
    store::{
        Engine, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        bulk::{self, Value},
        row::{corrupt, parsed},
        transaction::ChangeTransaction,
    },
    time::{Micros, Window},
    wallet::draw::use_credit,
};

/// Seconds of a day to pay.
const DAY_SECONDS: i64 = 86_400;

/// Names and billing details of the two sides of invoices.
pub(super) struct Parties(HashMap<TenantId, (String, BillingDetails)>);

/// Billing details of a tenant that has none.
static NO_DETAILS: std::sync::LazyLock<BillingDetails> = std::sync::LazyLock::new(BillingDetails::default);

/// An invoice before it is written.
pub(super) struct Frozen<'a> {
    new: &'a NewInvoice,
    id: InvoiceId,
    series: String,
    number: i64,
    due_at: Micros,
    sums: Sums,
    /// Lines in advance: their places, amounts without tax, and the times that they are for.
    deferred: Vec<(usize, Money, Window)>,
    content: InvoiceContent,
}

/// Amounts of an invoice.
struct Sums {
    taxes: Vec<TaxGroup>,
    net: Money,
    tax: Money,
    total: Money,
}

impl Parties {
    /// Reads all of `tenants`, whoever asks.
    pub(super) async fn read(
        connection: &mut AnyConnection,
        engine: Engine,
        tenants: &BTreeSet<TenantId>,
    ) -> Result<Self, StoreError> {
        let statement = format!(
            "SELECT id, name, body FROM tenants LEFT JOIN billing_details ON tenant_id = id WHERE id {}",
            bulk::in_list(engine, 1)
        );
        let rows = sqlx::query(AssertSqlSafe(statement)).bind(bulk::list(tenants)).fetch_all(connection).await?;
        let mut found = HashMap::with_capacity(rows.len());
        for row in &rows {
            let body: Option<String> = row.try_get("body")?;
            let details = body.map(|body| serde_json::from_str(&body)).transpose();
            let details = details.map_err(|error| corrupt("billing details", error))?.unwrap_or_default();
            found.insert(parsed(row, "id")?, (row.try_get("name")?, details));
        }
        Ok(Self(found))
    }

    /// Billing details of a tenant.
    pub(super) fn details(&self, tenant: TenantId) -> &BillingDetails {
        self.0.get(&tenant).map_or(&NO_DETAILS, |(_, details)| details)
    }

    /// Name of a tenant on invoices.
    pub(super) fn name(&self, tenant: TenantId) -> Result<String, StoreError> {
        self.party(tenant).map(|party| party.name)
    }

    fn party(&self, tenant: TenantId) -> Result<Party, StoreError> {
        let (name, details) = self.0.get(&tenant).ok_or_else(|| StoreError::not_found("tenant", &tenant))?;
        Ok(Party {
            tenant,
            name: details.legal_name.clone().unwrap_or_else(|| name.clone()),
            address: details.address.clone(),
            email: details.email.clone(),
            tax_id: details.tax_id.clone(),
        })
    }
}

/// The content of an invoice with this number; `sections` are those of an invoice for several
/// tenants. Refused: amounts that do not add up.
pub(super) fn freeze<'a>(
    new: &'a NewInvoice,
    sections: Vec<Section>,
    parties: &Parties,
    (number, now): (i64, Micros),
) -> Result<Frozen<'a>, StoreError> {
    let (seller, buyer) = (parties.details(new.issuer), parties.details(new.tenant));
    let mut lines = new.lines.clone();
    for line in &mut lines {
        line.tax = buyer.tax_of(line.meter.as_deref());
    }
    let sums = sums(&lines, seller, new.currency).map_err(|error| StoreError::refused(format!("lines: {error}")))?;
    let deferred = deferred(new, &lines).map_err(|error| StoreError::refused(format!("lines: {error}")))?;
    let content = InvoiceContent {
        issuer: parties.party(new.issuer)?,
        buyer: parties.party(new.tenant)?,
        currency: new.currency,
        period: new.period.clone(),
        plan: new.plan.clone(),
        counts: new.counts,
        lines,
        taxes: sums.taxes.iter().map(TaxLine::of).collect(),
        subtotal_minor: sums.net.minor(),
        tax_minor: sums.tax.minor(),
        sections,
        memo: new.memo.clone(),
        input_hash: new.input_hash.clone(),
    };
    let due_at = now.plus_seconds(i64::from(seller.payment_days()) * DAY_SECONDS);
    let series = seller.series().to_owned();
    Ok(Frozen { new, id: InvoiceId::generate(), series, number, due_at, sums, deferred, content })
}

/// Lines in advance that come to something.
fn deferred(new: &NewInvoice, lines: &[InvoiceLine]) -> Result<Vec<(usize, Money, Window)>, MoneyError> {
    let own = new.period.as_ref().map(|period| period.window);
    let mut found = Vec::new();
    for (place, line) in lines.iter().enumerate().filter(|(_, line)| line.in_advance) {
        let Some(window) = line.period.or(own) else { continue };
        let net = line.tax.net_of(Money::from_minor(line.amount_minor, new.currency))?;
        if !net.is_zero() {
            found.push((place, net, window));
        }
    }
    Ok(found)
}

/// The amounts of an invoice, tax included.
fn sums(lines: &[InvoiceLine], seller: &BillingDetails, currency: Currency) -> Result<Sums, MoneyError> {
    let amounts: Vec<_> = lines.iter().map(|line| (Money::from_minor(line.amount_minor, currency), line.tax)).collect();
    let taxes = tax::groups(&amounts, seller.tax_rounding, currency)?;
    let net = Money::sum(taxes.iter().map(|group| group.net), currency)?;
    let tax = Money::sum(taxes.iter().map(|group| group.tax), currency)?;
    Ok(Sums { net, tax, total: net.checked_add(tax)?, taxes })
}

/// Writes invoices with their postings and the credit that they use, in their order.
pub(super) async fn write(change: &mut ChangeTransaction, frozen: Vec<Frozen<'_>>) -> Result<Vec<Invoice>, StoreError> {
    let now = change.now();
    let mut postings = Vec::with_capacity(frozen.len());
    for one in &frozen {
        postings.extend(one.posting(now)?);
    }
    post_all(change.connection(), &postings).await?;
    let wallets = wallets(change, &frozen).await?;
    let (mut invoices, mut rows) = (Vec::with_capacity(frozen.len()), Vec::with_capacity(frozen.len()));
    let mut deferrals = Vec::new();
    for one in frozen {
        let parties = (one.new.issuer, one.new.tenant);
        let mut credit_used = Money::zero(one.new.currency);
        if wallets.contains(&(parties.0, parties.1, one.new.currency)) {
            let used = use_credit(change.connection(), parties, one.sums.total, &one.id.to_string(), now).await?;
            credit_used = Money::sum(used.iter().map(|one| one.amount), one.new.currency)
                .map_err(|error| StoreError::refused(format!("credit: {error}")))?;
        }
        let (series, number, usage) = (one.series.clone(), one.number, &one.new.usage);
        deferrals.extend(one.deferrals());
        let invoice = one.invoice(credit_used, now);
        rows.push(row(&invoice, usage, series, number)?);
        invoices.push(invoice);
    }
    bulk::execute(
        change.connection(),
        "INSERT INTO invoices (id, number, issuer_id, series, series_number, tenant_id, kind, status, currency, \
         period_start, period_end, part, total, credit_used, open, finalized_at, due_at, content, usage, collective)",
        "",
        &rows,
    )
    .await?;
    collective::write_sections(change.connection(), &invoices).await?;
    let engine = change.engine();
    defer(change.connection(), engine, &deferrals, now).await?;
    let audited: Result<Vec<_>, StoreError> = invoices.iter().map(audited).collect();
    change.audit_all(audited?).await?;
    let events: Vec<_> = invoices.iter().flat_map(events).collect();
    emit(change.connection(), &events, now).await?;
    Ok(invoices)
}

/// Wallets that the buyers have, with any issuer.
async fn wallets(
    change: &mut ChangeTransaction,
    frozen: &[Frozen<'_>],
) -> Result<HashSet<(TenantId, TenantId, Currency)>, StoreError> {
    let of_tenants = bulk::in_list(change.engine(), 1);
    let statement = format!("SELECT issuer_id, tenant_id, currency FROM wallets WHERE tenant_id {of_tenants}");
    let rows = sqlx::query(AssertSqlSafe(statement))
        .bind(bulk::list(frozen.iter().map(|one| one.new.tenant)))
        .fetch_all(change.connection())
        .await?;
    rows.iter().map(|row| Ok((parsed(row, "issuer_id")?, parsed(row, "tenant_id")?, currency(row)?))).collect()
}

impl Frozen<'_> {
    /// The receivable, and the revenue, earned or deferred, and tax that it stands for. An invoice
    /// of nothing has no posting.
    fn posting(&self, now: Micros) -> Result<Option<Posting>, StoreError> {
        let minus = |money: Money| Money::from_minor(-money.minor(), money.currency());
        let Sums { net, tax, total, .. } = &self.sums;
        let later = self.deferred.iter().map(|(_, amount, _)| *amount);
        let later = Money::sum(later, self.new.currency).and_then(|later| Ok((later, net.checked_sub(later)?)));
        let (later, earned) = later.map_err(|error| StoreError::refused(format!("lines: {error}")))?;
        let entries = [
            (Account::Receivable, *total),
            (Account::Revenue, minus(earned)),
            (Account::DeferredRevenue, minus(later)),
            (Account::Tax, minus(*tax)),
        ];
        if entries.iter().all(|(_, amount)| amount.is_zero()) {
            return Ok(None);
        }
        let cause = Cause { kind: CauseKind::Invoice, id: self.id.to_string() };
        let parties = (self.new.issuer, self.new.tenant);
        let posting = Posting::new(parties, format!("invoice:{}", self.id), cause, now, &entries);
        posting.map(Some).map_err(|error| StoreError::refused(error.to_string()))
    }

    fn deferrals(&self) -> impl Iterator<Item = NewDeferral> {
        let (invoice, issuer, tenant) = (self.id, self.new.issuer, self.new.tenant);
        self.deferred.iter().map(move |(line, amount, window)| NewDeferral {
            invoice,
            line: *line,
            issuer,
            tenant,
            amount: *amount,
            window: *window,
        })
    }

    fn invoice(self, credit_used: Money, now: Micros) -> Invoice {
        let open = Money::from_minor(self.sums.total.minor() - credit_used.minor(), self.new.currency);
        Invoice {
            id: self.id,
            number: series::text(&self.series, self.number),
            issuer: self.new.issuer,
            tenant: self.new.tenant,
            kind: if self.new.period.is_some() { InvoiceKind::Period } else { InvoiceKind::OneOff },
            part: self.new.part,
            status: if open.minor() > 0 { InvoiceStatus::Finalized } else { InvoiceStatus::Paid },
            period: self.new.period.as_ref().map(|period| period.window),
            total: self.sums.total,
            credit_used,
            open,
            finalized_at: now,
            due_at: self.due_at,
            content: self.content,
        }
    }
}

fn row(invoice: &Invoice, usage: &[BilledUsage], series: String, number: i64) -> Result<[Value; 20], StoreError> {
    let json = |error: serde_json::Error| corrupt("invoice", error);
    let number_or_null = |number: Option<i64>| number.map_or(Value::Null, Value::Number);
    Ok([
        Value::Text(invoice.id.to_string()),
        Value::Text(invoice.number.clone()),
        Value::Text(invoice.issuer.to_string()),
        Value::Text(series),
        Value::Number(number),
        Value::Text(invoice.tenant.to_string()),
        Value::Text(invoice.kind.as_str().into()),
        Value::Text(invoice.status.as_str().into()),
        Value::Text(invoice.total.currency().code().into()),
        number_or_null(invoice.period.map(|period| period.start.0)),
        number_or_null(invoice.period.map(|period| period.end.0)),
        Value::Number(invoice.part.into()),
        Value::Number(invoice.total.minor()),
        Value::Number(invoice.credit_used.minor()),
        Value::Number(invoice.open.minor()),
        Value::Number(invoice.finalized_at.0),
        Value::Number(invoice.due_at.0),
        Value::Text(serde_json::to_string(&invoice.content).map_err(json)?),
        Value::Text(serde_json::to_string(usage).map_err(json)?),
        Value::Number(i64::from(!invoice.content.sections.is_empty())),
    ])
}

/// An invoice of which nothing is open is paid as soon as it is finalized.
fn events(invoice: &Invoice) -> impl Iterator<Item = NewEvent> {
    [Some(of_invoice(EventType::InvoiceFinalized, invoice)), of_status(invoice)].into_iter().flatten()
}

fn audited(invoice: &Invoice) -> Result<Audited<'static>, StoreError> {
    let (action, subject_kind) = (AuditAction::InvoiceFinalize, "invoice");
    let (subject, tenant) = (invoice.id.to_string(), Some(invoice.tenant));
    let summary = serde_json::json!({ "number": invoice.number, "total": invoice.total.to_string() });
    Ok(Audited { action, subject_kind, subject, tenant, before: None, after: state(&summary)? })
}

impl TaxLine {
    fn of(group: &TaxGroup) -> Self {
        Self { rule: group.rule, net_minor: group.net.minor(), tax_minor: group.tax.minor() }
    }
}
