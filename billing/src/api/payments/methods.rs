//! `/v1/tenants/{tenant}/payment-methods`: methods that a provider keeps for a tenant.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::{
        invoice::{NewPaymentMethodBody, NewPaymentPageBody, PaymentMethodDocument, PaymentPageDocument},
        page::ListDocument,
        problem::ProblemCode,
    },
    id::TenantId,
    store::Store,
    tenant::Tenant,
};

use super::{provider, refused};
use crate::{
    access::Caller,
    api::{body::Body, parameters::Named, services::Services},
    payment::Provider,
    problem::Problem,
};

/// Longest address that a page leads to.
const BACK_TO_MAX_BYTES: usize = 2_000;

/// List the payment methods of a tenant
///
/// One for each issuer and provider, all on one page. Providers keep what is charged; here are only
/// names for it.
#[utoipa::path(
    get,
    operation_id = "list_payment_methods",
    path = "/v1/tenants/{tenant}/payment-methods",
    tag = "payments",
    params(("tenant" = String, Path, description = "The tenant's id")),
    responses((status = 200, description = "The methods", body = ListDocument<PaymentMethodDocument>)),
)]
pub(in crate::api) async fn list(
    caller: Caller,
    Named(tenant): Named<TenantId>,
) -> Result<Json<ListDocument<PaymentMethodDocument>>, Problem> {
    let accounts = caller.store().payment_accounts(tenant).await?;
    Ok(Json(ListDocument { items: accounts.into_iter().map(Into::into).collect(), next_cursor: None }))
}

/// Save a payment method of a tenant
///
/// It was made at the provider, by a page with the provider's own script. It takes the place of the one
/// before; an invoice that the one before could not pay is tried again within a minute.
#[utoipa::path(
    post,
    operation_id = "save_payment_method",
    path = "/v1/tenants/{tenant}/payment-methods",
    tag = "payments",
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = NewPaymentMethodBody,
    responses((status = 200, description = "The method", body = PaymentMethodDocument)),
)]
pub(in crate::api) async fn save(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Body(body): Body<NewPaymentMethodBody>,
) -> Result<Json<PaymentMethodDocument>, Problem> {
    let (issuer, provider) = issuer(&services, &caller, tenant, body.issuer).await?;
    let customer = customer(&services, &provider, (issuer, tenant)).await?;
    let method = provider.attach_method(&customer, &body.method).await.map_err(|error| refused(&error))?;
    let (store, now) = (caller.store(), services.clock.now());
    let account = store.save_payment_account((issuer, tenant), provider.name(), &customer, Some(&method), now).await?;
    Ok(Json(account.into()))
}

/// Make a page on which a tenant saves a payment method
///
/// The page is the provider's: card data never comes here. Once the tenant has saved a method there, the
/// provider tells it.
#[utoipa::path(
    post,
    operation_id = "make_payment_page",
    path = "/v1/tenants/{tenant}/payment-methods/page",
    tag = "payments",
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = NewPaymentPageBody,
    responses((status = 200, description = "Its address", body = PaymentPageDocument)),
)]
pub(in crate::api) async fn page(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Body(body): Body<NewPaymentPageBody>,
) -> Result<Json<PaymentPageDocument>, Problem> {
    check_back_to(&body.back_to)?;
    let (issuer, provider) = issuer(&services, &caller, tenant, body.issuer).await?;
    let customer = customer(&services, &provider, (issuer, tenant)).await?;
    let page = provider.setup_page(&customer, &body.back_to).await.map_err(|error| refused(&error))?;
    Ok(Json(PaymentPageDocument { url: page.url }))
}

/// Refuses what is no address that a page may lead to.
pub(super) fn check_back_to(back_to: &str) -> Result<(), Problem> {
    let is_address = back_to.starts_with("https://") || back_to.starts_with("http://");
    if is_address && back_to.len() <= BACK_TO_MAX_BYTES {
        return Ok(());
    }
    let detail = "back_to: write an address as in https://example.com/account";
    Err(Problem::new(ProblemCode::Refused, detail))
}

/// The issuer that a tenant pays, and its provider: the one that is named, or the tenant above.
async fn issuer(
    services: &Services,
    caller: &Caller,
    tenant: TenantId,
    named: Option<TenantId>,
) -> Result<(TenantId, Provider), Problem> {
    let payer = caller.store().tenant(tenant).await?;
    let issuer = named.or(payer.parent).unwrap_or(tenant);
    if !is_above(&services.store, issuer, payer).await? {
        return Err(Problem::new(ProblemCode::Refused, format!("issuer: {issuer} issues no invoices to {tenant}")));
    }
    Ok((issuer, provider(services, issuer)?))
}

/// Returns true if `issuer` is the tenant or stands above it.
async fn is_above(store: &Store, issuer: TenantId, mut tenant: Tenant) -> Result<bool, Problem> {
    while tenant.id != issuer {
        let Some(parent) = tenant.parent else { return Ok(false) };
        tenant = store.tenant(parent).await?;
    }
    Ok(true)
}

/// The tenant's name at the provider, which is told of the tenant if it does not know it.
pub(super) async fn customer(
    services: &Services,
    provider: &Provider,
    (issuer, tenant): (TenantId, TenantId),
) -> Result<String, Problem> {
    let store = &services.store;
    if let Some(account) = store.payment_account((issuer, tenant), provider.name()).await? {
        return Ok(account.customer);
    }
    let name = store.tenant(tenant).await?.name;
    let customer = provider.create_customer(tenant, &name).await.map_err(|error| refused(&error))?;
    let kept =
        store.save_payment_account((issuer, tenant), provider.name(), &customer, None, services.clock.now()).await?;
    Ok(kept.customer)
}
