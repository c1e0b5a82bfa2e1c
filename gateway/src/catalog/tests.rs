//! Following a real store: each change is seen, and what must survive it does.

use std::{str::FromStr as _, sync::Arc};

use common::{
    change::ServedKey,
    id::{KeyId, TenantId},
    key::{KeyHash, KeyStatus, KeyUpdate, Mode, NewKey, Pepper, Secret},
    plan::{Plan, PlanId},
    store::Store,
    tenant::{Tenant, TenantKind, TenantStatus, lifecycle::NewTenant},
    time::{Clock as _, Micros, SystemClock, Zone},
};
use servers::eventually;
use tokio::sync::watch;

use super::*;
use crate::limit::{Clock, Limiter};

struct Fixture {
    directory: tempfile::TempDir,
    store: Store,
    root: Tenant,
    customer: Tenant,
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory, "store.db").await;
        store.apply_plans(&[plan(5)], SystemClock.now()).await.unwrap();
        let root = tenant(&store, None, TenantKind::Root, None).await;
        let customer = tenant(&store, Some(root.id), TenantKind::Customer, Some(plan(5).id)).await;
        Self { directory, store, root, customer }
    }

    async fn key(&self) -> (KeyId, KeyHash) {
        let pepper = Pepper::new(b"a pepper for tests").unwrap();
        let new = NewKey::new(self.customer.id, "key", &Secret::generate(Mode::Live), &pepper);
        (self.store.create_key(&new, SystemClock.now()).await.unwrap().id, new.hash)
    }
}

async fn open(directory: &tempfile::TempDir, file: &str) -> Store {
    let url = format!("sqlite://{}", directory.path().join(file).display());
    Store::open_and_migrate(&url).await.unwrap().0
}

async fn tenant(store: &Store, parent: Option<TenantId>, kind: TenantKind, plan: Option<PlanId>) -> Tenant {
    let new = NewTenant { parent, kind, name: kind.to_string(), zone: Zone::utc(), plan };
    store.create_tenant(&new, SystemClock.now()).await.unwrap()
}

fn plan(per_day: u64) -> Plan {
    fixture::plan("growth", &format!("limits: {{ key: {{ per_day: {per_day} }} }}"))
}

/// A catalog that follows a store until it is dropped.
struct Following {
    catalog: Arc<Catalog>,
    _stop: watch::Sender<bool>,
}

impl Following {
    fn start(catalog: Catalog, store: &Store) -> Self {
        let catalog = Arc::new(catalog);
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(Arc::clone(&catalog).follow(store.clone(), stopped));
        Self { catalog, _stop: stop }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Catalog) -> bool) {
        eventually(what, async || holds(&self.catalog)).await;
    }
}

fn is_served(catalog: &Catalog, tenant: TenantId) -> bool {
    matches!(catalog.standing(tenant), Standing::Served(_))
}

#[tokio::test]
async fn keys_and_tenants_are_seen_as_they_change() {
    let fixture = Fixture::new().await;
    let following = Following::start(Catalog::load(&fixture.store).await.unwrap(), &fixture.store);
    let customer = fixture.customer.id;
    let (id, hash) = fixture.key().await;
    following.until("the new key", |catalog| catalog.key(&hash).is_some_and(|key| key.id == id)).await;
    assert!(is_served(&following.catalog, customer));
    fixture.store.set_tenant_status(fixture.root.id, TenantStatus::Suspended, SystemClock.now()).await.unwrap();
    following.until("suspension from above", |catalog| matches!(catalog.standing(customer), Standing::Suspended)).await;
    fixture.store.set_tenant_status(fixture.root.id, TenantStatus::Active, SystemClock.now()).await.unwrap();
    following.until("service again", |catalog| is_served(catalog, customer)).await;
    fixture.store.revoke_key(id, SystemClock.now()).await.unwrap();
    following
        .until("revocation", |catalog| {
            catalog.key(&hash).is_some_and(|key| key.status(SystemClock.now()) == KeyStatus::Revoked)
        })
        .await;
    let newcomer = tenant(&fixture.store, Some(fixture.root.id), TenantKind::Customer, Some(plan(5).id)).await;
    following.until("the new tenant", |catalog| is_served(catalog, newcomer.id)).await;
    following
        .until("freshness", |catalog| catalog.staleness(SystemClock.now()).is_some_and(|age| age.as_secs() < 5))
        .await;
}

