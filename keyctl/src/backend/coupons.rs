//! Coupons and add-ons: what commands ask for.

use async_trait::async_trait;
use common::{
    api::{
        coupon::{CouponDocument, NewCouponBody, RedemptionDocument},
        subscription::{AddOnDocument, SubscriptionDocument},
    },
    coupon::CouponCode,
    id::TenantId,
    plan::{PlanId, subscription::PlanStart},
    time::Micros,
};

use crate::error::Failure;

/// Coupons, add-ons and pauses, which change a tenant's bills beside its plan.
#[async_trait]
pub(crate) trait Coupons: Send + Sync {
    /// Makes a coupon.
    async fn create_coupon(&self, new: NewCouponBody) -> Result<CouponDocument, Failure>;

    /// Lists the coupons of an issuer, oldest first.
    async fn coupons(&self, issuer: Option<TenantId>) -> Result<Vec<CouponDocument>, Failure>;

    /// Archives a coupon.
    async fn archive_coupon(&self, issuer: Option<TenantId>, code: &CouponCode) -> Result<CouponDocument, Failure>;

    /// Redeems a coupon for a tenant.
    async fn redeem_coupon(&self, tenant: TenantId, code: &CouponCode) -> Result<RedemptionDocument, Failure>;

    /// Takes a coupon from a tenant.
    async fn remove_coupon(&self, tenant: TenantId, code: &CouponCode) -> Result<(), Failure>;

    /// Lists the coupons that a tenant has redeemed, the first one first.
    async fn coupons_of(&self, tenant: TenantId) -> Result<Vec<RedemptionDocument>, Failure>;

    /// Sets the quantity of an add-on of a tenant.
    async fn set_add_on(
        &self,
        tenant: TenantId,
        plan: &PlanId,
        quantity: u32,
        start: PlanStart,
    ) -> Result<Vec<AddOnDocument>, Failure>;

    /// Lists the add-ons of a tenant, by start.
    async fn add_ons_of(&self, tenant: TenantId) -> Result<Vec<AddOnDocument>, Failure>;

    /// Pauses the subscription of a tenant.
    async fn pause_subscription(
        &self,
        tenant: TenantId,
        start: PlanStart,
        until: Option<Micros>,
    ) -> Result<SubscriptionDocument, Failure>;

    /// Resumes the paused subscription of a tenant.
    async fn resume_subscription(&self, tenant: TenantId, start: PlanStart) -> Result<SubscriptionDocument, Failure>;
}
