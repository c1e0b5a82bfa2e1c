//! Booking usage: entries exactly once per (stream, number), and hourly sums kept in the same transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use sqlx::{AnyConnection, Row as _};

use super::{
    Store, StoreError,
    insert::{Value, insert_rows},
    row::{corrupt, parsed},
    stream::{self, Claim},
};
use crate::{
    id::{KeyId, TenantId},
    key::Mode,
    time::{Micros, Zone},
    usage::{RefusalCount, UsageBatch, UsageEntry, UsageRecord},
};

/// Tenants that one query looks up.
const TENANTS_PER_QUERY: usize = 16;

/// What booking a batch did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Booked {
    /// Number after the highest entry of the stream that is booked.
    pub next_seq: u64,
    /// Entries booked now.
    pub booked: u64,
    /// Entries that were booked before and changed nothing.
    pub replayed: u64,
    /// Numbers skipped by this batch: booked as a gap, which a late batch may still fill.
    pub gap: u64,
    /// Tenants that the store does not know; their usage is kept and can be billed once they exist.
    pub unknown_tenants: Vec<TenantId>,
}

impl Store {
    /// Books a batch exactly once: entries whose numbers are booked already are passed over, skipped numbers become a
    /// gap that a late batch may fill, and entries, sums and the stream's mark change in one transaction. Refused: a
    /// batch without entries, numbers or sums beyond 63 bits.
    pub async fn book_usage(&self, batch: &UsageBatch, now: Micros) -> Result<Booked, StoreError> {
        let range = stored(batch.first_seq)?..stored(batch.end_seq())?;
        if range.is_empty() {
            return Err(StoreError::refused("the batch has no entries"));
        }
        let stream = batch.stream.to_string();
        let mut write = self.begin_write().await?;
        let claim = stream::claim(write.connection(), &stream, range, now).await?;
        let booked = claim.fresh_count();
        let mut outcome = Booked {
            next_seq: claim.next_seq.unsigned_abs(),
            booked,
            replayed: batch.entries.len() as u64 - booked,
            gap: claim.gap.end.abs_diff(claim.gap.start),
            unknown_tenants: Vec::new(),
        };
        if booked == 0 {
            return Ok(outcome);
        }
        let fresh = fresh_entries(batch, &claim);
        let zones = zones(write.connection(), fresh.iter().map(|(_, entry)| entry.tenant()).collect()).await?;
        let sheet = Sheet::of(&stream, &fresh, &zones)?;
        sheet.write(write.connection()).await?;
        write.commit().await?;
        outcome.unknown_tenants = zones.into_iter().filter(|(_, zone)| zone.is_none()).map(|(id, _)| id).collect();
        Ok(outcome)
    }
}

/// A number as the store holds it.
fn stored(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::refused(format!("{number} is beyond what the store can hold")))
}

/// The entries that the batch may book, with their numbers.
fn fresh_entries<'b>(batch: &'b UsageBatch, claim: &Claim) -> Vec<(i64, &'b UsageEntry)> {
    let is_fresh = |seq: i64| claim.fresh.iter().any(|range| range.contains(&seq));
    let numbered = (batch.first_seq.cast_signed()..).zip(&batch.entries);
    // Nearly always all of them are.
    if claim.fresh_count() == batch.entries.len() as u64 {
        return numbered.collect();
    }
    numbered.filter(|(seq, _)| is_fresh(*seq)).collect()
}

/// The zones of tenants; none for those that the store does not know.
async fn zones(
    connection: &mut AnyConnection,
    tenants: BTreeSet<TenantId>,
) -> Result<BTreeMap<TenantId, Option<Zone>>, StoreError> {
    let mut by_name: HashMap<String, Zone> = HashMap::new();
    let mut zones: BTreeMap<_, _> = tenants.iter().map(|tenant| (*tenant, None)).collect();
    let tenants: Vec<_> = tenants.iter().map(ToString::to_string).collect();
    for chunk in tenants.chunks(TENANTS_PER_QUERY) {
        let query = sqlx::query(
            "SELECT id, zone FROM tenants \
             WHERE id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        );
        // The last one fills up what is left, so that there is one statement for every number of tenants.
        let ids = chunk.iter().chain(chunk.last().into_iter().cycle()).take(TENANTS_PER_QUERY);
        for row in ids.fold(query, |query, id| query.bind(id.clone())).fetch_all(&mut *connection).await? {
            let name: String = row.try_get("zone")?;
            let zone = match by_name.get(&name) {
                Some(zone) => zone.clone(),
                None => name.parse().map_err(|error| corrupt("zone", error))?,
            };
            by_name.insert(name, zone.clone());
            zones.insert(parsed(&row, "id")?, Some(zone));
        }
    }
    Ok(zones)
}

/// What is unlike between hourly sums. Its order is the order in which all processes lock them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct UsageKey<'b> {
    tenant: TenantId,
    hour: Micros,
    key: KeyId,
    route: &'b str,
    meter: &'b str,
    mode: Mode,
    billable: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct UsageTotal {
    requests: i64,
    units: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct RefusalKey<'b> {
    tenant: TenantId,
    hour: Micros,
    key: KeyId,
    reason: &'b str,
}

/// All rows that a batch writes. Sums are put together here, so that an hour's row is touched once per batch.
#[derive(Debug, Default)]
struct Sheet<'b> {
    records: Vec<[Value; 12]>,
    usage: BTreeMap<UsageKey<'b>, UsageTotal>,
    refusals: BTreeMap<RefusalKey<'b>, i64>,
}

