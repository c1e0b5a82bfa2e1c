//! Outages that outlast the rings, and then the disk budget.

use super::*;

/// Settings that leave room for a few hundred records.
fn cramped(directory: &Path, when_full: WhenFull) -> MeterSettings {
    MeterSettings { lanes: 1, budget_bytes: 64 * 1024, when_full, ..settings(directory) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outage_that_outlasts_the_rings_is_spooled_and_delivered_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(true);
    sink.away.send_replace(true);
    let running = start(cramped(directory.path(), WhenFull::Reject), Arc::clone(&sink) as _);
    let mut appended = 0;
    while running.metric("tollgate_spool_bytes") < 20_000.0 {
        if running.meter.record(&record(appended)).is_ok() {
            appended += 1;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    sink.away.send_replace(false);
    for _ in 0..500 {
        eventually("room", async || running.meter.has_room()).await;
        running.meter.record(&record(appended)).unwrap();
        appended += 1;
    }
    eventually("everything booked", async || sink.books.count() as u64 == appended).await;
    eventually("an empty spool", async || running.metric("tollgate_spool_bytes") < 1.0).await;
    running.stop().await;
    assert_eq!(sink.books.units(), (0..appended).collect::<Vec<_>>());
    sink.books.assert_in_order();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spent_disk_budget_refuses_requests_and_kept_records_arrive() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(false);
    sink.away.send_replace(true);
    let running = start(cramped(directory.path(), WhenFull::Reject), Arc::clone(&sink) as _);
    let mut appended = 0;
    // Full also once the spool has taken what it can.
    eventually("a full journal", async || {
        while running.meter.has_room() {
            running.meter.record(&record(appended)).unwrap();
            appended += 1;
        }
        running.metric("tollgate_spool_bytes") > 30_000.0
    })
    .await;
    assert!(appended > 300, "{appended}");
    while running.meter.record(&record(appended)).is_ok() {
        appended += 1;
    }
    sink.away.send_replace(false);
    eventually("everything booked", async || sink.books.count() as u64 == appended).await;
    eventually("room", async || running.meter.has_room()).await;
    running.stop().await;
    assert_eq!(sink.books.units(), (0..appended).collect::<Vec<_>>());
    sink.books.assert_in_order();
}

#[tokio::test]
async fn requests_served_unmetered_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(false);
    let settings = cramped(directory.path(), WhenFull::ServeUnmetered);
    let registry = Registry::new();
    let meter = Meter::open(settings, &registry).unwrap();
    for number in 0..1_000 {
        assert!(meter.has_room());
        meter.record(&record(number)).unwrap();
    }
    assert!(matches!(meter.record(&UsageRecord { status: 1, ..record(0) }), Err(MeterError::Invalid(_))));
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(Arc::clone(&meter).run(Arc::clone(&sink) as _, stopped));
    let running = Running { meter, registry, stop, task };
    let unmetered = || running.metric("tollgate_unmetered_requests_total");
    eventually("the rest booked", async || (sink.books.count() as f64 + unmetered() - 1_000.0).abs() < 0.5).await;
    assert!(unmetered() > 500.0);
    running.meter.record(&record(1_000)).unwrap();
    eventually("the next one booked", async || sink.books.units().contains(&1_000)).await;
    running.stop().await;
}
