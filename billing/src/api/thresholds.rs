//! `GET /v1/usage/thresholds`: quotas that are mostly, or all, used.

use axum::Json;
use common::{id::TenantId, quota::thresholds::ThresholdEvent, time::Period};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem,
    instant::Instant,
    page::{self, ListDocument},
    parameters::{Parameters, from_text},
};
use crate::access::Caller;

/// The name of this list in cursors.
const LIST: &str = "thresholds";

/// That a tenant has used a part of a quota.
#[derive(Serialize, ToSchema)]
#[schema(as = ThresholdEvent)]
pub(super) struct ThresholdDocument {
    /// When it was noticed.
    raised_at: Instant,
    /// Whose quota.
    #[schema(value_type = String)]
    tenant: TenantId,
    /// What is counted.
    meter: String,
    /// The month on the tenant's clock.
    #[schema(value_type = String, example = "2026-11")]
    period: Period,
    /// The part, in percent: 80 or 100.
    percent: u8,
    /// Units that the tenant had for the month when it was noticed.
    limit: u64,
    /// Units that were billed by then.
    used: u64,
}

/// Which events.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ThresholdParameters {
    /// Those of this tenant and of everybody below it; all of yours unless stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

impl From<ThresholdEvent> for ThresholdDocument {
    fn from(event: ThresholdEvent) -> Self {
        let ThresholdEvent { seq: _, tenant, meter, period, percent, limit, used, raised_at } = event;
        Self { raised_at: raised_at.into(), tenant, meter, period, percent, limit, used }
    }
}

/// List quotas of which 80 % or all was used
///
/// The newest first.
#[utoipa::path(
    get,
    path = "/v1/usage/thresholds",
    tag = "usage",
    params(ThresholdParameters),
    responses((status = 200, description = "A page of events", body = ListDocument<ThresholdDocument>)),
)]
pub(super) async fn list(
    caller: Caller,
    Parameters(parameters): Parameters<ThresholdParameters>,
) -> Result<Json<ListDocument<ThresholdDocument>>, Problem> {
    let ThresholdParameters { tenant, cursor, limit } = parameters;
    let page = page::request(LIST, cursor.as_deref(), limit)?;
    let found = caller.store().threshold_events(tenant, page).await?;
    Ok(Json(ListDocument::of(LIST, found)))
}
