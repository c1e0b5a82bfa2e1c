//! Admin keys: created, listed, rotated, revoked, and never beyond their creator's own rights.

use common::{
    admin::{AdminArea, AdminScope, AdminSecret, NewAdminKey, Role},
    time::{Clock as _, Micros, SystemClock},
};
use serde_json::{Value, json};
use servers::eventually;

use super::fixture::{Caller, Fixture};
use crate::topic::deployments;

/// A caller whose admin key expires at `end`.
async fn until(fixture: &Fixture, end: Micros) -> Caller<'_> {
    let (secret, pepper) = (AdminSecret::generate(), Fixture::pepper());
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
async fn admin_key_expires_no_later_than_its_creator() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
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
async fn admin_keys_are_listed_in_pages_and_found_by_name() {
    let fixture = Fixture::open().await;
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
async fn rotated_admin_key_works_until_its_grace_ends() {
    let fixture = Fixture::open().await;
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
async fn rotation_beyond_the_callers_own_rights_or_expiry_is_refused() {
    let fixture = Fixture::open().await;
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

#[tokio::test]
async fn admin_key_works_until_revoked_and_grants_at_most_its_creators_rights() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
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
