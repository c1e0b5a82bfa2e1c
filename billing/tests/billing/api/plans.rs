//! Plans on offer: applied, looked at, taken off, and those who have them brought along.

use serde_json::{Value, json};

use super::desk::Desk;
use crate::topic::sites;

fn plan(fee: &str) -> Value {
    json!({
        "id": "custom", "name": "Custom", "currency": "EUR", "flat_fee": fee,
        "charges": [{ "meter": "requests", "included": 10, "tiers": [{ "price": { "amount": "0.10", "per": 1000 } }] }],
        "quotas": [{ "meter": "images", "per_month": 5, "kind": "soft" }],
        "limits": { "tenant": { "per_second": 5 }, "pool": { "per_day": { "limit": 100, "burst": 10 } }, "pool_mode": "partitioned" },
    })
}

#[tokio::test]
async fn a_changed_plan_is_a_new_version_and_nobody_is_moved_unasked() {
    for site in sites() {
        let desk = Desk::at(site).await;
        let owner = desk.owner().await;
        let outcome = async |fee| {
            let applied = owner.put("/v1/plans", json!({ "plans": [plan(fee)] })).await.document(200);
            (
                applied["items"][0]["version"].as_i64().unwrap(),
                applied["items"][0]["outcome"].as_str().unwrap().to_owned(),
            )
        };
        assert_eq!(outcome("1.00").await, (1, "created".into()));
        assert_eq!(outcome("1.00").await, (1, "unchanged".into()));
        let subscriptions = format!("/v1/tenants/{}/subscriptions", desk.rival);
        owner.post(&subscriptions, json!({ "plan": "custom" })).await.document(200);
        assert_eq!(outcome("2.00").await, (2, "updated".into()));
        let latest = owner.get("/v1/plans/custom").await.document(200);
        assert_eq!((&latest["version"], &latest["plan"]["flat_fee"]), (&json!(2), &json!("2.00")));
        assert_eq!(latest["plan"]["limits"]["tenant"]["per_second"], json!({ "limit": 5, "burst": 5 }));
        assert_eq!(latest["plan"]["limits"]["pool_mode"], "partitioned");
        let first = owner.get("/v1/plans/custom?version=1").await.document(200);
        assert_eq!(first["plan"]["flat_fee"], "1.00");
        let versions = owner.get("/v1/plans/custom/versions").await.document(200);
        assert_eq!(versions["items"].as_array().map(Vec::len), Some(2));

        let held = async || {
            owner.get(&subscriptions).await.document(200)["items"].as_array().unwrap().last().cloned().unwrap()
        };
        assert_eq!(held().await["version"], 1);
        let in_force = owner.get("/v1/subscriptions?plan=custom").await.document(200);
        assert_eq!((&in_force["items"], &in_force["next_cursor"]), (&json!([held().await]), &Value::Null));
        let moved = owner.post("/v1/plans/custom/migrate", json!({ "starts": "period_end" })).await.document(200);
        assert_eq!(moved["tenants"], json!([desk.rival]));
        assert_eq!((&held().await["version"], &held().await["status"]), (&json!(2), &json!("scheduled")));
    }
}

#[tokio::test]
async fn what_a_plan_document_says_can_be_applied_again() {
    let desk = Desk::open().await;
    let owner = desk.owner().await;
    owner.put("/v1/plans", json!({ "plans": [plan("1.00")] })).await.document(200);
    let listed = owner.get("/v1/plans").await.document(200);
    let plans: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| item["plan"].clone()).collect();
    assert!(plans.len() > 3);
    let applied = owner.put("/v1/plans", json!({ "plans": plans })).await.document(200);
    for outcome in applied["items"].as_array().unwrap() {
        assert_eq!(outcome["outcome"], "unchanged", "{outcome}");
    }
}

#[tokio::test]
async fn a_plan_off_offer_stays_with_those_who_have_it() {
    let desk = Desk::open().await;
    let owner = desk.owner().await;
    for _ in 0..2 {
        assert_eq!(owner.order("/v1/plans/growth/deprecate").await.document(200)["deprecated"], true);
    }
    let path = format!("/v1/tenants/{}/subscriptions", desk.shop);
    assert!(owner.post(&path, json!({ "plan": "growth" })).await.problem(409, "conflict").contains("not on offer"));
    let held = owner.get(&format!("/v1/tenants/{}/limits", desk.rival)).await.document(200);
    assert_eq!(held["terms"]["plan"], "growth");
    assert_eq!(owner.order("/v1/plans/growth/restore").await.document(200)["deprecated"], false);
    owner.post(&path, json!({ "plan": "growth" })).await.document(200);
    for path in ["/v1/plans/unheard_of", "/v1/plans/Not%20a%20plan", "/v1/plans/growth?version=99"] {
        owner.get(path).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn plans_are_applied_together_or_not_at_all() {
    let desk = Desk::open().await;
    let owner = desk.owner().await;
    let mut bad = plan("1.00");
    bad["id"] = json!("bad");
    bad["limits"]["tenant"]["per_second"] = json!(0);
    let refused = owner.put("/v1/plans", json!({ "plans": [plan("1.00"), bad] })).await;
    assert!(refused.problem(422, "refused").contains("limits.tenant.per_second"), "{refused:?}");
    owner.get("/v1/plans/custom").await.problem(404, "not_found");
    owner.put("/v1/plans", json!({ "plans": [plan("1.00"), plan("2.00")] })).await.problem(422, "refused");
}
