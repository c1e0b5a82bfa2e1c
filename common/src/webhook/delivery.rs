//! State of an endpoint, as deliveries show it: that it works, that it fails, and that it is not sent to any
//! more.

use super::{Disabled, WebhookEndpoint, rows};
use crate::{
    event::{EventType, NewEvent, emit},
    id::WebhookEndpointId,
    outbox::shortened,
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
    },
    time::Micros,
};

impl Store {
    /// The endpoint that a message is for, unless it is deleted.
    pub async fn webhook_receiver(&self, id: WebhookEndpointId) -> Result<Option<WebhookEndpoint>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        rows::find(&mut connection, id).await
    }

    /// Notes that an endpoint took a message, or did not. Whoever asks again changes nothing.
    pub async fn note_webhook_try(
        &self,
        endpoint: &WebhookEndpoint,
        delivered: bool,
        now: Micros,
    ) -> Result<(), StoreError> {
        let (failing_since, condition) = match (delivered, endpoint.failing_since) {
            (true, Some(_)) => (None, "failing_since IS NOT NULL"),
            (false, None) => (Some(now), "failing_since IS NULL"),
            (true, None) | (false, Some(_)) => return Ok(()),
        };
        let mut write = self.begin_write().await?;
        let statement = format!("UPDATE webhook_endpoints SET failing_since = $1 WHERE id = $2 AND {condition}");
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(failing_since.map(|at: Micros| at.0))
            .bind(endpoint.id.to_string())
            .execute(write.connection())
            .await?;
        write.commit().await
    }

    /// Ends sending to an endpoint, and tells its tenant. False if that was so before.
    pub async fn disable_webhook_endpoint(
        &self,
        id: WebhookEndpointId,
        reason: &str,
        now: Micros,
    ) -> Result<bool, StoreError> {
        let mut change = self.begin_change(now).await?;
        let Some(before) = rows::find(change.connection(), id).await?.filter(|one| one.disabled.is_none()) else {
            return Ok(false);
        };
        let disabled = Some(Disabled { at: now, reason: shortened(reason) });
        let after = WebhookEndpoint { disabled, ..before.clone() };
        rows::save(change.connection(), &after).await?;
        let data = serde_json::json!({
            "id": id,
            "name": after.name,
            "url": after.url,
            "reason": shortened(reason),
            "failing_since": after.failing_since.map(|at| at.to_string()),
        });
        let (kind, object) = (EventType::EndpointDisabled, id.to_string());
        emit(change.connection(), &[NewEvent { kind, tenant: after.tenant, object, data }], now).await?;
        let (action, subject_kind) = (AuditAction::WebhookDisable, "webhook_endpoint");
        let (subject, tenant) = (id.to_string(), Some(after.tenant));
        let (before, after) = (state(&before)?, state(&after)?);
        change.audit(Audited { action, subject_kind, subject, tenant, before, after }).await?;
        change.commit().await?;
        Ok(true)
    }
}
