//! Coupons and add-ons through the API.

use async_trait::async_trait;
use common::{
    api::{
        coupon::{CouponDocument, NewCouponBody, RedeemBody, RedemptionDocument, RedemptionsDocument},
        subscription::{AddOnBody, AddOnDocument, AddOnsDocument, PauseBody, ResumeBody, SubscriptionDocument, When},
    },
    coupon::CouponCode,
    id::TenantId,
    plan::{PlanId, subscription::PlanStart},
    time::Micros,
};
use reqwest::Method;

use super::ApiBackend;
use crate::{backend::Coupons, error::Failure};

#[async_trait]
impl Coupons for ApiBackend {
    async fn create_coupon(&self, new: NewCouponBody) -> Result<CouponDocument, Failure> {
        Ok(self.call(Method::POST, &["coupons"]).with(&new)?.read().await?)
    }

    async fn coupons(&self, issuer: Option<TenantId>) -> Result<Vec<CouponDocument>, Failure> {
        Ok(self.get(&["coupons"]).query("issuer", issuer).pages(usize::MAX).await?)
    }

    async fn archive_coupon(&self, issuer: Option<TenantId>, code: &CouponCode) -> Result<CouponDocument, Failure> {
        let call = self.call(Method::POST, &["coupons", code.as_str(), "archive"]);
        Ok(call.query("issuer", issuer).read().await?)
    }

    async fn redeem_coupon(&self, tenant: TenantId, code: &CouponCode) -> Result<RedemptionDocument, Failure> {
        let body = RedeemBody { code: code.as_str().to_owned() };
        Ok(self.call(Method::POST, &["tenants", &tenant.to_string(), "coupons"]).with(&body)?.read().await?)
    }

    async fn remove_coupon(&self, tenant: TenantId, code: &CouponCode) -> Result<(), Failure> {
        let path = ["tenants", &tenant.to_string(), "coupons", code.as_str()];
        Ok(self.call(Method::DELETE, &path).done().await?)
    }

    async fn coupons_of(&self, tenant: TenantId) -> Result<Vec<RedemptionDocument>, Failure> {
        let found: RedemptionsDocument = self.get(&["tenants", &tenant.to_string(), "coupons"]).read().await?;
        Ok(found.items)
    }

    async fn set_add_on(
        &self,
        tenant: TenantId,
        plan: &PlanId,
        quantity: u32,
        start: PlanStart,
    ) -> Result<Vec<AddOnDocument>, Failure> {
        let body = AddOnBody { plan: plan.clone(), quantity, starts: When(start) };
        let call = self.call(Method::PUT, &["tenants", &tenant.to_string(), "add-ons"]);
        let set: AddOnsDocument = call.with(&body)?.read().await?;
        Ok(set.items)
    }

    async fn add_ons_of(&self, tenant: TenantId) -> Result<Vec<AddOnDocument>, Failure> {
        let found: AddOnsDocument = self.get(&["tenants", &tenant.to_string(), "add-ons"]).read().await?;
        Ok(found.items)
    }

    async fn pause_subscription(
        &self,
        tenant: TenantId,
        start: PlanStart,
        until: Option<Micros>,
    ) -> Result<SubscriptionDocument, Failure> {
        let body = PauseBody { starts: When(start), until: until.map(Into::into) };
        let call = self.call(Method::POST, &["tenants", &tenant.to_string(), "subscriptions", "pause"]);
        Ok(call.with(&body)?.read().await?)
    }

    async fn resume_subscription(&self, tenant: TenantId, start: PlanStart) -> Result<SubscriptionDocument, Failure> {
        let body = ResumeBody { starts: When(start) };
        let call = self.call(Method::POST, &["tenants", &tenant.to_string(), "subscriptions", "resume"]);
        Ok(call.with(&body)?.read().await?)
    }
}
