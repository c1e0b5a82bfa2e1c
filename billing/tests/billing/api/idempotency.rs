//! Creations that are asked for again happen once.

use common::admin::Role;
use serde_json::{Value, json};

use super::fixture::{Caller, Fixture};
use crate::topic::deployments;

async fn tenants_named(caller: &Caller<'_>, name: &str) -> usize {
    let listed = caller.get("/v1/tenants?limit=1000").await.document(200);
    listed["items"].as_array().unwrap().iter().filter(|tenant| tenant["name"] == name).count()
}

#[tokio::test]
async fn repeated_creation_returns_the_first_answer() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        let owner = fixture.owner().await;
        let named = owner.with("idempotency-key", "one");
        let new = json!({ "name": "Once", "parent": fixture.root });
        let first = named.post("/v1/tenants", new.clone()).await;
        let tenant = first.document(201);
        assert_eq!(first.header("idempotency-replayed"), "");
        owner.patch(first.header("location"), json!({ "name": "Renamed" })).await.document(200);
        let again = named.post("/v1/tenants", new.clone()).await;
        assert_eq!(
            (again.document(200)["id"].clone(), again.header("idempotency-replayed")),
            (tenant["id"].clone(), "true")
        );
        assert_eq!((&again.document(200)["name"], again.header("etag")), (&json!("Renamed"), "\"2\""), "as it is now");

        let other = json!({ "name": "Twice", "parent": fixture.root });
        named.post("/v1/tenants", other).await.problem(422, "idempotency_mismatch");
        named
            .post("/v1/keys", json!({ "tenant": fixture.shop, "name": "k" }))
            .await
            .problem(422, "idempotency_mismatch");
        assert_eq!(tenants_named(&owner, "Twice").await, 0);
        let somebody_else = fixture.caller(fixture.root, Role::Admin).await.with("idempotency-key", "one");
        somebody_else.post("/v1/tenants", new).await.document(201);
    }
}

#[tokio::test]
async fn repeated_creation_does_not_show_the_secret_again() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let twice = async |path: &str, body: Value, name: &str| {
        let named = owner.with("idempotency-key", name);
        let first = named.post(path, body.clone()).await.document(201);
        let again = named.post(path, body).await;
        assert_eq!(again.header("cache-control"), "no-store");
        let document = again.document(200);
        assert!(first["secret"].is_string() && document.get("secret").is_none(), "{document}");
        assert_eq!(first["key"], document["key"]);
        first
    };
    let created = twice("/v1/keys", json!({ "tenant": fixture.shop, "name": "live" }), "a").await;
    let path = format!("/v1/keys/{}/rotate", created["key"]["id"].as_str().unwrap());
    let rotated = twice(&path, json!({ "grace_seconds": 60 }), "b").await;
    assert_eq!(rotated["key"]["replaces"], created["key"]["id"]);
    twice("/v1/admin-keys", json!({ "tenant": fixture.shop, "name": "ci", "role": "viewer" }), "c").await;
}

#[tokio::test]
async fn concurrent_creations_under_one_idempotency_key_create_one() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        let owner = fixture.owner().await.with("idempotency-key", "at once");
        let new = json!({ "name": "Only", "parent": fixture.root });
        let post = || owner.post("/v1/tenants", new.clone());
        let answers = tokio::join!(post(), post(), post(), post(), post(), post());
        let answers = [answers.0, answers.1, answers.2, answers.3, answers.4, answers.5];
        let created = answers.iter().filter(|answer| answer.status == 201).count();
        let replayed = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!((created, replayed), (1, 5), "{answers:?}");
        assert_eq!(tenants_named(&owner, "Only").await, 1);
    }
}

#[tokio::test]
async fn refused_creation_leaves_its_idempotency_key_free() {
    let fixture = Fixture::open().await;
    let named = fixture.owner().await.with("idempotency-key", "again");
    named.post("/v1/tenants", json!({ "name": " ", "parent": fixture.root })).await.problem(422, "refused");
    named.post("/v1/tenants", json!({ "name": "Good", "parent": fixture.root })).await.document(201);
    let garbled = fixture.owner().await.with("idempotency-key", &"x".repeat(300));
    garbled.post("/v1/tenants", json!({ "name": "Good", "parent": fixture.root })).await.problem(400, "header_invalid");
}
