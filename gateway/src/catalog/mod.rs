//! All tenants, plans and keys in memory, following the store's change log.
//!
//! Keys sit in a sharded map and change one by one; tenants are one immutable snapshot that is swapped as a whole.
//! Rate cells and quota leases belong to their owner, not to the snapshot: no reload refills a bucket.

mod entry;
#[cfg(test)]
pub(crate) mod fixture;
mod follow;
mod tenants;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use common::{
    id::{KeyId, TenantId},
    key::{Key, KeyHash},
    store::{Store, StoreError},
    time::{Clock as _, Micros, SystemClock},
};
use dashmap::DashMap;
pub use entry::{KeyEntry, Standing, TenantEntry};
pub(crate) use entry::{PlanTerms, Pool};
use tenants::TenantRows;

use crate::{limit::QuotaBook, lock::locked};

/// What the gateway knows of all tenants and keys.
pub struct Catalog {
    keys: DashMap<KeyHash, Arc<KeyEntry>>,
    tenants: ArcSwap<HashMap<TenantId, Standing>>,
    quotas: Arc<QuotaBook>,
    /// What the tenant snapshot is made from; only loading and following touch it.
    rows: Mutex<TenantRows>,
    loaded: AtomicBool,
    last_change: AtomicI64,
    /// When the store was last known to hold nothing newer.
    current_at: AtomicI64,
}

impl Catalog {
    /// A catalog that knows nobody yet; [`Catalog::follow`] loads it as soon as the store answers.
    pub fn empty() -> Self {
        Self {
            keys: DashMap::new(),
            tenants: ArcSwap::default(),
            quotas: Arc::default(),
            rows: Mutex::default(),
            loaded: AtomicBool::new(false),
            last_change: AtomicI64::new(0),
            current_at: AtomicI64::new(0),
        }
    }

    /// The whole catalog from the store.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        Ok(Self::from_rows(store.catalog().await?, SystemClock.now()))
    }

    /// A catalog that holds `rows`, as of `now`.
    pub fn from_rows(rows: common::store::Catalog, now: Micros) -> Self {
        let catalog = Self::empty();
        catalog.replace(rows, now);
        catalog
    }

    /// The key with this hash. What the map found is compared once more, in constant time.
    pub(crate) fn key(&self, hash: &KeyHash) -> Option<Arc<KeyEntry>> {
        self.keys.get(hash).filter(|entry| entry.key().matches(hash)).map(|entry| Arc::clone(entry.value()))
    }

    /// How a tenant stands. One that is not known has no plan.
    pub(crate) fn standing(&self, tenant: TenantId) -> Standing {
        self.tenants.load().get(&tenant).cloned().unwrap_or(Standing::NoPlan)
    }

    /// Whether the catalog was loaded once.
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Time since the store was last known to hold nothing newer; none before the first load.
    pub fn staleness(&self, now: Micros) -> Option<Duration> {
        let age = now.0.saturating_sub(self.current_at.load(Ordering::Acquire)).max(0);
        self.is_loaded().then(|| Duration::from_micros(age.unsigned_abs()))
    }

    /// Keys known, with those revoked or expired.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Tenants known, served or not.
    pub fn tenant_count(&self) -> usize {
        self.tenants.load().len()
    }

    /// Number of the last change that is contained.
    pub fn last_change(&self) -> i64 {
        self.last_change.load(Ordering::Acquire)
    }

    /// The hard quotas of all tenants, for the [`crate::limit::QuotaKeeper`].
    pub const fn quotas(&self) -> &Arc<QuotaBook> {
        &self.quotas
    }

    /// Takes over `rows` as a whole: what is not in them is forgotten.
    fn replace(&self, rows: common::store::Catalog, now: Micros) {
        locked(&self.rows).replace(rows.tenants, rows.subscriptions, rows.plans);
        self.rebuild_tenants(now);
        let served: std::collections::HashSet<_> = rows.keys.iter().map(|key| key.hash).collect();
        self.keys.retain(|hash, _| served.contains(hash));
        rows.keys.iter().for_each(|key| self.put_key(key));
        self.last_change.store(rows.seq, Ordering::Release);
        self.mark_current(now);
        self.loaded.store(true, Ordering::Release);
    }

    /// Swaps in a tenant snapshot as of `now`.
    fn rebuild_tenants(&self, now: Micros) {
        let snapshot = locked(&self.rows).snapshot(&self.quotas, now);
        self.tenants.store(Arc::new(snapshot));
    }

    /// Whether a subscription starts or ends by `now` that the snapshot does not show yet.
    fn subscription_is_due(&self, now: Micros) -> bool {
        locked(&self.rows).is_due(now)
    }

    /// Adds or replaces a key; its rate cells stay.
    fn put_key(&self, key: &Key) {
        let cells = self.key(&key.hash).map(|entry| Arc::clone(&entry.cells)).unwrap_or_default();
        self.keys.insert(key.hash, Arc::new(KeyEntry::new(key, cells)));
    }

    fn forget_key(&self, id: KeyId) {
        self.keys.retain(|_, entry| entry.id != id);
    }

    fn mark_current(&self, now: Micros) {
        self.current_at.store(now.0, Ordering::Release);
    }
}
