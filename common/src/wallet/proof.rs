//! Proof of the wallets: what `billing audit` looks for, and must not find.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use sqlx::{Row as _, any::AnyRow};

use super::{WalletKey, rows};
use crate::{
    id::TenantId,
    money::Money,
    store::{Store, StoreError, row::parsed},
};

/// A wallet whose movements are not what the ledger has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WalletFault {
    /// The issuer of the invoices that the money is for.
    pub issuer: TenantId,
    /// The tenant that the money belongs to.
    pub tenant: TenantId,
    /// Sum of the movements.
    pub wallet: Money,
    /// Sum of the postings of wallets on the account `credit`.
    pub ledger: Money,
}

impl fmt::Display for WalletFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { issuer, tenant, wallet, ledger } = self;
        write!(formatter, "the wallet of {tenant} with {issuer} has {wallet}, the ledger {ledger}")
    }
}

/// Sums by wallet.
type Sums = BTreeMap<(TenantId, TenantId, &'static str), (Money, Money)>;

impl Store {
    /// Wallets whose movements do not sum to what is posted for them, as of one instant.
    pub async fn wallet_faults(&self) -> Result<Vec<WalletFault>, StoreError> {
        let mut snapshot = self.begin_snapshot().await?;
        let moved = sqlx::query(
            "SELECT issuer_id, tenant_id, currency, CAST(SUM(amount) AS BIGINT) AS amount FROM wallet_movements \
             GROUP BY issuer_id, tenant_id, currency",
        )
        .fetch_all(&mut *snapshot)
        .await?;
        let posted = sqlx::query(
            "SELECT issuer_id, tenant_id, currency, CAST(-SUM(amount) AS BIGINT) AS amount FROM ledger_postings \
             JOIN ledger_entries ON posting_seq = seq WHERE account = 'credit' \
             AND cause_kind IN ('credit_grant', 'credit_use', 'credit_expiry', 'credit_void') \
             GROUP BY issuer_id, tenant_id, currency",
        )
        .fetch_all(&mut *snapshot)
        .await?;
        snapshot.rollback().await?;
        let mut sums = Sums::new();
        for row in &moved {
            let (key, amount) = read(row)?;
            entry(&mut sums, &key).0 = amount;
        }
        for row in &posted {
            let (key, amount) = read(row)?;
            entry(&mut sums, &key).1 = amount;
        }
        let faults = sums.into_iter().filter(|(_, (wallet, ledger))| wallet != ledger);
        let fault = |((tenant, issuer, _), (wallet, ledger)): (_, (Money, Money))| WalletFault {
            issuer,
            tenant,
            wallet,
            ledger,
        };
        Ok(faults.map(fault).collect())
    }
}

fn entry<'s>(sums: &'s mut Sums, key: &WalletKey) -> &'s mut (Money, Money) {
    let nothing = Money::zero(key.currency);
    sums.entry((key.tenant, key.issuer, key.currency.code())).or_insert((nothing, nothing))
}

fn read(row: &AnyRow) -> Result<(WalletKey, Money), StoreError> {
    let currency = rows::currency(row)?;
    let key = WalletKey { issuer: parsed(row, "issuer_id")?, tenant: parsed(row, "tenant_id")?, currency };
    Ok((key, Money::from_minor(row.try_get("amount")?, currency)))
}
