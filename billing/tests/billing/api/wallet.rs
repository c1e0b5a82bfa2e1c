//! Wallets: the issuer grants, the tenant sees.

use common::{
    admin::Role,
    money::{Currency, Money},
    time::{Clock as _, SystemClock},
};
use serde_json::json;

use super::fixture::Fixture;
use crate::topic::deployments;

#[tokio::test]
async fn money_is_granted_once_shown_and_taken_back() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        let owner = fixture.owner().await;
        let path = format!("/v1/tenants/{}/wallet", fixture.shop);
        let grants = format!("{path}/grants");
        let new = json!({ "amount": 2_500, "currency": "USD", "kind": "paid", "reference": "order-1" });
        let first = owner.post(&grants, new.clone()).await.document(201);
        assert_eq!(
            (&first["left"], &first["issuer"], &first["priority"]),
            (&json!(2_500), &json!(fixture.partner), &json!(50))
        );
        assert_eq!(owner.post(&grants, new).await.document(201)["id"], first["id"]);
        let other = json!({ "amount": 1, "currency": "USD", "kind": "paid", "reference": "order-1" });
        assert!(owner.post(&grants, other).await.problem(409, "conflict").contains("order-1"));
        let named = owner.with("idempotency-key", "grant-2");
        let given = json!({ "amount": 500, "currency": "USD", "kind": "promotional", "priority": 0 });
        let second = named.post(&grants, given.clone()).await.document(201);
        let again = named.post(&grants, given).await;
        assert_eq!((&again.document(200)["id"], again.header("idempotency-replayed")), (&second["id"], "true"));

        let before = SystemClock.now();
        let money = Money::from_minor(700, Currency::USD);
        fixture.store.use_money((fixture.partner, fixture.shop), money, "inv_1", before).await.unwrap();
        let shown = owner.get(&path).await.document(200);
        let wallet = json!({
            "issuer": fixture.partner, "currency": "USD", "balance": 2_300, "available": 2_300, "overdraft": 0,
            "top_up": null,
        });
        assert_eq!(shown["wallets"], json!([wallet]));
        let as_of = owner.get(&format!("{path}?at={}", before.plus_seconds(-3_600))).await.document(200);
        assert_eq!(as_of["wallets"][0]["balance"], 0);
        let listed = owner.get(&format!("{grants}?limit=1")).await.document(200);
        let cursor = listed["next_cursor"].as_str().unwrap();
        let rest = owner.get(&format!("{grants}?cursor={cursor}")).await.document(200);
        assert_eq!((&listed["items"][0]["left"], &rest["items"][0]["left"]), (&json!(2_300), &json!(0)));

        let void = format!("{grants}/{}/void", first["id"].as_str().unwrap());
        for _ in 0..2 {
            let voided = owner.post(&void, json!({ "reason": "a slip" })).await.document(200);
            assert_eq!((&voided["left"], &voided["void_reason"]), (&json!(0), &json!("a slip")));
        }
        assert_eq!(owner.get(&path).await.document(200)["wallets"][0]["balance"], 0);
        for (action, count) in [("wallet.grant", 2), ("wallet.void", 1)] {
            let logged = owner.get(&format!("/v1/audit?action={action}")).await.document(200);
            assert_eq!(logged["items"].as_array().map(Vec::len), Some(count), "{logged}");
        }
        assert_eq!(fixture.store.ledger_faults().await.unwrap(), []);
    }
}

