//! Top-ups that a wallet asks for: a request, which somebody confirms as paid, or cancels.
//!
//! Invariant: a wallet has one open request at most, and asks by itself no more often within 24 hours
//! than its policy allows, whatever is used meanwhile.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{
    GRANT_MINOR_MAX, GrantKind, NewWalletGrant, PRIORITY_DEFAULT, WalletGrant, WalletKey, balance, grant, policy, rows,
};
use crate::{
    id::{TenantId, WalletTopUpId},
    money::Money,
    store::{
        Page, PageRequest, Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        row::{instant, instant_or_null, parsed},
        transaction::ChangeTransaction,
    },
    tenant::row as tenants,
    time::Micros,
    word::UnknownWord,
};

const DAY_SECONDS: i64 = 86_400;

/// Status of a top-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum TopUpStatus {
    /// Nobody has paid it yet.
    Open,
    /// It was paid, and granted.
    Paid,
    /// It will not be paid.
    Cancelled,
}

/// A top-up that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WalletTopUp {
    /// Its id, which is the reference of the grant once it is paid.
    pub id: WalletTopUpId,
    /// The issuer of the invoices that the money is for.
    pub issuer: TenantId,
    /// The tenant whose wallet asks.
    pub tenant: TenantId,
    /// The money that is missing to the target.
    pub amount: Money,
    /// Its status.
    pub status: TopUpStatus,
    /// Time of the request.
    pub requested_at: Micros,
    /// Time at which it was confirmed or cancelled.
    pub decided_at: Option<Micros>,
}

impl TopUpStatus {
    /// The word in the store and in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paid => "paid",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for TopUpStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for TopUpStatus {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let known = [Self::Open, Self::Paid, Self::Cancelled].into_iter().find(|status| status.as_str() == word);
        known.ok_or_else(|| UnknownWord::new("status of a top-up", "open, paid, cancelled", word))
    }
}

