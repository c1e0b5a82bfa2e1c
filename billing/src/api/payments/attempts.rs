//! `/v1/invoices/{invoice}/payment-attempts` and `/v1/invoices/{invoice}/dunning`.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::{
        invoice::{DunningStepDocument, PaymentAttemptDocument},
        page::ListDocument,
    },
    id::InvoiceId,
};

use super::{OWN_SECONDS, provider};
use crate::{
    access::Caller,
    api::{parameters::Named, services::Services},
    payment::advance,
    problem::Problem,
};

/// Collect an invoice now
///
/// The open amount is charged to the method that the tenant has saved. An attempt that has not ended is
/// taken on, so that a repeated request charges nobody twice. The answer is the attempt as far as it got.
#[utoipa::path(
    post,
    operation_id = "collect_invoice",
    path = "/v1/invoices/{invoice}/payment-attempts",
    tag = "payments",
    params(("invoice" = String, Path, description = "The invoice's id")),
    responses((status = 200, description = "The attempt", body = PaymentAttemptDocument)),
)]
pub(in crate::api) async fn collect(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(invoice): Named<InvoiceId>,
) -> Result<Json<PaymentAttemptDocument>, Problem> {
    let (store, now) = (caller.store(), services.clock.now());
    let provider = provider(&services, store.invoice(invoice).await?.issuer)?;
    let attempt = store.begin_payment(invoice, provider.name(), now.plus_seconds(OWN_SECONDS), now).await?;
    Ok(Json(advance(&services.store, provider.as_ref(), attempt, now).await?.into()))
}

/// List attempts to collect an invoice
///
/// Oldest first, all on one page.
#[utoipa::path(
    get,
    operation_id = "list_payment_attempts",
    path = "/v1/invoices/{invoice}/payment-attempts",
    tag = "payments",
    params(("invoice" = String, Path, description = "The invoice's id")),
    responses((status = 200, description = "The attempts", body = ListDocument<PaymentAttemptDocument>)),
)]
pub(in crate::api) async fn list(
    caller: Caller,
    Named(invoice): Named<InvoiceId>,
) -> Result<Json<ListDocument<PaymentAttemptDocument>>, Problem> {
    let attempts = caller.store().payment_attempts(invoice).await?;
    Ok(Json(ListDocument { items: attempts.into_iter().map(Into::into).collect(), next_cursor: None }))
}

/// List the steps of dunning that were taken against an invoice
///
/// In their order, all on one page.
#[utoipa::path(
    get,
    operation_id = "list_dunning_steps",
    path = "/v1/invoices/{invoice}/dunning",
    tag = "payments",
    params(("invoice" = String, Path, description = "The invoice's id")),
    responses((status = 200, description = "The steps", body = ListDocument<DunningStepDocument>)),
)]
pub(in crate::api) async fn dunning(
    caller: Caller,
    Named(invoice): Named<InvoiceId>,
) -> Result<Json<ListDocument<DunningStepDocument>>, Problem> {
    let steps = caller.store().dunning_steps(invoice).await?;
    Ok(Json(ListDocument { items: steps.into_iter().map(Into::into).collect(), next_cursor: None }))
}
