//! Changes of plans, and migration of tenants to the latest version of a plan.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::{
        page::WholeListDocument,
        plan::{AppliedPlanDocument, MigratedDocument, MigrationBody, PlanVersionDocument, PlansBody, SelfServiceBody},
    },
    id::TenantId,
    plan::{PlanId, subscription::MIGRATED_AT_ONCE},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::OwnerParameters;
use crate::{
    access::Caller,
    api::{
        body::Body,
        parameters::{Named, Parameters, from_text},
        services::Services,
    },
    problem::Problem,
};

/// Selects the owner of the applied plans.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppliedOwnerParameters {
    /// The tenant that the plans will belong to: the caller's unless stated, or one below it.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    owner: Option<TenantId>,
}

/// Apply plans
///
/// Each plan that differs from its latest version becomes a new version: all plans or none.
/// Subscriptions stay on the version that they pin. Other plans stay as they are. At most 100 plans
/// at once, and 1,000 of one owner.
#[utoipa::path(
    put,
    path = "/v1/plans",
    tag = "plans",
    params(AppliedOwnerParameters),
    request_body(content = PlansBody, example = json!({ "plans": [{
        "id": "growth",
        "name": "Growth",
        "currency": "USD",
        "flat_fee": "29.00",
        "charges": [{
            "meter": "requests",
            "included": 1_000_000,
            "tiers": [
                { "up_to": 4_000_000, "price": { "amount": "5.00", "per": 1_000_000 } },
                { "price": { "amount": "4.00", "per": 1_000_000 } },
            ],
        }],
        "quotas": [{ "meter": "requests", "per_month": 50_000_000, "kind": "hard" }],
        "limits": { "tenant": { "per_second": { "limit": 200, "burst": 400 } }, "key": { "concurrent": 50 } },
    }] })),
    responses((status = 200, description = "The outcome for each plan", body = WholeListDocument<AppliedPlanDocument>)),
)]
pub(crate) async fn apply(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Parameters(AppliedOwnerParameters { owner }): Parameters<AppliedOwnerParameters>,
    Body(PlansBody { plans }): Body<PlansBody>,
) -> Result<Json<WholeListDocument<AppliedPlanDocument>>, Problem> {
    let applied = caller.store().apply_plans_of(owner, &plans, services.clock.now()).await?;
    Ok(Json(WholeListDocument::of(applied)))
}

/// Take a plan off offer
///
/// Tenants that have the plan keep it, and no other tenant gets it. A second time changes nothing.
#[utoipa::path(
    post,
    path = "/v1/plans/{plan}/deprecate",
    tag = "plans",
    params(("plan" = String, Path, description = "Its id"), OwnerParameters),
    responses((status = 200, description = "The current plan", body = PlanVersionDocument)),
)]
pub(crate) async fn deprecate(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<PlanId>,
    Parameters(OwnerParameters { owner }): Parameters<OwnerParameters>,
) -> Result<Json<PlanVersionDocument>, Problem> {
    set_deprecated(&services, &caller, owner, &id, true).await
}

/// Put a plan back on offer
///
/// A second time changes nothing.
#[utoipa::path(
    post,
    path = "/v1/plans/{plan}/restore",
    tag = "plans",
    params(("plan" = String, Path, description = "Its id"), OwnerParameters),
    responses((status = 200, description = "The current plan", body = PlanVersionDocument)),
)]
pub(crate) async fn restore(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<PlanId>,
    Parameters(OwnerParameters { owner }): Parameters<OwnerParameters>,
) -> Result<Json<PlanVersionDocument>, Problem> {
    set_deprecated(&services, &caller, owner, &id, false).await
}

/// Say who may change to a plan
///
/// Whether tenants below its owner may change to it by themselves; no tenant may unless stated. The
/// same again changes nothing.
#[utoipa::path(
    put,
    path = "/v1/plans/{plan}/self-service",
    tag = "plans",
    params(("plan" = String, Path, description = "Its id"), OwnerParameters),
    request_body = SelfServiceBody,
    responses((status = 200, description = "The current plan", body = PlanVersionDocument)),
)]
pub(crate) async fn set_self_service(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<PlanId>,
    Parameters(OwnerParameters { owner }): Parameters<OwnerParameters>,
    Body(SelfServiceBody { allowed }): Body<SelfServiceBody>,
) -> Result<Json<PlanVersionDocument>, Problem> {
    let store = caller.store();
    store.set_plan_self_service(owner, &id, allowed, services.clock.now()).await?;
    Ok(Json(store.plan_of(owner, &id, None).await?.into()))
}

/// Move tenants to the latest version of a plan
///
/// All tenants in the caller's subtree that have an older version of their own, 1,000 at a time.
/// Earlier subscriptions stay as they were.
#[utoipa::path(
    post,
    path = "/v1/plans/{plan}/migrate",
    tag = "plans",
    params(("plan" = String, Path, description = "Its id"), OwnerParameters),
    request_body = MigrationBody,
    responses((status = 200, description = "The tenants that were moved", body = MigratedDocument)),
)]
pub(crate) async fn migrate(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(id): Named<PlanId>,
    Parameters(OwnerParameters { owner }): Parameters<OwnerParameters>,
    Body(body): Body<MigrationBody>,
) -> Result<Json<MigratedDocument>, Problem> {
    let start = body.starts.into();
    let tenants = caller.store().migrate_plan(owner, &id, start, services.clock.now()).await?;
    let more = i64::try_from(tenants.len()).is_ok_and(|moved| moved >= MIGRATED_AT_ONCE);
    Ok(Json(MigratedDocument { tenants, more }))
}

async fn set_deprecated(
    services: &Services,
    caller: &Caller,
    owner: Option<TenantId>,
    id: &PlanId,
    deprecated: bool,
) -> Result<Json<PlanVersionDocument>, Problem> {
    let store = caller.store();
    store.deprecate_plan_of(owner, id, deprecated, services.clock.now()).await?;
    Ok(Json(store.plan_of(owner, id, None).await?.into()))
}
