//! Redeeming coupons.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{Coupon, CouponDiscount, rows};
use crate::{
    id::TenantId,
    money::Currency,
    plan::{PlanId, owner, subscription::cycles::BillCycles},
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        row::{instant, instant_or_null, parsed},
        scope,
        transaction::ChangeTransaction,
    },
    tenant::row as tenants,
    time::{Micros, TimeError, Window},
};

/// A tenant's redemption of a coupon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Redemption {
    /// The tenant.
    pub tenant: TenantId,
    /// The issuer of the coupon.
    pub issuer: TenantId,
    /// Its code.
    pub code: String,
    /// Time at which it was redeemed.
    pub redeemed_at: Micros,
    /// Time at which it was taken from the tenant: periods that begin later are without it.
    pub removed_at: Option<Micros>,
}

/// A redemption with its coupon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CouponRedemption {
    /// The redemption.
    pub redemption: Redemption,
    /// The coupon.
    pub coupon: Coupon,
}

impl CouponRedemption {
    /// Returns true if the coupon counts for a period of a bill in this plan and currency.
    pub fn counts(
        &self,
        period: Window,
        plan: &PlanId,
        currency: Currency,
        cycles: &BillCycles,
    ) -> Result<bool, TimeError> {
        let Self { redemption, coupon } = self;
        let is_meant = coupon.plans.is_empty() || coupon.plans.contains(plan);
        let fits = match coupon.discount {
            CouponDiscount::Percent(_) => true,
            CouponDiscount::Amount(amount) => amount.currency() == currency,
        };
        let is_there = redemption.removed_at.is_none_or(|removed_at| period.start < removed_at);
        Ok(is_meant && fits && is_there && coupon.duration.counts(redemption.redeemed_at, period, cycles)?)
    }
}

impl Store {
    /// Redeems a coupon for a tenant: that of the nearest issuer above which has one with this code. The
    /// same again changes nothing. A conflict: an archived coupon, one whose time has passed or that
    /// enough tenants have, a coupon of somebody above the actor, a deleted tenant.
    pub async fn redeem_coupon(
        &self,
        tenant: TenantId,
        code: &str,
        now: Micros,
    ) -> Result<CouponRedemption, StoreError> {
        let mut change = self.begin_change(now).await?;
        tenants::present(&mut change, tenant).await?;
        let coupon = offered(&mut change, tenant, code).await?;
        let known = of_tenant(change.connection(), tenant).await?;
        if let Some(known) = known.into_iter().find(|one| (one.issuer, one.code.as_str()) == (coupon.issuer, code)) {
            return match known.removed_at {
                None => Ok(CouponRedemption { redemption: known, coupon }),
                Some(at) => Err(StoreError::conflict(format!("coupon `{code}` was taken from the tenant at {at}"))),
            };
        }
        refuse_spent(change.connection(), &coupon, now).await?;
        let redemption =
            Redemption { tenant, issuer: coupon.issuer, code: coupon.code.clone(), redeemed_at: now, removed_at: None };
        sqlx::query("INSERT INTO coupon_redemptions (tenant_id, issuer_id, code, redeemed_at) VALUES ($1, $2, $3, $4)")
            .bind(tenant.to_string())
            .bind(coupon.issuer.to_string())
            .bind(&coupon.code)
            .bind(now.0)
            .execute(change.connection())
            .await?;
        audit(&mut change, AuditAction::CouponRedeem, None, &redemption).await?;
        change.commit().await?;
        Ok(CouponRedemption { redemption, coupon })
    }

    /// Takes a coupon from a tenant: it counts no more for periods that begin from now on. The same again
    /// changes nothing.
    pub async fn remove_coupon(&self, tenant: TenantId, code: &str, now: Micros) -> Result<(), StoreError> {
        let mut change = self.begin_change(now).await?;
        tenants::present(&mut change, tenant).await?;
        let coupon = offered(&mut change, tenant, code).await?;
        let known = of_tenant(change.connection(), tenant).await?;
        let known = known.into_iter().find(|one| (one.issuer, one.code.as_str()) == (coupon.issuer, code));
        let Some(before) = known.filter(|one| one.removed_at.is_none()) else { return Ok(()) };
        sqlx::query(
            "UPDATE coupon_redemptions SET removed_at = $1 WHERE tenant_id = $2 AND issuer_id = $3 AND code = $4",
        )
        .bind(now.0)
        .bind(tenant.to_string())
        .bind(coupon.issuer.to_string())
        .bind(&coupon.code)
        .execute(change.connection())
        .await?;
        let after = Redemption { removed_at: Some(now), ..before.clone() };
        audit(&mut change, AuditAction::CouponRemove, Some(&before), &after).await?;
        change.commit().await
    }

