//! A booking in portable SQL, some hundred rows per statement: how SQLite does it.

use std::collections::{BTreeSet, HashMap};

use sqlx::{AnyConnection, Row as _};

use super::{
    StoreError, StreamBook, Zones,
    insert::{Value, insert_rows},
    ledger::Ledger,
    sheet::{LeaseKey, RecordRow, RefusalKey, UsageKey, UsageTotal},
    stream::UNITS_MODULUS,
};
use crate::{
    id::TenantId,
    store::row::{corrupt, parsed},
    time::{Micros, Zone},
};

/// Tenants that one query looks up.
const TENANTS_PER_QUERY: usize = 16;

impl Ledger for AnyConnection {
    async fn lock_streams(&mut self, streams: &[String], now: Micros) -> Result<HashMap<String, i64>, StoreError> {
        let mut marks = HashMap::with_capacity(streams.len());
        for stream in streams {
            let row = sqlx::query(
                "INSERT INTO usage_streams (stream, next_seq, updated_at) VALUES ($1, 0, $2) \
                 ON CONFLICT (stream) DO UPDATE SET updated_at = excluded.updated_at RETURNING next_seq",
            )
            .bind(stream.clone())
            .bind(now.0)
            .fetch_one(&mut *self)
            .await?;
            marks.insert(stream.clone(), row.try_get("next_seq")?);
        }
        Ok(marks)
    }

    async fn zones(&mut self, tenants: &BTreeSet<TenantId>) -> Result<Zones, StoreError> {
        let mut by_name: HashMap<String, Zone> = HashMap::new();
        let mut zones: Zones = tenants.iter().map(|tenant| (*tenant, None)).collect();
        let tenants: Vec<_> = tenants.iter().map(ToString::to_string).collect();
        for chunk in tenants.chunks(TENANTS_PER_QUERY) {
            let query = sqlx::query(
                "SELECT id, zone FROM tenants \
                 WHERE id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
            );
            // The last one fills up what is left, so that there is one statement for every number of tenants.
            let ids = chunk.iter().chain(chunk.last().into_iter().cycle()).take(TENANTS_PER_QUERY);
            for row in ids.fold(query, |query, id| query.bind(id.clone())).fetch_all(&mut *self).await? {
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

    async fn write_marks(&mut self, books: &[StreamBook]) -> Result<(), StoreError> {
        for book in books {
            let added = book.added();
            sqlx::query(
                "UPDATE usage_streams SET next_seq = $1, requests = requests + $2, units = (units + $3) % $10, \
                 refusal_entries = refusal_entries + $4, refused = (refused + $5) % $10, \
                 void_entries = void_entries + $6, lost_entries = lost_entries + $7, \
                 dropped_requests = dropped_requests + $8, dropped_units = (dropped_units + $9) % $10, \
                 end_entries = end_entries + $11 WHERE stream = $12",
            )
            .bind(book.mark())
            .bind(added.requests)
            .bind(added.units)
            .bind(added.refusal_entries)
            .bind(added.refused)
            .bind(added.void_entries)
            .bind(added.lost_entries)
            .bind(added.dropped_requests)
            .bind(added.dropped_units)
            .bind(UNITS_MODULUS)
            .bind(added.end_entries)
            .bind(book.name().to_owned())
            .execute(&mut *self)
            .await?;
        }
        Ok(())
    }

    async fn write_records(&mut self, records: &[RecordRow<'_>]) -> Result<(), StoreError> {
        let rows: Vec<_> = records.iter().map(record_row).collect();
        insert_rows(
            self,
            "INSERT INTO usage_records \
             (stream, seq, at, hour, tenant_id, key_id, route, meter, units, status, mode, billable)",
            "",
            &rows,
        )
        .await
    }

    async fn add_usage(&mut self, sums: &[(UsageKey<'_>, UsageTotal)]) -> Result<(), StoreError> {
        let rows: Vec<_> = sums.iter().map(usage_row).collect();
        insert_rows(
            self,
            "INSERT INTO usage_hourly (tenant_id, hour, key_id, route, meter, mode, billable, requests, units, \
             dropped_requests, dropped_units)",
            "ON CONFLICT (tenant_id, hour, key_id, route, meter, mode, billable) DO UPDATE SET \
             requests = usage_hourly.requests + excluded.requests, units = usage_hourly.units + excluded.units, \
             dropped_requests = usage_hourly.dropped_requests + excluded.dropped_requests, \
             dropped_units = usage_hourly.dropped_units + excluded.dropped_units",
            &rows,
        )
        .await
    }

    async fn add_refusals(&mut self, sums: &[(RefusalKey<'_>, i64)]) -> Result<(), StoreError> {
        let rows: Vec<_> = sums.iter().map(refusal_row).collect();
        insert_rows(
            self,
            "INSERT INTO refusals_hourly (tenant_id, hour, key_id, reason, count)",
            "ON CONFLICT (tenant_id, hour, key_id, reason) DO UPDATE SET \
             count = refusals_hourly.count + excluded.count",
            &rows,
        )
        .await
    }

    async fn charge_leases(&mut self, charges: &[(LeaseKey<'_>, i64)]) -> Result<(), StoreError> {
        let rows: Vec<_> = charges.iter().map(charge_row).collect();
        insert_rows(
            self,
            "WITH charged (life, tenant_id, meter, period, units) AS (",
            ") UPDATE quota_leases SET used = quota_leases.used + charged.units FROM charged \
             WHERE quota_leases.life = charged.life AND quota_leases.tenant_id = charged.tenant_id \
             AND quota_leases.meter = charged.meter AND quota_leases.period = charged.period",
            &rows,
        )
        .await
    }
}

fn charge_row((key, units): &(LeaseKey<'_>, i64)) -> [Value; 5] {
    [
        Value::Text(key.life.to_owned()),
        Value::Text(key.tenant.to_string()),
        Value::Text(key.meter.to_owned()),
        Value::Text(key.source.to_string()),
        Value::Number(*units),
    ]
}

fn record_row(row: &RecordRow<'_>) -> [Value; 12] {
    let record = row.record;
    [
        Value::Text(row.stream.to_owned()),
        Value::Number(row.seq),
        Value::Number(record.at.0),
        Value::Number(row.hour.0),
        Value::Text(record.tenant.to_string()),
        Value::Text(record.key.to_string()),
        Value::Text(record.route.to_string()),
        Value::Text(record.meter.to_string()),
        Value::Number(row.units),
        Value::Number(i64::from(record.status)),
        Value::Text(record.mode.to_string()),
        Value::Number(i64::from(row.billable)),
    ]
}

fn usage_row((key, total): &(UsageKey<'_>, UsageTotal)) -> [Value; 11] {
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
        Value::Number(total.dropped_requests),
        Value::Number(total.dropped_units),
    ]
}

fn refusal_row((key, count): &(RefusalKey<'_>, i64)) -> [Value; 5] {
    [
        Value::Text(key.tenant.to_string()),
        Value::Number(key.hour.0),
        Value::Text(key.key.to_string()),
        Value::Text(key.reason.to_owned()),
        Value::Number(*count),
    ]
}
