//! `/health` and `/metrics`: the state of this process.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use common::{
    api::problem::{ProblemCode, ProblemDocument},
    store::Store,
    telemetry::{Exposition, expose},
};
use prometheus::Registry;
use serde::Serialize;
use utoipa::ToSchema;

use super::paths::{HEALTH_PATH, METRICS_PATH};
use crate::{api::services::Services, problem::Problem};

/// Longest time that the store may take to answer before it counts as unavailable.
const PING_TIME_LIMIT: Duration = Duration::from_secs(2);

/// The process is healthy.
#[derive(Serialize, ToSchema)]
pub(super) struct HealthDocument {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Check health
#[utoipa::path(
    get,
    path = HEALTH_PATH,
    tag = "operations",
    responses(
        (status = 200, description = "The store answers", body = HealthDocument),
        (status = 503, description = "The store does not answer", body = ProblemDocument,
            content_type = "application/problem+json"),
    ),
)]
pub(super) async fn health(State(services): State<Arc<Services>>) -> Result<Json<HealthDocument>, Problem> {
    store_health(&services.store).await
}

/// The health of the store, by a ping.
pub(super) async fn store_health(store: &Store) -> Result<Json<HealthDocument>, Problem> {
    match tokio::time::timeout(PING_TIME_LIMIT, store.ping()).await {
        Ok(Ok(())) => return Ok(Json(HealthDocument { status: "ok" })),
        // Any client may ask, and the error of the driver is for operators.
        Ok(Err(error)) => tracing::debug!(event = "store_unhealthy", %error),
        Err(_) => tracing::debug!(event = "store_unhealthy", limit_ms = PING_TIME_LIMIT.as_millis()),
    }
    Err(Problem::new(ProblemCode::StoreUnavailable, "the store does not answer; the log of billing says why"))
}

/// Show metrics
#[utoipa::path(
    get,
    path = METRICS_PATH,
    tag = "operations",
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain")),
)]
pub(super) async fn metrics(State(services): State<Arc<Services>>, headers: HeaderMap) -> Result<Response, Problem> {
    metrics_text(&services.registry, &headers)
}

/// All metrics, in the text format that the request asks for.
pub(super) fn metrics_text(registry: &Registry, headers: &HeaderMap) -> Result<Response, Problem> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let Exposition { content_type, text } =
        expose(&registry.gather(), accept).map_err(|error| Problem::new(ProblemCode::Internal, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}
