//! `/v1/tenants/{tenant}/wallet`: money that a tenant has in advance.

pub(super) mod grants;
pub(super) mod top_ups;

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::{
        instant::Instant,
        wallet::{WalletDocument, WalletPolicyBody, WalletsDocument},
    },
    id::TenantId,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    body::Body,
    parameters::{Named, Parameters},
    services::Services,
};
use crate::{access::Caller, problem::Problem};

/// Parameters of balances.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct WalletParameters {
    /// The instant that the balances are of; now unless stated.
    at: Option<Instant>,
}

/// Show a tenant's wallets
///
/// A wallet for each issuer and currency, with its balance now or at an instant of the past.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/wallet",
    tag = "wallets",
    params(("tenant" = String, Path, description = "The tenant's id"), WalletParameters),
    responses((status = 200, description = "The wallets", body = WalletsDocument)),
)]
pub(super) async fn show(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Parameters(WalletParameters { at }): Parameters<WalletParameters>,
) -> Result<Json<WalletsDocument>, Problem> {
    let at = at.map_or_else(|| services.clock.now(), |Instant(at)| at);
    let wallets = caller.store().wallets(tenant, at).await?;
    Ok(Json(WalletsDocument { as_of: at.into(), wallets: wallets.into_iter().map(Into::into).collect() }))
}

/// Set the rules of a wallet
///
/// The rules are the lowest that invoices may take it below zero, and a top-up: below the threshold, to
/// the target, at most so many times within 24 hours. The wallet is made if it is not there.
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant}/wallet",
    tag = "wallets",
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = WalletPolicyBody,
    responses((status = 200, description = "The wallet", body = WalletDocument)),
)]
pub(super) async fn set_policy(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Body(body): Body<WalletPolicyBody>,
) -> Result<Json<WalletDocument>, Problem> {
    let (store, now) = (caller.store(), services.clock.now());
    let key = store.set_wallet_policy((body.issuer, tenant, body.currency), &body.policy(), now).await?;
    let wallets = store.wallets(tenant, now).await?;
    let wallet =
        wallets.into_iter().find(|wallet| (wallet.issuer, wallet.balance.currency()) == (key.issuer, key.currency));
    let wallet = wallet.ok_or_else(|| {
        Problem::new(common::api::problem::ProblemCode::Internal, "the wallet does not exist any more")
    })?;
    Ok(Json(wallet.into()))
}
