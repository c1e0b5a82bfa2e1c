//! The job that counts budgets.

use super::{JobError, JobWork};
use crate::budget::count_all;

/// Counts all budgets. It computes for long, so it has a thread of its own.
pub(super) async fn count(work: JobWork) -> Result<String, JobError> {
    let runtime = tokio::runtime::Handle::current();
    let counting = move || runtime.block_on(count_all(&work.store, work.clock.now()));
    let done = tokio::task::spawn_blocking(counting).await;
    let done = done.map_err(|panic| JobError::Panic(panic.to_string()))?;
    let counted = done.map_err(|error| JobError::Other(error.to_string()))?;
    for noted in &counted.noted {
        let set = &noted.budget.set;
        let spent = noted.budget.standing.map(|standing| standing.spent.to_string());
        tracing::info!(
            event = "budget_reached",
            tenant = %set.tenant,
            scope = %set.scope,
            amount = %set.amount,
            spent,
            percents = ?noted.reached,
            refused = noted.budget.is_refusing(),
        );
    }
    // A run that failed would come again later and later, for the budgets of everybody.
    if let Some(reason) = counted.failed {
        tracing::warn!(event = "budget_not_counted", reason);
        return Ok(format!("{} budgets counted; not counted: {reason}", counted.counted));
    }
    Ok(format!("{} budgets counted", counted.counted))
}
