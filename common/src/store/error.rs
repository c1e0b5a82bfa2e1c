//! Errors of the store, in words that tell an operator what to do.

use std::time::Duration;

use sqlx::{error::DatabaseError, sqlite::SqliteError};

use super::migrate::missing_steps;

/// The reason why the store refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL is not one of a store.
    #[error("`{url}` is not a store: use sqlite://path/to/file.db or postgres://user@host/database")]
    Url {
        /// The URL, without its password.
        url: String,
    },
    /// The database cannot be reached or opened.
    #[error("cannot open the store {url}: {reason}")]
    Unavailable {
        /// The URL, without its password.
        url: String,
        /// Error of the driver.
        reason: String,
    },
    /// The schema is older than this program.
    #[error(
        "the store's schema has version {found}, this program needs {needed} (pending: {}): run `billing migrate`",
        missing_steps(*.found)
    )]
    SchemaOlder {
        /// Version found; 0 is an empty database.
        found: i64,
        /// Version that this program was built for.
        needed: i64,
    },
    /// The schema is newer than this program.
    #[error(
        "the store's schema has version {found}, this program knows only {known}: run the program of the version that migrated it, or a newer one"
    )]
    SchemaNewer {
        /// Version found.
        found: i64,
        /// Latest version that this program knows.
        known: i64,
    },
    /// The database may not be written to.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// Another process holds the database for too long.
    #[error("the store is locked by another process: {0}")]
    Locked(String),
    /// The thing asked for does not exist.
    #[error("no {what} {id}")]
    NotFound {
        /// `tenant`, `plan`, `key` or `dead letter`.
        what: &'static str,
        /// The id that was asked for.
        id: String,
    },
    /// The request breaks a rule whatever the store holds, or the database takes no such values: a
    /// repetition is refused again.
    #[error("{0}")]
    Refused(String),
    /// The request contradicts the present state of the store; it may succeed once that has
    /// changed.
    #[error("{0}")]
    Conflict(String),
    /// Somebody has changed the thing since the caller read it.
    #[error("{what} {id} has changed since: it is at revision {found}, not {expected}")]
    Stale {
        /// `tenant` or `key`.
        what: &'static str,
        /// Its id.
        id: String,
        /// The revision that the caller believed it to be at.
        expected: i64,
        /// The revision that it is at.
        found: i64,
    },
    /// The thing was created before, under the same idempotency key.
    #[error("created before, under the same idempotency key: {subject}")]
    Replayed {
        /// Its id.
        subject: String,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request: use a new one for each thing to be created")]
    IdempotencyMismatch,
    /// A transport's position is not where the caller believes it to be: somebody else books the
    /// same messages.
    #[error("{topic}/{partition} is booked up to {found}, not {expected}: another process books it, or it was reset")]
    PositionMoved {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Position that the caller expected.
        expected: i64,
        /// Position in the store.
        found: i64,
    },
    /// A stored value does not make sense: somebody else wrote it.
    #[error("the store holds an invalid {what}: {reason}")]
    Corrupt {
        /// Kind of value that was read.
        what: &'static str,
        /// Reason why it makes no sense.
        reason: String,
    },
    /// Anything else the driver said.
    #[error("store: {0}")]
    Database(sqlx::Error),
}

impl StoreError {
    /// Returns true if the schema is one that this program does not know, older or newer.
    pub const fn is_misfit(&self) -> bool {
        matches!(self, Self::SchemaOlder { .. } | Self::SchemaNewer { .. })
    }

