//! The state of the books, refusals, drafts and runs: what the console shows of an installation.

use common::{
    admin::Role,
    time::{Clock as _, SystemClock},
};
use serde_json::json;
use servers::eventually;

use super::fixture::Fixture;

/// A fixture whose second root is gone.
async fn with_one_root() -> Fixture {
    let fixture = Fixture::open().await;
    let other = fixture.caller(fixture.other_root, Role::Owner).await;
    other.delete(&format!("/v1/tenants/{}", fixture.stranger)).await.document(200);
    fixture.store.delete_tenant(fixture.other_root, None, SystemClock.now()).await.unwrap();
    fixture
}

#[tokio::test]
async fn only_root_sees_the_books_and_two_roots_see_nothing_of_each_other() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    for path in ["/v1/books", "/v1/books/audit", "/v1/invoice-drafts"] {
        let detail = owner.get(path).await.problem(403, "forbidden");
        assert!(detail.contains("several tenants of kind root"), "{detail}");
    }
    let fixture = with_one_root().await;
    let viewer = fixture.caller(fixture.root, Role::Viewer).await;
    // The program writes down its jobs once it serves.
    let books = eventually("jobs are there", async || {
        let books = viewer.get("/v1/books").await.document(200);
        let is_there = books["jobs"].as_array()?.iter().any(|job| job["kind"] == "issue_invoices");
        is_there.then_some(books)
    })
    .await;
    assert_eq!((&books["open_gaps"], &books["dead_letters"]), (&json!(0), &json!(0)));
    let audit = viewer.get("/v1/books/audit").await.document(200);
    assert_eq!((&audit["clean"], &audit["faults"]), (&json!(true), &json!([])));
    let partner = fixture.caller(fixture.partner, Role::Owner).await;
    partner.get("/v1/books").await.problem(403, "forbidden");
}

