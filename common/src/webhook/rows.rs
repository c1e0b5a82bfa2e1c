//! Endpoints in the store.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{Disabled, WebhookEndpoint};
use crate::{
    id::{TenantId, WebhookEndpointId},
    store::{
        Store, StoreError,
        row::{corrupt, instant, instant_or_null, parsed},
    },
    tenant::row as tenants,
};

macro_rules! select_endpoints {
    ($rest:literal) => {
        concat!(
            "SELECT id, tenant_id, name, url, types, below, secret, pepper_id, previous_until, failing_since, disabled_at, \
             disabled_reason, created_at, after_event FROM webhook_endpoints ",
            $rest
        )
    };
}
pub(super) use select_endpoints;

impl Store {
    /// Endpoints of a tenant, oldest first.
    pub async fn webhook_endpoints(&self, tenant: TenantId) -> Result<Vec<WebhookEndpoint>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        tenants::find(&mut connection, self.acting.scope, tenant).await?;
        of_tenant(&mut connection, tenant).await
    }

    /// An endpoint of a tenant.
    pub async fn webhook_endpoint(
        &self,
        tenant: TenantId,
        id: WebhookEndpointId,
    ) -> Result<WebhookEndpoint, StoreError> {
        let mut connection = self.pool.acquire().await?;
        tenants::find(&mut connection, self.acting.scope, tenant).await?;
        required(&mut connection, tenant, id).await
    }
}

pub(super) async fn of_tenant(
    connection: &mut AnyConnection,
    tenant: TenantId,
) -> Result<Vec<WebhookEndpoint>, StoreError> {
    let rows = sqlx::query(select_endpoints!("WHERE tenant_id = $1 AND deleted_at IS NULL ORDER BY seq"))
        .bind(tenant.to_string())
        .fetch_all(connection)
        .await?;
    rows.iter().map(read).collect()
}

/// An endpoint, whoever asks, unless it is deleted.
pub(super) async fn find(
    connection: &mut AnyConnection,
    id: WebhookEndpointId,
) -> Result<Option<WebhookEndpoint>, StoreError> {
    let row = sqlx::query(select_endpoints!("WHERE id = $1 AND deleted_at IS NULL"))
        .bind(id.to_string())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

/// An endpoint of a tenant; that of another tenant is not there.
pub(super) async fn required(
    connection: &mut AnyConnection,
    tenant: TenantId,
    id: WebhookEndpointId,
) -> Result<WebhookEndpoint, StoreError> {
    let found = find(connection, id).await?.filter(|endpoint| endpoint.tenant == tenant);
    found.ok_or_else(|| StoreError::not_found("webhook endpoint", &id))
}

pub(super) async fn insert(connection: &mut AnyConnection, endpoint: &WebhookEndpoint) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO webhook_endpoints (id, tenant_id, name, url, types, below, secret, pepper_id, created_at, \
         after_event) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, (SELECT COALESCE(MAX(seq), 0) FROM events))",
    )
    .bind(endpoint.id.to_string())
    .bind(endpoint.tenant.to_string())
    .bind(&endpoint.name)
    .bind(&endpoint.url)
    .bind(types(endpoint)?)
    .bind(i64::from(endpoint.below))
    .bind(endpoint.secret)
    .bind(&endpoint.pepper_id)
    .bind(endpoint.created_at.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes everything of an endpoint that can change.
pub(super) async fn save(connection: &mut AnyConnection, endpoint: &WebhookEndpoint) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE webhook_endpoints SET name = $1, url = $2, types = $3, below = $4, secret = $5, previous_until = $6, \
         failing_since = $7, disabled_at = $8, disabled_reason = $9, pepper_id = $10 WHERE id = $11",
    )
    .bind(&endpoint.name)
    .bind(&endpoint.url)
    .bind(types(endpoint)?)
    .bind(i64::from(endpoint.below))
    .bind(endpoint.secret)
    .bind(endpoint.previous_until.map(|at| at.0))
    .bind(endpoint.failing_since.map(|at| at.0))
    .bind(endpoint.disabled.as_ref().map(|disabled| disabled.at.0))
    .bind(endpoint.disabled.as_ref().map(|disabled| disabled.reason.clone()))
    .bind(&endpoint.pepper_id)
    .bind(endpoint.id.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

fn types(endpoint: &WebhookEndpoint) -> Result<String, StoreError> {
    serde_json::to_string(&endpoint.types).map_err(|error| corrupt("types of events", error))
}

pub(super) fn read(row: &AnyRow) -> Result<WebhookEndpoint, StoreError> {
    let types: String = row.try_get("types")?;
    let below: i64 = row.try_get("below")?;
    let reason: Option<String> = row.try_get("disabled_reason")?;
    let disabled = instant_or_null(row, "disabled_at")?.zip(reason);
    Ok(WebhookEndpoint {
        id: parsed(row, "id")?,
        tenant: parsed(row, "tenant_id")?,
        name: row.try_get("name")?,
        url: row.try_get("url")?,
        types: serde_json::from_str(&types).map_err(|error| corrupt("types of events", error))?,
        below: below != 0,
        secret: row.try_get("secret")?,
        pepper_id: row.try_get("pepper_id")?,
        previous_until: instant_or_null(row, "previous_until")?,
        failing_since: instant_or_null(row, "failing_since")?,
        disabled: disabled.map(|(at, reason)| Disabled { at, reason }),
        created_at: instant(row, "created_at")?,
        after_event: row.try_get("after_event")?,
    })
}
