//! Top-ups that wallets have asked for: listed, confirmed as paid, cancelled.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::{
        page::ListDocument,
        wallet::{WalletGrantDocument, WalletTopUpDocument},
    },
    id::{TenantId, WalletTopUpId},
};

use crate::{
    access::Caller,
    api::{
        page::{self, PageParameters},
        parameters::{Named, NamedPair, Parameters},
        services::Services,
    },
    problem::Problem,
};

/// The name of the list of top-ups in cursors.
const LIST: &str = "wallet_top_ups";

/// List the top-ups that a tenant's wallets have asked for
///
/// Oldest first.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/wallet/top-ups",
    operation_id = "list_top_ups",
    tag = "wallets",
    params(("tenant" = String, Path, description = "The tenant's id"), PageParameters),
    responses((status = 200, description = "A page of top-ups", body = ListDocument<WalletTopUpDocument>)),
)]
pub(crate) async fn list(
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Parameters(parameters): Parameters<PageParameters>,
) -> Result<Json<ListDocument<WalletTopUpDocument>>, Problem> {
    let page = parameters.request(LIST)?;
    Ok(Json(page::list(LIST, caller.store().wallet_top_ups(tenant, page).await?)))
}

/// Confirm a top-up as paid
///
/// Its money is granted, with the top-up's id as the reference. The same again changes nothing.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/wallet/top-ups/{top_up}/confirm",
    tag = "wallets",
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("top_up" = String, Path, description = "The top-up's id"),
    ),
    responses((status = 200, description = "The grant", body = WalletGrantDocument)),
)]
pub(crate) async fn confirm(
    State(services): State<Arc<Services>>,
    caller: Caller,
    NamedPair(tenant, top_up): NamedPair<TenantId, WalletTopUpId>,
) -> Result<Json<WalletGrantDocument>, Problem> {
    Ok(Json(caller.store().confirm_top_up(tenant, top_up, services.clock.now()).await?.into()))
}

/// Cancel a top-up
///
/// The wallet asks again once it is below its threshold, as often as its rules allow. The same again
/// changes nothing.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/wallet/top-ups/{top_up}/cancel",
    tag = "wallets",
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("top_up" = String, Path, description = "The top-up's id"),
    ),
    responses((status = 200, description = "The top-up", body = WalletTopUpDocument)),
)]
pub(crate) async fn cancel(
    State(services): State<Arc<Services>>,
    caller: Caller,
    NamedPair(tenant, top_up): NamedPair<TenantId, WalletTopUpId>,
) -> Result<Json<WalletTopUpDocument>, Problem> {
    Ok(Json(caller.store().cancel_top_up(tenant, top_up, services.clock.now()).await?.into()))
}
