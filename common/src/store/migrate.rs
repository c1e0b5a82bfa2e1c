//! Bringing the schema up to date.
//!
//! All steps that are missing run in one transaction that first takes a lock, so that of two
//! processes one does the work and the other finds it done, and a step that fails leaves nothing
//! behind.

use std::time::{Duration, Instant};

use sqlx::{AnyConnection, Connection as _, Row as _};

use super::{connect::Engine, error::StoreError};

/// Versions of the schema before and after a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Migrated {
    /// Schema version before; 0 is an empty database.
    pub from: i64,
    /// Schema version after.
    pub to: i64,
}

impl Migrated {
    /// Names of the steps between the two versions, in their order.
    pub fn steps(&self) -> impl Iterator<Item = &'static str> {
        let (from, to) = (self.from, self.to);
        MIGRATIONS.iter().filter(move |step| step.version > from && step.version <= to).map(|step| step.name)
    }
}

/// Stores that may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Migrate {
    /// Only empty stores. An older store with content is refused.
    Empty,
    /// All that are older.
    Older,
}

/// One step of the schema. A step that was released never changes.
struct Migration {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! migration {
    ($version:literal, $name:literal) => {
        Migration {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../../../migrations/postgres/", $name, ".sql")),
        }
    };
}

const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001_base"),
    migration!(2, "0002_ingest"),
    migration!(3, "0003_lost_usage"),
    migration!(4, "0004_limit_bank"),
    migration!(5, "0005_quotas"),
    migration!(6, "0006_gap_settlements"),
    migration!(7, "0007_control_plane"),
    migration!(8, "0008_admin_key_use"),
    migration!(9, "0009_plan_owners"),
    migration!(10, "0010_grants"),
    migration!(11, "0011_tenant_parents"),
    migration!(12, "0012_usage_payment"),
    migration!(13, "0013_quota_debts"),
    migration!(14, "0014_usage_quarantine"),
    migration!(15, "0015_gateway_lives"),
    migration!(16, "0016_aborted_requests"),
    migration!(17, "0017_ledger"),
    migration!(18, "0018_usage_events"),
    migration!(19, "0019_wallets"),
    migration!(20, "0020_jobs"),
    migration!(21, "0021_invoices"),
    migration!(22, "0022_handed_in"),
    migration!(23, "0023_subscription_terms"),
    migration!(24, "0024_parts_of_periods"),
    migration!(25, "0025_outbox"),
    migration!(26, "0026_branding"),
    migration!(27, "0027_payment_attempts"),
    migration!(28, "0028_disputes_and_payouts"),
    migration!(29, "0029_bank_entries"),
    migration!(30, "0030_deferrals"),
    migration!(31, "0031_sessions"),
    migration!(34, "0034_sections"),
    migration!(36, "0036_members"),
    migration!(38, "0038_budgets"),
    migration!(41, "0041_open_invoices"),
];

/// The version of the schema that this program was built for. Programs of the same version can work
/// on one store.
pub const SCHEMA_VERSION: i64 = MIGRATIONS[MIGRATIONS.len() - 1].version;

const LATEST: i64 = SCHEMA_VERSION;

/// Most time to wait for another process that migrates.
const LOCK_DEADLINE: Duration = Duration::from_mins(1);

/// Number of the advisory lock that migrating processes contend for: "tollgate" in ASCII.
const ADVISORY_LOCK: i64 = 0x746f_6c6c_6761_7465;

const VERSIONS_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version    BIGINT NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    applied_at TEXT   NOT NULL DEFAULT CURRENT_TIMESTAMP
)";

/// Refuses a schema that this program was not built for.
pub(super) async fn check_version(connection: &mut AnyConnection, engine: Engine) -> Result<(), StoreError> {
    let found = version(connection, engine).await?;
    if found < LATEST {
        return Err(StoreError::SchemaOlder { found, needed: LATEST });
    }
    refuse_newer(found)
}

/// The steps that are missing. Nothing is changed.
pub(super) async fn pending(connection: &mut AnyConnection, engine: Engine) -> Result<Migrated, StoreError> {
    let from = version(connection, engine).await?;
    refuse_newer(from)?;
    Ok(Migrated { from, to: LATEST })
}

/// A store that is not there yet.
pub(super) const NOTHING: Migrated = Migrated { from: 0, to: LATEST };

/// Names of the steps that a store of this version lacks.
pub(super) fn missing_steps(found: i64) -> String {
    Migrated { from: found, to: LATEST }.steps().collect::<Vec<_>>().join(", ")
}

/// Runs the steps that are missing.
pub(super) async fn migrate(
    connection: &mut AnyConnection,
    engine: Engine,
    which: Migrate,
) -> Result<Migrated, StoreError> {
    if engine == Engine::Sqlite {
        use_write_ahead_log(connection).await?;
    }
    let mut transaction = match engine {
        Engine::Sqlite => connection.begin_with("BEGIN IMMEDIATE").await?,
        Engine::Postgres => connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?,
    };
    if engine == Engine::Postgres {
        sqlx::query("SELECT set_config('lock_timeout', $1, true)")
            .bind(format!("{}s", LOCK_DEADLINE.as_secs()))
            .execute(&mut *transaction)
            .await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(ADVISORY_LOCK).execute(&mut *transaction).await?;
    }
    let from = version(&mut transaction, engine).await?;
    refuse_newer(from)?;
    if from == LATEST {
        return Ok(Migrated { from, to: LATEST });
    }
    if from > 0 && which == Migrate::Empty {
        return Err(StoreError::SchemaOlder { found: from, needed: LATEST });
    }
    sqlx::raw_sql(VERSIONS_TABLE).execute(&mut *transaction).await?;
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > from) {
        let statements = match engine {
            Engine::Sqlite => migration.sqlite,
            Engine::Postgres => migration.postgres,
        };
        sqlx::raw_sql(statements).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO schema_migrations (version, name) VALUES ($1, $2)")
            .bind(migration.version)
            .bind(migration.name)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(Migrated { from, to: LATEST })
}

fn refuse_newer(found: i64) -> Result<(), StoreError> {
    if found > LATEST { Err(StoreError::SchemaNewer { found, known: LATEST }) } else { Ok(()) }
}

/// Version of the schema; 0 if there is none.
async fn version(connection: &mut AnyConnection, engine: Engine) -> Result<i64, StoreError> {
    let table = match engine {
        Engine::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'",
        Engine::Postgres => "SELECT 'schema_migrations' WHERE to_regclass('schema_migrations') IS NOT NULL",
    };
    if sqlx::query(table).fetch_optional(&mut *connection).await?.is_none() {
        return Ok(0);
    }
    let row = sqlx::query("SELECT COALESCE(MAX(version), 0) FROM schema_migrations").fetch_one(connection).await?;
    Ok(row.try_get(0)?)
}

/// Readers then never wait for the writer. The file remembers it. SQLite does not wait by itself
/// for another process that is just doing the same, so this does.
async fn use_write_ahead_log(connection: &mut AnyConnection) -> Result<(), StoreError> {
    let deadline = Instant::now() + LOCK_DEADLINE;
    loop {
        match sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&mut *connection).await.map_err(StoreError::from) {
            Err(StoreError::Locked(_)) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            done => return done.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migration_versions_count_up_and_match_names() {
        assert!(MIGRATIONS.windows(2).all(|pair| pair[0].version < pair[1].version));
        for Migration { version, name, .. } in MIGRATIONS {
            assert!(name.starts_with(&format!("{version:04}_")), "{name}");
        }
    }
}
