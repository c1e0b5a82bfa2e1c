//! The whole catalog, as of one point of the change log.

use sqlx::Row as _;

use crate::{
    acting::Scope,
    key::{Key, row as keys},
    plan::{
        PlanVersion,
        subscription::{Subscription, rows as subscriptions},
        versions as plans,
    },
    store::{Store, StoreError, row::instant},
    tenant::{Tenant, row as tenants},
    time::{Clock as _, Micros, SystemClock},
};

/// Time for which the catalog keeps an ended key or subscription, so that a gateway whose clock is
/// behind sees it end by itself.
const KEPT_AFTER_END_SECONDS: i64 = 86_400;

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
}

/// Returns the instant before which an ended key or subscription is no longer served, if the last
/// change was made at `at`.
pub(super) fn cutoff(at: Micros) -> Micros {
    // The earlier of two clocks, as either may be ahead, and to leave out what is still served
    // would be an outage.
    at.min(SystemClock.now()).plus_seconds(-KEPT_AFTER_END_SECONDS)
}