    /// The coupons that a tenant has redeemed, the first one first.
    pub async fn coupons_of(&self, tenant: TenantId) -> Result<Vec<CouponRedemption>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        tenants::find(&mut connection, self.acting.scope, tenant).await?;
        let mut found = Vec::new();
        for redemption in of_tenant(&mut connection, tenant).await? {
            let coupon = rows::required(&mut connection, redemption.issuer, &redemption.code).await?;
            found.push(CouponRedemption { redemption, coupon });
        }
        Ok(found)
    }

    /// The coupons that all tenants have redeemed, each tenant's first one first.
    pub async fn coupon_redemptions(&self) -> Result<HashMap<TenantId, Vec<CouponRedemption>>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let coupons = rows::all(&mut connection).await?;
        let coupons: HashMap<_, _> = coupons.into_iter().map(|one| ((one.issuer, one.code.clone()), one)).collect();
        let rows = sqlx::query(
            "SELECT tenant_id, issuer_id, code, redeemed_at, removed_at FROM coupon_redemptions \
             ORDER BY redeemed_at, code",
        )
        .fetch_all(&mut *connection)
        .await?;
        let mut found: HashMap<TenantId, Vec<CouponRedemption>> = HashMap::new();
        for redemption in rows.iter().map(read) {
            let redemption = redemption?;
            if let Some(coupon) = coupons.get(&(redemption.issuer, redemption.code.clone())).cloned() {
                found.entry(redemption.tenant).or_default().push(CouponRedemption { redemption, coupon });
            }
        }
        Ok(found)
    }
}

/// The coupon of the nearest issuer above a tenant, who must not be above the actor.
async fn offered(change: &mut ChangeTransaction, tenant: TenantId, code: &str) -> Result<Coupon, StoreError> {
    let unknown = || StoreError::not_found("coupon", &code.chars().take(80).collect::<String>());
    let scope = change.scope();
    let path = scope::path_of(change.connection(), tenant).await?.ok_or_else(unknown)?;
    let above: Vec<TenantId> = path.split('/').filter_map(|part| part.parse().ok()).collect();
    for issuer in above.into_iter().rev() {
        let Some(coupon) = rows::find(change.connection(), issuer, code).await? else { continue };
        if owner::is_theirs(change.connection(), scope, &issuer.to_string()).await? {
            return Ok(coupon);
        }
    }
    Err(unknown())
}

/// Refuses a coupon that nobody redeems any more.
async fn refuse_spent(connection: &mut AnyConnection, coupon: &Coupon, now: Micros) -> Result<(), StoreError> {
    let code = &coupon.code;
    if coupon.archived_at.is_some() {
        return Err(StoreError::conflict(format!("coupon `{code}` is archived")));
    }
    if let Some(redeem_by) = coupon.redeem_by.filter(|redeem_by| *redeem_by <= now) {
        return Err(StoreError::conflict(format!("coupon `{code}` could be redeemed up to {redeem_by}")));
    }
    let Some(most) = coupon.max_redemptions else { return Ok(()) };
    // The row is locked: of two that redeem the last one, one waits.
    sqlx::query("UPDATE coupons SET max_redemptions = max_redemptions WHERE issuer_id = $1 AND code = $2")
        .bind(coupon.issuer.to_string())
        .bind(code)
        .execute(&mut *connection)
        .await?;
    let row = sqlx::query("SELECT COUNT(*) AS redeemed FROM coupon_redemptions WHERE issuer_id = $1 AND code = $2")
        .bind(coupon.issuer.to_string())
        .bind(code)
        .fetch_one(connection)
        .await?;
    let redeemed: i64 = row.try_get("redeemed")?;
    if redeemed >= i64::from(most) {
        return Err(StoreError::conflict(format!("coupon `{code}` was redeemed {redeemed} times, which is the most")));
    }
    Ok(())
}

async fn of_tenant(connection: &mut AnyConnection, tenant: TenantId) -> Result<Vec<Redemption>, StoreError> {
    let rows = sqlx::query(
        "SELECT tenant_id, issuer_id, code, redeemed_at, removed_at FROM coupon_redemptions \
         WHERE tenant_id = $1 ORDER BY redeemed_at, code",
    )
    .bind(tenant.to_string())
    .fetch_all(connection)
    .await?;
    rows.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<Redemption, StoreError> {
    Ok(Redemption {
        tenant: parsed(row, "tenant_id")?,
        issuer: parsed(row, "issuer_id")?,
        code: row.try_get("code")?,
        redeemed_at: instant(row, "redeemed_at")?,
        removed_at: instant_or_null(row, "removed_at")?,
    })
}

async fn audit(
    change: &mut ChangeTransaction,
    action: AuditAction,
    before: Option<&Redemption>,
    after: &Redemption,
) -> Result<(), StoreError> {
    let (subject_kind, subject, tenant) = ("coupon", after.code.clone(), Some(after.tenant));
    let before = before.map(state).transpose()?.flatten();
    change.audit(Audited { action, subject_kind, subject, tenant, before, after: state(after)? }).await
}
