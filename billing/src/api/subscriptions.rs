//! `/v1/tenants/{tenant}/subscriptions`: the plans that a tenant has of its own;
//! `/v1/subscriptions`: all subscriptions in force.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use common::{
    api::{
        page::ListDocument,
        problem::ProblemCode,
        subscription::{AssignmentBody, PauseBody, PlanChoiceBody, ResumeBody, SubscriptionDocument, When},
    },
    id::TenantId,
    plan::{PlanId, subscription::Subscription},
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

/// End of a subscription.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EndParameters {
    /// `now`, `period_end` (the end of the tenant's billing period), or an instant that has not
    /// passed.
    #[serde(default)]
    #[param(value_type = Option<String>, example = "period_end")]
    ends: When,
}

/// Filter of the subscriptions in force.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct InForceParameters {
    /// Only subscriptions of this tenant and of every tenant below it.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    subtree_of: Option<TenantId>,
    /// Only subscriptions to any version of this plan.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>, example = "growth")]
    plan: Option<PlanId>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// List subscriptions in force
///
/// By creation of their tenants. A tenant that is not listed inherits a plan, or has none.
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
/// By start, including ended ones. The limits of a tenant show an inherited plan.
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
    let store = caller.store();
    let found = store.subscriptions_page(tenant, page).await?;
    let mut terms = store.billing_overrides_of(tenant).await?;
    let document = |one: Subscription| {
        let terms = terms.remove(&one.starts_at);
        SubscriptionDocument::of(one, now).with_terms(terms)
    };
    Ok(Json(page::list(OF_TENANT, found.map(document))))
}

/// Assign a plan to a tenant
///
/// At most one change is scheduled: a new one replaces it. A trial is a subscription by itself, and
/// the one after it is scheduled. Terms of its own are given to a tenant by the tenant that the plan
/// belongs to, or by one above that. Earlier subscriptions stay as they were.
/// The same again changes nothing.
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
    Body(body): Body<AssignmentBody>,
) -> Result<Json<SubscriptionDocument>, Problem> {
    let (store, now) = (caller.store(), services.clock.now());
    let agreement = body.agreement().map_err(|reason| Problem::new(ProblemCode::BodyInvalid, reason))?;
    let AssignmentBody { plan, version, starts: When(start), .. } = body;
    let assigned = store.assign_plan_by(tenant, &plan, version, start, &agreement, now).await?;
    let terms = store.billing_overrides_of(tenant).await?.remove(&assigned.starts_at);
    Ok(Json(SubscriptionDocument::of(assigned, now).with_terms(terms)))
}

/// Choose a plan
///
/// Gives the tenant another plan, in its latest version, if the plan's owner lets tenants change to it
/// by themselves. The preview of the tenant's bill shows first what that costs. The same again
/// changes nothing.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/plan-choice",
    tag = "subscriptions",
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = PlanChoiceBody,
    responses((status = 200, description = "The subscription", body = SubscriptionDocument)),
)]
pub(super) async fn choose(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Body(PlanChoiceBody { plan, starts: When(start) }): Body<PlanChoiceBody>,
) -> Result<Json<SubscriptionDocument>, Problem> {
    let (store, now) = (caller.store(), services.clock.now());
    let chosen = store.choose_plan(tenant, &plan, start, now).await?;
    Ok(Json(SubscriptionDocument::of(chosen, now)))
}

/// End a tenant's own subscription
///
/// From then on the tenant has the plan of the nearest tenant above that has one. Without a
/// subscription, nothing changes.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/subscriptions",
    tag = "subscriptions",
    params(("tenant" = String, Path, description = "The tenant's id"), EndParameters),
    responses((status = 204, description = "Ended, or scheduled to end")),
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

/// Pause a tenant's own subscription
///
/// While it is paused, its fee, minimum and maximum do not count; usage is charged. The pause is a
/// subscription by itself, and the one after it is scheduled if it ends. The same again changes nothing.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/subscriptions/pause",
    tag = "subscriptions",
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = PauseBody,
    responses((status = 200, description = "The paused subscription", body = SubscriptionDocument)),
)]
pub(super) async fn pause(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Body(PauseBody { starts: When(start), until }): Body<PauseBody>,
) -> Result<Json<SubscriptionDocument>, Problem> {
    let (store, now) = (caller.store(), services.clock.now());
    let paused = store.pause_subscription(tenant, start, until.map(Into::into), now).await?;
    let terms = store.billing_overrides_of(tenant).await?.remove(&paused.starts_at);
    Ok(Json(SubscriptionDocument::of(paused, now).with_terms(terms)))
}

/// Resume a tenant's paused subscription
///
/// Without a pause, nothing changes.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/subscriptions/resume",
    tag = "subscriptions",
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = ResumeBody,
    responses((status = 200, description = "The subscription", body = SubscriptionDocument)),
)]
pub(super) async fn resume(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Body(ResumeBody { starts: When(start) }): Body<ResumeBody>,
) -> Result<Json<SubscriptionDocument>, Problem> {
    let (store, now) = (caller.store(), services.clock.now());
    let resumed = store.resume_subscription(tenant, start, now).await?;
    let terms = store.billing_overrides_of(tenant).await?.remove(&resumed.starts_at);
    Ok(Json(SubscriptionDocument::of(resumed, now).with_terms(terms)))
}
