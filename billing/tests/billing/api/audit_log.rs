//! The audit log: who did what, within the caller's subtree.

use common::admin::Role;
use serde_json::{Value, json};

use super::fixture::Fixture;
use crate::topic::deployments;

#[tokio::test]
async fn audit_log_shows_actor_action_and_address_within_the_subtree() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        let owner = fixture.owner().await.with("x-request-id", "ticket-7");
        let renamed = owner.patch(&format!("/v1/tenants/{}", fixture.shop), json!({ "name": "Shop 2" })).await;
        assert_eq!((renamed.status.as_u16(), renamed.header("x-request-id")), (200, "ticket-7"));
        owner.order(&format!("/v1/tenants/{}/suspend", fixture.rival)).await.document(200);
        let log = owner.get("/v1/audit?action=tenant.update").await.document(200);
        let entry = &log["items"][0];
        assert_eq!((&entry["subject"], &entry["request_id"]), (&json!(fixture.shop), &json!("ticket-7")));
        assert_eq!((&entry["before"]["name"], &entry["after"]["name"]), (&json!("Shop"), &json!("Shop 2")));
        assert_eq!((&entry["actor"]["kind"], &entry["actor"]["address"]), (&json!("admin_key"), &json!("127.0.0.1")));
        assert!(entry["actor"]["name"].as_str().unwrap().starts_with("adk_"), "{entry}");

        let partner = fixture.caller(fixture.partner, Role::Admin).await;
        let seen = partner.get("/v1/audit?limit=1000").await.document(200);
        let subjects: Vec<&Value> = seen["items"].as_array().unwrap().iter().map(|entry| &entry["tenant"]).collect();
        assert!(subjects.contains(&&json!(fixture.shop)));
        assert!(subjects.iter().all(|tenant| **tenant == json!(fixture.shop) || **tenant == json!(fixture.partner)));
        let first = owner.get("/v1/audit?limit=1").await.document(200);
        let next = format!("/v1/audit?limit=1&cursor={}", first["next_cursor"].as_str().unwrap());
        assert!(owner.get(&next).await.document(200)["items"][0]["at"].as_str() <= first["items"][0]["at"].as_str());
        let future = owner.get("/v1/audit?from=2100-01-01T00:00:00Z").await.document(200);
        assert_eq!(future, json!({ "items": [], "next_cursor": null }));
    }
}
