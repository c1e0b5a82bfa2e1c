//! `GET /v1/audit`: the audit log, as far as it exists for the caller.

use axum::Json;
use common::{
    api::{audit_log::AuditDocument, page::ListDocument},
    id::TenantId,
    store::{AuditAction, AuditFilter},
    time::{Micros, Window},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    page,
    parameters::{self, Parameters, from_text},
};
use crate::{access::Caller, problem::Problem};

/// The name of this list in cursors.
const LIST: &str = "audit";

/// Filter of changes.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditParameters {
    /// Only changes of this tenant and of every tenant below it; the caller's tenant unless stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// Only changes of the thing with this id.
    subject: Option<String>,
    /// Only changes by this action, as in `key.revoke`. An unknown action is refused.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>, example = "key.revoke")]
    action: Option<AuditAction>,
    /// Only changes made at this instant or later.
    #[serde(default, deserialize_with = "parameters::instant")]
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Micros>,
    /// Only changes made before this instant.
    #[serde(default, deserialize_with = "parameters::instant")]
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Micros>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// List changes
///
/// The newest first.
#[utoipa::path(
    get,
    path = "/v1/audit",
    tag = "audit",
    params(AuditParameters),
    responses((status = 200, description = "A page of changes", body = ListDocument<AuditDocument>)),
)]
pub(super) async fn list(
    caller: Caller,
    Parameters(parameters): Parameters<AuditParameters>,
) -> Result<Json<ListDocument<AuditDocument>>, Problem> {
    let AuditParameters { tenant: subtree_of, subject, action, from, to, cursor, limit } = parameters;
    let page = page::request(LIST, cursor.as_deref(), limit)?;
    let window = Window { start: from.unwrap_or(Micros(i64::MIN)), end: to.unwrap_or(Micros(i64::MAX)) };
    let filter = AuditFilter { subtree_of, subject, action, window: Some(window) };
    let found = caller.store().audit_log(&filter, page).await?;
    Ok(Json(page::list(LIST, found)))
}
