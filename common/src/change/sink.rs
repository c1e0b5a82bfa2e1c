//! Positions up to which the change log was passed on to other systems, by the name of the sink.

use sqlx::Row as _;

use crate::{
    store::{
        Store, StoreError,
        change_log::{self, Change},
        row::instant,
    },
    time::Micros,
};

/// A change that is to be passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatedChange {
    /// The change.
    pub change: Change,
    /// Time of the change, by the clock of the process that made it.
    pub at: Micros,
}

impl Store {
    /// Number of the first change that was not passed on to `sink`; 1 if none was.
    pub async fn sink_position(&self, sink: &str) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT next_seq FROM change_sinks WHERE name = $1")
            .bind(sink)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map_or(Ok(1), |row| row.try_get("next_seq"))?)
    }

    /// Up to `limit` changes from number `next_seq` on, in order.
    pub async fn changes_from(&self, next_seq: i64, limit: u32) -> Result<Vec<DatedChange>, StoreError> {
        let rows = sqlx::query("SELECT seq, kind, subject, at FROM changes WHERE seq >= $1 ORDER BY seq LIMIT $2")
            .bind(next_seq)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| Ok(DatedChange { change: change_log::read(row)?, at: instant(row, "at")? })).collect()
    }

    /// Everything before `next_seq` was passed on to `sink`; nothing moves back.
    pub async fn advance_sink(&self, sink: &str, next_seq: i64, now: Micros) -> Result<(), StoreError> {
        let mut write = self.begin_write().await?;
        sqlx::query(
            "INSERT INTO change_sinks (name, next_seq, updated_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE \
             SET next_seq = excluded.next_seq, updated_at = excluded.updated_at \
             WHERE change_sinks.next_seq < excluded.next_seq",
        )
        .bind(sink)
        .bind(next_seq)
        .bind(now.0)
        .execute(write.connection())
        .await?;
        write.commit().await
    }
}
