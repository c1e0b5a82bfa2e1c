//! `/v1/disputes` and `/v1/invoices/{invoice}/disputes`: payments that a payer's bank takes back.

use axum::Json;
use common::{
    api::{invoice::DisputeDocument, page::ListDocument},
    id::{InvoiceId, TenantId},
    payment::{DisputeFilter, DisputeStatus},
    store::PageRequest,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    access::Caller,
    api::{
        page,
        parameters::{Named, Parameters, from_text},
    },
    problem::Problem,
};

/// The name of this list in cursors.
const LIST: &str = "disputes";

/// Filter of disputes.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct DisputeParameters {
    /// Only disputes of payments by this tenant and every tenant below it; the caller's tenant unless
    /// stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// Only disputes with this status.
    status: Option<DisputeStatus>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// List disputes
///
/// Payments that payers' banks take back, or ask about; the newest first.
#[utoipa::path(
    get,
    operation_id = "list_disputes",
    path = "/v1/disputes",
    tag = "payments",
    params(DisputeParameters),
    responses((status = 200, description = "A page of disputes", body = ListDocument<DisputeDocument>)),
)]
pub(in crate::api) async fn list(
    caller: Caller,
    Parameters(parameters): Parameters<DisputeParameters>,
) -> Result<Json<ListDocument<DisputeDocument>>, Problem> {
    let DisputeParameters { tenant, status, cursor, limit } = parameters;
    let page = page::request(LIST, cursor.as_deref(), limit)?;
    let filter = DisputeFilter { subtree_of: tenant, invoice: None, status };
    Ok(Json(page::list(LIST, caller.store().disputes(filter, page).await?)))
}

/// List the disputes of an invoice
///
/// The newest first, all on one page.
#[utoipa::path(
    get,
    operation_id = "list_disputes_of_invoice",
    path = "/v1/invoices/{invoice}/disputes",
    tag = "payments",
    params(("invoice" = String, Path, description = "The invoice's id")),
    responses((status = 200, description = "The disputes", body = ListDocument<DisputeDocument>)),
)]
pub(in crate::api) async fn of_invoice(
    caller: Caller,
    Named(invoice): Named<InvoiceId>,
) -> Result<Json<ListDocument<DisputeDocument>>, Problem> {
    let filter = DisputeFilter { invoice: Some(invoice), ..DisputeFilter::default() };
    let all = PageRequest { after: None, limit: u32::MAX };
    let found = caller.store().disputes(filter, all).await?.items;
    Ok(Json(ListDocument { items: found.into_iter().map(Into::into).collect(), next_cursor: None }))
}
