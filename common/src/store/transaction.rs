//! Transactions: one that writes, one that writes and leaves a trace in the change log, one that reads a whole.

use sqlx::{Any, AnyConnection, Row as _, Transaction};
use tokio::sync::OwnedMutexGuard;

use super::{Changed, Engine, Store, StoreError};
use crate::time::Micros;

/// A transaction that writes; dropped without [`WriteTransaction::commit`], it did nothing.
pub(super) struct WriteTransaction {
    // Before the turn, so that it is dropped first.
    inner: Transaction<'static, Any>,
    _turn: Option<OwnedMutexGuard<()>>,
}

/// A transaction that changes what gateways must see. There is one at a time in all processes, from its begin to its
/// end, so that what it has read stays true and numbers are given in the order of commits.
pub(super) struct ChangeTransaction {
    write: WriteTransaction,
    now: Micros,
}

impl Store {
    /// Begins to write. On SQLite it is the only writer from here on: a transaction that began by reading could not
    /// become a writer once another has written.
    pub(super) async fn begin_write(&self) -> Result<WriteTransaction, StoreError> {
        let (turn, begin) = match self.engine {
            Engine::Sqlite => (Some(self.writers.clone().lock_owned().await), "BEGIN IMMEDIATE"),
            Engine::Postgres => (None, "BEGIN ISOLATION LEVEL READ COMMITTED"),
        };
        let inner = self.pool.begin_with(begin).await?;
        Ok(WriteTransaction { inner, _turn: turn })
    }

    /// Begins to change what gateways must see, `now`.
    pub(super) async fn begin_change(&self, now: Micros) -> Result<ChangeTransaction, StoreError> {
        let mut write = self.begin_write().await?;
        // Locks the row; a change that turns out to be none must not take a number.
        sqlx::query("UPDATE change_head SET seq = seq WHERE id = 1").execute(write.connection()).await?;
        Ok(ChangeTransaction { write, now })
    }

    /// Begins to read several things as of one instant.
    pub(super) async fn begin_snapshot(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let begin = match self.engine {
            Engine::Sqlite => "BEGIN DEFERRED",
            Engine::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        Ok(self.pool.begin_with(begin).await?)
    }
}

impl WriteTransaction {
    /// Where to run statements.
    pub(super) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }

    /// Makes it all last.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        Ok(self.inner.commit().await?)
    }
}

impl ChangeTransaction {
    /// Where to run statements.
    pub(super) fn connection(&mut self) -> &mut AnyConnection {
        self.write.connection()
    }

    /// Logs a change and gives its number.
    pub(super) async fn record(&mut self, changed: Changed) -> Result<i64, StoreError> {
        let (kind, subject) = match changed {
            Changed::Tenant(id) => ("tenant", Some(id.to_string())),
            Changed::Key(id) => ("key", Some(id.to_string())),
            Changed::Plans => ("plans", None),
        };
        let head = sqlx::query("UPDATE change_head SET seq = seq + 1, at = $1 WHERE id = 1 RETURNING seq")
            .bind(self.now.0)
            .fetch_one(self.write.connection())
            .await?;
        let seq: i64 = head.try_get("seq")?;
        sqlx::query("INSERT INTO changes (seq, kind, subject, at) VALUES ($1, $2, $3, $4)")
            .bind(seq)
            .bind(kind)
            .bind(subject)
            .bind(self.now.0)
            .execute(self.write.connection())
            .await?;
        Ok(seq)
    }

    /// Makes it all last.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        self.write.commit().await
    }
}
