//! `GET /v1/usage/thresholds`: quotas that are mostly or fully used.

use axum::Json;
use common::{
    api::{page::ListDocument, threshold::ThresholdDocument},
    id::TenantId,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    page,
    parameters::{Parameters, from_text},
};
use crate::{access::Caller, problem::Problem};

/// The name of this list in cursors.
const LIST: &str = "thresholds";

/// Filter of events.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ThresholdParameters {
    /// Only events of this tenant and of every tenant below it; the caller's tenant unless stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
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
    Ok(Json(page::list(LIST, found)))
}
