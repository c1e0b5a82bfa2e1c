//! Events in the store.

use serde_json::Value;
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{Event, EventType};
use crate::{
    id::{EventId, TenantId},
    store::{
        StoreError,
        bulk::{self, Value as Column},
        row::{corrupt, instant, parsed},
    },
    time::Micros,
};

/// An event that is to be written.
pub(crate) struct NewEvent {
    /// Its type.
    pub(crate) kind: EventType,
    /// The tenant that it is about.
    pub(crate) tenant: TenantId,
    /// The thing whose events keep their order, by its id.
    pub(crate) object: String,
    /// Data about it. No secret, as receivers may be anybody's.
    pub(crate) data: Value,
}

/// Writes events in the transaction of their cause, in their order.
pub(crate) async fn emit(connection: &mut AnyConnection, events: &[NewEvent], now: Micros) -> Result<(), StoreError> {
    let rows: Vec<[Column; 6]> = events
        .iter()
        .map(|event| {
            [
                Column::Text(EventId::generate().to_string()),
                Column::Text(event.kind.as_str().to_owned()),
                Column::Text(event.tenant.to_string()),
                Column::Text(event.object.clone()),
                Column::Text(event.data.to_string()),
                Column::Number(now.0),
            ]
        })
        .collect();
    bulk::execute(connection, "INSERT INTO events (id, type, tenant_id, object, data, at)", "", &rows).await
}

/// Events of which nobody was told yet, the first ones first, with their numbers.
pub(super) async fn untold(connection: &mut AnyConnection, limit: u32) -> Result<Vec<(i64, Event)>, StoreError> {
    let rows = sqlx::query(
        "SELECT seq, id, type, tenant_id, object, data, at FROM events WHERE told_at IS NULL ORDER BY seq LIMIT $1",
    )
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((row.try_get("seq")?, read(row)?))).collect()
}

fn read(row: &AnyRow) -> Result<Event, StoreError> {
    let data: String = row.try_get("data")?;
    Ok(Event {
        id: parsed(row, "id")?,
        kind: parsed(row, "type")?,
        tenant: parsed(row, "tenant_id")?,
        object: row.try_get("object")?,
        data: serde_json::from_str(&data).map_err(|error| corrupt("event", error))?,
        at: instant(row, "at")?,
    })
}
