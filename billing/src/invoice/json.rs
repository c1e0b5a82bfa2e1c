//! Drafts as JSON, for programs: field names and order are fixed, others build on them.

use common::{id::TenantId, plan::PlanId, time::Period};
use serde::Serialize;

use super::{Drafts, Invoice, UnbilledUsage};
use crate::rating::{Line, LineKind, price_digits};

#[derive(Serialize)]
struct DraftsJson<'a> {
    period: Period,
    dry_run: bool,
    invoices: Vec<InvoiceJson<'a>>,
    unknown_tenants: Vec<UnknownTenantJson>,
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
    quantity: u64,
    unit_price: Option<String>,
    per: Option<u64>,
    amount: String,
    amount_minor: i64,
}

#[derive(Serialize)]
struct UnknownTenantJson {
    tenant: TenantId,
    units: u64,
}

/// The drafts as one JSON document.
pub fn to_json(drafts: &Drafts) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&DraftsJson {
        period: drafts.period,
        dry_run: true,
        invoices: drafts.invoices.iter().map(InvoiceJson::from).collect(),
        unknown_tenants: drafts.unknown_tenants.iter().map(UnknownTenantJson::from).collect(),
    })
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

impl From<&UnbilledUsage> for UnknownTenantJson {
    fn from(usage: &UnbilledUsage) -> Self {
        Self { tenant: usage.tenant, units: usage.units }
    }
}
