//! Tenants in the store.

use async_trait::async_trait;
use common::{
    id::TenantId,
    tenant::{TenantFilter, TenantStatus, TenantUpdate, lifecycle::NewTenant},
};

use super::{ALL, StoreBackend};
use crate::{
    backend::Tenants,
    error::Failure,
    view::{LimitsView, TenantView},
};

#[async_trait]
impl Tenants for StoreBackend {
    async fn create_tenant(&self, new: &NewTenant) -> Result<TenantView, Failure> {
        Ok(TenantView::new(self.store.create_tenant(new, self.now).await?))
    }

    async fn tenants(&self, filter: &TenantFilter) -> Result<Vec<TenantView>, Failure> {
        if let Some(parent) = filter.parent {
            // An unknown tenant is an error, not a tenant with nobody below it.
            self.store.tenant(parent).await?;
        }
        let found = self.store.tenants_page(filter, ALL).await?.items;
        Ok(found.into_iter().map(TenantView::new).collect())
    }

    async fn tenant(&self, id: TenantId) -> Result<TenantView, Failure> {
        Ok(TenantView::new(self.store.tenant(id).await?))
    }

    async fn rename_tenant(&self, id: TenantId, name: &str) -> Result<TenantView, Failure> {
        let update = TenantUpdate { name: Some(name.to_owned()) };
        Ok(TenantView::new(self.store.update_tenant(id, &update, None, self.now).await?))
    }

    async fn set_tenant_status(&self, id: TenantId, status: TenantStatus) -> Result<TenantView, Failure> {
        Ok(TenantView::new(self.store.set_tenant_status(id, status, self.now).await?))
    }

    async fn move_tenant(&self, id: TenantId, parent: TenantId) -> Result<TenantView, Failure> {
        Ok(TenantView::new(self.store.move_tenant(id, parent, None, self.now).await?))
    }

    async fn delete_tenant(&self, id: TenantId) -> Result<TenantView, Failure> {
        Ok(TenantView::new(self.store.delete_tenant(id, None, self.now).await?))
    }

    async fn limits(&self, id: TenantId) -> Result<LimitsView, Failure> {
        Ok(LimitsView::new(id, self.now, self.store.effective_terms(id, self.now).await?))
    }
}
