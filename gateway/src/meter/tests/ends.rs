//! The ends of a dead life: one last entry in each lane, after all others, or none at all.

use super::*;

/// The ends of all streams: stream and number.
fn ends(books: &Books) -> Vec<(String, u64)> {
    let booked = locked(&books.booked);
    let ends = booked.iter().flat_map(|(stream, entries)| {
        let ends = entries.iter().filter(|(_, entry)| **entry == UsageEntry::End);
        ends.map(|(number, _)| (stream.to_string(), *number))
    });
    let mut ends: Vec<_> = ends.collect();
    ends.sort();
    ends
}

#[tokio::test]
async fn every_lane_of_a_dead_life_ends_after_its_last_entry_and_no_other_does() {
    let directory = tempfile::tempdir().unwrap();
    let settings = MeterSettings { lanes: 3, ..settings(directory.path()) };
    let dead = Meter::open(settings.clone(), &Registry::new()).unwrap();
    for number in 0..70 {
        dead.record(&record(number)).unwrap();
    }
    let holder = dead.quota_holder();
    assert_eq!(holder.lanes, 3);
    drop(dead);
    let sink = Unreliable::new(true);
    let running = start(settings, Arc::clone(&sink) as _);
    running.meter.record(&record(70)).unwrap();
    eventually("removal of what was left", async || journals(directory.path()) == 1).await;
    running.stop().await;

    assert_eq!(sink.books.count(), 71);
    let ends = ends(&sink.books);
    let lanes: Vec<_> = ends.iter().map(|(stream, _)| stream.clone()).collect();
    assert_eq!(lanes, [0, 1, 2].map(|lane| format!("{}/{lane}", holder.life)));
    assert_eq!(ends.iter().map(|(_, number)| number).sum::<u64>(), 70, "each is the number after the last entry");
    sink.books.assert_in_order();
}

/// Takes everything, but says nothing when it is told an end.
#[derive(Default)]
struct Forgetful {
    books: Arc<Books>,
}

#[async_trait::async_trait]
impl UsageSink for Forgetful {
    async fn deliver(&self, batch: &UsageBatch) -> Result<u64, SinkError> {
        let next = self.books.book(batch);
        if batch.entries == [UsageEntry::End] { Err(SinkError::Away("no".into())) } else { Ok(next) }
    }
}

#[tokio::test]
async fn end_of_a_stream_is_sent_again_under_the_same_number_after_its_recoverer_died() {
    let directory = tempfile::tempdir().unwrap();
    let settings = MeterSettings { lanes: 2, ..settings(directory.path()) };
    let dead = Meter::open(settings.clone(), &Registry::new()).unwrap();
    for number in 0..5 {
        dead.record(&record(number)).unwrap();
    }
    drop(dead);
    let sink = Forgetful::default();
    let books = Arc::clone(&sink.books);
    let successor = start(settings.clone(), Arc::new(sink));
    eventually("the first end", async || !ends(&books).is_empty()).await;
    let told = ends(&books);
    successor.task.abort();
    drop(successor.task.await);
    drop(successor.meter);

    let sink = Unreliable::new(false);
    let running = start(settings, Arc::clone(&sink) as _);
    eventually("removal of what was left", async || journals(directory.path()) == 1).await;
    running.stop().await;
    let told_again = ends(&sink.books);
    assert!(told.iter().all(|end| told_again.contains(end)), "{told:?}, then {told_again:?}");
    assert!(sink.books.units().is_empty(), "what was acknowledged before is not sent again");
}

#[tokio::test]
async fn life_with_an_unreadable_file_has_no_end() {
    let directory = tempfile::tempdir().unwrap();
    let dead = Meter::open(settings(directory.path()), &Registry::new()).unwrap();
    dead.record(&record(1)).unwrap();
    let left = directory.path().join(dead.quota_holder().life.to_string().replace('/', "@"));
    drop(dead);
    // Not the lane that the record is in: that one is still to be delivered.
    let rings = std::fs::read_dir(&left).unwrap().map(|entry| entry.unwrap().path());
    let rings: Vec<_> = rings.filter(|path| path.extension().is_some_and(|extension| extension == "ring")).collect();
    std::fs::write(rings.first().unwrap(), "x".repeat(100_000)).unwrap();
    let sink = Unreliable::new(false);
    let running = start(settings(directory.path()), Arc::clone(&sink) as _);
    eventually("the damage to be counted", async || running.metric("tollgate_journal_unreadable_files_total") >= 1.0)
        .await;
    running.stop().await;
    assert_eq!(ends(&sink.books), []);
    assert!(left.exists(), "it is kept for somebody to look at");
}
