//! The map of keys. What it is searched by is a keyed hash already, which nobody outside can
//! choose: hashing it once more would cost a tenth of a look-up and spread nothing better.

use std::{
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use common::key::KeyHash;
use dashmap::DashMap;

use super::entry::KeyEntry;

/// Keys by the hashes of their secrets.
pub(super) type KeysByHash = DashMap<KeyHash, Arc<KeyEntry>, BuildHasherDefault<AsItIs>>;

/// Takes a [`KeyHash`] for its own hash.
#[derive(Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        hash::{BuildHasher as _, BuildHasherDefault},
    };

    use common::key::{KeyHash, Mode, Pepper, Secret};

    use super::AsItIs;

    #[test]
    fn keys_spread_over_shards_and_buckets() {
        let pepper = Pepper::new(b"a pepper for tests").unwrap();
        let builder = BuildHasherDefault::<AsItIs>::default();
        let hash = |_| builder.hash_one(pepper.hash(&Secret::generate(Mode::Live)));
        let hashes: Vec<u64> = (0..1_000).map(hash).collect();
        for bits in [|hash: &u64| hash >> 54, |hash: &u64| hash & 0x3ff] {
            let distinct: HashSet<u64> = hashes.iter().map(bits).collect();
            assert!(distinct.len() > 550, "{} of 1,024, where 640 are to be expected", distinct.len());
        }
        assert_eq!(builder.hash_one(KeyHash::from_bytes([1; 32])), 0x0101_0101_0101_0101);
    }
}
