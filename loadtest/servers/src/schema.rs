//! SQLite stores whose schema is not the latest: as before an upgrade, and as after a rollback of
//! the programs.

use std::{
    io,
    path::{Path, PathBuf},
};

use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::error::ServerError;

const MIGRATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/sqlite");

const VERSIONS: &str = "CREATE TABLE schema_migrations (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, \
    applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)";

/// A store in an SQLite file, worked on past the programs.
pub struct StoreFile {
    file: PathBuf,
}

impl StoreFile {
    /// The store in this file, which needs not exist.
    pub fn at(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into() }
    }

    /// Sets up an empty store one step older than the programs; gives the name of the step that it
    /// lacks.
    pub async fn create_older(&self) -> Result<String, ServerError> {
        let mut steps = steps()?;
        let missing = steps.pop().ok_or_else(|| failed("find migrations", "there are none"))?;
        self.run(VERSIONS).await?;
        for step in &steps {
            let version: u32 = step.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0);
            let path = Path::new(MIGRATIONS).join(format!("{step}.sql"));
            let statements = std::fs::read_to_string(&path).map_err(|error| failed("read a migration", error))?;
            self.run(&statements).await?;
            self.run(&format!("INSERT INTO schema_migrations (version, name) VALUES ({version}, '{step}')")).await?;
        }
        Ok(missing)
    }

    /// Marks the store as migrated to version 9999 of the schema, by a newer program.
    pub async fn make_newer(&self) -> Result<(), ServerError> {
        self.run("INSERT INTO schema_migrations (version, name) VALUES (9999, '9999_of_tomorrow')").await
    }

    /// Removes the mark of [`StoreFile::make_newer`].
    pub async fn make_current(&self) -> Result<(), ServerError> {
        self.run("DELETE FROM schema_migrations WHERE version = 9999").await
    }

    /// Runs statements in a file that is made if it does not exist.
    async fn run(&self, statements: &str) -> Result<(), ServerError> {
        let run = async {
            let options = SqliteConnectOptions::new().filename(&self.file).create_if_missing(true);
            let mut connection = SqliteConnection::connect_with(&options).await?;
            sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut connection).await?;
            connection.close().await
        };
        run.await.map_err(|error| failed("work on a store file", error))
    }
}

/// Names of the migrations, in their order.
fn steps() -> Result<Vec<String>, ServerError> {
    let entries = std::fs::read_dir(MIGRATIONS).map_err(|error| failed("list migrations", error))?;
    let names = entries.filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(ToOwned::to_owned));
    let mut names: Vec<_> = names.collect();
    names.sort();
    Ok(names)
}

fn failed(what: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ServerError {
    ServerError::Io { what: what.to_owned(), source: io::Error::other(error) }
}
