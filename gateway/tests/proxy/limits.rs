//! Limits that are not a key's or a tenant's own: of a route, of concurrency, and of failed
//! credentials.

use common::key::{Mode, Secret};
use serde_json::Value;

use crate::support::{
    Fixture, eventually,
    raw::{RawUpstream, Wire},
};

const SHARED: &str = "
upstreams: { demo: { servers: ['DEMO'] } }
routes:
  - { name: open, path_prefix: /, upstream: demo }
  - { name: shared, path_prefix: /shared, upstream: demo, limits: { per_day: 3 } }
";

/// Few failures a minute, and a proxy in front that says who calls.
const WATCHED: &str = "
trusted_proxies: [127.0.0.0/8]
limits: { failed_credentials: { per_minute: 3 } }
upstreams: { demo: { servers: ['DEMO'] } }
routes: [{ name: open, path_prefix: /, upstream: demo }]
";

#[tokio::test(flavor = "multi_thread")]
async fn route_is_shared_by_all_callers_and_a_new_file_refills_nothing() {
    let fixture = Fixture::new().await;
    let (one, other) = (fixture.customer(Some("roomy")).await, fixture.customer(Some("roomy")).await);
    let gateway = fixture.gateway_with(SHARED).await;
    let mut statuses = Vec::new();
    for customer in [&one, &other, &one, &other] {
        statuses.push(gateway.status("/shared", &customer.secret).await);
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
    let refused = gateway.get("/shared", &one.secret).await;
    assert_eq!(refused.headers()["x-ratelimit-limit"], "3");
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["violated-policies"][0], "route-day");
    assert_eq!(gateway.status("/", &one.secret).await, 200);

    fixture.configure(&SHARED.replace("name: open, path_prefix: /,", "name: open, path_prefix: /open,"));
    eventually("the new file", || async { (gateway.status("/", &one.secret).await == 404).then_some(()) }).await;
    assert_eq!(gateway.status("/shared", &one.secret).await, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_is_under_way_until_its_answer_is_complete_or_cancelled() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let upstream = RawUpstream::start().await;
    let routes = "
upstreams: { slow: { servers: ['SLOW'] } }
routes: [{ name: slow, path_prefix: /, upstream: slow, on_abort: cancel, limits: { concurrent: 1 } }]
";
    let gateway = fixture.gateway_with(&routes.replace("SLOW", &upstream.address.to_string())).await;
    for is_patient in [true, false] {
        let mut client = Wire::connect(gateway.address).await;
        let key = customer.secret.expose();
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n\r\n")).await;
        let (mut server, _) = upstream.request().await;
        server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nha\r\n").await;
        client.read_until("ha").await;

        let refused = gateway.get("/", &customer.secret).await;
        assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"1".parse().unwrap()));
        let body: Value = refused.json().await.unwrap();
        assert_eq!(
            (&body["code"], &body["violated-policies"][0]),
            (&"concurrency_limited".into(), &"route-concurrent".into())
        );

        if is_patient {
            server.send("2\r\nlf\r\n0\r\n\r\n").await;
            client.read_until("0\r\n\r\n").await;
        } else {
            client.reset();
        }
        gateway.idle().await;
    }
    let answered = tokio::spawn(async move {
        let (mut server, _) = upstream.request().await;
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        server
    });
    assert_eq!(gateway.status("/", &customer.secret).await, 200);
    drop(answered.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_client_is_refused_before_next_key_is_looked_up() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway_with(WATCHED).await;
    let ask = |from: &'static str, key: String| {
        let request = gateway.client.get(gateway.url("/")).header("x-forwarded-for", from).header("x-api-key", key);
        async move { request.send().await.unwrap() }
    };
    let good = || customer.secret.expose().to_owned();
    let guess = || Secret::generate(Mode::Live).expose().to_owned();
    // The count starts anew each minute: that may happen in between, once.
    let refused = eventually("the refusal", || async {
        let response = ask("198.51.100.1", guess()).await;
        (response.status() != 401).then_some(response)
    })
    .await;
    assert_eq!(refused.status(), 429);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["code"], "too_many_failures");

    assert_eq!(ask("198.51.100.1", good()).await.status(), 429, "nothing from there is looked up");
    assert_eq!(ask("198.51.100.1", "sk_live_typo".into()).await.status(), 401, "what is no key never was");
    assert_eq!(ask("198.51.100.2", good()).await.status(), 200);
    assert_eq!(ask("198.51.100.1, 198.51.100.2", good()).await.status(), 200, "only the last address is believed");

    fixture.configure(&WATCHED.replace("per_minute: 3", "enabled: false"));
    eventually("the new file", || async { (ask("198.51.100.1", good()).await.status() == 200).then_some(()) }).await;
}
