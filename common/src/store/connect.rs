//! Opening the store.
//!
//! A connection is tried once by itself before there is a pool: a pool would repeat what cannot
//! succeed until its deadline, and then say no more than that it has passed.

use std::{sync::Arc, time::Duration};

use sqlx::{AnyConnection, Connection as _, PgPool, any::AnyPoolOptions, postgres::PgPoolOptions};
use tokio::sync::Mutex;

use super::{
    address::Address,
    error::StoreError,
    migrate::{self, Migrate, Migrated},
};
use crate::acting::Acting;

/// Most time to wait for a connection, to the server or out of the pool.
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);

/// Connections of one process; of SQLite, only one at a time writes.
const POOL_SIZE: u32 = 10;

/// FULL: what was acknowledged also survives a power cut; NORMAL would lose the last commits then.
/// The first pragma makes a writer wait for another process instead of failing at once.
const SQLITE_SETTINGS: &str = "PRAGMA busy_timeout = 10000; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON";

/// Settings of the connection that writes. SQLite's own wait looks less and less often, in the end
/// ten times a second: between two transactions of a process that writes all the time it would
/// hardly ever find a gap. So it gives up soon, and begins anew until [`LOCK_DEADLINE`] has passed.
const SQLITE_WRITER: &str = "PRAGMA busy_timeout = 10";

/// Most time that a writer of SQLite waits for other processes.
pub(crate) const LOCK_DEADLINE: Duration = Duration::from_secs(10);

/// The same wait as above, so that both engines tell `Locked` alike.
const POSTGRES_SETTINGS: &str = "SET lock_timeout = '10s'";

/// The database behind a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file, for one host.
    Sqlite,
    /// A server, for a fleet.
    Postgres,
}

impl Engine {
    /// The name in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// A pool of connections to a store whose schema fits this program.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: sqlx::AnyPool,
    pub(crate) engine: Engine,
    /// For booking, which is beyond what the portable driver can do fast; none on SQLite.
    pub(crate) postgres: Option<PgPool>,
    /// True if bookings keep a record of every request.
    pub(crate) keep_records: bool,
    /// Age limit of usage, in days before the current month; older usage is quarantined. None: any
    /// age is booked.
    pub(crate) late_days: Option<u32>,
    /// Pool of connections that write.
    pub(crate) write_pool: sqlx::AnyPool,
    /// SQLite's writers of one process queue here, in order; left to SQLite they would poll, and
    /// some would starve.
    pub(crate) writers: Arc<Mutex<()>>,
    /// On whose behalf: who is in the audit log, and what exists for them.
    pub(crate) acting: Arc<Acting>,
}

impl Store {
    /// Opens a store whose schema is up to date.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let address = Address::parse(url)?;
        let url = address.driver_url(false)?;
        let mut connection = connect(&address, &url).await?;
        let checked = migrate::check_version(&mut connection, address.engine).await;
        close(connection).await;
        checked.map_err(|error| at_opening(&address, error))?;
        Self::with_pool(&address, &url)
    }

    /// A store that is opened when it is first used: it may be down now. Nothing is checked but the
    /// URL.
    pub fn open_later(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let address = Address::parse(url)?;
        Self::with_pool(&address, &address.unchecked_driver_url())
    }

    /// Opens a store, creating the SQLite file and bringing the schema up to date first.
    pub async fn open_and_migrate(url: &str) -> Result<(Self, Migrated), StoreError> {
        Self::migrate(url, Migrate::Older).await
    }

    /// Opens a store whose schema is up to date. An empty one is set up first; one that is older is
    /// refused, and the error names the steps that it lacks.
    pub async fn open_or_create(url: &str) -> Result<(Self, Migrated), StoreError> {
        Self::migrate(url, Migrate::Empty).await
    }

    /// Returns the migration that [`Self::open_and_migrate`] would make. Nothing is created and
    /// nothing is changed.
    pub async fn pending(url: &str) -> Result<Migrated, StoreError> {
        let address = Address::parse(url)?;
        if address.is_missing_file() {
            return Ok(migrate::NOTHING);
        }
        let mut connection = connect(&address, &address.driver_url(false)?).await?;
        let pending = migrate::pending(&mut connection, address.engine).await;
        close(connection).await;
        pending.map_err(|error| at_opening(&address, error))
    }

    async fn migrate(url: &str, which: Migrate) -> Result<(Self, Migrated), StoreError> {
        let address = Address::parse(url)?;
        let url = address.driver_url(true)?;
        let mut connection = connect(&address, &url).await?;
        let migrated = migrate::migrate(&mut connection, address.engine, which).await;
        close(connection).await;
        let migrated = migrated.map_err(|error| at_opening(&address, error))?;
        Ok((Self::with_pool(&address, &url)?, migrated))
    }

    /// Returns the database engine.
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// The same store, used on somebody's behalf: changes are logged as theirs, and what is outside
    /// their scope is not there.
    #[must_use]
    pub fn acting_as(&self, acting: Acting) -> Self {
        Self { acting: Arc::new(acting), ..self.clone() }
    }

    /// Returns an error if the store does not answer.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT seq FROM change_head").execute(&self.pool).await?;
        Ok(())
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
        self.write_pool.close().await;
        if let Some(postgres) = &self.postgres {
            postgres.close().await;
        }
    }

    fn with_pool(address: &Address, url: &str) -> Result<Self, StoreError> {
        let pool_of = |size, settings: &[&'static str]| {
            let settings: Vec<_> = settings.to_vec();
            any_pool(size, settings, url).map_err(|error| at_opening(address, error.into()))
        };
        let settings = settings(address.engine);
        let pool = pool_of(POOL_SIZE, &[settings])?;
        let write_pool = match address.engine {
            Engine::Sqlite => pool_of(1, &[settings, SQLITE_WRITER])?,
            Engine::Postgres => pool.clone(),
        };
        let postgres = match address.engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(postgres_pool(url).map_err(|error| at_opening(address, error.into()))?),
        };
        let acting = Arc::new(Acting::program("tollgate"));
        let (engine, writers) = (address.engine, Arc::default());
        Ok(Self { pool, engine, postgres, keep_records: true, late_days: None, write_pool, writers, acting })
    }
}

