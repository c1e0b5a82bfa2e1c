//! Numbers of streams that came without their entries, or not at all, and what was declared of those that never will.
//!
//! To settle a gap says that nobody waits for its entries any more. Its numbers stay known as missing, so that an entry
//! that turns up after all is booked, once, like any other. Quota that a gateway held stays held back: nobody knows what
//! was used.

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

/// Longest name of who settles a gap, in characters.
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
    /// When it was noticed; none for gaps of before this was written down.
    pub opened_at: Option<Micros>,
    /// Whether the gateway said that it has lost the entries; else it skipped the numbers.
    pub lost: bool,
    /// Who has declared that it will never be filled, if somebody has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settling>,
}

/// That somebody declared a gap to be one for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settling {
    /// When.
    pub at: Micros,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What was declared, as it was then: some of it may have come since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GapSettlement {
    /// Its number in the store.
    pub id: i64,
    /// The stream.
    pub stream: StreamId,
    /// First number that was missing.
    pub from: u64,
    /// Number after the last one.
    pub to: u64,
    /// Whether the gateway had said that it has lost the entries.
    pub lost: bool,
    /// Who, when and why.
    #[serde(flatten)]
    pub settling: Settling,
    /// Numbers of it that are still missing.
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
    /// All gaps that are not filled, settled ones too, by stream and number.
    pub async fn usage_gaps(&self) -> Result<Vec<UsageGap>, StoreError> {
        let rows = sqlx::query(gaps_where!("ORDER BY usage_gaps.stream, usage_gaps.from_seq"));
        rows.fetch_all(&self.pool).await?.iter().map(read_gap).collect()
    }

    /// Number of gaps that are neither filled nor settled.
    pub async fn open_gap_count(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT COUNT(*) AS gaps FROM usage_gaps WHERE settlement IS NULL");
        count(&row.fetch_one(&self.pool).await?, "gaps")
    }

    /// Declares that the gap of exactly these numbers will never be filled, or with none, every gap of the stream that is
    /// not settled yet. All or nothing; gives what was settled.
    ///
    /// Refused: an empty name or reason. A conflict: numbers that are not a gap (any more), a gap that is settled already.
    pub async fn settle_gaps(
        &self,
        stream: &StreamId,
        numbers: Option<Range<u64>>,
        settling: Settling,
    ) -> Result<Vec<UsageGap>, StoreError> {
        check_settling(&settling)?;
        let mut write = self.begin_write().await?;
        let connection = write.connection();
        // Whoever books the stream waits until it is settled, and the other way round.
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
            settle(&mut *connection, gap, &settling).await?;
            gap.settled = Some(settling.clone());
        }
        write.commit().await?;
        Ok(chosen)
    }

    /// Everything that was ever declared of gaps, oldest first.
    pub async fn gap_settlements(&self) -> Result<Vec<GapSettlement>, StoreError> {
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
                Ok(GapSettlement {
                    id: row.try_get("id")?,
                    stream: parsed(row, "stream")?,
                    from: count(row, "from_seq")?,
                    to: count(row, "to_seq")?,
                    lost: row.try_get::<i64, _>("lost")? != 0,
                    settling: read_settling(row, instant(row, "settled_at")?)?,
                    missing: count(row, "missing")?,
                })
            })
            .collect()
    }
}

/// The gaps that are meant.
fn choose(gaps: Vec<UsageGap>, numbers: Option<&Range<u64>>) -> Result<Vec<UsageGap>, StoreError> {
    let Some(Range { start, end }) = numbers else {
        return Ok(gaps.into_iter().filter(|gap| gap.settled.is_none()).collect());
    };
    let meant = gaps.into_iter().find(|gap| (gap.from, gap.to) == (*start, *end));
    let gap = meant.ok_or_else(|| StoreError::conflict(format!("{start}..{end} is not a gap of the stream now")))?;
    match gap.settled {
        Some(settled) => Err(StoreError::conflict(format!("the gap was settled at {} by {}", settled.at, settled.by))),
        None => Ok(vec![gap]),
    }
}

async fn settle(connection: &mut AnyConnection, gap: &UsageGap, settling: &Settling) -> Result<(), StoreError> {
    let stored = |number: u64| i64::try_from(number).map_err(|error| corrupt("usage gap", error));
    let row = sqlx::query(
        "INSERT INTO usage_gap_settlements (stream, from_seq, to_seq, lost, settled_at, settled_by, reason) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
    )
    .bind(gap.stream.to_string())
    .bind(stored(gap.from)?)
    .bind(stored(gap.to)?)
    .bind(i64::from(gap.lost))
    .bind(settling.at.0)
    .bind(settling.by.clone())
    .bind(settling.reason.clone())
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
    let settled = instant_or_null(row, "settled_at")?.map(|at| read_settling(row, at)).transpose()?;
    Ok(UsageGap {
        stream: parsed(row, "stream")?,
        from: count(row, "from_seq")?,
        to: count(row, "to_seq")?,
        opened_at: instant_or_null(row, "opened_at")?,
        lost: row.try_get::<i64, _>("lost")? != 0,
        settled,
    })
}

pub(super) fn read_settling(row: &AnyRow, at: Micros) -> Result<Settling, StoreError> {
    Ok(Settling { at, by: row.try_get("settled_by")?, reason: row.try_get("reason")? })
}

pub(super) fn check_settling(settling: &Settling) -> Result<(), StoreError> {
    check_text("name of who settles it", &settling.by, BY_MAX_CHARS)?;
    check_text("reason", &settling.reason, REASON_MAX_CHARS)
}

fn check_text(what: &str, text: &str, most: usize) -> Result<(), StoreError> {
    let printable = !text.trim().is_empty() && !text.chars().any(char::is_control);
    if printable && text.chars().count() <= most {
        return Ok(());
    }
    Err(StoreError::refused(format!("the {what} must be 1 to {most} characters, without control characters")))
}
