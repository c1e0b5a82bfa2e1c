//! Corrections of events: a further row for each, and the rollup with it.

use sqlx::{
    Any, AnyConnection, Row as _,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use super::{
    EventCorrection, EventName, EventRowKind, EventState,
    rows::{self, Charged},
    validate_units,
};
use crate::{
    name::validate_name,
    quota::used::count_used,
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        row::{corrupt, instant, parsed},
        transaction::ChangeTransaction,
    },
    time::Micros,
};

/// An event that is booked, with its corrections so far.
struct Booked {
    state: EventState,
    charged: Charged,
    /// Number of its last row among its own.
    correction: i64,
    rollup: RollupKey,
}

/// The part of the key of a rollup that is not in the state of the event.
struct RollupKey {
    hour: Micros,
    since: Micros,
    key: String,
    route: String,
    paid: String,
}

/// A statement on the rollup of an event.
macro_rules! of_rollup {
    ($head:literal, $tail:literal) => {
        concat!(
            $head,
            " WHERE tenant_id = $1 AND hour = $2 AND since = $3 AND key_id = $4 AND route = $5 AND meter = $6 \
             AND mode = $7 AND paid = $8",
            $tail
        )
    };
}

type AnyQuery<'q> = Query<'q, Any, AnyArguments>;

/// The units that a correction adds.
struct Delta {
    kind: EventRowKind,
    requests: i64,
    units: i64,
}

impl Store {
    /// Corrects an event and gives it as it counts from now on: a further row, and the rollup of
    /// the event with it. The same correction again changes nothing. A conflict: units for an event
    /// that is reverted.
    pub async fn correct_usage_event(
        &self,
        correction: &EventCorrection,
        now: Micros,
    ) -> Result<EventState, StoreError> {
        let EventCorrection { event, units, reason } = correction;
        let refuse = |error: &dyn std::fmt::Display| StoreError::refused(error.to_string());
        event.validate().map_err(|fault| refuse(&fault))?;
        units.map_or(Ok(()), |units| validate_units("units", units)).map_err(|fault| refuse(&fault))?;
        validate_name(reason).map_err(|error| StoreError::refused(format!("reason: {error}")))?;
        let mut write = self.begin_change(now).await?;
        write.require(event.tenant, "tenant", &event.tenant).await?;
        let seq = rows::lock_head(write.connection()).await? + 1;
        let booked = booked(write.connection(), event).await?;
        let Some(delta) = booked.delta(*units)? else { return Ok(booked.state) };
        insert(write.connection(), event, (&booked, &delta), (seq, reason), now).await?;
        rows::set_head(write.connection(), seq).await?;
        change_rollup(write.connection(), &booked, &delta).await?;
        change_quotas(write.connection(), &booked, &delta, now).await?;
        let after = booked.after(&delta);
        audit(&mut write, (&booked.state, &after), &delta, reason).await?;
        write.commit().await?;
        Ok(after)
    }

    /// An event with the sum of its corrections.
    pub async fn usage_event(&self, event: &EventName) -> Result<EventState, StoreError> {
        self.require_tenant(event.tenant).await?;
        let mut connection = self.pool.acquire().await?;
        Ok(booked(&mut connection, event).await?.state)
    }
}

impl Booked {
    /// What is to be added so that so many units count, or none of the event; none if it is so.
    fn delta(&self, units: Option<u64>) -> Result<Option<Delta>, StoreError> {
        let counted = self.state.units.cast_signed();
        match units {
            None if self.state.reverted => Ok(None),
            None => Ok(Some(Delta { kind: EventRowKind::Revert, requests: -1, units: -counted })),
            Some(_) if self.state.reverted => {
                let reason = "the event is reverted: report the usage as another event, with an id of its own";
                Err(StoreError::conflict(reason))
            }
            Some(units) if units == self.state.units => Ok(None),
            Some(units) => {
                let units = units.cast_signed().saturating_sub(counted);
                Ok(Some(Delta { kind: EventRowKind::Amend, requests: 0, units }))
            }
        }
    }

    /// Binds the first eight values of a statement on the rollup.
    fn of_rollup<'q>(&self, query: AnyQuery<'q>) -> AnyQuery<'q> {
        let RollupKey { hour, since, key, route, paid } = &self.rollup;
        query
            .bind(self.state.tenant.to_string())
            .bind(hour.0)
            .bind(since.0)
            .bind(key.clone())
            .bind(route.clone())
            .bind(self.state.meter.clone())
            .bind(self.state.mode.to_string())
            .bind(paid.clone())
    }

    fn after(&self, delta: &Delta) -> EventState {
        EventState {
            units: self.state.units.saturating_add_signed(delta.units),
            reverted: delta.requests < 0,
            corrections: self.state.corrections.saturating_add(1),
            ..self.state.clone()
        }
    }
}