    /// Returns true if the database was not reached, so that any other question would have failed
    /// as well.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Database(error) => match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                // A server that goes away while a connection is greeted.
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => true,
                // A server that shuts down or starts up, and a connection that broke.
                sqlx::Error::Database(error) => {
                    error.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08"))
                }
                _ => false,
            },
            Self::Url { .. }
            | Self::SchemaOlder { .. }
            | Self::SchemaNewer { .. }
            | Self::ReadOnly(_)
            | Self::Locked(_)
            | Self::NotFound { .. }
            | Self::Refused(_)
            | Self::Conflict(_)
            | Self::Stale { .. }
            | Self::Replayed { .. }
            | Self::IdempotencyMismatch
            | Self::PositionMoved { .. }
            | Self::Corrupt { .. } => false,
        }
    }

    /// `what` of this id is not there.
    pub(crate) fn not_found(what: &'static str, id: &impl std::fmt::Display) -> Self {
        Self::NotFound { what, id: id.to_string() }
    }

    /// Refuses what is not at the expected revision, if one is expected.
    pub(crate) fn unless_current(
        what: &'static str,
        id: &impl std::fmt::Display,
        found: i64,
        expected: Option<i64>,
    ) -> Result<(), Self> {
        match expected.filter(|expected| *expected != found) {
            Some(expected) => Err(Self::Stale { what, id: id.to_string(), expected, found }),
            None => Ok(()),
        }
    }

    /// A request that contradicts the present state of the store.
    pub(crate) fn conflict(reason: impl Into<String>) -> Self {
        Self::Conflict(reason.into())
    }

    /// The store did not answer in time.
    pub(crate) fn no_answer(within: Duration) -> Self {
        let reason = format!("no answer within {} ms", within.as_millis());
        Self::Database(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, reason)))
    }

    /// A request that breaks a rule by itself.
    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(reason.into())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else {
            return Self::Database(error);
        };
        let message = database.message().to_owned();
        match Fault::of(database) {
            Fault::Locked => Self::Locked(message),
            Fault::ReadOnly => Self::ReadOnly(message),
            Fault::SumOverflow => Self::Refused("a sum would exceed what the store can hold".into()),
            Fault::Values => Self::Refused(format!("the database refuses it: {message}")),
            Fault::Other => Self::Database(error),
        }
    }
}

/// Meaning of an engine's code, as far as an operator has to act on it.
enum Fault {
    Locked,
    ReadOnly,
    SumOverflow,
    /// Values that break a constraint, or that no column can hold.
    Values,
    Other,
}

impl Fault {
    fn of(error: &dyn DatabaseError) -> Self {
        let code = error.code().unwrap_or_default();
        if error.try_downcast_ref::<SqliteError>().is_some() {
            return code.parse().map_or(Self::Other, Self::of_sqlite);
        }
        match &*code {
            // Not to be had in time, one of two that waited for each other, or read before another
            // wrote: the same again may succeed.
            "55P03" | "40P01" | "40001" => Self::Locked,
            "25006" => Self::ReadOnly,
            "22003" => Self::SumOverflow,
            // Data exceptions, and violations of integrity constraints.
            code if code.starts_with("22") || code.starts_with("23") => Self::Values,
            _ => Self::Other,
        }
    }

    /// The low byte is the primary code, the rest says more about it.
    const fn of_sqlite(code: i32) -> Self {
        const BUSY: i32 = 5;
        const LOCKED: i32 = 6;
        const READONLY: i32 = 8;
        const TOOBIG: i32 = 18;
        const CONSTRAINT: i32 = 19;
        const MISMATCH: i32 = 20;
        // A number column is given a float, which only an overflowing sum is.
        const CONSTRAINT_DATATYPE: i32 = 3_091;
        match (code, code & 0xff) {
            (CONSTRAINT_DATATYPE, _) => Self::SumOverflow,
            (_, BUSY | LOCKED) => Self::Locked,
            (_, READONLY) => Self::ReadOnly,
            (_, TOOBIG | CONSTRAINT | MISMATCH) => Self::Values,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_of_values_are_refusals() {
        // Too big, a check that does not hold, not unique, refused by a trigger, of another type.
        for code in [18, 275, 2_067, 1_811, 20] {
            assert!(matches!(Fault::of_sqlite(code), Fault::Values), "{code}");
        }
        // An error of the disk, a full one, a damaged file, no memory.
        for code in [10, 13, 11, 7] {
            assert!(matches!(Fault::of_sqlite(code), Fault::Other), "{code}");
        }
        assert!(matches!(Fault::of_sqlite(3_091), Fault::SumOverflow));
    }
}
