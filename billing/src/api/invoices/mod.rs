//! `/v1/invoices`: finalized invoices, and what corrects and pays them.

pub(super) mod credit_notes;
pub(super) mod ends;
pub(super) mod explanation;
pub(super) mod one_off;
pub(super) mod papers;
pub(super) mod payments;
pub(super) mod preview;
pub(super) mod runs;
pub(super) mod simulations;

use axum::Json;
use common::{
    api::{
        invoice::{AmountError, InvoiceDocument},
        page::ListDocument,
        problem::ProblemCode,
    },
    id::{InvoiceId, TenantId},
    invoice::{InvoiceFilter, InvoiceStatus},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    page,
    parameters::{Named, Parameters, from_text},
};
use crate::{access::Caller, problem::Problem};

/// The name of this list in cursors.
const LIST: &str = "invoices";

/// Filter of invoices.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct InvoiceParameters {
    /// Only invoices that this tenant owes.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// Only invoices that this tenant has issued.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    issuer: Option<TenantId>,
    /// Only invoices with this status.
    status: Option<InvoiceStatus>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// List invoices
///
/// Oldest first. A caller sees those that its tenant, or a tenant below it, owes.
#[utoipa::path(
    get,
    path = "/v1/invoices",
    tag = "invoices",
    params(InvoiceParameters),
    responses((status = 200, description = "A page of invoices", body = ListDocument<InvoiceDocument>)),
)]
pub(super) async fn list(
    caller: Caller,
    Parameters(parameters): Parameters<InvoiceParameters>,
) -> Result<Json<ListDocument<InvoiceDocument>>, Problem> {
    let InvoiceParameters { tenant, issuer, status, cursor, limit } = parameters;
    let page = page::request(LIST, cursor.as_deref(), limit)?;
    let store = caller.store();
    if let Some(tenant) = tenant {
        store.tenant(tenant).await?;
    }
    let found = store.invoices(InvoiceFilter { tenant, issuer, status }, page).await?;
    Ok(Json(page::list(LIST, found.map(InvoiceDocument::from))))
}

/// Show an invoice
#[utoipa::path(
    get,
    path = "/v1/invoices/{invoice}",
    tag = "invoices",
    params(("invoice" = String, Path, description = "Its id")),
    responses((status = 200, description = "The invoice", body = InvoiceDocument)),
)]
pub(super) async fn show(caller: Caller, Named(id): Named<InvoiceId>) -> Result<Json<InvoiceDocument>, Problem> {
    Ok(Json(caller.store().invoice(id).await?.into()))
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn refuse(error: AmountError) -> Problem {
    Problem::new(ProblemCode::BodyInvalid, error.to_string())
}
