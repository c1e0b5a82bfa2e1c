//! `/openapi.json`: the interface describes itself, from the annotations of its own handlers.

use axum::Json;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::{DOCUMENT_PATH, batches, observe};

#[derive(OpenApi)]
#[openapi(
    info(title = "Tollgate billing", description = "Takes usage from the gateways"),
    paths(observe::health, observe::metrics, document, batches::take_batch),
    modifiers(&IngestTokenScheme),
)]
pub(super) struct Interface;

struct IngestTokenScheme;

impl Modify for IngestTokenScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("Derived from the pepper that the gateways and billing share"))
            .build();
        document.components.get_or_insert_default().add_security_scheme("ingest_token", SecurityScheme::Http(scheme));
    }
}

/// This document
#[utoipa::path(
    get,
    path = DOCUMENT_PATH,
    tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")),
)]
pub(super) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Interface::openapi())
}
