//! Rows of wallets: locking them, what is left of their grants, and movements with their postings.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{GrantKind, WalletGrant, WalletKey};
use crate::{
    id::WalletGrantId,
    ledger::{Account, Cause, CauseKind, Posting, post},
    money::{Currency, Money},
    store::{
        StoreError,
        row::{corrupt, instant, instant_or_null, parsed},
    },
    time::Micros,
};

/// Kind of a movement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Movement {
    Grant,
    Use,
    Return,
    Expiry,
    Void,
    Repay,
}

/// The rest of a grant that can be used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usable {
    pub(super) grant: WalletGrantId,
    pub(super) left: i64,
}

impl Movement {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Use => "use",
            Self::Return => "return",
            Self::Expiry => "expiry",
            Self::Void => "void",
            Self::Repay => "repay",
        }
    }
}

/// Makes sure that there is a wallet, locks it until the transaction ends, and gives its overdraft.
pub(super) async fn lock(connection: &mut AnyConnection, key: &WalletKey, now: Micros) -> Result<i64, StoreError> {
    let row = sqlx::query(
        "INSERT INTO wallets (issuer_id, tenant_id, currency, updated_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (tenant_id, issuer_id, currency) DO UPDATE SET updated_at = excluded.updated_at \
         RETURNING overdraft",
    )
    .bind(key.issuer.to_string())
    .bind(key.tenant.to_string())
    .bind(key.currency.code())
    .bind(now.0)
    .fetch_one(connection)
    .await?;
    Ok(row.try_get("overdraft")?)
}

/// Returns true if the wallet is there.
pub(super) async fn is_known(connection: &mut AnyConnection, key: &WalletKey) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM wallets WHERE issuer_id = $1 AND tenant_id = $2 AND currency = $3")
        .bind(key.issuer.to_string())
        .bind(key.tenant.to_string())
        .bind(key.currency.code())
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// Grants that can be used at an instant, in the order of use.
pub(super) async fn usable(
    connection: &mut AnyConnection,
    key: &WalletKey,
    at: Micros,
) -> Result<Vec<Usable>, StoreError> {
    let rows = sqlx::query(
        "SELECT wallet_grants.id AS id, CAST(SUM(wallet_movements.amount) AS BIGINT) AS left_over \
         FROM wallet_grants JOIN wallet_movements ON grant_id = wallet_grants.id \
         WHERE wallet_grants.issuer_id = $1 AND wallet_grants.tenant_id = $2 AND wallet_grants.currency = $3 \
         AND voided_at IS NULL AND granted_at <= $4 AND (expires_at IS NULL OR expires_at > $4) \
         GROUP BY wallet_grants.id, priority, expires_at, wallet_grants.kind, granted_at \
         HAVING SUM(wallet_movements.amount) > 0 \
         ORDER BY priority, COALESCE(expires_at, 9223372036854775807), \
         CASE wallet_grants.kind WHEN 'promotional' THEN 0 ELSE 1 END, granted_at, wallet_grants.id",
    )
    .bind(key.issuer.to_string())
    .bind(key.tenant.to_string())
    .bind(key.currency.code())
    .bind(at.0)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok(Usable { grant: parsed(row, "id")?, left: row.try_get("left_over")? })).collect()
}

/// The rest of a grant, and the number of its movements.
pub(super) async fn left_of(connection: &mut AnyConnection, grant: WalletGrantId) -> Result<(i64, i64), StoreError> {
    let row = sqlx::query(
        "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS left_over, COUNT(*) AS movements FROM wallet_movements \
         WHERE grant_id = $1",
    )
    .bind(grant.to_string())
    .fetch_one(connection)
    .await?;
    Ok((row.try_get("left_over")?, row.try_get("movements")?))
}

/// The money in a wallet beside all grants: below zero, what was used beyond them.
pub(super) async fn beside_grants(connection: &mut AnyConnection, key: &WalletKey) -> Result<i64, StoreError> {
    let row = sqlx::query(
        "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS amount FROM wallet_movements \
         WHERE issuer_id = $1 AND tenant_id = $2 AND currency = $3 AND grant_id IS NULL",
    )
    .bind(key.issuer.to_string())
    .bind(key.tenant.to_string())
    .bind(key.currency.code())
    .fetch_one(connection)
    .await?;
    Ok(row.try_get("amount")?)
}

