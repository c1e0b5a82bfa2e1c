//! Expiry: what is left of a grant leaves the wallet once its time has come.

use serde::Serialize;
use sqlx::any::AnyRow;

use super::{
    GrantKind,
    rows::{self, Movement},
};
use crate::{
    id::{TenantId, WalletGrantId},
    ledger::{Account, CauseKind},
    money::Money,
    store::{Store, StoreError, row::parsed},
    time::Micros,
};

/// Grants that one look finds.
const GRANTS_AT_ONCE: i64 = 500;

/// A grant that has expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expired {
    /// The grant.
    pub grant: WalletGrantId,
    /// The tenant that it belonged to.
    pub tenant: TenantId,
    /// The rest that it had.
    pub amount: Money,
}

impl Store {
    /// Takes out of all wallets what has expired by `now`, each grant in a transaction of its own:
    /// a movement and a posting. What was paid for becomes revenue, what was given goes back to the
    /// account `promotion`. Any number of processes may do so at once.
    pub async fn expire_money(&self, now: Micros) -> Result<Vec<Expired>, StoreError> {
        let mut expired = Vec::new();
        loop {
            let rows = sqlx::query(
                "SELECT wallet_grants.id AS id FROM wallet_grants \
                 JOIN wallet_movements ON grant_id = wallet_grants.id WHERE expires_at <= $1 \
                 GROUP BY wallet_grants.id HAVING SUM(wallet_movements.amount) > 0 ORDER BY wallet_grants.id LIMIT $2",
            )
            .bind(now.0)
            .bind(GRANTS_AT_ONCE)
            .fetch_all(&self.pool)
            .await?;
            if rows.is_empty() {
                return Ok(expired);
            }
            let ids: Result<Vec<WalletGrantId>, StoreError> =
                rows.iter().map(|row: &AnyRow| parsed(row, "id")).collect();
            for id in ids? {
                expired.extend(self.expire_grant(id, now).await?);
            }
        }
    }

    async fn expire_grant(&self, id: WalletGrantId, now: Micros) -> Result<Option<Expired>, StoreError> {
        let mut write = self.begin_write().await?;
        let connection = write.connection();
        let grant = rows::grant(connection, id).await?;
        let key = grant.key();
        rows::lock(connection, &key, now).await?;
        let (left, movements) = rows::left_of(connection, id).await?;
        if left <= 0 {
            return Ok(None);
        }
        rows::move_money(connection, &key, (Some(id), Movement::Expiry, -left), None, now).await?;
        // Credit of a voided invoice may come back to a grant that has expired, which then expires
        // once more.
        let has_expired = sqlx::query("SELECT 1 FROM ledger_postings WHERE idempotency_key = $1")
            .bind(format!("credit_expiry:{id}"))
            .fetch_optional(&mut *connection)
            .await?
            .is_some();
        let posting =
            if has_expired { format!("credit_expiry:{id}:{movements}") } else { format!("credit_expiry:{id}") };
        let against = match grant.kind {
            GrantKind::Paid => Account::Revenue,
            GrantKind::Promotional => Account::Promotion,
        };
        let posted = (posting, CauseKind::CreditExpiry, id.to_string());
        rows::post_credit(connection, &key, posted, (left, against), now).await?;
        write.commit().await?;
        Ok(Some(Expired { grant: id, tenant: grant.tenant, amount: Money::from_minor(left, key.currency) }))
    }
}
