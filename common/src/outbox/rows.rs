//! Messages in the store.

use serde_json::Value;
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{Message, MessageState};
use crate::{
    id::{EventId, MessageId, TenantId},
    store::{
        StoreError,
        bulk::{self, Value as Column},
        row::{corrupt, instant, instant_or_null, parsed, parsed_or_null},
    },
    time::Micros,
};

macro_rules! select_messages {
    ($rest:literal) => {
        concat!(
            "SELECT outbox.seq, outbox.id, outbox.kind, outbox.tenant_id, lane, target, subject, event_id, body, state, \
             outbox.created_at, due_at, attempt, first_at, ended_at, result FROM outbox ",
            $rest
        )
    };
}
pub(super) use select_messages;

/// A message that is to be written.
pub(crate) struct NewMessage {
    /// The kind of message.
    pub(crate) kind: &'static str,
    /// The tenant that it is sent for.
    pub(crate) tenant: TenantId,
    /// Messages of a lane are sent one after the other.
    pub(crate) lane: String,
    /// The receiver.
    pub(crate) target: String,
    /// Its subject, in words.
    pub(crate) subject: String,
    /// The event that it tells of. A receiver is told of an event once.
    pub(crate) event: Option<EventId>,
    /// Data for its deliverer.
    pub(crate) body: Value,
    /// Time of the first try; at once unless stated.
    pub(crate) due_at: Option<Micros>,
    /// The reason why nobody can be sent to: then it is given up from the beginning, and told.
    pub(crate) given_up: Option<String>,
}

/// Writes messages in the transaction of their cause, in their order.
pub(crate) async fn enqueue(
    connection: &mut AnyConnection,
    messages: &[NewMessage],
    now: Micros,
) -> Result<(), StoreError> {
    let rows: Vec<[Column; 13]> = messages.iter().map(|message| row(message, now)).collect();
    bulk::execute(
        connection,
        "INSERT INTO outbox (id, kind, tenant_id, lane, target, subject, event_id, body, state, created_at, due_at, \
         ended_at, result)",
        "ON CONFLICT DO NOTHING",
        &rows,
    )
    .await
}

fn row(message: &NewMessage, now: Micros) -> [Column; 13] {
    let state = if message.given_up.is_some() { MessageState::GivenUp } else { MessageState::Pending };
    [
        Column::Text(MessageId::generate().to_string()),
        Column::Text(message.kind.to_owned()),
        Column::Text(message.tenant.to_string()),
        Column::Text(message.lane.clone()),
        Column::Text(message.target.clone()),
        Column::Text(message.subject.clone()),
        message.event.map_or(Column::NoText, |event| Column::Text(event.to_string())),
        Column::Text(message.body.to_string()),
        Column::Text(state.as_str().to_owned()),
        Column::Number(now.0),
        Column::Number(message.due_at.unwrap_or(now).0),
        if message.given_up.is_some() { Column::Number(now.0) } else { Column::Null },
        message.given_up.clone().map_or(Column::NoText, Column::Text),
    ]
}

pub(super) fn read(row: &AnyRow) -> Result<Message, StoreError> {
    let body: String = row.try_get("body")?;
    Ok(Message {
        id: parsed(row, "id")?,
        kind: row.try_get("kind")?,
        tenant: parsed(row, "tenant_id")?,
        lane: row.try_get("lane")?,
        target: row.try_get("target")?,
        subject: row.try_get("subject")?,
        event: parsed_or_null(row, "event_id")?,
        body: serde_json::from_str(&body).map_err(|error| corrupt("message", error))?,
        state: parsed(row, "state")?,
        created_at: instant(row, "created_at")?,
        due_at: instant(row, "due_at")?,
        attempt: row.try_get("attempt")?,
        first_at: instant_or_null(row, "first_at")?,
        ended_at: instant_or_null(row, "ended_at")?,
        result: row.try_get("result")?,
    })
}
