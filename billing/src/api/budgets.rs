//! `/v1/tenants/{tenant}/budgets`: what usage may cost, and what gateways refuse beyond it.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use common::{
    api::{
        budget::{BudgetDocument, BudgetsDocument, NewBudgetBody},
        problem::ProblemCode,
    },
    budget::BudgetScope,
    id::TenantId,
};

use super::{
    body::Body,
    parameters::{Named, NamedPair},
    services::Services,
};
use crate::{
    access::Caller,
    budget::{BudgetError, set},
    invoice::InvoiceError,
    problem::Problem,
};

/// List the budgets of a tenant
///
/// Each with what was counted last: within a minute of now.
#[utoipa::path(
    get,
    operation_id = "list_budgets",
    path = "/v1/tenants/{tenant}/budgets",
    tag = "budgets",
    params(("tenant" = String, Path, description = "The tenant's id")),
    responses((status = 200, description = "The budgets", body = BudgetsDocument)),
)]
pub(super) async fn list(caller: Caller, Named(tenant): Named<TenantId>) -> Result<Json<BudgetsDocument>, Problem> {
    let budgets = caller.store().budgets(tenant).await?;
    Ok(Json(BudgetsDocument { budgets: budgets.into_iter().map(Into::into).collect() }))
}

/// Set a budget
///
/// One for each scope: `own` is the usage of the tenant's own keys, `subtree` also that of everybody
/// below it, the id of a key that of the key. It is counted at once.
#[utoipa::path(
    put,
    operation_id = "set_budget",
    path = "/v1/tenants/{tenant}/budgets/{scope}",
    tag = "budgets",
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("scope" = String, Path, description = "`own`, `subtree` or the id of a key of the tenant"),
    ),
    request_body = NewBudgetBody,
    responses((status = 200, description = "The budget", body = BudgetDocument)),
)]
pub(super) async fn put(
    State(services): State<Arc<Services>>,
    caller: Caller,
    NamedPair(tenant, scope): NamedPair<TenantId, BudgetScope>,
    Body(body): Body<NewBudgetBody>,
) -> Result<Json<BudgetDocument>, Problem> {
    let new = body.budget(tenant, scope);
    let budget = set((&caller.store(), &services.store), &new, services.clock.now()).await.map_err(problem)?;
    Ok(Json(budget.into()))
}

/// Take a budget away
///
/// Gateways serve again what they refused because of it. Without a budget, nothing changes.
#[utoipa::path(
    delete,
    operation_id = "delete_budget",
    path = "/v1/tenants/{tenant}/budgets/{scope}",
    tag = "budgets",
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("scope" = String, Path, description = "`own`, `subtree` or the id of a key of the tenant"),
    ),
    responses((status = 204, description = "There is no budget")),
)]
pub(super) async fn delete(
    State(services): State<Arc<Services>>,
    caller: Caller,
    NamedPair(tenant, scope): NamedPair<TenantId, BudgetScope>,
) -> Result<StatusCode, Problem> {
    caller.store().delete_budget(tenant, scope, services.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn problem(error: BudgetError) -> Problem {
    match error {
        BudgetError::Spending(InvoiceError::Store(error)) => error.into(),
        error @ BudgetError::Currency { .. } => Problem::new(ProblemCode::Refused, error.to_string()),
        error @ BudgetError::Spending(_) => Problem::new(ProblemCode::Conflict, error.to_string()),
    }
}
