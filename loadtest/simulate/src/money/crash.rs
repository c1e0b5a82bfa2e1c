//! Crashes at writes: triggers on every table make the write of a number fail, so that its
//! transaction is rolled back, as the database would do for a process that died there.

use sqlx::{AssertSqlSafe, Row as _, SqlitePool};

/// The message of a failed write.
pub(super) const MESSAGE: &str = "the simulation crashes here";

/// The switch.
pub(super) struct Crash {
    pool: SqlitePool,
}

impl Crash {
    /// Puts triggers on all tables of a store.
    pub(super) async fn install(path: &str) -> Result<Self, sqlx::Error> {
        let pool = SqlitePool::connect(&format!("sqlite://{path}")).await?;
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
        let tables: Vec<String> = sqlx::query(tables)
            .fetch_all(&pool)
            .await?
            .iter()
            .map(|row| row.try_get("name"))
            .collect::<Result<_, _>>()?;
        sqlx::query("CREATE TABLE simulated_crash (writes_left INTEGER NOT NULL)").execute(&pool).await?;
        sqlx::query("INSERT INTO simulated_crash VALUES (-1)").execute(&pool).await?;
        for table in tables {
            for verb in ["INSERT", "UPDATE", "DELETE"] {
                let trigger = format!(
                    "CREATE TRIGGER simulated_crash_{table}_{verb} BEFORE {verb} ON {table} \
                     WHEN (SELECT writes_left FROM simulated_crash) >= 0 BEGIN \
                     SELECT CASE WHEN (SELECT writes_left FROM simulated_crash) = 0 THEN RAISE(ABORT, '{MESSAGE}') END; \
                     UPDATE simulated_crash SET writes_left = writes_left - 1; END"
                );
                sqlx::query(AssertSqlSafe(trigger)).execute(&pool).await?;
            }
        }
        Ok(Self { pool })
    }

    /// Lets so many writes pass, and the next one fail.
    pub(super) async fn arm(&self, writes: u32) -> Result<(), sqlx::Error> {
        self.set(i64::from(writes)).await
    }

    /// Lets every write pass.
    pub(super) async fn disarm(&self) -> Result<(), sqlx::Error> {
        self.set(-1).await
    }

    async fn set(&self, writes_left: i64) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE simulated_crash SET writes_left = $1").bind(writes_left).execute(&self.pool).await.map(drop)
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}
