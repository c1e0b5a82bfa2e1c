//! The worker of one partition: reads it from the position that the store holds, page by page, a
//! transaction each.
//!
//! Whatever surprises it, it reads the position again and starts from there: booking is conditional
//! on the position, so being wrong about it costs time and nothing else.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::{
    store::StoreError,
    usage::{Booked, UsageBatch, dead_letters::NewDeadLetter},
};
use rdkafka::consumer::stream_consumer::StreamPartitionQueue;
use tokio::sync::Mutex;

use super::{
    Shared, Stop,
    offsets::Bounds,
    page::{Page, Portion},
    rebalance::Context,
};
use crate::ingest::{BatchOutcome, apart, report};

/// Longest that the store may take to book a page. One that it booked after all is found booked on
/// the next try.
const BOOKING_TIME_LIMIT: Duration = Duration::from_mins(2);

/// Pauses between attempts: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Books one partition.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) partition: i32,
    pub(super) stop: Stop,
}

/// A reason to read the position again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// It begins, or the position is no longer where it was.
    Moved,
    /// Instead of the message at the position there is a later or an earlier one.
    Jumped { position: i64, found: i64 },
    /// There are messages, and they do not come.
    Stalled,
    /// One of the messages before this offset cannot be booked.
    Refused { until: i64 },
}

/// The outcome of booking a page.
enum Outcome {
    Booked,
    Moved,
    Refused,
    Stopped,
}

impl Worker {
    /// Books until told to stop. `turn` is held meanwhile: of two workers of a partition, the later
    /// one waits until the earlier one has let go of the queue, so that no message is taken by one
    /// that will not book it.
    pub(super) async fn run(self, turn: Arc<Mutex<()>>) {
        let Some(_turn) = self.stop.unless(turn.lock_owned()).await else { return };
        let Some(queue) = self.shared.consumer.split_partition_queue(&self.shared.topic, self.partition) else {
            tracing::error!(event = "partition_without_queue", partition = self.partition);
            return;
        };
        let mut again = Some(Again::Moved);
        while let Some(reason) = again {
            again = self.begin_and_book(&queue, reason).await;
        }
        self.shared.services.condition.store_answers(self.partition);
    }

    /// Begins at the stored position and books until something is odd. None once told to stop.
    async fn begin_and_book(&self, queue: &StreamPartitionQueue<Context>, reason: Again) -> Option<Again> {
        let mut booked = self.position().await?;
        let bounds = self.bounds().await?;
        // Who has booked nothing begins wherever the partition does.
        let mut next = if booked == 0 { bounds.start } else { booked };
        if !bounds.allow(next) {
            return self.jump(reason, booked, bounds.start, bounds).await;
        }
        self.read_from(next).await?;
        self.shared.lag.booked(self.partition, next);
        tracing::debug!(event = "reading", partition = self.partition, booked, next, ?reason);
        loop {
            let portion = match reason {
                Again::Refused { until } if next < until => Portion::OneMessage,
                _ => Portion::Full,
            };
            let mut page = Page::new(&self.shared.topic, self.partition, booked, next);
            self.stop.unless(page.fill(queue, self.shared.limits, portion)).await?;
            if page.is_empty() {
                match page.jump {
                    Some(found) => return self.jump(reason, booked, found, self.bounds().await?).await,
                    None if self.bounds().await?.end > next => return Some(Again::Stalled),
                    None => continue,
                }
            }
            match self.book_or_bury(&mut page, portion).await {
                Outcome::Booked => {}
                Outcome::Moved => return Some(Again::Moved),
                Outcome::Refused => return Some(Again::Refused { until: page.to() }),
                Outcome::Stopped => return None,
            }
            (booked, next) = (page.to(), page.to());
            if let Some(found) = page.jump {
                return Some(Again::Jumped { position: booked, found });
            }
        }
    }

    /// Books a page. If it is refused, a page of one message is booked without the entries that are
    /// to blame, which are buried; of several messages it is not known which to look at.
    async fn book_or_bury(&self, page: &mut Page, portion: Portion) -> Outcome {
        match self.book(page).await {
            Outcome::Refused if portion == Portion::OneMessage => {
                for batch in page.take_batches() {
                    if self.book_apart(batch).await.is_none() {
                        return Outcome::Stopped;
                    }
                }
                self.book(page).await
            }
            outcome => outcome,
        }
    }

    /// Books a batch without the entries that the store refuses. The page then moves the position
    /// on. None once told to stop.
    async fn book_apart(&self, batch: UsageBatch) -> Option<()> {
        let shared = &self.shared;
        let mut pause = FIRST_PAUSE;
        loop {
            let attempt = apart::book_apart(&shared.services.store, batch.clone(), shared.services.clock.now());
            match self.stop.unless(attempt).await? {
                Ok(apart) => {
                    for (first_seq, booked) in &apart.booked {
                        shared.services.batches.count_booked(booked);
                        report(&batch.stream, *first_seq, booked);
                    }
                    for letter in &apart.letters {
                        self.tell_of_letter(letter);
                    }
                    return Some(());
                }
                Err(error) => self.wait_for_store(&error.to_string(), &mut pause).await?,
            }
        }
    }

    fn tell_of_letter(&self, letter: &NewDeadLetter) {
        self.shared.services.batches.count_dead_letter();
        let (bytes, reason) = (letter.payload.len(), &letter.reason);
        tracing::error!(event = "dead_letter", partition = self.partition, offset = letter.offset, bytes, reason);
    }

