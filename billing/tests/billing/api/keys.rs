//! API keys: shown once, restricted, rotated, revoked.

use common::key::Pepper;
use serde_json::{Value, json};

use super::fixture::Fixture;
use crate::topic::deployments;

#[tokio::test]
async fn key_is_created_changed_rotated_and_revoked() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        let owner = fixture.owner().await;
        let new = json!({
            "tenant": fixture.shop, "name": "production", "mode": "test", "expires_at": "2030-01-01T00:00:00Z",
            "scopes": ["search"], "allowed_ips": ["203.0.113.0/24", "2001:db8::1"],
        });
        let created = owner.post("/v1/keys", new).await;
        let document = created.document(201);
        assert_eq!((created.header("cache-control"), created.header("etag")), ("no-store", "\"1\""));
        let (secret, key) = (document["secret"].as_str().unwrap(), &document["key"]);
        assert!(secret.starts_with("sk_test_"), "{secret}");
        assert_eq!(key["allowed_ips"], json!(["203.0.113.0/24", "2001:db8::1/128"]));
        assert_eq!((&key["status"], &key["expires_at"]), (&json!("active"), &json!("2030-01-01T00:00:00Z")));
        assert!(secret.ends_with(key["hint"].as_str().unwrap()));

        let path = created.header("location").to_owned();
        let shown = owner.get(&path).await;
        assert_eq!(&shown.document(200), key);
        assert!(!shown.text.contains(secret), "a secret is shown once");
        let stale = owner.with("if-match", "\"9\"").patch(&path, json!({ "scopes": [] })).await;
        stale.problem(412, "stale");
        let update = json!({ "name": "prod", "allowed_ips": [] });
        let changed = owner.with("if-match", "\"1\"").patch(&path, update).await.document(200);
        assert_eq!(
            (&changed["name"], &changed["allowed_ips"], &changed["scopes"]),
            (&json!("prod"), &json!([]), &json!(["search"]))
        );

        let rotated = owner.post(&format!("{path}/rotate"), json!({ "grace_seconds": 3_600 })).await;
        let document = rotated.document(201);
        assert_eq!(rotated.header("cache-control"), "no-store");
        assert_eq!(document["key"]["replaces"], key["id"]);
        assert!(document["old"]["expires_at"].as_str().unwrap() < "2030", "{document}");
        assert!(document["secret"].as_str().unwrap().starts_with("sk_test_"));
        let long = owner.post(&format!("{path}/rotate"), json!({ "grace_seconds": 86_401 })).await;
        assert!(long.problem(422, "refused").contains("86400"), "{long:?}");

        for _ in 0..2 {
            assert_eq!(owner.order(&format!("{path}/revoke")).await.document(200)["status"], "revoked");
        }
        owner.post(&format!("{path}/rotate"), json!({})).await.problem(409, "conflict");
        let active = owner.get(&format!("/v1/keys?tenant={}&status=active", fixture.shop)).await.document(200);
        assert_eq!(active["items"].as_array().unwrap().len(), 1);
        let all = owner.get(&format!("/v1/keys?subtree_of={}&limit=1", fixture.partner)).await.document(200);
        assert!(all["next_cursor"].is_string(), "{all}");
    }
}

#[tokio::test]
async fn created_key_is_found_by_the_gateways_lookup() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let created = owner.post("/v1/keys", json!({ "tenant": fixture.shop, "name": "live" })).await.document(201);
    let secret = common::key::Secret::parse(created["secret"].as_str().unwrap().as_bytes()).unwrap();
    let stored = fixture.store.key(created["key"]["id"].as_str().unwrap().parse().unwrap()).await.unwrap();
    assert!(stored.hash.matches(&Pepper::new(b"0123456789abcdef").unwrap().hash(&secret)));
}

#[tokio::test]
async fn secret_is_in_the_first_answer_only() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let created = owner.post("/v1/keys", json!({ "tenant": fixture.shop, "name": "live" })).await.document(201);
    let secret = created["secret"].as_str().unwrap();
    for path in ["/v1/keys", "/v1/audit", "/v1/admin-keys"] {
        let answer = owner.get(path).await;
        assert!(!answer.text.contains(secret) && !answer.text.contains(&owner.secret), "{path}");
        assert!(!answer.text.contains("\"hash\""), "{path}");
    }
    let listed = owner.get("/v1/keys").await.document(200);
    assert_eq!(listed["items"][0]["last_used_at"], Value::Null);
}
