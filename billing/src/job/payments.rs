//! The job that collects payments.

use super::{JobError, JobWork};
use crate::payment::{
    collect, follow_due, follow_due_disputes, follow_due_payouts, follow_due_refunds, handle_open, look_for_missed,
};

/// Age of an event, in seconds, from which on the job handles it: whoever took it had its chance.
const EVENT_AGE_SECONDS: i64 = 60;

/// Handles events that are left, asks about what has not ended, and begins new attempts.
pub(super) async fn collect_all(work: JobWork) -> Result<String, JobError> {
    let (store, providers, now) = (&work.store, &work.settings.providers, work.clock.now());
    let handled = handle_open(store, providers, now.plus_seconds(-EVENT_AGE_SECONDS), now).await?;
    let followed = follow_due(store, providers, now).await?
        + follow_due_refunds(store, providers, now).await?
        + follow_due_disputes(store, providers, now).await?
        + follow_due_payouts(store, providers, now).await?;
    look_for_missed(store, providers, now).await?;
    let done = collect(store, providers, now).await?;
    let (begun, steps) = (done.begun, done.steps);
    Ok(format!("{begun} attempts begun, {followed} followed, {handled} events handled, {steps} steps of dunning"))
}