#[tokio::test]
async fn empty_catalog_loads_itself() {
    let fixture = Fixture::new().await;
    let (_, hash) = fixture.key().await;
    let catalog = Catalog::empty();
    assert!(!catalog.is_loaded() && catalog.staleness(SystemClock.now()).is_none());
    let following = Following::start(catalog, &fixture.store);
    following.until("loading", Catalog::is_loaded).await;
    assert!(following.catalog.key(&hash).is_some());
    assert_eq!((following.catalog.key_count(), following.catalog.tenant_count()), (1, 2));
}

#[tokio::test]
async fn reload_does_not_refill_a_bucket() {
    let fixture = Fixture::new().await;
    let (id, hash) = fixture.key().await;
    let following = Following::start(Catalog::load(&fixture.store).await.unwrap(), &fixture.store);
    let limiter = Limiter::with_clock(Clock::manual());
    let admits = |catalog: &Catalog| {
        let key = catalog.key(&hash).unwrap();
        let Standing::Served(tenant) = catalog.standing(key.tenant) else { panic!("not served") };
        limiter.try_admit((Caller { key, tenant }).request("requests", 1, SystemClock.now())).is_ok()
    };
    while admits(&following.catalog) {}
    let before = following.catalog.last_change();
    fixture.store.apply_plans(&[plan(50)], SystemClock.now()).await.unwrap();
    fixture.store.set_tenant_status(fixture.root.id, TenantStatus::Suspended, SystemClock.now()).await.unwrap();
    fixture.store.set_tenant_status(fixture.root.id, TenantStatus::Active, SystemClock.now()).await.unwrap();
    let now = SystemClock.now();
    fixture.store.rotate_key(id, KeyHash::default(), "00000000", "efgh", 3_600, now).await.unwrap();
    let last = fixture.store.last_change().await.unwrap();
    assert!(last > before);
    following.until("all changes", |catalog| catalog.last_change() == last).await;
    assert!(!admits(&following.catalog));
}

#[test]
fn key_that_changes_is_seen_by_those_who_hold_it_and_keeps_its_cells() {
    let now = Micros(1_800_000_000_000_000);
    let mut rows = fixture::Rows::three_levels(now);
    let hash = KeyHash::default();
    let key = rows.add_key(2, hash, Mode::Live);
    let catalog = Catalog::from_rows(rows.into_catalog(), now);
    let held = catalog.key(&hash).unwrap();
    assert_eq!(held.status(now), KeyStatus::Active);
    let change = |change: fn(&mut ServedKey)| {
        let mut row = ServedKey::from(&key);
        change(&mut row);
        catalog.put_key(&row);
        assert_eq!(catalog.key(&hash).unwrap().row(hash), row);
    };
    change(|row| row.expires_at = Some(Micros(1_800_000_001_000_000)));
    assert_eq!((held.status(now), held.status(now.plus_seconds(1))), (KeyStatus::Active, KeyStatus::Expired));
    change(|row| row.scopes = vec!["search".into()]);
    assert!(
        held.has_scope("search") && !held.has_scope("write") && held.status(now.plus_seconds(1)) == KeyStatus::Active
    );
    change(|row| row.revoked = true);
    assert_eq!(held.status(now), KeyStatus::Revoked);
    assert!(Arc::ptr_eq(&held, &catalog.key(&hash).unwrap()));
    change(|row| row.id = KeyId::from_u128(7));
    assert!(!Arc::ptr_eq(&held, &catalog.key(&hash).unwrap()), "another key must not have the cells of this one");
}

#[tokio::test]
async fn store_that_was_replaced_is_loaded_anew() {
    let fixture = Fixture::new().await;
    let (_, hash) = fixture.key().await;
    let catalog = Catalog::load(&fixture.store).await.unwrap();
    let other = open(&fixture.directory, "other.db").await;
    let root = tenant(&other, None, TenantKind::Root, None).await;
    assert!(other.last_change().await.unwrap() < catalog.last_change());
    let following = Following::start(catalog, &other);
    following.until("the other store's tenant", |catalog| catalog.tenant_count() == 1).await;
    assert!(matches!(following.catalog.standing(root.id), Standing::NoPlan));
    assert!(following.catalog.key(&hash).is_none());
}

