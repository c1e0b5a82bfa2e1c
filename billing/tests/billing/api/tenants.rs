//! Tenants and what they may do: created, listed, changed, moved, ended.

use common::admin::Role;
use serde_json::{Value, json};

use super::fixture::ApiFixture;
use crate::topic::fixtures;

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_tenant_lives_from_creation_to_deletion() {
    for fixture in fixtures() {
        let fixture = ApiFixture::at(fixture).await;
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
async fn lists_come_in_pages_that_miss_and_repeat_nothing() {
    for fixture in fixtures() {
        let fixture = ApiFixture::at(fixture).await;
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
async fn what_a_tenant_may_do_says_who_keeps_it_from_more() {
    let fixture = ApiFixture::open().await;
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
async fn a_plan_can_be_given_now_later_and_at_the_end_of_the_period() {
    for fixture in fixtures() {
        let fixture = ApiFixture::at(fixture).await;
        let owner = fixture.owner().await;
        let path = format!("/v1/tenants/{}/subscriptions", fixture.shop);
        let now = owner.post(&path, json!({ "plan": "starter", "version": 1 })).await.document(200);
        assert_eq!((&now["status"], &now["ends_at"]), (&json!("current"), &Value::Null));
        let later = json!({ "plan": "growth", "starts": "2030-01-01T00:00:00Z" });
        assert_eq!(owner.post(&path, later).await.document(200)["status"], "scheduled");
        let end = owner.post(&path, json!({ "plan": "business", "starts": "period_end" })).await.document(200);
        assert!(end["starts_at"].as_str().unwrap().ends_with("-01T00:00:00Z"), "{end}");
        let all = owner.get(&path).await.document(200);
        let held: Vec<_> = all["items"].as_array().unwrap().iter().map(|one| (&one["plan"], &one["status"])).collect();
        assert_eq!(held, [(&json!("starter"), &json!("current")), (&json!("business"), &json!("scheduled"))]);
        let ended = owner.delete(&format!("{path}?ends=now")).await;
        assert_eq!((ended.status.as_u16(), ended.text.as_str()), (204, ""));
        let limits = owner.get(&format!("/v1/tenants/{}/limits", fixture.shop)).await.document(200);
        assert_eq!(limits["terms"]["holder"], fixture.partner.to_string(), "it has its parent's plan again");
        let past = json!({ "plan": "growth", "starts": "2020-01-01T00:00:00Z" });
        assert!(owner.post(&path, past).await.problem(422, "refused").contains("has passed"));
        let nonsense = json!({ "plan": "growth", "starts": "soon" });
        assert!(owner.post(&path, nonsense).await.problem(400, "body_invalid").contains("period_end"));
        owner.post(&path, json!({ "plan": "unheard_of" })).await.problem(404, "not_found");
    }
}
