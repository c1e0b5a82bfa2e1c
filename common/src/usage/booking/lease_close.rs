//! Closing the leases of ended lives: units that a life held of quotas go back once every entry
//! that it wrote is booked.
//!
//! A life holds what it has drawn; what its records have used is added up as they are booked. It
//! may end without giving the rest back. Once all of its streams have ended and none has a gap,
//! what it has used is known to the unit, and the rest is nobody's: its leases go, in the
//! transaction that makes it known, so exactly once. As long as an entry is missing or lost,
//! nothing is given back: nobody knows what it used.

use sqlx::{AnyConnection, PgConnection, Row as _};

use super::{ledger::Ledger, rows::life_of, stream::StreamBook};
use crate::{quota::stand::Stand, store::StoreError, time::Micros};

/// A life that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClosedLife {
    life: String,
    outcome: Wholeness,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wholeness {
    /// All is booked: so many leases were closed, and so many units granted anew.
    Whole { leases: usize, units: i64 },
    /// One of its streams has not ended: there is more to come.
    Ending,
    /// All have ended, and there is a gap: what it holds is held back until that is filled.
    HeldBack,
}

/// Streams of a life.
pub(super) struct Streams {
    /// That have ended,
    ended: i64,
    /// and that have no gap either.
    whole: i64,
}

/// Units that a life drew of one quota, and what it used.
pub(super) struct EndedLease {
    tenant: String,
    meter: String,
    period: String,
    drawn: i64,
    used: i64,
}

/// The statements that close leases, the same on both engines.
pub(super) trait LeaseClose: Send {
    /// Locks a life, if it holds leases, and returns the number of its lanes. Of two that book the
    /// last entries of two lanes, the later one finds both.
    async fn lock_life(&mut self, life: &str) -> Result<Option<i64>, StoreError>;

    /// The streams of a life that have ended.
    async fn ended_streams(&mut self, life: &str) -> Result<Streams, StoreError>;

    /// Removes a life with its leases and gives what those were.
    async fn remove_life(&mut self, life: &str) -> Result<Vec<EndedLease>, StoreError>;

    /// Takes what was not used off what is granted, and returns how much that was; less than zero
    /// if more was used.
    async fn close(&mut self, lease: &EndedLease, now: Micros) -> Result<i64, StoreError>;
}

/// Closes the leases of every life of which the last entry may have been booked just now.
pub(super) async fn close_lives<L: Ledger>(
    ledger: &mut L,
    books: &[StreamBook],
    now: Micros,
) -> Result<Vec<ClosedLife>, StoreError> {
    let mut lives: Vec<_> = books.iter().filter(|book| book.may_be_whole()).map(|book| life_of(book.name())).collect();
    lives.sort_unstable();
    lives.dedup();
    let mut closed = Vec::new();
    for life in lives {
        let Some(lanes) = ledger.lock_life(life).await? else { continue };
        let Streams { ended, whole } = ledger.ended_streams(life).await?;
        let outcome = if ended < lanes {
            Wholeness::Ending
        } else if whole < ended {
            Wholeness::HeldBack
        } else {
            let mut leases = ledger.remove_life(life).await?;
            leases.sort_unstable_by(|one, other| {
                (&one.tenant, &one.meter, &one.period).cmp(&(&other.tenant, &other.meter, &other.period))
            });
            let mut units = 0;
            for lease in &leases {
                units += ledger.close(lease, now).await?;
            }
            Wholeness::Whole { leases: leases.len(), units }
        };
        closed.push(ClosedLife { life: life.to_owned(), outcome });
    }
    Ok(closed)
}

impl ClosedLife {
    /// Tells what became of it; to be called once that lasts.
    pub(super) fn log(&self) {
        let life = &*self.life;
        match self.outcome {
            Wholeness::Whole { leases, units } => tracing::info!(event = "quota_life_closed", life, leases, units),
            Wholeness::Ending => {}
            Wholeness::HeldBack => {
                tracing::warn!(event = "quota_units_held_back", life, reason = "usage of it is missing or lost");
            }
        }
    }
}

/// Returns the state of a quota once `drawn` units have become `used`: unused units go back; units
/// used beyond are granted afterwards up to the limit, and owed beyond it.
fn closed(mut stand: Stand, drawn: i64, used: i64) -> Stand {
    if used > drawn {
        stand.owe(used - drawn);
    } else {
        stand.give_back(drawn - used);
    }
    stand
}

