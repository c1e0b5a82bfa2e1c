//! The change log that gateways follow, and the whole catalog that they start from.

use sqlx::{Row as _, any::AnyRow};

use super::{
    Store, StoreError, Subscription, keys, plans,
    row::{corrupt, instant, parsed},
    subscriptions, tenants,
};
use crate::{
    acting::Scope,
    id::{KeyId, TenantId},
    key::Key,
    plan::PlanVersion,
    tenant::Tenant,
    time::{Clock as _, Micros, SystemClock},
};

/// How long after its end a key or a subscription still is in the catalog, so that a gateway whose clock is behind
/// sees it end by itself.
const KEPT_AFTER_END_SECONDS: i64 = 86_400;

/// Where PostgreSQL tells who listens that something has changed.
pub(super) const CHANGES_CHANNEL: &str = "tollgate_changes";

/// One committed change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its place in the order of commits, from 1, without gaps.
    pub seq: i64,
    /// What changed.
    pub changed: Changed,
}

/// What a change touched. It says where to look, not what is there: the reader loads the thing itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// A tenant: created, changed, moved with everybody below it, deleted, or subscribed to another plan.
    Tenant(TenantId),
    /// A key: created, changed, rotated or revoked.
    Key(KeyId),
    /// Some plan has a new version, or is or is not on offer any more.
    Plans,
}

/// All that a gateway needs to know, as of one point of the change log.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// The last change that is contained.
    pub seq: i64,
    /// Every tenant.
    pub tenants: Vec<Tenant>,
    /// Subscriptions in force or yet to start.
    pub subscriptions: Vec<Subscription>,
    /// Every plan version that a subscription pins.
    pub plans: Vec<PlanVersion>,
    /// Every key that may still be served: neither revoked nor expired long ago.
    pub keys: Vec<Key>,
}

impl Store {
    /// The whole catalog, from one consistent view of the store.
    pub async fn catalog(&self) -> Result<Catalog, StoreError> {
        let mut snapshot = self.begin_snapshot().await?;
        let head = sqlx::query("SELECT seq, at FROM change_head").fetch_one(&mut *snapshot).await?;
        let cutoff = cutoff(instant(&head, "at")?);
        let catalog = Catalog {
            seq: head.try_get("seq")?,
            tenants: tenants::all(&mut snapshot, Scope::Everything).await?,
            subscriptions: subscriptions::since(&mut snapshot, cutoff).await?,
            plans: plans::pinned_since(&mut snapshot, cutoff).await?,
            keys: keys::served_since(&mut snapshot, cutoff).await?,
        };
        snapshot.commit().await?;
        Ok(catalog)
    }

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

/// What ended before that, if the last change was made at `at`, is not served any more.
pub(super) fn cutoff(at: Micros) -> Micros {
    // The earlier of two clocks, as either may be ahead, and to leave out what is still served would be an outage.
    at.min(SystemClock.now()).plus_seconds(-KEPT_AFTER_END_SECONDS)
}

pub(super) fn read(row: &AnyRow) -> Result<Change, StoreError> {
    let kind: String = row.try_get("kind")?;
    let changed = match kind.as_str() {
        "tenant" => Changed::Tenant(parsed(row, "subject")?),
        "key" => Changed::Key(parsed(row, "subject")?),
        "plans" => Changed::Plans,
        other => return Err(corrupt("change", format!("`{other}` is not a kind of change"))),
    };
    Ok(Change { seq: row.try_get("seq")?, changed })
}
