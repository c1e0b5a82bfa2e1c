//! Booking usage: entries exactly once per (stream, number), with everything that tells so in one
//! transaction.
//!
//! Rows to write are decided in memory ([`stream`], [`rows`]), alike for both engines, from the
//! rows that a [`ledger`] has read and locked; the ledger then writes them as fast as its engine
//! can. All bookings lock in one order: position, streams, partitions of the records, rollups,
//! leases of quotas, quotas; each kind by its key.

mod above;
mod borders;
mod connection;
mod copy;
pub(super) mod events;
mod lease_close;
mod ledger;
mod portable;
mod postgres;
mod quarantine;
mod rows;
mod stream;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use above::{TenantZone, read_past, surroundings};
use borders::Borders;
use connection::BookingConnection;
use lease_close::{ClosedLife, close_lives};
use ledger::Ledger;
use rows::BookingRows;
use sqlx::{AnyConnection, Connection as _};
use stream::{Claim, StreamBook};

use super::{booked::Booked, dead_letters::NewDeadLetter, positions::Position};
use crate::{
    id::TenantId,
    store::{Store, StoreError},
    time::{Micros, zone_release},
    usage::{StreamId, UsageBatch, UsageEntry},
};

/// Batches, dead letters and a position that one transaction books.
#[derive(Debug, Clone, Copy, Default)]
pub struct Booking<'b> {
    /// Batches, of any streams, in the order in which they came.
    pub batches: &'b [UsageBatch],
    /// Messages that turned out not to be batches.
    pub dead_letters: &'b [NewDeadLetter],
    /// Position of the transport afterwards, if it has one.
    pub position: Option<&'b Position>,
}

/// Settings of a booking.
#[derive(Debug, Clone, Copy)]
struct Terms {
    now: Micros,
    /// True if every request leaves a record; false if it counts in rollups alone.
    keep_records: bool,
    /// Age limit of usage, in days before the current month. None: any age is booked.
    late_days: Option<u32>,
    /// The dead letter that is resolved by it.
    resolves: Option<i64>,
}

/// Decisions of a booking, and whether there is anything to commit.
struct Outcome {
    booked: Vec<Booked>,
    changed: bool,
    /// Lives of gateways whose last leases were closed.
    closed: Vec<ClosedLife>,
}

/// The entries of one batch that are booked now.
struct Fresh<'b> {
    /// Index of the stream's book.
    book: usize,
    entries: Vec<(i64, &'b UsageEntry)>,
}

impl Store {
    /// This store, keeping a record of every request that is booked (as it does unless told
    /// otherwise), or only the rollups.
    #[must_use]
    pub fn keeping_records(self, keep: bool) -> Self {
        Self { keep_records: keep, ..self }
    }

    /// This store, setting usage aside that is of more than so many days before the current month
    /// on its tenant's clock, or of more than an hour from now; without a number, usage of any time
    /// is booked.
    #[must_use]
    pub fn setting_aside_later_than(self, late_days: Option<u32>) -> Self {
        Self { late_days, ..self }
    }

    /// Books a batch exactly once: entries whose numbers are booked already are passed over,
    /// numbers that are skipped or lost become a gap that a late batch may fill, and entries, sums
    /// and the stream's mark change in one transaction. Refused: a batch without entries, numbers
    /// or sums beyond 63 bits, anything else that the database never takes.
    pub async fn book_usage(&self, batch: &UsageBatch, now: Micros) -> Result<Booked, StoreError> {
        self.book_one(batch, None, now).await
    }

    /// Books batches exactly once, as [`Store::book_usage`] does each, together with dead letters
    /// and the transport's position: all of it or nothing. Says what was done with each batch, in
    /// their order.
    ///
    /// [`StoreError::PositionMoved`]: somebody else booked these messages or the position was
    /// reset; read it again. [`StoreError::Refused`]: one of the batches cannot be booked; which
    /// one shows when they are booked one by one.
    pub async fn book_all(&self, booking: &Booking<'_>, now: Micros) -> Result<Vec<Booked>, StoreError> {
        self.carry_out(booking, self.terms(now)).await
    }

    /// Books a batch and resolves the dead letter that it was found in.
    pub(super) async fn book_one(
        &self,
        batch: &UsageBatch,
        resolves: Option<i64>,
        now: Micros,
    ) -> Result<Booked, StoreError> {
        let booking = Booking { batches: std::slice::from_ref(batch), ..Booking::default() };
        let mut booked = self.carry_out(&booking, Terms { resolves, ..self.terms(now) }).await?;
        booked.pop().ok_or_else(|| StoreError::refused("the batch was not booked"))
    }

    const fn terms(&self, now: Micros) -> Terms {
        Terms { now, keep_records: self.keep_records, late_days: self.late_days, resolves: None }
    }

