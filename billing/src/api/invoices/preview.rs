//! `/v1/tenants/{tenant}/invoice-preview`: the bill of the current period, and what a change of plan
//! would make of it.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::invoice::{DraftDocument, InvoiceLineDocument, PeriodDocument, PinnedPlanDocument, PreviewDocument},
    id::TenantId,
    money::Money,
    plan::{PlanId, subscription::PlanStart},
    store::StoreError,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    access::Caller,
    api::{
        parameters::{Named, Parameters, from_text},
        services::Services,
    },
    invoice::{Invoice, InvoiceError, preview},
    problem::Problem,
};

/// A change of plan to look at.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct PreviewParameters {
    /// The plan that the tenant would have from now on.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>, example = "business")]
    plan: Option<PlanId>,
    /// Its version; the latest unless stated.
    #[param(minimum = 1)]
    version: Option<i64>,
}

/// Preview a tenant's bill
///
/// Drafts of the current period by the usage that is booked so far; with `plan`, also as if the
/// tenant had that plan from now on, to the cent. Nothing is changed.
#[utoipa::path(
    get,
    operation_id = "preview",
    path = "/v1/tenants/{tenant}/invoice-preview",
    tag = "invoices",
    params(("tenant" = String, Path, description = "The tenant's id"), PreviewParameters),
    responses((status = 200, description = "The bill, and the changed bill", body = PreviewDocument)),
)]
pub(in crate::api) async fn show(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
    Parameters(PreviewParameters { plan, version }): Parameters<PreviewParameters>,
) -> Result<Json<PreviewDocument>, Problem> {
    let (store, now) = (caller.store(), services.clock.now());
    store.tenant(tenant).await?;
    // A bill is computed from the whole tree above and below, whoever looks at it.
    let whole = &services.store;
    let current = preview(whole, tenant, now, None).await.map_err(problem)?;
    let changed = match plan {
        None => None,
        Some(plan) => {
            let change = store.subscription_if_assigned(tenant, &plan, version, PlanStart::Now, now).await?;
            Some(preview(whole, tenant, now, Some(change)).await.map_err(problem)?)
        }
    };
    let difference = changed.as_ref().and_then(|changed| total(changed)?.checked_sub(total(&current)?).ok());
    Ok(Json(PreviewDocument {
        current: current.into_iter().map(document).collect(),
        changed: changed.map(|changed| changed.into_iter().map(document).collect()),
        difference: difference.map(Into::into),
    }))
}

/// The sum of drafts, if they have one currency.
fn total(drafts: &[Invoice]) -> Option<Money> {
    let (first, rest) = drafts.split_first()?;
    rest.iter().try_fold(first.total, |sum, draft| sum.checked_add(draft.total).ok())
}

fn document(draft: Invoice) -> DraftDocument {
    let lines = draft.lines.iter().map(|line| InvoiceLineDocument::of(line.frozen(), draft.currency));
    DraftDocument {
        issuer: draft.issuer,
        tenant: draft.tenant,
        lines: lines.collect(),
        plan: PinnedPlanDocument {
            owner: draft.issuer,
            id: draft.plan,
            name: draft.plan_name,
            version: draft.plan_version,
        },
        currency: draft.currency.code().into(),
        period: PeriodDocument { zone: Some(draft.zone.name().into()), ..PeriodDocument::from(draft.window) },
        counts: draft.counts.into(),
        subtotal: draft.total.into(),
    }
}

fn problem(error: InvoiceError) -> Problem {
    match error {
        InvoiceError::Store(error) => error.into(),
        error => StoreError::Conflict(error.to_string()).into(),
    }
}
