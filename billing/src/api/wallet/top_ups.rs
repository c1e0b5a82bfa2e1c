//! Top-ups that wallets have asked for: listed, confirmed as paid, cancelled.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use common::{
    api::{
        page::ListDocument,
        wallet::{NewWalletTopUpBody, WalletGrantDocument, WalletTopUpDocument},
    },
    id::{TenantId, WalletTopUpId},
    money::Money,
};

use crate::{
    access::Caller,
    api::{
        body::Body,
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

/// Ask for a top-up
///
/// The issuer of the tenant's invoices confirms it once it is paid. A conflict: another one is open.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/wallet/top-ups",
    operation_id = "request_top_up",
    tag = "wallets",
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = NewWalletTopUpBody,
    responses((status = 201, description = "The top-up", body = WalletTopUpDocument)),
)]
pub(crate) async fn request(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Body(NewWalletTopUpBody { issuer, amount, currency }): Body<NewWalletTopUpBody>,
) -> Result<(StatusCode, Json<WalletTopUpDocument>), Problem> {
    let amount = Money::from_minor(amount, currency);
    let top_up = caller.store().ask_for_top_up(issuer, tenant, amount, services.clock.now()).await?;
    Ok((StatusCode::CREATED, Json(top_up.into())))
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
