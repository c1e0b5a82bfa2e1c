//! Streams of usage, by when something of them was booked last.

use sqlx::Row as _;

use crate::{
    store::{
        Store, StoreError,
        row::{count, instant},
    },
    time::Micros,
};

/// A stream, and when something of it was booked last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamHeard {
    /// The stream.
    pub stream: String,
    /// Entries that were booked, or are known to be missing.
    pub entries: u64,
    /// Time of the latest booking.
    pub updated_at: Micros,
}

impl Store {
    /// The streams that were heard of latest, at most `limit`.
    pub async fn streams_heard(&self, limit: u32) -> Result<Vec<StreamHeard>, StoreError> {
        let rows = sqlx::query(
            "SELECT stream, next_seq, updated_at FROM usage_streams ORDER BY updated_at DESC, stream LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let read = |row| {
            let (entries, updated_at) = (count(row, "next_seq")?, instant(row, "updated_at")?);
            Ok(StreamHeard { stream: row.try_get("stream")?, entries, updated_at })
        };
        rows.iter().map(read).collect()
    }
}
