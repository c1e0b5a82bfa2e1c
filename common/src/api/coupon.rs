//! Coupons, and the tenants that redeem them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::instant::Instant;
use crate::{
    coupon::{Coupon, CouponDiscount, CouponDuration, CouponRedemption, NewCoupon, discount_of},
    id::TenantId,
    money::Currency,
    plan::PlanId,
};

/// A coupon to be made: with `percent`, or with `amount` and `currency`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCoupon)]
pub struct NewCouponBody {
    /// The issuer of the bills; the caller's tenant unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub issuer: Option<TenantId>,
    /// The code by which it is redeemed: 1 to 64 letters, digits, `-` and `_`.
    #[schema(min_length = 1, max_length = 64, example = "SPRING-26")]
    pub code: String,
    /// Percent off what it is for: more than 0, up to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "20")]
    pub percent: Option<String>,
    /// Amount off each period's bill, in major units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// The currency of the amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub currency: Option<Currency>,
    /// `once` (the billing period in which it is redeemed), `periods`, or `forever`.
    #[schema(example = "once")]
    pub duration: String,
    /// With `periods`: their number, that one included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 120)]
    pub periods: Option<u32>,
    /// Plans for whose bills it is; every plan unless stated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub plans: Vec<PlanId>,
    /// The meter for whose usage it is; all lines unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter: Option<String>,
    /// From this instant on nobody redeems it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeem_by: Option<Instant>,
    /// Most tenants that redeem it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub max_redemptions: Option<u32>,
}

/// A coupon.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Coupon)]
pub struct CouponDocument {
    /// The issuer of the bills.
    #[schema(value_type = String)]
    pub issuer: TenantId,
    /// The code by which it is redeemed.
    #[schema(example = "SPRING-26")]
    pub code: String,
    /// Percent off what it is for.
    #[schema(required = true, example = "20")]
    pub percent: Option<String>,
    /// Amount off each period's bill, in major units.
    #[schema(required = true)]
    pub amount: Option<String>,
    /// The currency of the amount.
    #[schema(required = true)]
    pub currency: Option<String>,
    /// `once`, `periods` or `forever`.
    #[schema(example = "once")]
    pub duration: String,
    /// Number of periods.
    #[schema(required = true)]
    pub periods: Option<u32>,
    /// Plans for whose bills it is; empty: every plan.
    #[schema(value_type = Vec<String>)]
    pub plans: Vec<PlanId>,
    /// The meter for whose usage it is.
    #[schema(required = true)]
    pub meter: Option<String>,
    /// From this instant on nobody redeems it.
    #[schema(required = true)]
    pub redeem_by: Option<Instant>,
    /// Most tenants that redeem it.
    #[schema(required = true)]
    pub max_redemptions: Option<u32>,
    /// Time at which it was made.
    pub created_at: Instant,
    /// Time at which it was archived.
    #[schema(required = true)]
    pub archived_at: Option<Instant>,
}

/// A coupon to be redeemed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CouponRedeem)]
pub struct RedeemBody {
    /// The code.
    #[schema(example = "SPRING-26")]
    pub code: String,
}

/// A coupon that a tenant has redeemed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = CouponRedemption)]
pub struct RedemptionDocument {
    /// The tenant.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// Time at which it was redeemed.
    pub redeemed_at: Instant,
    /// Time at which it was taken from the tenant: periods that begin later are without it.
    #[schema(required = true)]
    pub removed_at: Option<Instant>,
    /// The coupon.
    pub coupon: CouponDocument,
}

/// Coupons of a tenant.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = CouponRedemptions)]
pub struct RedemptionsDocument {
    /// The coupons, the first one first.
    pub items: Vec<RedemptionDocument>,
}

impl NewCouponBody {
    /// The coupon that it asks for; an error names the field.
    pub fn coupon(self) -> Result<NewCoupon, String> {
        Ok(NewCoupon {
            discount: discount_of(self.percent.as_deref(), self.amount.as_deref(), self.currency)?,
            duration: CouponDuration::of(&self.duration, self.periods)?,
            issuer: self.issuer,
            code: self.code,
            plans: self.plans,
            meter: self.meter,
            redeem_by: self.redeem_by.map(Into::into),
            max_redemptions: self.max_redemptions,
        })
    }
}

impl From<Coupon> for CouponDocument {
    fn from(coupon: Coupon) -> Self {
        let (percent, amount) = match coupon.discount {
            CouponDiscount::Percent(percent) => (Some(percent), None),
            CouponDiscount::Amount(amount) => (None, Some(amount)),
        };
        Self {
            issuer: coupon.issuer,
            code: coupon.code,
            percent: percent.map(|percent| percent.to_string()),
            amount: amount.map(crate::money::Money::digits),
            currency: amount.map(|amount| amount.currency().code().to_owned()),
            duration: coupon.duration.word().to_owned(),
            periods: coupon.duration.periods(),
            plans: coupon.plans,
            meter: coupon.meter,
            redeem_by: coupon.redeem_by.map(Into::into),
            max_redemptions: coupon.max_redemptions,
            created_at: coupon.created_at.into(),
            archived_at: coupon.archived_at.map(Into::into),
        }
    }
}

impl From<CouponRedemption> for RedemptionDocument {
    fn from(CouponRedemption { redemption, coupon }: CouponRedemption) -> Self {
        Self {
            tenant: redemption.tenant,
            redeemed_at: redemption.redeemed_at.into(),
            removed_at: redemption.removed_at.map(Into::into),
            coupon: coupon.into(),
        }
    }
}
