//! The job that tells of API keys that are about to expire.

use super::{JobError, JobWork};

/// Tells of keys that expire within 7 days.
pub(super) async fn tell_expiring(work: JobWork) -> Result<String, JobError> {
    let mut told = 0;
    loop {
        match work.store.tell_expiring_keys(work.clock.now()).await? {
            0 => return Ok(format!("{told} keys are about to expire")),
            more => told += more,
        }
    }
}
