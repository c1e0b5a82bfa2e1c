//! Which numbers of a stream are booked: a mark below which all are, but for open gaps.
//!
//! This is what makes booking exactly once for ever: it does not depend on how long records are kept, and is as small
//! as the stream has gaps.

use std::ops::Range;

use sqlx::{AnyConnection, Row as _};

use super::{
    StoreError,
    insert::{Value, insert_rows},
};
use crate::time::Micros;

/// What a batch may book of its range, and where the stream then stands.
#[derive(Debug)]
pub(super) struct Claim {
    /// Numbers that were not booked, in order.
    pub(super) fresh: Vec<Range<i64>>,
    /// Numbers that the batch skipped.
    pub(super) gap: Range<i64>,
    /// The mark afterwards.
    pub(super) next_seq: i64,
}

impl Claim {
    /// How many numbers were not booked.
    pub(super) fn fresh_count(&self) -> u64 {
        self.fresh.iter().map(|range| range.end.abs_diff(range.start)).sum()
    }
}

/// Claims what is not booked yet of `range`, which is not empty. The stream is locked until the transaction ends.
pub(super) async fn claim(
    connection: &mut AnyConnection,
    stream: &str,
    range: Range<i64>,
    now: Micros,
) -> Result<Claim, StoreError> {
    let mark = lock(&mut *connection, stream, now).await?;
    let mut fresh = Vec::new();
    if range.start < mark {
        fresh = fill_gaps(&mut *connection, stream, range.start..range.end.min(mark)).await?;
    }
    if range.end <= mark {
        return Ok(Claim { fresh, gap: mark..mark, next_seq: mark });
    }
    let gap = mark..range.start.max(mark);
    fresh.push(gap.end..range.end);
    if !gap.is_empty() {
        insert_gaps(&mut *connection, stream, std::slice::from_ref(&gap)).await?;
    }
    sqlx::query("UPDATE usage_streams SET next_seq = $1 WHERE stream = $2")
        .bind(range.end)
        .bind(stream)
        .execute(connection)
        .await?;
    Ok(Claim { fresh, gap, next_seq: range.end })
}

/// Locks the stream, which begins at 0 if it is new, and gives its mark.
async fn lock(connection: &mut AnyConnection, stream: &str, now: Micros) -> Result<i64, StoreError> {
    let row = sqlx::query(
        "INSERT INTO usage_streams (stream, next_seq, updated_at) VALUES ($1, 0, $2) \
         ON CONFLICT (stream) DO UPDATE SET updated_at = excluded.updated_at RETURNING next_seq",
    )
    .bind(stream)
    .bind(now.0)
    .fetch_one(connection)
    .await?;
    Ok(row.try_get("next_seq")?)
}

/// Takes `range` out of the open gaps and gives what of it was in one.
async fn fill_gaps(
    connection: &mut AnyConnection,
    stream: &str,
    range: Range<i64>,
) -> Result<Vec<Range<i64>>, StoreError> {
    let rows = sqlx::query(
        "SELECT from_seq, to_seq FROM usage_gaps WHERE stream = $1 AND from_seq < $2 AND to_seq > $3 ORDER BY from_seq",
    )
    .bind(stream)
    .bind(range.end)
    .bind(range.start)
    .fetch_all(&mut *connection)
    .await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut filled = Vec::with_capacity(rows.len());
    let mut left = Vec::new();
    for row in &rows {
        let gap = row.try_get::<i64, _>("from_seq")?..row.try_get::<i64, _>("to_seq")?;
        let inside = gap.start.max(range.start)..gap.end.min(range.end);
        left.extend([gap.start..inside.start, inside.end..gap.end].into_iter().filter(|rest| !rest.is_empty()));
        filled.push(inside);
    }
    sqlx::query("DELETE FROM usage_gaps WHERE stream = $1 AND from_seq < $2 AND to_seq > $3")
        .bind(stream)
        .bind(range.end)
        .bind(range.start)
        .execute(&mut *connection)
        .await?;
    insert_gaps(connection, stream, &left).await?;
    Ok(filled)
}

async fn insert_gaps(connection: &mut AnyConnection, stream: &str, gaps: &[Range<i64>]) -> Result<(), StoreError> {
    let rows: Vec<_> = gaps
        .iter()
        .map(|gap| [Value::Text(stream.to_owned()), Value::Number(gap.start), Value::Number(gap.end)])
        .collect();
    insert_rows(connection, "INSERT INTO usage_gaps (stream, from_seq, to_seq)", "", &rows).await
}
