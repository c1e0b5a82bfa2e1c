//! The job that issues invoices.

use super::{JobError, JobWork};
use crate::{
    invoice::{IssueOptions, Missing, bills_due, issue_due, missing},
    reconcile::kafka_backlog,
};

/// Issues what is due, unless usage may be missing: then it fails, and is tried again. It computes for
/// long, so it has a thread of its own.
pub(super) async fn issue(work: JobWork) -> Result<String, JobError> {
    let runtime = tokio::runtime::Handle::current();
    let done = tokio::task::spawn_blocking(move || runtime.block_on(issue_all(&work))).await;
    done.unwrap_or_else(|panic| Err(JobError::Panic(panic.to_string())))
}

async fn issue_all(work: &JobWork) -> Result<String, JobError> {
    let (store, settings) = (&work.store, &work.settings);
    if !settings.invoices.automatic {
        return Ok("invoices.automatic is off".to_owned());
    }
    let now = work.clock.now();
    let grace_seconds = i64::from(settings.invoices.grace_minutes) * 60;
    let other = |error: &dyn std::error::Error| JobError::Other(error.to_string());
    let options = IssueOptions { now, grace_seconds, late_periods: settings.invoices.late_months };
    let mut found = missing(store, now.plus_seconds(-grace_seconds)).await?;
    let backlog = kafka_backlog(store, Some(&settings.ingest), settings.has_kafka).await;
    let backlog = backlog.map_err(|error| other(&error))?;
    found.extend(backlog.and_then(|backlog| backlog.incomplete()).map(Missing::Kafka));
    if !found.is_empty() {
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        let found = format!("usage may be missing: {}", found.join("; "));
        // In the middle of a period there is time for it to come.
        return match bills_due(store, options).await.map_err(|error| other(&error))? {
            0 => Ok(format!("nothing is due; {found}")),
            due => Err(JobError::Other(format!("{due} bills are due, and {found}"))),
        };
    }
    let run = issue_due(store, None, options).await.map_err(|error| other(&error))?;
    for invoice in &run.issued {
        tracing::info!(event = "invoice_issued", number = invoice.number, tenant = %invoice.tenant, total = %invoice.total);
    }
    if let Some(failed) = run.failed.first() {
        let (tenant, reason, others) = (failed.tenant, &failed.reason, run.failed.len() - 1);
        return Err(JobError::Other(format!("{tenant} is not billed: {reason}; and {others} others")));
    }
    Ok(format!("{} invoices issued", run.issued.len()))
}
