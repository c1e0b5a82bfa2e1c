//! Webhook endpoints, mail and the outbox: what commands ask for.

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
    outbox::MessageState,
    time::Micros,
};

use crate::{error::Failure, pepper::PepperArgs};

/// Tools that tell others of events. Secrets of endpoints are derived from the pepper: only the store needs it.
#[async_trait]
pub(crate) trait Notifications: Send + Sync {
    /// Makes a webhook endpoint.
    async fn create_endpoint(
        &self,
        tenant: TenantId,
        new: NewEndpointBody,
        pepper: &PepperArgs,
    ) -> Result<EndpointSecretDocument, Failure>;

    /// Lists the endpoints of a tenant, oldest first.
    async fn endpoints(&self, tenant: TenantId) -> Result<Vec<EndpointDocument>, Failure>;

    /// Reads one endpoint.
    async fn endpoint(&self, tenant: TenantId, id: WebhookEndpointId) -> Result<EndpointDocument, Failure>;

    /// Changes, disables or enables an endpoint.
    async fn update_endpoint(
        &self,
        tenant: TenantId,
        id: WebhookEndpointId,
        update: EndpointUpdateBody,
    ) -> Result<EndpointDocument, Failure>;

    /// Gives an endpoint another secret.
    async fn rotate_endpoint(
        &self,
        tenant: TenantId,
        id: WebhookEndpointId,
        grace_seconds: u32,
        pepper: &PepperArgs,
    ) -> Result<EndpointSecretDocument, Failure>;

    /// Deletes an endpoint.
    async fn delete_endpoint(&self, tenant: TenantId, id: WebhookEndpointId) -> Result<(), Failure>;

    /// Sends messages to an endpoint again.
    async fn replay_endpoint(
        &self,
        tenant: TenantId,
        id: WebhookEndpointId,
        since: Micros,
        delivered: bool,
    ) -> Result<EndpointReplayedDocument, Failure>;

    /// Reads the settings of a tenant's mail.
    async fn mail_settings(&self, tenant: TenantId) -> Result<MailSettingsDocument, Failure>;

    /// Replaces the settings of a tenant's mail.
    async fn set_mail_settings(
        &self,
        tenant: TenantId,
        settings: MailSettingsDocument,
    ) -> Result<MailSettingsDocument, Failure>;

    /// Lists messages that leave the system, newest first.
    async fn messages(&self, query: &MessageQuery) -> Result<Vec<MessageDocument>, Failure>;

    /// Sends a message for a tenant again.
    async fn replay_message(&self, tenant: TenantId, id: MessageId) -> Result<MessageDocument, Failure>;
}

/// Filter of messages.
#[derive(Debug)]
pub(crate) struct MessageQuery {
    /// Messages for a tenant and for every tenant below it.
    pub(crate) tenant: Option<TenantId>,
    /// Messages in this state.
    pub(crate) state: Option<MessageState>,
    /// Messages of this kind.
    pub(crate) kind: Option<String>,
    /// Messages to this receiver.
    pub(crate) target: Option<String>,
    /// Most messages to list.
    pub(crate) limit: u32,
}
