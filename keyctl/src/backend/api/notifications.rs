//! Webhook endpoints, mail and the outbox through the API.

use async_trait::async_trait;
use common::{
    api::{
        mail::MailSettingsDocument,
        outbox::MessageDocument,
        page::WholeListDocument,
        webhook::{
            EndpointDocument, EndpointReplayBody, EndpointReplayedDocument, EndpointRotationBody,
            EndpointSecretDocument, EndpointUpdateBody, NewEndpointBody,
        },
    },
    id::{MessageId, TenantId, WebhookEndpointId},
    time::Micros,
};
use reqwest::Method;

use super::ApiBackend;
use crate::{
    backend::{MessageQuery, Notifications},
    error::Failure,
    pepper::PepperArgs,
};

const ENDPOINTS: &str = "webhook-endpoints";

#[async_trait]
impl Notifications for ApiBackend {
    async fn create_endpoint(
        &self,
        tenant: TenantId,
        new: NewEndpointBody,
        _pepper: &PepperArgs,
    ) -> Result<EndpointSecretDocument, Failure> {
        Ok(self.create(&["tenants", &tenant.to_string(), ENDPOINTS], &new)?.read().await?)
    }

    async fn endpoints(&self, tenant: TenantId) -> Result<Vec<EndpointDocument>, Failure> {
        let found: WholeListDocument<EndpointDocument> =
            self.get(&["tenants", &tenant.to_string(), ENDPOINTS]).read().await?;
        Ok(found.items)
    }

    async fn endpoint(&self, tenant: TenantId, id: WebhookEndpointId) -> Result<EndpointDocument, Failure> {
        Ok(self.get(&["tenants", &tenant.to_string(), ENDPOINTS, &id.to_string()]).read().await?)
    }

    async fn update_endpoint(
        &self,
        tenant: TenantId,
        id: WebhookEndpointId,
        update: EndpointUpdateBody,
    ) -> Result<EndpointDocument, Failure> {
        let call = self.call(Method::PATCH, &["tenants", &tenant.to_string(), ENDPOINTS, &id.to_string()]);
        Ok(call.with(&update)?.read().await?)
    }

    async fn rotate_endpoint(
        &self,
        tenant: TenantId,
        id: WebhookEndpointId,
        grace_seconds: u32,
        _pepper: &PepperArgs,
    ) -> Result<EndpointSecretDocument, Failure> {
        let call = self.call(Method::POST, &["tenants", &tenant.to_string(), ENDPOINTS, &id.to_string(), "rotate"]);
        Ok(call.with(&EndpointRotationBody { grace_seconds })?.read().await?)
    }

    async fn delete_endpoint(&self, tenant: TenantId, id: WebhookEndpointId) -> Result<(), Failure> {
        let path = ["tenants", &tenant.to_string(), ENDPOINTS, &id.to_string()];
        Ok(self.call(Method::DELETE, &path).done().await?)
    }

    async fn replay_endpoint(
        &self,
        tenant: TenantId,
        id: WebhookEndpointId,
        since: Micros,
        delivered: bool,
    ) -> Result<EndpointReplayedDocument, Failure> {
        let call = self.call(Method::POST, &["tenants", &tenant.to_string(), ENDPOINTS, &id.to_string(), "replay"]);
        Ok(call.with(&EndpointReplayBody { since: since.into(), delivered })?.read().await?)
    }

    async fn mail_settings(&self, tenant: TenantId) -> Result<MailSettingsDocument, Failure> {
        Ok(self.get(&["tenants", &tenant.to_string(), "mail"]).read().await?)
    }

    async fn set_mail_settings(
        &self,
        tenant: TenantId,
        settings: MailSettingsDocument,
    ) -> Result<MailSettingsDocument, Failure> {
        let call = self.call(Method::PUT, &["tenants", &tenant.to_string(), "mail"]);
        Ok(call.with(&settings)?.read().await?)
    }

    async fn messages(&self, query: &MessageQuery) -> Result<Vec<MessageDocument>, Failure> {
        let call = self
            .get(&["outbox"])
            .query("tenant", query.tenant)
            .query("state", query.state)
            .query("kind", query.kind.as_ref())
            .query("target", query.target.as_ref());
        Ok(call.pages(query.limit as usize).await?)
    }

    async fn replay_message(&self, tenant: TenantId, id: MessageId) -> Result<MessageDocument, Failure> {
        let path = ["tenants", &tenant.to_string(), "outbox", &id.to_string(), "replay"];
        Ok(self.call(Method::POST, &path).read().await?)
    }
}