    async fn carry_out(&self, booking: &Booking<'_>, terms: Terms) -> Result<Vec<Booked>, StoreError> {
        let Some(postgres) = &self.postgres else {
            let mut write = self.begin_write().await?;
            let outcome = book(write.connection(), booking, terms).await?;
            if outcome.changed {
                write.commit().await?;
            }
            outcome.closed.iter().for_each(ClosedLife::log);
            return Ok(outcome.booked);
        };
        let mut pooled = BookingConnection::take(postgres).await?;
        let mut write = pooled.connection()?.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        let outcome = book(&mut *write, booking, terms).await?;
        if outcome.changed {
            write.commit().await?;
        } else {
            write.rollback().await?;
        }
        pooled.give_back();
        outcome.closed.iter().for_each(ClosedLife::log);
        Ok(outcome.booked)
    }
}

/// Lets an entry into the books that was set aside. `moved`: it is booked at another instant than
/// the one that its units were drawn for, so that the quotas of that month have to stand for them.
pub(super) async fn book_set_aside(
    connection: &mut AnyConnection,
    stream: &StreamId,
    seq: i64,
    entry: &UsageEntry,
    moved: bool,
    now: Micros,
) -> Result<(), StoreError> {
    let tenants: BTreeSet<_> = entry.tenant().into_iter().collect();
    let (places, mut zones, mut above) = surroundings(connection, &tenants).await?;
    if let Some(tenant) = tenants.iter().find(|tenant| matches!(zones.get(tenant), Some(TenantZone::Foreign))) {
        let reason =
            format!("the time zone of {tenant} is not in the IANA database {} of this program", zone_release());
        return Err(StoreError::conflict(reason));
    }
    let books = [StreamBook::new(stream.to_string(), 0, Vec::new())];
    let fresh = [Fresh { book: 0, entries: vec![(seq, entry)] }];
    let borders = Borders::read(connection, &places, &fresh).await?;
    read_past(connection, &borders, &mut zones, &mut above).await?;
    let rows = BookingRows::of(&books, &fresh, &[], (&zones, &above, &borders), true)?;
    connection.write_records(&rows.records).await?;
    connection.add_usage(&rows.usage).await?;
    connection.add_refusals(&rows.refusals).await?;
    if moved { quarantine::charge_month(connection, &rows.charges, now).await } else { Ok(()) }
}

/// Does it all but commit.
async fn book<L: Ledger>(ledger: &mut L, booking: &Booking<'_>, terms: Terms) -> Result<Outcome, StoreError> {
    let ranges: Vec<_> = booking.batches.iter().map(range_of).collect::<Result<_, _>>()?;
    if let Some(id) = terms.resolves {
        ledger.resolve_open_letter(id, terms.now).await?;
    }
    if let Some(position) = booking.position {
        advance(ledger, position, terms.now).await?;
    }
    for letter in booking.dead_letters {
        ledger.keep_letter(letter, terms.now).await?;
    }
    let (mut books, book_of_batch) = open_books(ledger, booking.batches, &ranges, terms.now).await?;
    let mut booked = Vec::with_capacity(booking.batches.len());
    let mut fresh = Vec::with_capacity(booking.batches.len());
    for ((batch, range), index) in booking.batches.iter().zip(ranges).zip(book_of_batch) {
        let claim = books[index].claim(range, &lost_ranges(batch), terms.now);
        let entries = fresh_entries(batch, &claim);
        books[index].count(entries.iter().map(|(_, entry)| *entry), terms.keep_records);
        booked.push(outcome_of(&claim, batch));
        fresh.push(Fresh { book: index, entries });
    }
    let any_fresh = write_books(ledger, &mut books, &mut fresh, &mut booked, terms).await?;
    let closed = if any_fresh { close_lives(ledger, &books, terms.now).await? } else { Vec::new() };
    let moved = booking.position.is_some() || !booking.dead_letters.is_empty() || terms.resolves.is_some();
    Ok(Outcome { booked, changed: any_fresh || moved, closed })
}

