//! Changes of endpoints.

use super::{Disabled, ENDPOINTS_MAX, EndpointUrl, GRACE_MAX_SECONDS, WebhookEndpoint, rows};
use crate::{
    event::EventType,
    id::{TenantId, WebhookEndpointId},
    name::validate_name,
    outbox::Replay,
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        idempotency,
        transaction::ChangeTransaction,
    },
    tenant::row as tenants,
    time::Micros,
};

/// An endpoint that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEndpoint {
    /// The tenant whose events it hears of.
    pub tenant: TenantId,
    /// Its name, for people.
    pub name: String,
    /// The URL that messages are sent to.
    pub url: EndpointUrl,
    /// Types of events that it hears of; empty: all.
    pub types: Vec<EventType>,
    /// True: it hears of events of tenants below its own, too.
    pub below: bool,
    /// Id of the pepper that its secrets are derived from.
    pub pepper_id: String,
}

/// Changes of an endpoint; what is none stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointUpdate {
    /// Its name.
    pub name: Option<String>,
    /// The URL.
    pub url: Option<EndpointUrl>,
    /// Types of events; empty: all.
    pub types: Option<Vec<EventType>>,
    /// True: also events of tenants below its own.
    pub below: Option<bool>,
    /// False: nothing is sent to it. True: it is sent to again.
    pub enabled: Option<bool>,
}

impl Store {
    /// Makes an endpoint. Refused: a name that is none, a type that is named twice. A conflict: a
    /// deleted tenant, more endpoints than a tenant may have.
    pub async fn create_webhook_endpoint(&self, new: &NewEndpoint, now: Micros) -> Result<WebhookEndpoint, StoreError> {
        check(&new.name, &new.types)?;
        let mut change = self.begin_change(now).await?;
        idempotency::refuse_repetition(&mut change).await?;
        tenants::present(&mut change, new.tenant).await?;
        if rows::of_tenant(change.connection(), new.tenant).await?.len() >= ENDPOINTS_MAX {
            return Err(StoreError::conflict(format!("a tenant has at most {ENDPOINTS_MAX} webhook endpoints")));
        }
        let endpoint = WebhookEndpoint {
            id: WebhookEndpointId::generate(),
            tenant: new.tenant,
            name: new.name.clone(),
            url: new.url.as_str().to_owned(),
            types: new.types.clone(),
            below: new.below,
            secret: 1,
            pepper_id: new.pepper_id.clone(),
            previous_until: None,
            failing_since: None,
            disabled: None,
            created_at: now,
            // The row has the number of the latest event.
            after_event: 0,
        };
        rows::insert(change.connection(), &endpoint).await?;
        audit(&mut change, AuditAction::WebhookCreate, None, Some(&endpoint)).await?;
        idempotency::remember(&mut change, &endpoint.id.to_string()).await?;
        change.commit().await?;
        Ok(endpoint)
    }

    /// Changes an endpoint. Refused: a name that is none, a type that is named twice.
    pub async fn update_webhook_endpoint(
        &self,
        tenant: TenantId,
        id: WebhookEndpointId,
        update: &EndpointUpdate,
        now: Micros,
    ) -> Result<WebhookEndpoint, StoreError> {
        let mut change = self.begin_change(now).await?;
        let before = present(&mut change, tenant, id).await?;
        let mut after = before.clone();
        if let Some(name) = &update.name {
            after.name.clone_from(name);
        }
        if let Some(url) = &update.url {
            url.as_str().clone_into(&mut after.url);
        }
        if let Some(types) = &update.types {
            after.types.clone_from(types);
        }
        after.below = update.below.unwrap_or(after.below);
        match update.enabled {
            Some(true) => (after.disabled, after.failing_since) = (None, None),
            Some(false) if after.disabled.is_none() => {
                after.disabled = Some(Disabled { at: now, reason: "somebody disabled it".into() });
            }
            Some(false) | None => {}
        }
        check(&after.name, &after.types)?;
        if after != before {
            rows::save(change.connection(), &after).await?;
            audit(&mut change, AuditAction::WebhookUpdate, Some(&before), Some(&after)).await?;
            change.commit().await?;
        }
        Ok(after)
    }

