//! Messages that could not be booked, kept until somebody has looked at them.

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::{Row as _, any::AnyRow};

use super::booked::Booked;
use crate::{
    store::{
        Store, StoreError,
        row::{corrupt, count, instant, instant_or_null},
    },
    time::Micros,
    usage::{StreamId, UsageBatch},
};

/// A message that cannot be booked; [`super::booking::Booking`] carries it into the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDeadLetter {
    /// Topic it came through.
    pub topic: String,
    /// Partition of it.
    pub partition: i32,
    /// Offset in the partition. A letter is kept once per topic, partition and offset.
    pub offset: i64,
    /// The message as it came.
    pub payload: Vec<u8>,
    /// Reason why it cannot be booked.
    pub reason: String,
}

/// The partition of what is no message of a topic, as it came over HTTP or was taken out of one:
/// Kafka has none of this number.
const NO_PARTITION: i32 = -1;

impl NewDeadLetter {
    /// A batch that was handed in over HTTP on behalf of `origin`. The same bytes make the same
    /// letter however often they are handed in: in place of an offset they are known by their hash.
    pub fn of_http(origin: &str, payload: Vec<u8>, reason: String) -> Self {
        Self { topic: format!("http {origin}"), ..Self::by_hash(payload, reason) }
    }

    /// One entry that was taken out of its batch, which is booked without it; `payload` is a batch
    /// of it alone.
    pub fn of_entry(stream: &StreamId, payload: Vec<u8>, reason: String) -> Self {
        Self { topic: format!("entry {stream}"), ..Self::by_hash(payload, reason) }
    }

    /// A letter that is known by what it holds.
    fn by_hash(payload: Vec<u8>, reason: String) -> Self {
        let mut head = [0; 8];
        head.copy_from_slice(&Sha256::digest(&payload)[..8]);
        let offset = i64::from_be_bytes(head) & i64::MAX;
        Self { topic: String::new(), partition: NO_PARTITION, offset, payload, reason }
    }
}

/// A message that could not be booked, without its payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// Its number in the store.
    pub id: i64,
    /// Topic it came through.
    pub topic: String,
    /// Partition of it.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Size of the payload.
    pub payload_bytes: u64,
    /// Reason why it could not be booked.
    pub reason: String,
    /// Time of arrival.
    pub arrived_at: Micros,
    /// Time at which it was replayed or discarded, if it was.
    pub resolved_at: Option<Micros>,
}

impl DeadLetter {
    /// Returns true if it is no message of a topic: it came over HTTP, or is an entry that was
    /// taken out of its batch. Its topic then names the sender.
    pub const fn is_no_message(&self) -> bool {
        self.partition == NO_PARTITION
    }
}

impl Store {
    /// Letters nobody has resolved, oldest first: up to `limit` of those whose id is beyond `after`
    /// (0 for the first).
    pub async fn dead_letters(&self, limit: u32, after: i64) -> Result<Vec<DeadLetter>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, topic, partition_no, message_offset, CAST(length(payload) AS BIGINT) AS payload_bytes, reason, arrived_at, \
             resolved_at FROM dead_letters WHERE resolved_at IS NULL AND id > $1 ORDER BY id LIMIT $2",
        )
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_letter).collect()
    }

    /// Counts the letters that nobody has resolved.
    pub async fn dead_letter_count(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT COUNT(*) AS letters FROM dead_letters WHERE resolved_at IS NULL")
            .fetch_one(&self.pool)
            .await?;
        count(&row, "letters")
    }

    /// One letter, resolved or not.
    pub async fn dead_letter(&self, id: i64) -> Result<DeadLetter, StoreError> {
        let row = sqlx::query(
            "SELECT id, topic, partition_no, message_offset, CAST(length(payload) AS BIGINT) AS payload_bytes, reason, arrived_at, \
             resolved_at FROM dead_letters WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await?
        .ok_or_else(|| StoreError::not_found("dead letter", &id))?;
        read_letter(&row)
    }

    /// The message of one letter, as it came.
    pub async fn dead_letter_payload(&self, id: i64) -> Result<Vec<u8>, StoreError> {
        let row = sqlx::query("SELECT payload FROM dead_letters WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await?
            .ok_or_else(|| StoreError::not_found("dead letter", &id))?;
        Ok(row.try_get(0)?)
    }

    /// Puts a letter aside without booking it. Doing so again changes nothing.
    pub async fn resolve_dead_letter(&self, id: i64, now: Micros) -> Result<(), StoreError> {
        let mut write = self.begin_write().await?;
        let done = sqlx::query("UPDATE dead_letters SET resolved_at = COALESCE(resolved_at, $1) WHERE id = $2")
            .bind(now.0)
            .bind(id)
            .execute(write.connection())
            .await?;
        write.commit().await?;
        if done.rows_affected() == 0 { Err(StoreError::not_found("dead letter", &id)) } else { Ok(()) }
    }

    /// Books the batch that a letter turned out to hold and resolves the letter, both or neither.
    /// Refused if it was resolved before.
    pub async fn replay_dead_letter(&self, id: i64, batch: &UsageBatch, now: Micros) -> Result<Booked, StoreError> {
        self.book_one(batch, Some(id), now).await
    }
}

fn read_letter(row: &AnyRow) -> Result<DeadLetter, StoreError> {
    let partition: i64 = row.try_get("partition_no")?;
    Ok(DeadLetter {
        id: row.try_get("id")?,
        topic: row.try_get("topic")?,
        partition: i32::try_from(partition).map_err(|error| corrupt("partition", error))?,
        offset: row.try_get("message_offset")?,
        payload_bytes: count(row, "payload_bytes")?,
        reason: row.try_get("reason")?,
        arrived_at: instant(row, "arrived_at")?,
        resolved_at: instant_or_null(row, "resolved_at")?,
    })
}
