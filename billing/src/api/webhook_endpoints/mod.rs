//! Webhook endpoints of a tenant: made, listed, changed, deleted.

pub(super) mod deliveries;

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use common::{
    api::{
        page::WholeListDocument,
        problem::ProblemCode,
        webhook::{EndpointDocument, EndpointSecretDocument, EndpointUpdateBody, NewEndpointBody},
    },
    id::{TenantId, WebhookEndpointId},
    webhook::{EndpointUrl, WebhookEndpoint, WebhookSecret},
};

use super::{
    body::Body,
    idempotency::{self, Created, Creation},
    parameters::{Named, NamedPair},
    secret::NO_STORE,
    services::Services,
};
use crate::{access::Caller, problem::Problem};

/// List a tenant's webhook endpoints
///
/// Oldest first.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/webhook-endpoints",
    tag = "webhooks",
    params(("tenant" = String, Path, description = "The tenant's id")),
    responses((status = 200, description = "All endpoints", body = WholeListDocument<EndpointDocument>)),
)]
pub(super) async fn list(
    caller: Caller,
    Named(tenant): Named<TenantId>,
) -> Result<Json<WholeListDocument<EndpointDocument>>, Problem> {
    Ok(Json(WholeListDocument::of(caller.store().webhook_endpoints(tenant).await?)))
}

/// Make a webhook endpoint
///
/// Events of the tenant are posted to its URL from now on, signed by the Standard Webhooks specification. A
/// tenant has at most 20.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/webhook-endpoints",
    tag = "webhooks",
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the creation happen once"),
    ),
    request_body = NewEndpointBody,
    responses(
        (status = 201, description = "Made; the secret is shown this once", body = EndpointSecretDocument,
            headers(("Location" = String, description = "Its path"))),
        (status = 200, description = "Made before, under the same idempotency key; without the secret",
            body = EndpointSecretDocument, headers(("Idempotency-Replayed" = bool, description = "`true`"))),
    ),
)]
pub(super) async fn create(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    creation: Creation<NewEndpointBody>,
) -> Result<Response, Problem> {
    let new = creation.body.endpoint(tenant, services.pepper.id()).map_err(invalid)?;
    check_reach(&services, &new.url)?;
    let store = caller.creating(creation.idempotency);
    match Created::of(store.create_webhook_endpoint(&new, services.clock.now()).await)? {
        Created::Now(endpoint) => {
            let location = format!("/v1/tenants/{tenant}/webhook-endpoints/{}", endpoint.id);
            Ok((NO_STORE, idempotency::created(&location, with_secret(&services, endpoint))).into_response())
        }
        Created::Before(subject) => {
            let endpoint = store.webhook_endpoint(tenant, idempotency::subject(&subject)?).await?;
            let document = EndpointSecretDocument { endpoint: endpoint.into(), secret: None };
            Ok((NO_STORE, idempotency::replayed(document)).into_response())
        }
    }
}

/// Show a webhook endpoint
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/webhook-endpoints/{endpoint}",
    tag = "webhooks",
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("endpoint" = String, Path, description = "The endpoint's id"),
    ),
    responses((status = 200, description = "The endpoint", body = EndpointDocument)),
)]
pub(super) async fn show(
    caller: Caller,
    NamedPair(tenant, endpoint): NamedPair<TenantId, WebhookEndpointId>,
) -> Result<Json<EndpointDocument>, Problem> {
    Ok(Json(caller.store().webhook_endpoint(tenant, endpoint).await?.into()))
}

/// Change, disable or enable a webhook endpoint
///
/// Nothing is sent to one that is disabled: messages to it are given up, and can be replayed.
#[utoipa::path(
    patch,
    path = "/v1/tenants/{tenant}/webhook-endpoints/{endpoint}",
    tag = "webhooks",
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("endpoint" = String, Path, description = "The endpoint's id"),
    ),
    request_body = EndpointUpdateBody,
    responses((status = 200, description = "The endpoint", body = EndpointDocument)),
)]
pub(super) async fn update(
    State(services): State<Arc<Services>>,
    caller: Caller,
    NamedPair(tenant, endpoint): NamedPair<TenantId, WebhookEndpointId>,
    Body(body): Body<EndpointUpdateBody>,
) -> Result<Json<EndpointDocument>, Problem> {
    let update = body.update().map_err(invalid)?;
    if let Some(url) = &update.url {
        check_reach(&services, url)?;
    }
    let now = services.clock.now();
    Ok(Json(caller.store().update_webhook_endpoint(tenant, endpoint, &update, now).await?.into()))
}

/// Delete a webhook endpoint
///
/// Messages that wait for it are given up.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/webhook-endpoints/{endpoint}",
    tag = "webhooks",
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("endpoint" = String, Path, description = "The endpoint's id"),
    ),
    responses((status = 204, description = "Deleted")),
)]
pub(super) async fn delete(
    State(services): State<Arc<Services>>,
    caller: Caller,
    NamedPair(tenant, endpoint): NamedPair<TenantId, WebhookEndpointId>,
) -> Result<StatusCode, Problem> {
    caller.store().delete_webhook_endpoint(tenant, endpoint, services.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The endpoint with its current secret.
fn with_secret(services: &Services, endpoint: WebhookEndpoint) -> EndpointSecretDocument {
    let secret = WebhookSecret::of(&services.pepper, endpoint.id, endpoint.secret).expose();
    EndpointSecretDocument { endpoint: endpoint.into(), secret: Some(secret) }
}

/// Refuses a URL that nothing will be sent to.
fn check_reach(services: &Services, url: &EndpointUrl) -> Result<(), Problem> {
    services.reach.check(url.as_str()).map(drop).map_err(|error| invalid(format!("url: {error}")))
}

fn invalid(reason: String) -> Problem {
    Problem::new(ProblemCode::BodyInvalid, reason)
}