#[tokio::test]
async fn tenant_sees_its_wallet_and_grants_nothing() {
    let fixture = Fixture::open().await;
    let path = format!("/v1/tenants/{}/wallet", fixture.shop);
    let grants = format!("{path}/grants");
    let new = json!({ "amount": 100, "currency": "EUR", "kind": "paid" });
    let partner = fixture.caller(fixture.partner, Role::Billing).await;
    let grant = partner.post(&grants, new.clone()).await.document(201);
    let own = fixture.caller(fixture.shop, Role::Owner).await;
    assert_eq!(own.get(&path).await.document(200)["wallets"][0]["balance"], 100);
    assert_eq!(own.get(&grants).await.document(200)["items"][0]["id"], grant["id"]);
    own.post(&grants, new.clone()).await.problem(403, "forbidden");
    own.put(&path, json!({ "currency": "EUR", "overdraft": 5 })).await.problem(403, "forbidden");
    let void = format!("{grants}/{}/void", grant["id"].as_str().unwrap());
    own.post(&void, json!({ "reason": "mine" })).await.problem(403, "forbidden");
    fixture.caller(fixture.partner, Role::Viewer).await.post(&grants, new.clone()).await.problem(403, "forbidden");
    let rival = fixture.caller(fixture.rival, Role::Owner).await;
    rival.get(&path).await.problem(404, "not_found");
    rival.post(&grants, new.clone()).await.problem(404, "not_found");
    rival.post(&format!("/v1/tenants/{}/wallet/grants", fixture.rival), new).await.problem(403, "forbidden");
    partner
        .post(&format!("{grants}/grt_01jd0000000000000000000000/void"), json!({ "reason": "x" }))
        .await
        .problem(404, "not_found");
    partner.post(&format!("{grants}/nonsense/void"), json!({ "reason": "x" })).await.problem(404, "not_found");
    for bad in [
        json!({ "amount": 0, "currency": "USD", "kind": "paid" }),
        json!({ "amount": 5, "currency": "XXX", "kind": "paid" }),
        json!({ "amount": 5, "currency": "USD", "kind": "paid", "expires_at": "2020-01-01T00:00:00Z" }),
        json!({ "amount": 5, "currency": "USD", "kind": "paid", "issuer": fixture.rival }),
    ] {
        partner.post(&grants, bad).await.problem(422, "refused");
    }
    for bad in [
        json!({ "amount": "5", "currency": "USD", "kind": "paid" }),
        json!({ "amount": 5, "currency": "Dollar", "kind": "paid" }),
        json!({ "amount": 5, "currency": "USD", "kind": "stolen" }),
        json!({ "amount": 5, "currency": "USD", "kind": "paid", "prioritiy": 1 }),
    ] {
        partner.post(&grants, bad).await.problem(400, "body_invalid");
    }
}

#[tokio::test]
async fn wallet_below_its_threshold_asks_for_a_top_up() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let path = format!("/v1/tenants/{}/wallet", fixture.shop);
    let policy =
        json!({ "currency": "USD", "overdraft": 50, "top_up": { "threshold": 1_000, "target": 5_000, "per_day": 2 } });
    let set = owner.put(&path, policy.clone()).await.document(200);
    assert_eq!((&set["overdraft"], &set["top_up"], &set["available"]), (&json!(50), &policy["top_up"], &json!(50)));
    let bad = json!({ "currency": "USD", "top_up": { "threshold": 1_000, "target": 1_000, "per_day": 2 } });
    assert!(owner.put(&path, bad).await.problem(422, "refused").starts_with("top_up.target"));
    fixture.store.request_top_ups(SystemClock.now()).await.unwrap();
    let asked = owner.get(&format!("{path}/top-ups")).await.document(200);
    let (id, amount) = (asked["items"][0]["id"].as_str().unwrap(), &asked["items"][0]["amount"]);
    assert_eq!((amount, &asked["items"][0]["status"]), (&json!(5_000), &json!("open")));
    let granted = owner.order(&format!("{path}/top-ups/{id}/confirm")).await.document(200);
    assert_eq!((&granted["reference"], &granted["left"]), (&json!(id), &json!(5_000)));
    owner.order(&format!("{path}/top-ups/{id}/cancel")).await.problem(409, "conflict");
    let own = fixture.caller(fixture.shop, Role::Owner).await;
    own.order(&format!("{path}/top-ups/{id}/confirm")).await.problem(403, "forbidden");
    assert_eq!(own.get(&format!("{path}/top-ups")).await.document(200)["items"][0]["status"], "paid");
}
