//! The change log that gateways follow, and the whole catalog that they start from.

use super::{Store, StoreError, Subscription};
use crate::{
    id::{KeyId, TenantId},
    key::Key,
    plan::PlanVersion,
    tenant::Tenant,
};

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
    /// A tenant: created, suspended, resumed, or subscribed to another plan.
    Tenant(TenantId),
    /// A key: created, rotated or revoked.
    Key(KeyId),
    /// Some plan has a new version.
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
        todo!()
    }

    /// Number of the last change; 0 before the first.
    pub async fn last_change(&self) -> Result<i64, StoreError> {
        todo!()
    }

    /// Up to `limit` changes after number `after`, in order.
    pub async fn changes_after(&self, after: i64, limit: u32) -> Result<Vec<Change>, StoreError> {
        let _ = (after, limit);
        todo!()
    }
}
