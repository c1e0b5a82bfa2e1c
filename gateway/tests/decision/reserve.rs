//! Reservations: held, settled once, or given back.

use serde_json::json;

use crate::{
    api::Api,
    support::{Fixture, eventually},
};

#[tokio::test(flavor = "multi_thread")]
async fn settlement_charges_and_bills_what_was_used() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("capped")).await;
    let api = Api::start(&fixture).await;
    let secret = &customer.secret;
    let reservation = api.reserve(secret, 4).await;
    assert_eq!(api.outcome(secret, json!({ "units": 2 })).await, "quota_exceeded", "four of five are held");
    let settled =
        api.post("/settle", Some(secret), json!({ "reservation_id": reservation, "units": 1 }).to_string()).await;
    assert_eq!(settled.status(), 200);
    let settled: serde_json::Value = settled.json().await.unwrap();
    assert_eq!(settled, json!({ "reservation_id": reservation, "units": 1, "status": 200, "billable": true }));
    assert_eq!(api.outcome(secret, json!({ "units": 4 })).await, "allow", "three went back");
    assert_eq!(api.outcome(secret, json!({})).await, "quota_exceeded");
    api.end().await;
    let mut units: Vec<_> = fixture.billing.records(customer.tenant).iter().map(|record| record.units).collect();
    units.sort_unstable();
    assert_eq!(units, [1, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reservation_is_settled_once_and_only_under_its_id() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let api = Api::start(&fixture).await;
    let reservation = api.reserve(&customer.secret, 3).await;
    assert_eq!(reservation.len(), 32);
    assert_eq!(api.settle(&customer.secret, &"0".repeat(32), 1).await, (404, json!("reservation_not_found")));
    let together = futures_util::future::join_all((0..20).map(|_| api.settle(&customer.secret, &reservation, 2))).await;
    let succeeded = together.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(succeeded, 1, "{together:?}");
    let repeated = (409, json!("reservation_settled"));
    assert_eq!(together.iter().filter(|answer| **answer == repeated).count(), 19, "{together:?}");

    let failed = api.reserve(&customer.secret, 3).await;
    let body = json!({ "reservation_id": failed, "units": 5, "status": 503 });
    let settled: serde_json::Value =
        api.post("/settle", Some(&customer.secret), body.to_string()).await.json().await.unwrap();
    assert_eq!((&settled["units"], &settled["billable"]), (&json!(5), &json!(false)));
    api.end().await;
    let mut found: Vec<_> = fixture
        .billing
        .records(customer.tenant)
        .iter()
        .map(|record| (record.units, record.status, record.billable, record.route.to_string()))
        .collect();
    found.sort_unstable();
    assert_eq!(found, [(2, 200, true, "check".to_owned()), (5, 503, false, "check".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_reservation_returns_units_and_is_not_billed() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("capped")).await;
    let api = Api::start_with(&fixture, ", reservation_seconds: 1").await;
    let secret = &customer.secret;
    let reservation = api.reserve(secret, 5).await;
    assert_eq!(api.outcome(secret, json!({ "mode": "peek" })).await, "quota_exceeded");
    eventually("units back", || async {
        (api.outcome(secret, json!({ "mode": "peek", "units": 5 })).await == "allow").then_some(())
    })
    .await;
    assert_eq!(api.settle(secret, &reservation, 5).await, (404, json!("reservation_not_found")));
    assert_eq!(api.gateway.metric("tollgate_reservations").await, Some(0.0));
    assert_eq!(api.gateway.metric("tollgate_reservations_ended_total{end=\"expired\"}").await, Some(1.0));
    api.end().await;
    assert!(fixture.billing.records(customer.tenant).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn open_reservations_return_units_to_store_at_the_end() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("capped")).await;
    let api = Api::start(&fixture).await;
    let reservation = api.reserve(&customer.secret, 5).await;
    api.end().await;
    let next = Api::start(&fixture).await;
    assert_eq!(next.settle(&customer.secret, &reservation, 5).await, (404, json!("reservation_not_found")));
    assert_eq!(next.outcome(&customer.secret, json!({ "units": 5 })).await, "allow");
    next.end().await;
    assert_eq!(fixture.billing.records(customer.tenant).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_room_for_so_many() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let api = Api::start_with(&fixture, ", reservations: 2").await;
    let first = api.reserve(&customer.secret, 1).await;
    api.reserve(&customer.secret, 1).await;
    let refused = api.post("/check", Some(&customer.secret), json!({ "mode": "reserve" }).to_string()).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let problem: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "reservations_exhausted");
    assert_eq!(api.outcome(&customer.secret, json!({})).await, "allow");
    assert_eq!(api.settle(&customer.secret, &first, 1).await.0, 200);
    api.reserve(&customer.secret, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_that_holds_its_share_is_refused_and_others_are_not() {
    let fixture = Fixture::new().await;
    let [greedy, modest] = [fixture.customer(Some("roomy")).await, fixture.customer(Some("roomy")).await];
    let api = Api::start_with(&fixture, ", reservations: 20, reservations_per_key: 3").await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(api.reserve(&greedy.secret, 1).await);
    }
    for _ in 0..5 {
        let refused = api.post("/check", Some(&greedy.secret), json!({ "mode": "reserve" }).to_string()).await;
        assert_eq!(refused.status(), 503);
        let problem: serde_json::Value = refused.json().await.unwrap();
        assert_eq!(problem["code"], "reservations_exhausted");
        assert!(
            problem["detail"].as_str().unwrap().contains("the limit of 3 open reservations per API key"),
            "{problem}"
        );
    }
    for _ in 0..3 {
        api.reserve(&modest.secret, 1).await;
    }
    assert_eq!(api.settle(&greedy.secret, &held[0], 1).await.0, 200);
    api.reserve(&greedy.secret, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settlement_takes_the_credential_that_reserved_even_if_it_was_revoked_since() {
    let fixture = Fixture::new().await;
    let [customer, stranger] = [fixture.customer(Some("roomy")).await, fixture.customer(Some("roomy")).await];
    let api = Api::start(&fixture).await;
    let reservation = api.reserve(&customer.secret, 1).await;
    let body = json!({ "reservation_id": reservation, "units": 1 }).to_string();
    let anonymous = api.post("/settle", None, body.clone()).await;
    assert_eq!(anonymous.status(), 401);
    assert_eq!(anonymous.json::<serde_json::Value>().await.unwrap()["code"], "missing_credential");
    assert_eq!(api.settle(&stranger.secret, &reservation, 9).await, (404, json!("reservation_not_found")));
    let now = common::time::Clock::now(&common::time::SystemClock);
    fixture.store.revoke_key(customer.key, now).await.unwrap();
    eventually("the key is revoked", || async {
        (api.outcome(&customer.secret, json!({ "mode": "peek" })).await == "revoked_key").then_some(())
    })
    .await;
    assert_eq!(api.settle(&customer.secret, &reservation, 2).await.0, 200);
    assert_eq!(api.settle(&customer.secret, &reservation, 2).await, (409, json!("reservation_settled")));
    assert_eq!(api.settle(&stranger.secret, &reservation, 2).await, (404, json!("reservation_not_found")));
    api.end().await;
    let units: Vec<_> = fixture.billing.records(customer.tenant).iter().map(|record| record.units).collect();
    assert_eq!(units, [2]);
    assert!(fixture.billing.records(stranger.tenant).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn reservation_counts_against_the_rates() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("narrow")).await;
    let api = Api::start(&fixture).await;
    for _ in 0..3 {
        api.reserve(&customer.secret, 1).await;
    }
    assert_eq!(api.outcome(&customer.secret, json!({ "mode": "reserve" })).await, "rate_limited");
    assert_eq!(api.gateway.status("/", &customer.secret).await, 429);
}
