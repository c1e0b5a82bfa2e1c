//! Tenants, as the API has them.

use async_trait::async_trait;
use common::{
    id::TenantId,
    tenant::{TenantFilter, TenantStatus, lifecycle::NewTenant},
};
use reqwest::Method;
use serde_json::json;

use super::ApiBackend;
use crate::{
    backend::Tenants,
    error::Failure,
    view::{LimitsView, TenantView},
};

#[async_trait]
impl Tenants for ApiBackend {
    async fn create_tenant(&self, new: &NewTenant) -> Result<TenantView, Failure> {
        let NewTenant { parent, kind, name, zone, plan } = new;
        let body = json!({ "name": name, "parent": parent, "kind": kind, "zone": zone, "plan": plan });
        Ok(self.create(&["tenants"], body).read().await?)
    }

    async fn tenants(&self, filter: &TenantFilter) -> Result<Vec<TenantView>, Failure> {
        let call = self
            .get(&["tenants"])
            .query("parent", filter.parent)
            .query("subtree_of", filter.subtree_of)
            .query("status", filter.status)
            .query("name", filter.name.as_ref());
        Ok(call.pages(usize::MAX).await?)
    }

    async fn tenant(&self, id: TenantId) -> Result<TenantView, Failure> {
        Ok(self.get(&["tenants", &id.to_string()]).read().await?)
    }

    async fn rename_tenant(&self, id: TenantId, name: &str) -> Result<TenantView, Failure> {
        Ok(self.call(Method::PATCH, &["tenants", &id.to_string()]).with(json!({ "name": name })).read().await?)
    }

    async fn set_tenant_status(&self, id: TenantId, status: TenantStatus) -> Result<TenantView, Failure> {
        let verb = if status == TenantStatus::Active { "resume" } else { "suspend" };
        Ok(self.call(Method::POST, &["tenants", &id.to_string(), verb]).read().await?)
    }

    async fn move_tenant(&self, id: TenantId, parent: TenantId) -> Result<TenantView, Failure> {
        let call = self.call(Method::POST, &["tenants", &id.to_string(), "move"]);
        Ok(call.with(json!({ "parent": parent })).read().await?)
    }

    async fn delete_tenant(&self, id: TenantId) -> Result<TenantView, Failure> {
        Ok(self.call(Method::DELETE, &["tenants", &id.to_string()]).read().await?)
    }

    async fn limits(&self, id: TenantId) -> Result<LimitsView, Failure> {
        Ok(self.get(&["tenants", &id.to_string(), "limits"]).read().await?)
    }
}
