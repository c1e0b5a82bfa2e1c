//! `/v1/tenants/{tenant}/credit`: units that a tenant has paid for in advance.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use common::{
    api::{
        credit::{CreditDocument, TenantCreditDocument, TopUpBody},
        page::ListDocument,
        problem::ProblemCode,
    },
    id::TenantId,
    quota::credit::TopUp,
};

use super::{
    idempotency::{self, Created, Creation},
    page::{self, PageParameters},
    parameters::{Named, Parameters},
    services::Services,
};
use crate::{access::Caller, problem::Problem};

/// The name of the list of top-ups in cursors.
const LIST: &str = "top_ups";

/// Show a tenant's prepaid credit
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/credit",
    tag = "credit",
    params(("tenant" = String, Path, description = "The tenant's id"), PageParameters),
    responses((status = 200, description = "The credit, with a page of top-ups", body = TenantCreditDocument)),
)]
pub(super) async fn show(
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Parameters(parameters): Parameters<PageParameters>,
) -> Result<Json<TenantCreditDocument>, Problem> {
    let (store, page) = (caller.store(), parameters.request(LIST)?);
    let credit = store.credit(tenant).await?.into_iter().map(Into::into).collect();
    let ListDocument { items: top_ups, next_cursor } = page::list(LIST, store.top_ups_page(tenant, page).await?);
    Ok(Json(TenantCreditDocument { credit, top_ups, next_cursor }))
}

/// Add units to a tenant's prepaid credit, or take some back
///
/// The same top-up again, by its reference, changes nothing. Negative units correct a mistaken
/// top-up. Only callers at the root create credit: credit that a tenant further down grants comes
/// from its own credit, and returns there.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/credit",
    tag = "credit",
    request_body = TopUpBody,
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the top-up happen once"),
    ),
    responses(
        (status = 201, description = "Added; the current credit for the meter", body = CreditDocument,
            headers(("Location" = String, description = "The path of the tenant's credit"))),
        (status = 200, description = "Added before, under the same idempotency key", body = CreditDocument,
            headers(("Idempotency-Replayed" = bool, description = "`true`"))),
    ),
)]
pub(super) async fn add(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    creation: Creation<TopUpBody>,
) -> Result<Response, Problem> {
    let TopUpBody { meter, units, reference, reason } = creation.body;
    let store = caller.creating(creation.idempotency);
    let reference = reference.unwrap_or_else(TopUp::made_up_reference);
    let top_up = TopUp { reference, tenant, meter, units, reason, added_at: services.clock.now() };
    match Created::of(store.add_credit(&top_up).await)? {
        Created::Now(credit) => {
            let location = format!("/v1/tenants/{tenant}/credit");
            Ok(idempotency::created(&location, CreditDocument::from(credit)).into_response())
        }
        Created::Before(_) => {
            let credit = store.credit(tenant).await?.into_iter().find(|credit| credit.meter == top_up.meter);
            let credit =
                credit.ok_or_else(|| Problem::new(ProblemCode::Internal, "the credit does not exist any more"))?;
            Ok(idempotency::replayed(CreditDocument::from(credit)).into_response())
        }
    }
}
