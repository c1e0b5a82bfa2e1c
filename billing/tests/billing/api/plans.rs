//! Plans: applied, listed, deprecated, upgraded.

use common::admin::Role;
use serde_json::{Value, json};

use super::fixture::Fixture;
use crate::topic::deployments;

pub(super) fn plan(fee: &str) -> Value {
    json!({
        "id": "custom", "name": "Custom", "currency": "EUR", "flat_fee": fee,
        "charges": [{ "meter": "requests", "included": 10, "tiers": [{ "price": { "amount": "0.10", "per": 1000 } }] }],
        "quotas": [{ "meter": "images", "per_month": 5, "kind": "soft" }],
        "limits": { "tenant": { "per_second": 5 }, "pool": { "per_day": { "limit": 100, "burst": 10 } }, "pool_mode": "partitioned" },
    })
}

#[tokio::test]
async fn changed_plan_becomes_a_new_version_and_moves_no_subscription() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        let owner = fixture.owner().await;
        let outcome = async |fee| {
            let applied = owner.put("/v1/plans", json!({ "plans": [plan(fee)] })).await.document(200);
            (
                applied["items"][0]["version"].as_i64().unwrap(),
                applied["items"][0]["outcome"].as_str().unwrap().to_owned(),
            )
        };
        assert_eq!(outcome("1.00").await, (1, "created".into()));
        assert_eq!(outcome("1.00").await, (1, "unchanged".into()));
        let subscriptions = format!("/v1/tenants/{}/subscriptions", fixture.rival);
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
        assert_eq!(moved["tenants"], json!([fixture.rival]));
        assert_eq!((&held().await["version"], &held().await["status"]), (&json!(2), &json!("scheduled")));
    }
}

#[tokio::test]
async fn plan_document_can_be_applied_again() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
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
async fn deprecated_plan_stays_with_its_subscribers() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    for _ in 0..2 {
        assert_eq!(owner.order("/v1/plans/growth/deprecate").await.document(200)["deprecated"], true);
    }
    let path = format!("/v1/tenants/{}/subscriptions", fixture.shop);
    assert!(owner.post(&path, json!({ "plan": "growth" })).await.problem(409, "conflict").contains("not on offer"));
    let held = owner.get(&format!("/v1/tenants/{}/limits", fixture.rival)).await.document(200);
    assert_eq!(held["terms"]["plan"], "growth");
    assert_eq!(owner.order("/v1/plans/growth/restore").await.document(200)["deprecated"], false);
    owner.post(&path, json!({ "plan": "growth" })).await.document(200);
    for path in ["/v1/plans/unheard_of", "/v1/plans/Not%20a%20plan", "/v1/plans/growth?version=99"] {
        owner.get(path).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn plans_are_applied_all_or_none() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let mut bad = plan("1.00");
    bad["id"] = json!("bad");
    bad["limits"]["tenant"]["per_second"] = json!(0);
    let refused = owner.put("/v1/plans", json!({ "plans": [plan("1.00"), bad] })).await;
    assert!(refused.problem(422, "refused").contains("limits.tenant.per_second"), "{refused:?}");
    owner.get("/v1/plans/custom").await.problem(404, "not_found");
    owner.put("/v1/plans", json!({ "plans": [plan("1.00"), plan("2.00")] })).await.problem(422, "refused");
}

#[tokio::test]
async fn two_roots_have_separate_plans_of_the_same_name() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        let (ours, theirs) = (fixture.owner().await, fixture.caller(fixture.other_root, Role::Owner).await);
        ours.put("/v1/plans", json!({ "plans": [plan("1.00")] })).await.document(200);
        // Nothing tells that somebody else has a plan of this name: neither here, nor by a
        // conflict.
        theirs.get("/v1/plans/custom").await.problem(404, "not_found");
        let applied = theirs.put("/v1/plans", json!({ "plans": [plan("7.00")] })).await.document(200);
        assert_eq!((&applied["items"][0]["version"], &applied["items"][0]["outcome"]), (&json!(1), &json!("created")));
        let shown = ours.get("/v1/plans/custom").await.document(200);
        assert_eq!((&shown["plan"]["flat_fee"], &shown["owner"]), (&json!("1.00"), &json!(fixture.root)));
        for path in ["/v1/plans/growth", "/v1/plans/growth/versions", "/v1/plans"] {
            let of_other = ours.get(&format!("{path}?owner={}", fixture.other_root)).await;
            if path == "/v1/plans" {
                assert_eq!(of_other.document(200)["items"], json!([]));
            } else {
                of_other.problem(404, "not_found");
            }
        }
        for verb in ["deprecate", "restore"] {
            let of_other = ours.order(&format!("/v1/plans/growth/{verb}?owner={}", fixture.other_root)).await;
            of_other.problem(404, "not_found");
        }
        let of_other = format!("/v1/plans?owner={}", fixture.other_root);
        ours.put(&of_other, json!({ "plans": [plan("9.00")] })).await.problem(404, "not_found");
        // The owner's log shows what was done, and nobody else's does.
        let logged = theirs.get("/v1/audit?action=plan.apply&subject=custom").await.document(200);
        assert_eq!(logged["items"].as_array().map(Vec::len), Some(1), "{logged}");
        assert_eq!(logged["items"][0]["tenant"], json!(fixture.other_root));
        ours.order("/v1/plans/custom/deprecate").await.document(200);
        assert_eq!(theirs.get("/v1/plans/custom").await.document(200)["deprecated"], false);
    }
}

