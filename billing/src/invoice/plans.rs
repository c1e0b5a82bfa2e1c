//! Plan versions that subscriptions pin, each read from the store once.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use common::{
    id::TenantId,
    plan::{
        Plan, PlanVersion,
        subscription::{BillingOverride, Subscription, cycles::CycleTerms},
    },
    store::{Store, StoreError},
    time::Micros,
};

use super::{
    InvoiceError,
    payers::{PlanKey, key},
};

/// Plan versions read so far, and the terms of subscriptions.
pub(super) struct Plans {
    /// By owner, name and version.
    known: HashMap<PlanKey, PlanVersion>,
    /// Plans that stand in for those that have their names.
    replacing: Vec<Plan>,
    /// Terms of subscriptions that differ from their plans', by tenant and start.
    overrides: HashMap<(TenantId, Micros), BillingOverride>,
}

/// The terms of a subscription that has none of its own.
static PLAIN: BillingOverride = BillingOverride::NONE;

impl Plans {
    /// No plans yet, of which `replacing` will stand in for those that have their names.
    pub(super) async fn of(store: &Store, replacing: Vec<Plan>) -> Result<Self, StoreError> {
        Ok(Self { known: HashMap::new(), replacing, overrides: store.billing_overrides().await? })
    }

    /// The terms of a subscription.
    pub(super) fn terms_of(&self, subscription: &Subscription) -> &BillingOverride {
        self.overrides.get(&(subscription.tenant, subscription.starts_at)).unwrap_or(&PLAIN)
    }

    /// What says of the cycle of a subscription's bills.
    pub(super) fn cycle_terms<'a>(&'a self, subscription: &'a Subscription) -> CycleTerms<'a> {
        let billing = self.known(subscription).map(|version| &version.plan.billing);
        (subscription, billing, self.terms_of(subscription))
    }

    pub(super) async fn read(&mut self, store: &Store, subscription: &Subscription) -> Result<(), StoreError> {
        if let Entry::Vacant(entry) = self.known.entry(key(subscription)) {
            let mut version = store.pinned_plan(subscription).await?;
            if let Some(plan) = self.replacing.iter().find(|plan| plan.id == version.plan.id) {
                version.plan.clone_from(plan);
            }
            entry.insert(version);
        }
        Ok(())
    }

    pub(super) fn known(&self, subscription: &Subscription) -> Option<&PlanVersion> {
        self.known.get(&key(subscription))
    }

    /// Plans of subscriptions that say `billing.wholesale`. One that cannot be read is the fault of
    /// the bills that it rates.
    pub(super) async fn wholesale(
        &mut self,
        store: &Store,
        subscriptions: &[Subscription],
    ) -> Result<HashSet<PlanKey>, InvoiceError> {
        let (mut found, mut unreadable) = (HashSet::new(), HashSet::new());
        for subscription in subscriptions {
            let key = key(subscription);
            if unreadable.contains(&key) {
                continue;
            }
            match self.read(store, subscription).await.map_err(InvoiceError::from) {
                Ok(()) => {}
                Err(error) if error.is_of_one_tenant() => drop(unreadable.insert(key.clone())),
                Err(error) => return Err(error),
            }
            if self.known.get(&key).is_some_and(|version| version.plan.billing.wholesale) {
                found.insert(key);
            }
        }
        Ok(found)
    }
}
