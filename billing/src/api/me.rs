//! `GET /v1/me`: the caller and its role.

use axum::Json;
use common::api::me::MeDocument;

use crate::access::Caller;

/// Show the caller
#[utoipa::path(
    get,
    path = "/v1/me",
    tag = "access",
    responses((status = 200, description = "The caller", body = MeDocument)),
)]
pub(super) async fn me(caller: Caller) -> Json<MeDocument> {
    let principal = caller.principal;
    Json(MeDocument {
        kind: principal.kind,
        name: principal.name,
        tenant: principal.tenant,
        role: principal.role,
        scopes: principal.scopes,
    })
}
