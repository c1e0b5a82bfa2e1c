//! Drafts and runs as JSON, for programs: field names and order are fixed, others build on them.

use common::{
    id::{InvoiceId, TenantId},
    plan::PlanId,
    time::Period,
};
use serde::Serialize;

use super::{Drafts, FailedDraft, Invoice, IssuedInvoice, Run, UnbilledUsage};
use crate::rating::{Line, LineKind, price_digits};

#[derive(Serialize)]
struct DraftsJson<'a> {
    period: Period,
    dry_run: bool,
    invoices: Vec<InvoiceJson<'a>>,
    unknown_tenants: Vec<UnbilledJson>,
    /// Only if there are any, as with those that failed: a run without either reads as ever.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unsubscribed_tenants: Vec<UnbilledJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<FailedJson<'a>>,
}

#[derive(Serialize)]
struct InvoiceJson<'a> {
    tenant: TenantId,
    name: &'a str,
    plan: &'a PlanId,
    plan_version: i64,
    currency: &'static str,
    period_start: String,
    period_end: String,
    requests: u64,
    billable_requests: u64,
    billable_units: u64,
    test_requests: u64,
    refused_requests: u64,
    lines: Vec<LineJson<'a>>,
    total: String,
    total_minor: i64,
}

#[derive(Serialize)]
struct LineJson<'a> {
    kind: LineKind,
    description: &'a str,
    meter: Option<&'a str>,
    quantity: i128,
    unit_price: Option<String>,
    per: Option<u64>,
    amount: String,
    amount_minor: i64,
}

#[derive(Serialize)]
struct UnbilledJson {
    tenant: TenantId,
    units: u64,
}

#[derive(Serialize)]
struct FailedJson<'a> {
    tenant: TenantId,
    name: &'a str,
    reason: &'a str,
}

/// The drafts as one JSON document.
pub fn to_json(drafts: &Drafts) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&DraftsJson {
        period: drafts.period,
        dry_run: true,
        invoices: drafts.invoices.iter().map(InvoiceJson::from).collect(),
        unknown_tenants: drafts.unknown_tenants.iter().map(UnbilledJson::from).collect(),
        unsubscribed_tenants: drafts.unsubscribed_tenants.iter().map(UnbilledJson::from).collect(),
        failed: drafts.failed.iter().map(FailedJson::from).collect(),
    })
}

#[derive(Serialize)]
struct RunJson<'a> {
    period: Period,
    dry_run: bool,
    issued: Vec<IssuedJson<'a>>,
    before: Vec<IssuedJson<'a>>,
    not_due: Vec<NotDueJson<'a>>,
    failed: Vec<FailedJson<'a>>,
    unknown_tenants: Vec<UnbilledJson>,
    unsubscribed_tenants: Vec<UnbilledJson>,
}

#[derive(Serialize)]
struct IssuedJson<'a> {
    id: InvoiceId,
    number: &'a str,
    issuer: TenantId,
    tenant: TenantId,
    currency: &'static str,
    subtotal_minor: i64,
    tax_minor: i64,
    total: String,
    total_minor: i64,
}

#[derive(Serialize)]
struct NotDueJson<'a> {
    tenant: TenantId,
    name: &'a str,
    due_at: String,
}

/// The outcome of a run as one JSON document.
pub fn run_to_json(run: &Run) -> Result<String, serde_json::Error> {
    let not_due = run.not_due.iter().map(|one| NotDueJson {
        tenant: one.tenant,
        name: &one.tenant_name,
        due_at: one.due_at.to_string(),
    });
    serde_json::to_string_pretty(&RunJson {
        period: run.period,
        dry_run: false,
        issued: run.issued.iter().map(IssuedJson::from).collect(),
        before: run.before.iter().map(IssuedJson::from).collect(),
        not_due: not_due.collect(),
        failed: run.failed.iter().map(FailedJson::from).collect(),
        unknown_tenants: run.unknown_tenants.iter().map(UnbilledJson::from).collect(),
        unsubscribed_tenants: run.unsubscribed_tenants.iter().map(UnbilledJson::from).collect(),
    })
}

impl<'a> From<&'a IssuedInvoice> for IssuedJson<'a> {
    fn from(invoice: &'a IssuedInvoice) -> Self {
        Self {
            id: invoice.id,
            number: &invoice.number,
            issuer: invoice.issuer,
            tenant: invoice.tenant,
            currency: invoice.total.currency().code(),
            subtotal_minor: invoice.subtotal.minor(),
            tax_minor: invoice.tax.minor(),
            total: invoice.total.digits(),
            total_minor: invoice.total.minor(),
        }
    }
}

impl<'a> From<&'a Invoice> for InvoiceJson<'a> {
    fn from(invoice: &'a Invoice) -> Self {
        Self {
            tenant: invoice.tenant,
            name: &invoice.tenant_name,
            plan: &invoice.plan,
            plan_version: invoice.plan_version,
            currency: invoice.currency.code(),
            period_start: invoice.window.start.to_string(),
            period_end: invoice.window.end.to_string(),
            requests: invoice.counts.requests,
            billable_requests: invoice.counts.billable_requests,
            billable_units: invoice.counts.billable_units,
            test_requests: invoice.counts.test_requests,
            refused_requests: invoice.counts.refused_requests,
            lines: invoice.lines.iter().map(LineJson::from).collect(),
            total: invoice.total.digits(),
            total_minor: invoice.total.minor(),
        }
    }
}

impl<'a> From<&'a Line> for LineJson<'a> {
    fn from(line: &'a Line) -> Self {
        let currency = line.amount.currency();
        Self {
            kind: line.kind,
            description: &line.description,
            meter: line.meter.as_deref(),
            quantity: line.quantity,
            unit_price: line.unit_price.as_ref().map(|price| price_digits(price, currency)),
            per: line.unit_price.map(|price| price.per),
            amount: line.amount.digits(),
            amount_minor: line.amount.minor(),
        }
    }
}

impl<'a> From<&'a FailedDraft> for FailedJson<'a> {
    fn from(failed: &'a FailedDraft) -> Self {
        Self { tenant: failed.tenant, name: &failed.tenant_name, reason: &failed.reason }
    }
}

impl From<&UnbilledUsage> for UnbilledJson {
    fn from(usage: &UnbilledUsage) -> Self {
        Self { tenant: usage.tenant, units: usage.units }
    }
}
