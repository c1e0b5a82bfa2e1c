//! Bad input: refused with a clear reason, and nothing is half-done.

use common::{admin::Role, tenant::TenantKind};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::fixture::{Fixture, tenant};
use crate::topic::deployments;

#[tokio::test]
async fn move_that_would_break_the_tree_is_refused() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        let owner = fixture.owner().await;
        let below = tenant(&fixture.store, Some(fixture.partner), TenantKind::Reseller, "Below", None).await.id;
        for (moved, parent, word) in [
            (fixture.partner, fixture.partner, "under itself"),
            (fixture.partner, below, "under itself"),
            (below, fixture.shop, "customer"),
        ] {
            let path = format!("/v1/tenants/{moved}/move");
            let detail = owner.post(&path, json!({ "parent": parent })).await.problem(409, "conflict");
            assert!(detail.contains(word), "{detail}");
        }
        let path = format!("/v1/tenants/{below}/move");
        owner.post(&path, json!({ "parent": fixture.other_root })).await.problem(404, "not_found");
        owner.delete(&format!("/v1/tenants/{}", fixture.partner)).await.problem(409, "conflict");
        let listed = owner.get(&format!("/v1/tenants?subtree_of={}", fixture.partner)).await.document(200);
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(3), "nothing has moved");
    }
}

#[tokio::test]
async fn limit_above_the_parents_is_lowered_and_above_a_divided_pool_is_refused() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let pool = json!({ "id": "pool", "name": "Pool", "currency": "USD", "flat_fee": "0.00",
        "limits": { "pool": { "per_second": 10 }, "pool_mode": "partitioned" } });
    let six = json!({ "id": "six", "name": "Six", "currency": "USD", "flat_fee": "0.00",
        "limits": { "tenant": { "per_second": 6 } } });
    owner.put("/v1/plans", json!({ "plans": [pool, six] })).await.document(200);
    let other = tenant(&fixture.store, Some(fixture.rival), TenantKind::Customer, "One", Some("six"));
    let other = other.await.id;
    // The rival's plan is not six's; its own children come first.
    owner.post(&format!("/v1/tenants/{}/subscriptions", fixture.rival), json!({ "plan": "pool" })).await.document(200);
    let second = json!({ "name": "Two", "parent": fixture.rival, "plan": "six" });
    let refused = owner.post("/v1/tenants", second).await.problem(409, "conflict");
    assert!(refused.contains("per_second"), "{refused}");
    let listed = owner.get(&format!("/v1/tenants?parent={}", fixture.rival)).await.document(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{other} alone: nothing half-done");
}

#[tokio::test]
async fn array_instead_of_an_object_is_refused_at_any_depth() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let plan = json!({ "id": "p", "name": "P", "currency": "USD", "flat_fee": "0.00" });
    let with = |member: &str, value: Value| {
        let mut plan = plan.clone();
        plan[member] = value;
        json!({ "plans": [plan] })
    };
    for (method, path, body) in [
        (Method::POST, "/v1/tenants".to_owned(), json!(["New", fixture.root, "customer", "UTC", "growth"])),
        (Method::PATCH, format!("/v1/tenants/{}", fixture.shop), json!(["New"])),
        (Method::POST, format!("/v1/tenants/{}/move", fixture.shop), json!([fixture.root])),
        (Method::POST, format!("/v1/tenants/{}/subscriptions", fixture.shop), json!(["growth", 1, "now"])),
        (Method::POST, format!("/v1/tenants/{}/credit", fixture.shop), json!(["tokens", 5, "r", "why"])),
        (Method::POST, "/v1/keys".to_owned(), json!([fixture.shop, "New", "live", null, [], []])),
        (Method::POST, "/v1/admin-keys".to_owned(), json!([fixture.shop, "New", "viewer", [], null])),
        (Method::POST, "/v1/plans/growth/migrate".to_owned(), json!(["now"])),
        (Method::PUT, "/v1/plans".to_owned(), json!([null, [plan]])),
        (Method::PUT, "/v1/plans".to_owned(), json!({ "plans": [["p", "P", "USD", "0.00", [], [], [], {}]] })),
        (Method::PUT, "/v1/plans".to_owned(), with("quotas", json!([["tokens", 5, "hard"]]))),
        (Method::PUT, "/v1/plans".to_owned(), with("charges", json!([["tokens", 5, []]]))),
        (Method::PUT, "/v1/plans".to_owned(), with("limits", json!([{}, {}, {}, "shared"]))),
        (Method::PUT, "/v1/plans".to_owned(), with("limits", json!({ "tenant": { "per_second": [5, 10] } }))),
    ] {
        let refused = owner.send(method.clone(), &path, Some(body.to_string())).await;
        refused.problem(400, "body_invalid");
    }
    owner.get("/v1/plans/p").await.problem(404, "not_found");
}

