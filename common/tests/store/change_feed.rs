//! Following the change log: what is announced, what is loaded, and what tells one log from
//! another.

use std::time::Duration;

use common::{
    change::{CatalogRow, ChangeFeed, ChangeMark, Changes},
    key::{IpNet, KeyUpdate},
    store::Store,
    tenant::{TenantKind, TenantStatus},
};

use crate::fixture::{Fixture, NOW, key, new_tenant, on_both_engines, plan, root};

on_both_engines!(
    each_commit_is_announced,
    changes_load_with_plans_they_pin,
    whole_catalog_equals_sum_of_changes,
    foreign_change_log_is_recognised,
);

const PATIENCE: Duration = Duration::from_secs(30);

async fn after(feed: &mut ChangeFeed, mark: &ChangeMark, limit: u32) -> Option<Changes> {
    feed.changes_after(mark, limit, &|_, _, _| false).await.unwrap()
}

async fn each_commit_is_announced(fixture: Fixture) {
    let store = fixture.store().await;
    let watcher = Store::open(&fixture.url).await.unwrap();
    let mut watch = watcher.watch_changes();
    let announced = async |watch: &common::change::ChangeWatch| {
        tokio::time::timeout(PATIENCE, watch.announced()).await.unwrap();
    };
    // That it watches from now on is announced as well.
    announced(&watch).await;
    let tenant = root(&store).await.id;
    announced(&watch).await;
    watch.renew();
    announced(&watch).await;
    key(&store, tenant).await;
    announced(&watch).await;
}

async fn changes_load_with_plans_they_pin(fixture: Fixture) {
    let store = fixture.store().await;
    store.apply_plans(&[plan("basic", "1.00")], NOW).await.unwrap();
    let top = root(&store).await;
    let mut feed = store.change_feed();
    assert!(feed.is_fresh());
    let first = after(&mut feed, &ChangeMark::NONE, 100).await.unwrap();
    assert!(!feed.is_fresh() && !first.more);
    assert_eq!(first.mark.seq, feed.head().await.unwrap());
    assert_eq!(first.tenants.iter().map(|tenant| tenant.id).collect::<Vec<_>>(), [top.id]);

    let with_plan = common::tenant::lifecycle::NewTenant {
        plan: Some("basic".parse().unwrap()),
        ..new_tenant(TenantKind::Customer, Some(top.id))
    };
    let customer = store.create_tenant(&with_plan, NOW).await.unwrap().id;
    let narrowed = key(&store, customer).await.id;
    let update = KeyUpdate {
        name: None,
        scopes: Some(vec!["read".into()]),
        allowed_ips: Some(vec!["198.51.100.0/24".parse::<IpNet>().unwrap()]),
    };
    store.update_key(narrowed, &update, None, NOW).await.unwrap();
    store.set_tenant_status(top.id, TenantStatus::Suspended, NOW).await.unwrap();

    let page = after(&mut feed, &first.mark, 1).await.unwrap();
    assert!(page.more && page.keys.is_empty());
    let second = after(&mut feed, &first.mark, 100).await.unwrap();
    assert!(!second.more);
    assert_eq!(second.tenants.len(), 2);
    assert!(second.tenants.iter().any(|tenant| tenant.id == top.id && tenant.status == TenantStatus::Suspended));
    assert!(second.tenants.iter().any(|tenant| tenant.id == customer && tenant.parent == Some(top.id)));
    assert_eq!(second.subscriptions.iter().map(|one| one.tenant).collect::<Vec<_>>(), [customer]);
    assert_eq!(second.plans.iter().map(|version| version.plan.id.as_str()).collect::<Vec<_>>(), ["basic"]);
    assert_eq!((second.keys.len(), second.keys[0].id), (1, narrowed));
    assert_eq!(second.keys[0].scopes, ["read"]);
    assert_eq!(second.keys[0].allowed_ips[0].to_string(), "198.51.100.0/24");
    let known = feed.changes_after(&first.mark, 100, &|_, _, _| true).await.unwrap().unwrap();
    assert!(known.plans.is_empty(), "what is known is not loaded again");
    assert!(after(&mut feed, &second.mark, 100).await.unwrap().keys.is_empty());
}

async fn whole_catalog_equals_sum_of_changes(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await;
    let (kept, revoked) = (key(&store, top.id).await, key(&store, top.id).await);
    store.revoke_key(revoked.id, NOW).await.unwrap();
    let mut feed = store.change_feed();
    let (mut tenants, mut keys) = (Vec::new(), Vec::new());
    let mark = feed
        .whole(|row| match row {
            CatalogRow::Tenant(tenant) => tenants.push(tenant.id),
            CatalogRow::Key(key) => keys.push(key.id),
            CatalogRow::Plan(_) | CatalogRow::Subscription(_) => {}
        })
        .await
        .unwrap();
    assert_eq!((tenants, keys), (vec![top.id], vec![kept.id]));
    assert_eq!(mark, after(&mut feed, &ChangeMark::NONE, 100).await.unwrap().mark);
    assert!(feed.holds(&mark).await.unwrap());
}

async fn foreign_change_log_is_recognised(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await;
    let mark = store.change_feed().whole(drop).await.unwrap();
    let other = if fixture.is_sqlite() { Fixture::sqlite() } else { Fixture::postgres() };
    let other = other.store().await;
    for _ in 0..3 {
        root(&other).await;
    }
    let mut feed = other.change_feed();
    assert!(!feed.holds(&mark).await.unwrap());
    assert!(after(&mut feed, &mark, 100).await.is_none());
    key(&store, top.id).await;
    assert_eq!(after(&mut store.change_feed(), &mark, 100).await.unwrap().keys.len(), 1);
}
