//! Transactions: one that writes, one that writes and leaves a trace in the change log, one that
//! reads a whole.

use std::{sync::Arc, time::Instant};

use sqlx::{Any, AnyConnection, Row as _, Transaction};
use tokio::sync::OwnedMutexGuard;

use super::{
    audit_log::{self, Audited},
    change_log::{CHANGES_CHANNEL, Changed},
    connect::{Engine, LOCK_DEADLINE, Store},
    error::StoreError,
    scope,
};
use crate::{
    acting::{Acting, Scope},
    id::TenantId,
    time::Micros,
};

/// A transaction that writes; dropped without [`WriteTransaction::commit`], it did nothing.
pub(crate) struct WriteTransaction {
    // Before the turn, so that it is dropped first.
    inner: Transaction<'static, Any>,
    _turn: Option<OwnedMutexGuard<()>>,
}

/// A transaction that changes what gateways must see. There is one at a time in all processes, from
/// its begin to its end, so that what it has read stays true and numbers are given in the order of
/// commits.
pub(crate) struct ChangeTransaction {
    write: WriteTransaction,
    engine: Engine,
    acting: Arc<Acting>,
    now: Micros,
}

impl Store {
    /// Begins to write. On SQLite it is the only writer from here on: a transaction that began by
    /// reading could not become a writer once another has written.
    pub(crate) async fn begin_write(&self) -> Result<WriteTransaction, StoreError> {
        if self.engine == Engine::Postgres {
            let inner = self.write_pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
            return Ok(WriteTransaction { inner, _turn: None });
        }
        let turn = self.writers.clone().lock_owned().await;
        let deadline = Instant::now() + LOCK_DEADLINE;
        loop {
            match self.write_pool.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::from) {
                Err(StoreError::Locked(_)) if Instant::now() < deadline => {}
                begun => return Ok(WriteTransaction { inner: begun?, _turn: Some(turn) }),
            }
        }
    }

    /// Begins to change what gateways must see, `now`.
    pub(crate) async fn begin_change(&self, now: Micros) -> Result<ChangeTransaction, StoreError> {
        let mut write = self.begin_write().await?;
        // Locks the row; a change that turns out to be none must not take a number.
        sqlx::query("UPDATE change_head SET seq = seq WHERE id = 1").execute(write.connection()).await?;
        Ok(ChangeTransaction { write, engine: self.engine, acting: Arc::clone(&self.acting), now })
    }

    /// Begins to read several things as of one instant.
    pub(crate) async fn begin_snapshot(&self) -> Result<Transaction<'static, Any>, StoreError> {
        Ok(self.pool.begin_with(snapshot(self.engine)).await?)
    }
}

/// Returns the statement that begins a read of several things as of one instant.
pub(crate) const fn snapshot(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "BEGIN DEFERRED",
        Engine::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    }
}

impl WriteTransaction {
    /// Returns the connection to run statements on.
    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }

    /// Makes it all last.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        Ok(self.inner.commit().await?)
    }
}

impl ChangeTransaction {
    /// Returns the connection to run statements on.
    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        self.write.connection()
    }

    /// The database engine.
    pub(crate) const fn engine(&self) -> Engine {
        self.engine
    }

    /// On whose behalf.
    pub(crate) fn acting(&self) -> &Acting {
        &self.acting
    }

    /// Returns the scope of the actor.
    pub(crate) fn scope(&self) -> Scope {
        self.acting.scope
    }

    /// Returns the time of the change.
    pub(crate) const fn now(&self) -> Micros {
        self.now
    }

    /// Refuses a thing of a tenant outside the actor's scope, as if the thing were not there.
    pub(crate) async fn require(
        &mut self,
        tenant: TenantId,
        what: &'static str,
        id: &impl std::fmt::Display,
    ) -> Result<(), StoreError> {
        let scope = self.scope();
        if scope::holds_tenant(self.connection(), scope, tenant).await? {
            return Ok(());
        }
        Err(StoreError::not_found(what, id))
    }

    /// Writes into the audit log an action of the actor.
    pub(crate) async fn audit(&mut self, audited: Audited<'_>) -> Result<(), StoreError> {
        audit_log::insert(self.write.connection(), &self.acting, audited, self.now).await
    }

    /// Writes several actions of the actor into the audit log.
    pub(crate) async fn audit_all(&mut self, audited: Vec<Audited<'_>>) -> Result<(), StoreError> {
        audit_log::insert_all(self.write.connection(), &self.acting, audited, self.now).await
    }

    /// Logs a change and gives its number. On PostgreSQL, who listens hears of it once it is
    /// committed.
    pub(crate) async fn record(&mut self, changed: Changed) -> Result<i64, StoreError> {
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
        if self.engine == Engine::Postgres {
            sqlx::query("SELECT CAST(pg_notify($1, $2) AS TEXT)")
                .bind(CHANGES_CHANNEL)
                .bind(seq.to_string())
                .execute(self.write.connection())
                .await?;
        }
        Ok(seq)
    }

    /// Makes it all last.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.write.commit().await
    }
}
