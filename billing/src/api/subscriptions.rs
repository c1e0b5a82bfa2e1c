//! `/v1/tenants/{tenant}/subscriptions`: which plans a tenant has of its own, and from when on; `/v1/subscriptions`: who
//! has one now.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use common::{
    id::TenantId,
    plan::{
        PlanId,
        subscription::{PlanStart, Subscription},
    },
    time::Micros,
};
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem, Services,
    body::Body,
    instant::Instant,
    page::{self, ListDocument, PageParameters},
    parameters::{Named, Parameters, from_text},
};
use crate::access::Caller;

/// The name of the list of those in force in cursors.
const LIST: &str = "subscriptions";

/// The name of the list of a tenant's own in cursors.
const OF_TENANT: &str = "subscriptions_of_tenant";

/// A tenant's right to use a plan, over a half-open range of time.
#[derive(Serialize, ToSchema)]
#[schema(as = Subscription)]
pub(super) struct SubscriptionDocument {
    /// Whose.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    tenant: TenantId,
    /// The tenant that the plan belongs to.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    plan_owner: TenantId,
    /// The plan.
    #[schema(value_type = String, example = "growth")]
    plan: PlanId,
    /// The version that is pinned.
    version: i64,
    /// From when on.
    starts_at: Instant,
    /// Until when, if it was ended.
    #[schema(required = true)]
    ends_at: Option<Instant>,
    /// How it stands now.
    status: SubscriptionStatus,
}

/// How a subscription stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SubscriptionStatus {
    /// Over.
    Ended,
    /// In force.
    Current,
    /// Ahead.
    Scheduled,
}

/// A plan to be assigned.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanAssignment)]
pub(super) struct AssignmentBody {
    /// The plan.
    #[schema(value_type = String, example = "growth")]
    plan: PlanId,
    /// The version to pin; the latest unless stated. One that was superseded is given by the tenant whose plan it is alone.
    #[schema(minimum = 1)]
    version: Option<i64>,
    /// From when on: `now`, `period_end` (the end of the tenant's billing period), or an instant that has not passed.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "period_end", default = "now")]
    starts: When,
}

/// From when on a change of plan counts.
#[derive(Clone, Copy)]
pub(super) struct When(PlanStart);

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

impl When {
    /// Unless it is an instant.
    pub(super) fn word(text: &str) -> Option<PlanStart> {
        match text {
            "now" => Some(PlanStart::Now),
            "period_end" => Some(PlanStart::PeriodEnd),
            _ => None,
        }
    }
}

impl Default for When {
    fn default() -> Self {
        Self(PlanStart::Now)
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Some(start) = Self::word(&text) {
            return Ok(Self(start));
        }
        let at =
            Instant::parse(&text).map_err(|error| de::Error::custom(format!("{error}, or `now`, or `period_end`")))?;
        Ok(Self(PlanStart::At(at)))
    }
}

impl SubscriptionDocument {
    fn of(subscription: Subscription, now: Micros) -> Self {
        let Subscription { tenant, plan_owner, plan, version, starts_at, ends_at } = subscription;
        let status = if ends_at.is_some_and(|end| end <= now) {
            SubscriptionStatus::Ended
        } else if starts_at <= now {
            SubscriptionStatus::Current
        } else {
            SubscriptionStatus::Scheduled
        };
        Self {
            tenant,
            plan_owner,
            plan,
            version,
            starts_at: starts_at.into(),
            ends_at: ends_at.map(Into::into),
            status,
        }
    }
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
    Ok(Json(ListDocument::of(LIST, found.map(|one| SubscriptionDocument::of(one, now)))))
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
    Ok(Json(ListDocument::of(OF_TENANT, found.map(|one| SubscriptionDocument::of(one, now)))))
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