#[tokio::test]
async fn drafts_have_a_bill_for_each_payer_and_a_run_issues_nothing_before_a_period_ends() {
    let fixture = with_one_root().await;
    let owner = fixture.owner().await;
    let drafts = owner.get("/v1/invoice-drafts").await.document(200);
    let payers: Vec<_> = drafts["drafts"].as_array().unwrap().iter().map(|draft| &draft["tenant"]).collect();
    assert!(payers.contains(&&json!(fixture.partner.to_string())), "{drafts}");
    let preview = owner.get(&format!("/v1/tenants/{}/invoice-preview", fixture.partner)).await.document(200);
    let draft =
        drafts["drafts"].as_array().unwrap().iter().find(|draft| draft["tenant"] == fixture.partner.to_string());
    assert_eq!(draft.unwrap()["subtotal"], preview["current"][0]["subtotal"]);
    // Periods before this one have ended, so the first run issues them, and the second none.
    let issued = |run: &serde_json::Value| run["issued"].as_array().unwrap().len();
    let first = owner.post("/v1/invoice-runs", json!({})).await.document(200);
    let second = owner.post("/v1/invoice-runs", json!({})).await.document(200);
    assert!(issued(&first) > 0 && issued(&second) == 0, "{first} {second}");
    let invoice = first["issued"][0]["id"].as_str().unwrap();
    let explained = owner.get(&format!("/v1/invoices/{invoice}/explanation")).await.document(200);
    assert_eq!(explained["from_frozen_usage"], "same", "{explained}");
    assert!(!explained["subscriptions"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn customer_changes_to_plans_that_are_open_to_that_and_asks_for_one_top_up_at_a_time() {
    let fixture = Fixture::open().await;
    let (owner, own) = (fixture.owner().await, fixture.caller(fixture.partner, Role::Billing).await);
    let choice = format!("/v1/tenants/{}/plan-choice", fixture.partner);
    let refused = own.post(&choice, json!({ "plan": "growth" })).await.problem(409, "conflict");
    assert!(refused.contains("ask the tenant above"), "{refused}");
    let opened = owner.put("/v1/plans/growth/self-service", json!({ "allowed": true })).await.document(200);
    assert_eq!(opened["self_service"], true);
    assert_eq!(own.get("/v1/plans/growth").await.document(200)["self_service"], true);
    assert_eq!(own.post(&choice, json!({ "plan": "growth" })).await.document(200)["plan"], "growth");
    owner.put("/v1/plans/growth/self-service", json!({ "allowed": false })).await.document(200);
    own.post(&choice, json!({ "plan": "growth" })).await.problem(409, "conflict");

    let top_ups = format!("/v1/tenants/{}/wallet/top-ups", fixture.partner);
    let asked = own.post(&top_ups, json!({ "amount": 5_000, "currency": "USD" })).await.document(201);
    assert_eq!((&asked["status"], &asked["issuer"]), (&json!("open"), &json!(fixture.root.to_string())));
    own.post(&top_ups, json!({ "amount": 1, "currency": "USD" })).await.problem(409, "conflict");
    own.post(&top_ups, json!({ "amount": 0, "currency": "EUR" })).await.problem(422, "refused");
    let confirm = format!("{top_ups}/{}/confirm", asked["id"].as_str().unwrap());
    own.order(&confirm).await.problem(403, "forbidden");
    owner.order(&confirm).await.document(200);
    let wallets = own.get(&format!("/v1/tenants/{}/wallet", fixture.partner)).await.document(200);
    assert_eq!(wallets["wallets"][0]["balance"], 5_000, "{wallets}");
}

#[tokio::test]
async fn seller_of_a_customer_is_its_reseller_and_of_a_root_itself() {
    let fixture = Fixture::open().await;
    let shop = fixture.caller(fixture.shop, Role::Viewer).await;
    let seller = shop.get(&format!("/v1/tenants/{}/seller", fixture.shop)).await.document(200);
    assert_eq!(seller["name"], "Partner");
    assert!(seller.get("id").is_none() && seller.get("template").is_none(), "{seller}");
    let root = fixture.caller(fixture.root, Role::Viewer).await;
    let own = root.get(&format!("/v1/tenants/{}/seller", fixture.root)).await.document(200);
    assert_eq!(own["name"], root.get(&format!("/v1/tenants/{}", fixture.root)).await.document(200)["name"]);
}

#[tokio::test]
async fn simulation_rates_past_usage_by_a_plan_that_is_not_stored() {
    let fixture = with_one_root().await;
    let owner = fixture.owner().await;
    let drafts = owner.get("/v1/invoice-drafts").await.document(200);
    let draft = drafts["drafts"].as_array().unwrap().iter().find(|one| one["tenant"] == fixture.partner.to_string());
    let plan = draft.unwrap()["plan"].as_str().unwrap().to_owned();
    let document = owner.get(&format!("/v1/plans/{plan}")).await.document(200);
    let mut dearer = document["plan"].clone();
    dearer["flat_fee"] = json!("12345.67");
    let period = drafts["as_of"].as_str().unwrap()[..7].to_owned();
    let body = json!({ "plan": dearer, "from": period });
    let simulated = owner.post("/v1/plan-simulations", body.clone()).await.document(200);
    let bill = simulated["bills"].as_array().unwrap().iter().find(|one| one["tenant"] == fixture.partner.to_string());
    let bill = bill.unwrap_or_else(|| panic!("{simulated}"));
    assert_eq!(bill["now"], draft.unwrap()["subtotal"]);
    assert_ne!(bill["then"], bill["now"]);
    assert_eq!(owner.get(&format!("/v1/plans/{plan}")).await.document(200), document, "nothing is stored");
    let reseller = fixture.caller(fixture.partner, Role::Owner).await;
    reseller.post("/v1/plan-simulations", body).await.problem(403, "forbidden");
    let long = json!({ "plan": dearer, "from": "2024-01", "to": "2026-01" });
    owner.post("/v1/plan-simulations", long).await.problem(422, "refused");
}
