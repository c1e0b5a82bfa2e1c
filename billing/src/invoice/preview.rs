//! Previews: the bill of a tenant's current period as it stands, and as it would be after a change of
//! plan.

use common::{id::TenantId, plan::subscription::Subscription, store::Store, time::Micros};

use super::{
    Invoice, InvoiceError, PeriodChoice,
    draft::{Supposed, draft_as_if},
};

/// Drafts of the period that holds `at`, one for each issuer; as if `change` were made, if there is
/// one.
pub async fn preview(
    store: &Store,
    tenant: TenantId,
    at: Micros,
    change: Option<Subscription>,
) -> Result<Vec<Invoice>, InvoiceError> {
    let supposed = Supposed { subscription: change, ..Supposed::default() };
    let mut drafts = draft_as_if(store, PeriodChoice::Holding(at), Some(tenant), supposed).await?;
    match drafts.failed.pop() {
        Some(failed) => Err(InvoiceError::NotDrafted(failed.reason)),
        None => Ok(drafts.invoices),
    }
}
