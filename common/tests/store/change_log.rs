//! The change log under many writers, and the catalog that is read between them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use common::{
    store::{Changed, Store},
    tenant::TenantKind,
    time::Clock as _,
};

use crate::fixture::{Fixture, NOW, key, new_key, new_tenant, on_both_engines, root};

on_both_engines!(
    change_numbers_have_no_gaps_and_appear_in_order,
    catalog_is_one_consistent_view,
    page_of_changes_is_limited,
    catalog_keeps_recently_expired_keys,
);

const WRITERS: usize = 4;
const TENANTS_PER_WRITER: usize = 10;

/// Writers with pools of their own, as processes would have; each change is one number of the log.
async fn write_at_once(fixture: &Fixture) -> Vec<tokio::task::JoinHandle<()>> {
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        let store = Store::open(&fixture.url).await.unwrap();
        writers.push(tokio::spawn(async move {
            for _ in 0..TENANTS_PER_WRITER {
                let tenant = store.create_tenant(&new_tenant(TenantKind::Root, None), NOW).await.unwrap().id;
                key(&store, tenant).await;
                // Refused after it has begun: must not leave a hole.
                assert!(store.create_key(&new_key(common::id::TenantId::generate()), NOW).await.is_err());
            }
        }));
    }
    writers
}

async fn change_numbers_have_no_gaps_and_appear_in_order(fixture: Fixture) {
    let store = fixture.store().await;
    let writers = write_at_once(&fixture).await;
    let total = WRITERS * TENANTS_PER_WRITER * 2;
    let mut seen = Vec::new();
    while seen.len() < total {
        let after = i64::try_from(seen.len()).unwrap();
        for change in store.changes_after(after, 7).await.unwrap() {
            assert_eq!(change.seq, i64::try_from(seen.len()).unwrap() + 1, "a reader met a hole");
            // What the log names can be read by then.
            match change.changed {
                Changed::Tenant(id) => assert_eq!(store.tenant(id).await.unwrap().id, id),
                Changed::Key(id) => assert_eq!(store.key(id).await.unwrap().id, id),
                Changed::Plans => panic!("nobody changed plans"),
            }
            seen.push(change.changed);
        }
        let ended = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let last = usize::try_from(store.last_change().await.unwrap()).unwrap();
        assert!(!ended || last == total, "the writers ended early, at {last}");
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(store.last_change().await.unwrap(), i64::try_from(total).unwrap());
}

async fn catalog_is_one_consistent_view(fixture: Fixture) {
    let store = fixture.store().await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (store, done) = (store.clone(), done.clone());
        tokio::spawn(async move {
            let mut views = 0;
            while !done.load(Ordering::Acquire) {
                let catalog = store.catalog().await.unwrap();
                let things = catalog.tenants.len() + catalog.keys.len();
                assert_eq!(i64::try_from(things).unwrap(), catalog.seq, "each thing was one change");
                assert!(catalog.keys.iter().all(|key| catalog.tenants.iter().any(|tenant| tenant.id == key.tenant)));
                views += 1;
            }
            views
        })
    };
    for writer in write_at_once(&fixture).await {
        writer.await.unwrap();
    }
    done.store(true, Ordering::Release);
    assert!(reader.await.unwrap() > 0);
    assert_eq!(store.catalog().await.unwrap().tenants.len(), WRITERS * TENANTS_PER_WRITER);
}

async fn page_of_changes_is_limited(fixture: Fixture) {
    let store = fixture.store().await;
    assert_eq!(store.last_change().await.unwrap(), 0);
    assert_eq!(store.changes_after(0, 10).await.unwrap(), []);
    for _ in 0..5 {
        root(&store).await;
    }
    let numbers = async |after, limit| -> Vec<i64> {
        store.changes_after(after, limit).await.unwrap().iter().map(|change| change.seq).collect()
    };
    assert_eq!(numbers(1, 2).await, [2, 3]);
    assert_eq!(numbers(3, 10).await, [4, 5]);
    assert!(numbers(5, 10).await.is_empty());
}

async fn catalog_keeps_recently_expired_keys(fixture: Fixture) {
    let store = fixture.store().await;
    let now = common::time::SystemClock.now();
    let tenant = store.create_tenant(&new_tenant(TenantKind::Root, None), now).await.unwrap().id;
    let long_ago = now.plus_seconds(-90 * 86_400);
    let expiring = |at| common::key::NewKey { expires_at: Some(at), ..new_key(tenant) };
    let ended = store.create_key(&expiring(long_ago.plus_seconds(60)), long_ago).await.unwrap();
    let recent = store.create_key(&expiring(now.plus_seconds(-60)), now.plus_seconds(-120)).await.unwrap();
    let kept: Vec<_> = store.catalog().await.unwrap().keys.into_iter().map(|key| key.id).collect();
    assert!(kept.contains(&recent.id) && !kept.contains(&ended.id));
}