macro_rules! lease_close_of {
    ($connection:ty) => {
        impl LeaseClose for $connection {
            async fn lock_life(&mut self, life: &str) -> Result<Option<i64>, StoreError> {
                let row = sqlx::query("UPDATE quota_lives SET lanes = lanes WHERE life = $1 RETURNING lanes")
                    .bind(life.to_owned())
                    .fetch_optional(self)
                    .await?;
                Ok(row.map(|row| row.try_get(0)).transpose()?)
            }

            async fn ended_streams(&mut self, life: &str) -> Result<Streams, StoreError> {
                // `0` follows `/`: between the two are the names that begin with the life.
                let row = sqlx::query(
                    "SELECT COUNT(*), COUNT(CASE WHEN EXISTS \
                     (SELECT 1 FROM usage_gaps WHERE usage_gaps.stream = usage_streams.stream) THEN NULL ELSE 1 END) \
                     FROM usage_streams WHERE stream > $1 AND stream < $2 AND end_entries > 0",
                )
                .bind(format!("{life}/"))
                .bind(format!("{life}0"))
                .fetch_one(self)
                .await?;
                Ok(Streams { ended: row.try_get(0)?, whole: row.try_get(1)? })
            }

            async fn remove_life(&mut self, life: &str) -> Result<Vec<EndedLease>, StoreError> {
                let rows = sqlx::query(
                    "DELETE FROM quota_leases WHERE life = $1 RETURNING tenant_id, meter, period, drawn, used",
                )
                .bind(life.to_owned())
                .fetch_all(&mut *self)
                .await?;
                sqlx::query("DELETE FROM quota_lives WHERE life = $1").bind(life.to_owned()).execute(self).await?;
                rows.iter()
                    .map(|row| {
                        Ok(EndedLease {
                            tenant: row.try_get(0)?,
                            meter: row.try_get(1)?,
                            period: row.try_get(2)?,
                            drawn: row.try_get(3)?,
                            used: row.try_get(4)?,
                        })
                    })
                    .collect()
            }

            async fn close(&mut self, lease: &EndedLease, now: Micros) -> Result<i64, StoreError> {
                let row = sqlx::query(
                    "UPDATE quota_grants SET updated_at = $1 WHERE tenant_id = $2 AND meter = $3 AND period = $4 \
                     RETURNING granted, limit_units, owed",
                )
                .bind(now.0)
                .bind(lease.tenant.clone())
                .bind(lease.meter.clone())
                .bind(lease.period.clone())
                .fetch_one(&mut *self)
                .await?;
                let before = Stand { granted: row.try_get(0)?, limit: row.try_get(1)?, owed: row.try_get(2)? };
                let after = closed(before, lease.drawn, lease.used);
                sqlx::query(
                    "UPDATE quota_grants SET granted = $1, owed = $2 \
                     WHERE tenant_id = $3 AND meter = $4 AND period = $5",
                )
                .bind(after.granted)
                .bind(after.owed)
                .bind(lease.tenant.clone())
                .bind(lease.meter.clone())
                .bind(lease.period.clone())
                .execute(self)
                .await?;
                Ok(before.granted - after.granted)
            }
        }
    };
}

lease_close_of!(AnyConnection);
lease_close_of!(PgConnection);

#[cfg(test)]
mod tests {
    use super::*;

    const fn stand(granted: i64, limit: i64, owed: i64) -> Stand {
        Stand { granted, limit, owed }
    }

    #[test]
    fn closed_lease_leaves_used_units_granted() {
        assert_eq!(closed(stand(100, 100, 0), 60, 20), stand(60, 100, 0));
        assert_eq!(closed(stand(100, 100, 0), 60, 60), stand(100, 100, 0));
        assert_eq!(closed(stand(100, 50, 0), 60, 20), stand(60, 50, 0), "a limit that was lowered does not matter");
        assert_eq!(closed(stand(100, 100, 7), 60, 50), stand(97, 100, 0), "what comes back pays the debt");
    }

    #[test]
    fn usage_beyond_drawn_is_granted_to_limit_and_owed_beyond() {
        assert_eq!(closed(stand(40, 100, 0), 10, 50), stand(80, 100, 0));
        assert_eq!(closed(stand(90, 100, 0), 10, 50), stand(100, 100, 30));
        assert_eq!(closed(stand(90, 50, 0), 10, 50), stand(90, 50, 40));
    }
}
