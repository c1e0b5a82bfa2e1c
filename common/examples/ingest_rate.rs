//! Measures how many records per second a private PostgreSQL books, decoding included: with every
//! record kept, and as rollups only, by one writer and by two. Also checks that memory stays flat
//! and that the books are right.
//!
//! `cargo run --release -p common --example ingest_rate [records per run]`

use std::{
    error::Error,
    io::Write as _,
    time::{Duration, Instant},
};

use common::{
    id::{KeyId, TenantId},
    key::Mode,
    store::Store,
    time::{Clock as _, Micros, SystemClock},
    usage::{StreamId, UsageBatch, UsageEntry, UsageRecord, booking::Booking, positions::Position},
};
use servers::Postgres;

const DEFAULT_RECORDS: u64 = 4_000_000;
const ENTRIES_PER_BATCH: u64 = 512;
const BATCHES_PER_BOOKING: u64 = 20;
const STREAMS_PER_WRITER: u64 = 8;
const TENANTS: u64 = 250;
const KEYS_PER_TENANT: u64 = 4;
const TOPIC: &str = "usage.events";

type Failure = Box<dyn Error + Send + Sync>;

/// Result of a run.
struct Rate {
    records: u64,
    elapsed: Duration,
    /// Memory of this process after a tenth of the run, and at its end.
    resident: (u64, u64),
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let records = std::env::args().nth(1).map_or(Ok(DEFAULT_RECORDS), |text| text.parse())?;
    let server = Postgres::start()?;
    for (writers, keep_records) in [(1, true), (2, true), (1, false), (2, false)] {
        let database = format!("rate_{writers}_{keep_records}");
        server.create_database(&database)?;
        let store = Store::open_and_migrate(&server.url(&database)).await?.0.keeping_records(keep_records);
        store.ensure_partitions(SystemClock.now(), 2).await?;
        let rate = measure(&store, writers, records).await?;
        let audit = store.reconcile(None).await?;
        let booked: i64 = audit.streams.iter().map(|stream| stream.booked.requests).sum();
        if !audit.is_clean() || booked.unsigned_abs() != rate.records {
            return Err(format!("{booked} of {} are booked; {:?}", rate.records, audit.breaches).into());
        }
        report(writers, keep_records, &rate)?;
        store.close().await;
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate for people to read")]
fn report(writers: u64, keep_records: bool, rate: &Rate) -> Result<(), Failure> {
    let kept = if keep_records { "records and sums" } else { "sums only" };
    let per_second = (rate.records as f64 / rate.elapsed.as_secs_f64()) as u64;
    let (early, late) = (rate.resident.0 / 1024, rate.resident.1 / 1024);
    writeln!(
        std::io::stdout().lock(),
        "{kept:<17} {writers} writer(s): {per_second:>7} records/s, {} records, memory {early} MiB -> {late} MiB",
        rate.records
    )?;
    Ok(())
}

async fn measure(store: &Store, writers: u64, records: u64) -> Result<Rate, Failure> {
    let bookings = records / (ENTRIES_PER_BATCH * BATCHES_PER_BOOKING * writers);
    let started = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move { write(&store, writer, bookings).await })
        })
        .collect();
    let mut resident = (0, 0);
    for task in tasks {
        let (early, late) = task.await??;
        resident = (resident.0.max(early), resident.1.max(late));
    }
    let records = bookings * ENTRIES_PER_BATCH * BATCHES_PER_BOOKING * writers;
    Ok(Rate { records, elapsed: started.elapsed(), resident })
}

/// One partition's worth of messages, booked in order.
async fn write(store: &Store, writer: u64, bookings: u64) -> Result<(u64, u64), Failure> {
    let templates: Vec<_> = (0..STREAMS_PER_WRITER)
        .map(|lane| template(writer, lane).map(|batch| batch.encode()))
        .collect::<Result<_, _>>()?;
    let mut next_seq = vec![0; templates.len()];
    let mut early = 0;
    for booking in 0..bookings {
        let mut batches = Vec::with_capacity(usize::try_from(BATCHES_PER_BOOKING)?);
        for message in 0..BATCHES_PER_BOOKING {
            let lane = usize::try_from((booking * BATCHES_PER_BOOKING + message) % STREAMS_PER_WRITER)?;
            batches.push(received(&templates[lane], &mut next_seq[lane])?);
        }
        let from = (booking * BATCHES_PER_BOOKING).cast_signed();
        let to = from + BATCHES_PER_BOOKING.cast_signed();
        let position = Position { topic: TOPIC.into(), partition: i32::try_from(writer)?, from, to };
        let booking_now = Booking { batches: &batches, position: Some(&position), ..Booking::default() };
        store.book_all(&booking_now, SystemClock.now()).await?;
        if booking == bookings / 10 {
            early = resident_kib()?;
        }
    }
    Ok((early, resident_kib()?))
}

/// A message, decoded, as the next of its stream and of this moment.
fn received(message: &[u8], next_seq: &mut u64) -> Result<UsageBatch, Failure> {
    let mut batch = UsageBatch::decode(message)?;
    batch.first_seq = *next_seq;
    *next_seq = batch.end_seq();
    let now = SystemClock.now();
    for entry in &mut batch.entries {
        if let UsageEntry::Request(record) = entry {
            record.at = now;
        }
    }
    Ok(batch)
}

fn template(writer: u64, lane: u64) -> Result<UsageBatch, Failure> {
    let stream = StreamId::new("edge-1", u128::from(writer) + (1 << 100), u16::try_from(lane)?)?;
    let entries = (0..ENTRIES_PER_BATCH)
        .map(|number| {
            // Neighbours differ, and each batch meets another part of the keys.
            let party = (number * 7_919 + lane * 131) % (TENANTS * KEYS_PER_TENANT);
            UsageEntry::Request(UsageRecord {
                at: Micros(0),
                tenant: TenantId::from_u128(u128::from(party % TENANTS) + (1 << 110)),
                key: KeyId::from_u128(u128::from(party) + (1 << 111)),
                route: "search".into(),
                meter: "requests".into(),
                units: 1 + number % 3,
                status: 200,
                billable: true,
                mode: Mode::Live,
                prepaid: false,
            })
        })
        .collect();
    Ok(UsageBatch { stream, first_seq: 0, entries })
}

/// Memory of this process that is in use.
fn resident_kib() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS in /proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
