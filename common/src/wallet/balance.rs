//! Balances of wallets, now or as of an instant: sums of movements.

use serde::Serialize;
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{WalletKey, WalletPolicy, policy, rows};
use crate::{
    id::TenantId,
    money::Money,
    store::{Store, StoreError, row::parsed},
    tenant::row as tenants,
    time::Micros,
};

/// The money in a wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WalletBalance {
    /// The issuer of the invoices that the money is for.
    pub issuer: TenantId,
    /// The tenant that the money belongs to.
    pub tenant: TenantId,
    /// All movements up to the instant: the balance of the ledger's account `credit`. Below zero,
    /// the tenant owes it.
    pub balance: Money,
    /// The money that invoices can use: without grants that have expired and are not taken out yet, and with
    /// the overdraft.
    pub available: Money,
    /// Rules of the wallet, as they are now.
    pub policy: WalletPolicy,
}

impl Store {
    /// The wallets of a tenant as of an instant, by issuer and currency.
    pub async fn wallets(&self, tenant: TenantId, at: Micros) -> Result<Vec<WalletBalance>, StoreError> {
        let mut snapshot = self.begin_snapshot().await?;
        tenants::find(&mut snapshot, self.acting.scope, tenant).await?;
        let rows = sqlx::query(
            "SELECT issuer_id, currency, overdraft, top_up_threshold, top_up_target, top_up_per_day FROM wallets \
             WHERE tenant_id = $1 ORDER BY issuer_id, currency",
        )
        .bind(tenant.to_string())
        .fetch_all(&mut *snapshot)
        .await?;
        let mut wallets = Vec::with_capacity(rows.len());
        for row in &rows {
            let key = WalletKey { issuer: parsed(row, "issuer_id")?, tenant, currency: rows::currency(row)? };
            wallets.push(balance(&mut snapshot, &key, policy::read(row, key.currency)?, at).await?);
        }
        snapshot.rollback().await?;
        Ok(wallets)
    }
}

/// The balance of a wallet as of an instant.
pub(super) async fn balance(
    connection: &mut AnyConnection,
    key: &WalletKey,
    policy: WalletPolicy,
    at: Micros,
) -> Result<WalletBalance, StoreError> {
    let row: AnyRow = sqlx::query(
        "SELECT CAST(COALESCE(SUM(wallet_movements.amount), 0) AS BIGINT) AS balance, \
         CAST(COALESCE(SUM(CASE WHEN expires_at <= $4 THEN wallet_movements.amount ELSE 0 END), 0) AS BIGINT) AS expired \
         FROM wallet_movements LEFT JOIN wallet_grants ON wallet_grants.id = grant_id \
         WHERE wallet_movements.issuer_id = $1 AND wallet_movements.tenant_id = $2 \
         AND wallet_movements.currency = $3 AND at <= $4",
    )
    .bind(key.issuer.to_string())
    .bind(key.tenant.to_string())
    .bind(key.currency.code())
    .bind(at.0)
    .fetch_one(connection)
    .await?;
    let (balance, expired): (i64, i64) = (row.try_get("balance")?, row.try_get("expired")?);
    let available = balance.saturating_sub(expired).saturating_add(policy.overdraft.minor()).max(0);
    Ok(WalletBalance {
        issuer: key.issuer,
        tenant: key.tenant,
        balance: Money::from_minor(balance, key.currency),
        available: Money::from_minor(available, key.currency),
        policy,
    })
}
