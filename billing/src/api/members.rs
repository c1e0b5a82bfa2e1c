//! `/v1/tenants/{tenant}/members`: people of a tenant who sign in to the portal by mail.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::{
        member::{MemberDocument, MembersBody},
        page::WholeListDocument,
        problem::ProblemCode,
    },
    id::TenantId,
    member::Member,
};

use super::{body::Body, parameters::Named, services::Services};
use crate::{
    access::{Caller, rules::reaches},
    problem::Problem,
};

/// List the members of a tenant
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/members",
    tag = "sessions",
    operation_id = "members",
    params(("tenant" = String, Path, description = "The tenant's id")),
    responses((status = 200, description = "Its members by address", body = WholeListDocument<MemberDocument>)),
)]
pub(super) async fn list(
    caller: Caller,
    Named(tenant): Named<TenantId>,
) -> Result<Json<WholeListDocument<MemberDocument>>, Problem> {
    Ok(Json(WholeListDocument::of(caller.store().members(tenant).await?)))
}

/// Replace the members of a tenant
///
/// Each of them gets a link into the portal by mail whenever it asks for one. Sessions of those who are
/// no longer members, or have another role, end. A role is at most `admin`, and at most the caller's.
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant}/members",
    tag = "sessions",
    operation_id = "set_members",
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = MembersBody,
    responses((status = 200, description = "Its members by address", body = WholeListDocument<MemberDocument>)),
)]
pub(super) async fn replace(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Body(MembersBody { members }): Body<MembersBody>,
) -> Result<Json<WholeListDocument<MemberDocument>>, Problem> {
    caller.principal.may_make_credentials()?;
    let members: Vec<Member> = members.into_iter().map(Into::into).collect();
    if let Some(above) = members.iter().find(|member| !reaches(caller.principal.role, member.role)) {
        let detail = format!("members: {} would have more than your own role", above.address);
        return Err(Problem::new(ProblemCode::Forbidden, detail));
    }
    let store = caller.store();
    store.set_members(tenant, &members, services.clock.now()).await?;
    Ok(Json(WholeListDocument::of(store.members(tenant).await?)))
}
