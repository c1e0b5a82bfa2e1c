//! Drafts of invoices, and previews of a change of plan.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CountsDocument, InvoiceLineDocument, PeriodDocument, PinnedPlanDocument};
use crate::{api::money::AmountDocument, id::TenantId};

/// An invoice as it would be if its period ended now. Nothing of it is final; tax is not part of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoiceDraft)]
pub struct DraftDocument {
    /// The tenant that sells.
    #[schema(value_type = String)]
    pub issuer: TenantId,
    /// The tenant that owes.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// The plan that rates the period.
    pub plan: PinnedPlanDocument,
    /// The currency of all amounts.
    #[schema(example = "USD")]
    pub currency: String,
    /// The period.
    pub period: PeriodDocument,
    /// Counts for information.
    pub counts: CountsDocument,
    /// Its lines.
    pub lines: Vec<InvoiceLineDocument>,
    /// Sum of the lines, without tax.
    pub subtotal: AmountDocument,
}

/// The bill of the current period, and the same after a change of plan.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoicePreview)]
pub struct PreviewDocument {
    /// Drafts of the period as things are, one for each issuer.
    pub current: Vec<DraftDocument>,
    /// The same if the plan were changed; null if no plan was named.
    #[schema(required = true)]
    pub changed: Option<Vec<DraftDocument>>,
    /// The amount that the change adds to the period, without tax; null if no plan was named, or if the bills
    /// are not of one currency.
    #[schema(required = true)]
    pub difference: Option<AmountDocument>,
}
