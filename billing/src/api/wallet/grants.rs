//! Grants of a wallet: given, listed, taken back.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use common::{
    api::{
        page::ListDocument,
        wallet::{NewWalletGrantBody, VoidGrantBody, WalletGrantDocument},
    },
    id::{TenantId, WalletGrantId},
    money::Money,
    wallet::{NewWalletGrant, PRIORITY_DEFAULT},
};

use crate::{
    access::Caller,
    api::{
        body::Body,
        idempotency::{self, Created, Creation},
        page::{self, PageParameters},
        parameters::{Named, NamedPair, Parameters},
        services::Services,
    },
    problem::Problem,
};

/// The name of the list of grants in cursors.
const LIST: &str = "wallet_grants";

/// List the grants of a tenant's wallets
///
/// Oldest first, each with what is left of it.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/wallet/grants",
    operation_id = "list_grants",
    tag = "wallets",
    params(("tenant" = String, Path, description = "The tenant's id"), PageParameters),
    responses((status = 200, description = "A page of grants", body = ListDocument<WalletGrantDocument>)),
)]
pub(crate) async fn list(
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Parameters(parameters): Parameters<PageParameters>,
) -> Result<Json<ListDocument<WalletGrantDocument>>, Problem> {
    let page = parameters.request(LIST)?;
    Ok(Json(page::list(LIST, caller.store().money_grants(tenant, page).await?)))
}

/// Grant money to a tenant
///
/// Invoices of the issuer use grants by priority, lowest number first; then the one that expires
/// soonest; then promotional before paid; then the oldest. The same grant again, by its reference,
/// changes nothing.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/wallet/grants",
    tag = "wallets",
    request_body = NewWalletGrantBody,
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the grant happen once"),
    ),
    responses(
        (status = 201, description = "Granted, now or before", body = WalletGrantDocument,
            headers(("Location" = String, description = "The path of the tenant's grants"))),
        (status = 200, description = "Granted before, under the same idempotency key", body = WalletGrantDocument,
            headers(("Idempotency-Replayed" = bool, description = "`true`"))),
    ),
)]
pub(crate) async fn grant(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    creation: Creation<NewWalletGrantBody>,
) -> Result<Response, Problem> {
    let NewWalletGrantBody { issuer, amount, currency, kind, priority, expires_at, reference, reason } = creation.body;
    let new = NewWalletGrant {
        issuer,
        tenant,
        amount: Money::from_minor(amount, currency),
        kind,
        priority: priority.unwrap_or(PRIORITY_DEFAULT),
        expires_at: expires_at.map(Into::into),
        reference: reference.unwrap_or_else(NewWalletGrant::made_up_reference),
        reason,
    };
    let store = caller.creating(creation.idempotency);
    match Created::of(store.grant_money(&new, services.clock.now()).await)? {
        Created::Now(grant) => {
            let location = format!("/v1/tenants/{tenant}/wallet/grants");
            Ok(idempotency::created(&location, WalletGrantDocument::from(grant)).into_response())
        }
        Created::Before(subject) => {
            let grant = store.money_grant(tenant, idempotency::subject(&subject)?).await?;
            Ok(idempotency::replayed(WalletGrantDocument::from(grant)).into_response())
        }
    }
}

/// Take back what is left of a grant
///
/// Money that invoices have used stays used. The same again changes nothing.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/wallet/grants/{grant}/void",
    tag = "wallets",
    request_body = VoidGrantBody,
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("grant" = String, Path, description = "The grant's id"),
    ),
    responses((status = 200, description = "The grant, of which nothing is left", body = WalletGrantDocument)),
)]
pub(crate) async fn void(
    State(services): State<Arc<Services>>,
    caller: Caller,
    NamedPair(tenant, grant): NamedPair<TenantId, WalletGrantId>,
    Body(body): Body<VoidGrantBody>,
) -> Result<Json<WalletGrantDocument>, Problem> {
    Ok(Json(caller.store().void_money(tenant, grant, &body.reason, services.clock.now()).await?.into()))
}
