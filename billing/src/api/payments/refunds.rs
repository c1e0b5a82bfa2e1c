//! `/v1/payments/{payment}/provider-refunds`: payments that go back by their provider.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::{
        invoice::{NewProviderRefundBody, ProviderRefundDocument},
        page::ListDocument,
        problem::ProblemCode,
    },
    id::PaymentId,
};

use super::{OWN_SECONDS, provider};
use crate::{
    access::Caller,
    api::{body::Body, parameters::Named, services::Services},
    payment::advance_refund,
    problem::Problem,
};

/// Give a payment back by its provider
///
/// At most what credit notes of the invoice have taken back of what was paid. The refund is recorded once
/// the provider says that it has succeeded; the answer is the refund as far as it got.
#[utoipa::path(
    post,
    operation_id = "refund_by_provider",
    path = "/v1/payments/{payment}/provider-refunds",
    tag = "payments",
    params(("payment" = String, Path, description = "The payment's id")),
    request_body = NewProviderRefundBody,
    responses((status = 200, description = "The refund", body = ProviderRefundDocument)),
)]
pub(in crate::api) async fn begin(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(payment): Named<PaymentId>,
    Body(body): Body<NewProviderRefundBody>,
) -> Result<Json<ProviderRefundDocument>, Problem> {
    let (store, now) = (caller.store(), services.clock.now());
    let paid = store.payment(payment).await?;
    let provider = provider(&services, paid.issuer)?;
    if paid.method != provider.name() {
        let detail = format!("{payment} came by {}: record there what went back", paid.method);
        return Err(Problem::new(ProblemCode::Conflict, detail));
    }
    let amount = body.amount(paid.amount.currency());
    let amount = amount.map_err(|error| Problem::new(ProblemCode::Refused, error.to_string()))?;
    let attempt = store.begin_refund(payment, amount, now.plus_seconds(OWN_SECONDS), now).await?;
    Ok(Json(advance_refund(&services.store, provider.as_ref(), attempt, now).await?.into()))
}

/// List refunds of a payment by its provider
///
/// Oldest first, all on one page.
#[utoipa::path(
    get,
    operation_id = "list_refunds",
    path = "/v1/payments/{payment}/provider-refunds",
    tag = "payments",
    params(("payment" = String, Path, description = "The payment's id")),
    responses((status = 200, description = "The refunds", body = ListDocument<ProviderRefundDocument>)),
)]
pub(in crate::api) async fn list(
    caller: Caller,
    Named(payment): Named<PaymentId>,
) -> Result<Json<ListDocument<ProviderRefundDocument>>, Problem> {
    let refunds = caller.store().refund_attempts(payment).await?;
    Ok(Json(ListDocument { items: refunds.into_iter().map(Into::into).collect(), next_cursor: None }))
}