/// Connections that are opened when they are first needed, each with these settings.
fn any_pool(size: u32, settings: Vec<&'static str>, url: &str) -> Result<sqlx::AnyPool, sqlx::Error> {
    AnyPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(CONNECT_DEADLINE)
        .after_connect(move |connection, _| {
            let settings = settings.clone();
            Box::pin(async move {
                for setting in settings {
                    sqlx::raw_sql(setting).execute(&mut *connection).await?;
                }
                Ok(())
            })
        })
        .connect_lazy(url)
}

/// Connections are opened by the first bookings: who does not book has none.
fn postgres_pool(url: &str) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(POOL_SIZE)
        .acquire_timeout(CONNECT_DEADLINE)
        .after_connect(|connection, _| {
            Box::pin(async move { sqlx::raw_sql(POSTGRES_SETTINGS).execute(connection).await.map(drop) })
        })
        .connect_lazy(url)
}

impl Store {
    /// A connection of its own to a store whose schema fits.
    pub(crate) async fn dedicated_connection(&self) -> Result<AnyConnection, StoreError> {
        let mut connection = AnyConnection::connect_with(&self.pool.connect_options()).await?;
        sqlx::raw_sql(settings(self.engine)).execute(&mut connection).await?;
        self.check_schema_of(&mut connection).await?;
        Ok(connection)
    }

    /// Refuses a connection to a store whose schema this program does not know.
    pub(crate) async fn check_schema_of(&self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        migrate::check_version(connection, self.engine).await
    }
}

const fn settings(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => SQLITE_SETTINGS,
        Engine::Postgres => POSTGRES_SETTINGS,
    }
}

async fn connect(address: &Address, url: &str) -> Result<AnyConnection, StoreError> {
    sqlx::any::install_default_drivers();
    let connecting = async {
        let mut connection = AnyConnection::connect(url).await?;
        sqlx::raw_sql(settings(address.engine)).execute(&mut connection).await?;
        Ok::<_, sqlx::Error>(connection)
    };
    match tokio::time::timeout(CONNECT_DEADLINE, connecting).await {
        Ok(connected) => connected.map_err(|error| at_opening(address, error.into())),
        Err(_) => Err(address.unavailable(format!("no answer within {} s", CONNECT_DEADLINE.as_secs()))),
    }
}

/// The connection has done its work: whether it says goodbye does not matter.
async fn close(connection: AnyConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "connection_not_closed");
    }
}

/// Adds the address to an error of opening, as the driver does not name it.
fn at_opening(address: &Address, error: StoreError) -> StoreError {
    match error {
        StoreError::Database(error) => address.unavailable(error.to_string()),
        other => other,
    }
}
