//! `/v1/tenants/{tenant}/seller`: the tenant above, as the pages of a tenant show it.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{api::seller::SellerDocument, id::TenantId};

use super::{parameters::Named, services::Services};
use crate::{access::Caller, problem::Problem};

/// Show a tenant's seller
///
/// Name, colour and logo of the tenant right above, as its documents show them; of a root, its own.
#[utoipa::path(
    get,
    operation_id = "show_seller",
    path = "/v1/tenants/{tenant}/seller",
    tag = "tenants",
    params(("tenant" = String, Path, description = "The tenant's id")),
    responses((status = 200, description = "The seller", body = SellerDocument)),
)]
pub(super) async fn show(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
) -> Result<Json<SellerDocument>, Problem> {
    let tenant = caller.store().tenant(tenant).await?;
    // The seller stands above whoever looks, and shows itself on its documents in any case.
    let seller = services.store.tenant(tenant.parent.unwrap_or(tenant.id)).await?;
    let branding = services.store.branding(seller.id).await?;
    Ok(Json(SellerDocument {
        name: seller.name,
        colour: branding.colour,
        language: branding.language,
        logo: branding.logo,
        contact: branding.contact,
    }))
}
