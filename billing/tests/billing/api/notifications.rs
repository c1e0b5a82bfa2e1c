//! Webhook endpoints, settings of mail, and the outbox.

use common::{admin::Role::Admin, time::Clock as _};
use serde_json::json;

use super::fixture::Fixture;
use crate::deployment::eventually;

#[tokio::test]
async fn endpoint_is_made_shown_changed_and_deleted() {
    let fixture = Fixture::open().await;
    let caller = fixture.caller(fixture.partner, Admin).await;
    let path = format!("/v1/tenants/{}/webhook-endpoints", fixture.partner);
    let body = json!({ "name": "CRM", "url": "https://example.com/hooks", "types": ["invoice.paid"], "below": true });
    let answer = caller.with("idempotency-key", "one").post(&path, body.clone()).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let made = answer.document(201);
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"), "{secret}");
    let id = made["endpoint"]["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), format!("{path}/{id}"));
    let again = caller.with("idempotency-key", "one").post(&path, body).await.document(200);
    assert_eq!((&again["endpoint"]["id"], &again["secret"]), (&json!(id), &json!(null)));
    let own = format!("{path}/{id}");
    let shown = caller.get(&own).await.document(200);
    assert_eq!(
        (&shown["types"], &shown["below"], &shown["enabled"]),
        (&json!(["invoice.paid"]), &json!(true), &json!(true))
    );
    assert_eq!(caller.get(&path).await.document(200)["items"].as_array().map(Vec::len), Some(1));
    let changed = caller.patch(&own, json!({ "types": [], "enabled": false })).await.document(200);
    assert_eq!((&changed["types"], &changed["disabled_reason"]), (&json!([]), &json!("somebody disabled it")));
    caller.post(&format!("{own}/replay"), json!({ "since": "2026-01-01T00:00:00Z" })).await.problem(409, "conflict");
    assert_eq!(caller.patch(&own, json!({ "enabled": true })).await.document(200)["enabled"], true);
    let rotated = caller.post(&format!("{own}/rotate"), json!({})).await.document(200);
    assert_ne!(rotated["secret"], json!(secret));
    assert!(rotated["endpoint"]["previous_secret_until"].is_string());
    let replayed = caller.post(&format!("{own}/replay"), json!({ "since": "2026-01-01T00:00:00Z" })).await;
    assert_eq!(replayed.document(200)["messages"], 0);
    assert_eq!(caller.delete(&own).await.status, 204);
    caller.get(&own).await.problem(404, "not_found");
}

#[tokio::test]
async fn endpoint_that_nothing_can_be_sent_to_is_refused() {
    let fixture = Fixture::open().await;
    let caller = fixture.caller(fixture.partner, Admin).await;
    let path = format!("/v1/tenants/{}/webhook-endpoints", fixture.partner);
    for (url, said) in [
        ("http://example.com/", "webhooks.allow_http"),
        ("https://127.0.0.1/", "127.0.0.1 is not reachable by everybody"),
        ("https://[::1]:8443/", "is not reachable by everybody"),
        ("https://0x7f.1/", "127.0.0.1 is not reachable by everybody"),
        ("https://user:word@example.com/", "leave out user and password"),
        ("example.com", "https://"),
        ("", "url: "),
    ] {
        let refused = caller.post(&path, json!({ "name": "x", "url": url })).await.problem(400, "body_invalid");
        assert!(refused.starts_with("url: ") && refused.contains(said), "{url}: {refused}");
    }
    let unknown = json!({ "name": "x", "url": "https://example.com/", "types": ["invoice.sent"] });
    let refused = caller.post(&path, unknown).await.problem(400, "body_invalid");
    assert!(refused.contains("invoice.finalized"), "{refused}");
    let nameless = json!({ "name": "", "url": "https://example.com/" });
    caller.post(&path, nameless).await.problem(422, "refused");
}

#[tokio::test]
async fn settings_of_mail_are_replaced_as_a_whole() {
    let fixture = Fixture::open().await;
    let caller = fixture.caller(fixture.partner, Admin).await;
    let path = format!("/v1/tenants/{}/mail", fixture.shop);
    assert_eq!(caller.get(&path).await.document(200), json!({ "language": null, "recipients": {} }));
    let settings = json!({ "language": "de", "recipients": { "invoices": ["a@example.com"], "usage": [] } });
    assert_eq!(caller.put(&path, settings.clone()).await.document(200), settings);
    assert_eq!(caller.get(&path).await.document(200), settings);
    for (body, said) in [
        (json!({ "language": "fr" }), "expected `en` or `de`"),
        (json!({ "recipients": { "invoices": ["nobody"] } }), "is no address of mail"),
        (json!({ "recipients": { "parties": [] } }), "parties"),
        (json!({ "recipients": { "keys": ["a@example.com\r\nBcc: b@example.com"] } }), "is no address of mail"),
    ] {
        let refused = caller.put(&path, body).await.problem(400, "body_invalid");
        assert!(refused.contains(said), "{said} in {refused}");
    }
    let many: Vec<String> = (0..11).map(|number| format!("{number}@example.com")).collect();
    caller.put(&path, json!({ "recipients": { "invoices": many } })).await.problem(422, "refused");
    assert_eq!(caller.get(&path).await.document(200), settings);
}

#[tokio::test]
async fn outbox_is_listed_filtered_and_replayed() {
    let fixture = Fixture::open().await;
    let caller = fixture.caller(fixture.partner, Admin).await;
    let endpoints = format!("/v1/tenants/{}/webhook-endpoints", fixture.partner);
    // Nobody is reachable under this name.
    let body = json!({ "name": "CRM", "url": "https://nowhere.invalid/hooks", "below": true });
    let endpoint = caller.post(&endpoints, body).await.document(201)["endpoint"]["id"].clone();
    let now = common::time::SystemClock.now();
    let start = common::plan::subscription::PlanStart::Now;
    fixture.store.assign_plan(fixture.shop, &"growth".parse().unwrap(), None, start, now).await.unwrap();
    let listed = eventually("the message was tried", async || {
        let list = caller.get("/v1/outbox?state=pending&kind=webhook").await.document(200);
        list["items"].get(0).filter(|message| message["attempt"].as_i64() > Some(0)).cloned()
    })
    .await;
    assert_eq!((&listed["target"], &listed["tenant"]), (&endpoint, &json!(fixture.partner)));
    assert_eq!(listed["subject"], format!("subscription.changed {}", fixture.shop));
    assert!(listed["event"].as_str().unwrap().starts_with("evt_"));
    let path = format!("/v1/tenants/{}/outbox/{}/replay", fixture.partner, listed["id"].as_str().unwrap());
    assert_eq!(caller.order(&path).await.document(200)["event"], listed["event"]);
    let elsewhere = path.replace(&fixture.partner.to_string(), &fixture.shop.to_string());
    caller.order(&elsewhere).await.problem(404, "not_found");
    assert_eq!(caller.get("/v1/outbox?kind=mail").await.document(200)["items"], json!([]));
    let target = endpoint.as_str().unwrap();
    assert_eq!(
        caller.get(&format!("/v1/outbox?target={target}")).await.document(200)["items"].as_array().map(Vec::len),
        Some(1)
    );
    caller.get("/v1/outbox?state=sent").await.problem(400, "parameter_invalid");
}
