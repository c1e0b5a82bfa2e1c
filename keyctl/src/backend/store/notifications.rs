//! Webhook endpoints, mail and the outbox in the store.

use async_trait::async_trait;
use common::{
    api::{
        mail::MailSettingsDocument,
        outbox::MessageDocument,
        webhook::{
            EndpointDocument, EndpointReplayedDocument, EndpointSecretDocument, EndpointUpdateBody, NewEndpointBody,
        },
    },
    id::{MessageId, TenantId, WebhookEndpointId},
    key::Pepper,
    mail::MailSettings,
    outbox::MessageFilter,
    store::{PageRequest, StoreError},
    time::Micros,
    webhook::{WebhookEndpoint, WebhookSecret},
};

use super::StoreBackend;
use crate::{
    backend::{MessageQuery, Notifications},
    error::Failure,
    pepper::PepperArgs,
};

#[async_trait]
impl Notifications for StoreBackend {
    async fn create_endpoint(
        &self,
        tenant: TenantId,
        new: NewEndpointBody,
        pepper: &PepperArgs,
    ) -> Result<EndpointSecretDocument, Failure> {
        let pepper = self.pepper(pepper).await?;
        let new = new.endpoint(tenant, pepper.id()).map_err(StoreError::Refused)?;
        Ok(with_secret(&pepper, self.store.create_webhook_endpoint(&new, self.now).await?))
    }

    async fn endpoints(&self, tenant: TenantId) -> Result<Vec<EndpointDocument>, Failure> {
        Ok(self.store.webhook_endpoints(tenant).await?.into_iter().map(Into::into).collect())
    }

    async fn endpoint(&self, tenant: TenantId, id: WebhookEndpointId) -> Result<EndpointDocument, Failure> {
        Ok(self.store.webhook_endpoint(tenant, id).await?.into())
    }

    async fn update_endpoint(
        &self,
        tenant: TenantId,
        id: WebhookEndpointId,
        update: EndpointUpdateBody,
    ) -> Result<EndpointDocument, Failure> {
        let update = update.update().map_err(StoreError::Refused)?;
        Ok(self.store.update_webhook_endpoint(tenant, id, &update, self.now).await?.into())
    }

    async fn rotate_endpoint(
        &self,
        tenant: TenantId,
        id: WebhookEndpointId,
        grace_seconds: u32,
        pepper: &PepperArgs,
    ) -> Result<EndpointSecretDocument, Failure> {
        let pepper = self.pepper(pepper).await?;
        let rotated = self.store.rotate_webhook_secret(tenant, id, grace_seconds, pepper.id(), self.now).await?;
        Ok(with_secret(&pepper, rotated))
    }

    async fn delete_endpoint(&self, tenant: TenantId, id: WebhookEndpointId) -> Result<(), Failure> {
        Ok(self.store.delete_webhook_endpoint(tenant, id, self.now).await?)
    }

    async fn replay_endpoint(
        &self,
        tenant: TenantId,
        id: WebhookEndpointId,
        since: Micros,
        delivered: bool,
    ) -> Result<EndpointReplayedDocument, Failure> {
        let messages = self.store.replay_webhook_endpoint(tenant, id, (since, delivered), self.now).await?;
        Ok(EndpointReplayedDocument { messages })
    }

    async fn mail_settings(&self, tenant: TenantId) -> Result<MailSettingsDocument, Failure> {
        Ok(self.store.mail_settings(tenant).await?.into())
    }

    async fn set_mail_settings(
        &self,
        tenant: TenantId,
        settings: MailSettingsDocument,
    ) -> Result<MailSettingsDocument, Failure> {
        let settings = MailSettings::from(settings);
        self.store.set_mail_settings(tenant, &settings, self.now).await?;
        Ok(settings.into())
    }

    async fn messages(&self, query: &MessageQuery) -> Result<Vec<MessageDocument>, Failure> {
        let filter = MessageFilter {
            subtree_of: query.tenant,
            state: query.state,
            kind: query.kind.clone(),
            target: query.target.clone(),
        };
        let page = PageRequest { after: None, limit: query.limit };
        Ok(self.store.messages(&filter, page).await?.items.into_iter().map(Into::into).collect())
    }

    async fn replay_message(&self, tenant: TenantId, id: MessageId) -> Result<MessageDocument, Failure> {
        Ok(self.store.replay_message(tenant, id, self.now).await?.into())
    }
}

/// The endpoint with its current secret.
fn with_secret(pepper: &Pepper, endpoint: WebhookEndpoint) -> EndpointSecretDocument {
    let secret = WebhookSecret::of(pepper, endpoint.id, endpoint.secret).expose();
    EndpointSecretDocument { endpoint: endpoint.into(), secret: Some(secret) }
}
