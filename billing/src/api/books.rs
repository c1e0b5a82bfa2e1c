//! `/v1/books`: what is open in the books, and whether they add up. The books are those of the whole
//! installation, so a root reads them only where it is the only one.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::{
        books::{BooksAuditDocument, BooksDocument, JobDocument, StreamDocument},
        problem::ProblemCode,
    },
    tenant::TenantKind,
    usage::heard::StreamHeard,
};

use super::services::Services;
use crate::{
    access::Caller,
    problem::Problem,
    reconcile::{ReconcileError, reconcile},
};

/// Most streams that are shown.
const STREAMS_MAX: u32 = 100;

/// Seconds of a day.
const DAY_SECONDS: i64 = 86_400;

/// Show the state of the books
///
/// Counts of all that somebody has to act on, jobs, and messages that wait. Open to the root of an
/// installation with one root.
#[utoipa::path(
    get,
    operation_id = "books",
    path = "/v1/books",
    tag = "operations",
    responses((status = 200, description = "The state", body = BooksDocument)),
)]
pub(super) async fn show(
    State(services): State<Arc<Services>>,
    caller: Caller,
) -> Result<Json<BooksDocument>, Problem> {
    require_only_root(&services, &caller).await?;
    let (store, now) = (&services.store, services.clock.now());
    let stream =
        |StreamHeard { stream, entries, updated_at }| StreamDocument { stream, entries, updated_at: updated_at.into() };
    Ok(Json(BooksDocument {
        as_of: now.into(),
        open_gaps: store.open_gap_count().await?,
        lost_journals: store.lost_life_count().await?,
        dead_letters: store.dead_letter_count().await?,
        quarantined: store.quarantine_count().await?,
        streams: store.streams_heard(STREAMS_MAX).await?.into_iter().map(stream).collect(),
        jobs: store.jobs().await?.into_iter().map(|job| JobDocument::of(job, now)).collect(),
        outbox: store.outbox_depth().await?.into_iter().map(Into::into).collect(),
        given_up_messages: store.given_up_messages(now.plus_seconds(-DAY_SECONDS)).await?,
    }))
}

/// Reconcile the books
///
/// Compares entries acknowledged, stored and summed up, and ledger, wallets, invoices and payments
/// with each other, as `billing audit` does. It reads all of them, and changes nothing. Open to the
/// root of an installation with one root.
#[utoipa::path(
    get,
    operation_id = "audit_books",
    path = "/v1/books/audit",
    tag = "operations",
    responses((status = 200, description = "The result", body = BooksAuditDocument)),
)]
pub(super) async fn audit(
    State(services): State<Arc<Services>>,
    caller: Caller,
) -> Result<Json<BooksAuditDocument>, Problem> {
    require_only_root(&services, &caller).await?;
    let now = services.clock.now();
    let report = reconcile(&services.store, None).await.map_err(|error| match error {
        ReconcileError::Store(error) => Problem::from(error),
        ReconcileError::Period { .. } => Problem::new(ProblemCode::Internal, error.to_string()),
    })?;
    let streams = u64::try_from(report.streams.len()).unwrap_or(u64::MAX);
    Ok(Json(BooksAuditDocument { as_of: now.into(), clean: report.clean, streams, faults: report.faults() }))
}

/// Refuses a root beside which there is another one.
pub(super) async fn require_only_root(services: &Services, caller: &Caller) -> Result<(), Problem> {
    if caller.principal.tenant.is_none() || services.store.root_count().await? <= 1 {
        return Ok(());
    }
    let detail = format!(
        "these are the books of several tenants of kind {}: only who runs the installation reads them, by `billing audit` \
         and /metrics",
        TenantKind::Root
    );
    Err(Problem::new(ProblemCode::Forbidden, detail))
}
