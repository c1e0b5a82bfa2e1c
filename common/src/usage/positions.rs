//! Positions up to which a transport's partitions are booked.
//!
//! A position moves in the transaction that books what lies behind it, and only from where the
//! caller believes it to be: of two that book the same messages, one does.

use std::collections::BTreeMap;

use sqlx::{Row as _, any::AnyRow};

use crate::store::{Store, StoreError};

/// A step along one partition of a transport: the messages `from..to` are dealt with, by the
/// booking that carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Offset of the first message, where [`Store::position`] stood when it was read; 0 if it was
    /// `None`.
    pub from: i64,
    /// Offset after the last message.
    pub to: i64,
}

impl Store {
    /// Offset of the first message that is not dealt with; none before the first booking: begin at
    /// 0 then, or where the partition now begins.
    pub async fn position(&self, topic: &str, partition: i32) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query("SELECT next_offset FROM ingest_positions WHERE topic = $1 AND partition_no = $2")
            .bind(topic.to_owned())
            .bind(i64::from(partition))
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Offset of the first message of each partition that is not dealt with, for the partitions of
    /// which any is.
    pub async fn positions(&self, topic: &str) -> Result<BTreeMap<i32, i64>, StoreError> {
        let rows = sqlx::query("SELECT partition_no, next_offset FROM ingest_positions WHERE topic = $1")
            .bind(topic.to_owned())
            .fetch_all(&self.pool)
            .await?;
        let position = |row: &AnyRow| {
            let partition: i64 = row.try_get(0)?;
            let partition = i32::try_from(partition).map_err(|_| StoreError::Corrupt {
                what: "position",
                reason: format!("{partition} is not the number of a partition"),
            })?;
            Ok((partition, row.try_get(1)?))
        };
        rows.iter().map(position).collect()
    }

    /// Sets one partition of a topic, or all of them, back to 0, to book them again from the
    /// beginning, and says how many those were. What is booked already stays booked once; who is
    /// booking meanwhile is told [`StoreError::PositionMoved`].
    pub async fn reset_positions(&self, topic: &str, partition: Option<i32>) -> Result<u64, StoreError> {
        let mut write = self.begin_write().await?;
        let (first, last) = partition.map_or((0, i32::MAX), |partition| (partition, partition));
        // Set, not deleted: whoever still books from an old position would find none and make one
        // there.
        let done = sqlx::query(
            "UPDATE ingest_positions SET next_offset = 0 WHERE topic = $1 AND partition_no BETWEEN $2 AND $3",
        )
        .bind(topic.to_owned())
        .bind(i64::from(first))
        .bind(i64::from(last))
        .execute(write.connection())
        .await?;
        write.commit().await?;
        Ok(done.rows_affected())
    }
}
