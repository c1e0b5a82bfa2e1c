//! `GET /v1/me`: who the caller is to this interface.

use axum::Json;
use common::{
    admin::{AdminScope, Role},
    id::TenantId,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Caller, PrincipalKind};

/// The caller.
#[derive(Serialize, ToSchema)]
#[schema(as = Me)]
pub(super) struct MeDocument {
    /// What kind of credential it was.
    #[schema(value_type = PrincipalKindWord)]
    kind: PrincipalKind,
    /// The subject of a person's token, the id of an admin key, or `bootstrap`.
    name: String,
    /// Where the role is held; none is above every tenant.
    #[schema(value_type = Option<String>, required = true)]
    tenant: Option<TenantId>,
    /// What they may do there and below.
    #[schema(value_type = RoleWord)]
    role: Role,
    /// What of the role they are narrowed to; empty: all of it.
    #[schema(value_type = Vec<String>, example = json!(["keys:write", "usage:read"]))]
    scopes: Vec<AdminScope>,
}

/// What kind of credential it was.
#[derive(ToSchema)]
#[schema(as = PrincipalKind, rename_all = "snake_case")]
#[expect(dead_code, reason = "it only describes the words of another type")]
pub(super) enum PrincipalKindWord {
    Person,
    AdminKey,
    Bootstrap,
}

/// What somebody may do at a tenant and below.
#[derive(ToSchema)]
#[schema(as = Role, rename_all = "lowercase")]
#[expect(dead_code, reason = "it only describes the words of the domain's own type")]
pub(super) enum RoleWord {
    Owner,
    Admin,
    Billing,
    Viewer,
}

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
