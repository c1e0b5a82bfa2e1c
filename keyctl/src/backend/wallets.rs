//! Wallets: what commands ask for.

use async_trait::async_trait;
use common::{
    api::wallet::{NewWalletGrantBody, WalletGrantDocument, WalletPolicyBody, WalletTopUpDocument, WalletsDocument},
    id::{TenantId, WalletGrantId, WalletTopUpId},
    time::Micros,
};

use crate::error::Failure;

/// Money that tenants have in advance.
#[async_trait]
pub(crate) trait Wallets: Send + Sync {
    /// Reads the wallets of a tenant, now or as of an instant.
    async fn wallets(&self, tenant: TenantId, at: Option<Micros>) -> Result<WalletsDocument, Failure>;

    /// Sets the rules of a wallet.
    async fn set_wallet_policy(&self, tenant: TenantId, policy: &WalletPolicyBody) -> Result<(), Failure>;

    /// Grants money, once per reference.
    async fn grant_money(&self, tenant: TenantId, new: NewWalletGrantBody) -> Result<WalletGrantDocument, Failure>;

    /// Takes back what is left of a grant.
    async fn void_money(
        &self,
        tenant: TenantId,
        grant: WalletGrantId,
        reason: &str,
    ) -> Result<WalletGrantDocument, Failure>;

    /// Lists the grants of a tenant, oldest first.
    async fn money_grants(&self, tenant: TenantId) -> Result<Vec<WalletGrantDocument>, Failure>;

    /// Lists the top-ups that a tenant's wallets have asked for, oldest first.
    async fn wallet_top_ups(&self, tenant: TenantId) -> Result<Vec<WalletTopUpDocument>, Failure>;

    /// Confirms a top-up as paid.
    async fn confirm_top_up(&self, tenant: TenantId, id: WalletTopUpId) -> Result<WalletGrantDocument, Failure>;

    /// Cancels a top-up.
    async fn cancel_top_up(&self, tenant: TenantId, id: WalletTopUpId) -> Result<WalletTopUpDocument, Failure>;
}
