//! Completeness of the ingest: whether all usage of a period is booked, as far as anybody knows.

use std::fmt;

use common::{
    store::{Store, StoreError},
    time::Micros,
    usage::Life,
};

/// A reason for which usage may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// Numbers of streams that have not come.
    Gaps(u64),
    /// Journals that are gone.
    LostLives(u64),
    /// Batches that could not be booked.
    DeadLetters(u64),
    /// Usage that was set aside.
    Quarantine(u64),
    /// A gateway that has not said that its usage up to the end is handed in.
    Gateway {
        /// The life of the gateway.
        life: Life,
        /// The instant up to which it has.
        until: Option<Micros>,
    },
    /// Messages in Kafka that are not booked, in words.
    Kafka(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gaps(count) => write!(formatter, "{count} gaps are open (billing gaps list)"),
            Self::LostLives(count) => write!(formatter, "{count} journals of gateways are gone (billing gaps lives)"),
            Self::DeadLetters(count) => {
                write!(formatter, "{count} dead letters are not resolved (billing dead-letters list)")
            }
            Self::Quarantine(count) => write!(formatter, "{count} records are in quarantine (billing quarantine list)"),
            Self::Gateway { life, until: None } => {
                write!(formatter, "gateway {life} has not said up to when its usage is handed in")
            }
            Self::Gateway { life, until: Some(until) } => {
                write!(formatter, "gateway {life} has handed in its usage up to {until} only")
            }
            Self::Kafka(backlog) => formatter.pad(backlog),
        }
    }
}

/// The reasons for which usage from before `end` may be missing; none if it is all booked.
pub async fn missing(store: &Store, end: Micros) -> Result<Vec<Missing>, StoreError> {
    let counts = [
        Missing::Gaps(store.open_gap_count().await?),
        Missing::LostLives(store.lost_life_count().await?),
        Missing::DeadLetters(store.dead_letter_count().await?),
        Missing::Quarantine(store.quarantine_count().await?),
    ];
    let mut found: Vec<Missing> = counts.into_iter().filter(|missing| !missing.is_nothing()).collect();
    let behind = store.lives_behind(end).await?;
    found.extend(behind.into_iter().map(|(life, until)| Missing::Gateway { life, until }));
    Ok(found)
}

impl Missing {
    const fn is_nothing(&self) -> bool {
        match self {
            Self::Gaps(count) | Self::LostLives(count) | Self::DeadLetters(count) | Self::Quarantine(count) => {
                *count == 0
            }
            Self::Gateway { .. } | Self::Kafka(_) => false,
        }
    }
}
