//! `/v1/payouts`: what providers send to issuers' banks.

use axum::Json;
use common::{
    api::{
        invoice::{PayoutDocument, PayoutItemDocument},
        page::ListDocument,
    },
    id::{PayoutId, TenantId},
    payment::PayoutFilter,
    store::StoreError,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    access::Caller,
    api::{
        page,
        parameters::{NamedPair, Parameters, from_text},
    },
    problem::Problem,
};

/// The name of this list in cursors.
const LIST: &str = "payouts";

/// Filter of payouts.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct PayoutParameters {
    /// Only payouts to this tenant and every tenant below it; the caller's tenant unless stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// Only payouts with items that nothing here explains.
    #[serde(default)]
    unmatched: bool,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// List payouts
///
/// What payment providers send to issuers' banks, the newest first.
#[utoipa::path(
    get,
    operation_id = "list_payouts",
    path = "/v1/payouts",
    tag = "payments",
    params(PayoutParameters),
    responses((status = 200, description = "A page of payouts", body = ListDocument<PayoutDocument>)),
)]
pub(in crate::api) async fn list(
    caller: Caller,
    Parameters(parameters): Parameters<PayoutParameters>,
) -> Result<Json<ListDocument<PayoutDocument>>, Problem> {
    let PayoutParameters { tenant, unmatched, cursor, limit } = parameters;
    let page = page::request(LIST, cursor.as_deref(), limit)?;
    let filter = PayoutFilter { subtree_of: tenant, unmatched };
    Ok(Json(page::list(LIST, caller.store().payouts(filter, page).await?)))
}

/// List the items of a payout
///
/// Each with what it stands for here, or the reason for which nothing is found; all on one page.
#[utoipa::path(
    get,
    operation_id = "list_payout_items",
    path = "/v1/tenants/{tenant}/payouts/{payout}/items",
    tag = "payments",
    params(
        ("tenant" = String, Path, description = "The tenant that gets it"),
        ("payout" = String, Path, description = "The payout's id"),
    ),
    responses((status = 200, description = "The items", body = ListDocument<PayoutItemDocument>)),
)]
pub(in crate::api) async fn items(
    caller: Caller,
    NamedPair(tenant, payout): NamedPair<TenantId, PayoutId>,
) -> Result<Json<ListDocument<PayoutItemDocument>>, Problem> {
    let store = caller.store();
    if store.payout(payout).await?.issuer != tenant {
        return Err(StoreError::NotFound { what: "payout", id: payout.to_string() }.into());
    }
    let items = store.payout_items(payout).await?;
    Ok(Json(ListDocument { items: items.into_iter().map(Into::into).collect(), next_cursor: None }))
}
