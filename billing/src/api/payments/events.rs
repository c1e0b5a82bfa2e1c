//! `/v1/providers/stripe/{issuer}/events`: what Stripe tells.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State},
};
use common::{
    api::problem::{ProblemCode, ProblemDocument},
    id::TenantId,
    payment::NewProviderEvent,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    api::{body::read_up_to, services::Services},
    payment::{EventError, handle},
    problem::Problem,
};

/// Largest event that is taken. Stripe's are some kilobytes.
const EVENT_MAX_BYTES: usize = 1024 * 1024;

/// The members of an event by which it is kept.
#[derive(Deserialize)]
struct Head {
    id: String,
    #[serde(rename = "type")]
    kind: String,
}

/// The receipt of an event.
#[derive(Serialize, ToSchema)]
#[schema(as = EventReceipt)]
pub(in crate::api) struct ReceiptDocument {
    /// True if it was new.
    new: bool,
}

/// Take an event of Stripe
///
/// Stripe signs it. It is kept, and what follows from it is done: an event that comes again changes nothing.
/// Any answer but 200 makes Stripe send it again.
#[utoipa::path(
    post,
    operation_id = "take_stripe_event",
    path = "/v1/providers/stripe/{issuer}/events",
    tag = "payments",
    params(
        ("issuer" = String, Path, description = "The tenant whose account it is about"),
        ("Stripe-Signature" = String, Header, description = "Stripe's signature of the body"),
    ),
    request_body(content = Object, description = "The event as Stripe writes it", content_type = "application/json"),
    security(()),
    responses(
        (status = 200, description = "Taken", body = ReceiptDocument),
        (status = 400, description = "No event", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "The signature is missing, wrong or old", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The store or Stripe does not answer", body = ProblemDocument,
            content_type = "application/problem+json", headers(("Retry-After" = u32, description = "Seconds"))),
    ),
)]
pub(in crate::api) async fn take(
    State(services): State<Arc<Services>>,
    Path(issuer): Path<String>,
    request: Request,
) -> Result<Json<ReceiptDocument>, Problem> {
    let unauthorized = |detail: String| Problem::new(ProblemCode::Unauthorized, detail);
    let account = issuer.parse::<TenantId>().ok().and_then(|issuer| services.providers.of(issuer).cloned());
    let Some(account) = account else {
        // Whoever asks does not learn which tenants there are.
        return Err(unauthorized("no signature of the header Stripe-Signature is right for this body".into()));
    };
    let signature = request.headers().get("stripe-signature").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let signature = signature.ok_or_else(|| unauthorized("the header Stripe-Signature is missing".into()))?;
    let body = read_up_to(request.into_body(), EVENT_MAX_BYTES, "an event").await?;
    let now = services.clock.now();
    account.check_event(&signature, &body, now).map_err(|error| unauthorized(error.to_string()))?;
    let invalid = |error: &dyn std::fmt::Display| Problem::new(ProblemCode::BodyInvalid, error.to_string());
    let text = String::from_utf8(body.to_vec()).map_err(|error| invalid(&error))?;
    let Head { id, kind } = serde_json::from_str(&text).map_err(|error| invalid(&error))?;
    let event =
        NewProviderEvent { provider: account.name().to_owned(), issuer: account.issuer(), id, kind, body: text };
    let new = services.store.keep_provider_event(&event, now).await?;
    if new {
        handle(&services.store, account.as_ref(), &event, now).await.map_err(|error| match error {
            EventError::Store(error) => error.into(),
            EventError::Provider(error) => super::refused(&error),
        })?;
    }
    Ok(Json(ReceiptDocument { new }))
}
