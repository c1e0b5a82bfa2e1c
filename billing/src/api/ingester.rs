//! The HTTP interface of `billing ingest`: health and metrics.

use std::sync::Arc;

use axum::{Json, Router, extract::State, http::HeaderMap, response::Response, routing::get};
use common::{api::problem::ProblemCode, store::Store};
use prometheus::Registry;

use super::{
    fallback,
    observe::{HealthDocument, metrics_text, store_health},
    paths::{HEALTH_PATH, METRICS_PATH},
};
use crate::{
    ingest::kafka::{Condition, KafkaTrouble},
    problem::Problem,
};

/// The state that the handlers share.
pub struct IngesterServices {
    /// The store, which the health check pings.
    pub store: Store,
    /// The state of ingest, which the health check reads.
    pub condition: Arc<Condition>,
    /// The metrics that `/metrics` shows.
    pub registry: Registry,
}

/// The routes of `billing ingest`.
pub fn ingester_router(services: IngesterServices) -> Router {
    Router::new()
        .route(HEALTH_PATH, get(health))
        .route(METRICS_PATH, get(metrics))
        .fallback(fallback::unknown_path)
        .method_not_allowed_fallback(fallback::unknown_method)
        .with_state(Arc::new(services))
}

async fn health(State(services): State<Arc<IngesterServices>>) -> Result<Json<HealthDocument>, Problem> {
    match services.condition.kafka_trouble() {
        // Any client may ask, so broker and topic are only in the log.
        Some(KafkaTrouble::Unreachable(_)) => {
            let detail = "Kafka does not answer; the log of billing says why";
            Err(Problem::new(ProblemCode::KafkaUnavailable, detail))
        }
        Some(KafkaTrouble::TopicMissing(_)) => {
            let detail = "Kafka does not have the topic; the log of billing says which, and how to make it";
            Err(Problem::new(ProblemCode::TopicMissing, detail))
        }
        None => store_health(&services.store).await,
    }
}

async fn metrics(State(services): State<Arc<IngesterServices>>, headers: HeaderMap) -> Result<Response, Problem> {
    metrics_text(&services.registry, &headers)
}
