//! Retention on PostgreSQL: a partition per UTC day, made before the day comes and dropped as a
//! whole.

use std::collections::BTreeSet;

use sqlx::{AnyConnection, AssertSqlSafe, Row as _, any::AnyRow};

use super::{Day, Dropped, Partitions, leave_numbers};
use crate::{
    store::{
        Store, StoreError,
        row::{corrupt, count},
    },
    time::Micros,
};

/// Days before today that are given a partition if they have records: a record may come late, but a
/// clock that is years off must not fill the database with partitions.
const DAYS_BACK: i64 = 400;

/// Most days that partitions are made ahead for.
const DAYS_AHEAD_MAX: u32 = 400;

/// Number of the advisory lock that partitions are made and dropped under: "toll-day" in ASCII.
const ADVISORY_LOCK: i64 = 0x746f_6c6c_2d64_6179;

/// Most time to wait for a lock on records. Bookings wait behind it, so it is short: a longer read,
/// as of a reconciliation, makes this fail with `Locked`, and the next run does it.
const LOCK_MILLISECONDS: u32 = 1_000;

/// A partition, by the name with which the database wants it addressed, and the instants in it.
struct Partition {
    name: String,
    start: Micros,
    end: Micros,
}

/// Makes the partitions that are missing.
pub(super) async fn ensure(store: &Store, today: Day, days_ahead: u32) -> Result<Partitions, StoreError> {
    let ahead = i64::from(days_ahead.min(DAYS_AHEAD_MAX));
    let mut write = store.begin_write().await?;
    lock(write.connection()).await?;
    let existing = partitions(write.connection()).await?;
    let late = days_without_partition(write.connection(), today.plus(-DAYS_BACK), today.plus(ahead)).await?;
    let wanted: BTreeSet<_> = (-1..=ahead).map(|days| today.plus(days)).chain(late).collect();
    let mut outcome = Partitions::default();
    for day in wanted {
        if !existing.iter().any(|partition| partition.start < day.end() && day.start() < partition.end) {
            outcome.moved += make(write.connection(), day).await?;
            outcome.made.push(day.start());
        }
    }
    let left = sqlx::query("SELECT COUNT(*) AS records FROM usage_records_default");
    outcome.unpartitioned = count(&left.fetch_one(write.connection()).await?, "records")?;
    write.commit().await?;
    Ok(outcome)
}

/// One process at a time, until its transaction ends.
async fn lock(connection: &mut AnyConnection) -> Result<(), StoreError> {
    sqlx::query("SELECT 1 FROM (SELECT pg_advisory_xact_lock($1)) AS locked")
        .bind(ADVISORY_LOCK)
        .execute(&mut *connection)
        .await?;
    run(connection, format!("SET LOCAL lock_timeout = '{LOCK_MILLISECONDS}ms'")).await.map(drop)
}

/// All partitions but the one for days that have none, by time.
async fn partitions(connection: &mut AnyConnection) -> Result<Vec<Partition>, StoreError> {
    let rows = sqlx::query(
        "SELECT child.oid::regclass::text, pg_get_expr(child.relpartbound, child.oid) FROM pg_inherits \
         JOIN pg_class child ON child.oid = pg_inherits.inhrelid \
         WHERE pg_inherits.inhparent = 'usage_records'::regclass",
    )
    .fetch_all(connection)
    .await?;
    let mut partitions = Vec::with_capacity(rows.len());
    for row in &rows {
        partitions.extend(read_partition(row)?);
    }
    partitions.sort_unstable_by_key(|partition| partition.start);
    Ok(partitions)
}

/// Reads `FOR VALUES FROM ('1') TO ('2')`; none for `DEFAULT`.
fn read_partition(row: &AnyRow) -> Result<Option<Partition>, StoreError> {
    let (name, bounds): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    if bounds == "DEFAULT" {
        return Ok(None);
    }
    let mut quoted = bounds.split('\'').skip(1).step_by(2).map(str::parse);
    match (quoted.next(), quoted.next()) {
        (Some(Ok(start)), Some(Ok(end))) => Ok(Some(Partition { name, start: Micros(start), end: Micros(end) })),
        _ => Err(corrupt("partition", format!("{name} holds {bounds}"))),
    }
}

