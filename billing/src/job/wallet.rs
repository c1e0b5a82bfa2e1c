//! Jobs of wallets.

use super::{JobError, JobWork};

/// Takes out what has expired.
pub(super) async fn expire(work: JobWork) -> Result<String, JobError> {
    let expired = work.store.expire_money(work.clock.now()).await?;
    for one in &expired {
        tracing::info!(event = "credit_expired", grant = %one.grant, tenant = %one.tenant, amount = %one.amount);
    }
    Ok(format!("{} grants expired", expired.len()))
}

/// Asks for top-ups of wallets that are below their threshold.
pub(super) async fn request_top_ups(work: JobWork) -> Result<String, JobError> {
    let asked = work.store.request_top_ups(work.clock.now()).await?;
    for one in &asked {
        tracing::info!(event = "top_up_requested", top_up = %one.id, tenant = %one.tenant, amount = %one.amount);
    }
    Ok(format!("{} top-ups requested", asked.len()))
}
