//! Booking a batch of which some entries can never be booked: it is booked without them, and each
//! of them becomes a dead letter of its own, so that one bad entry holds up no good one. Its number
//! is skipped, so that it is an open gap as soon as anything comes behind it, until the letter is
//! replayed.

use common::{
    store::{Store, StoreError},
    time::Micros,
    usage::{Booked, StreamId, UnreadEntry, UsageBatch, booking::Booking, dead_letters::NewDeadLetter},
};

/// A batch after it was booked entry by entry.
#[derive(Debug, Default)]
pub(crate) struct Apart {
    /// Booked parts, each with the number of its first entry.
    pub(crate) booked: Vec<(u64, Booked)>,
    /// Entries that could not be booked.
    pub(crate) letters: Vec<NewDeadLetter>,
}

/// The dead letters of entries that cannot be read.
pub(crate) fn letters_of(stream: &StreamId, unread: Vec<UnreadEntry>) -> Vec<NewDeadLetter> {
    unread.into_iter().map(|entry| NewDeadLetter::of_entry(stream, entry.payload, entry.reason)).collect()
}

/// Books a batch without the entries that the store refuses. It may end half-way; what was booked
/// by then is found booked the next time.
pub(crate) async fn book_apart(store: &Store, batch: UsageBatch, now: Micros) -> Result<Apart, StoreError> {
    let mut apart = Apart::default();
    // What is to be booked, the last one first.
    let mut rest = vec![batch];
    while let Some(batch) = rest.pop() {
        match store.book_usage(&batch, now).await {
            Ok(booked) => apart.booked.push((batch.first_seq, booked)),
            Err(StoreError::Refused(reason)) if batch.entries.len() == 1 => {
                let letter = NewDeadLetter::of_entry(&batch.stream, batch.encode(), reason);
                let booking = Booking { dead_letters: std::slice::from_ref(&letter), ..Booking::default() };
                store.book_all(&booking, now).await?;
                apart.letters.push(letter);
            }
            Err(StoreError::Refused(_)) => {
                let (first, second) = halves(batch);
                rest.extend([second, first]);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(apart)
}

/// The two halves of a batch of several entries.
fn halves(mut batch: UsageBatch) -> (UsageBatch, UsageBatch) {
    let entries = batch.entries.split_off(batch.entries.len() / 2);
    let second = UsageBatch { stream: batch.stream.clone(), first_seq: batch.end_seq(), entries };
    (batch, second)
}