impl Store {
    /// Asks for top-ups of all wallets that are below their threshold, each in a transaction of its
    /// own, and gives those that are asked for now. Any number of processes may do so at once.
    pub async fn request_top_ups(&self, now: Micros) -> Result<Vec<WalletTopUp>, StoreError> {
        let rows = sqlx::query(
            "SELECT issuer_id, tenant_id, currency FROM wallets WHERE top_up_threshold IS NOT NULL AND NOT EXISTS (\
             SELECT 1 FROM wallet_top_ups WHERE wallet_top_ups.issuer_id = wallets.issuer_id \
             AND wallet_top_ups.tenant_id = wallets.tenant_id AND wallet_top_ups.currency = wallets.currency \
             AND status = 'open') ORDER BY tenant_id, issuer_id, currency",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut requested = Vec::new();
        for row in &rows {
            let (issuer, tenant) = (parsed(row, "issuer_id")?, parsed(row, "tenant_id")?);
            let key = WalletKey { issuer, tenant, currency: rows::currency(row)? };
            requested.extend(self.request_top_up(&key, now).await?);
        }
        Ok(requested)
    }

    async fn request_top_up(&self, key: &WalletKey, now: Micros) -> Result<Option<WalletTopUp>, StoreError> {
        let mut write = self.begin_write().await?;
        let connection = write.connection();
        rows::lock(connection, key, now).await?;
        let Some(amount) = missing(connection, key, now).await? else { return Ok(None) };
        let top_up = insert(connection, key, amount, now).await?;
        write.commit().await?;
        Ok(Some(top_up))
    }

    /// Asks for a top-up on behalf of the tenant itself. Refused: an amount that is not above zero or
    /// too large, an issuer that is not above the tenant. A conflict: another top-up is open.
    pub async fn ask_for_top_up(
        &self,
        issuer: Option<TenantId>,
        tenant: TenantId,
        amount: Money,
        now: Micros,
    ) -> Result<WalletTopUp, StoreError> {
        if !(1..=GRANT_MINOR_MAX).contains(&amount.minor()) {
            return Err(StoreError::refused(format!("amount: from 1 to {GRANT_MINOR_MAX} minor units")));
        }
        let mut write = self.begin_change(now).await?;
        tenants::present(&mut write, tenant).await?;
        let issuer = grant::issuer_above(&mut write, tenant, issuer).await?;
        let key = WalletKey { issuer, tenant, currency: amount.currency() };
        rows::lock(write.connection(), &key, now).await?;
        let open = sqlx::query(
            "SELECT id FROM wallet_top_ups WHERE issuer_id = $1 AND tenant_id = $2 AND currency = $3 AND status = 'open'",
        )
        .bind(key.issuer.to_string())
        .bind(key.tenant.to_string())
        .bind(key.currency.code())
        .fetch_optional(write.connection())
        .await?;
        if let Some(open) = open {
            let id: WalletTopUpId = parsed(&open, "id")?;
            return Err(StoreError::conflict(format!("top-up {id} is open: it is to be paid or cancelled first")));
        }
        let top_up = insert(write.connection(), &key, amount, now).await?;
        let (action, subject, after) = (AuditAction::WalletTopUpRequest, top_up.id.to_string(), state(&top_up)?);
        let audited =
            Audited { action, subject_kind: "wallet_top_up", subject, tenant: Some(tenant), before: None, after };
        write.audit(audited).await?;
        write.commit().await?;
        Ok(top_up)
    }

    /// Confirms a top-up as paid: its money is granted. The same again changes nothing. A conflict:
    /// it was cancelled.
    pub async fn confirm_top_up(
        &self,
        tenant: TenantId,
        id: WalletTopUpId,
        now: Micros,
    ) -> Result<WalletGrant, StoreError> {
        let mut write = self.begin_change(now).await?;
        let top_up = open(&mut write, tenant, id).await?;
        let key = top_up.key();
        if top_up.status == TopUpStatus::Paid {
            drop(write);
            return self.grant_of_top_up(&key, id).await;
        }
        top_up.unless(TopUpStatus::Cancelled)?;
        let new = NewWalletGrant {
            issuer: Some(key.issuer),
            tenant,
            amount: top_up.amount,
            kind: GrantKind::Paid,
            priority: PRIORITY_DEFAULT,
            expires_at: None,
            reference: id.to_string(),
            reason: None,
        };
        let granted = grant::insert(write.connection(), &key, &new, now).await?;
        decide(&mut write, &top_up, TopUpStatus::Paid, AuditAction::WalletTopUpConfirm).await?;
        write.commit().await?;
        Ok(granted)
    }

    /// Cancels a top-up. The same again changes nothing. A conflict: it was paid.
    pub async fn cancel_top_up(
        &self,
        tenant: TenantId,
        id: WalletTopUpId,
        now: Micros,
    ) -> Result<WalletTopUp, StoreError> {
        let mut write = self.begin_change(now).await?;
        let top_up = open(&mut write, tenant, id).await?;
        if top_up.status == TopUpStatus::Cancelled {
            return Ok(top_up);
        }
        top_up.unless(TopUpStatus::Paid)?;
        let decided = decide(&mut write, &top_up, TopUpStatus::Cancelled, AuditAction::WalletTopUpCancel).await?;
        write.commit().await?;
        Ok(decided)
    }

    /// Top-ups that a tenant's wallets have asked for, in pages, oldest first.
    pub async fn wallet_top_ups(&self, tenant: TenantId, page: PageRequest) -> Result<Page<WalletTopUp>, StoreError> {
        self.require_tenant(tenant).await?;
        let rows = sqlx::query(
            "SELECT id, issuer_id, tenant_id, currency, amount, status, requested_at, decided_at FROM wallet_top_ups \
             WHERE tenant_id = $1 ORDER BY requested_at, id LIMIT $2 OFFSET $3",
        )
        .bind(tenant.to_string())
        .bind(page.rows())
        .bind(page.begin())
        .fetch_all(&self.pool)
        .await?;
        let numbered = (page.begin() + 1..).zip(&rows);
        let found: Result<Vec<_>, StoreError> = numbered.map(|(number, row)| Ok((number, read(row)?))).collect();
        Ok(page.page(found?))
    }

    async fn grant_of_top_up(&self, key: &WalletKey, id: WalletTopUpId) -> Result<WalletGrant, StoreError> {
        let row =
            sqlx::query("SELECT id FROM wallet_grants WHERE issuer_id = $1 AND tenant_id = $2 AND reference = $3")
                .bind(key.issuer.to_string())
                .bind(key.tenant.to_string())
                .bind(id.to_string())
                .fetch_one(&self.pool)
                .await?;
        self.money_grant(key.tenant, parsed(&row, "id")?).await
    }
}

impl WalletTopUp {
    const fn key(&self) -> WalletKey {
        WalletKey { issuer: self.issuer, tenant: self.tenant, currency: self.amount.currency() }
    }

