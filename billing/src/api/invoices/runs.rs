//! `/v1/invoice-drafts` and `/v1/invoice-runs`: what the invoices of the current periods would be, and
//! runs that issue those that are due.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::{
        invoice::{
            DraftSummaryDocument, DraftsDocument, FailedBillDocument, IssuedDocument, NewRunBody, PeriodDocument,
            RunDocument,
        },
        problem::ProblemCode,
    },
    id::TenantId,
    store::{Store, StoreError},
    time::Micros,
};

use crate::{
    access::Caller,
    api::{body::Body, books::require_only_root, services::Services},
    invoice::{
        FailedDraft, Invoice, InvoiceError, IssueOptions, IssuedInvoice, Missing, PeriodChoice, Run, draft, issue_due,
        missing,
    },
    job::JobSettings,
    problem::Problem,
    reconcile::kafka_backlog,
};

/// List the drafts of the current periods
///
/// Of all payers, by the usage that is booked so far. Open to the root of an installation with one
/// root.
#[utoipa::path(
    get,
    operation_id = "drafts",
    path = "/v1/invoice-drafts",
    tag = "invoices",
    responses((status = 200, description = "The drafts", body = DraftsDocument)),
)]
pub(in crate::api) async fn drafts(
    State(services): State<Arc<Services>>,
    caller: Caller,
) -> Result<Json<DraftsDocument>, Problem> {
    require_only_root(&services, &caller).await?;
    let (store, now) = (services.store.clone(), services.clock.now());
    let drafts = aside(async move { draft(&store, PeriodChoice::Holding(now), None).await }).await?;
    let drafts = drafts.map_err(problem)?;
    Ok(Json(DraftsDocument {
        as_of: now.into(),
        drafts: drafts.invoices.into_iter().map(summary).collect(),
        failed: drafts.failed.into_iter().map(failed).collect(),
    }))
}

/// Issue what is due
///
/// As `billing run` does: the invoices of all periods that have ended for long enough. A conflict if
/// usage may be missing. The same again issues nothing. Open to the root of an installation with one
/// root.
#[utoipa::path(
    post,
    operation_id = "run",
    path = "/v1/invoice-runs",
    tag = "invoices",
    request_body = NewRunBody,
    responses((status = 200, description = "The result", body = RunDocument)),
)]
pub(in crate::api) async fn run(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Body(NewRunBody { tenant }): Body<NewRunBody>,
) -> Result<Json<RunDocument>, Problem> {
    require_only_root(&services, &caller).await?;
    if let Some(tenant) = tenant {
        caller.store().tenant(tenant).await?;
    }
    let settings = Arc::clone(&services.settings);
    let (store, now) = (services.store.clone(), services.clock.now());
    let run = aside(async move { issue(&store, &settings, tenant, now).await }).await??;
    Ok(Json(RunDocument {
        issued: run.issued.into_iter().map(issued).collect(),
        not_due: u64::try_from(run.not_due.len()).unwrap_or(u64::MAX),
        failed: run.failed.into_iter().map(failed).collect(),
    }))
}

async fn issue(store: &Store, settings: &JobSettings, only: Option<TenantId>, now: Micros) -> Result<Run, Problem> {
    let grace_seconds = i64::from(settings.invoices.grace_minutes) * 60;
    let mut found = missing(store, now.plus_seconds(-grace_seconds)).await?;
    let backlog = kafka_backlog(store, Some(&settings.ingest), settings.has_kafka).await;
    let backlog = backlog.map_err(|error| Problem::new(ProblemCode::KafkaUnavailable, error.to_string()))?;
    found.extend(backlog.and_then(|backlog| backlog.incomplete()).map(Missing::Kafka));
    if !found.is_empty() {
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        let detail = format!("nothing was issued, as usage may be missing: {}", found.join("; "));
        return Err(Problem::new(ProblemCode::Conflict, detail));
    }
    let options = IssueOptions { now, grace_seconds, late_periods: settings.invoices.late_months };
    issue_due(store, only, options).await.map_err(problem)
}

/// Does work that computes for long on a thread of its own.
pub(super) async fn aside<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Problem> {
    let runtime = tokio::runtime::Handle::current();
    let done = tokio::task::spawn_blocking(move || runtime.block_on(work)).await;
    done.map_err(|error| Problem::new(ProblemCode::Internal, error.to_string()))
}

fn summary(draft: Invoice) -> DraftSummaryDocument {
    DraftSummaryDocument {
        issuer: draft.issuer,
        tenant: draft.tenant,
        tenant_name: draft.tenant_name,
        plan: draft.plan,
        period: PeriodDocument { zone: Some(draft.zone.name().into()), ..PeriodDocument::from(draft.window) },
        currency: draft.currency.code().into(),
        subtotal: draft.total.into(),
    }
}

fn issued(invoice: IssuedInvoice) -> IssuedDocument {
    IssuedDocument {
        id: invoice.id,
        number: invoice.number,
        tenant: invoice.tenant,
        tenant_name: invoice.tenant_name,
        currency: invoice.total.currency().code().into(),
        total: invoice.total.into(),
    }
}

pub(super) fn failed(draft: FailedDraft) -> FailedBillDocument {
    FailedBillDocument { tenant: draft.tenant, tenant_name: draft.tenant_name, reason: draft.reason }
}

pub(super) fn problem(error: InvoiceError) -> Problem {
    match error {
        InvoiceError::Store(error) => error.into(),
        error => StoreError::Conflict(error.to_string()).into(),
    }
}
