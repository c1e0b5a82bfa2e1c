//! Plan versions that subscriptions pin, each read from the store once.

use std::collections::{HashMap, hash_map::Entry};

use common::{
    id::TenantId,
    plan::{PlanId, PlanVersion, subscription::Subscription},
    store::{Store, StoreError},
};

/// Plan versions read so far, by owner, name and version.
#[derive(Default)]
pub(super) struct Plans(HashMap<(TenantId, PlanId, i64), PlanVersion>);

impl Plans {
    pub(super) async fn read(&mut self, store: &Store, subscription: &Subscription) -> Result<(), StoreError> {
        if let Entry::Vacant(entry) = self.0.entry(key(subscription)) {
            entry.insert(store.pinned_plan(subscription).await?);
        }
        Ok(())
    }

    pub(super) fn known(&self, subscription: &Subscription) -> Option<&PlanVersion> {
        self.0.get(&key(subscription))
    }
}

/// The version that a subscription pins. Plan names are unique within their owner only.
fn key(subscription: &Subscription) -> (TenantId, PlanId, i64) {
    (subscription.plan_owner, subscription.plan.clone(), subscription.version)
}