impl<'b> Sheet<'b> {
    fn of(
        stream: &str,
        entries: &[(i64, &'b UsageEntry)],
        zones: &BTreeMap<TenantId, Option<Zone>>,
    ) -> Result<Self, StoreError> {
        let utc = Zone::utc();
        let mut sheet = Self::default();
        for (seq, entry) in entries {
            let zone = zones.get(&entry.tenant()).and_then(Option::as_ref).unwrap_or(&utc);
            match entry {
                UsageEntry::Request(record) => sheet.add_record(stream, *seq, record, zone)?,
                UsageEntry::Refusals(refusals) => sheet.add_refusals(refusals, zone)?,
            }
        }
        Ok(sheet)
    }

    fn add_record(&mut self, stream: &str, seq: i64, record: &'b UsageRecord, zone: &Zone) -> Result<(), StoreError> {
        let units = stored(record.units)?;
        let hour = zone.hour_start(record.at);
        let billable = record.billable && record.mode == Mode::Live;
        self.records.push([
            Value::Text(stream.to_owned()),
            Value::Number(seq),
            Value::Number(record.at.0),
            Value::Number(hour.0),
            Value::Text(record.tenant.to_string()),
            Value::Text(record.key.to_string()),
            Value::Text(record.route.to_string()),
            Value::Text(record.meter.to_string()),
            Value::Number(units),
            Value::Number(i64::from(record.status)),
            Value::Text(record.mode.to_string()),
            Value::Number(i64::from(billable)),
        ]);
        let key = UsageKey {
            tenant: record.tenant,
            hour,
            key: record.key,
            route: &record.route,
            meter: &record.meter,
            mode: record.mode,
            billable,
        };
        let total = self.usage.entry(key).or_default();
        total.requests += 1;
        total.units = added(total.units, units)?;
        Ok(())
    }

    fn add_refusals(&mut self, refusals: &'b RefusalCount, zone: &Zone) -> Result<(), StoreError> {
        let key = RefusalKey {
            tenant: refusals.tenant,
            hour: zone.hour_start(refusals.at),
            key: refusals.key,
            reason: &refusals.reason,
        };
        let total = self.refusals.entry(key).or_default();
        *total = added(*total, stored(refusals.count)?)?;
        Ok(())
    }

    async fn write(&self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        insert_rows(
            &mut *connection,
            "INSERT INTO usage_records \
             (stream, seq, at, hour, tenant_id, key_id, route, meter, units, status, mode, billable)",
            "",
            &self.records,
        )
        .await?;
        let usage: Vec<_> = self.usage.iter().map(usage_row).collect();
        insert_rows(
            &mut *connection,
            "INSERT INTO usage_hourly (tenant_id, hour, key_id, route, meter, mode, billable, requests, units)",
            "ON CONFLICT (tenant_id, hour, key_id, route, meter, mode, billable) DO UPDATE SET \
             requests = usage_hourly.requests + excluded.requests, units = usage_hourly.units + excluded.units",
            &usage,
        )
        .await?;
        let refusals: Vec<_> = self.refusals.iter().map(refusal_row).collect();
        insert_rows(
            connection,
            "INSERT INTO refusals_hourly (tenant_id, hour, key_id, reason, count)",
            "ON CONFLICT (tenant_id, hour, key_id, reason) DO UPDATE SET \
             count = refusals_hourly.count + excluded.count",
            &refusals,
        )
        .await
    }
}

fn added(sum: i64, units: i64) -> Result<i64, StoreError> {
    sum.checked_add(units).ok_or_else(|| StoreError::refused("a sum would exceed what the store can hold"))
}

fn usage_row((key, total): (&UsageKey<'_>, &UsageTotal)) -> [Value; 9] {
    [
        Value::Text(key.tenant.to_string()),
        Value::Number(key.hour.0),
        Value::Text(key.key.to_string()),
        Value::Text(key.route.to_owned()),
        Value::Text(key.meter.to_owned()),
        Value::Text(key.mode.to_string()),
        Value::Number(i64::from(key.billable)),
        Value::Number(total.requests),
        Value::Number(total.units),
    ]
}

fn refusal_row((key, count): (&RefusalKey<'_>, &i64)) -> [Value; 5] {
    [
        Value::Text(key.tenant.to_string()),
        Value::Number(key.hour.0),
        Value::Text(key.key.to_string()),
        Value::Text(key.reason.to_owned()),
        Value::Number(*count),
    ]
}
