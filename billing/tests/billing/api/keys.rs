//! API keys and admin keys: shown once, narrowed, replaced, revoked.

use common::{
    admin::{AdminArea, AdminScope, Role},
    key::Pepper,
};
use serde_json::{Value, json};

use super::fixture::ApiFixture;
use servers::eventually;

use crate::topic::fixtures;

#[tokio::test]
async fn a_key_lives_from_creation_to_revocation() {
    for fixture in fixtures() {
        let fixture = ApiFixture::at(fixture).await;
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
async fn the_key_that_was_created_is_the_one_that_gateways_look_up() {
    let fixture = ApiFixture::open().await;
    let owner = fixture.owner().await;
    let created = owner.post("/v1/keys", json!({ "tenant": fixture.shop, "name": "live" })).await.document(201);
    let secret = common::key::Secret::parse(created["secret"].as_str().unwrap().as_bytes()).unwrap();
    let stored = fixture.store.key(created["key"]["id"].as_str().unwrap().parse().unwrap()).await.unwrap();
    assert!(stored.hash.matches(&Pepper::new(b"0123456789abcdef").unwrap().hash(&secret)));
}

#[tokio::test]
async fn an_admin_key_admits_until_it_is_revoked_and_gives_no_more_than_its_maker_has() {
    for fixture in fixtures() {
        let fixture = ApiFixture::at(fixture).await;
        let owner = fixture.owner().await;
        let new = json!({ "tenant": fixture.partner, "name": "ci", "role": "admin", "scopes": ["keys:write"] });
        let created = owner.post("/v1/admin-keys", new).await;
        let document = created.document(201);
        assert_eq!(created.header("cache-control"), "no-store");
        let machine = fixture.with_secret(document["secret"].as_str().unwrap());
        let me = machine.get("/v1/me").await.document(200);
        let expected = json!({
            "kind": "admin_key", "name": document["key"]["id"], "tenant": fixture.partner, "role": "admin",
            "scopes": ["keys:write"],
        });
        assert_eq!(me, expected);
        let path = created.header("location").to_owned();
        eventually("the use is noted", async || owner.get(&path).await.document(200)["last_used_at"].is_string()).await;
        machine.get("/v1/keys").await.document(200);
        machine.get("/v1/tenants").await.problem(403, "forbidden");

        let narrowed = fixture.narrowed(fixture.root, Role::Owner, &[AdminScope::write(AdminArea::AdminKeys)]).await;
        let more = json!({ "tenant": fixture.partner, "name": "more", "role": "viewer" });
        narrowed.post("/v1/admin-keys", more).await.problem(403, "forbidden");

        assert_eq!(owner.get(&path).await.document(200)["status"], "active");
        let listed = owner.get(&format!("/v1/admin-keys?subtree_of={}", fixture.partner)).await.document(200);
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
        assert_eq!(owner.order(&format!("{path}/revoke")).await.document(200)["status"], "revoked");
        machine.get("/v1/me").await.problem(401, "unauthorized");
        assert!(owner.get(&path).await.document(200)["revoked_at"].is_string());
    }
}

#[tokio::test]
async fn no_answer_but_the_first_has_a_secret() {
    let fixture = ApiFixture::open().await;
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
