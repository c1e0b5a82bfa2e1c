//! `/v1/coupons`: what an issuer takes off bills; `/v1/tenants/{tenant}/coupons`: the coupons that a
//! tenant has redeemed.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use common::{
    api::{
        coupon::{CouponDocument, NewCouponBody, RedeemBody, RedemptionDocument, RedemptionsDocument},
        page::ListDocument,
        problem::ProblemCode,
    },
    coupon::CouponCode,
    id::TenantId,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    body::Body,
    page,
    parameters::{Named, NamedPair, Parameters, from_text},
    services::Services,
};
use crate::{access::Caller, problem::Problem};

/// The name of the list of coupons in cursors.
const LIST: &str = "coupons";

/// The issuer of coupons.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct IssuerParameters {
    /// The issuer; the caller's tenant unless stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    issuer: Option<TenantId>,
}

/// The issuer of coupons, and a page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParameters {
    /// The issuer; the caller's tenant unless stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    issuer: Option<TenantId>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// List coupons
///
/// Those of one issuer, oldest first.
#[utoipa::path(
    get,
    path = "/v1/coupons",
    tag = "coupons",
    params(ListParameters),
    responses((status = 200, description = "A page of coupons", body = ListDocument<CouponDocument>)),
)]
pub(super) async fn list(
    caller: Caller,
    Parameters(ListParameters { issuer, cursor, limit }): Parameters<ListParameters>,
) -> Result<Json<ListDocument<CouponDocument>>, Problem> {
    let page = page::request(LIST, cursor.as_deref(), limit)?;
    Ok(Json(page::list(LIST, caller.store().coupons(issuer, page).await?)))
}

/// Make a coupon
///
/// A percentage or an amount off the bills of tenants that redeem it. The same again changes nothing.
#[utoipa::path(
    post,
    path = "/v1/coupons",
    tag = "coupons",
    request_body = NewCouponBody,
    responses((status = 200, description = "The coupon", body = CouponDocument)),
)]
pub(super) async fn create(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Body(body): Body<NewCouponBody>,
) -> Result<Json<CouponDocument>, Problem> {
    let new = body.coupon().map_err(|reason| Problem::new(ProblemCode::BodyInvalid, reason))?;
    Ok(Json(caller.store().create_coupon(&new, services.clock.now()).await?.into()))
}

/// Archive a coupon
///
/// Tenants that have redeemed it keep it; no other tenant can redeem it. The same again changes nothing.
#[utoipa::path(
    post,
    path = "/v1/coupons/{coupon}/archive",
    tag = "coupons",
    params(("coupon" = String, Path, description = "The coupon's code"), IssuerParameters),
    responses((status = 200, description = "The coupon", body = CouponDocument)),
)]
pub(super) async fn archive(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(coupon): Named<CouponCode>,
    Parameters(IssuerParameters { issuer }): Parameters<IssuerParameters>,
) -> Result<Json<CouponDocument>, Problem> {
    Ok(Json(caller.store().archive_coupon(issuer, coupon.as_str(), services.clock.now()).await?.into()))
}

/// List a tenant's coupons
///
/// Those that it has redeemed, the first one first, also those that count no more.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/coupons",
    operation_id = "list_redeemed",
    tag = "coupons",
    params(("tenant" = String, Path, description = "The tenant's id")),
    responses((status = 200, description = "The coupons", body = RedemptionsDocument)),
)]
pub(super) async fn list_redeemed(
    caller: Caller,
    Named(tenant): Named<TenantId>,
) -> Result<Json<RedemptionsDocument>, Problem> {
    let redeemed = caller.store().coupons_of(tenant).await?;
    Ok(Json(RedemptionsDocument { items: redeemed.into_iter().map(Into::into).collect() }))
}

/// Redeem a coupon for a tenant
///
/// It counts from the billing period on that holds this instant. The same again changes nothing.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/coupons",
    tag = "coupons",
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = RedeemBody,
    responses((status = 200, description = "The coupon, redeemed", body = RedemptionDocument)),
)]
pub(super) async fn redeem(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Body(RedeemBody { code }): Body<RedeemBody>,
) -> Result<Json<RedemptionDocument>, Problem> {
    Ok(Json(caller.store().redeem_coupon(tenant, &code, services.clock.now()).await?.into()))
}

/// Take a coupon from a tenant
///
/// It does not count for billing periods that begin from now on. The same again changes nothing.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/coupons/{coupon}",
    tag = "coupons",
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("coupon" = String, Path, description = "The coupon's code"),
    ),
    responses((status = 204, description = "Taken away")),
)]
pub(super) async fn remove(
    State(services): State<Arc<Services>>,
    caller: Caller,
    NamedPair(tenant, coupon): NamedPair<TenantId, CouponCode>,
) -> Result<StatusCode, Problem> {
    caller.store().remove_coupon(tenant, coupon.as_str(), services.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