#[test]
fn subscription_starts_and_ends_on_time() {
    let now = Micros(1_800_000_000_000_000);
    let mut rows = fixture::Rows::three_levels(now);
    let customer = rows.tenants[2].id;
    rows.subscriptions[0].starts_at = now.plus_seconds(10);
    rows.subscriptions[0].ends_at = Some(now.plus_seconds(20));
    let catalog = Catalog::from_rows(rows.into_catalog(), now);
    let served_at = |at: Micros| {
        catalog.turn(at);
        is_served(&catalog, customer)
    };
    let seen: Vec<_> = [0, 9, 10, 19, 20, 30].map(|seconds| served_at(now.plus_seconds(seconds))).into();
    assert_eq!(seen, [false, false, true, true, false, false]);
}

#[test]
fn ring_of_parents_is_survived() {
    let now = Micros(1_800_000_000_000_000);
    let mut rows = fixture::Rows::three_levels(now);
    rows.tenants[0].parent = Some(rows.tenants[2].id);
    let customer = rows.tenants[2].id;
    assert!(is_served(&Catalog::from_rows(rows.into_catalog(), now), customer));
}

#[tokio::test]
async fn minute_of_a_keys_last_use_reaches_the_store() {
    let fixture = Fixture::new().await;
    let ((used, hash), (unused, _)) = (fixture.key().await, fixture.key().await);
    let catalog = Arc::new(Catalog::load(&fixture.store).await.unwrap());
    let at = Micros::from_str("2026-11-24T10:20:30Z").unwrap();
    catalog.key(&hash).unwrap().touch(at);
    let (stop, stopped) = watch::channel(false);
    let reporting = tokio::spawn(Arc::clone(&catalog).report_use(fixture.store.clone(), stopped));
    // A change of the key does not forget it.
    fixture
        .store
        .update_key(used, &KeyUpdate { name: Some("new".into()), ..KeyUpdate::default() }, None, at)
        .await
        .unwrap();
    stop.send(true).unwrap();
    reporting.await.unwrap();
    let minute = Micros::from_str("2026-11-24T10:20:00Z").unwrap();
    assert_eq!(fixture.store.key(used).await.unwrap().last_used_at, Some(minute));
    assert_eq!(fixture.store.key(unused).await.unwrap().last_used_at, None);
}

#[tokio::test]
async fn deleted_tenant_is_not_served_and_a_moved_one_draws_on_its_new_place() {
    let fixture = Fixture::new().await;
    let (store, now) = (&fixture.store, SystemClock.now());
    let pooled = fixture::plan("pooled", "limits: { pool: { per_second: 100 } }");
    store.apply_plans(std::slice::from_ref(&pooled), now).await.unwrap();
    let reseller = tenant(store, Some(fixture.root.id), TenantKind::Reseller, Some(pooled.id)).await;
    let child = tenant(store, Some(fixture.root.id), TenantKind::Customer, None).await;
    let following = Following::start(Catalog::load(store).await.unwrap(), store);
    assert!(matches!(following.catalog.standing(child.id), Standing::NoPlan));
    store.move_tenant(child.id, reseller.id, None, SystemClock.now()).await.unwrap();
    let pools_of = |catalog: &Catalog, id| match catalog.standing(id) {
        Standing::Served(entry) => entry.limits.pools.iter().map(|pool| pool.owner).collect(),
        _ => Vec::new(),
    };
    following.until("the move", |catalog| pools_of(catalog, child.id) == [reseller.id]).await;
    let Standing::Served(entry) = following.catalog.standing(child.id) else { panic!("not served") };
    assert_eq!(entry.plan().as_str(), "pooled", "inherited");
    store.delete_tenant(child.id, None, SystemClock.now()).await.unwrap();
    following.until("deletion", |catalog| matches!(catalog.standing(child.id), Standing::Deleted)).await;
}

#[tokio::test]
async fn key_is_found_by_its_identifier_once_it_is_known() {
    let fixture = Fixture::new().await;
    let following = Following::start(Catalog::load(&fixture.store).await.unwrap(), &fixture.store);
    assert!(following.catalog.key_with_id(KeyId::generate()).is_none());
    let (id, hash) = fixture.key().await;
    following.until("the key by its identifier", |catalog| catalog.key_with_id(id).is_some()).await;
    let (by_id, by_hash) = (following.catalog.key_with_id(id).unwrap(), following.catalog.key(&hash).unwrap());
    assert!(Arc::ptr_eq(&by_id, &by_hash));
    fixture.store.revoke_key(id, SystemClock.now()).await.unwrap();
    following.until("the revocation", |catalog| key_status(catalog, id) == Some(KeyStatus::Revoked)).await;
}

fn key_status(catalog: &Catalog, id: KeyId) -> Option<KeyStatus> {
    Some(catalog.key_with_id(id)?.status(SystemClock.now()))
}
