//! `GET /v1/usage/refusals`: requests that gateways refused, by reason.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::{page::WholeListDocument, problem::ProblemCode, usage::RefusalsDocument},
    id::TenantId,
    time::{Micros, Window},
    usage::refusals::RefusalGroups,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    parameters::{self, Parameters, from_text},
    services::Services,
};
use crate::{access::Caller, problem::Problem};

/// Length of a sum without `from`: 30 days.
const REACH_SECONDS: i64 = 30 * 86_400;

/// Filter of refusals.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct RefusalParameters {
    /// The tenant whose requests they were; the caller's unless stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// Includes every tenant below it; `false` unless stated.
    #[serde(default)]
    #[param(required = false)]
    subtree: bool,
    /// Sums by tenant and reason; by reason unless stated.
    #[serde(default)]
    #[param(required = false)]
    by_tenant: bool,
    /// Only hours that start at this instant or later; 30 days before `to` unless stated.
    #[serde(default, deserialize_with = "parameters::instant")]
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Micros>,
    /// Only hours that start before this instant; now unless stated.
    #[serde(default, deserialize_with = "parameters::instant")]
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Micros>,
}

/// Report refusals by reason
///
/// Requests that gateways answered by themselves, the most frequent reason first: at most 200 rows.
/// Gateways count them by tenant and reason, not by key or route. None of them is billed.
#[utoipa::path(
    get,
    operation_id = "refusals",
    path = "/v1/usage/refusals",
    tag = "usage",
    params(RefusalParameters),
    responses((status = 200, description = "Sums by reason", body = WholeListDocument<RefusalsDocument>)),
)]
pub(super) async fn list(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Parameters(RefusalParameters { tenant, subtree, by_tenant, from, to }): Parameters<RefusalParameters>,
) -> Result<Json<WholeListDocument<RefusalsDocument>>, Problem> {
    let refuse = |detail: &str| Problem::new(ProblemCode::ParameterInvalid, detail);
    let tenant = tenant.or(caller.principal.tenant);
    let tenant = tenant.ok_or_else(|| refuse("tenant: required for a caller above every tenant"))?;
    let end = to.unwrap_or_else(|| services.clock.now());
    let start = from.unwrap_or_else(|| end.plus_seconds(-REACH_SECONDS));
    if start >= end {
        return Err(refuse("from: has to be before `to`"));
    }
    let groups = RefusalGroups { subtree, by_tenant };
    let sums = caller.store().refusals_by_reason(tenant, groups, Window { start, end }).await?;
    Ok(Json(WholeListDocument::of(sums)))
}
