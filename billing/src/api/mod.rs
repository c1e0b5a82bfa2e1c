//! The HTTP face of `billing`: one table of routes, described by `/openapi.json`; every error is a problem document.

mod batches;
mod document;
mod ingester;
mod observe;
mod problem;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Method, Uri},
    middleware,
    routing::{MethodRouter, get, post},
};
use common::{
    key::IngestToken,
    store::Store,
    usage::{BATCH_MAX_BYTES, BATCH_PATH},
};
pub use ingester::{IngesterServices, ingester_router};
pub use problem::{Problem, ProblemCode};
use prometheus::Registry;

use crate::{
    access::{Access, Checkpoint, guard},
    ingest::Intake,
};

/// Where health is told.
pub const HEALTH_PATH: &str = "/health";

/// Where metrics are read.
pub const METRICS_PATH: &str = "/metrics";

/// Where the interface describes itself.
pub const DOCUMENT_PATH: &str = "/openapi.json";

/// What the handlers work with.
pub struct Services {
    /// Decides who comes in.
    pub access: Access,
    /// Books usage.
    pub intake: Intake,
    /// What a gateway has to present.
    pub ingest_token: IngestToken,
    /// Asked whether it answers.
    pub store: Store,
    /// What `/metrics` shows.
    pub registry: Registry,
}

/// The whole interface, every route of it behind the checkpoint.
pub fn router(services: Services) -> Router {
    let guarded = |path, methods: MethodRouter<Arc<Services>>| {
        let checkpoint = Checkpoint { access: services.access.clone(), path };
        methods.route_layer(middleware::from_fn_with_state(checkpoint, guard))
    };
    routes()
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| router.route(path, guarded(path, methods)))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BATCH_MAX_BYTES))
        .with_state(Arc::new(services))
}

fn routes() -> [(&'static str, MethodRouter<Arc<Services>>); 4] {
    [
        (HEALTH_PATH, get(observe::health)),
        (METRICS_PATH, get(observe::metrics)),
        (DOCUMENT_PATH, get(document::document)),
        (BATCH_PATH, post(batches::take_batch)),
    ]
}

async fn no_such_path(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(ProblemCode::NotFound, format!("there is nothing at {path}"))
}

async fn no_such_method(method: Method) -> Problem {
    let method: String = method.as_str().chars().take(40).collect();
    Problem::new(
        ProblemCode::MethodNotAllowed,
        format!("{method} is not possible here; the Allow header lists what is"),
    )
}