/// Days between these two, both included, that have records without a partition.
async fn days_without_partition(connection: &mut AnyConnection, first: Day, last: Day) -> Result<Vec<Day>, StoreError> {
    let rows = sqlx::query("SELECT DISTINCT at / 3600000000 FROM usage_records_default WHERE at >= $1 AND at < $2")
        .bind(first.start().0)
        .bind(last.end().0)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| Ok(Day::of(Micros(row.try_get::<i64, _>(0)?.saturating_mul(3_600 * Micros::PER_SECOND)))))
        .collect()
}

/// Makes the partition of a day, with the records of that day that had none, and says how many
/// those were. Bookings wait meanwhile: one that has chosen the partition of days that have none
/// would be refused once the day has one.
async fn make(connection: &mut AnyConnection, day: Day) -> Result<u64, StoreError> {
    let (name, start, end) = (day.partition(), day.start().0, day.end().0);
    run(connection, format!("CREATE TABLE {name} (LIKE usage_records INCLUDING CONSTRAINTS)")).await?;
    run(connection, "LOCK TABLE ONLY usage_records IN SHARE ROW EXCLUSIVE MODE".to_owned()).await?;
    run(connection, "LOCK TABLE usage_records_default IN ACCESS EXCLUSIVE MODE".to_owned()).await?;
    let moved = run(
        connection,
        format!(
            "WITH late AS (DELETE FROM usage_records_default WHERE at >= {start} AND at < {end} RETURNING *) \
             INSERT INTO {name} SELECT * FROM late"
        ),
    )
    .await?;
    run(connection, format!("ALTER TABLE usage_records ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})"))
        .await?;
    Ok(moved)
}

/// Drops the partitions that end before `allowed` begins.
pub(super) async fn drop_before(store: &Store, allowed: Day, wanted: Day) -> Result<Dropped, StoreError> {
    let mut snapshot = store.begin_snapshot().await?;
    let partitions = partitions(&mut snapshot).await?;
    snapshot.rollback().await?;
    let mut dropped = Dropped::default();
    for partition in partitions.into_iter().filter(|partition| partition.end <= wanted.start()) {
        if partition.end > allowed.start() {
            dropped.unbilled.push(partition.start);
        } else if let Some(records) = drop_partition(store, &partition).await? {
            dropped.days.push(partition.start);
            dropped.records += records;
        }
    }
    Ok(dropped)
}

/// Drops a partition and says how many records it had; none if it is gone already. Locks in the
/// order of bookings: streams, the partition, rollups; only then the whole table, for an instant.
async fn drop_partition(store: &Store, partition: &Partition) -> Result<Option<u64>, StoreError> {
    let name = &partition.name;
    let mut write = store.begin_write().await?;
    let connection = write.connection();
    lock(connection).await?;
    if !partitions(connection).await?.iter().any(|existing| existing.name == *name) {
        return Ok(None);
    }
    run(
        connection,
        format!(
            "SELECT 1 FROM usage_streams WHERE stream IN (SELECT DISTINCT stream FROM {name}) \
             ORDER BY stream FOR UPDATE"
        ),
    )
    .await?;
    run(connection, format!("LOCK TABLE {name} IN SHARE MODE")).await?;
    leave_numbers(connection, name, &[]).await?;
    let records = sqlx::query(AssertSqlSafe(format!("SELECT COUNT(*) AS records FROM {name}")));
    let records = count(&records.fetch_one(&mut *connection).await?, "records")?;
    run(connection, format!("ALTER TABLE usage_records DETACH PARTITION {name}")).await?;
    run(connection, format!("DROP TABLE {name}")).await?;
    write.commit().await?;
    Ok(Some(records))
}

/// Runs a statement that is put together from constants, numbers and names that the database itself
/// gave.
async fn run(connection: &mut AnyConnection, statement: String) -> Result<u64, StoreError> {
    // Not kept prepared: it will hardly come again.
    Ok(sqlx::query(AssertSqlSafe(statement)).persistent(false).execute(connection).await?.rows_affected())
}
