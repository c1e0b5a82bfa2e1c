//! The statements of a booking.
//!
//! Statements that run alike on both engines are written once and compiled for each driver's
//! connection; a [`Ledger`] adds those that differ by engine, mostly for speed. Each expects to run
//! in one transaction.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
};

use sqlx::{AnyConnection, PgConnection, Row as _};

use super::{
    above::ParentSpan,
    borders::{Place, Turn},
    lease_close::LeaseClose,
    rows::{LeaseKey, QuarantineRow, RecordRow, RefusalKey, UsageKey, UsageTotal},
    stream::{Gap, StreamBook},
};
use crate::{
    id::TenantId,
    store::StoreError,
    time::Micros,
    usage::{dead_letters::NewDeadLetter, positions::Position},
};

/// Longest reason of a dead letter, in characters.
const REASON_MAX_CHARS: usize = 1_000;

/// Statements that run alike on both engines.
pub(super) trait Statements: Send {
    /// Moves a position on; false if it is elsewhere. Whoever else moves it waits until the
    /// transaction ends.
    async fn advance(&mut self, position: &Position, now: Micros) -> Result<bool, StoreError>;

    /// Returns a position.
    async fn position(&mut self, topic: &str, partition: i32) -> Result<Option<i64>, StoreError>;

    /// Keeps a dead letter, unless it is kept already.
    async fn keep_letter(&mut self, letter: &NewDeadLetter, now: Micros) -> Result<(), StoreError>;

    /// Resolves a dead letter, which must not be resolved yet.
    async fn resolve_open_letter(&mut self, id: i64, now: Micros) -> Result<(), StoreError>;

    /// Keeps an entry in quarantine.
    async fn set_aside(&mut self, row: &QuarantineRow<'_>, now: Micros) -> Result<(), StoreError>;

    /// Gaps that reach into `range`, in order.
    async fn open_gaps(&mut self, stream: &str, range: &Range<i64>) -> Result<Vec<Gap>, StoreError>;

    /// Forgets a gap.
    async fn close_gap(&mut self, stream: &str, gap: &Gap) -> Result<(), StoreError>;

    /// Remembers a gap.
    async fn open_gap(&mut self, stream: &str, gap: &Gap) -> Result<(), StoreError>;
}

/// Statements that differ by engine.
pub(super) trait Ledger: Statements + LeaseClose {
    /// Locks streams, in this order, until the transaction ends, and returns their marks; a new one
    /// begins at 0.
    async fn lock_streams(&mut self, streams: &[String], now: Micros) -> Result<HashMap<String, i64>, StoreError>;

    /// Clocks and places of tenants, as far as the store knows them.
    async fn places(&mut self, tenants: &BTreeSet<TenantId>) -> Result<HashMap<TenantId, Place>, StoreError>;

    /// The parents of tenants over time.
    async fn parents(&mut self, tenants: &BTreeSet<TenantId>) -> Result<Vec<ParentSpan>, StoreError>;

    /// Returns the changes of plans and parents of tenants after `before` and up to `last`, and
    /// every parent that these tenants ever had.
    async fn turns(
        &mut self,
        tenants: &BTreeSet<TenantId>,
        before: Micros,
        last: Micros,
    ) -> Result<Vec<Turn>, StoreError>;

    /// Writes the marks of locked streams and adds to their counters.
    async fn write_marks(&mut self, books: &[StreamBook]) -> Result<(), StoreError>;

