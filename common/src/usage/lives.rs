//! Lives of gateways, and the lives whose journal is gone.
//!
//! A life ends once its journal was handed over to its end and the process that did so has said so
//! here. A later life of the same gateway says when it finds no earlier journal any more. An older
//! life that is not drained by then is lost: usage in its journal, if any, is on no bill. A lost
//! life is reported until somebody accepts it; should its journal turn up after all, it is drained
//! like any other.

use serde::Serialize;
use sqlx::any::AnyRow;

use super::gaps::{Acceptance, check_acceptance, read_acceptance};
use crate::{
    store::{
        Store, StoreError,
        row::{count, instant, instant_or_null, parsed},
    },
    time::Micros,
    usage::Life,
};

/// A life of a gateway whose journal was not where a later life of the gateway looked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostLife {
    /// The life, as its streams begin: `gateway/boot`.
    pub life: Life,
    /// Time at which it began.
    pub began_at: Micros,
    /// Time at which a later life had looked for its journal.
    pub noticed_at: Micros,
    /// Entries of the life that are booked: they came before the journal was gone.
    pub booked: u64,
    /// Set once somebody has accepted that the journal is gone.
    #[serde(rename = "settled", skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Acceptance>,
}

/// Lives that are not drained, although a later one of the same gateway has found every journal
/// that there is. An entry that ends a stream of a life proves that its journal was found, too. `0`
/// follows `/`.
const LOST: &str = "SELECT life, began_at, settled_at, settled_by, reason, \
    (SELECT MIN(later.searched_at) FROM gateway_lives AS later \
    WHERE later.gateway = lost.gateway AND later.life > lost.life) AS noticed_at, \
    CAST(COALESCE((SELECT SUM(next_seq) FROM usage_streams \
    WHERE stream > lost.life || '/' AND stream < lost.life || '0'), 0) AS BIGINT) AS booked \
    FROM gateway_lives AS lost WHERE drained_at IS NULL \
    AND EXISTS (SELECT 1 FROM gateway_lives AS later WHERE later.gateway = lost.gateway AND later.life > lost.life \
    AND later.searched_at IS NOT NULL) \
    AND NOT EXISTS (SELECT 1 FROM usage_streams WHERE stream > lost.life || '/' AND stream < lost.life || '0' \
    AND end_entries > 0) ORDER BY life";

impl Store {
    /// Records that a life has begun. A second time changes nothing.
    pub async fn begin_life(&self, life: &Life, now: Micros) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO gateway_lives (life, gateway, began_at) VALUES ($1, $2, $3) ON CONFLICT (life) DO NOTHING",
        )
        .bind(life.to_string())
        .bind(life.gateway().to_owned())
        .bind(now.0)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Records that the journals of these lives were handed over to their ends.
    pub async fn end_lives(&self, lives: &[Life], now: Micros) -> Result<(), StoreError> {
        let mut write = self.begin_write().await?;
        for life in lives {
            sqlx::query(
                "INSERT INTO gateway_lives (life, gateway, began_at, drained_at) VALUES ($1, $2, $3, $3) \
                 ON CONFLICT (life) DO UPDATE SET drained_at = COALESCE(gateway_lives.drained_at, excluded.drained_at)",
            )
            .bind(life.to_string())
            .bind(life.gateway().to_owned())
            .bind(now.0)
            .execute(write.connection())
            .await?;
        }
        write.commit().await
    }

    /// Records that a life has drained every earlier journal that it could find.
    pub async fn no_journal_left(&self, life: &Life, now: Micros) -> Result<(), StoreError> {
        sqlx::query("UPDATE gateway_lives SET searched_at = COALESCE(searched_at, $1) WHERE life = $2")
            .bind(now.0)
            .bind(life.to_string())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Records that everything that a life recorded before `until` is acknowledged.
    pub async fn handed_in(&self, life: &Life, until: Micros) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE gateway_lives SET handed_in_until = $1 \
             WHERE life = $2 AND (handed_in_until IS NULL OR handed_in_until < $1)",
        )
        .bind(until.0)
        .bind(life.to_string())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Lives that began before `end` and have not handed in all usage from before it, each with the
    /// instant up to which it has, by life. Lives that are drained, or accepted as lost, have.
    pub async fn lives_behind(&self, end: Micros) -> Result<Vec<(Life, Option<Micros>)>, StoreError> {
        let rows = sqlx::query(
            "SELECT life, handed_in_until FROM gateway_lives \
             WHERE drained_at IS NULL AND settled_at IS NULL AND began_at < $1 \
             AND (handed_in_until IS NULL OR handed_in_until < $1) ORDER BY life",
        )
        .bind(end.0)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok((parsed(row, "life")?, instant_or_null(row, "handed_in_until")?))).collect()
    }

    /// Returns the lives whose journal is gone, accepted ones too, by life.
    pub async fn lost_lives(&self) -> Result<Vec<LostLife>, StoreError> {
        let rows = sqlx::query(LOST).fetch_all(&self.pool).await?;
        rows.iter().map(read).collect()
    }

    /// Counts the lost lives that nobody has accepted.
    pub async fn lost_life_count(&self) -> Result<u64, StoreError> {
        let lost = self.lost_lives().await?;
        Ok(lost.iter().filter(|lost| lost.accepted.is_none()).count() as u64)
    }

    /// Accepts that the journal of a life is gone. Refused: an empty name or reason. A conflict: a
    /// life that is not lost, or is accepted already.
    pub async fn accept_lost_life(&self, life: &Life, acceptance: &Acceptance) -> Result<LostLife, StoreError> {
        check_acceptance(acceptance)?;
        let lost = self.lost_lives().await?.into_iter().find(|lost| lost.life == *life);
        let lost = lost.ok_or_else(|| StoreError::not_found("lost life", life))?;
        let accepted = sqlx::query(
            "UPDATE gateway_lives SET settled_at = $1, settled_by = $2, reason = $3 WHERE life = $4 AND settled_at IS NULL",
        )
        .bind(acceptance.at.0)
        .bind(acceptance.by.clone())
        .bind(acceptance.reason.clone())
        .bind(life.to_string())
        .execute(&self.pool)
        .await?;
        if accepted.rows_affected() == 0 {
            return Err(StoreError::conflict(format!("the life {life} was accepted as lost already")));
        }
        Ok(LostLife { accepted: Some(acceptance.clone()), ..lost })
    }
}

fn read(row: &AnyRow) -> Result<LostLife, StoreError> {
    Ok(LostLife {
        life: parsed(row, "life")?,
        began_at: instant(row, "began_at")?,
        noticed_at: instant(row, "noticed_at")?,
        booked: count(row, "booked")?,
        accepted: instant_or_null(row, "settled_at")?.map(|at| read_acceptance(row, at)).transpose()?,
    })
}
