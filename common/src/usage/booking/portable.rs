//! A booking in portable SQL, some hundred rows per statement: how SQLite does it, and either
//! engine with the few entries that are let in from the quarantine.

use std::collections::{BTreeSet, HashMap};

use sqlx::{AnyConnection, AssertSqlSafe, Row as _, any::AnyRow};

use super::{
    above::ParentSpan,
    borders::{Place, Turn, turn, way, zone_named},
    ledger::Ledger,
    rows::{LeaseKey, RecordRow, RefusalKey, UsageKey, UsageTotal},
    stream::StreamBook,
};
use crate::{
    id::TenantId,
    store::{
        StoreError,
        bulk::{self, Value},
        row::parsed,
    },
    time::{Micros, Zone},
    usage::modular::UNITS_MODULUS,
};

/// Instants at which something changed for tenants of a list in JSON, and the parents that they no
/// longer have.
const TURNS: &str = "SELECT tenant_id, starts_at, NULL FROM subscriptions \
    WHERE tenant_id IN (SELECT id FROM asked) AND starts_at > $2 AND starts_at <= $3 UNION ALL \
    SELECT tenant_id, ends_at, NULL FROM subscriptions \
    WHERE tenant_id IN (SELECT id FROM asked) AND ends_at > $2 AND ends_at <= $3 UNION ALL \
    SELECT tenant_id, starts_at, NULL FROM tenant_parents \
    WHERE tenant_id IN (SELECT id FROM asked) AND starts_at > $2 AND starts_at <= $3 UNION ALL \
    SELECT tenant_id, NULL, parent_id FROM tenant_parents \
    WHERE tenant_id IN (SELECT id FROM asked) AND ends_at IS NOT NULL";

/// The members of a list in JSON as rows, by engine.
const ASKED_OF_SQLITE: &str = "WITH asked (id) AS (SELECT value FROM json_each($1)) ";
const ASKED_OF_POSTGRES: &str =
    "WITH asked (id) AS (SELECT value FROM json_array_elements_text(CAST($1 AS json)) AS members (value)) ";

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

    async fn places(&mut self, tenants: &BTreeSet<TenantId>) -> Result<HashMap<TenantId, Place>, StoreError> {
        let mut by_name: HashMap<String, (Zone, bool)> = HashMap::new();
        let mut places = HashMap::with_capacity(tenants.len());
        let select = of_asked(self, "SELECT id, zone, path FROM tenants WHERE id IN (SELECT id FROM asked)");
        let rows = sqlx::query(AssertSqlSafe(select)).bind(json(tenants)).fetch_all(&mut *self).await?;
        for row in &rows {
            let name: String = row.try_get("zone")?;
            let (zone, is_foreign) = match by_name.get(&name) {
                Some(known) => known.clone(),
                None => zone_named(&name),
            };
            by_name.insert(name, (zone.clone(), is_foreign));
            places.insert(parsed(row, "id")?, Place { zone, is_foreign, way: way(row.try_get("path")?)? });
        }
        Ok(places)
    }

    async fn parents(&mut self, tenants: &BTreeSet<TenantId>) -> Result<Vec<ParentSpan>, StoreError> {
        let select = of_asked(
            self,
            "SELECT tenant_id, parent_id, starts_at, ends_at FROM tenant_parents \
             WHERE tenant_id IN (SELECT id FROM asked)",
        );
        let rows = sqlx::query(AssertSqlSafe(select)).bind(json(tenants)).fetch_all(&mut *self).await?;
        let span = |row: &AnyRow| ParentSpan::read(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        rows.iter().map(span).collect()
    }

    async fn turns(
        &mut self,
        tenants: &BTreeSet<TenantId>,
        before: Micros,
        last: Micros,
    ) -> Result<Vec<Turn>, StoreError> {
        let select = of_asked(self, TURNS);
        let query = sqlx::query(AssertSqlSafe(select)).bind(json(tenants)).bind(before.0).bind(last.0);
        let rows = query.fetch_all(&mut *self).await?;
        rows.iter().map(|row| turn(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)).collect()
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
        bulk::execute(
            self,
            "INSERT INTO usage_records \
             (stream, seq, at, hour, tenant_id, key_id, route, meter, units, status, mode, billable, since, paid)",
            "",
            &rows,
        )
        .await
    }

    async fn add_usage(&mut self, sums: &[(UsageKey<'_>, UsageTotal)]) -> Result<(), StoreError> {
        let rows: Vec<_> = sums.iter().map(usage_row).collect();
        bulk::execute(
            self,
            "INSERT INTO usage_hourly (tenant_id, hour, since, key_id, route, meter, mode, billable, paid, requests, \
             units, dropped_requests, dropped_units, aborted, dropped_aborted)",
            "ON CONFLICT (tenant_id, hour, since, key_id, route, meter, mode, paid) DO UPDATE SET \
             requests = usage_hourly.requests + excluded.requests, units = usage_hourly.units + excluded.units, \
             dropped_requests = usage_hourly.dropped_requests + excluded.dropped_requests, \
             dropped_units = usage_hourly.dropped_units + excluded.dropped_units, \
             aborted = usage_hourly.aborted + excluded.aborted, \
             dropped_aborted = usage_hourly.dropped_aborted + excluded.dropped_aborted",
            &rows,
        )
        .await
    }

    async fn add_refusals(&mut self, sums: &[(RefusalKey<'_>, i64)]) -> Result<(), StoreError> {
        let rows: Vec<_> = sums.iter().map(refusal_row).collect();
        bulk::execute(
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
        bulk::execute(
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

/// A query that reads the tenants of a list in JSON as `asked`.
pub(super) fn of_asked(connection: &AnyConnection, select: &str) -> String {
    let asked = if connection.backend_name() == "PostgreSQL" { ASKED_OF_POSTGRES } else { ASKED_OF_SQLITE };
    format!("{asked}{select}")
}

/// A list of ids in JSON: one statement for every number of them. Ids hold nothing that JSON would
/// have to escape.
pub(super) fn json(tenants: &BTreeSet<TenantId>) -> String {
    let ids: Vec<_> = tenants.iter().map(|tenant| format!("\"{tenant}\"")).collect();
    format!("[{}]", ids.join(","))
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

fn record_row(row: &RecordRow<'_>) -> [Value; 14] {
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
        Value::Number(i64::from(row.paid.is_billable())),
        row.since.map_or(Value::Null, |since| Value::Number(since.0)),
        Value::Text(row.paid.to_string()),
    ]
}

fn usage_row((key, total): &(UsageKey<'_>, UsageTotal)) -> [Value; 15] {
    [
        Value::Text(key.tenant.to_string()),
        Value::Number(key.hour.0),
        Value::Number(key.since.0),
        Value::Text(key.key.to_string()),
        Value::Text(key.route.to_owned()),
        Value::Text(key.meter.to_owned()),
        Value::Text(key.mode.to_string()),
        Value::Number(i64::from(key.paid.is_billable())),
        Value::Text(key.paid.to_string()),
        Value::Number(total.requests),
        Value::Number(total.units),
        Value::Number(total.dropped_requests),
        Value::Number(total.dropped_units),
        Value::Number(total.aborted),
        Value::Number(total.dropped_aborted),
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