    /// Writes records. That there are none twice is what the marks are for.
    async fn write_records(&mut self, records: &[RecordRow<'_>]) -> Result<(), StoreError>;

    /// Adds to rollups, in this order.
    async fn add_usage(&mut self, sums: &[(UsageKey<'_>, UsageTotal)]) -> Result<(), StoreError>;

    /// Adds to rollups of refusals, in this order.
    async fn add_refusals(&mut self, sums: &[(RefusalKey<'_>, i64)]) -> Result<(), StoreError>;

    /// Adds billed units to what lives have used of their leases, in this order, as far as there
    /// are such leases.
    async fn charge_leases(&mut self, charges: &[(LeaseKey<'_>, i64)]) -> Result<(), StoreError>;
}

macro_rules! statements_of {
    ($connection:ty) => {
        impl Statements for $connection {
            async fn advance(&mut self, position: &Position, now: Micros) -> Result<bool, StoreError> {
                let done = sqlx::query(
                    "INSERT INTO ingest_positions (topic, partition_no, next_offset, updated_at) \
                     VALUES ($1, $2, $3, $4) ON CONFLICT (topic, partition_no) DO UPDATE \
                     SET next_offset = excluded.next_offset, updated_at = excluded.updated_at \
                     WHERE ingest_positions.next_offset = $5",
                )
                .bind(position.topic.clone())
                .bind(i64::from(position.partition))
                .bind(position.to)
                .bind(now.0)
                .bind(position.from)
                .execute(self)
                .await?;
                Ok(done.rows_affected() == 1)
            }

            async fn position(&mut self, topic: &str, partition: i32) -> Result<Option<i64>, StoreError> {
                let row =
                    sqlx::query("SELECT next_offset FROM ingest_positions WHERE topic = $1 AND partition_no = $2")
                        .bind(topic.to_owned())
                        .bind(i64::from(partition))
                        .fetch_optional(self)
                        .await?;
                Ok(row.map(|row| row.try_get(0)).transpose()?)
            }

            async fn keep_letter(&mut self, letter: &NewDeadLetter, now: Micros) -> Result<(), StoreError> {
                sqlx::query(
                    "INSERT INTO dead_letters (topic, partition_no, message_offset, payload, reason, arrived_at) \
                     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (topic, partition_no, message_offset) DO NOTHING",
                )
                .bind(letter.topic.clone())
                .bind(i64::from(letter.partition))
                .bind(letter.offset)
                .bind(letter.payload.clone())
                .bind(storable(&letter.reason))
                .bind(now.0)
                .execute(self)
                .await?;
                Ok(())
            }

            async fn resolve_open_letter(&mut self, id: i64, now: Micros) -> Result<(), StoreError> {
                // Locks it, so that of two that replay the letter one finds it resolved.
                let row = sqlx::query(
                    "UPDATE dead_letters SET resolved_at = resolved_at WHERE id = $1 RETURNING resolved_at",
                )
                .bind(id)
                .fetch_optional(&mut *self)
                .await?
                .ok_or_else(|| StoreError::not_found("dead letter", &id))?;
                if let Some(resolved_at) = row.try_get::<Option<i64>, _>(0)? {
                    let at = Micros(resolved_at);
                    return Err(StoreError::refused(format!("dead letter {id} was resolved at {at}")));
                }
                sqlx::query("UPDATE dead_letters SET resolved_at = $1 WHERE id = $2")
                    .bind(now.0)
                    .bind(id)
                    .execute(self)
                    .await?;
                Ok(())
            }

            async fn set_aside(&mut self, row: &QuarantineRow<'_>, now: Micros) -> Result<(), StoreError> {
                let QuarantineRow { stream, seq, kind, at, tenant, key, route, meter, .. } = *row;
                sqlx::query(
                    "INSERT INTO usage_quarantine (stream, seq, kind, at, tenant_id, key_id, route, meter, units, status, \
                     mode, billable, prepaid, reason, arrived_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
                )
                .bind(stream.to_owned())
                .bind(seq)
                .bind(kind)
                .bind(at.0)
                .bind(tenant.to_string())
                .bind(key.to_string())
                .bind(route.to_owned())
                .bind(meter.to_owned())
                .bind(row.units)
                .bind(row.status)
                .bind(row.mode.to_string())
                .bind(i64::from(row.billable))
                .bind(i64::from(row.prepaid))
                .bind(row.reason.as_str())
                .bind(now.0)
                .execute(self)
                .await?;
                Ok(())
            }

            async fn open_gaps(&mut self, stream: &str, range: &Range<i64>) -> Result<Vec<Gap>, StoreError> {
                let rows = sqlx::query(
                    "SELECT from_seq, to_seq, opened_at, lost, settlement FROM usage_gaps \
                     WHERE stream = $1 AND from_seq < $2 AND to_seq > $3 ORDER BY from_seq",
                )
                .bind(stream.to_owned())
                .bind(range.end)
                .bind(range.start)
                .fetch_all(self)
                .await?;
                rows.iter()
                    .map(|row| {
                        let (range, opened_at) = (row.try_get(0)?..row.try_get(1)?, row.try_get(2)?);
                        Ok(Gap { range, opened_at, lost: row.try_get::<i64, _>(3)? != 0, acceptance: row.try_get(4)? })
                    })
                    .collect()
            }

            async fn close_gap(&mut self, stream: &str, gap: &Gap) -> Result<(), StoreError> {
                sqlx::query("DELETE FROM usage_gaps WHERE stream = $1 AND from_seq = $2")
                    .bind(stream.to_owned())
                    .bind(gap.range.start)
                    .execute(self)
                    .await?;
                Ok(())
            }

            async fn open_gap(&mut self, stream: &str, gap: &Gap) -> Result<(), StoreError> {
                sqlx::query(
                    "INSERT INTO usage_gaps (stream, from_seq, to_seq, opened_at, lost, settlement) \
                     VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(stream.to_owned())
                .bind(gap.range.start)
                .bind(gap.range.end)
                .bind(gap.opened_at)
                .bind(i64::from(gap.lost))
                .bind(gap.acceptance)
                .execute(self)
                .await?;
                Ok(())
            }
        }
    };
}

statements_of!(AnyConnection);
statements_of!(PgConnection);

/// A reason as any engine can hold it: what made a message unreadable may be in it.
fn storable(reason: &str) -> String {
    let printable = |character: char| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
    reason.chars().take(REASON_MAX_CHARS).map(printable).collect()
}
