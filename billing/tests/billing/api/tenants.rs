//! Tenants and their limits: created, listed, changed, moved, deleted.

use common::admin::Role;
use serde_json::{Value, json};

use super::fixture::Fixture;
use crate::topic::deployments;

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn tenant_is_created_changed_moved_and_deleted() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        let owner = fixture.owner().await;
        let new = json!({ "name": "Acme GmbH", "parent": fixture.partner, "zone": "Europe/Berlin", "plan": "growth" });
        let created = owner.post("/v1/tenants", new).await;
        let tenant = created.document(201);
        let path = created.header("location").to_owned();
        assert_eq!(path, format!("/v1/tenants/{}", tenant["id"].as_str().unwrap()));
        assert_eq!(
            (created.header("etag"), &tenant["kind"], &tenant["zone"]),
            ("\"1\"", &json!("customer"), &json!("Europe/Berlin"))
        );
        assert!(tenant["created_at"].as_str().unwrap().ends_with('Z'), "{tenant}");

        let renamed = owner.with("if-match", "\"1\"").patch(&path, json!({ "name": "Acme AG" })).await;
        assert_eq!((renamed.document(200)["name"].as_str(), renamed.header("etag")), (Some("Acme AG"), "\"2\""));
        let stale = owner.with("if-match", "\"1\"").patch(&path, json!({ "name": "Acme SE" })).await;
        assert!(stale.problem(412, "stale").contains("revision 2"), "{stale:?}");
        assert_eq!(owner.get(&path).await.document(200)["name"], "Acme AG");

        for (order, status) in [("suspend", "suspended"), ("suspend", "suspended"), ("resume", "active")] {
            assert_eq!(owner.order(&format!("{path}/{order}")).await.document(200)["status"], status);
        }
        let moved = owner.post(&format!("{path}/move"), json!({ "parent": fixture.rival })).await.document(200);
        assert_eq!(moved["parent"], fixture.rival.to_string());
        let deleted = owner.delete(&path).await;
        assert_eq!(deleted.document(200)["status"], "deleted");
        assert_eq!(owner.delete(&path).await.document(200), deleted.document(200), "a second time changes nothing");
        assert_eq!(owner.get(&path).await.document(200)["status"], "deleted", "its bills are kept");
        owner.patch(&path, json!({ "name": "Ghost" })).await.problem(409, "conflict");
        owner.order(&format!("{path}/resume")).await.problem(409, "conflict");
    }
}

#[tokio::test]
async fn pages_of_a_list_miss_and_repeat_nothing() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        let owner = fixture.owner().await;
        let mut found = Vec::new();
        let mut path = "/v1/tenants?limit=2".to_owned();
        loop {
            let page = owner.get(&path).await.document(200);
            found.extend(names(&page).into_iter().map(str::to_owned));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/v1/tenants?limit=2&cursor={cursor}");
        }
        assert_eq!(found, ["Root", "Partner", "Shop", "Rival"]);
        let below = owner.get(&format!("/v1/tenants?parent={}", fixture.root)).await.document(200);
        assert_eq!(names(&below), ["Partner", "Rival"]);
        let subtree = owner.get(&format!("/v1/tenants?subtree_of={}", fixture.partner)).await.document(200);
        assert_eq!(names(&subtree), ["Partner", "Shop"]);
        owner.order(&format!("/v1/tenants/{}/suspend", fixture.rival)).await.document(200);
        assert_eq!(names(&owner.get("/v1/tenants?status=suspended").await.document(200)), ["Rival"]);
        let partner = fixture.caller(fixture.partner, Role::Viewer).await;
        assert_eq!(names(&partner.get("/v1/tenants").await.document(200)), ["Partner", "Shop"]);
    }
}

#[tokio::test]
async fn limits_name_the_ancestor_that_lowers_them() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let limits = owner.get(&format!("/v1/tenants/{}/limits", fixture.shop)).await.document(200);
    assert_eq!(limits["terms"]["holder"], fixture.partner.to_string(), "inherited");
    assert_eq!(limits["terms"]["plan"], "business");
    let small = json!({ "plan": "free" });
    owner.post(&format!("/v1/tenants/{}/subscriptions", fixture.partner), small).await.document(200);
    let large = json!({ "plan": "business" });
    owner.post(&format!("/v1/tenants/{}/subscriptions", fixture.shop), large).await.document(200);
    let limits = owner.get(&format!("/v1/tenants/{}/limits", fixture.shop)).await.document(200);
    let clamped = json!({ "limit": 10, "burst": 20, "clamped_by": fixture.partner });
    assert_eq!(limits["terms"]["tenant"]["per_second"], clamped, "{limits}");
    let without = owner.get(&format!("/v1/tenants/{}/limits", fixture.root)).await.document(200);
    assert_eq!(without["terms"], Value::Null);
}

#[tokio::test]
async fn tenant_does_not_see_who_its_ancestors_are() {
    let fixture = Fixture::open().await;
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
