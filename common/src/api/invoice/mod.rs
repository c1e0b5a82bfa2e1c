//! Invoices, their credit notes and payments. Amounts are in major units as text, and in minor
//! units as a number; times are RFC 3339 in UTC.

mod attempt;
mod credit_note;
mod dispute;
mod draft;
mod explanation;
mod one_off;
mod payment;
mod run;
mod simulation;

pub use attempt::{
    DunningStepDocument, NewInvoicePageBody, NewPaymentMethodBody, NewPaymentPageBody, NewProviderRefundBody,
    PaymentAttemptDocument, PaymentMethodDocument, PaymentPageDocument, ProviderRefundDocument,
};
pub use credit_note::{CreditNoteDocument, CreditedLineBody, CreditedLineDocument, NewCreditNoteBody};
pub use dispute::{DisputeDocument, PayoutDocument, PayoutItemDocument};
pub use draft::{DraftDocument, PreviewDocument};
pub use explanation::{BilledUsageDocument, ComparisonDocument, ExplanationDocument};
pub use one_off::{NewInvoiceBody, NewLineBody};
pub use payment::{NewPaymentBody, PaymentDocument, RefundBody};
pub use run::{DraftSummaryDocument, DraftsDocument, FailedBillDocument, IssuedDocument, NewRunBody, RunDocument};
pub use simulation::{NewSimulationBody, SimulatedBillDocument, SimulationDocument};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{instant::Instant, money::AmountDocument};
use crate::{
    id::{InvoiceId, TenantId},
    invoice::{
        Address, BilledPeriod, Counts, Invoice, InvoiceContent, InvoiceKind, InvoiceLine, InvoiceStatus, LineKind,
        Party, PinnedPlan, Section, TaxLine,
        tax::{TaxRule, Treatment},
    },
    money::{Currency, Money, MoneyError},
    plan::PlanId,
    time::Window,
};

/// A finalized invoice. All but its status and what is open of it never changes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Invoice)]
pub struct InvoiceDocument {
    /// Its id.
    #[schema(value_type = String, example = "inv_01jd0000000000000000000000")]
    pub id: InvoiceId,
    /// Its number in the books of the issuer.
    #[schema(example = "INV-000042")]
    pub number: String,
    /// Its kind.
    pub kind: InvoiceKind,
    /// Its status.
    pub status: InvoiceStatus,
    /// The side that sells.
    pub issuer: PartyDocument,
    /// The side that owes.
    pub buyer: PartyDocument,
    /// The currency of all amounts.
    #[schema(example = "USD")]
    pub currency: String,
    /// 0: it closes its period, or has none. From 1 on: it bills a part of the period before that, as
    /// fees in advance do.
    pub part: u32,
    /// The period that it bills; null for a one-off invoice.
    #[schema(required = true)]
    pub period: Option<PeriodDocument>,
    /// The plan that rates the period; null if no plan does.
    #[schema(required = true)]
    pub plan: Option<PinnedPlanDocument>,
    /// Counts for information.
    pub counts: CountsDocument,
    /// Its lines.
    pub lines: Vec<InvoiceLineDocument>,
    /// Sections of an invoice for several tenants, in the order of the lines; none of an invoice
    /// for one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<SectionDocument>,
    /// Tax by rule.
    pub taxes: Vec<TaxDocument>,
    /// Sum of the lines without tax.
    pub subtotal: AmountDocument,
    /// Sum of the tax.
    pub tax: AmountDocument,
    /// Sum of all.
    pub total: AmountDocument,
    /// Part of the total that credit of the tenant's wallet has paid.
    pub credit_used: AmountDocument,
    /// Part of the total that is neither paid nor credited; below zero, the issuer owes it.
    pub open: AmountDocument,
    /// Time at which it was finalized.
    pub finalized_at: Instant,
    /// Time by which it is to be paid.
    pub due_at: Instant,
    /// The text that the issuer added.
    #[schema(required = true)]
    pub memo: Option<String>,
    /// SHA-256 of what it was computed from; null for a one-off invoice.
    #[schema(required = true)]
    pub input_hash: Option<String>,
}