#[tokio::test]
async fn unknown_action_as_a_filter_is_refused() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let detail = owner.get("/v1/audit?action=key.revoked").await.problem(400, "parameter_invalid");
    assert!(detail.contains("key.revoked") && detail.contains("key.revoke,"), "{detail}");
    owner.get("/v1/audit?action=key.revoke").await.document(200);
}

#[tokio::test]
async fn address_within_a_network_is_refused_with_suggestions() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let key = |range: &str| json!({ "tenant": fixture.shop, "name": "k", "allowed_ips": [range] });
    let detail = owner.post("/v1/keys", key("10.0.0.1/8")).await.problem(400, "body_invalid");
    assert!(detail.contains("10.0.0.0/8") && detail.contains("or 10.0.0.1 for the one address"), "{detail}");
    let made = owner.post("/v1/keys", key("10.0.0.0/8")).await.document(201);
    let path = format!("/v1/keys/{}", made["key"]["id"].as_str().unwrap());
    let change = json!({ "allowed_ips": ["2001:db8::1/32"] });
    owner.patch(&path, change).await.problem(400, "body_invalid");
}

#[tokio::test]
async fn invalid_names_are_refused() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    for name in [
        "",
        " \t",
        "a\u{0}b",
        "Ac\u{202e}me",
        "Ac\u{200b}me",
        "Acme\u{2069}",
        "Acme ",
        "a\u{1b}[2Jb",
        "line\nbreak",
        &"x".repeat(10_240),
    ] {
        let named = |more: &str| format!("{{\"name\":{},{more}}}", json!(name));
        for (path, more) in [
            ("/v1/tenants", format!("\"parent\":\"{}\"", fixture.root)),
            ("/v1/keys", format!("\"tenant\":\"{}\"", fixture.shop)),
            ("/v1/admin-keys", format!("\"tenant\":\"{}\",\"role\":\"viewer\"", fixture.shop)),
        ] {
            let answer = owner.send(Method::POST, path, Some(named(&more))).await;
            assert!(answer.problem(422, "refused").contains("name"), "{path} {name:?}");
        }
    }
}

#[tokio::test]
async fn foreign_resource_returns_same_404_as_missing_resource() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        let partner = fixture.caller(fixture.partner, Role::Owner).await;
        let owner = fixture.owner().await;
        let key = owner.post("/v1/keys", json!({ "tenant": fixture.rival, "name": "k" })).await.document(201);
        let key = key["key"]["id"].as_str().unwrap().to_owned();
        let nobody = "ten_01jd0000000000000000000000";
        let no_key = "key_01jd0000000000000000000000";
        for (theirs, none) in [
            (fixture.rival.to_string(), nobody),
            (fixture.root.to_string(), nobody),
            (fixture.stranger.to_string(), nobody),
            (key, no_key),
        ] {
            let paths: &[&str] = if theirs.starts_with("key_") {
                &["/v1/keys/{}"]
            } else {
                &[
                    "/v1/tenants/{}",
                    "/v1/tenants/{}/limits",
                    "/v1/tenants/{}/subscriptions",
                    "/v1/tenants/{}/credit",
                    "/v1/tenants?parent={}",
                    "/v1/tenants?subtree_of={}",
                    "/v1/keys?tenant={}",
                    "/v1/keys?subtree_of={}",
                    "/v1/subscriptions?subtree_of={}",
                    "/v1/admin-keys?subtree_of={}",
                    "/v1/usage?tenant={}",
                    "/v1/audit?tenant={}",
                ]
            };
            for path in paths {
                let (real, made_up) = (path.replace("{}", &theirs), path.replace("{}", none));
                let (real, made_up) = (partner.get(&real).await, partner.get(&made_up).await);
                real.problem(404, "not_found");
                assert_eq!(real.text.replace(&theirs, none), made_up.text, "{path}");
            }
        }
        for (path, body) in [
            ("/v1/keys", json!({ "tenant": fixture.rival, "name": "k" })),
            ("/v1/tenants", json!({ "parent": fixture.rival, "name": "k" })),
            ("/v1/admin-keys", json!({ "tenant": fixture.rival, "name": "k", "role": "viewer" })),
        ] {
            partner.post(path, body).await.problem(404, "not_found");
        }
    }
}

