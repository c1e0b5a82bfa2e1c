//! `/v1/tenants/{tenant}/ledger`: balances and statements.

use axum::Json;
use common::{
    api::{
        ledger::{BalancesDocument, EntryDocument},
        page::ListDocument,
    },
    id::TenantId,
    ledger::Account,
    time::Micros,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    page,
    parameters::{Named, Parameters, instant},
};
use crate::{access::Caller, problem::Problem};

/// The name of the list of entries in cursors.
const LIST: &str = "ledger_entries";

/// Filter of a statement.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct StatementParameters {
    /// Only entries of this account.
    account: Option<Account>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// Time of a trial balance.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct TrialBalanceParameters {
    /// Only postings from before this instant.
    #[serde(default, deserialize_with = "instant")]
    #[param(value_type = Option<String>, example = "2026-12-01T00:00:00Z")]
    until: Option<Micros>,
}

/// Show the balances of a tenant's accounts
///
/// Over all issuers that it buys from.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/ledger/balances",
    tag = "ledger",
    params(("tenant" = String, Path, description = "The tenant's id")),
    responses((status = 200, description = "The balances", body = BalancesDocument)),
)]
pub(super) async fn balances(
    caller: Caller,
    Named(tenant): Named<TenantId>,
) -> Result<Json<BalancesDocument>, Problem> {
    let items = caller.store().balances(tenant).await?;
    Ok(Json(BalancesDocument { items: items.into_iter().map(Into::into).collect() }))
}

/// List the entries of a tenant's accounts
///
/// In the order of the ledger.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/ledger/entries",
    tag = "ledger",
    params(("tenant" = String, Path, description = "The tenant's id"), StatementParameters),
    responses((status = 200, description = "A page of entries", body = ListDocument<EntryDocument>)),
)]
pub(super) async fn entries(
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Parameters(parameters): Parameters<StatementParameters>,
) -> Result<Json<ListDocument<EntryDocument>>, Problem> {
    let StatementParameters { account, cursor, limit } = parameters;
    let page = page::request(LIST, cursor.as_deref(), limit)?;
    let found = caller.store().statement(tenant, account, page).await?;
    Ok(Json(page::list(LIST, found.map(EntryDocument::from))))
}

/// Show the trial balance of the books of an issuer
///
/// Every account over all tenants that buy from it; each currency sums to zero.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/ledger/trial-balance",
    tag = "ledger",
    params(("tenant" = String, Path, description = "The issuer's id"), TrialBalanceParameters),
    responses((status = 200, description = "The balances", body = BalancesDocument)),
)]
pub(super) async fn trial_balance(
    caller: Caller,
    Named(issuer): Named<TenantId>,
    Parameters(TrialBalanceParameters { until }): Parameters<TrialBalanceParameters>,
) -> Result<Json<BalancesDocument>, Problem> {
    let items = caller.store().trial_balance(issuer, until).await?;
    Ok(Json(BalancesDocument { items: items.into_iter().map(Into::into).collect() }))
}
