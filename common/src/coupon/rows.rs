//! Coupons in the store.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{Coupon, CouponDiscount, CouponDuration, NewCoupon};
use crate::{
    acting::Scope,
    id::TenantId,
    money::{Currency, Decimal, Money},
    plan::owner,
    store::{
        Page, PageRequest, Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        row::{corrupt, instant, instant_or_null, parsed, parsed_or_null},
        transaction::ChangeTransaction,
    },
    tenant::row as tenants,
    time::Micros,
};

macro_rules! select_coupons {
    ($rest:literal) => {
        concat!(
            "SELECT issuer_id, code, percent, amount, currency, duration, periods, plans, meter, redeem_by, \
             max_redemptions, created_at, archived_at FROM coupons ",
            $rest
        )
    };
}

impl Store {
    /// Makes a coupon. The same again changes nothing. Refused: what makes no sense. A conflict: another
    /// coupon of the issuer with this code.
    pub async fn create_coupon(&self, new: &NewCoupon, now: Micros) -> Result<Coupon, StoreError> {
        new.check(now)?;
        let mut change = self.begin_change(now).await?;
        let scope = change.scope();
        let issuer = issuer(change.connection(), scope, new.issuer).await?;
        let coupon = Coupon {
            issuer,
            code: new.code.clone(),
            discount: new.discount,
            duration: new.duration,
            plans: new.plans.clone(),
            meter: new.meter.clone(),
            redeem_by: new.redeem_by,
            max_redemptions: new.max_redemptions,
            created_at: now,
            archived_at: None,
        };
        if let Some(known) = find(change.connection(), issuer, &new.code).await? {
            let same = Coupon { created_at: known.created_at, archived_at: known.archived_at, ..coupon } == known;
            let conflict = || StoreError::conflict(format!("code: there is another coupon `{}`", new.code));
            return if same { Ok(known) } else { Err(conflict()) };
        }
        insert(change.connection(), &coupon).await?;
        audit(&mut change, AuditAction::CouponCreate, None, &coupon).await?;
        change.commit().await?;
        Ok(coupon)
    }

    /// Archives a coupon: who has redeemed it keeps it, and nobody else redeems it. The same again
    /// changes nothing.
    pub async fn archive_coupon(
        &self,
        issuer_id: Option<TenantId>,
        code: &str,
        now: Micros,
    ) -> Result<Coupon, StoreError> {
        let mut change = self.begin_change(now).await?;
        let scope = change.scope();
        let issuer = issuer(change.connection(), scope, issuer_id).await?;
        let before = required(change.connection(), issuer, code).await?;
        if before.archived_at.is_some() {
            return Ok(before);
        }
        sqlx::query("UPDATE coupons SET archived_at = $1 WHERE issuer_id = $2 AND code = $3")
            .bind(now.0)
            .bind(issuer.to_string())
            .bind(code)
            .execute(change.connection())
            .await?;
        let after = Coupon { archived_at: Some(now), ..before.clone() };
        audit(&mut change, AuditAction::CouponArchive, Some(&before), &after).await?;
        change.commit().await?;
        Ok(after)
    }

    /// Coupons of an issuer in pages, by code.
    pub async fn coupons(&self, issuer_id: Option<TenantId>, page: PageRequest) -> Result<Page<Coupon>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let issuer = issuer(&mut connection, self.acting.scope, issuer_id).await?;
        let rows = sqlx::query(select_coupons!("WHERE issuer_id = $1 ORDER BY created_at, code LIMIT $2 OFFSET $3"))
            .bind(issuer.to_string())
            .bind(page.rows())
            .bind(page.begin())
            .fetch_all(&mut *connection)
            .await?;
        // Coupons are never removed, and later ones come last: their number is a place.
        let numbered = (page.begin() + 1..).zip(&rows);
        let found: Result<Vec<_>, StoreError> = numbered.map(|(number, row)| Ok((number, read(row)?))).collect();
        Ok(page.page(found?))
    }
}

