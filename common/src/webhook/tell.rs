//! Endpoints that hear of an event, and the message that each of them gets.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe};

use super::{WebhookEndpoint, rows};
use crate::{
    event::{Event, Hearer},
    id::TenantId,
    outbox::{NewMessage, WEBHOOK},
    store::{Engine, StoreError, bulk},
};

/// Endpoints of these tenants and of all above them that are sent to.
pub(crate) async fn listening(
    connection: &mut AnyConnection,
    engine: Engine,
    hearers: &HashMap<TenantId, Hearer>,
) -> Result<Vec<WebhookEndpoint>, StoreError> {
    let tenants: BTreeSet<TenantId> = hearers.values().flat_map(|hearer| &hearer.line).copied().collect();
    let statement = format!(
        "{} AND tenant_id {} ORDER BY seq",
        rows::select_endpoints!("WHERE deleted_at IS NULL AND disabled_at IS NULL"),
        bulk::in_list(engine, 1)
    );
    let found = sqlx::query(AssertSqlSafe(statement)).bind(bulk::list(tenants)).fetch_all(connection).await?;
    found.iter().map(rows::read).collect()
}

/// The messages of an event of this number to those endpoints that hear of it.
pub(crate) fn messages((seq, event): (i64, &Event), hearer: &Hearer, endpoints: &[WebhookEndpoint]) -> Vec<NewMessage> {
    let hearing = endpoints.iter().filter(|endpoint| endpoint.after_event < seq && hears(endpoint, event, hearer));
    hearing.map(|endpoint| message(event, endpoint)).collect()
}

fn hears(endpoint: &WebhookEndpoint, event: &Event, hearer: &Hearer) -> bool {
    let is_of = endpoint.tenant == event.tenant || endpoint.below && hearer.line.contains(&endpoint.tenant);
    is_of && (endpoint.types.is_empty() || endpoint.types.contains(&event.kind))
}

fn message(event: &Event, endpoint: &WebhookEndpoint) -> NewMessage {
    NewMessage {
        kind: WEBHOOK,
        tenant: endpoint.tenant,
        lane: format!("{}/{}", endpoint.id, event.object),
        target: endpoint.id.to_string(),
        subject: format!("{} {}", event.kind, event.object),
        event: Some(event.id),
        body: payload(event),
        due_at: None,
        given_up: None,
    }
}

/// The body, with the same bytes at each try.
fn payload(event: &Event) -> Value {
    json!({
        "type": event.kind,
        "timestamp": event.at.to_string(),
        "tenant": event.tenant,
        "data": event.data,
    })
}
