//! Decisions, and what they consume.

use common::{
    key::{KeyUpdate, Mode, Secret},
    tenant::TenantStatus,
};
use serde_json::{Value, json};

use crate::{
    api::Api,
    support::{Fixture, eventually, now},
};

fn remaining(answer: &Value, policy: &str) -> u64 {
    let limits = answer["limits"].as_array().unwrap();
    limits.iter().find(|limit| limit["policy"] == policy).unwrap()["remaining"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_consumed_requests_are_billed_and_as_if_forwarded() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let (test_key, test_secret) = fixture.key(customer.tenant, Mode::Test).await;
    let api = Api::start(&fixture).await;
    let answer = api.check(&customer.secret, json!({ "path": "/fixed?q=1", "method": "POST" })).await;
    let expected = json!({
        "decision": "allow", "reason": null, "tenant": customer.tenant.to_string(), "plan": { "name": "roomy" },
        "limits": [], "retry_after_ms": null,
    });
    assert_eq!(answer, expected);
    let questions = [
        json!({}),
        json!({ "units": 7 }),
        json!({ "path": "/counted" }),
        json!({ "path": "/narrow/x", "host": "api.example.com", "units": 0 }),
        json!({ "path": "/fixed", "mode": "peek" }),
    ];
    for question in questions {
        assert_eq!(api.outcome(&customer.secret, question).await, "allow");
    }
    assert_eq!(api.post("/check", Some(&test_secret), "").await.status(), 200);
    api.end().await;
    let mut found: Vec<_> = fixture
        .billing
        .records(customer.tenant)
        .into_iter()
        .map(|record| (record.route.to_string(), record.meter.to_string(), record.units, record.key == test_key))
        .collect();
    found.sort_unstable();
    let expected = [
        ("check", "requests", 1, false),
        ("check", "requests", 1, true),
        ("check", "requests", 7, false),
        ("counted", "requests", 3, false),
        ("fixed", "tokens", 5, false),
        ("narrow", "requests", 0, false),
    ];
    assert_eq!(found, expected.map(|(route, meter, units, test)| (route.to_owned(), meter.to_owned(), units, test)));
    let records = fixture.billing.records(customer.tenant);
    assert!(records.iter().all(|record| record.status == 200 && record.billable));
    assert!(records.iter().all(|record| (record.mode == Mode::Test) == (record.key == test_key)));
    assert_eq!(fixture.upstream.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_the_same_as_the_proxys() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("narrow")).await;
    let api = Api::start(&fixture).await;
    let (gateway, secret) = (&api.gateway, &customer.secret);
    assert_eq!(gateway.status("/", secret).await, 200);
    assert_eq!(remaining(&api.check(secret, json!({ "path": "/" })).await, "key-minute"), 1);
    for _ in 0..10 {
        let peeked = api.check(secret, json!({ "mode": "peek" })).await;
        assert_eq!((peeked["decision"].as_str(), remaining(&peeked, "key-minute")), (Some("allow"), 1));
    }
    let forwarded = gateway.get("/", secret).await;
    assert_eq!(forwarded.headers()["x-ratelimit-remaining"], "0");

    let denied = api.check(secret, json!({})).await;
    assert_eq!((denied["decision"].as_str(), denied["reason"].as_str()), (Some("deny"), Some("rate_limited")));
    assert_eq!(denied["tenant"], customer.tenant.to_string());
    assert_eq!(denied["plan"]["name"], "narrow");
    assert!((1_000..=60_000).contains(&denied["retry_after_ms"].as_u64().unwrap()), "{denied}");
    assert_eq!(remaining(&denied, "key-minute"), 0);
    assert_eq!(remaining(&denied, "tenant-day"), 997);
    assert_eq!(api.outcome(secret, json!({ "mode": "peek" })).await, "rate_limited");
    assert_eq!(gateway.status("/", secret).await, 429);
    // The denial here and the proxy's are counted, the peek is not: nobody wanted anything.
    let counted = eventually("refusals booked", || async {
        let refusals = fixture.billing.refusals(customer.tenant);
        let count: u64 = refusals.iter().map(|refusals| refusals.count).sum();
        (count >= 2).then_some(refusals)
    })
    .await;
    assert!(counted.iter().all(|refusals| &*refusals.reason == "rate_limited"));
    api.end().await;
    let counted: u64 = fixture.billing.refusals(customer.tenant).iter().map(|refusals| refusals.count).sum();
    assert_eq!((counted, fixture.billing.records(customer.tenant).len()), (2, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn peek_takes_nothing_from_a_quota() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("capped")).await;
    let api = Api::start(&fixture).await;
    for _ in 0..20 {
        assert_eq!(api.outcome(&customer.secret, json!({ "mode": "peek", "units": 5 })).await, "allow");
    }
    assert_eq!(api.outcome(&customer.secret, json!({ "mode": "peek", "units": 6 })).await, "quota_exceeded");
    for _ in 0..5 {
        assert_eq!(api.outcome(&customer.secret, json!({})).await, "allow");
    }
    for mode in ["consume", "peek", "reserve"] {
        assert_eq!(api.outcome(&customer.secret, json!({ "mode": mode })).await, "quota_exceeded");
    }
    assert_eq!(api.gateway.status("/", &customer.secret).await, 429);
    assert_eq!(api.gateway.status("/fixed", &customer.secret).await, 200, "another meter");
}

#[tokio::test(flavor = "multi_thread")]
async fn denial_has_the_code_that_the_proxy_answers() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let suspended = fixture.customer(Some("roomy")).await;
    fixture.store.set_tenant_status(suspended.tenant, TenantStatus::Suspended, now()).await.unwrap();
    let revoked = fixture.customer(Some("roomy")).await;
    let planless = fixture.customer(None).await;
    let api = Api::start(&fixture).await;
    fixture.store.revoke_key(revoked.key, now()).await.unwrap();
    eventually("revocation", || async {
        (api.outcome(&revoked.secret, json!({ "mode": "peek" })).await == "revoked_key").then_some(())
    })
    .await;
    let (good, stranger) = (customer.secret.expose(), Secret::generate(Mode::Live));
    let key = |secret: &str| vec![("x-api-key", secret.to_owned())];
    let bearer = |secret: &str| vec![("authorization", format!("Bearer {secret}"))];
    let cases = [
        (vec![], "GET", "/", "missing_credential", false),
        (vec![], "GET", "/%zz", "invalid_request", false),
        ([key(good), bearer(good)].concat(), "GET", "/", "ambiguous_credential", false),
        (vec![("authorization", "Basic YTpi".to_owned())], "GET", "/", "unsupported_scheme", false),
        (key("secret"), "GET", "/", "malformed_key", false),
        (key(stranger.expose()), "GET", "/", "unknown_key", false),
        (bearer(revoked.secret.expose()), "GET", "/", "revoked_key", true),
        (key(suspended.secret.expose()), "GET", "/", "tenant_suspended", true),
        (key(planless.secret.expose()), "GET", "/", "no_plan", true),
        (bearer(good), "POST", "/read/1", "method_not_allowed", true),
        (key(good), "GET", "/read//1", "invalid_request", true),
        (key(good), "GET", "/%zz", "invalid_request", true),
        (key(good), "GET", &format!("/{}", "x".repeat(9_000)), "path_too_long", true),
    ];
    for (headers, method, path, code, owned) in cases {
        let send = |request: reqwest::RequestBuilder| {
            headers.iter().fold(request, |request, (name, value)| request.header(*name, value)).send()
        };
        let client = &api.gateway.client;
        let proxied: Value =
            send(client.request(method.parse().unwrap(), api.gateway.url(path))).await.unwrap().json().await.unwrap();
        assert_eq!(proxied["code"], code, "{path}");
        for mode in ["consume", "peek", "reserve"] {
            let question = json!({ "method": method, "path": path, "mode": mode });
            let checked = client.post(format!("http://{}/check", api.http)).body(question.to_string());
            let checked: Value = send(checked).await.unwrap().json().await.unwrap();
            assert_eq!((&checked["decision"], &checked["reason"]), (&json!("deny"), &json!(code)), "{checked}");
            // What a key's owner is told apart from a stranger; the size of a path is refused
            // before anybody is asked.
            assert_eq!(checked["tenant"].is_string(), owned, "{checked}");
            assert!(checked["detail"].is_string() && checked["retry_after_ms"].is_null(), "{checked}");
            assert!(!checked.to_string().contains(good), "a credential came back: {checked}");
        }
    }
    assert!(fixture.billing.records(customer.tenant).is_empty());
    assert_eq!(fixture.upstream.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_carries_the_headers_that_the_proxys_client_is_to_get() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("narrow")).await;
    let api = Api::start(&fixture).await;
    for expected in ["2", "1", "0", "0"] {
        let response = api.post("/check", Some(&customer.secret), "{}").await;
        let headers = response.headers().clone();
        assert_eq!(headers["x-ratelimit-remaining"], expected);
        let answer: Value = response.json().await.unwrap();
        let is_denied = answer["decision"] == "deny";
        assert_eq!(headers.contains_key("retry-after"), is_denied);
        if is_denied {
            let seconds: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert_eq!(answer["retry_after_ms"], seconds * 1_000);
        }
        let limits = answer["limits"].as_array().unwrap();
        for (name, numbers) in [
            ("ratelimit", [("r", "remaining"), ("t", "reset_seconds")]),
            ("ratelimit-policy", [("q", "quota"), ("w", "window_seconds")]),
        ] {
            let text = headers[name].to_str().unwrap();
            let list: sfv::List = sfv::Parser::new(text).parse().unwrap();
            assert_eq!(list.len(), limits.len(), "{text}");
            for (entry, limit) in list.iter().zip(limits) {
                let sfv::ListEntry::Item(item) = entry else { panic!("{text}: not an item") };
                assert_eq!(item.bare_item.as_string().unwrap().as_str(), limit["policy"]);
                for (parameter, field) in numbers {
                    let found = item.params.get(sfv::KeyRef::from_str(parameter).unwrap()).unwrap();
                    let found = i64::from(found.as_integer().unwrap());
                    assert_eq!(Some(found), limit[field].as_i64(), "{text}: {limit}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_narrowed_are_so_for_decisions_as_well() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let update = KeyUpdate {
        name: None,
        scopes: Some(vec!["read".into()]),
        allowed_ips: Some(vec!["198.51.100.0/24".parse().unwrap()]),
    };
    fixture.store.update_key(customer.key, &update, None, now()).await.unwrap();
    let scoped = "  - { name: reading, path_prefix: /scoped/read, upstream: demo, scope: read }\n  - { name: writing, path_prefix: /scoped/write, upstream: demo, scope: write }\n";
    let api = Api::of(fixture.gateway_with(&(crate::api::rest("") + scoped)).await);
    let asked = async |path: &str, client: Option<&str>| {
        api.outcome(&customer.secret, json!({ "path": path, "client_ip": client })).await
    };
    assert_eq!(asked("/scoped/read", Some("198.51.100.9")).await, "allow");
    assert_eq!(asked("/", Some("198.51.100.9")).await, "allow");
    assert_eq!(asked("/scoped/write", Some("198.51.100.9")).await, "scope_missing");
    assert_eq!(asked("/scoped/read", Some("203.0.113.1")).await, "address_not_allowed");
    assert_eq!(asked("/scoped/read", None).await, "address_not_allowed");
    let peek = json!({ "path": "/scoped/write", "client_ip": "198.51.100.9", "mode": "peek" });
    assert_eq!(api.outcome(&customer.secret, peek).await, "scope_missing");
    let nonsense = api.post("/check", Some(&customer.secret), json!({ "client_ip": "here" }).to_string()).await;
    assert_eq!(nonsense.status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn public_routes_are_allowed_without_a_key_and_recorded_for_nobody() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let open = "  - { name: open, path_prefix: /open, upstream: demo, public: true, public_per_minute: 2 }\n";
    let api = Api::of(fixture.gateway_with(&(crate::api::rest("") + open)).await);
    let ask = async |mode: &str, secret: Option<&Secret>| {
        let question = json!({ "path": "/open/x", "client_ip": "198.51.100.1", "mode": mode });
        api.post("/check", secret, question.to_string()).await
    };
    for (mode, secret, left) in
        [("peek", None, None), ("consume", None, Some(1)), ("consume", Some(&customer.secret), Some(0))]
    {
        let answer: Value = ask(mode, secret).await.json().await.unwrap();
        assert_eq!((&answer["decision"], &answer["tenant"]), (&"allow".into(), &Value::Null), "{answer}");
        assert_eq!(answer["limits"][0]["remaining"].as_u64(), left, "{answer}");
    }
    let denied: Value = ask("consume", None).await.json().await.unwrap();
    assert_eq!((&denied["decision"], &denied["reason"]), (&"deny".into(), &"rate_limited".into()), "{denied}");
    assert_eq!(ask("reserve", None).await.status(), 400);
    let elsewhere: Value = api.post("/check", None, json!({ "path": "/read" }).to_string()).await.json().await.unwrap();
    assert_eq!(elsewhere["reason"], "missing_credential");
    api.end().await;
    assert!(
        fixture.billing.records(customer.tenant).is_empty() && fixture.billing.refusals(customer.tenant).is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn question_takes_the_route_that_its_target_tells_of() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let routes = "
upstreams:
  demo: { servers: ['DEMO'] }
routes:
  - { name: user, path: '/users/{id}', methods: [GET], upstream: demo }
  - { name: beta, path: '/users/{id}', query: { beta: '1' }, upstream: demo, scope: beta }
  - { name: second, path: '/users/{id}', headers: { X-Version: '2' }, upstream: demo, scope: second }
  - { name: inside, path_prefix: /inside, upstream: demo, allow_addresses: [10.0.0.0/8] }
decision: { listen: 127.0.0.1:0, grpc_listen: 127.0.0.1:0 }
";
    let api = Api::of(fixture.gateway_with(routes).await);
    let (reader, secret) = fixture.key(customer.tenant, Mode::Live).await;
    let update = KeyUpdate { scopes: Some(vec!["other".into()]), ..KeyUpdate::default() };
    fixture.store.update_key(reader, &update, None, now()).await.unwrap();
    eventually("the narrowed key", || async {
        (api.outcome(&secret, json!({ "path": "/users/7?beta=1", "mode": "peek" })).await == "scope_missing")
            .then_some(())
    })
    .await;
    for (question, outcome) in [
        (json!({ "path": "/users/7" }), "allow"),
        (json!({ "path": "/users/7?beta=0" }), "allow"),
        (json!({ "path": "/users/7", "method": "PUT" }), "method_not_allowed"),
        (json!({ "path": "/users/7/x" }), "route_not_found"),
        (json!({ "path": "/inside/x", "client_ip": "10.0.0.7" }), "allow"),
        (json!({ "path": "/inside/x", "client_ip": "192.0.2.7" }), "address_not_allowed"),
        (json!({ "path": "/inside/x" }), "address_not_allowed"),
    ] {
        assert_eq!(api.outcome(&secret, question.clone()).await, outcome, "{question}");
    }
}
