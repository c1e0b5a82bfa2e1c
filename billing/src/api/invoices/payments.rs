//! `/v1/invoices/{invoice}/payments` and `/v1/payments/{payment}/refund`: payments that came in by a
//! way that Tollgate does not follow itself, such as a bank transfer.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::{
        invoice::{NewPaymentBody, PaymentDocument, RefundBody},
        page::ListDocument,
    },
    id::{InvoiceId, PaymentId},
};

use super::refuse;
use crate::{
    access::Caller,
    api::{body::Body, parameters::Named, services::Services},
    problem::Problem,
};

/// Record a payment of an invoice
///
/// The same method and reference of an issuer count once: a repeated request changes nothing.
#[utoipa::path(
    post,
    path = "/v1/invoices/{invoice}/payments",
    tag = "invoices",
    params(("invoice" = String, Path, description = "The invoice's id")),
    request_body = NewPaymentBody,
    responses((status = 200, description = "The payment", body = PaymentDocument)),
)]
pub(in crate::api) async fn record(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(invoice): Named<InvoiceId>,
    Body(body): Body<NewPaymentBody>,
) -> Result<Json<PaymentDocument>, Problem> {
    let (store, now) = (caller.store(), services.clock.now());
    let currency = store.invoice(invoice).await?.content.currency;
    let new = body.payment(invoice, currency, now).map_err(refuse)?;
    Ok(Json(store.record_payment(&new, now).await?.into()))
}

/// List the payments of an invoice, and their refunds
///
/// Oldest first, all on one page.
#[utoipa::path(
    get,
    operation_id = "list_payments",
    path = "/v1/invoices/{invoice}/payments",
    tag = "invoices",
    params(("invoice" = String, Path, description = "The invoice's id")),
    responses((status = 200, description = "The payments", body = ListDocument<PaymentDocument>)),
)]
pub(in crate::api) async fn list(
    caller: Caller,
    Named(invoice): Named<InvoiceId>,
) -> Result<Json<ListDocument<PaymentDocument>>, Problem> {
    let payments = caller.store().payments(invoice).await?;
    Ok(Json(ListDocument { items: payments.into_iter().map(Into::into).collect(), next_cursor: None }))
}

/// Record that a payment went back
///
/// At most what credit notes of the invoice have taken back of what was paid. The same reference
/// counts once.
#[utoipa::path(
    post,
    path = "/v1/payments/{payment}/refund",
    tag = "invoices",
    params(("payment" = String, Path, description = "The payment's id")),
    request_body = RefundBody,
    responses((status = 200, description = "The refund", body = PaymentDocument)),
)]
pub(in crate::api) async fn refund(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(payment): Named<PaymentId>,
    Body(body): Body<RefundBody>,
) -> Result<Json<PaymentDocument>, Problem> {
    let store = caller.store();
    let currency = store.payment(payment).await?.amount.currency();
    let amount = body.amount(currency).map_err(refuse)?;
    Ok(Json(store.refund_payment(payment, amount, &body.reference, services.clock.now()).await?.into()))
}