/// Writes what was claimed, and adds to each outcome the tenants that are not known. Whether
/// anything was.
async fn write_books<L: Ledger>(
    ledger: &mut L,
    books: &mut [StreamBook],
    fresh: &mut [Fresh<'_>],
    booked: &mut [Booked],
    terms: Terms,
) -> Result<bool, StoreError> {
    let tenants: Vec<BTreeSet<_>> =
        fresh.iter().map(|fresh| fresh.entries.iter().filter_map(|(_, entry)| entry.tenant()).collect()).collect();
    let all: BTreeSet<_> = tenants.iter().flatten().copied().collect();
    if fresh.iter().all(|fresh| fresh.entries.is_empty()) {
        return Ok(false);
    }
    let (places, mut zones, mut above) = surroundings(ledger, &all).await?;
    for (booked, tenants) in booked.iter_mut().zip(tenants) {
        let unknown = |tenant: &TenantId| matches!(zones.get(tenant), None | Some(TenantZone::NoTenant));
        booked.unknown_tenants = tenants.into_iter().filter(unknown).collect();
    }
    let quarantined = quarantine::separate(fresh, &zones, terms);
    for set_aside in &quarantined {
        booked[set_aside.batch].quarantined += 1;
        books[fresh[set_aside.batch].book].set_aside(set_aside.entry, terms.keep_records);
    }
    let books = &*books;
    let borders = Borders::read(ledger, &places, fresh).await?;
    read_past(ledger, &borders, &mut zones, &mut above).await?;
    let rows = BookingRows::of(books, fresh, &quarantined, (&zones, &above, &borders), terms.keep_records)?;
    ledger.write_marks(books).await?;
    for book in books {
        let (closed, opened) = book.gap_changes();
        for gap in closed {
            ledger.close_gap(book.name(), gap).await?;
        }
        for gap in opened {
            ledger.open_gap(book.name(), gap).await?;
        }
    }
    ledger.write_records(&rows.records).await?;
    ledger.add_usage(&rows.usage).await?;
    ledger.add_refusals(&rows.refusals).await?;
    for set_aside in &rows.quarantined {
        ledger.set_aside(set_aside, terms.now).await?;
    }
    ledger.charge_leases(&rows.charges).await?;
    Ok(true)
}

/// Moves the position, if it is where the caller believes it to be.
async fn advance<L: Ledger>(ledger: &mut L, position: &Position, now: Micros) -> Result<(), StoreError> {
    let Position { topic, partition, from, to } = position;
    if *from < 0 || to < from {
        return Err(StoreError::refused(format!("{topic}/{partition} cannot advance from {from} to {to}")));
    }
    if ledger.advance(position, now).await? {
        return Ok(());
    }
    let found = ledger.position(topic, *partition).await?.unwrap_or_default();
    Err(StoreError::PositionMoved { topic: topic.clone(), partition: *partition, expected: *from, found })
}

/// Locks the streams of all batches, by name, and reads where they stand. Also says which book each
/// batch belongs to.
async fn open_books<L: Ledger>(
    ledger: &mut L,
    batches: &[UsageBatch],
    ranges: &[Range<i64>],
    now: Micros,
) -> Result<(Vec<StreamBook>, Vec<usize>), StoreError> {
    let names: Vec<_> = batches.iter().map(|batch| batch.stream.to_string()).collect();
    // What a stream's batches cover: only gaps in there can be filled.
    let mut covered: BTreeMap<&str, Range<i64>> = BTreeMap::new();
    for (name, range) in names.iter().zip(ranges) {
        let cover = covered.entry(name).or_insert_with(|| range.clone());
        *cover = cover.start.min(range.start)..cover.end.max(range.end);
    }
    let streams: Vec<String> = covered.keys().map(|name| (*name).to_owned()).collect();
    let marks = ledger.lock_streams(&streams, now).await?;
    let mut books = Vec::with_capacity(streams.len());
    for (stream, cover) in streams.into_iter().zip(covered.values()) {
        let mark = *marks
            .get(&stream)
            .ok_or_else(|| StoreError::Corrupt { what: "stream", reason: format!("{stream} could not be locked") })?;
        let gaps = if cover.start < mark { ledger.open_gaps(&stream, cover).await? } else { Vec::new() };
        books.push(StreamBook::new(stream, mark, gaps));
    }
    let index = |name: &String| books.binary_search_by(|book| book.name().cmp(name)).unwrap_or_default();
    let book_of_batch = names.iter().map(index).collect();
    Ok((books, book_of_batch))
}

fn outcome_of(claim: &Claim, batch: &UsageBatch) -> Booked {
    let booked = claim.fresh_count();
    Booked {
        next_seq: claim.next_seq.unsigned_abs(),
        booked,
        replayed: batch.entries.len() as u64 - booked,
        gap: claim.gap.end.abs_diff(claim.gap.start),
        lost: claim.lost_count(),
        quarantined: 0,
        unknown_tenants: Vec::new(),
    }
}

fn range_of(batch: &UsageBatch) -> Result<Range<i64>, StoreError> {
    let range = stored(batch.first_seq)?..stored(batch.end_seq())?;
    if range.is_empty() { Err(StoreError::refused("the batch has no entries")) } else { Ok(range) }
}

/// The numbers of a batch whose entries are lost, in order.
fn lost_ranges(batch: &UsageBatch) -> Vec<Range<i64>> {
    let is_lost = |entry: &UsageEntry| matches!(entry, UsageEntry::Lost);
    let mut end = batch.first_seq;
    let mut lost = Vec::new();
    for run in batch.entries.chunk_by(|one, next| is_lost(one) == is_lost(next)) {
        let start = end;
        end += run.len() as u64;
        if run.first().is_some_and(is_lost) {
            lost.push(start.cast_signed()..end.cast_signed());
        }
    }
    lost
}

/// A number as the store holds it.
fn stored(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::refused(format!("{number} is beyond what the store can hold")))
}

/// The entries that the batch may book, with their numbers.
fn fresh_entries<'b>(batch: &'b UsageBatch, claim: &Claim) -> Vec<(i64, &'b UsageEntry)> {
    let numbered = (batch.first_seq.cast_signed()..).zip(&batch.entries);
    // Nearly always all of them are.
    if claim.fresh_count() == batch.entries.len() as u64 {
        return numbered.collect();
    }
    numbered.filter(|(seq, _)| claim.fresh.iter().any(|range| range.contains(seq))).collect()
}
