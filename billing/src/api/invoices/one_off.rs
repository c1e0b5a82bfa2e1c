//! `POST /v1/invoices`: invoices of lines that somebody writes.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use common::{
    api::{
        invoice::{InvoiceDocument, NewInvoiceBody},
        problem::ProblemCode,
    },
    invoice::Finalized,
};

use super::refuse;
use crate::{
    access::Unplaced,
    api::{
        idempotency::{self, Created, Creation},
        services::Services,
    },
    problem::Problem,
};

/// Most lines of a one-off invoice.
const LINES_MAX: usize = 100;

/// Issue a one-off invoice
///
/// It is finalized at once: tax is added by the tenant's billing details, and it has the next number
/// of the issuer.
#[utoipa::path(
    post,
    path = "/v1/invoices",
    tag = "invoices",
    request_body = NewInvoiceBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the creation happen once")),
    responses(
        (status = 201, description = "Issued", body = InvoiceDocument,
            headers(("Location" = String, description = "Its path"))),
        (status = 200, description = "Issued before, under the same idempotency key", body = InvoiceDocument,
            headers(("Idempotency-Replayed" = bool, description = "`true`"))),
    ),
)]
pub(in crate::api) async fn issue(
    State(services): State<Arc<Services>>,
    unplaced: Unplaced,
    creation: Creation<NewInvoiceBody>,
) -> Result<Response, Problem> {
    let body = creation.body;
    let issuer = body.issuer.or(unplaced.tenant());
    let Some(issuer) = issuer else {
        return Err(Problem::new(ProblemCode::BodyInvalid, "issuer: name the tenant that sells"));
    };
    let caller = unplaced.at(Some(issuer)).await?;
    if body.lines.is_empty() || body.lines.len() > LINES_MAX {
        return Err(Problem::new(ProblemCode::BodyInvalid, format!("lines: write 1 to {LINES_MAX}")));
    }
    let new = body.invoice(issuer).map_err(refuse)?;
    let store = caller.creating(creation.idempotency);
    let done = store.finalize_invoice(&new, services.clock.now()).await;
    let done = done.map(|(Finalized::New(invoice) | Finalized::Before(invoice))| *invoice);
    match Created::of(done)? {
        Created::Now(invoice) => {
            let location = format!("/v1/invoices/{}", invoice.id);
            Ok(idempotency::created(&location, InvoiceDocument::from(invoice)))
        }
        Created::Before(subject) => {
            let invoice = store.invoice(idempotency::subject(&subject)?).await?;
            Ok(idempotency::replayed(InvoiceDocument::from(invoice)))
        }
    }
}
