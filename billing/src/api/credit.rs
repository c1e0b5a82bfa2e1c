//! `/v1/tenants/{tenant}/credit`: units that a tenant has paid for in advance.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use common::{
    id::TenantId,
    quota::credit::{Credit, TopUp},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Problem, ProblemCode, Services,
    idempotency::{self, Created, Creation},
    instant::Instant,
    page::{ListDocument, PageParameters},
    parameters::{Named, Parameters},
};
use crate::access::Caller;

/// The name of the list of top-ups in cursors.
const LIST: &str = "top_ups";

/// How a tenant's credit for one meter stands.
#[derive(Serialize, ToSchema)]
#[schema(as = Credit)]
pub(super) struct CreditDocument {
    /// What the units are of.
    #[schema(example = "tokens")]
    meter: String,
    /// Units paid for.
    paid: u64,
    /// Units that are used, or in the hands of gateways.
    drawn: u64,
    /// Units that answers have used beyond what was paid for: the next top-up pays them first.
    owed: u64,
    /// Units that gateways can still draw.
    left: u64,
}

/// Units that were paid for at once.
#[derive(Serialize, ToSchema)]
#[schema(as = TopUp)]
pub(super) struct TopUpDocument {
    /// What the payment is known by.
    #[schema(example = "order-4711")]
    reference: String,
    /// What the units are of.
    meter: String,
    /// How many; negative: taken back.
    units: i64,
    /// Why, if that was said.
    #[schema(required = true)]
    reason: Option<String>,
    /// When they were added.
    added_at: Instant,
}

/// A tenant's credit, by meter, and what it was paid with.
#[derive(Serialize, ToSchema)]
#[schema(as = TenantCredit)]
pub(super) struct TenantCreditDocument {
    /// How it stands, by meter.
    credit: Vec<CreditDocument>,
    /// A page of top-ups, oldest first.
    top_ups: Vec<TopUpDocument>,
    /// Asks for the next page of top-ups; none if this is the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Units to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTopUp)]
pub(super) struct TopUpBody {
    /// What the units are of.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9_-]{1,64}$", example = "tokens")]
    meter: String,
    /// How many, not 0. Negative units take back what no gateway has drawn, with a `reason`.
    #[schema(minimum = -1_000_000_000_000_000_i64, maximum = 1_000_000_000_000_000_i64)]
    units: i64,
    /// What the payment is known by, such as an order number, 1 to 200 characters: the same one adds once. Each tenant has
    /// references of its own. Made up unless stated.
    #[schema(min_length = 1, max_length = 200, example = "order-4711")]
    reference: Option<String>,
    /// Why, 1 to 200 characters; needed to take units back.
    #[schema(min_length = 1, max_length = 200)]
    reason: Option<String>,
}

impl From<Credit> for CreditDocument {
    fn from(Credit { tenant: _, meter, paid, drawn, owed, left }: Credit) -> Self {
        Self { meter, paid, drawn, owed, left }
    }
}

impl From<TopUp> for TopUpDocument {
    fn from(TopUp { reference, tenant: _, meter, units, reason, added_at }: TopUp) -> Self {
        Self { reference, meter, units, reason, added_at: added_at.into() }
    }
}

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
    let ListDocument { items: top_ups, next_cursor } = ListDocument::of(LIST, store.top_ups_page(tenant, page).await?);
    Ok(Json(TenantCreditDocument { credit, top_ups, next_cursor }))
}

/// Add units to a tenant's prepaid credit, or take some back
///
/// The same top-up again, by its reference, changes nothing. Negative units correct a top-up that was a mistake. Credit is
/// made at the root: what a tenant further down grants moves from its own credit, and goes back there.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/credit",
    tag = "credit",
    request_body = TopUpBody,
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Names this top-up, which then happens once"),
    ),
    responses(
        (status = 201, description = "Added; how the credit for the meter stands", body = CreditDocument,
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
            let credit = credit.ok_or_else(|| Problem::new(ProblemCode::Internal, "the credit is gone"))?;
            Ok(idempotency::replayed(CreditDocument::from(credit)).into_response())
        }
    }
}
