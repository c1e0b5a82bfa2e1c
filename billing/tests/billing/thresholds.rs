//! Tenants whose quotas run out: an event each, told in the log and counted.

use common::{
    store::PageRequest,
    time::{Clock as _, SystemClock},
    usage::{UsageEntry, UsageRecord},
};

use crate::deployment::{Deployment, batch, customer, request};

#[tokio::test]
async fn mostly_used_quota_raises_one_event_from_many_processes() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let tenant = customer(&store, root, "Acme", "UTC", "free").await.id;
    // The plan's hard quota is 100,000.
    let record = UsageRecord { at: SystemClock.now(), ..request(tenant, "2026-11-10T12:00:00Z", 80_000) };
    store.book_usage(&batch(0, [UsageEntry::Request(record)]), SystemClock.now()).await.unwrap();

    let server = deployment.serve().await;
    let told = server.logged("usage_threshold_reached").await;
    assert_eq!(told["tenant"], tenant.to_string());
    assert_eq!((&told["percent"], &told["used"], &told["limit"]), (&"80".into(), &80_000.into(), &100_000.into()));
    assert_eq!(server.metric("tollgate_usage_threshold_events_total{percent=\"80\"}").await, 1);
    assert_eq!(server.metric("tollgate_usage_threshold_events_total{percent=\"100\"}").await, 0);
    let page = PageRequest { after: None, limit: 10 };
    let events = store.threshold_events(Some(tenant), page).await.unwrap().items;
    assert_eq!(events.iter().map(|event| event.percent).collect::<Vec<_>>(), [80]);

    let now = SystemClock.now();
    assert_eq!(store.raise_threshold_events(now, now).await.unwrap(), [], "nobody raises it again");
}
