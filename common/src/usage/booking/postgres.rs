//! A booking on PostgreSQL: records by binary COPY, everything else by arrays, so that the number
//! of statements does not depend on the number of rows.

use std::collections::{BTreeSet, HashMap};

use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::{
    above::ParentSpan,
    borders::{Place, Turn, turn, way, zone_named},
    copy::{self, CopyBuffer},
    ledger::Ledger,
    rows::{LeaseKey, RecordRow, RefusalKey, UsageKey, UsageTotal},
    stream::{Counters, StreamBook},
};
use crate::{
    id::TenantId,
    store::{StoreError, row::corrupt},
    time::{Micros, Zone},
    usage::modular::UNITS_MODULUS,
};

impl Ledger for PgConnection {
    async fn lock_streams(&mut self, streams: &[String], now: Micros) -> Result<HashMap<String, i64>, StoreError> {
        // Rows are inserted, so locked, in the order of the array.
        let rows = sqlx::query(
            "INSERT INTO usage_streams (stream, next_seq, updated_at) SELECT name, 0, $2 FROM UNNEST($1::text[]) name \
             ON CONFLICT (stream) DO UPDATE SET updated_at = excluded.updated_at RETURNING stream, next_seq",
        )
        .bind(streams)
        .bind(now.0)
        .fetch_all(self)
        .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    async fn places(&mut self, tenants: &BTreeSet<TenantId>) -> Result<HashMap<TenantId, Place>, StoreError> {
        let mut by_name: HashMap<String, (Zone, bool)> = HashMap::new();
        let mut places = HashMap::with_capacity(tenants.len());
        let rows = sqlx::query("SELECT id, zone, path FROM tenants WHERE id = ANY($1)")
            .bind(ids(tenants))
            .fetch_all(self)
            .await?;
        for row in rows {
            let (id, name, path): (&str, &str, &str) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let (zone, is_foreign) = match by_name.get(name) {
                Some(known) => known.clone(),
                None => zone_named(name),
            };
            by_name.insert(name.to_owned(), (zone.clone(), is_foreign));
            places
                .insert(id.parse().map_err(|error| corrupt("id", error))?, Place { zone, is_foreign, way: way(path)? });
        }
        Ok(places)
    }

    async fn parents(&mut self, tenants: &BTreeSet<TenantId>) -> Result<Vec<ParentSpan>, StoreError> {
        let rows = sqlx::query(
            "SELECT tenant_id, parent_id, starts_at, ends_at FROM tenant_parents WHERE tenant_id = ANY($1)",
        )
        .bind(ids(tenants))
        .fetch_all(self)
        .await?;
        let span = |row: &PgRow| ParentSpan::read(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        rows.iter().map(span).collect()
    }

    async fn turns(
        &mut self,
        tenants: &BTreeSet<TenantId>,
        before: Micros,
        last: Micros,
    ) -> Result<Vec<Turn>, StoreError> {
        let rows = sqlx::query(
            "SELECT tenant_id, starts_at, NULL FROM subscriptions \
             WHERE tenant_id = ANY($1) AND starts_at > $2 AND starts_at <= $3 UNION ALL \
             SELECT tenant_id, ends_at, NULL FROM subscriptions \
             WHERE tenant_id = ANY($1) AND ends_at > $2 AND ends_at <= $3 UNION ALL \
             SELECT tenant_id, starts_at, NULL FROM tenant_parents \
             WHERE tenant_id = ANY($1) AND starts_at > $2 AND starts_at <= $3 UNION ALL \
             SELECT tenant_id, NULL, parent_id FROM tenant_parents \
             WHERE tenant_id = ANY($1) AND ends_at IS NOT NULL",
        )
        .bind(ids(tenants))
        .bind(before.0)
        .bind(last.0)
        .fetch_all(self)
        .await?;
        rows.iter().map(|row| turn(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)).collect()
    }

    async fn write_marks(&mut self, books: &[StreamBook]) -> Result<(), StoreError> {
        let column = |of: fn(&Counters) -> i64| -> Vec<i64> { books.iter().map(|book| of(book.added())).collect() };
        sqlx::query(
            "UPDATE usage_streams SET next_seq = added.next_seq, requests = usage_streams.requests + added.requests, \
             units = (usage_streams.units + added.units) % $11, \
             refusal_entries = usage_streams.refusal_entries + added.refusal_entries, \
             refused = (usage_streams.refused + added.refused) % $11, \
             void_entries = usage_streams.void_entries + added.void_entries, \
             lost_entries = usage_streams.lost_entries + added.lost_entries, \
             dropped_requests = usage_streams.dropped_requests + added.dropped_requests, \
             dropped_units = (usage_streams.dropped_units + added.dropped_units) % $11, \
             end_entries = usage_streams.end_entries + added.end_entries \
             FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], \
             $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $12::bigint[]) AS added (stream, next_seq, \
             requests, units, refusal_entries, refused, void_entries, lost_entries, dropped_requests, dropped_units, \
             end_entries) \
             WHERE usage_streams.stream = added.stream",
        )
        .bind(books.iter().map(StreamBook::name).collect::<Vec<_>>())
        .bind(books.iter().map(StreamBook::mark).collect::<Vec<_>>())
        .bind(column(|added| added.requests))
        .bind(column(|added| added.units))
        .bind(column(|added| added.refusal_entries))
        .bind(column(|added| added.refused))
        .bind(column(|added| added.void_entries))
        .bind(column(|added| added.lost_entries))
        .bind(column(|added| added.dropped_requests))
        .bind(column(|added| added.dropped_units))
        .bind(UNITS_MODULUS)
        .bind(column(|added| added.end_entries))
        .execute(self)
        .await?;
        Ok(())
    }

    async fn write_records(&mut self, records: &[RecordRow<'_>]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut server = self.copy_in_raw(copy::STATEMENT).await?;
        let mut buffer = CopyBuffer::new();
        for row in records {
            buffer.push(row);
            if buffer.is_full() {
                server.send(buffer.bytes()).await?;
                buffer.clear();
            }
        }
        buffer.finish();
        server.send(buffer.bytes()).await?;
        let written = server.finish().await?;
        if written == records.len() as u64 {
            Ok(())
        } else {
            Err(corrupt("copy", format!("{written} records were written, not {}", records.len())))
        }
    }

    async fn add_usage(&mut self, sums: &[(UsageKey<'_>, UsageTotal)]) -> Result<(), StoreError> {
        let texts = |of: fn(&UsageKey<'_>) -> String| -> Vec<String> { sums.iter().map(|(key, _)| of(key)).collect() };
        let numbers = |of: fn(&UsageTotal) -> i64| -> Vec<i64> { sums.iter().map(|(_, total)| of(total)).collect() };
        if sums.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO usage_hourly AS sums (tenant_id, hour, key_id, route, meter, mode, billable, requests, units, \
             dropped_requests, dropped_units, since, paid, aborted, dropped_aborted) \
             SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], \
             $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::text[], \
             $14::bigint[], $15::bigint[]) \
             ON CONFLICT (tenant_id, hour, since, key_id, route, meter, mode, paid) DO UPDATE SET \
             requests = sums.requests + excluded.requests, units = sums.units + excluded.units, \
             dropped_requests = sums.dropped_requests + excluded.dropped_requests, \
             dropped_units = sums.dropped_units + excluded.dropped_units, \
             aborted = sums.aborted + excluded.aborted, \
             dropped_aborted = sums.dropped_aborted + excluded.dropped_aborted",
        )
        .bind(texts(|key| key.tenant.to_string()))
        .bind(sums.iter().map(|(key, _)| key.hour.0).collect::<Vec<_>>())
        .bind(texts(|key| key.key.to_string()))
        .bind(sums.iter().map(|(key, _)| key.route).collect::<Vec<_>>())
        .bind(sums.iter().map(|(key, _)| key.meter).collect::<Vec<_>>())
        .bind(texts(|key| key.mode.to_string()))
        .bind(sums.iter().map(|(key, _)| i64::from(key.paid.is_billable())).collect::<Vec<_>>())
        .bind(numbers(|total| total.requests))
        .bind(numbers(|total| total.units))
        .bind(numbers(|total| total.dropped_requests))
        .bind(numbers(|total| total.dropped_units))
        .bind(sums.iter().map(|(key, _)| key.since.0).collect::<Vec<_>>())
        .bind(sums.iter().map(|(key, _)| key.paid.as_str()).collect::<Vec<_>>())
        .bind(numbers(|total| total.aborted))
        .bind(numbers(|total| total.dropped_aborted))
        .execute(self)
        .await?;
        Ok(())
    }

    async fn add_refusals(&mut self, sums: &[(RefusalKey<'_>, i64)]) -> Result<(), StoreError> {
        if sums.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO refusals_hourly AS sums (tenant_id, hour, key_id, reason, count) \
             SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bigint[]) \
             ON CONFLICT (tenant_id, hour, key_id, reason) DO UPDATE SET count = sums.count + excluded.count",
        )
        .bind(sums.iter().map(|(key, _)| key.tenant.to_string()).collect::<Vec<_>>())
        .bind(sums.iter().map(|(key, _)| key.hour.0).collect::<Vec<_>>())
        .bind(sums.iter().map(|(key, _)| key.key.to_string()).collect::<Vec<_>>())
        .bind(sums.iter().map(|(key, _)| key.reason).collect::<Vec<_>>())
        .bind(sums.iter().map(|(_, count)| *count).collect::<Vec<_>>())
        .execute(self)
        .await?;
        Ok(())
    }

    async fn charge_leases(&mut self, charges: &[(LeaseKey<'_>, i64)]) -> Result<(), StoreError> {
        if charges.is_empty() {
            return Ok(());
        }
        // Locked in order before anything is changed: a join would lock in an order of its own.
        sqlx::query(
            "WITH held AS (SELECT life, tenant_id, meter, period, charged.units FROM UNNEST($1::text[], $2::text[], \
             $3::text[], $4::text[], $5::bigint[]) AS charged (life, tenant_id, meter, period, units) \
             JOIN quota_leases USING (life, tenant_id, meter, period) \
             ORDER BY life, tenant_id, meter, period FOR UPDATE OF quota_leases) \
             UPDATE quota_leases SET used = quota_leases.used + held.units FROM held \
             WHERE quota_leases.life = held.life AND quota_leases.tenant_id = held.tenant_id \
             AND quota_leases.meter = held.meter AND quota_leases.period = held.period",
        )
        .bind(charges.iter().map(|(key, _)| key.life).collect::<Vec<_>>())
        .bind(charges.iter().map(|(key, _)| key.tenant.to_string()).collect::<Vec<_>>())
        .bind(charges.iter().map(|(key, _)| key.meter).collect::<Vec<_>>())
        .bind(charges.iter().map(|(key, _)| key.source.to_string()).collect::<Vec<_>>())
        .bind(charges.iter().map(|(_, units)| *units).collect::<Vec<_>>())
        .execute(self)
        .await?;
        Ok(())
    }
}

fn ids(tenants: &BTreeSet<TenantId>) -> Vec<String> {
    tenants.iter().map(ToString::to_string).collect()
}