#[tokio::test]
async fn plan_for_one_tenant_is_offered_to_it_alone() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let open = |fee: &str| {
        let mut open = plan(fee);
        open["limits"] = json!({});
        json!({ "plans": [open] })
    };
    owner.put(&format!("/v1/plans?owner={}", fixture.partner), open("3.00")).await.document(200);
    let assign = async |tenant| {
        let path = format!("/v1/tenants/{tenant}/subscriptions");
        owner.post(&path, json!({ "plan": "custom" })).await
    };
    assert_eq!(assign(fixture.shop).await.document(200)["plan_owner"], json!(fixture.partner));
    assign(fixture.rival).await.problem(404, "not_found");
    // The nearest above counts.
    owner.put("/v1/plans", open("5.00")).await.document(200);
    assert_eq!(assign(fixture.rival).await.document(200)["plan_owner"], json!(fixture.root));
    assert_eq!(assign(fixture.shop).await.document(200)["plan_owner"], json!(fixture.partner));
    let partner = fixture.caller(fixture.partner, Role::Owner).await;
    let seen = partner.get("/v1/plans/custom").await.document(200);
    assert_eq!((&seen["owner"], &seen["plan"]["flat_fee"]), (&json!(fixture.partner), &json!("3.00")));
    // Prices are written by whoever sells the API, and by no reseller for itself or for those
    // below.
    for target in [fixture.partner, fixture.shop] {
        partner.put(&format!("/v1/plans?owner={target}"), open("0.00")).await.problem(403, "forbidden");
    }
    // Who moves away from the owner of its plan needs another first.
    let moved = json!({ "parent": fixture.rival });
    let refused = owner.post(&format!("/v1/tenants/{}/move", fixture.shop), moved.clone()).await;
    assert!(refused.problem(409, "conflict").contains("give it another plan first"), "{refused:?}");
    owner.delete(&format!("/v1/tenants/{}/subscriptions", fixture.shop)).await;
    owner.post(&format!("/v1/tenants/{}/move", fixture.shop), moved).await.document(200);
}

#[tokio::test]
async fn plans_are_listed_in_pages() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let named = |number: usize| {
        let mut one = plan("1.00");
        one["id"] = json!(format!("plan-{number:04}"));
        one
    };
    let many: Vec<_> = (0..101).map(named).collect();
    let refused = owner.put("/v1/plans", json!({ "plans": many })).await;
    assert!(refused.problem(422, "refused").contains("at most 100"), "{refused:?}");
    owner.put("/v1/plans", json!({ "plans": many[..60] })).await.document(200);
    let (mut met, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = owner.get(&format!("/v1/plans?limit=25{cursor}")).await.document(200);
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 25);
        met.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let mut sorted = met.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((met.len(), &met), (65, &sorted), "five shipped ones and sixty, each once and in order");
    for fee in ["2.00", "3.00"] {
        let mut one = named(0);
        one["flat_fee"] = json!(fee);
        owner.put("/v1/plans", json!({ "plans": [one] })).await.document(200);
    }
    let page = owner.get("/v1/plans/plan-0000/versions?limit=2").await.document(200);
    assert_eq!((&page["items"][0]["version"], page["items"].as_array().map(Vec::len)), (&json!(3), Some(2)));
    let next = page["next_cursor"].as_str().unwrap();
    let last = owner.get(&format!("/v1/plans/plan-0000/versions?limit=2&cursor={next}")).await.document(200);
    assert_eq!((&last["items"][0]["version"], &last["next_cursor"]), (&json!(1), &Value::Null));
    // What is inside a plan is bounded too.
    let mut wide = plan("1.00");
    wide["quotas"] = (0..101).map(|number| json!({ "meter": format!("m{number}"), "per_month": 1 })).collect();
    let refused = owner.put("/v1/plans", json!({ "plans": [wide] })).await;
    assert!(refused.problem(422, "refused").contains("at most 100"), "{refused:?}");
}
