//! Gaps: numbers of a stream that were skipped or whose entries are lost, and the acceptance of
//! gaps that never fill.
//!
//! An accepted gap is one that nobody waits for any more. Its numbers stay known as missing, so
//! that an entry that turns up after all is booked, once, like any other. Quota that a gateway held
//! stays held back: nobody knows how much of it was used.

use std::ops::Range;

use serde::Serialize;
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use crate::{
    store::{
        Store, StoreError,
        row::{corrupt, count, instant, instant_or_null, parsed},
    },
    time::Micros,
    usage::StreamId,
};

/// Longest name of a person who accepts a gap, in characters.
const BY_MAX_CHARS: usize = 200;

/// Longest reason, in characters.
const REASON_MAX_CHARS: usize = 1_000;

/// Numbers `from..to` of a stream whose entries have not come, while later ones have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageGap {
    /// The stream.
    pub stream: StreamId,
    /// First missing number.
    pub from: u64,
    /// Number after the last missing one.
    pub to: u64,
    /// Time at which it was noticed; none for gaps older than this column.
    pub opened_at: Option<Micros>,
    /// True if the gateway reported the entries as lost; false if it skipped the numbers.
    pub lost: bool,
    /// Set once somebody has declared that the gap never fills.
    #[serde(rename = "settled", skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Acceptance>,
}

/// A declaration that missing usage will never come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Acceptance {
    /// Time of the declaration.
    pub at: Micros,
    /// Name of the person who declared it.
    pub by: String,
    /// Reason, as that person gave it.
    pub reason: String,
}

/// A gap as it was when it was accepted: some of its entries may have come since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AcceptedGap {
    /// Its number in the store.
    pub id: i64,
    /// The stream.
    pub stream: StreamId,
    /// First number that was missing.
    pub from: u64,
    /// Number after the last one.
    pub to: u64,
    /// True if the gateway had reported the entries as lost.
    pub lost: bool,
    /// The declaration.
    #[serde(flatten)]
    pub acceptance: Acceptance,
    /// Number of its numbers that are still missing.
    pub missing: u64,
}

macro_rules! gaps_where {
    ($rest:literal) => {
        concat!(
            "SELECT usage_gaps.stream, usage_gaps.from_seq, usage_gaps.to_seq, usage_gaps.opened_at, usage_gaps.lost, \
             settled_at, settled_by, reason FROM usage_gaps \
             LEFT JOIN usage_gap_settlements ON usage_gap_settlements.id = usage_gaps.settlement ",
            $rest
        )
    };
}

impl Store {
    /// Returns all gaps that are not filled, accepted ones too, by stream and number.
    pub async fn usage_gaps(&self) -> Result<Vec<UsageGap>, StoreError> {
        let rows = sqlx::query(gaps_where!("ORDER BY usage_gaps.stream, usage_gaps.from_seq"));
        rows.fetch_all(&self.pool).await?.iter().map(read_gap).collect()
    }

    /// Counts the gaps that are neither filled nor accepted.
    pub async fn open_gap_count(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT COUNT(*) AS gaps FROM usage_gaps WHERE settlement IS NULL");
        count(&row.fetch_one(&self.pool).await?, "gaps")
    }

    /// Accepts that the gap of exactly these numbers never fills or, without numbers, every gap of
    /// the stream that is not accepted yet. All or nothing; returns the gaps accepted now.
    ///
    /// Refused: an empty name or reason. A conflict: numbers that are not a gap (any more), a gap
    /// that is accepted already.
    pub async fn accept_gaps(
        &self,
        stream: &StreamId,
        numbers: Option<Range<u64>>,
        acceptance: Acceptance,
    ) -> Result<Vec<UsageGap>, StoreError> {
        check_acceptance(&acceptance)?;
        let mut write = self.begin_write().await?;
        let connection = write.connection();
        // A booking of the stream waits for this transaction, and this one for a booking.
        let locked = sqlx::query("UPDATE usage_streams SET updated_at = updated_at WHERE stream = $1")
            .bind(stream.to_string())
            .execute(&mut *connection)
            .await?;
        if locked.rows_affected() == 0 {
            return Err(StoreError::not_found("stream", stream));
        }
        let rows = sqlx::query(gaps_where!("WHERE usage_gaps.stream = $1 ORDER BY usage_gaps.from_seq"))
            .bind(stream.to_string())
            .fetch_all(&mut *connection)
            .await?;
        let gaps = rows.iter().map(read_gap).collect::<Result<Vec<_>, _>>()?;
        let mut chosen = choose(gaps, numbers.as_ref())?;
        for gap in &mut chosen {
            accept(&mut *connection, gap, &acceptance).await?;
            gap.accepted = Some(acceptance.clone());
        }
        write.commit().await?;
        Ok(chosen)
    }

