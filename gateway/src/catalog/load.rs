//! From rows to the catalog: all of them, or those that changed.

use std::{collections::HashSet, sync::Arc};

use common::{
    change::{CatalogRow, ChangeMark, Changes, ServedKey},
    id::TenantId,
    key::KeyHash,
    time::Micros,
};

use super::{entry::KeyEntry, memory::Catalog, tree::Tree};
use crate::lock::locked;

/// Takes the whole catalog row by row: tenants, plans, subscriptions, then keys. What is not among
/// the rows is forgotten at the end.
pub(super) struct Loader<'a> {
    catalog: &'a Catalog,
    now: Micros,
    /// Until the first key comes: then how each tenant stands can be told.
    tree: Option<Tree>,
    /// Keys that came, if there are others to forget.
    seen: Option<HashSet<KeyHash>>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(catalog: &'a Catalog, now: Micros) -> Self {
        let tree = locked(&catalog.tree).successor();
        let seen = (!catalog.keys.is_empty()).then(HashSet::new);
        Self { catalog, now, tree: Some(tree), seen }
    }

    pub(super) fn take(&mut self, row: CatalogRow) {
        match (row, &mut self.tree) {
            (CatalogRow::Tenant(tenant), Some(tree)) => tree.put_tenant(tenant),
            (CatalogRow::Plan(version), Some(tree)) => tree.add_plan(*version),
            (CatalogRow::Subscription(subscription), Some(tree)) => tree.add_subscription(&subscription),
            (CatalogRow::Key(key), _) => {
                self.resolve();
                if let Some(seen) = &mut self.seen {
                    seen.insert(key.hash);
                }
                self.catalog.put_key(&key);
            }
            (row, None) => tracing::error!(event = "catalog_row_too_late", ?row),
        }
    }

    /// Every row has come; they are as of `mark`.
    pub(super) fn finish(mut self, mark: ChangeMark) {
        self.resolve();
        if let Some(seen) = self.seen {
            self.catalog.keep_keys(|hash, _| seen.contains(hash));
        }
        self.catalog.progress.reached(mark);
    }

    fn resolve(&mut self) {
        if let Some(mut tree) = self.tree.take() {
            tree.resolve_all(&self.catalog.quotas, self.now);
            *locked(&self.catalog.tree) = tree;
        }
    }
}

impl Catalog {
    /// Takes over what changed.
    pub(super) fn apply(&self, changes: Changes, now: Micros) {
        // Tenants first: a new key must find its tenant.
        self.apply_tenants(&changes, now);
        for key in &changes.keys {
            self.put_key(key);
        }
        if !changes.gone_keys.is_empty() {
            self.keep_keys(|_, entry| !changes.gone_keys.contains(&entry.id));
        }
        self.progress.reached(changes.mark);
    }

    fn apply_tenants(&self, changes: &Changes, now: Micros) {
        if changes.tenants.is_empty() {
            return;
        }
        let mut tree = locked(&self.tree);
        changes.plans.iter().for_each(|version| tree.add_plan(version.clone()));
        changes.tenants.iter().for_each(|tenant| tree.put_tenant(tenant.clone()));
        changes.subscriptions.iter().for_each(|subscription| tree.add_subscription(subscription));
        let tops: Vec<TenantId> = changes.tenants.iter().map(|tenant| tenant.id).collect();
        tree.resolve_subtree(&tops, &self.quotas, now);
    }

    /// Forgets the other keys. Whoever still holds one of them finds it revoked.
    fn keep_keys(&self, is_kept: impl Fn(&KeyHash, &KeyEntry) -> bool) {
        self.keys.retain(|hash, entry| {
            let is_kept = is_kept(hash, entry);
            if !is_kept {
                entry.retire();
                self.by_id.remove(entry.id, hash);
            }
            is_kept
        });
    }

    /// Adds a key, or takes over what changed of it.
    pub(super) fn put_key(&self, key: &ServedKey) {
        let slot = locked(&self.tree).slot(key.tenant);
        if self.keys.get(&key.hash).is_some_and(|entry| entry.update(key, &slot)) {
            return;
        }
        if let Some(replaced) = self.keys.insert(key.hash, Arc::new(KeyEntry::new(key, slot))) {
            replaced.retire();
        }
        self.by_id.add(key.id, key.hash);
    }
}
