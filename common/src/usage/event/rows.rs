//! Rows of events: their numbers, the quotas that they count against, and lists of them.

use std::fmt;

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::EventRow;
use crate::{
    acting::Scope,
    id::TenantId,
    quota::QuotaSource,
    store::{
        Page, PageRequest, Store, StoreError,
        row::{corrupt, instant, parsed},
        scope, spans,
    },
    time::{Micros, Window},
};

/// The quotas that the units of an event count against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Charged(pub(super) Vec<(TenantId, QuotaSource)>);

impl fmt::Display for Charged {
    /// A list in JSON. Ids and months hold nothing that JSON would have to escape.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<_> = self.0.iter().map(|(tenant, source)| format!("[\"{tenant}\",\"{source}\"]")).collect();
        write!(formatter, "[{}]", pairs.join(","))
    }
}

impl Charged {
    pub(super) fn read(text: &str) -> Result<Self, StoreError> {
        let pairs: Vec<(TenantId, String)> =
            serde_json::from_str(text).map_err(|error| corrupt("list of quotas", error))?;
        let quota = |(tenant, source): (TenantId, String)| {
            Ok((tenant, source.parse().map_err(|error| corrupt("quota", error))?))
        };
        pairs.into_iter().map(quota).collect::<Result<_, StoreError>>().map(Self)
    }
}

/// Locks the head of all events until the transaction ends, and gives the number of the last.
pub(super) async fn lock_head(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    let row =
        sqlx::query("UPDATE usage_event_head SET seq = seq WHERE id = 1 RETURNING seq").fetch_one(connection).await?;
    Ok(row.try_get("seq")?)
}

/// Sets the number of the last event.
pub(super) async fn set_head(connection: &mut AnyConnection, seq: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE usage_event_head SET seq = $1 WHERE id = 1").bind(seq).execute(connection).await?;
    Ok(())
}

impl Store {
    /// Events of a tenant and their corrections, in the order in which they were booked; those of
    /// times at which the tenant was in the actor's scope.
    pub async fn usage_events(&self, tenant: TenantId, page: PageRequest) -> Result<Page<EventRow>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let spans = self.event_spans(&mut connection, tenant).await?;
        let mut found = Vec::new();
        let mut after = page.begin();
        // Rows outside of the spans are passed over, so that a page is full unless it is the last.
        while found.len() < usize::try_from(page.rows()).unwrap_or(usize::MAX) {
            let rows = sqlx::query(
                "SELECT seq, tenant_id, source, event_id, kind, at, meter, mode, units, backfill, arrived_at, reason \
                 FROM usage_events WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
            )
            .bind(tenant.to_string())
            .bind(after)
            .bind(page.rows())
            .fetch_all(&mut *connection)
            .await?;
            let Some(last) = rows.last() else { break };
            after = last.try_get("seq")?;
            for row in &rows {
                let row = read(row)?;
                if spans.iter().any(|span| span.contains(row.at)) {
                    found.push((row.seq, row));
                }
            }
        }
        found.truncate(usize::try_from(page.rows()).unwrap_or(usize::MAX));
        Ok(page.page(found))
    }

    /// The times at which the tenant was in the actor's scope.
    async fn event_spans(&self, connection: &mut AnyConnection, tenant: TenantId) -> Result<Vec<Window>, StoreError> {
        let not_found = || StoreError::not_found("tenant", &tenant);
        let Scope::Subtree(top) = self.acting.scope else {
            let known = scope::path_of(connection, tenant).await?.is_some();
            let always = Window { start: Micros(i64::MIN), end: Micros(i64::MAX) };
            return if known { Ok(vec![always]) } else { Err(not_found()) };
        };
        let spans = spans::spans_under(connection, tenant, top).await?;
        if spans.is_empty() { Err(not_found()) } else { Ok(spans) }
    }
}

fn read(row: &AnyRow) -> Result<EventRow, StoreError> {
    Ok(EventRow {
        seq: row.try_get("seq")?,
        tenant: parsed(row, "tenant_id")?,
        source: row.try_get("source")?,
        id: row.try_get("event_id")?,
        kind: parsed(row, "kind")?,
        at: instant(row, "at")?,
        meter: row.try_get("meter")?,
        mode: parsed(row, "mode")?,
        units: row.try_get("units")?,
        backfill: row.try_get::<i64, _>("backfill")? != 0,
        booked_at: instant(row, "arrived_at")?,
        reason: Some(row.try_get::<String, _>("reason")?).filter(|reason| !reason.is_empty()),
    })
}
