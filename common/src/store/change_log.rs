//! The change log that gateways follow: one row per committed change, in the order of commits.

use sqlx::{Row as _, any::AnyRow};

use super::{
    connect::Store,
    error::StoreError,
    row::{corrupt, parsed},
};
use crate::id::{KeyId, TenantId};

/// Channel on which PostgreSQL announces changes to listeners.
pub(crate) const CHANGES_CHANNEL: &str = "tollgate_changes";

/// One committed change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its place in the order of commits, from 1, without gaps.
    pub seq: i64,
    /// The changed thing.
    pub changed: Changed,
}

/// The thing that a change touched. It names the thing only; the reader loads its present state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// A tenant: created, changed, moved with everybody below it, deleted, or subscribed to another
    /// plan.
    Tenant(TenantId),
    /// A key: created, changed, rotated or revoked.
    Key(KeyId),
    /// Some plan has a new version, or is or is not on offer any more.
    Plans,
}

impl Store {
    /// Number of the last change; 0 before the first.
    pub async fn last_change(&self) -> Result<i64, StoreError> {
        let head = sqlx::query("SELECT seq FROM change_head").fetch_one(&self.pool).await?;
        Ok(head.try_get("seq")?)
    }

    /// Up to `limit` changes after number `after`, in order.
    pub async fn changes_after(&self, after: i64, limit: u32) -> Result<Vec<Change>, StoreError> {
        let rows = sqlx::query("SELECT seq, kind, subject FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }
}

pub(crate) fn read(row: &AnyRow) -> Result<Change, StoreError> {
    let kind: String = row.try_get("kind")?;
    let changed = match kind.as_str() {
        "tenant" => Changed::Tenant(parsed(row, "subject")?),
        "key" => Changed::Key(parsed(row, "subject")?),
        "plans" => Changed::Plans,
        other => return Err(corrupt("change", format!("`{other}` is not a kind of change"))),
    };
    Ok(Change { seq: row.try_get("seq")?, changed })
}
