//! The memory of keys and their limits.

use allocation_counter::measure;
use common::{
    change,
    id::{KeyId, TenantId},
    key::{Key, Mode, Pepper, Secret},
    time::Micros,
};
use gateway::catalog::Catalog;

const NOW: Micros = Micros(1_793_491_200_000_000);

/// A million keys with the cells of their limits are to fit into 250 MiB.
const MOST_BYTES_A_KEY: u64 = 250 * 1024 * 1024 / 1_000_000;

#[test]
fn million_keys_fit_into_250_mebibytes() {
    const KEYS: u64 = 1_000_000;
    let pepper = Pepper::new(b"a pepper for tests").unwrap();
    let key = |number| Key {
        id: KeyId::from_u128(number),
        tenant: TenantId::from_u128(1),
        name: "one of many".into(),
        mode: Mode::Live,
        hash: pepper.hash(&Secret::generate(Mode::Live)),
        pepper_id: pepper.id().into(),
        hint: "last".into(),
        created_at: NOW,
        expires_at: None,
        revoked_at: None,
        replaces: None,
        scopes: Vec::new(),
        allowed_ips: Vec::new(),
        last_used_at: None,
        created_by: None,
        revision: 1,
    };
    let rows = || change::Catalog {
        seq: 1,
        tenants: Vec::new(),
        subscriptions: Vec::new(),
        keys: (0..u128::from(KEYS)).map(key).collect(),
        plans: Vec::new(),
    };
    let mut catalog = None;
    let memory = measure(|| catalog = Some(Catalog::from_rows(rows(), NOW)));
    assert_eq!(catalog.unwrap().key_count() as u64, KEYS);
    let bytes = memory.bytes_current.unsigned_abs() / KEYS;
    assert!(bytes <= MOST_BYTES_A_KEY, "{bytes} bytes a key of at most {MOST_BYTES_A_KEY}");
}
