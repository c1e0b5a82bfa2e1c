//! Opening the store.

use super::StoreError;

/// The database behind a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file, for one host.
    Sqlite,
    /// A server, for a fleet.
    Postgres,
}

/// A pool of connections to a store whose schema fits this program.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) pool: sqlx::AnyPool,
    pub(super) engine: Engine,
}

impl Store {
    /// Opens a store whose schema is up to date.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let _ = url;
        todo!()
    }

    /// Opens a store, creating the SQLite file and bringing the schema up to date first.
    pub async fn open_and_migrate(url: &str) -> Result<(Self, super::Migrated), StoreError> {
        let _ = url;
        todo!()
    }

    /// Which database this is.
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// Whether the store answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        todo!()
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
