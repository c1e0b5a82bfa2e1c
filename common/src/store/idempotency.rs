//! Creations that are asked for again: the name that a client gave, and what was created under it.
//!
//! The name is taken in the transaction of the creation, so there is one creation or none, whatever
//! was lost on the way to the client.

use sqlx::Row as _;

use super::{error::StoreError, transaction::ChangeTransaction};
use crate::acting::{Acting, IdempotencyKey};

/// Time for which a key is remembered.
const REMEMBERED_SECONDS: i64 = 86_400;

/// Refuses what was created already under the name that is acted under, or asked for in another
/// way.
pub(crate) async fn refuse_repetition(change: &mut ChangeTransaction) -> Result<(), StoreError> {
    let Some((actor, name)) = name(change.acting()) else {
        return Ok(());
    };
    let forgotten = change.now().plus_seconds(-REMEMBERED_SECONDS);
    sqlx::query("DELETE FROM idempotency_keys WHERE created_at < $1")
        .bind(forgotten.0)
        .execute(change.connection())
        .await?;
    let known = sqlx::query("SELECT fingerprint, subject FROM idempotency_keys WHERE actor = $1 AND key = $2")
        .bind(actor)
        .bind(name.key)
        .fetch_optional(change.connection())
        .await?;
    match known {
        None => Ok(()),
        Some(row) if row.try_get::<String, _>("fingerprint")? == name.fingerprint => {
            Err(StoreError::Replayed { subject: row.try_get("subject")? })
        }
        Some(_) => Err(StoreError::IdempotencyMismatch),
    }
}

/// Remembers what was created under the name that is acted under.
pub(crate) async fn remember(change: &mut ChangeTransaction, subject: &str) -> Result<(), StoreError> {
    let Some((actor, name)) = name(change.acting()) else {
        return Ok(());
    };
    let now = change.now();
    sqlx::query(
        "INSERT INTO idempotency_keys (actor, key, fingerprint, subject, created_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(actor)
    .bind(name.key)
    .bind(name.fingerprint)
    .bind(subject)
    .bind(now.0)
    .execute(change.connection())
    .await?;
    Ok(())
}

fn name(acting: &Acting) -> Option<(String, IdempotencyKey)> {
    let name = acting.idempotency.clone()?;
    Some((format!("{} {}", acting.actor.kind, acting.actor.name), name))
}
