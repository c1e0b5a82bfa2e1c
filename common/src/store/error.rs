//! What can go wrong with the store, told so that an operator knows what to do.

/// Why the store did not do what was asked.
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
        /// What the driver said.
        reason: String,
    },
    /// The schema is older than this program.
    #[error("the store's schema has version {found}, this program needs {needed}: run `billing migrate`")]
    SchemaOlder {
        /// Version found; 0 is an empty database.
        found: i64,
        /// Version that this program was built for.
        needed: i64,
    },
    /// The schema is newer than this program.
    #[error("the store's schema has version {found}, this program knows only {known}: run a newer program")]
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
    /// What was asked for is not there.
    #[error("no {what} {id}")]
    NotFound {
        /// `tenant`, `plan` or `key`.
        what: &'static str,
        /// The id that was asked for.
        id: String,
    },
    /// The change would break a rule.
    #[error("{0}")]
    Refused(String),
    /// A stored value does not make sense: somebody else wrote it.
    #[error("the store holds an invalid {what}: {reason}")]
    Corrupt {
        /// What was being read.
        what: &'static str,
        /// Why it makes no sense.
        reason: String,
    },
    /// Anything else the driver said.
    #[error("store: {0}")]
    Database(sqlx::Error),
}
