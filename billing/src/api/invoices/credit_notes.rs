//! `/v1/invoices/{invoice}/credit-notes`.

use std::sync::Arc;

use axum::{Json, extract::State, response::Response};
use common::{
    api::{
        invoice::{CreditNoteDocument, NewCreditNoteBody},
        page::ListDocument,
        problem::ProblemCode,
    },
    id::{CreditNoteId, InvoiceId},
};

use super::refuse;
use crate::{
    access::Caller,
    api::{
        idempotency::{self, Created, Creation},
        parameters::Named,
        services::Services,
    },
    problem::Problem,
};

/// Issue a credit note
///
/// It takes back lines of the invoice, or parts of them, with their tax; never more than is left of
/// a line and of a tax rule. What was paid already is owed to the buyer then.
#[utoipa::path(
    post,
    operation_id = "issue_credit_note",
    path = "/v1/invoices/{invoice}/credit-notes",
    tag = "invoices",
    request_body = NewCreditNoteBody,
    params(
        ("invoice" = String, Path, description = "The invoice's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the creation happen once"),
    ),
    responses(
        (status = 201, description = "Issued", body = CreditNoteDocument,
            headers(("Location" = String, description = "The path of the invoice's credit notes"))),
        (status = 200, description = "Issued before, under the same idempotency key", body = CreditNoteDocument,
            headers(("Idempotency-Replayed" = bool, description = "`true`"))),
    ),
)]
pub(in crate::api) async fn issue(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(invoice): Named<InvoiceId>,
    creation: Creation<NewCreditNoteBody>,
) -> Result<Response, Problem> {
    let store = caller.creating(creation.idempotency);
    let currency = store.invoice(invoice).await?.content.currency;
    let new = creation.body.credit_note(currency).map_err(refuse)?;
    match Created::of(store.issue_credit_note(invoice, &new, services.clock.now()).await)? {
        Created::Now(note) => {
            let location = format!("/v1/invoices/{invoice}/credit-notes");
            Ok(idempotency::created(&location, CreditNoteDocument::from(note)))
        }
        Created::Before(subject) => {
            let id: CreditNoteId = idempotency::subject(&subject)?;
            let note = store.credit_notes(invoice).await?.into_iter().find(|note| note.id == id);
            let note = note.ok_or_else(|| Problem::new(ProblemCode::NotFound, format!("no credit note {id}")))?;
            Ok(idempotency::replayed(CreditNoteDocument::from(note)))
        }
    }
}

/// List the credit notes of an invoice
///
/// Oldest first, all on one page.
#[utoipa::path(
    get,
    operation_id = "list_credit_notes",
    path = "/v1/invoices/{invoice}/credit-notes",
    tag = "invoices",
    params(("invoice" = String, Path, description = "The invoice's id")),
    responses((status = 200, description = "The credit notes", body = ListDocument<CreditNoteDocument>)),
)]
pub(in crate::api) async fn list(
    caller: Caller,
    Named(invoice): Named<InvoiceId>,
) -> Result<Json<ListDocument<CreditNoteDocument>>, Problem> {
    let notes = caller.store().credit_notes(invoice).await?;
    Ok(Json(ListDocument { items: notes.into_iter().map(Into::into).collect(), next_cursor: None }))
}
