//! Numbers that streams have skipped.

use serde::Serialize;

use super::{
    Store, StoreError,
    row::{count, instant_or_null, parsed},
};
use crate::{time::Micros, usage::StreamId};

/// Numbers `from..to` of a stream that have not come, while later ones have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageGap {
    /// The stream.
    pub stream: StreamId,
    /// First missing number.
    pub from: u64,
    /// Number after the last missing one.
    pub to: u64,
    /// When it was noticed; none for gaps of before this was written down.
    pub opened_at: Option<Micros>,
}

impl Store {
    /// All open gaps, by stream and number.
    pub async fn usage_gaps(&self) -> Result<Vec<UsageGap>, StoreError> {
        let rows = sqlx::query("SELECT stream, from_seq, to_seq, opened_at FROM usage_gaps ORDER BY stream, from_seq")
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(UsageGap {
                    stream: parsed(row, "stream")?,
                    from: count(row, "from_seq")?,
                    to: count(row, "to_seq")?,
                    opened_at: instant_or_null(row, "opened_at")?,
                })
            })
            .collect()
    }
}
