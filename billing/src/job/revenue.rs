//! The job that makes deferred revenue, once it is earned, revenue.

use super::{JobError, JobWork};

/// Recognizes what was earned in months that have ended.
pub(super) async fn recognize(work: JobWork) -> Result<String, JobError> {
    let done = work.store.recognize_revenue(work.clock.now()).await?;
    if done.postings > 0 {
        tracing::info!(event = "revenue_recognized", invoices = done.invoices, postings = done.postings);
    }
    Ok(format!("{} postings for {} invoices", done.postings, done.invoices))
}
