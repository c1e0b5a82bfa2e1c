//! The trait of usage sinks.

use common::usage::UsageBatch;

use super::error::SinkError;

/// A destination of usage.
#[async_trait::async_trait]
pub trait UsageSink: Send + Sync + 'static {
    /// Delivers a batch. Returns the number after the highest entry of its stream that is booked.
    async fn deliver(&self, batch: &UsageBatch) -> Result<u64, SinkError>;

    /// Reason why the sink cannot be reached now, if it is known before a delivery fails.
    fn away(&self) -> Option<String> {
        None
    }

    /// Problem that an operator must solve before the sink takes anything, if it is known.
    fn problem(&self) -> Option<String> {
        None
    }
}
