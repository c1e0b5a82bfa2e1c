//! `/v1/plans`: plans. A version never changes; applying a changed plan adds a version.
//!
//! A plan belongs to a tenant and is offered to its subtree. A name means the plan of the nearest
//! tenant on the caller's way up that has a plan of this name; `owner` selects another.

pub(super) mod changes;

use axum::Json;
use common::{
    api::{page::ListDocument, plan::PlanVersionDocument},
    id::TenantId,
    plan::{PlanId, PlanPage},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    page,
    parameters::{Named, Parameters, from_text},
};
use crate::{access::Caller, problem::Problem};

/// The name of the list of plans in cursors.
const LIST: &str = "plans";

/// The name of the list of versions in cursors.
const VERSIONS: &str = "plan_versions";

/// Filter of plans.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanParameters {
    /// Only plans of this tenant; all that the caller may read unless stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    owner: Option<TenantId>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// Selects the owner of a plan.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnerParameters {
    /// The tenant that the plan belongs to; unless stated, the nearest on the caller's way up that
    /// has a plan of this name.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    pub(super) owner: Option<TenantId>,
}

/// Selects a version of a plan.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct VersionParameters {
    /// The tenant that the plan belongs to; unless stated, the nearest on the caller's way up that
    /// has a plan of this name.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    owner: Option<TenantId>,
    /// The version; the latest unless stated.
    #[param(minimum = 1)]
    version: Option<i64>,
}

/// List plans
///
/// The plans that are offered to the caller and those of tenants below it, each in its latest
/// version, by name, including deprecated ones.
#[utoipa::path(
    get,
    path = "/v1/plans",
    tag = "plans",
    params(PlanParameters),
    responses((status = 200, description = "A page of plans", body = ListDocument<PlanVersionDocument>)),
)]
pub(super) async fn list(
    caller: Caller,
    Parameters(parameters): Parameters<PlanParameters>,
) -> Result<Json<ListDocument<PlanVersionDocument>>, Problem> {
    let PlanParameters { owner, cursor, limit } = parameters;
    let after = cursor.map(|text| page::place(LIST, &text)).transpose()?;
    let limit = page::checked_limit(limit)?;
    let PlanPage { items, next } = caller.store().plans_page(owner, after.as_ref(), limit).await?;
    let next_cursor = next.map(|place| page::cursor(LIST, &place));
    Ok(Json(ListDocument { items: items.into_iter().map(Into::into).collect(), next_cursor }))
}

/// Show a plan
#[utoipa::path(
    get,
    path = "/v1/plans/{plan}",
    tag = "plans",
    params(("plan" = String, Path, description = "Its id"), VersionParameters),
    responses((status = 200, description = "The plan", body = PlanVersionDocument)),
)]
pub(super) async fn show(
    caller: Caller,
    Named(id): Named<PlanId>,
    Parameters(VersionParameters { owner, version }): Parameters<VersionParameters>,
) -> Result<Json<PlanVersionDocument>, Problem> {
    Ok(Json(caller.store().plan_of(owner, &id, version).await?.into()))
}

/// List the versions of a plan
///
/// The latest first.
#[utoipa::path(
    get,
    path = "/v1/plans/{plan}/versions",
    tag = "plans",
    params(("plan" = String, Path, description = "Its id"), PlanParameters),
    responses((status = 200, description = "A page of versions", body = ListDocument<PlanVersionDocument>)),
)]
pub(super) async fn versions(
    caller: Caller,
    Named(id): Named<PlanId>,
    Parameters(parameters): Parameters<PlanParameters>,
) -> Result<Json<ListDocument<PlanVersionDocument>>, Problem> {
    let PlanParameters { owner, cursor, limit } = parameters;
    let page = page::request(VERSIONS, cursor.as_deref(), limit)?;
    let found = caller.store().plan_versions(owner, &id, page).await?;
    Ok(Json(page::list(VERSIONS, found)))
}
