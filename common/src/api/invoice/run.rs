//! Runs that issue invoices, and the drafts of a period.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::PeriodDocument;
use crate::{
    api::{instant::Instant, money::AmountDocument},
    id::{InvoiceId, TenantId},
    plan::PlanId,
};

/// What the invoices of the current periods would be if the periods ended now.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoiceDrafts)]
pub struct DraftsDocument {
    /// Time at which they were drafted.
    pub as_of: Instant,
    /// A draft for each payer and issuer.
    pub drafts: Vec<DraftSummaryDocument>,
    /// Tenants that could not be drafted.
    pub failed: Vec<FailedBillDocument>,
}

/// A draft, without its lines: the preview of the tenant's bill has them.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoiceDraftSummary)]
pub struct DraftSummaryDocument {
    /// The tenant that sells.
    #[schema(value_type = String)]
    pub issuer: TenantId,
    /// The tenant that owes.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// Its name.
    pub tenant_name: String,
    /// The plan.
    #[schema(value_type = String, example = "growth")]
    pub plan: PlanId,
    /// The period.
    pub period: PeriodDocument,
    /// The currency.
    #[schema(example = "USD")]
    pub currency: String,
    /// Sum of the lines, without tax.
    pub subtotal: AmountDocument,
}

/// A tenant that could not be billed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = FailedBill)]
pub struct FailedBillDocument {
    /// The tenant.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// Its name.
    pub tenant_name: String,
    /// The reason.
    pub reason: String,
}

/// A run that issues what is due.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewInvoiceRun)]
pub struct NewRunBody {
    /// Only bills of this tenant; all unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub tenant: Option<TenantId>,
}

/// The result of a run.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoiceRun)]
pub struct RunDocument {
    /// Invoices that it issued.
    pub issued: Vec<IssuedDocument>,
    /// Bills whose period has not ended for long enough.
    pub not_due: u64,
    /// Tenants that could not be billed.
    pub failed: Vec<FailedBillDocument>,
}

/// An invoice that a run issued.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = IssuedInvoice)]
pub struct IssuedDocument {
    /// Its id.
    #[schema(value_type = String)]
    pub id: InvoiceId,
    /// Its number in the books of the issuer.
    #[schema(example = "INV-000042")]
    pub number: String,
    /// The tenant that owes.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// Its name.
    pub tenant_name: String,
    /// The currency.
    #[schema(example = "USD")]
    pub currency: String,
    /// Everything that is owed, tax included.
    pub total: AmountDocument,
}