    /// The message after those booked up to `position` is not there, `found` is what there is
    /// instead. It is believed the second time.
    async fn jump(&self, reason: Again, position: i64, found: i64, bounds: Bounds) -> Option<Again> {
        let jumped = Again::Jumped { position, found };
        if reason != jumped {
            return Some(jumped);
        }
        let mut page = Page::new(&self.shared.topic, self.partition, position, found.max(position));
        if let Some(loss) = loss(position, found, bounds) {
            tracing::error!(event = "position_gone", partition = self.partition, position, found, ?bounds, loss);
            self.shared.services.metrics.lost_messages.inc_by(u64::try_from(found - position).unwrap_or(0));
            page.bury(position, Vec::new(), loss);
        }
        match self.book(&page).await {
            Outcome::Stopped => None,
            Outcome::Booked if found < position => self.read_topic_again().await,
            Outcome::Booked | Outcome::Moved | Outcome::Refused => Some(Again::Moved),
        }
    }

    /// Sets the whole topic back to its beginning: what of it is booked already will be found
    /// booked.
    async fn read_topic_again(&self) -> Option<Again> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.stop.unless(self.shared.services.store.reset_positions(&self.shared.topic, None)).await? {
                Ok(_) => return Some(Again::Moved),
                Err(error) => self.wait_for_store(&error.to_string(), &mut pause).await?,
            }
        }
    }

    /// Books a page, trying for as long as the store cannot.
    async fn book(&self, page: &Page) -> Outcome {
        let shared = &self.shared;
        let mut pause = FIRST_PAUSE;
        loop {
            let started = Instant::now();
            let booking = page.booking();
            let attempt = shared.services.store.book_all(&booking, shared.services.clock.now());
            let reason = match tokio::time::timeout(BOOKING_TIME_LIMIT, attempt).await {
                Ok(Ok(booked)) => {
                    shared.services.metrics.transaction_seconds.observe(started.elapsed().as_secs_f64());
                    self.tell(page, &booked);
                    return Outcome::Booked;
                }
                Ok(Err(error @ StoreError::PositionMoved { .. })) => {
                    tracing::warn!(event = "position_moved", partition = self.partition, %error);
                    shared.services.metrics.positions_moved.inc();
                    return Outcome::Moved;
                }
                Ok(Err(StoreError::Refused(_))) if !page.batches().is_empty() => return Outcome::Refused,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("the store did not answer within {} s", BOOKING_TIME_LIMIT.as_secs()),
            };
            if self.wait_for_store(&reason, &mut pause).await.is_none() {
                return Outcome::Stopped;
            }
        }
    }

    /// Says what was booked.
    fn tell(&self, page: &Page, booked: &[Booked]) {
        let shared = &self.shared;
        shared.services.condition.store_answers(self.partition);
        shared.lag.booked(self.partition, page.to());
        shared.tell_booked(self.partition, page.to());
        for (batch, booked) in page.batches().iter().zip(booked) {
            let outcome = if booked.booked == 0 { BatchOutcome::Replayed } else { BatchOutcome::Booked };
            shared.services.batches.count(outcome);
            shared.services.batches.count_booked(booked);
            report(&batch.stream, batch.first_seq, booked);
        }
        page.dead_letters().iter().for_each(|letter| self.tell_of_letter(letter));
        tracing::debug!(event = "page_booked", partition = self.partition, from = page.from(), to = page.to());
    }

    /// The position that the store holds for the partition. `None` once told to stop.
    async fn position(&self) -> Option<i64> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.stop.unless(self.shared.services.store.position(&self.shared.topic, self.partition)).await? {
                Ok(position) => {
                    self.shared.services.condition.store_answers(self.partition);
                    return Some(position.unwrap_or(0));
                }
                Err(error) => self.wait_for_store(&error.to_string(), &mut pause).await?,
            }
        }
    }

    async fn wait_for_store(&self, reason: &str, pause: &mut Duration) -> Option<()> {
        self.shared.services.condition.store_fails(self.partition, reason);
        self.wait(pause).await
    }

    async fn read_from(&self, offset: i64) -> Option<()> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.stop.unless(self.shared.read_from(self.partition, offset)).await? {
                Ok(()) => return Some(()),
                // As right after the assignment, which takes a moment to arrive inside the client.
                Err(error) => tracing::debug!(event = "seek_failed", partition = self.partition, offset, error),
            }
            self.wait(&mut pause).await?;
        }
    }

    async fn bounds(&self) -> Option<Bounds> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.stop.unless(self.shared.bounds(self.partition)).await? {
                Ok(bounds) => return Some(bounds),
                Err(error) => tracing::debug!(event = "bounds_unknown", partition = self.partition, error),
            }
            self.wait(&mut pause).await?;
        }
    }

    /// Waits, each time longer.
    async fn wait(&self, pause: &mut Duration) -> Option<()> {
        self.stop.unless(tokio::time::sleep(*pause)).await?;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        Some(())
    }
}

/// Describes messages that are lost, if any. Numbers may be missing within a partition, since
/// Kafka's own markers take some; and a reader that has booked nothing yet begins at the
/// partition's first message.
fn loss(position: i64, found: i64, bounds: Bounds) -> Option<String> {
    if position == 0 {
        None
    } else if found < position {
        Some(format!(
            "the topic went back from message {position} to {found}, as when it is made anew: all of it is read again"
        ))
    } else if bounds.start > position {
        Some(format!("messages {position} to {} were deleted from the topic before they were booked", found - 1))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deleted_messages_count_as_lost() {
        let bounds = Bounds { start: 50, end: 90 };
        assert_eq!(loss(0, 50, bounds), None);
        assert_eq!(loss(60, 61, bounds), None);
        assert!(loss(40, 50, bounds).unwrap().contains("messages 40 to 49"));
        assert!(loss(100, 50, bounds).unwrap().contains("went back from message 100 to 50"));
    }
}
