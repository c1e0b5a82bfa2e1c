//! Wallets in the store.

use async_trait::async_trait;
use common::{
    api::wallet::{NewWalletGrantBody, WalletGrantDocument, WalletPolicyBody, WalletTopUpDocument, WalletsDocument},
    id::{TenantId, WalletGrantId, WalletTopUpId},
    money::Money,
    store::PageRequest,
    time::Micros,
    wallet::{NewWalletGrant, PRIORITY_DEFAULT},
};

use super::StoreBackend;
use crate::{backend::Wallets, error::Failure};

const ALL: PageRequest = PageRequest { after: None, limit: u32::MAX };

#[async_trait]
impl Wallets for StoreBackend {
    async fn wallets(&self, tenant: TenantId, at: Option<Micros>) -> Result<WalletsDocument, Failure> {
        let at = at.unwrap_or(self.now);
        let wallets = self.store.wallets(tenant, at).await?;
        Ok(WalletsDocument { as_of: at.into(), wallets: wallets.into_iter().map(Into::into).collect() })
    }

    async fn set_wallet_policy(&self, tenant: TenantId, body: &WalletPolicyBody) -> Result<(), Failure> {
        let wallet = (body.issuer, tenant, body.currency);
        self.store.set_wallet_policy(wallet, &body.policy(), self.now).await?;
        Ok(())
    }

    async fn grant_money(&self, tenant: TenantId, new: NewWalletGrantBody) -> Result<WalletGrantDocument, Failure> {
        let NewWalletGrantBody { issuer, amount, currency, kind, priority, expires_at, reference, reason } = new;
        let new = NewWalletGrant {
            issuer,
            tenant,
            amount: Money::from_minor(amount, currency),
            kind,
            priority: priority.unwrap_or(PRIORITY_DEFAULT),
            expires_at: expires_at.map(Into::into),
            reference: reference.unwrap_or_else(NewWalletGrant::made_up_reference),
            reason,
        };
        Ok(self.store.grant_money(&new, self.now).await?.into())
    }

    async fn void_money(
        &self,
        tenant: TenantId,
        grant: WalletGrantId,
        reason: &str,
    ) -> Result<WalletGrantDocument, Failure> {
        Ok(self.store.void_money(tenant, grant, reason, self.now).await?.into())
    }

    async fn money_grants(&self, tenant: TenantId) -> Result<Vec<WalletGrantDocument>, Failure> {
        // The grants of an unknown tenant are an error, not an empty list.
        self.store.tenant(tenant).await?;
        Ok(self.store.money_grants(tenant, ALL).await?.items.into_iter().map(Into::into).collect())
    }

    async fn wallet_top_ups(&self, tenant: TenantId) -> Result<Vec<WalletTopUpDocument>, Failure> {
        self.store.tenant(tenant).await?;
        Ok(self.store.wallet_top_ups(tenant, ALL).await?.items.into_iter().map(Into::into).collect())
    }

    async fn confirm_top_up(&self, tenant: TenantId, id: WalletTopUpId) -> Result<WalletGrantDocument, Failure> {
        Ok(self.store.confirm_top_up(tenant, id, self.now).await?.into())
    }

    async fn cancel_top_up(&self, tenant: TenantId, id: WalletTopUpId) -> Result<WalletTopUpDocument, Failure> {
        Ok(self.store.cancel_top_up(tenant, id, self.now).await?.into())
    }
}