/// The issuer that is meant: a tenant of the actor's scope, its own tenant, or the only root.
async fn issuer(
    connection: &mut AnyConnection,
    scope: Scope,
    stated: Option<TenantId>,
) -> Result<TenantId, StoreError> {
    let issuer = match stated {
        Some(issuer) => Some(issuer),
        None => owner::default_owner(connection, scope).await?,
    };
    let issuer = issuer.ok_or_else(|| StoreError::refused("issuer: there is no tenant yet"))?;
    Ok(tenants::find(connection, scope, issuer).await?.tenant.id)
}

async fn insert(connection: &mut AnyConnection, coupon: &Coupon) -> Result<(), StoreError> {
    let (percent, amount) = match coupon.discount {
        CouponDiscount::Percent(percent) => (Some(percent.to_string()), None),
        CouponDiscount::Amount(amount) => (None, Some(amount)),
    };
    sqlx::query(
        "INSERT INTO coupons (issuer_id, code, percent, amount, currency, duration, periods, plans, meter, redeem_by, \
         max_redemptions, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(coupon.issuer.to_string())
    .bind(&coupon.code)
    .bind(percent)
    .bind(amount.map(Money::minor))
    .bind(amount.map(|amount| amount.currency().code()))
    .bind(coupon.duration.word())
    .bind(coupon.duration.periods().map(i64::from))
    .bind(serde_json::to_string(&coupon.plans).map_err(|error| corrupt("plans", error))?)
    .bind(coupon.meter.clone())
    .bind(coupon.redeem_by.map(|at| at.0))
    .bind(coupon.max_redemptions.map(i64::from))
    .bind(coupon.created_at.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// A coupon of an issuer, if there is one with this code.
pub(super) async fn find(
    connection: &mut AnyConnection,
    issuer: TenantId,
    code: &str,
) -> Result<Option<Coupon>, StoreError> {
    let row = sqlx::query(select_coupons!("WHERE issuer_id = $1 AND code = $2"))
        .bind(issuer.to_string())
        .bind(code)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn required(
    connection: &mut AnyConnection,
    issuer: TenantId,
    code: &str,
) -> Result<Coupon, StoreError> {
    let found = find(connection, issuer, code).await?;
    found.ok_or_else(|| StoreError::not_found("coupon", &code.chars().take(80).collect::<String>()))
}

/// All coupons, by issuer and code.
pub(super) async fn all(connection: &mut AnyConnection) -> Result<Vec<Coupon>, StoreError> {
    let rows = sqlx::query(select_coupons!("ORDER BY issuer_id, code")).fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<Coupon, StoreError> {
    let number = |column: &'static str| -> Result<Option<u32>, StoreError> {
        let number: Option<i64> = row.try_get(column)?;
        number.map(|number| u32::try_from(number).map_err(|error| corrupt(column, error))).transpose()
    };
    let percent: Option<Decimal> = parsed_or_null(row, "percent")?;
    let amount: Option<i64> = row.try_get("amount")?;
    let currency: Option<String> = row.try_get("currency")?;
    let currency = currency.and_then(|code| Currency::from_code(&code));
    let discount = CouponDiscount::of(percent, amount.zip(currency));
    let (word, plans): (String, String) = (row.try_get("duration")?, row.try_get("plans")?);
    Ok(Coupon {
        issuer: parsed(row, "issuer_id")?,
        code: row.try_get("code")?,
        discount: discount.ok_or_else(|| corrupt("coupon", "it takes nothing off"))?,
        duration: CouponDuration::of(&word, number("periods")?).map_err(|error| corrupt("duration", error))?,
        plans: serde_json::from_str(&plans).map_err(|error| corrupt("plans", error))?,
        meter: row.try_get("meter")?,
        redeem_by: instant_or_null(row, "redeem_by")?,
        max_redemptions: number("max_redemptions")?,
        created_at: instant(row, "created_at")?,
        archived_at: instant_or_null(row, "archived_at")?,
    })
}

async fn audit(
    change: &mut ChangeTransaction,
    action: AuditAction,
    before: Option<&Coupon>,
    after: &Coupon,
) -> Result<(), StoreError> {
    let (subject_kind, subject, tenant) = ("coupon", after.code.clone(), Some(after.issuer));
    let before = before.map(state).transpose()?.flatten();
    change.audit(Audited { action, subject_kind, subject, tenant, before, after: state(after)? }).await
}
