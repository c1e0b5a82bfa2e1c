//! `/v1/invoices/{invoice}/void` and `/write-off`: ends of invoices that nobody pays.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::invoice::{InvoiceDocument, ReasonBody},
    id::InvoiceId,
};

use crate::{
    access::Caller,
    api::{body::Body, parameters::Named, services::Services},
    problem::Problem,
};

/// Void an invoice
///
/// It counts as never issued: the next run of its period issues it anew. Its number stays. An
/// invoice of which something is paid or credited is corrected by a credit note instead. A second
/// time changes nothing.
#[utoipa::path(
    post,
    path = "/v1/invoices/{invoice}/void",
    tag = "invoices",
    params(("invoice" = String, Path, description = "Its id")),
    request_body = ReasonBody,
    responses((status = 200, description = "The void invoice", body = InvoiceDocument)),
)]
pub(in crate::api) async fn void(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<InvoiceId>,
    Body(ReasonBody { reason }): Body<ReasonBody>,
) -> Result<Json<InvoiceDocument>, Problem> {
    Ok(Json(caller.store().void_invoice(id, &reason, services.clock.now()).await?.into()))
}

/// Give up an invoice
///
/// Writes off the part of it that is open. A second time changes nothing.
#[utoipa::path(
    post,
    path = "/v1/invoices/{invoice}/write-off",
    tag = "invoices",
    params(("invoice" = String, Path, description = "Its id")),
    request_body = ReasonBody,
    responses((status = 200, description = "The uncollectible invoice", body = InvoiceDocument)),
)]
pub(in crate::api) async fn write_off(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<InvoiceId>,
    Body(ReasonBody { reason }): Body<ReasonBody>,
) -> Result<Json<InvoiceDocument>, Problem> {
    Ok(Json(caller.store().write_off_invoice(id, &reason, services.clock.now()).await?.into()))
}
