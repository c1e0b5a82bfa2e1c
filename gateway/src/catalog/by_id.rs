//! Keys by their ids, for callers whose credential is not the key itself: tokens and certificates.
//!
//! The map is made when somebody first asks for a key by its id, and kept current from then on: some
//! 60 bytes a key.

use std::sync::{Arc, OnceLock};

use common::{id::KeyId, key::KeyHash};
use dashmap::DashMap;

use super::{entry::KeyEntry, memory::Catalog};

/// The hashes of keys by their ids, once somebody asked.
#[derive(Default)]
pub(super) struct KeysById {
    hashes: OnceLock<DashMap<KeyId, KeyHash>>,
    is_filled: OnceLock<()>,
}

impl KeysById {
    /// Notes a key that the catalog holds already: so it is found either here or by filling.
    pub(super) fn add(&self, id: KeyId, hash: KeyHash) {
        if let Some(hashes) = self.hashes.get() {
            hashes.insert(id, hash);
        }
    }

    pub(super) fn remove(&self, id: KeyId, hash: &KeyHash) {
        if let Some(hashes) = self.hashes.get() {
            hashes.remove_if(&id, |_, known| known == hash);
        }
    }
}

impl Catalog {
    /// The key with this id.
    pub(crate) fn key_with_id(&self, id: KeyId) -> Option<Arc<KeyEntry>> {
        let hashes = self.by_id.hashes.get_or_init(DashMap::default);
        self.by_id.is_filled.get_or_init(|| {
            for entry in &self.keys {
                hashes.insert(entry.value().id, *entry.key());
            }
        });
        let hash = *hashes.get(&id)?;
        self.key(&hash).filter(|key| key.id == id)
    }
}
