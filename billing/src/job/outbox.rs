//! The job that clears the outbox of what was sent long ago.

use super::{JobError, JobWork};

/// Messages and events are kept this long after their end: 90 days.
const KEPT_SECONDS: i64 = 90 * 86_400;

/// Deletes messages that ended long ago, and events that no message tells of any more.
pub(super) async fn tidy(work: JobWork) -> Result<String, JobError> {
    let before = work.clock.now().plus_seconds(-KEPT_SECONDS);
    let (messages, events) = work.store.tidy_outbox(before).await?;
    Ok(format!("{messages} messages and {events} events deleted"))
}