    /// Returns every gap that was ever accepted, oldest first.
    pub async fn accepted_gaps(&self) -> Result<Vec<AcceptedGap>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, usage_gap_settlements.stream, usage_gap_settlements.from_seq, usage_gap_settlements.to_seq, \
             usage_gap_settlements.lost, settled_at, settled_by, reason, \
             CAST(COALESCE((SELECT SUM(usage_gaps.to_seq - usage_gaps.from_seq) FROM usage_gaps \
             WHERE usage_gaps.settlement = usage_gap_settlements.id), 0) AS BIGINT) AS missing \
             FROM usage_gap_settlements ORDER BY id",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(AcceptedGap {
                    id: row.try_get("id")?,
                    stream: parsed(row, "stream")?,
                    from: count(row, "from_seq")?,
                    to: count(row, "to_seq")?,
                    lost: row.try_get::<i64, _>("lost")? != 0,
                    acceptance: read_acceptance(row, instant(row, "settled_at")?)?,
                    missing: count(row, "missing")?,
                })
            })
            .collect()
    }
}

/// Picks the gap of exactly these numbers or, without numbers, all gaps that are not accepted.
fn choose(gaps: Vec<UsageGap>, numbers: Option<&Range<u64>>) -> Result<Vec<UsageGap>, StoreError> {
    let Some(Range { start, end }) = numbers else {
        return Ok(gaps.into_iter().filter(|gap| gap.accepted.is_none()).collect());
    };
    let meant = gaps.into_iter().find(|gap| (gap.from, gap.to) == (*start, *end));
    let gap = meant.ok_or_else(|| StoreError::conflict(format!("{start}..{end} is not a gap of the stream now")))?;
    match gap.accepted {
        Some(before) => Err(StoreError::conflict(format!("the gap was accepted at {} by {}", before.at, before.by))),
        None => Ok(vec![gap]),
    }
}

async fn accept(connection: &mut AnyConnection, gap: &UsageGap, acceptance: &Acceptance) -> Result<(), StoreError> {
    let stored = |number: u64| i64::try_from(number).map_err(|error| corrupt("usage gap", error));
    let row = sqlx::query(
        "INSERT INTO usage_gap_settlements (stream, from_seq, to_seq, lost, settled_at, settled_by, reason) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
    )
    .bind(gap.stream.to_string())
    .bind(stored(gap.from)?)
    .bind(stored(gap.to)?)
    .bind(i64::from(gap.lost))
    .bind(acceptance.at.0)
    .bind(acceptance.by.clone())
    .bind(acceptance.reason.clone())
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query("UPDATE usage_gaps SET settlement = $1 WHERE stream = $2 AND from_seq = $3")
        .bind(row.try_get::<i64, _>(0)?)
        .bind(gap.stream.to_string())
        .bind(stored(gap.from)?)
        .execute(connection)
        .await?;
    Ok(())
}

fn read_gap(row: &AnyRow) -> Result<UsageGap, StoreError> {
    let accepted = instant_or_null(row, "settled_at")?.map(|at| read_acceptance(row, at)).transpose()?;
    Ok(UsageGap {
        stream: parsed(row, "stream")?,
        from: count(row, "from_seq")?,
        to: count(row, "to_seq")?,
        opened_at: instant_or_null(row, "opened_at")?,
        lost: row.try_get::<i64, _>("lost")? != 0,
        accepted,
    })
}

pub(super) fn read_acceptance(row: &AnyRow, at: Micros) -> Result<Acceptance, StoreError> {
    Ok(Acceptance { at, by: row.try_get("settled_by")?, reason: row.try_get("reason")? })
}

pub(super) fn check_acceptance(acceptance: &Acceptance) -> Result<(), StoreError> {
    check_text("name of who accepts it", &acceptance.by, BY_MAX_CHARS)?;
    check_text("reason", &acceptance.reason, REASON_MAX_CHARS)
}

fn check_text(what: &str, text: &str, most: usize) -> Result<(), StoreError> {
    let printable = !text.trim().is_empty() && !text.chars().any(char::is_control);
    if printable && text.chars().count() <= most {
        return Ok(());
    }
    Err(StoreError::refused(format!("the {what} must be 1 to {most} characters, without control characters")))
}
