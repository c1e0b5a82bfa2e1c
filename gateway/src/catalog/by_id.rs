//! Keys by their identifiers, for callers whose credential is not the key itself.
//!
//! The configuration names few keys, so there is no second map of all: each of them is searched
//! once, and found by its hash from then on.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::{id::KeyId, key::KeyHash};
use dashmap::DashMap;

use super::{entry::KeyEntry, memory::Catalog};

/// Time for which a key that was not found is not searched again.
const SEARCH_PAUSE: Duration = Duration::from_secs(1);

/// Where keys were found that somebody asked for.
#[derive(Default)]
pub(super) struct KeysById(DashMap<KeyId, Place>);

#[derive(Clone, Copy)]
enum Place {
    Under(KeyHash),
    /// Nowhere, at this time.
    NotAt(Instant),
}

impl Catalog {
    /// The key with this identifier, which the configuration names.
    pub(crate) fn key_with_id(&self, id: KeyId) -> Option<Arc<KeyEntry>> {
        let known = self.by_id.0.get(&id).map(|place| *place);
        match known {
            Some(Place::Under(hash)) => {
                if let Some(entry) = self.key(&hash).filter(|entry| entry.id == id) {
                    return Some(entry);
                }
            }
            Some(Place::NotAt(time)) if time.elapsed() < SEARCH_PAUSE => return None,
            Some(Place::NotAt(_)) | None => {}
        }
        let found = self.keys.iter().find(|entry| entry.value().id == id);
        let found = found.map(|entry| (*entry.key(), Arc::clone(entry.value())));
        let place = found.as_ref().map_or_else(|| Place::NotAt(Instant::now()), |(hash, _)| Place::Under(*hash));
        self.by_id.0.insert(id, place);
        found.map(|(_, entry)| entry)
    }
}
