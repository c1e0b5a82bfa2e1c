//! `/v1/tenants/{tenant}/subscriptions`: which plans a tenant has of its own, and from when on; `/v1/subscriptions`: who
//! has one now.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use common::{
    api::{
        page::ListDocument,
        subscription::{AssignmentBody, SubscriptionDocument, When},
    },
    id::TenantId,
    plan::PlanId,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    body::Body,
    page::{self, PageParameters},
    parameters::{Named, Parameters, from_text},
    services::Services,
};
use crate::{access::Caller, problem::Problem};

/// The name of the list of those in force in cursors.
const LIST: &str = "subscriptions";

/// The name of the list of a tenant's own in cursors.
const OF_TENANT: &str = "subscriptions_of_tenant";

/// When a subscription is to end.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EndParameters {
    /// `now`, `period_end` (the end of the tenant's billing period), or an instant that has not passed.
    #[serde(default)]
    #[param(value_type = Option<String>, example = "period_end")]
    ends: When,
}

/// Which of the subscriptions in force.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct InForceParameters {
    /// Those of this tenant and everybody below it.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    subtree_of: Option<TenantId>,
    /// Those of this plan, whatever the version.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>, example = "growth")]
    plan: Option<PlanId>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// List who has which plan
///
/// The subscriptions in force, by their tenants' creation. Whoever is not listed inherits, or has none.
#[utoipa::path(
    get,
    path = "/v1/subscriptions",
    tag = "subscriptions",
    params(InForceParameters),
    responses((status = 200, description = "A page of subscriptions", body = ListDocument<SubscriptionDocument>)),
)]
pub(super) async fn in_force(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Parameters(parameters): Parameters<InForceParameters>,
) -> Result<Json<ListDocument<SubscriptionDocument>>, Problem> {
    let InForceParameters { subtree_of, plan, cursor, limit } = parameters;
    let (page, now) = (page::request(LIST, cursor.as_deref(), limit)?, services.clock.now());
    let found = caller.store().subscriptions_in_force(subtree_of, plan.as_ref(), now, page).await?;
    Ok(Json(page::list(LIST, found.map(|one| SubscriptionDocument::of(one, now)))))
}

/// List a tenant's own subscriptions
///
/// By start, ended ones too. What a tenant inherits is shown by its limits.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/subscriptions",
    tag = "subscriptions",
    params(("tenant" = String, Path, description = "The tenant's id"), PageParameters),
    responses((status = 200, description = "A page of subscriptions", body = ListDocument<SubscriptionDocument>)),
)]
pub(super) async fn list(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Parameters(parameters): Parameters<PageParameters>,
) -> Result<Json<ListDocument<SubscriptionDocument>>, Problem> {
    let (page, now) = (parameters.request(OF_TENANT)?, services.clock.now());
    let found = caller.store().subscriptions_page(tenant, page).await?;
    Ok(Json(page::list(OF_TENANT, found.map(|one| SubscriptionDocument::of(one, now)))))
}

/// Give a tenant a plan
///
/// At most one change is ahead: a new one takes its place. What was in force before stays as it was. The same again
/// changes nothing.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/subscriptions",
    tag = "subscriptions",
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = AssignmentBody,
    responses((status = 200, description = "The subscription", body = SubscriptionDocument)),
)]
pub(super) async fn assign(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Body(AssignmentBody { plan, version, starts: When(start) }): Body<AssignmentBody>,
) -> Result<Json<SubscriptionDocument>, Problem> {
    let now = services.clock.now();
    let assigned = caller.store().assign_plan(tenant, &plan, version, start, now).await?;
    Ok(Json(SubscriptionDocument::of(assigned, now)))
}

/// End a tenant's own subscription
///
/// From then on it has the plan of the nearest tenant above that has one. Without a subscription, nothing changes.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/subscriptions",
    tag = "subscriptions",
    params(("tenant" = String, Path, description = "The tenant's id"), EndParameters),
    responses((status = 204, description = "It is ended, or will be")),
)]
pub(super) async fn end(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Parameters(EndParameters { ends: When(end) }): Parameters<EndParameters>,
) -> Result<StatusCode, Problem> {
    caller.store().end_subscription(tenant, end, services.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
