//! Tenants in the store.

use async_trait::async_trait;
use common::{
    api::{limits::LimitsDocument, tenant::TenantDocument},
    id::TenantId,
    tenant::{TenantFilter, TenantStatus, TenantUpdate, lifecycle::NewTenant},
};

use super::{ALL, StoreBackend};
use crate::{backend::Tenants, error::Failure};

#[async_trait]
impl Tenants for StoreBackend {
    async fn create_tenant(&self, new: &NewTenant) -> Result<TenantDocument, Failure> {
        Ok(TenantDocument::from(self.store.create_tenant(new, self.now).await?))
    }

    async fn tenants(&self, filter: &TenantFilter) -> Result<Vec<TenantDocument>, Failure> {
        if let Some(parent) = filter.parent {
            // An unknown tenant is an error, not a tenant without tenants below it.
            self.store.tenant(parent).await?;
        }
        let found = self.store.tenants_page(filter, ALL).await?.items;
        Ok(found.into_iter().map(TenantDocument::from).collect())
    }

    async fn tenant(&self, id: TenantId) -> Result<TenantDocument, Failure> {
        Ok(TenantDocument::from(self.store.tenant(id).await?))
    }

    async fn rename_tenant(&self, id: TenantId, name: &str) -> Result<TenantDocument, Failure> {
        let update = TenantUpdate { name: Some(name.to_owned()) };
        Ok(TenantDocument::from(self.store.update_tenant(id, &update, None, self.now).await?))
    }

    async fn set_tenant_status(&self, id: TenantId, status: TenantStatus) -> Result<TenantDocument, Failure> {
        Ok(TenantDocument::from(self.store.set_tenant_status(id, status, self.now).await?))
    }

    async fn move_tenant(&self, id: TenantId, parent: TenantId) -> Result<TenantDocument, Failure> {
        Ok(TenantDocument::from(self.store.move_tenant(id, parent, None, self.now).await?))
    }

    async fn delete_tenant(&self, id: TenantId) -> Result<TenantDocument, Failure> {
        Ok(TenantDocument::from(self.store.delete_tenant(id, None, self.now).await?))
    }

    async fn limits(&self, id: TenantId) -> Result<LimitsDocument, Failure> {
        Ok(LimitsDocument::of(id, self.now, self.store.effective_terms(id, self.now).await?))
    }
}
