//! Keys that may be used for some routes only, or from some addresses only.

use common::key::{IpNet, KeyUpdate, Mode};

use crate::support::{Fixture, now};

const ROUTES: &str = "
trusted_proxies: [127.0.0.1]
upstreams:
  demo: { servers: ['DEMO'] }
routes:
  - { name: all, path_prefix: /, upstream: demo }
  - { name: read, path_prefix: /read, upstream: demo, scope: read }
  - { name: write, path_prefix: /write, upstream: demo, scope: write }
";

#[tokio::test(flavor = "multi_thread")]
async fn key_with_scopes_serves_the_routes_that_ask_for_one_of_them() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("narrow")).await;
    let (reader, secret) = fixture.key(customer.tenant, Mode::Live).await;
    let update = KeyUpdate { scopes: Some(vec!["read".into(), "other".into()]), ..KeyUpdate::default() };
    fixture.store.update_key(reader, &update, None, now()).await.unwrap();
    let gateway = fixture.gateway_with(ROUTES).await;
    assert_eq!(gateway.status("/read/x", &secret).await, 200);
    assert_eq!(gateway.status("/", &secret).await, 200, "a route that asks for no scope");
    // Three requests a minute: what is refused for its scope does not count.
    for _ in 0..5 {
        let refused = gateway.get("/write", &secret).await;
        assert_eq!(refused.status(), 403);
        let problem: serde_json::Value = refused.json().await.unwrap();
        assert_eq!(problem["code"], "scope_missing");
        assert!(problem["detail"].as_str().unwrap().contains("`write`"));
    }
    assert_eq!(gateway.status("/read", &secret).await, 200);
    assert_eq!(gateway.status("/read", &secret).await, 429);
    assert_eq!(gateway.status("/write", &customer.secret).await, 200, "a key without scopes");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_with_addresses_is_used_from_there_only_whatever_the_client_claims() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let (key, secret) = fixture.key(customer.tenant, Mode::Live).await;
    let ranges: Vec<IpNet> = vec!["198.51.100.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    let update = KeyUpdate { allowed_ips: Some(ranges), ..KeyUpdate::default() };
    fixture.store.update_key(key, &update, None, now()).await.unwrap();
    let gateway = fixture.gateway_with(ROUTES).await;
    let from = async |forwarded: &str| {
        let request = gateway.client.get(gateway.url("/")).bearer_auth(secret.expose());
        let response = request.header("X-Forwarded-For", forwarded).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    for allowed in ["198.51.100.7", "203.0.113.1, 198.51.100.7", "2001:db8::1", "::ffff:198.51.100.7"] {
        assert_eq!(from(allowed).await.0, 200, "{allowed}");
    }
    // The last address is the one that the trusted proxy saw; what stands before it may be made up.
    for foreign in ["203.0.113.1", "198.51.100.7, 203.0.113.1", "198.51.101.7", "2001:db9::1"] {
        let (status, body) = from(foreign).await;
        assert_eq!(status, 403, "{foreign}");
        assert!(body.contains("address_not_allowed"), "{body}");
    }
    assert_eq!(gateway.status("/", &secret).await, 403, "the proxy itself");
    assert_eq!(gateway.status("/", &customer.secret).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_beyond_the_limits_of_a_route_are_refused_with_what_and_how_much() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture
        .gateway_with(
            "
upstreams: { demo: { servers: ['DEMO'] } }
routes:
  - { name: all, path_prefix: /, upstream: demo }
  - { name: tight, path_prefix: /tight, upstream: demo, header_count: 8, header_bytes: 700, header_value_bytes: 300 }
",
        )
        .await;
    let ask = async |path: &str, count: usize, bytes: usize| {
        let mut request = gateway.client.get(gateway.url(path)).bearer_auth(customer.secret.expose());
        for number in 0..count {
            request = request.header(format!("x-{number}"), "v".repeat(bytes));
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let refused = [
        (10, 1, " header lines; at most 8 are allowed on route `tight`"),
        (1, 301, "the value of `x-0` has 301 bytes; at most 300 are allowed on route `tight`"),
        (3, 250, " bytes; at most 700 are allowed on route `tight`"),
    ];
    for (count, bytes, told) in refused {
        let (status, body) = ask("/tight", count, bytes).await;
        assert!(status == 431 && body.contains("headers_too_large") && body.contains(told), "{status} {body}");
        assert_eq!(ask("/loose", count, bytes).await.0, 200);
    }
    assert_eq!(ask("/tight", 2, 200).await.0, 200);
}
