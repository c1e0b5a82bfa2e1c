//! `GET /v1/me`: who the caller is to this interface.

use axum::Json;
use common::api::me::MeDocument;

use crate::access::Caller;

/// Show who you are
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
