//! A page: consecutive messages of a partition, decoded, on their way into one transaction.

use std::time::Duration;

use common::usage::{
    ApartBatch, BATCH_MAX_BYTES, UsageBatch, booking::Booking, dead_letters::NewDeadLetter, positions::Position,
};
use rdkafka::{Message, consumer::stream_consumer::StreamPartitionQueue};
use tokio::time::{Instant, timeout_at};

use super::rebalance::Context;
use crate::ingest::apart::letters_of;

/// A page is closed once its undecodable messages take this many bytes: a transaction has to fit
/// into memory.
const DEAD_BYTES_MAX: usize = 2 * BATCH_MAX_BYTES;

/// The wait for a page's first message before the partition's end is looked up.
const PATIENCE: Duration = Duration::from_secs(5);

/// The limits at which a page is closed.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageLimits {
    /// Once it holds this many entries.
    pub(super) entries: usize,
    /// Once its first message has waited this long for others.
    pub(super) wait: Duration,
}

/// The size of the next page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Portion {
    /// As much as the limits allow.
    Full,
    /// One message, to find out which of several cannot be booked.
    OneMessage,
}

/// Consecutive messages of a partition.
#[derive(Debug)]
pub(super) struct Page {
    position: Position,
    /// Offset of its first message; before it, there is nothing to read any more.
    first: i64,
    batches: Vec<UsageBatch>,
    dead_letters: Vec<NewDeadLetter>,
    entries: usize,
    dead_bytes: usize,
    /// Offset of the message that came instead of the next one; it is not on the page.
    pub(super) jump: Option<i64>,
}

impl Page {
    /// An empty page that continues what is booked up to `booked` with the message at `first`.
    pub(super) fn new(topic: &str, partition: i32, booked: i64, first: i64) -> Self {
        Self {
            position: Position { topic: topic.to_owned(), partition, from: booked, to: first },
            first,
            batches: Vec::new(),
            dead_letters: Vec::new(),
            entries: 0,
            dead_bytes: 0,
            jump: None,
        }
    }

    /// Fills the page from the queue of its partition; it stays empty if nothing comes for a while.
    /// Nothing is lost if this is given up halfway: what is not booked is read again.
    pub(super) async fn fill(&mut self, queue: &StreamPartitionQueue<Context>, limits: PageLimits, portion: Portion) {
        let mut deadline = Instant::now() + PATIENCE;
        while !self.is_full(limits, portion) {
            let Ok(received) = timeout_at(deadline, queue.recv()).await else { break };
            let was_empty = self.is_empty();
            match received {
                Ok(message) => self.take(message.offset(), message.payload().unwrap_or_default()),
                // The client goes on by itself; what it cannot overcome shows when the topic is
                // looked at.
                Err(error) => tracing::debug!(event = "kafka_error", partition = self.position.partition, %error),
            }
            if was_empty && !self.is_empty() {
                deadline = Instant::now() + limits.wait;
            }
            // A queue that is never empty would keep other partitions from their turn.
            tokio::task::yield_now().await;
        }
    }

    fn is_full(&self, limits: PageLimits, portion: Portion) -> bool {
        self.jump.is_some()
            || self.entries >= limits.entries
            || self.dead_bytes >= DEAD_BYTES_MAX
            || (portion == Portion::OneMessage && !self.is_empty())
    }

    fn take(&mut self, offset: i64, payload: &[u8]) {
        if offset != self.position.to {
            self.jump = Some(offset);
            return;
        }
        self.position.to = offset + 1;
        match UsageBatch::decode_apart(payload) {
            Ok(ApartBatch { stream, batches, unread }) => {
                let letters = letters_of(&stream, unread);
                self.dead_bytes += letters.iter().map(|letter| letter.payload.len()).sum::<usize>();
                self.dead_letters.extend(letters);
                self.entries += batches.iter().map(|batch| batch.entries.len()).sum::<usize>();
                self.batches.extend(batches);
            }
            Err(error) => self.bury(offset, payload.to_vec(), error.to_string()),
        }
    }

    /// Puts the message at `offset` among the dead letters.
    pub(super) fn bury(&mut self, offset: i64, payload: Vec<u8>, reason: String) {
        self.dead_bytes += payload.len();
        let Position { topic, partition, .. } = &self.position;
        self.dead_letters.push(NewDeadLetter { topic: topic.clone(), partition: *partition, offset, payload, reason });
    }

    /// Takes what it holds off a page of one message.
    pub(super) fn take_batches(&mut self) -> Vec<UsageBatch> {
        std::mem::take(&mut self.batches)
    }

    /// Returns true if there is no message on it.
    pub(super) const fn is_empty(&self) -> bool {
        self.position.to == self.first
    }

    pub(super) const fn from(&self) -> i64 {
        self.position.from
    }

    pub(super) const fn to(&self) -> i64 {
        self.position.to
    }

    pub(super) fn batches(&self) -> &[UsageBatch] {
        &self.batches
    }

    pub(super) fn dead_letters(&self) -> &[NewDeadLetter] {
        &self.dead_letters
    }

    /// The transaction.
    pub(super) fn booking(&self) -> Booking<'_> {
        Booking { batches: &self.batches, dead_letters: &self.dead_letters, position: Some(&self.position) }
    }
}
