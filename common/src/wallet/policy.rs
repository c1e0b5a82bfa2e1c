//! Rules of a wallet: how far below zero it may go, and when a top-up is asked for.

use serde::Serialize;
use sqlx::{Row as _, any::AnyRow};

use super::{GRANT_MINOR_MAX, WalletKey, grant, rows};
use crate::{
    id::TenantId,
    money::{Currency, Money},
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        row::corrupt,
    },
    tenant::row as tenants,
    time::Micros,
};

/// Most top-ups that may be asked for within a day.
const TOP_UPS_PER_DAY_MAX: u8 = 100;

/// Rules of a wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WalletPolicy {
    /// Lowest that invoices may take it below zero; nothing unless set.
    pub overdraft: Money,
    /// When a top-up is asked for; never unless set.
    pub top_up: Option<AutoTopUp>,
}

/// When a top-up is asked for, and of how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AutoTopUp {
    /// A balance below this asks for one.
    pub threshold: Money,
    /// The balance that it fills up to.
    pub target: Money,
    /// Most within 24 hours.
    pub per_day: u8,
}

impl Store {
    /// Sets the rules of a wallet, which is made if it is not there. Refused: amounts of another
    /// currency, below zero or too large, a target that is not above the threshold.
    pub async fn set_wallet_policy(
        &self,
        (issuer, tenant, currency): (Option<TenantId>, TenantId, Currency),
        policy: &WalletPolicy,
        now: Micros,
    ) -> Result<WalletKey, StoreError> {
        policy.validate(currency)?;
        let mut write = self.begin_change(now).await?;
        tenants::present(&mut write, tenant).await?;
        let issuer = grant::issuer(&mut write, tenant, issuer).await?;
        let key = WalletKey { issuer, tenant, currency };
        rows::lock(write.connection(), &key, now).await?;
        let top_up = policy.top_up;
        sqlx::query(
            "UPDATE wallets SET overdraft = $1, top_up_threshold = $2, top_up_target = $3, top_up_per_day = $4 \
             WHERE issuer_id = $5 AND tenant_id = $6 AND currency = $7",
        )
        .bind(policy.overdraft.minor())
        .bind(top_up.map(|top_up| top_up.threshold.minor()))
        .bind(top_up.map(|top_up| top_up.target.minor()))
        .bind(top_up.map(|top_up| i64::from(top_up.per_day)))
        .bind(issuer.to_string())
        .bind(tenant.to_string())
        .bind(currency.code())
        .execute(write.connection())
        .await?;
        let (subject, tenant, after) = (format!("{issuer} {}", currency.code()), Some(tenant), state(policy)?);
        let action = AuditAction::WalletPolicy;
        write.audit(Audited { action, subject_kind: "wallet", subject, tenant, before: None, after }).await?;
        write.commit().await?;
        Ok(key)
    }
}

impl WalletPolicy {
    fn validate(&self, currency: Currency) -> Result<(), StoreError> {
        let check = |field: &str, amount: Money, least: i64| {
            if amount.currency() != currency {
                return Err(StoreError::refused(format!("{field}: {amount} is not in {}", currency.code())));
            }
            if (least..=GRANT_MINOR_MAX).contains(&amount.minor()) {
                return Ok(());
            }
            let most = Money::from_minor(GRANT_MINOR_MAX, currency);
            Err(StoreError::refused(format!("{field}: must be {least} or more, and at most {most}")))
        };
        check("overdraft", self.overdraft, 0)?;
        let Some(AutoTopUp { threshold, target, per_day }) = self.top_up else { return Ok(()) };
        check("top_up.threshold", threshold, 0)?;
        check("top_up.target", target, 1)?;
        if target.minor() <= threshold.minor() {
            return Err(StoreError::refused("top_up.target: must be above the threshold"));
        }
        if (1..=TOP_UPS_PER_DAY_MAX).contains(&per_day) {
            return Ok(());
        }
        Err(StoreError::refused(format!("top_up.per_day: must be 1 to {TOP_UPS_PER_DAY_MAX}")))
    }
}

/// The rules in a row of a wallet.
pub(super) fn read(row: &AnyRow, currency: Currency) -> Result<WalletPolicy, StoreError> {
    let money = |minor: i64| Money::from_minor(minor, currency);
    let number = |column: &'static str| Ok::<Option<i64>, StoreError>(row.try_get(column)?);
    let top_up = match (number("top_up_threshold")?, number("top_up_target")?, number("top_up_per_day")?) {
        (Some(threshold), Some(target), Some(per_day)) => {
            let per_day = u8::try_from(per_day).map_err(|error| corrupt("top-ups per day", error))?;
            Some(AutoTopUp { threshold: money(threshold), target: money(target), per_day })
        }
        _ => None,
    };
    Ok(WalletPolicy { overdraft: money(row.try_get("overdraft")?), top_up })
}
