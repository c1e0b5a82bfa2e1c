//! Coupons and add-ons in the store.

use async_trait::async_trait;
use common::{
    api::{
        coupon::{CouponDocument, NewCouponBody, RedemptionDocument},
        subscription::{AddOnDocument, SubscriptionDocument},
    },
    coupon::CouponCode,
    id::TenantId,
    plan::{
        PlanId,
        subscription::{PlanStart, Subscription},
    },
    store::{PageRequest, StoreError},
    time::Micros,
};

use super::StoreBackend;
use crate::{backend::Coupons, error::Failure};

const ALL: PageRequest = PageRequest { after: None, limit: u32::MAX };

#[async_trait]
impl Coupons for StoreBackend {
    async fn create_coupon(&self, new: NewCouponBody) -> Result<CouponDocument, Failure> {
        let new = new.coupon().map_err(StoreError::Refused)?;
        Ok(self.store.create_coupon(&new, self.now).await?.into())
    }

    async fn coupons(&self, issuer: Option<TenantId>) -> Result<Vec<CouponDocument>, Failure> {
        Ok(self.store.coupons(issuer, ALL).await?.items.into_iter().map(Into::into).collect())
    }

    async fn archive_coupon(&self, issuer: Option<TenantId>, code: &CouponCode) -> Result<CouponDocument, Failure> {
        Ok(self.store.archive_coupon(issuer, code.as_str(), self.now).await?.into())
    }

    async fn redeem_coupon(&self, tenant: TenantId, code: &CouponCode) -> Result<RedemptionDocument, Failure> {
        Ok(self.store.redeem_coupon(tenant, code.as_str(), self.now).await?.into())
    }

    async fn remove_coupon(&self, tenant: TenantId, code: &CouponCode) -> Result<(), Failure> {
        Ok(self.store.remove_coupon(tenant, code.as_str(), self.now).await?)
    }

    async fn coupons_of(&self, tenant: TenantId) -> Result<Vec<RedemptionDocument>, Failure> {
        Ok(self.store.coupons_of(tenant).await?.into_iter().map(Into::into).collect())
    }

    async fn set_add_on(
        &self,
        tenant: TenantId,
        plan: &PlanId,
        quantity: u32,
        start: PlanStart,
    ) -> Result<Vec<AddOnDocument>, Failure> {
        let set = self.store.set_add_on(tenant, plan, quantity, start, self.now).await?;
        Ok(set.into_iter().map(Into::into).collect())
    }

    async fn add_ons_of(&self, tenant: TenantId) -> Result<Vec<AddOnDocument>, Failure> {
        Ok(self.store.add_ons_of(tenant).await?.into_iter().map(Into::into).collect())
    }

    async fn pause_subscription(
        &self,
        tenant: TenantId,
        start: PlanStart,
        until: Option<Micros>,
    ) -> Result<SubscriptionDocument, Failure> {
        let paused = self.store.pause_subscription(tenant, start, until, self.now).await?;
        self.with_terms(paused).await
    }

    async fn resume_subscription(&self, tenant: TenantId, start: PlanStart) -> Result<SubscriptionDocument, Failure> {
        let resumed = self.store.resume_subscription(tenant, start, self.now).await?;
        self.with_terms(resumed).await
    }
}

impl StoreBackend {
    /// The document of a subscription, with its terms.
    pub(super) async fn with_terms(&self, one: Subscription) -> Result<SubscriptionDocument, Failure> {
        let terms = self.store.billing_overrides_of(one.tenant).await?.remove(&one.starts_at);
        Ok(SubscriptionDocument::of(one, self.now).with_terms(terms))
    }
}
