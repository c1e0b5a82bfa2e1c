//! Tenants through the API.

use async_trait::async_trait;
use common::{
    api::{
        limits::LimitsDocument,
        tenant::{NewTenantBody, TenantDocument, TenantMoveBody, TenantUpdateBody},
    },
    id::TenantId,
    tenant::{TenantFilter, TenantStatus, lifecycle::NewTenant},
};
use reqwest::Method;

use super::ApiBackend;
use crate::{backend::Tenants, error::Failure};

#[async_trait]
impl Tenants for ApiBackend {
    async fn create_tenant(&self, new: &NewTenant) -> Result<TenantDocument, Failure> {
        let NewTenant { parent, kind, name, zone, plan } = new.clone();
        let body = NewTenantBody { name, parent, kind: Some(kind), zone: Some(zone), plan };
        Ok(self.create(&["tenants"], &body)?.read().await?)
    }

    async fn tenants(&self, filter: &TenantFilter) -> Result<Vec<TenantDocument>, Failure> {
        let call = self
            .get(&["tenants"])
            .query("parent", filter.parent)
            .query("subtree_of", filter.subtree_of)
            .query("status", filter.status)
            .query("name", filter.name.as_ref());
        Ok(call.pages(usize::MAX).await?)
    }

    async fn tenant(&self, id: TenantId) -> Result<TenantDocument, Failure> {
        Ok(self.get(&["tenants", &id.to_string()]).read().await?)
    }

    async fn rename_tenant(&self, id: TenantId, name: &str) -> Result<TenantDocument, Failure> {
        let body = TenantUpdateBody { name: Some(name.to_owned()) };
        Ok(self.call(Method::PATCH, &["tenants", &id.to_string()]).with(&body)?.read().await?)
    }

    async fn set_tenant_status(&self, id: TenantId, status: TenantStatus) -> Result<TenantDocument, Failure> {
        let verb = if status == TenantStatus::Active { "resume" } else { "suspend" };
        Ok(self.call(Method::POST, &["tenants", &id.to_string(), verb]).read().await?)
    }

    async fn move_tenant(&self, id: TenantId, parent: TenantId) -> Result<TenantDocument, Failure> {
        let call = self.call(Method::POST, &["tenants", &id.to_string(), "move"]);
        Ok(call.with(&TenantMoveBody { parent })?.read().await?)
    }

    async fn delete_tenant(&self, id: TenantId) -> Result<TenantDocument, Failure> {
        Ok(self.call(Method::DELETE, &["tenants", &id.to_string()]).read().await?)
    }

    async fn limits(&self, id: TenantId) -> Result<LimitsDocument, Failure> {
        Ok(self.get(&["tenants", &id.to_string(), "limits"]).read().await?)
    }
}
