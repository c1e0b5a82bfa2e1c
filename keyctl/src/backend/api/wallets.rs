//! Wallets through the API.

use async_trait::async_trait;
use common::{
    api::wallet::{
        NewWalletGrantBody, VoidGrantBody, WalletGrantDocument, WalletPolicyBody, WalletTopUpDocument, WalletsDocument,
    },
    id::{TenantId, WalletGrantId, WalletTopUpId},
    time::Micros,
};
use reqwest::Method;

use super::ApiBackend;
use crate::{backend::Wallets, error::Failure};

#[async_trait]
impl Wallets for ApiBackend {
    async fn wallets(&self, tenant: TenantId, at: Option<Micros>) -> Result<WalletsDocument, Failure> {
        Ok(self.get(&["tenants", &tenant.to_string(), "wallet"]).query("at", at).read().await?)
    }

    async fn set_wallet_policy(&self, tenant: TenantId, policy: &WalletPolicyBody) -> Result<(), Failure> {
        let call = self.call(Method::PUT, &["tenants", &tenant.to_string(), "wallet"]).with(policy)?;
        Ok(call.done().await?)
    }

    async fn grant_money(&self, tenant: TenantId, new: NewWalletGrantBody) -> Result<WalletGrantDocument, Failure> {
        Ok(self.create(&["tenants", &tenant.to_string(), "wallet", "grants"], &new)?.read().await?)
    }

    async fn void_money(
        &self,
        tenant: TenantId,
        grant: WalletGrantId,
        reason: &str,
    ) -> Result<WalletGrantDocument, Failure> {
        let body = VoidGrantBody { reason: reason.to_owned() };
        let path = ["tenants", &tenant.to_string(), "wallet", "grants", &grant.to_string(), "void"];
        Ok(self.create(&path, &body)?.read().await?)
    }

    async fn money_grants(&self, tenant: TenantId) -> Result<Vec<WalletGrantDocument>, Failure> {
        Ok(self.get(&["tenants", &tenant.to_string(), "wallet", "grants"]).pages(usize::MAX).await?)
    }

    async fn wallet_top_ups(&self, tenant: TenantId) -> Result<Vec<WalletTopUpDocument>, Failure> {
        Ok(self.get(&["tenants", &tenant.to_string(), "wallet", "top-ups"]).pages(usize::MAX).await?)
    }

    async fn confirm_top_up(&self, tenant: TenantId, id: WalletTopUpId) -> Result<WalletGrantDocument, Failure> {
        let path = ["tenants", &tenant.to_string(), "wallet", "top-ups", &id.to_string(), "confirm"];
        Ok(self.call(Method::POST, &path).read().await?)
    }

    async fn cancel_top_up(&self, tenant: TenantId, id: WalletTopUpId) -> Result<WalletTopUpDocument, Failure> {
        let path = ["tenants", &tenant.to_string(), "wallet", "top-ups", &id.to_string(), "cancel"];
        Ok(self.call(Method::POST, &path).read().await?)
    }
}