#[tokio::test]
async fn page_past_the_end_is_empty_and_forged_cursor_is_refused() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let first = owner.get("/v1/tenants?limit=3").await.document(200);
    let last = first["next_cursor"].as_str().unwrap().to_owned();
    let path = format!("/v1/tenants?status=deleted&cursor={last}");
    assert_eq!(owner.get(&path).await.document(200), json!({ "items": [], "next_cursor": null }));
    for cursor in ["", "0", "AAAA", "%F0%9F%92%A3", "eyJsaXN0IjoidGVuYW50cyJ9", &"A".repeat(5_000)] {
        for list in ["tenants", "keys", "audit", "usage"] {
            owner.get(&format!("/v1/{list}?cursor={cursor}")).await.problem(400, "cursor_invalid");
        }
    }
    owner.get(&format!("/v1/keys?cursor={last}")).await.problem(400, "cursor_invalid");
}

#[tokio::test]
async fn invalid_revision_changes_nothing() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let path = format!("/v1/tenants/{}", fixture.shop);
    for stale in ["\"7\"", "W/\"1\"", "\"abc\""] {
        let caller = owner.with("if-match", stale);
        caller.patch(&path, json!({ "name": "x" })).await.problem(412, "stale");
        caller.post(&format!("{path}/move"), json!({ "parent": fixture.rival })).await.problem(412, "stale");
        caller.delete(&path).await.problem(412, "stale");
    }
    owner.with("if-match", "1").patch(&path, json!({ "name": "x" })).await.problem(400, "header_invalid");
    assert_eq!(owner.with("if-match", "*").patch(&path, json!({ "name": "x" })).await.document(200)["revision"], 2);
}

#[tokio::test]
async fn malformed_deep_huge_or_duplicate_json_is_refused_with_its_place() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let deep = format!("{{\"plans\":{}", "[".repeat(100_000));
    let huge = format!("{{\"name\":\"{}\"}}", "x".repeat(2 << 20));
    let (before, root) = (owner.get("/v1/tenants").await.text, fixture.root);
    for (body, status, code, word) in [
        (String::new(), 400, "body_invalid", "line 1"),
        ("{\"name\": \"a\",\n \"parent\": }".into(), 400, "body_invalid", "line 2 column 12"),
        ("{\"name\": \"a\", \"colour\": 1}".into(), 400, "body_invalid", "colour"),
        ("{\"name\": \"a\", \"name\": \"b\"}".into(), 400, "body_invalid", "duplicate field `name`"),
        (format!("{{\"name\":\"a\",\"parent\":\"{root}\"}} x"), 400, "body_invalid", "trailing"),
        ("{\"name\": \"\\ud800\"}".into(), 400, "body_invalid", "line 1"),
        ("[]".into(), 400, "body_invalid", "line 1"),
        ("null".into(), 400, "body_invalid", "line 1"),
        (deep.replace("plans", "name"), 400, "body_invalid", "line 1"),
        (huge, 413, "body_too_large", "1048576"),
    ] {
        let shown: String = body.chars().take(40).collect();
        let detail = owner.send(Method::POST, "/v1/tenants", Some(body)).await.problem(status, code);
        assert!(detail.contains(word), "{shown}: {detail}");
    }
    let nested = owner.send(Method::PUT, "/v1/plans", Some(deep)).await.problem(400, "body_invalid");
    assert!(nested.contains("line 1"), "{nested}");
    let form = owner.with("content-type", "application/x-www-form-urlencoded");
    form.post("/v1/tenants", json!({ "name": "a" })).await.problem(415, "unsupported_media_type");
    let untyped = owner.send(Method::PATCH, &format!("/v1/tenants/{root}"), None).await;
    untyped.problem(415, "unsupported_media_type");
    assert_eq!(owner.get("/v1/tenants").await.text, before, "nothing was done");
}

#[tokio::test]
async fn unknown_paths_and_methods_return_problems() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    for path in
        ["/v1/tenants/nobody", "/v1/tenants/%ff", "/v1/keys/%00", "/v1/plans/%ff", "/v1/plans/..", "/v2/tenants"]
    {
        owner.get(path).await.problem(404, "not_found");
    }
    let put = owner.put("/v1/tenants", json!({})).await;
    put.problem(405, "method_not_allowed");
    assert_eq!(put.header("allow"), "GET,HEAD,POST");
    for secret in ["", "adm_nonsense", "sk_live_x", "a.b.c"] {
        fixture.with_secret(secret).get("/v1/tenants").await.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn client_that_reads_only_once_it_has_sent_too_large_a_body_gets_the_answer() {
    const LENGTH: usize = 32 << 20;
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let mut stream = tokio::net::TcpStream::connect(&fixture.server.address).await.unwrap();
    let head = format!(
        "POST /v1/tenants HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {LENGTH}\r\nconnection: close\r\n\r\n",
        owner.secret
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; LENGTH]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
}