    fn unless(&self, status: TopUpStatus) -> Result<(), StoreError> {
        if self.status == status {
            return Err(StoreError::conflict(format!("{} is {status} already", self.id)));
        }
        Ok(())
    }
}

/// Writes a top-up of a locked wallet.
async fn insert(
    connection: &mut AnyConnection,
    key: &WalletKey,
    amount: Money,
    now: Micros,
) -> Result<WalletTopUp, StoreError> {
    let top_up = WalletTopUp {
        id: WalletTopUpId::generate(),
        issuer: key.issuer,
        tenant: key.tenant,
        amount,
        status: TopUpStatus::Open,
        requested_at: now,
        decided_at: None,
    };
    sqlx::query(
        "INSERT INTO wallet_top_ups (id, issuer_id, tenant_id, currency, amount, status, requested_at) \
         VALUES ($1, $2, $3, $4, $5, 'open', $6)",
    )
    .bind(top_up.id.to_string())
    .bind(key.issuer.to_string())
    .bind(key.tenant.to_string())
    .bind(key.currency.code())
    .bind(amount.minor())
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(top_up)
}

/// What a locked wallet is to ask for now; none if it is above its threshold, has asked, or has
/// asked too often.
async fn missing(connection: &mut AnyConnection, key: &WalletKey, now: Micros) -> Result<Option<Money>, StoreError> {
    let row = sqlx::query(
        "SELECT overdraft, top_up_threshold, top_up_target, top_up_per_day FROM wallets \
         WHERE issuer_id = $1 AND tenant_id = $2 AND currency = $3",
    )
    .bind(key.issuer.to_string())
    .bind(key.tenant.to_string())
    .bind(key.currency.code())
    .fetch_one(&mut *connection)
    .await?;
    let policy = policy::read(&row, key.currency)?;
    let Some(rule) = policy.top_up else { return Ok(None) };
    let asked = sqlx::query(
        "SELECT COUNT(CASE WHEN status = 'open' THEN 1 END) AS open_ones, \
         COUNT(CASE WHEN requested_at > $4 THEN 1 END) AS recent_ones FROM wallet_top_ups \
         WHERE issuer_id = $1 AND tenant_id = $2 AND currency = $3",
    )
    .bind(key.issuer.to_string())
    .bind(key.tenant.to_string())
    .bind(key.currency.code())
    .bind(now.plus_seconds(-DAY_SECONDS).0)
    .fetch_one(&mut *connection)
    .await?;
    let (open, recent): (i64, i64) = (asked.try_get("open_ones")?, asked.try_get("recent_ones")?);
    if open > 0 || recent >= i64::from(rule.per_day) {
        return Ok(None);
    }
    let found = balance::balance(connection, key, policy, now).await?;
    // The overdraft is not the tenant's money.
    let own = found.balance.minor().min(found.available.minor().saturating_sub(policy.overdraft.minor()));
    let missing = rule.target.minor().saturating_sub(own);
    Ok((own < rule.threshold.minor()).then(|| Money::from_minor(missing, key.currency)))
}

/// Locks what decides on a top-up, and reads it.
async fn open(write: &mut ChangeTransaction, tenant: TenantId, id: WalletTopUpId) -> Result<WalletTopUp, StoreError> {
    write.require(tenant, "tenant", &tenant).await?;
    let row = sqlx::query(
        "SELECT id, issuer_id, tenant_id, currency, amount, status, requested_at, decided_at FROM wallet_top_ups \
         WHERE id = $1 AND tenant_id = $2",
    )
    .bind(id.to_string())
    .bind(tenant.to_string())
    .fetch_optional(write.connection())
    .await?
    .ok_or_else(|| StoreError::not_found("top-up", &id))?;
    let top_up = read(&row)?;
    write.require(top_up.issuer, "top-up", &id).await?;
    Ok(top_up)
}

async fn decide(
    write: &mut ChangeTransaction,
    before: &WalletTopUp,
    status: TopUpStatus,
    action: AuditAction,
) -> Result<WalletTopUp, StoreError> {
    let now = write.now();
    sqlx::query("UPDATE wallet_top_ups SET status = $1, decided_at = $2 WHERE id = $3")
        .bind(status.as_str())
        .bind(now.0)
        .bind(before.id.to_string())
        .execute(write.connection())
        .await?;
    let after = WalletTopUp { status, decided_at: Some(now), ..before.clone() };
    let (subject, tenant) = (after.id.to_string(), Some(after.tenant));
    let (before, told) = (state(before)?, state(&after)?);
    write.audit(Audited { action, subject_kind: "wallet_top_up", subject, tenant, before, after: told }).await?;
    Ok(after)
}

fn read(row: &AnyRow) -> Result<WalletTopUp, StoreError> {
    let currency = rows::currency(row)?;
    Ok(WalletTopUp {
        id: parsed(row, "id")?,
        issuer: parsed(row, "issuer_id")?,
        tenant: parsed(row, "tenant_id")?,
        amount: Money::from_minor(row.try_get("amount")?, currency),
        status: parsed(row, "status")?,
        requested_at: instant(row, "requested_at")?,
        decided_at: instant_or_null(row, "decided_at")?,
    })
}
