//! Hard quotas: grants less refunds never exceed the limit.

use common::{
    id::TenantId,
    store::{Store, StoreError},
    time::Period,
};

use crate::harness::{NOW, Place, on_both_engines, root};

on_both_engines!(
    a_quota_is_drawn_until_it_is_spent,
    draws_at_once_never_exceed_the_limit,
    what_cannot_be_is_not_granted,
);

const METER: &str = "requests";

fn month() -> Period {
    "2026-11".parse().unwrap()
}

async fn draw(store: &Store, tenant: TenantId, limit: u64, wanted: u64) -> u64 {
    store.draw_quota(tenant, METER, month(), limit, wanted, NOW).await.unwrap()
}

async fn a_quota_is_drawn_until_it_is_spent(place: Place) {
    let store = place.store().await;
    let tenant = root(&store).await.id;
    assert_eq!(draw(&store, tenant, 100, 70).await, 70);
    assert_eq!(draw(&store, tenant, 100, 70).await, 30);
    assert_eq!(draw(&store, tenant, 100, 70).await, 0);
    store.refund_quota(tenant, METER, month(), 25, NOW).await.unwrap();
    assert_eq!(draw(&store, tenant, 50, 10).await, 0, "75 are out, and the limit was lowered to 50");
    assert_eq!(draw(&store, tenant, 80, 10).await, 5);

    let next = month().next();
    assert_eq!(store.draw_quota(tenant, METER, next, 100, 100, NOW).await.unwrap(), 100, "each month has its own");
    assert_eq!(store.draw_quota(tenant, "tokens", month(), 100, 100, NOW).await.unwrap(), 100, "each meter as well");
    assert_eq!(draw(&store, root(&store).await.id, 100, 100).await, 100, "and each tenant");
}

async fn draws_at_once_never_exceed_the_limit(place: Place) {
    let store = place.store().await;
    let tenant = root(&store).await.id;
    let limit = 1_000;
    let mut tasks = Vec::new();
    for gateway in 0..6_u64 {
        // A pool of its own, as another process would have.
        let store = Store::open(&place.url).await.unwrap();
        tasks.push(tokio::spawn(async move {
            let mut held = 0;
            for round in 0..20 {
                let granted = draw(&store, tenant, limit, 17 + gateway * 3 + round).await;
                held += granted;
                let unused = granted / 4;
                store.refund_quota(tenant, METER, month(), unused, NOW).await.unwrap();
                held -= unused;
            }
            held
        }));
    }
    let mut held = 0;
    for task in tasks {
        held += task.await.unwrap();
    }
    assert!(held <= limit, "{held} are out of {limit}");
    assert_eq!(draw(&store, tenant, limit, limit).await, limit - held, "and not a unit was lost");
}

async fn what_cannot_be_is_not_granted(place: Place) {
    let store = place.store().await;
    let tenant = root(&store).await.id;
    assert_eq!(draw(&store, tenant, 0, 10).await, 0);
    assert_eq!(draw(&store, tenant, 10, 0).await, 0);
    assert_eq!(draw(&store, tenant, 10, 10).await, 10);
    store.refund_quota(tenant, METER, month(), u64::MAX, NOW).await.unwrap();
    assert_eq!(draw(&store, tenant, 10, 20).await, 10, "a refund beyond what was drawn adds nothing");
    assert_eq!(draw(&store, tenant, u64::MAX, u64::MAX).await, i64::MAX as u64 - 10);
    assert_eq!(draw(&store, tenant, u64::MAX, u64::MAX).await, 0);

    let stranger = TenantId::generate();
    let error = store.draw_quota(stranger, METER, month(), 10, 1, NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { what: "tenant", .. }), "{error}");
}