/// A side of an invoice, as it was when the invoice was finalized.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoiceParty)]
pub struct PartyDocument {
    /// The tenant.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// Its postal address.
    #[schema(required = true)]
    pub address: Option<Address>,
    /// The address that its mail goes to.
    #[schema(required = true)]
    pub email: Option<String>,
    /// Its number with the tax authority.
    #[schema(required = true)]
    pub tax_id: Option<String>,
}

/// A half-open range of time.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoicePeriod)]
pub struct PeriodDocument {
    /// The first instant inside.
    pub start: Instant,
    /// The first instant after.
    pub end: Instant,
    /// The time zone on whose clocks it begins and ends, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// The plan version that rates a period.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoicePlan)]
pub struct PinnedPlanDocument {
    /// The tenant that the plan belongs to.
    #[schema(value_type = String)]
    pub owner: TenantId,
    /// The plan.
    #[schema(value_type = String, example = "growth")]
    pub id: PlanId,
    /// Its name on invoices.
    pub name: String,
    /// The version.
    pub version: i64,
}

/// Counts of a period.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoiceCounts)]
pub struct CountsDocument {
    /// Requests that were forwarded and answered.
    pub requests: u64,
    /// Requests among them that are billed.
    pub billable_requests: u64,
    /// Units that are billed, over all meters.
    pub billable_units: u64,
    /// Requests under test keys.
    pub test_requests: u64,
    /// Requests that the gateway itself refused.
    pub refused_requests: u64,
}

/// A line of an invoice.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoiceLine)]
pub struct InvoiceLineDocument {
    /// The kind of charge.
    pub kind: LineKind,
    /// The text that people read.
    pub description: String,
    /// The meter whose units these are; null for fees and fixed parts.
    #[schema(required = true)]
    pub meter: Option<String>,
    /// Units; 1 for a fee.
    #[schema(value_type = i64)]
    pub quantity: i128,
    /// The price of `per` units; null if there is none.
    #[schema(required = true, example = "4.00")]
    pub unit_price: Option<String>,
    /// Units of the price.
    #[schema(required = true)]
    pub per: Option<u64>,
    /// The amount before it was rounded, as a decimal or fraction; null if it needed no rounding.
    #[schema(required = true)]
    pub exact: Option<String>,
    /// The amount.
    pub amount: AmountDocument,
    /// Treatment by tax.
    pub tax: TaxRuleDocument,
    /// The period that it bills, if that is not the invoice's own.
    #[schema(required = true)]
    pub period: Option<PeriodDocument>,
    /// The code of the coupon that takes it off.
    #[schema(required = true, example = "SPRING-26")]
    pub coupon: Option<String>,
}

/// A section of an invoice for several tenants: what one of them would have owed by itself.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoiceSection)]
pub struct SectionDocument {
    /// The tenant.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// The period that it bills.
    pub period: PeriodDocument,
    /// The part of the period, as that of an invoice.
    pub part: u32,
    /// The plan that rates the period; null if no plan does.
    #[schema(required = true)]
    pub plan: Option<PinnedPlanDocument>,
    /// Place of its first line, from 0.
    pub first_line: usize,
    /// Number of its lines.
    pub lines: usize,
    /// Sum of its lines.
    pub subtotal: AmountDocument,
}

/// A rule by which amounts are taxed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoiceTaxRule)]
pub struct TaxRuleDocument {
    /// Treatment of the amount.
    pub treatment: Treatment,
    /// Percent.
    #[schema(example = "19")]
    pub percent: String,
}

/// Tax on the lines of one rule.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoiceTax)]
pub struct TaxDocument {
    /// The rule.
    pub rule: TaxRuleDocument,
    /// The text that the rule asks for, as for a reverse charge.
    #[schema(required = true)]
    pub note: Option<String>,
    /// Sum of its lines without tax.
    pub net: AmountDocument,
    /// Tax on it.
    pub tax: AmountDocument,
}

/// The reason of a change.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Reason)]
pub struct ReasonBody {
    /// The reason, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    pub reason: String,
}

/// An amount of a body that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {source}")]
pub struct AmountError {
    field: String,
    source: MoneyError,
}

/// An amount that a body states in major units.
fn amount(field: &str, text: &str, currency: Currency) -> Result<Money, AmountError> {
    Money::parse(text, currency).map_err(|source| AmountError { field: field.to_owned(), source })
}

impl From<Invoice> for InvoiceDocument {
    fn from(invoice: Invoice) -> Self {
        let content = invoice.content;
        let currency = content.currency;
        let amount = |minor| AmountDocument::from(Money::from_minor(minor, currency));
        let sections = sections(&content);
        Self {
            id: invoice.id,
            number: invoice.number,
            kind: invoice.kind,
            status: invoice.status,
            issuer: content.issuer.into(),
            buyer: content.buyer.into(),
            currency: currency.code().into(),
            part: invoice.part,
            period: content.period.map(Into::into),
            plan: content.plan.map(Into::into),
            counts: content.counts.into(),
            lines: content.lines.into_iter().map(|line| InvoiceLineDocument::of(line, currency)).collect(),
            sections,
            taxes: content.taxes.into_iter().map(|tax| TaxDocument::of(&tax, currency)).collect(),
            subtotal: amount(content.subtotal_minor),
            tax: amount(content.tax_minor),
            total: invoice.total.into(),
            credit_used: invoice.credit_used.into(),
            open: invoice.open.into(),
            finalized_at: invoice.finalized_at.into(),
            due_at: invoice.due_at.into(),
            memo: content.memo,
            input_hash: content.input_hash,
        }
    }
}

fn sections(content: &InvoiceContent) -> Vec<SectionDocument> {
    let mut first_line = 0;
    let section = |section: &Section| {
        let document = SectionDocument {
            tenant: section.tenant,
            name: section.name.clone(),
            period: section.period.clone().into(),
            part: section.part,
            plan: section.plan.clone().map(Into::into),
            first_line,
            lines: section.lines,
            subtotal: Money::from_minor(section.subtotal_minor, content.currency).into(),
        };
        first_line += section.lines;
        document
    };
    content.sections.iter().map(section).collect()
}

impl From<BilledPeriod> for PeriodDocument {
    fn from(period: BilledPeriod) -> Self {
        Self { zone: Some(period.zone), ..Self::from(period.window) }
    }
}

impl From<PinnedPlan> for PinnedPlanDocument {
    fn from(PinnedPlan { owner, id, name, version }: PinnedPlan) -> Self {
        Self { owner, id, name, version }
    }
}

impl InvoiceLineDocument {
    /// The document of a line of an invoice in this currency.
    pub fn of(line: InvoiceLine, currency: Currency) -> Self {
        Self {
            kind: line.kind,
            description: line.description,
            meter: line.meter,
            quantity: line.quantity,
            unit_price: line.unit_price.map(|price| price.amount.to_string()),
            per: line.unit_price.map(|price| price.per),
            exact: line.exact,
            amount: Money::from_minor(line.amount_minor, currency).into(),
            tax: line.tax.into(),
            period: line.period.map(Into::into),
            coupon: line.coupon,
        }
    }
}

impl TaxDocument {
    fn of(tax: &TaxLine, currency: Currency) -> Self {
        Self {
            rule: tax.rule.into(),
            note: tax.rule.note().map(Into::into),
            net: Money::from_minor(tax.net_minor, currency).into(),
            tax: Money::from_minor(tax.tax_minor, currency).into(),
        }
    }
}

impl From<TaxRule> for TaxRuleDocument {
    fn from(TaxRule { treatment, percent }: TaxRule) -> Self {
        Self { treatment, percent: percent.to_string() }
    }
}

impl From<Party> for PartyDocument {
    fn from(Party { tenant, name, address, email, tax_id }: Party) -> Self {
        Self { tenant, name, address, email, tax_id }
    }
}

impl From<Window> for PeriodDocument {
    fn from(Window { start, end }: Window) -> Self {
        Self { start: start.into(), end: end.into(), zone: None }
    }
}

impl From<Counts> for CountsDocument {
    fn from(counts: Counts) -> Self {
        let Counts { requests, billable_requests, billable_units, test_requests, refused_requests } = counts;
        Self { requests, billable_requests, billable_units, test_requests, refused_requests }
    }
}
