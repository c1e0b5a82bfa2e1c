//! Restoring a catalog from a file: never a panic, nothing taken from a file whose seal does not
//! fit, and all of an intact one. Damage is also tried under a right seal, which only a gateway of
//! another version could have made.

#![no_main]

use std::{fs, path::Path, sync::OnceLock};

use common::{
    change::Catalog as Rows,
    id::{KeyId, TenantId},
    key::{Key, KeyHash, Mode, Pepper},
    plan::{PlanFile, PlanVersion, subscription::Subscription},
    tenant::{Tenant, TenantKind, TenantStatus},
    time::{Micros, Zone},
};
use fuzz::{Damage, inflict};
use gateway::catalog::{Catalog, SnapshotKeeper};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use tokio::{runtime::Builder, sync::watch};

/// Files in memory: a snapshot is forced to disk when it is written.
const IN_MEMORY: &str = "/dev/shm";

/// Bytes of the seal, which ends a snapshot.
const SEAL: usize = 32;

const TENANTS: usize = 3;
const PLANS: &str = "plans:
  - id: plain
    name: Plain
    currency: USD
    flat_fee: '0.00'
    limits: { key: { per_second: 10 } }
";

#[derive(Debug, Arbitrary)]
enum Input {
    /// The file that a gateway wrote, and the damage since.
    Damaged(Vec<Damage>),
    /// The same, and somebody sealed it again.
    Resealed(Vec<Damage>),
    /// Bytes of any origin after the beginning of a snapshot, sealed.
    Sealed { keep: u16, rest: Vec<u8> },
    /// Bytes of any origin.
    Anything(Vec<u8>),
}

fuzz_target!(|input: Input| {
    let intact = intact();
    match input {
        Input::Damaged(damages) => {
            let mut bytes = intact.to_vec();
            inflict(&damages, &mut bytes);
            let restored = restore(&bytes);
            assert_eq!(restored.is_some(), bytes == intact, "only the whole of it is taken");
            if let Some(catalog) = restored {
                assert_eq!((catalog.tenant_count(), catalog.key_count()), (TENANTS, TENANTS));
            }
        }
        Input::Resealed(damages) => {
            let mut bytes = intact[..intact.len() - SEAL].to_vec();
            inflict(&damages, &mut bytes);
            restore(&sealed(bytes));
        }
        Input::Sealed { keep, rest } => {
            let mut bytes = intact[..usize::from(keep).min(intact.len() - SEAL)].to_vec();
            bytes.extend(rest);
            restore(&sealed(bytes));
        }
        Input::Anything(bytes) => assert!(restore(&bytes).is_none(), "nobody wrote this"),
    }
});

fn restore(bytes: &[u8]) -> Option<Catalog> {
    let directory = tempfile::tempdir_in(IN_MEMORY).expect("there is memory");
    let path = directory.path().join("catalog.snapshot");
    fs::write(&path, bytes).expect("there is memory");
    Catalog::restore(&path, &pepper()).ok()
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut seal = pepper().snapshot_seal();
    seal.update(&bytes);
    bytes.extend(seal.finish());
    bytes
}

fn pepper() -> Pepper {
    Pepper::new(b"a pepper for fuzzing").expect("it is long enough")
}

/// A snapshot as a gateway writes it when it ends.
fn intact() -> &'static [u8] {
    static INTACT: OnceLock<Vec<u8>> = OnceLock::new();
    INTACT.get_or_init(|| {
        let directory = tempfile::tempdir_in(IN_MEMORY).expect("there is memory");
        let path = directory.path().join("catalog.snapshot");
        write(&path);
        fs::read(path).expect("it was written")
    })
}

fn write(path: &Path) {
    let catalog = Catalog::from_rows(rows(), Micros(0));
    let keeper = SnapshotKeeper::new(catalog.into(), path.to_owned(), pepper());
    let (_stop, shutdown) = watch::channel(true);
    let runtime = Builder::new_current_thread().enable_time().build().expect("there are resources");
    runtime.block_on(keeper.run(shutdown));
}

/// A root, a reseller and a customer with a key each, and a plan; the same in every process, so
/// that what was found once is found again.
fn rows() -> Rows {
    let kinds = [TenantKind::Root, TenantKind::Reseller, TenantKind::Customer];
    let mut tenants = Vec::<Tenant>::new();
    for (number, kind) in (1..).zip(kinds) {
        tenants.push(Tenant {
            id: TenantId::from_u128(number),
            parent: tenants.last().map(|above| above.id),
            kind,
            name: kind.to_string(),
            status: TenantStatus::Active,
            zone: Zone::utc(),
            created_at: Micros(0),
            revision: 1,
            unpaid: None,
        });
    }
    let plan = PlanFile::parse(PLANS, "plans.yaml").expect("it is right").plans.remove(0);
    let (owner, tenant) = (tenants[0].id, tenants[0].id);
    let subscription = Subscription {
        tenant,
        plan_owner: owner,
        plan: plan.id.clone(),
        version: 1,
        starts_at: Micros(0),
        ends_at: None,
    };
    let keys = (1..).zip(&tenants).map(|(number, tenant)| key(number, tenant.id)).collect();
    let plans = vec![PlanVersion { owner: Some(owner), version: 1, created_at: Micros(0), plan }];
    Rows { seq: 1, tenants, subscriptions: vec![subscription], plans, keys }
}

fn key(number: u8, tenant: TenantId) -> Key {
    Key {
        id: KeyId::from_u128(number.into()),
        tenant,
        name: "fuzzed".into(),
        mode: Mode::Live,
        hash: KeyHash::from_bytes([number; 32]),
        pepper_id: pepper().id().into(),
        hint: "abcd".into(),
        created_at: Micros(0),
        expires_at: Some(Micros(1)),
        revoked_at: None,
        replaces: None,
        scopes: vec!["read".into(), "write".into()],
        allowed_ips: vec!["198.51.100.0/24".parse().expect("it is a range")],
        last_used_at: None,
        created_by: None,
        revision: 1,
    }
}
