//! Subscriptions: a plan given to a tenant, now, later, or at the end of its period.

use common::{
    admin::Role,
    coupon::{CouponDiscount, CouponDuration, NewCoupon},
    id::TenantId,
    plan::{PlanFile, subscription::PlanStart},
    time::{Clock as _, SystemClock},
};
use serde_json::{Value, json};

use super::{fixture::Fixture, plans::plan};
use crate::topic::deployments;

#[tokio::test]
async fn plan_is_assigned_now_later_or_at_the_end_of_the_period() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        let owner = fixture.owner().await;
        let path = format!("/v1/tenants/{}/subscriptions", fixture.shop);
        let now = owner.post(&path, json!({ "plan": "starter", "version": 1 })).await.document(200);
        assert_eq!((&now["status"], &now["ends_at"]), (&json!("current"), &Value::Null));
        let later = json!({ "plan": "growth", "starts": "2030-01-01T00:00:00Z" });
        assert_eq!(owner.post(&path, later).await.document(200)["status"], "scheduled");
        let end = owner.post(&path, json!({ "plan": "business", "starts": "period_end" })).await.document(200);
        assert!(end["starts_at"].as_str().unwrap().ends_with("-01T00:00:00Z"), "{end}");
        let all = owner.get(&path).await.document(200);
        let held: Vec<_> = all["items"].as_array().unwrap().iter().map(|one| (&one["plan"], &one["status"])).collect();
        assert_eq!(held, [(&json!("starter"), &json!("current")), (&json!("business"), &json!("scheduled"))]);
        let ended = owner.delete(&format!("{path}?ends=now")).await;
        assert_eq!((ended.status.as_u16(), ended.text.as_str()), (204, ""));
        let limits = owner.get(&format!("/v1/tenants/{}/limits", fixture.shop)).await.document(200);
        assert_eq!(limits["terms"]["holder"], fixture.partner.to_string(), "it has its parent's plan again");
        let past = json!({ "plan": "growth", "starts": "2020-01-01T00:00:00Z" });
        assert!(owner.post(&path, past).await.problem(422, "refused").contains("has passed"));
        let nonsense = json!({ "plan": "growth", "starts": "soon" });
        assert!(owner.post(&path, nonsense).await.problem(400, "body_invalid").contains("period_end"));
        owner.post(&path, json!({ "plan": "unheard_of" })).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn superseded_version_is_assigned_by_the_plans_owner_only() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    for fee in ["1.00", "2.00", "3.00"] {
        owner.put("/v1/plans", json!({ "plans": [plan(fee)] })).await.document(200);
    }
    let path = format!("/v1/tenants/{}/subscriptions", fixture.shop);
    for role in [Role::Billing, Role::Owner] {
        let partner = fixture.caller(fixture.partner, role).await;
        for version in [1, 2] {
            let refused = partner.post(&path, json!({ "plan": "custom", "version": version })).await;
            assert!(refused.problem(409, "conflict").contains("superseded"), "{refused:?}");
        }
        partner.post(&path, json!({ "plan": "custom", "version": 4 })).await.problem(404, "not_found");
        assert_eq!(partner.post(&path, json!({ "plan": "custom", "version": 3 })).await.document(200)["version"], 3);
    }
    assert_eq!(owner.post(&path, json!({ "plan": "custom", "version": 1 })).await.document(200)["version"], 1);
    // A change ahead is not undone by giving the old version again.
    let partner = fixture.caller(fixture.partner, Role::Owner).await;
    owner.post("/v1/plans/custom/migrate", json!({ "starts": "period_end" })).await.document(200);
    partner.post(&path, json!({ "plan": "custom", "version": 1 })).await.problem(409, "conflict");
    let held = owner.get(&path).await.document(200);
    assert_eq!(held["items"].as_array().unwrap().last().unwrap()["status"], "scheduled", "{held}");
}

/// Gives a tenant what operations on its subscription, add-ons and coupons need: a plan, the plan of an
/// add-on and a coupon, each of its own.
pub(super) async fn prepare(fixture: &Fixture, target: TenantId, path: &str) {
    let (store, now) = (&fixture.store, SystemClock.now());
    if path.contains("/coupons") {
        let coupon = NewCoupon {
            issuer: Some(target),
            code: "WALK".into(),
            discount: CouponDiscount::Percent(5.into()),
            duration: CouponDuration::Forever,
            plans: Vec::new(),
            meter: None,
            redeem_by: None,
            max_redemptions: None,
        };
        store.create_coupon(&coupon, now).await.unwrap();
        store.create_coupon(&NewCoupon { code: "GONE".into(), ..coupon }, now).await.unwrap();
    } else {
        let plan = "id: seat, name: Seat, currency: USD, flat_fee: '1.00'";
        let plans = PlanFile::parse(&format!("plans: [{{ {plan} }}]"), "test").unwrap().plans;
        store.apply_plans_of(Some(target), &plans, now).await.unwrap();
        store.assign_plan(target, &"growth".parse().unwrap(), None, PlanStart::Now, now).await.unwrap();
    }
}
