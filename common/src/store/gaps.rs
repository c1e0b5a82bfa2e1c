//! Numbers of streams that came without their entries, or not at all.

use serde::Serialize;
use sqlx::Row as _;

use super::{
    Store, StoreError,
    row::{count, instant_or_null, parsed},
};
use crate::{time::Micros, usage::StreamId};

/// Numbers `from..to` of a stream whose entries have not come, while later ones have.
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
    /// Whether the gateway said that it has lost the entries; else it skipped the numbers.
    pub lost: bool,
}

impl Store {
    /// All open gaps, by stream and number.
    pub async fn usage_gaps(&self) -> Result<Vec<UsageGap>, StoreError> {
        let rows =
            sqlx::query("SELECT stream, from_seq, to_seq, opened_at, lost FROM usage_gaps ORDER BY stream, from_seq")
                .fetch_all(&self.pool)
                .await?;
        rows.iter()
            .map(|row| {
                Ok(UsageGap {
                    stream: parsed(row, "stream")?,
                    from: count(row, "from_seq")?,
                    to: count(row, "to_seq")?,
                    opened_at: instant_or_null(row, "opened_at")?,
                    lost: row.try_get::<i64, _>("lost")? != 0,
                })
            })
            .collect()
    }
}