/// The rows of an event, summed up.
async fn booked(connection: &mut AnyConnection, event: &EventName) -> Result<Booked, StoreError> {
    let found = sqlx::query(
        "SELECT correction, at, hour, since, key_id, route, meter, mode, paid, requests, units, charged FROM usage_events \
         WHERE tenant_id = $1 AND source = $2 AND event_id = $3 ORDER BY correction",
    )
    .bind(event.tenant.to_string())
    .bind(event.source.clone())
    .bind(event.id.clone())
    .fetch_all(connection)
    .await?;
    let (Some(first), Some(last)) = (found.first(), found.last()) else {
        return Err(StoreError::not_found("usage event", &event.id));
    };
    let sum = |column: &'static str| -> Result<i64, StoreError> {
        let numbers: Result<Vec<i64>, _> = found.iter().map(|row| row.try_get(column)).collect();
        Ok(numbers?.into_iter().fold(0, i64::saturating_add))
    };
    let units = sum("units")?;
    let state = EventState {
        tenant: event.tenant,
        source: event.source.clone(),
        id: event.id.clone(),
        at: instant(first, "at")?,
        meter: first.try_get("meter")?,
        mode: parsed(first, "mode")?,
        units: u64::try_from(units).map_err(|_| corrupt("usage event", format!("its units sum to {units}")))?,
        reverted: sum("requests")? == 0,
        corrections: found.len().saturating_sub(1) as u64,
    };
    let charged = Charged::read(&first.try_get::<String, _>("charged")?)?;
    Ok(Booked { state, charged, correction: last.try_get("correction")?, rollup: rollup(first)? })
}

fn rollup(row: &AnyRow) -> Result<RollupKey, StoreError> {
    Ok(RollupKey {
        hour: instant(row, "hour")?,
        since: instant(row, "since")?,
        key: row.try_get("key_id")?,
        route: row.try_get("route")?,
        paid: row.try_get("paid")?,
    })
}

/// Writes a correction: the row of the event once more, with what is added.
async fn insert(
    connection: &mut AnyConnection,
    event: &EventName,
    (booked, delta): (&Booked, &Delta),
    (seq, reason): (i64, &str),
    now: Micros,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO usage_events (seq, tenant_id, source, event_id, correction, kind, at, stated_at, hour, since, \
         key_id, route, meter, mode, billable, paid, requests, units, charged, backfill, arrived_at, reason) \
         SELECT CAST($1 AS BIGINT), tenant_id, source, event_id, CAST($2 AS BIGINT), CAST($3 AS TEXT), at, stated_at, \
         hour, since, key_id, route, meter, mode, billable, paid, CAST($4 AS BIGINT), CAST($5 AS BIGINT), charged, \
         backfill, CAST($6 AS BIGINT), CAST($7 AS TEXT) FROM usage_events \
         WHERE tenant_id = $8 AND source = $9 AND event_id = $10 AND correction = 0",
    )
    .bind(seq)
    .bind(booked.correction + 1)
    .bind(delta.kind.as_str())
    .bind(delta.requests)
    .bind(delta.units)
    .bind(now.0)
    .bind(reason.to_owned())
    .bind(event.tenant.to_string())
    .bind(event.source.clone())
    .bind(event.id.clone())
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds to the rollup that the event counts in. A rollup that has nothing left is removed.
async fn change_rollup(connection: &mut AnyConnection, booked: &Booked, delta: &Delta) -> Result<(), StoreError> {
    if delta.requests < 0 {
        let deleted = booked
            .of_rollup(sqlx::query(of_rollup!("DELETE FROM usage_hourly", " AND requests = 1 AND units = $9")))
            .bind(booked.state.units.cast_signed())
            .execute(&mut *connection)
            .await?;
        if deleted.rows_affected() == 1 {
            return Ok(());
        }
    }
    let updated = booked
        .of_rollup(sqlx::query(of_rollup!("UPDATE usage_hourly SET requests = requests + $9, units = units + $10", "")))
        .bind(delta.requests)
        .bind(delta.units)
        .execute(connection)
        .await?;
    if updated.rows_affected() == 1 {
        return Ok(());
    }
    Err(corrupt("usage event", format!("{} is in no rollup", booked.state.id)))
}

/// Counts what is added against the quotas that the event counts against.
async fn change_quotas(
    connection: &mut AnyConnection,
    booked: &Booked,
    delta: &Delta,
    now: Micros,
) -> Result<(), StoreError> {
    let mut keys: Vec<_> =
        booked.charged.0.iter().map(|(tenant, source)| (*tenant, booked.state.meter.as_str(), *source)).collect();
    keys.sort_unstable();
    let used: Vec<_> = keys.into_iter().map(|key| (key, delta.units)).collect();
    count_used(connection, &used, now).await
}

async fn audit(
    write: &mut ChangeTransaction,
    (before, after): (&EventState, &EventState),
    delta: &Delta,
    reason: &str,
) -> Result<(), StoreError> {
    let action = match delta.kind {
        EventRowKind::Revert => AuditAction::UsageRevert,
        EventRowKind::Amend | EventRowKind::Record => AuditAction::UsageAmend,
    };
    let (subject, tenant) = (after.id.clone(), Some(after.tenant));
    let mut told = state(after)?;
    if let Some(serde_json::Value::Object(members)) = &mut told {
        members.insert("reason".to_owned(), reason.into());
    }
    let audited = Audited { action, subject_kind: "usage_event", subject, tenant, before: state(before)?, after: told };
    write.audit(audited).await
}
