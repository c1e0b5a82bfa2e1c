//! The first start of a token bank is the first only once.

use crate::fixture::{Fixture, NOW, on_both_engines};

on_both_engines!(only_one_of_concurrent_starts_is_first);

async fn only_one_of_concurrent_starts_is_first(fixture: Fixture) {
    let stores = [fixture.store().await, fixture.store().await];
    let starts = stores.iter().cycle().take(8).map(|store| store.first_bank_start(NOW));
    let firsts = futures_util::future::join_all(starts).await;
    assert_eq!(firsts.into_iter().filter(|first| *first.as_ref().unwrap()).count(), 1);
    assert!(!stores[0].first_bank_start(NOW).await.unwrap(), "nor is a later one");
}
