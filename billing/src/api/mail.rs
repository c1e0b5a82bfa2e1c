//! `/v1/tenants/{tenant}/mail`: who of a tenant gets which mail, and in which language.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{api::mail::MailSettingsDocument, id::TenantId, mail::MailSettings};

use super::{body::Body, parameters::Named, services::Services};
use crate::{access::Caller, problem::Problem};

/// Show the settings of a tenant's mail
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/mail",
    tag = "mail",
    params(("tenant" = String, Path, description = "The tenant's id")),
    responses((status = 200, description = "The settings", body = MailSettingsDocument)),
)]
pub(super) async fn show(
    caller: Caller,
    Named(tenant): Named<TenantId>,
) -> Result<Json<MailSettingsDocument>, Problem> {
    Ok(Json(caller.store().mail_settings(tenant).await?.into()))
}

/// Replace the settings of a tenant's mail
///
/// Mail that waits already goes to whom it is addressed.
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant}/mail",
    tag = "mail",
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = MailSettingsDocument,
    responses((status = 200, description = "The settings", body = MailSettingsDocument)),
)]
pub(super) async fn replace(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Body(body): Body<MailSettingsDocument>,
) -> Result<Json<MailSettingsDocument>, Problem> {
    let settings = MailSettings::from(body);
    caller.store().set_mail_settings(tenant, &settings, services.clock.now()).await?;
    Ok(Json(settings.into()))
}
