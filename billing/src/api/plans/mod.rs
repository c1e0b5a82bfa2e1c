//! `/v1/plans`: what is on offer. A version never changes; applying a changed plan adds one.

pub(super) mod changes;
mod plan;

use axum::Json;
use common::plan::{PlanId, PlanVersion};
use plan::PlanDocument;
pub(super) use plan::QuotaKindWord;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem,
    instant::Instant,
    page::WholeListDocument,
    parameters::{Named, Parameters},
};
use crate::access::Caller;

/// A version of a plan.
#[derive(Serialize, ToSchema)]
#[schema(as = PlanVersion)]
pub(super) struct PlanVersionDocument {
    /// The plan's name in files, commands and headers.
    #[schema(value_type = String, example = "growth")]
    id: PlanId,
    /// Counts from 1 within the plan.
    version: i64,
    /// When this version was applied.
    created_at: Instant,
    /// Whether the plan is off offer: whoever has it keeps it, and nobody else gets it.
    deprecated: bool,
    /// What it says.
    plan: PlanDocument,
}

/// Which version.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct VersionParameters {
    /// The version; the latest unless stated.
    #[param(minimum = 1)]
    version: Option<i64>,
}

impl PlanVersionDocument {
    fn of(stored: PlanVersion, deprecated: bool) -> Self {
        let PlanVersion { version, created_at, plan } = stored;
        Self { id: plan.id.clone(), version, created_at: created_at.into(), deprecated, plan: plan.into() }
    }
}

/// List plans
///
/// Each in its latest version, by id; those off offer too.
#[utoipa::path(
    get,
    path = "/v1/plans",
    tag = "plans",
    responses((status = 200, description = "All of them", body = WholeListDocument<PlanVersionDocument>)),
)]
pub(super) async fn list(caller: Caller) -> Result<Json<WholeListDocument<PlanVersionDocument>>, Problem> {
    let store = caller.store();
    let deprecated = store.deprecated_plans().await?;
    let found = store.plans().await?.into_iter();
    Ok(Json(WholeListDocument::of(found.map(|stored| {
        let is_deprecated = deprecated.contains(&stored.plan.id);
        PlanVersionDocument::of(stored, is_deprecated)
    }))))
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
    Parameters(parameters): Parameters<VersionParameters>,
) -> Result<Json<PlanVersionDocument>, Problem> {
    let store = caller.store();
    let stored = store.plan(&id, parameters.version).await?;
    let deprecated = store.deprecated_plans().await?.contains(&id);
    Ok(Json(PlanVersionDocument::of(stored, deprecated)))
}

/// List the versions of a plan
///
/// The latest first.
#[utoipa::path(
    get,
    path = "/v1/plans/{plan}/versions",
    tag = "plans",
    params(("plan" = String, Path, description = "Its id")),
    responses((status = 200, description = "All of them", body = WholeListDocument<PlanVersionDocument>)),
)]
pub(super) async fn versions(
    caller: Caller,
    Named(id): Named<PlanId>,
) -> Result<Json<WholeListDocument<PlanVersionDocument>>, Problem> {
    let store = caller.store();
    let found = store.plan_versions(&id).await?;
    let deprecated = store.deprecated_plans().await?.contains(&id);
    Ok(Json(WholeListDocument::of(found.into_iter().map(|stored| PlanVersionDocument::of(stored, deprecated)))))
}
