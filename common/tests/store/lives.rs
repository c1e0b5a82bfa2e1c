//! Lives of gateways whose journals are gone: told once a later life has looked for them, and never
//! while anybody has them.

use common::{
    store::{Store, StoreError},
    usage::{Life, UsageBatch, UsageEntry, gaps::Acceptance},
};

use crate::fixture::{Fixture, NOW, batch, new_tenant, on_both_engines, root, stream};

on_both_engines!(
    life_without_journal_is_lost_after_later_life_has_looked,
    life_with_found_journal_is_not_lost,
    lost_life_is_accepted_once_with_a_reason,
);

fn life(boot: u128) -> Life {
    stream(boot).life()
}

async fn lost(store: &Store) -> Vec<(Life, u64)> {
    store.lost_lives().await.unwrap().into_iter().map(|lost| (lost.life, lost.booked)).collect()
}

async fn life_without_journal_is_lost_after_later_life_has_looked(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    for boot in [1, 2] {
        store.begin_life(&life(boot), NOW).await.unwrap();
        store.begin_life(&life(boot), NOW.plus_seconds(5)).await.unwrap();
    }
    store.book_usage(&batch(&stream(1), 0, 3, tenant), NOW).await.unwrap();
    assert_eq!(lost(&store).await, [], "the later one may still find it");
    for later in [60, 70] {
        store.no_journal_left(&life(2), NOW.plus_seconds(later)).await.unwrap();
    }
    assert_eq!(lost(&store).await, [(life(1), 3)]);
    let told = store.lost_lives().await.unwrap().remove(0);
    assert_eq!((told.began_at, told.noticed_at, told.accepted), (NOW, NOW.plus_seconds(60), None));
    assert_eq!(store.lost_life_count().await.unwrap(), 1);

    // Another gateway with the same journals, or another disk that is back.
    store.end_lives(&[life(1)], NOW.plus_seconds(90)).await.unwrap();
    assert_eq!(lost(&store).await, []);
}

async fn life_with_found_journal_is_not_lost(fixture: Fixture) {
    let store = fixture.store().await;
    for boot in 1..=4 {
        store.begin_life(&life(boot), NOW).await.unwrap();
    }
    store.end_lives(&[life(1), life(9)], NOW).await.unwrap();
    // Whoever found the second one has said so to billing, and died before saying so here.
    let end = UsageBatch { stream: stream(2), first_seq: 0, entries: vec![UsageEntry::End] };
    store.book_usage(&end, NOW).await.unwrap();
    store.no_journal_left(&life(3), NOW).await.unwrap();
    assert_eq!(lost(&store).await, [], "neither the earlier ones nor the later one, which may live");
    store.begin_life(&"edge-2/01jd0000000000000000000000".parse().unwrap(), NOW).await.unwrap();
    assert_eq!(lost(&store).await, [], "another gateway has journals of its own");
}

async fn lost_life_is_accepted_once_with_a_reason(fixture: Fixture) {
    let store = fixture.store().await;
    store.create_tenant(&new_tenant(common::tenant::TenantKind::Root, None), NOW).await.unwrap();
    for boot in [1, 2] {
        store.begin_life(&life(boot), NOW).await.unwrap();
    }
    let acceptance = Acceptance { at: NOW.plus_seconds(9), by: "ada".into(), reason: "disk gone".into() };
    let early = store.accept_lost_life(&life(1), &acceptance).await;
    assert!(matches!(early, Err(StoreError::NotFound { .. })), "{early:?}");
    store.no_journal_left(&life(2), NOW).await.unwrap();
    let without = Acceptance { reason: " ".into(), ..acceptance.clone() };
    assert!(matches!(store.accept_lost_life(&life(1), &without).await, Err(StoreError::Refused { .. })));
    let accepted = store.accept_lost_life(&life(1), &acceptance).await.unwrap();
    assert_eq!(accepted.accepted, Some(acceptance.clone()));
    assert_eq!(store.lost_lives().await.unwrap(), [accepted], "it goes on being told, as accepted");
    assert_eq!(store.lost_life_count().await.unwrap(), 0);
    let again = store.accept_lost_life(&life(1), &acceptance).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
}
