//! `GET /v1/invoices/{invoice}/explanation`: what the lines of an invoice were computed from.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::{
        invoice::{ComparisonDocument, ExplanationDocument},
        subscription::SubscriptionDocument,
    },
    id::InvoiceId,
    store::StoreError,
};

use crate::{
    access::Caller,
    api::{parameters::Named, services::Services},
    invoice::{Comparison, InvoiceError, explain},
    problem::Problem,
};

/// Explain an invoice
///
/// The plan versions that were in force, the usage that was frozen with it, and whether computing its
/// lines again gives the same ones: from that usage, and from all that is booked now.
#[utoipa::path(
    get,
    operation_id = "explain",
    path = "/v1/invoices/{invoice}/explanation",
    tag = "invoices",
    params(("invoice" = String, Path, description = "The invoice's id")),
    responses((status = 200, description = "The explanation", body = ExplanationDocument)),
)]
pub(in crate::api) async fn show(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<InvoiceId>,
) -> Result<Json<ExplanationDocument>, Problem> {
    caller.store().invoice(id).await?;
    // An invoice is computed from the whole tree above and below, whoever looks at it.
    let explained = explain(&services.store, id).await.map_err(|error| match error {
        InvoiceError::Store(error) => error.into(),
        error => Problem::from(StoreError::Conflict(error.to_string())),
    })?;
    let now = services.clock.now();
    let subscription = |one| SubscriptionDocument::of(one, now);
    Ok(Json(ExplanationDocument {
        invoice: explained.invoice.into(),
        subscriptions: explained.subscriptions.into_iter().map(subscription).collect(),
        usage: explained.usage.into_iter().map(Into::into).collect(),
        from_frozen_usage: document(explained.from_frozen_usage),
        from_booked_usage: document(explained.from_booked_usage),
    }))
}

const fn document(comparison: Comparison) -> ComparisonDocument {
    match comparison {
        Comparison::Same => ComparisonDocument::Same,
        Comparison::Differs => ComparisonDocument::Differs,
        Comparison::NotComputed => ComparisonDocument::NotComputed,
    }
}
