//! Retention on SQLite: records are deleted some thousand at a time, so that bookings get their
//! turn in between.

use sqlx::{AnyConnection, Row as _};

use super::{Bound, Day, Dropped, leave_numbers};
use crate::{
    store::{Store, StoreError},
    time::Micros,
};

/// Records per transaction.
const CHUNK: i64 = 5_000;

/// Records of a chunk: old enough, and between two keys.
const RECORDS: &str = "usage_records WHERE at < $1 AND (stream, seq) > ($2, $3) AND (stream, seq) <= ($4, $5)";

/// The key of a record.
#[derive(Debug, Clone, Default)]
struct Key {
    stream: String,
    seq: i64,
}

/// Drops the records of all days before `allowed`.
pub(super) async fn drop_before(store: &Store, allowed: Day, wanted: Day) -> Result<Dropped, StoreError> {
    let before = |day: Day| day.start().0;
    let days = days_with_records(store, i64::MIN, before(allowed)).await?;
    let unbilled = days_with_records(store, before(allowed), before(wanted)).await?;
    let mut dropped = Dropped { days, records: 0, unbilled };
    let mut from = Key::default();
    loop {
        let mut write = store.begin_write().await?;
        let Some(to) = end_of_chunk(write.connection(), before(allowed), &from).await? else {
            return Ok(dropped);
        };
        let bounds = [
            Bound::Number(before(allowed)),
            Bound::Text(&from.stream),
            Bound::Number(from.seq),
            Bound::Text(&to.stream),
            Bound::Number(to.seq),
        ];
        leave_numbers(write.connection(), RECORDS, &bounds).await?;
        let delete = sqlx::query(
            "DELETE FROM usage_records WHERE at < $1 AND (stream, seq) > ($2, $3) AND (stream, seq) <= ($4, $5)",
        );
        let done = bounds.iter().fold(delete, Bound::bind).execute(write.connection()).await?;
        write.commit().await?;
        dropped.records += done.rows_affected();
        from = to;
    }
}

async fn days_with_records(store: &Store, from: i64, to: i64) -> Result<Vec<Micros>, StoreError> {
    if from >= to {
        return Ok(Vec::new());
    }
    let rows = sqlx::query("SELECT DISTINCT at / 3600000000 FROM usage_records WHERE at >= $1 AND at < $2")
        .bind(from)
        .bind(to)
        .fetch_all(&store.pool)
        .await?;
    let mut days = Vec::with_capacity(rows.len());
    for row in rows {
        let hour: i64 = row.try_get(0)?;
        days.push(Day::of(Micros(hour.saturating_mul(3_600 * Micros::PER_SECOND))).start());
    }
    days.sort_unstable();
    days.dedup();
    Ok(days)
}

/// The last key of the next chunk; none if there are no more records to drop.
async fn end_of_chunk(connection: &mut AnyConnection, before: i64, from: &Key) -> Result<Option<Key>, StoreError> {
    let row = sqlx::query(
        "SELECT stream, seq FROM (SELECT stream, seq FROM usage_records \
         WHERE at < $1 AND (stream, seq) > ($2, $3) ORDER BY stream, seq LIMIT $4) \
         ORDER BY stream DESC, seq DESC LIMIT 1",
    )
    .bind(before)
    .bind(from.stream.clone())
    .bind(from.seq)
    .bind(CHUNK)
    .fetch_optional(connection)
    .await?;
    row.map(|row| Ok(Key { stream: row.try_get(0)?, seq: row.try_get(1)? })).transpose()
}
