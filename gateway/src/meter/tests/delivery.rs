//! Records arrive once and in order, whatever happens to the sink and to processes.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_arrives_once_and_in_order_however_the_sink_behaves() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(true);
    let running = start(settings(directory.path()), Arc::clone(&sink) as _);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let meter = &running.meter;
            scope.spawn(move || {
                for number in 0..250 {
                    meter.record(&record(thread * 250 + number)).unwrap();
                }
            });
        }
    });
    eventually("everything booked", async || sink.books.count() == 1_000).await;
    running.stop().await;
    assert_eq!(sink.books.units(), (0..1_000).collect::<Vec<_>>());
    sink.books.assert_in_order();
}

#[tokio::test]
async fn records_wait_while_the_sink_is_away_and_metrics_say_so() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(false);
    sink.away.send_replace(true);
    let running = start(settings(directory.path()), Arc::clone(&sink) as _);
    for number in 0..100 {
        running.meter.record(&record(number)).unwrap();
    }
    eventually("attempts", async || running.metric("tollgate_sink_failures_total") >= 2.0).await;
    eventually("the backlog", async || running.metric("tollgate_journal_entries") >= 100.0).await;
    eventually("its age", async || running.metric("tollgate_journal_oldest_seconds") > 0.0).await;
    assert!(running.metric("tollgate_journal_bytes") >= 100.0 * 128.0);
    sink.away.send_replace(false);
    eventually("delivery", async || sink.books.count() == 100).await;
    eventually("an empty backlog", async || running.metric("tollgate_journal_entries") < 1.0).await;
    eventually("counters", async || {
        running.metric("tollgate_journal_appended_total") >= 100.0
            && running.metric("tollgate_journal_acknowledged_total") >= 100.0
    })
    .await;
    assert!(running.metric("tollgate_journal_unreadable_slots_total") < 1.0);
    running.stop().await;
}

#[tokio::test]
async fn records_of_a_killed_process_are_delivered_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(false);
    for life in 0..3 {
        // Never run, never stopped: only the files remain of it.
        let meter = Meter::open(settings(directory.path()), &Registry::new()).unwrap();
        for number in 0..50 {
            meter.record(&record(life * 50 + number)).unwrap();
        }
    }
    let running = start(settings(directory.path()), Arc::clone(&sink) as _);
    running.meter.record(&record(150)).unwrap();
    eventually("delivery", async || sink.books.count() == 151).await;
    eventually("removal of what was left", async || journals(directory.path()) == 1).await;
    running.stop().await;
    assert_eq!(sink.books.units(), (0..151).collect::<Vec<_>>());
}

#[tokio::test]
async fn shutdown_empties_the_journal_or_leaves_the_rest_for_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(false);
    sink.away.send_replace(true);
    let hasty = MeterSettings { shutdown_deadline: Duration::from_millis(50), ..settings(directory.path()) };
    let running = start(hasty, Arc::clone(&sink) as _);
    running.meter.record(&record(1)).unwrap();
    running.stop().await;
    assert_eq!(sink.books.count(), 0);
    sink.away.send_replace(false);
    let running = start(settings(directory.path()), Arc::clone(&sink) as _);
    running.meter.record(&record(2)).unwrap();
    running.stop().await;
    assert_eq!(sink.books.units(), [1, 2]);
}

#[tokio::test]
async fn dead_gateway_is_drained_by_another_on_the_same_host() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Unreliable::new(false);
    let running = start(settings(directory.path()), Arc::clone(&sink) as _);
    let doomed =
        Meter::open(MeterSettings { gateway: "edge-2".into(), ..settings(directory.path()) }, &Registry::new())
            .unwrap();
    doomed.record(&record(7)).unwrap();
    drop(doomed);
    eventually("delivery", async || sink.books.units() == [7]).await;
    eventually("removal of what was left", async || journals(directory.path()) == 1).await;
    assert!(locked(&sink.books.booked).keys().all(|stream| stream.gateway() == "edge-2"));
    running.stop().await;
}

#[test]
fn settings_that_cannot_work_are_refused_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let open = |settings| Meter::open(settings, &Registry::new()).err().expect("a refusal").to_string();
    let name = open(MeterSettings::new(directory.path(), "edge/1"));
    assert!(name.contains("`edge/1` is not a gateway name"), "{name}");
    assert!(open(MeterSettings::new(directory.path(), ".hidden")).contains("is not a gateway name"));
    let budget = open(MeterSettings { budget_bytes: 1_000, ..MeterSettings::new(directory.path(), "edge-1") });
    assert!(budget.contains("1000 bytes"), "{budget}");
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let path = open(MeterSettings::new(&file, "edge-1"));
    assert!(path.contains("file") && path.contains("check that"), "{path}");
}
