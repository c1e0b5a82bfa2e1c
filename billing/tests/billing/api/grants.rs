//! Grants by a caller: never beyond the caller's own expiry, and hidden from tenants below.

use common::{
    admin::{AdminArea, AdminScope, AdminSecret, NewAdminKey, Role},
    time::{Clock as _, Micros, SystemClock},
};
use serde_json::{Value, json};

use super::fixture::{ApiFixture, Caller};
use crate::topic::fixtures;

/// Somebody whose admin key ends.
async fn until(fixture: &ApiFixture, end: Micros) -> Caller<'_> {
    let (secret, pepper) = (AdminSecret::generate(), ApiFixture::pepper());
    let new = NewAdminKey {
        tenant: fixture.root,
        name: "for an hour".into(),
        role: Role::Owner,
        scopes: Vec::new(),
        hash: pepper.hash_admin(&secret),
        pepper_id: pepper.id().into(),
        hint: secret.hint().into(),
        expires_at: Some(end),
    };
    fixture.store.create_admin_key(&new, SystemClock.now()).await.unwrap();
    fixture.with_secret(secret.expose())
}

#[tokio::test]
async fn an_admin_key_lasts_no_longer_than_the_one_that_made_it() {
    for fixture in fixtures() {
        let fixture = ApiFixture::at(fixture).await;
        let end = SystemClock.now().plus_seconds(3_600);
        let caller = until(&fixture, end).await;
        let body = json!({ "tenant": fixture.root, "name": "for ever", "role": "owner" });
        let made = caller.post("/v1/admin-keys", body).await.document(201);
        assert_eq!(made["key"]["expires_at"], json!(end.to_string()), "{made}");
        assert_eq!(made["key"]["created_by"]["tenant"], json!(fixture.root));
        let later =
            json!({ "tenant": fixture.root, "name": "k", "role": "owner", "expires_at": "2099-01-01T00:00:00Z" });
        let refused = caller.post("/v1/admin-keys", later).await;
        assert!(refused.problem(422, "refused").contains("your own credential ends"), "{refused:?}");
        // It ends with it as well.
        let second = fixture.with_secret(made["secret"].as_str().unwrap());
        second.get("/v1/tenants").await.document(200);
        let maker = made["key"]["created_by"]["name"].as_str().unwrap();
        fixture.owner().await.order(&format!("/v1/admin-keys/{maker}/revoke")).await.document(200);
        second.get("/v1/tenants").await.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn those_below_are_not_told_who_those_above_are() {
    let fixture = ApiFixture::open().await;
    let owner = fixture.owner().await;
    let made = owner.post("/v1/keys", json!({ "tenant": fixture.shop, "name": "k" })).await.document(201);
    let (id, maker) = (made["key"]["id"].as_str().unwrap(), made["key"]["created_by"]["name"].as_str().unwrap());
    let shop = fixture.caller(fixture.shop, Role::Owner).await;
    for path in [format!("/v1/keys/{id}"), "/v1/keys".into(), "/v1/audit".into(), "/v1/admin-keys".into()] {
        let answer = shop.get(&path).await;
        answer.document(200);
        assert!(!answer.text.contains(maker), "{path}: {answer:?}");
    }
    let own = shop.get(&format!("/v1/keys/{id}")).await.document(200);
    assert_eq!(own["created_by"], json!({ "kind": "admin_key", "name": null, "tenant": null }));
    let logged = shop.get(&format!("/v1/audit?subject={id}")).await.document(200);
    let entry = &logged["items"][0];
    assert_eq!(entry["actor"], json!({ "kind": "admin_key", "name": null, "address": null }), "{entry}");
    assert_eq!(entry["request_id"], Value::Null);
    let above = owner.get(&format!("/v1/audit?subject={id}")).await.document(200);
    assert_eq!(above["items"][0]["actor"]["name"], json!(maker));
}

#[tokio::test]
async fn admin_keys_come_in_pages_and_by_name() {
    let fixture = ApiFixture::open().await;
    let owner = fixture.owner().await;
    for number in 0..5 {
        let body = json!({ "tenant": fixture.shop, "name": format!("Machine {number}"), "role": "viewer" });
        owner.post("/v1/admin-keys", body).await.document(201);
    }
    let path = format!("/v1/admin-keys?subtree_of={}&name=machine", fixture.shop);
    let first = owner.get(&format!("{path}&limit=3")).await.document(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = owner.get(&format!("{path}&limit=3&cursor={cursor}")).await.document(200);
    let names =
        |page: &Value| page["items"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&first), [json!("Machine 0"), json!("Machine 1"), json!("Machine 2")]);
    assert_eq!(names(&second), [json!("Machine 3"), json!("Machine 4")]);
    let many: Vec<_> = (0..17).map(|_| "keys:read").collect();
    let body = json!({ "tenant": fixture.shop, "name": "k", "role": "viewer", "scopes": many });
    owner.post("/v1/admin-keys", body).await.problem(422, "refused");
    for path in ["/v1/tenants?name=sho", "/v1/keys?name=zzz"] {
        let found = owner.get(path).await.document(200);
        assert!(found["items"].as_array().unwrap().len() <= 1, "{found}");
    }
    assert_eq!(owner.get("/v1/tenants?name=sho").await.document(200)["items"][0]["name"], "Shop");
    owner.get("/v1/tenants?name=").await.problem(400, "parameter_invalid");
}

#[tokio::test]
async fn a_rotated_admin_key_gives_way_through_its_grace() {
    let fixture = ApiFixture::open().await;
    let owner = fixture.owner().await;
    let body = json!({ "tenant": fixture.root, "name": "ci", "role": "owner", "expires_at": "2099-01-01T00:00:00Z" });
    let made = owner.post("/v1/admin-keys", body).await.document(201);
    let path = format!("/v1/admin-keys/{}", made["key"]["id"].as_str().unwrap());
    let old = fixture.with_secret(made["secret"].as_str().unwrap());
    // By itself, as a machine does it.
    let rotating = old.with("idempotency-key", "once");
    let rotated = rotating.post(&format!("{path}/rotate"), json!({ "grace_seconds": 3_600 })).await;
    assert_eq!(rotated.header("cache-control"), "no-store");
    let document = rotated.document(201);
    let new = fixture.with_secret(document["secret"].as_str().unwrap());
    for caller in [&old, &new] {
        caller.get("/v1/tenants").await.document(200);
    }
    assert_eq!(document["key"]["expires_at"], "2099-01-01T00:00:00Z");
    assert!(document["old"]["expires_at"].as_str().unwrap() < "2099", "{document}");
    let again = rotating.post(&format!("{path}/rotate"), json!({ "grace_seconds": 3_600 })).await.document(200);
    assert_eq!((&again["key"]["id"], &again["secret"]), (&document["key"]["id"], &Value::Null));
    // What it made itself ends with it, and the new one is of that.
    owner.order(&format!("{path}/revoke")).await.document(200);
    new.get("/v1/tenants").await.problem(401, "unauthorized");
    owner.post(&format!("{path}/rotate"), json!({})).await.problem(409, "conflict");
}

#[tokio::test]
async fn nobody_rotates_an_admin_key_into_one_that_may_more_than_they_do_or_longer() {
    let fixture = ApiFixture::open().await;
    let scope = AdminScope::write(AdminArea::AdminKeys);
    let narrowed = fixture.narrowed(fixture.root, Role::Owner, &[scope]).await;
    let body = json!({ "tenant": fixture.root, "name": "all", "role": "owner" });
    let all = fixture.owner().await.post("/v1/admin-keys", body).await.document(201);
    let path = format!("/v1/admin-keys/{}/rotate", all["key"]["id"].as_str().unwrap());
    narrowed.post(&path, json!({})).await.problem(403, "forbidden");
    let end = SystemClock.now().plus_seconds(3_600);
    let rotated = until(&fixture, end).await.post(&path, json!({})).await.document(201);
    assert_eq!(rotated["key"]["expires_at"], json!(end.to_string()), "{rotated}");
}
