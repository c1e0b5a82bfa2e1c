//! Secrets of a webhook endpoint, and messages to it that are sent again.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use common::{
    api::webhook::{EndpointReplayBody, EndpointReplayedDocument, EndpointRotationBody, EndpointSecretDocument},
    id::{TenantId, WebhookEndpointId},
};

use super::with_secret;
use crate::{
    access::Caller,
    api::{body::Body, parameters::NamedPair, secret::NO_STORE, services::Services},
    problem::Problem,
};

/// Give a webhook endpoint another secret
///
/// Until the end of the grace, messages are signed under both.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/webhook-endpoints/{endpoint}/rotate",
    tag = "webhooks",
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("endpoint" = String, Path, description = "The endpoint's id"),
    ),
    request_body = EndpointRotationBody,
    responses((status = 200, description = "The endpoint; the secret is shown this once", body = EndpointSecretDocument)),
)]
pub(crate) async fn rotate(
    State(services): State<Arc<Services>>,
    caller: Caller,
    NamedPair(tenant, endpoint): NamedPair<TenantId, WebhookEndpointId>,
    Body(EndpointRotationBody { grace_seconds }): Body<EndpointRotationBody>,
) -> Result<Response, Problem> {
    let (store, now) = (caller.store(), services.clock.now());
    let rotated = store.rotate_webhook_secret(tenant, endpoint, grace_seconds, services.pepper.id(), now).await?;
    Ok((NO_STORE, Json(with_secret(&services, rotated))).into_response())
}

/// Send messages to a webhook endpoint again
///
/// In their order, with the ids that they had.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/webhook-endpoints/{endpoint}/replay",
    tag = "webhooks",
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("endpoint" = String, Path, description = "The endpoint's id"),
    ),
    request_body = EndpointReplayBody,
    responses((status = 200, description = "How many are sent again", body = EndpointReplayedDocument)),
)]
pub(crate) async fn replay(
    State(services): State<Arc<Services>>,
    caller: Caller,
    NamedPair(tenant, endpoint): NamedPair<TenantId, WebhookEndpointId>,
    Body(EndpointReplayBody { since, delivered }): Body<EndpointReplayBody>,
) -> Result<Json<EndpointReplayedDocument>, Problem> {
    let (store, now) = (caller.store(), services.clock.now());
    let messages = store.replay_webhook_endpoint(tenant, endpoint, (since.into(), delivered), now).await?;
    Ok(Json(EndpointReplayedDocument { messages }))
}