    /// Gives an endpoint another secret; the one that it had signs, too, for so many seconds. Refused:
    /// a grace of more than 7 days.
    pub async fn rotate_webhook_secret(
        &self,
        tenant: TenantId,
        id: WebhookEndpointId,
        grace_seconds: u32,
        pepper_id: &str,
        now: Micros,
    ) -> Result<WebhookEndpoint, StoreError> {
        if grace_seconds > GRACE_MAX_SECONDS {
            return Err(StoreError::refused(format!(
                "grace_seconds: use at most {GRACE_MAX_SECONDS}, which is 7 days"
            )));
        }
        let mut change = self.begin_change(now).await?;
        let before = present(&mut change, tenant, id).await?;
        let after = WebhookEndpoint {
            secret: before.secret + 1,
            previous_until: Some(now.plus_seconds(i64::from(grace_seconds))),
            pepper_id: pepper_id.to_owned(),
            ..before.clone()
        };
        rows::save(change.connection(), &after).await?;
        audit(&mut change, AuditAction::WebhookRotate, Some(&before), Some(&after)).await?;
        change.commit().await?;
        Ok(after)
    }

    /// Deletes an endpoint. What waits for it is given up.
    pub async fn delete_webhook_endpoint(
        &self,
        tenant: TenantId,
        id: WebhookEndpointId,
        now: Micros,
    ) -> Result<(), StoreError> {
        let mut change = self.begin_change(now).await?;
        let before = present(&mut change, tenant, id).await?;
        sqlx::query("UPDATE webhook_endpoints SET deleted_at = $1 WHERE id = $2")
            .bind(now.0)
            .bind(id.to_string())
            .execute(change.connection())
            .await?;
        audit(&mut change, AuditAction::WebhookDelete, Some(&before), None).await?;
        change.commit().await
    }

    /// Sends the messages to an endpoint again that were written since an instant: those that were
    /// given up, and with `delivered` all that have ended. Gives how many.
    pub async fn replay_webhook_endpoint(
        &self,
        tenant: TenantId,
        id: WebhookEndpointId,
        (since, delivered): (Micros, bool),
        now: Micros,
    ) -> Result<u64, StoreError> {
        let endpoint = self.webhook_endpoint(tenant, id).await?;
        if let Some(disabled) = endpoint.disabled {
            return Err(StoreError::conflict(format!("{id} is disabled: {}; enable it first", disabled.reason)));
        }
        self.replay_to(tenant, &Replay { target: id.to_string(), since, delivered }, now).await
    }
}

/// An endpoint of a tenant in the actor's scope, which is to be changed.
async fn present(
    change: &mut ChangeTransaction,
    tenant: TenantId,
    id: WebhookEndpointId,
) -> Result<WebhookEndpoint, StoreError> {
    change.require(tenant, "tenant", &tenant).await?;
    rows::required(change.connection(), tenant, id).await
}

fn check(name: &str, types: &[EventType]) -> Result<(), StoreError> {
    validate_name(name).map_err(|error| StoreError::refused(format!("name: {error}")))?;
    for (place, one) in types.iter().enumerate() {
        if types.get(..place).is_some_and(|before| before.contains(one)) {
            return Err(StoreError::refused(format!("types: {one} is named twice")));
        }
    }
    Ok(())
}

async fn audit(
    change: &mut ChangeTransaction,
    action: AuditAction,
    before: Option<&WebhookEndpoint>,
    after: Option<&WebhookEndpoint>,
) -> Result<(), StoreError> {
    let Some(of) = after.or(before) else { return Ok(()) };
    let (subject_kind, subject, tenant) = ("webhook_endpoint", of.id.to_string(), Some(of.tenant));
    let before = before.map(state).transpose()?.flatten();
    let after = after.map(state).transpose()?.flatten();
    change.audit(Audited { action, subject_kind, subject, tenant, before, after }).await
}