/// Writes a movement.
pub(super) async fn move_money(
    connection: &mut AnyConnection,
    key: &WalletKey,
    (grant, kind, amount): (Option<WalletGrantId>, Movement, i64),
    invoice: Option<&str>,
    at: Micros,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO wallet_movements (issuer_id, tenant_id, currency, grant_id, kind, amount, invoice_id, at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(key.issuer.to_string())
    .bind(key.tenant.to_string())
    .bind(key.currency.code())
    .bind(grant.map(|grant| grant.to_string()))
    .bind(kind.as_str())
    .bind(amount)
    .bind(invoice.map(ToOwned::to_owned))
    .bind(at.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Posts what changes the account `credit` by `amount`, a debit above zero, against another
/// account.
pub(super) async fn post_credit(
    connection: &mut AnyConnection,
    key: &WalletKey,
    (posting_key, kind, cause): (String, CauseKind, String),
    (amount, against): (i64, Account),
    at: Micros,
) -> Result<(), StoreError> {
    let money = |minor| Money::from_minor(minor, key.currency);
    let entries = [(Account::Credit, money(amount)), (against, money(-amount))];
    let cause = Cause { kind, id: cause };
    let posting = Posting::new((key.issuer, key.tenant), posting_key, cause, at, &entries)
        .map_err(|error| StoreError::refused(error.to_string()))?;
    post(connection, &posting).await?;
    Ok(())
}

/// The account that stands against a grant.
pub(super) const fn against(kind: GrantKind) -> Account {
    match kind {
        GrantKind::Paid => Account::Cash,
        GrantKind::Promotional => Account::Promotion,
    }
}

macro_rules! select_grants {
    ($rest:literal) => {
        concat!(
            "SELECT id, issuer_id, tenant_id, currency, kind, amount, priority, granted_at, expires_at, reference, \
             reason, voided_at, void_reason, (SELECT CAST(COALESCE(SUM(moved.amount), 0) AS BIGINT) \
             FROM wallet_movements AS moved WHERE moved.grant_id = wallet_grants.id) AS left_over FROM wallet_grants ",
            $rest
        )
    };
}
pub(super) use select_grants;

/// A grant with what is left of it.
pub(super) fn read_grant(row: &AnyRow) -> Result<WalletGrant, StoreError> {
    let currency = currency(row)?;
    let money = |column| Ok::<_, StoreError>(Money::from_minor(row.try_get(column)?, currency));
    let priority: i64 = row.try_get("priority")?;
    Ok(WalletGrant {
        id: parsed(row, "id")?,
        issuer: parsed(row, "issuer_id")?,
        tenant: parsed(row, "tenant_id")?,
        amount: money("amount")?,
        left: money("left_over")?,
        kind: parsed(row, "kind")?,
        priority: u8::try_from(priority).map_err(|error| corrupt("priority", error))?,
        granted_at: instant(row, "granted_at")?,
        expires_at: instant_or_null(row, "expires_at")?,
        reference: row.try_get("reference")?,
        reason: Some(row.try_get::<String, _>("reason")?).filter(|reason| !reason.is_empty()),
        voided_at: instant_or_null(row, "voided_at")?,
        void_reason: row.try_get("void_reason")?,
    })
}

/// One grant.
pub(super) async fn grant(connection: &mut AnyConnection, id: WalletGrantId) -> Result<WalletGrant, StoreError> {
    let row = sqlx::query(select_grants!("WHERE id = $1"))
        .bind(id.to_string())
        .fetch_optional(connection)
        .await?
        .ok_or_else(|| StoreError::not_found("grant", &id))?;
    read_grant(&row)
}

pub(super) fn currency(row: &AnyRow) -> Result<Currency, StoreError> {
    let code: String = row.try_get("currency")?;
    Currency::from_code(&code).ok_or_else(|| corrupt("currency", format!("`{code}` is not a currency")))
}

impl WalletGrant {
    /// The wallet that it is in.
    pub(super) const fn key(&self) -> WalletKey {
        WalletKey { issuer: self.issuer, tenant: self.tenant, currency: self.amount.currency() }
    }
}
