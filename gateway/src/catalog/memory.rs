//! The catalog as the request path reads it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{
    change::{CatalogRow, ChangeMark},
    key::KeyHash,
    store::{Store, StoreError},
    time::{Clock as _, Micros, SystemClock},
};

#[cfg(test)]
use super::entry::Standing;
use super::{
    by_hash::KeysByHash,
    by_id::KeysById,
    entry::KeyEntry,
    load::Loader,
    progress::{Progress, Source},
    tree::Tree,
};
use crate::{limit::QuotaBook, lock::locked, outage::Outage, schema::SchemaFit};

/// All tenants, plans and keys that the gateway knows.
pub struct Catalog {
    pub(super) keys: KeysByHash,
    pub(super) by_id: KeysById,
    pub(super) quotas: Arc<QuotaBook>,
    /// Only loading and following touch it.
    pub(super) tree: Mutex<Tree>,
    pub(super) progress: Progress,
    /// Outage of the store, logged once for all tasks that need the store.
    pub(crate) store_outage: Arc<Outage>,
    /// Fit of the store's schema, without which nothing may be written.
    pub(crate) schema: Arc<SchemaFit>,
}

impl Catalog {
    /// A catalog that knows nobody yet; [`Catalog::follow`] loads it as soon as the store answers.
    pub fn empty() -> Self {
        Self {
            keys: KeysByHash::default(),
            by_id: KeysById::default(),
            quotas: Arc::default(),
            tree: Mutex::default(),
            progress: Progress::default(),
            store_outage: Arc::new(Outage::new("store")),
            schema: Arc::default(),
        }
    }

    /// The whole catalog from the store.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let catalog = Self::empty();
        let now = SystemClock.now();
        let mut loader = Loader::new(&catalog, now);
        let mark = store.change_feed().whole(|row| loader.take(row)).await?;
        loader.finish(mark);
        catalog.progress.current(now);
        catalog.schema.fits();
        Ok(catalog)
    }

    /// A catalog that holds `rows`, as of `now`.
    pub fn from_rows(rows: common::change::Catalog, now: Micros) -> Self {
        let catalog = Self::empty();
        let mut loader = Loader::new(&catalog, now);
        rows.tenants.iter().for_each(|tenant| loader.take(CatalogRow::Tenant(tenant.into())));
        rows.plans.into_iter().for_each(|version| loader.take(CatalogRow::Plan(version.into())));
        rows.subscriptions.into_iter().for_each(|one| loader.take(CatalogRow::Subscription(one)));
        rows.keys.iter().for_each(|key| loader.take(CatalogRow::Key(key.into())));
        loader.finish(ChangeMark { seq: rows.seq, ..ChangeMark::NONE });
        catalog.progress.current(now);
        catalog
    }

    /// The key with this hash. What the map found is compared once more, in constant time.
    pub(crate) fn key(&self, hash: &KeyHash) -> Option<Arc<KeyEntry>> {
        self.keys.get(hash).filter(|entry| entry.key().matches(hash)).map(|entry| Arc::clone(entry.value()))
    }

    /// Returns the standing of a tenant. A tenant that is not known has no plan.
    #[cfg(test)]
    pub(crate) fn standing(&self, tenant: common::id::TenantId) -> Standing {
        locked(&self.tree).slot(tenant).standing()
    }

    /// Returns true if the catalog was loaded once.
    pub fn is_loaded(&self) -> bool {
        self.progress.is_loaded()
    }

    /// Returns the source that the catalog was last confirmed by: the store or a snapshot; none
    /// before either.
    pub fn source(&self) -> Option<Source> {
        self.progress.source()
    }

    /// Time since the store was last known to hold nothing newer; none before the first load.
    pub fn staleness(&self, now: Micros) -> Option<Duration> {
        self.progress.staleness(now)
    }

    /// Keys known, with those revoked or expired.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Tenants known, served or not.
    pub fn tenant_count(&self) -> usize {
        locked(&self.tree).tenant_count()
    }

    /// Number of the last change that is contained.
    pub fn last_change(&self) -> i64 {
        self.progress.last_change()
    }

    /// The hard quotas of all tenants, for the [`crate::limit::QuotaKeeper`].
    pub const fn quotas(&self) -> &Arc<QuotaBook> {
        &self.quotas
    }

    /// Lets subscriptions start and end that do so by `now`.
    pub(super) fn turn(&self, now: Micros) {
        locked(&self.tree).resolve_due(&self.quotas, now);
    }
}
