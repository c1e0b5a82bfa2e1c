//! `/v1/tenants/{tenant}/branding`: the looks of the documents that a tenant issues.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{api::problem::ProblemCode, branding::Branding, id::TenantId};

use super::{body::Body, parameters::Named, services::Services};
use crate::{
    access::Caller,
    document::{DocumentError, TypesetError},
    problem::Problem,
};

/// Show the branding of a tenant's documents
#[utoipa::path(
    get,
    operation_id = "show_branding",
    path = "/v1/tenants/{tenant}/branding",
    tag = "invoices",
    params(("tenant" = String, Path, description = "The tenant's id")),
    responses((status = 200, description = "The branding; empty if nothing is stated", body = Branding)),
)]
pub(super) async fn show(caller: Caller, Named(tenant): Named<TenantId>) -> Result<Json<Branding>, Problem> {
    Ok(Json(caller.store().branding(tenant).await?))
}

/// Replace the branding of a tenant's documents
///
/// Removes what is not stated. The new branding is tried on a sample first: a template with a fault,
/// or a logo that cannot be shown, is refused with line and column, and the branding of before
/// stays.
#[utoipa::path(
    put,
    operation_id = "replace_branding",
    path = "/v1/tenants/{tenant}/branding",
    tag = "invoices",
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = Branding,
    responses((status = 200, description = "The new branding", body = Branding)),
)]
pub(super) async fn replace(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Body(branding): Body<Branding>,
) -> Result<Json<Branding>, Problem> {
    let store = caller.store();
    store.tenant(tenant).await?;
    branding.validate().map_err(|error| Problem::new(ProblemCode::Refused, error.to_string()))?;
    services.documents.check(&branding).await?;
    store.set_branding(tenant, &branding, services.clock.now()).await?;
    Ok(Json(branding))
}

impl From<DocumentError> for Problem {
    fn from(error: DocumentError) -> Self {
        match &error {
            DocumentError::Language { .. } => Self::new(ProblemCode::ParameterInvalid, error.to_string()),
            DocumentError::Typeset(TypesetError::Start { .. }) => {
                tracing::warn!(event = "documents_unavailable", %error);
                let detail = "the program that typesets documents cannot be started; the log of billing says why";
                Self::new(ProblemCode::DocumentsUnavailable, detail)
            }
            DocumentError::Content(_) | DocumentError::Typeset(TypesetError::Request(_)) => {
                tracing::error!(event = "request_failed", %error);
                Self::new(ProblemCode::Internal, "this should not happen; the log of billing says why")
            }
            DocumentError::Electronic(_) | DocumentError::Typeset(_) => {
                Self::new(ProblemCode::Refused, error.to_string())
            }
        }
    }
}
