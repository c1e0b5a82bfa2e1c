//! Answers of the gateway itself.

use common::{
    key::{Mode, Secret},
    tenant::TenantStatus,
};
use reqwest::{Method, Response};
use serde_json::Value;

use crate::support::{Fixture, now, raw::Wire};

/// Checks that an answer is the problem with this status and code.
async fn assert_problem(response: Response, status: u16, code: &str) -> Value {
    let headers = response.headers().clone();
    assert_eq!(response.status(), status, "{code}");
    assert_eq!(headers["content-type"], "application/problem+json", "{code}");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["code"], code);
    assert_eq!(body["status"], status);
    assert_eq!(body["type"], format!("urn:tollgate:problem:{code}"));
    assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
    assert_eq!(body["request_id"], headers["x-request-id"].to_str().unwrap());
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_credential_is_told_apart() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let suspended = fixture.customer(Some("roomy")).await;
    fixture.store.set_tenant_status(suspended.tenant, TenantStatus::Suspended, now()).await.unwrap();
    let planless = fixture.customer(None).await;
    let gateway = fixture.gateway().await;

    let good = customer.secret.expose();
    let stranger = Secret::generate(Mode::Live);
    let bearer = |secret: &Secret| ("authorization", format!("Bearer {}", secret.expose()));
    let cases = [
        (vec![], 401, "missing_credential"),
        (vec![bearer(&customer.secret), ("x-api-key", good.into())], 401, "ambiguous_credential"),
        (vec![("x-api-key", good.into()), ("x-api-key", good.into())], 401, "ambiguous_credential"),
        (vec![("authorization", "Basic YTpi".into())], 401, "unsupported_scheme"),
        (vec![("x-api-key", "secret".into())], 401, "malformed_key"),
        (vec![("x-api-key", good[..39].into())], 401, "malformed_key"),
        (vec![("x-api-key", good.to_uppercase())], 401, "malformed_key"),
        (vec![bearer(&stranger)], 401, "unknown_key"),
        (vec![bearer(&suspended.secret)], 403, "tenant_suspended"),
        (vec![bearer(&planless.secret)], 403, "no_plan"),
    ];
    for (headers, status, code) in cases {
        let request = headers
            .iter()
            .fold(gateway.client.get(gateway.url("/")), |request, (name, value)| request.header(*name, value.as_str()));
        let response = request.send().await.unwrap();
        assert_eq!(response.headers().contains_key("www-authenticate"), status == 401, "{code}");
        let body = assert_problem(response, status, code).await;
        assert!(!body.to_string().contains(good), "a credential came back: {body}");
    }
    assert_eq!(fixture.upstream.requests(), 0);
    assert_eq!(gateway.status("/", &customer.secret).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_path_and_wrong_method_have_their_own_codes() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture
        .gateway_with(
            "
upstreams:
  demo: { servers: ['DEMO'] }
routes:
  - { name: read, path_prefix: /read, methods: [GET, HEAD], upstream: demo }
  - { name: small, path_prefix: /small, upstream: demo, body_bytes: 1000 }
",
        )
        .await;
    let send = |method: Method, path: &str| {
        gateway.client.request(method, gateway.url(path)).bearer_auth(customer.secret.expose())
    };
    assert_problem(send(Method::GET, "/reading").send().await.unwrap(), 404, "route_not_found").await;
    let refused = send(Method::POST, "/read/1").send().await.unwrap();
    assert_eq!(refused.headers()["allow"], "GET, HEAD");
    assert_problem(refused, 405, "method_not_allowed").await;
    let long = format!("/read/{}", "x".repeat(9_000));
    assert_problem(send(Method::GET, &long).send().await.unwrap(), 414, "path_too_long").await;
    let big = send(Method::GET, "/read").header("x-big", "x".repeat(17_000)).send().await.unwrap();
    let body = assert_problem(big, 431, "headers_too_large").await;
    assert!(body["detail"].as_str().unwrap().contains("x-big"), "{body}");
    let many = (0..6)
        .fold(send(Method::GET, "/read"), |request, index| request.header(format!("x-{index}"), "x".repeat(12_000)));
    assert_problem(many.send().await.unwrap(), 431, "headers_too_large").await;
    let declared = send(Method::POST, "/small").body(vec![0; 1_001]).send().await.unwrap();
    assert_problem(declared, 413, "body_too_large").await;
    assert_eq!(send(Method::POST, "/small").body(vec![0; 1_000]).send().await.unwrap().status(), 200);
    let head = send(Method::HEAD, "/nothing").send().await.unwrap();
    assert_eq!(head.status(), 404);
    assert_eq!(head.bytes().await.unwrap().len(), 0);
    assert_eq!(fixture.upstream.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn body_is_also_measured_while_it_streams() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    let mut wire = Wire::connect(gateway.address).await;
    let key = customer.secret.expose();
    wire.send(format!("POST /small HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n"))
        .await;
    for _ in 0..3 {
        wire.send_as_far_as_taken(format!("1f4\r\n{}\r\n", "x".repeat(500))).await;
    }
    wire.send_as_far_as_taken("0\r\n\r\n").await;
    let answer = wire.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
    assert!(fixture.billing.records(customer.tenant).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn absurd_requests_are_answered_and_change_nothing() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    let key = customer.secret.expose();
    let targets = [
        "/read/../all",
        "/read/%2e%2e/all",
        "/read/.%2E/all",
        "//read",
        "/read//x",
        "/read/%2fx",
        "/read/%5cx",
        "/%00",
        "/read/..;/all",
        "/%zz",
        "/%",
        "*",
    ];
    for target in targets {
        let mut wire = Wire::connect(gateway.address).await;
        wire.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nConnection: close\r\n\r\n")).await;
        let answer = wire.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("invalid_request"), "{target}: {answer}");
    }
    // Beyond 1 MiB of header, Pingora answers by itself; whatever it says, it must not be the
    // upstream's answer.
    for header_bytes in [900_000, 1_048_576, 4_000_000] {
        let mut wire = Wire::connect(gateway.address).await;
        let header = "x".repeat(header_bytes);
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nX-Big: {header}\r\n\r\n");
        wire.send_as_far_as_taken(request).await;
        let answer = if header_bytes < 1_000_000 { wire.read_until("}").await } else { wire.read_to_end().await };
        let refused = ["HTTP/1.1 431 ", "HTTP/1.1 400 "].iter().any(|line| answer.starts_with(line));
        assert!(refused || answer.is_empty(), "{header_bytes}: {}", &answer[..answer.len().min(200)]);
    }
    assert_eq!(fixture.upstream.requests(), 0);
    assert_eq!(gateway.status("/read", &customer.secret).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn spent_limit_is_a_429_that_says_when_to_come_back() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("narrow")).await;
    let gateway = fixture.gateway().await;
    for remaining in ["2", "1", "0"] {
        let response = gateway.get("/", &customer.secret).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["x-ratelimit-limit"], "3");
        assert_eq!(response.headers()["x-ratelimit-remaining"], remaining);
    }
    let refused = gateway.get("/", &customer.secret).await;
    let headers = refused.headers().clone();
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    assert!((1..=60).contains(&text("retry-after").parse::<u64>().unwrap()));
    assert_eq!(text("x-ratelimit-remaining"), "0");
    for (name, numbers) in [("ratelimit", ["r", "t"]), ("ratelimit-policy", ["q", "w"])] {
        let list: sfv::List = sfv::Parser::new(&text(name)).parse().unwrap();
        assert_eq!(list.len(), 2, "{}", text(name));
        for entry in list {
            let sfv::ListEntry::Item(item) = entry else { panic!("not an item") };
            let policy = item.bare_item.as_string().unwrap().as_str().to_owned();
            assert!(["key-minute", "tenant-day"].contains(&policy.as_str()), "{policy}");
            for number in numbers {
                let key = sfv::KeyRef::from_str(number).unwrap();
                assert!(item.params.get(key).and_then(sfv::BareItem::as_integer).is_some(), "{}", text(name));
            }
        }
    }
    let body = assert_problem(refused, 429, "rate_limited").await;
    assert_eq!(body["violated-policies"][0], "key-minute");
    assert_eq!(fixture.upstream.requests(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn spent_quota_is_refused_without_reaching_the_upstream() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("capped")).await;
    let gateway = fixture.gateway().await;
    for _ in 0..5 {
        assert_eq!(gateway.status("/", &customer.secret).await, 200);
    }
    let refused = gateway.get("/", &customer.secret).await;
    assert!(refused.headers().contains_key("retry-after"));
    assert_problem(refused, 429, "quota_exceeded").await;
    assert_eq!(fixture.upstream.requests(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_id_is_the_clients_if_it_is_sane() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    let answered = async |sent: &str| {
        let request = gateway.client.get(gateway.url("/")).bearer_auth(customer.secret.expose());
        let response = request.header("x-request-id", sent).send().await.unwrap();
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let told: Value = response.json().await.unwrap();
        assert_eq!(told["headers"]["x-request-id"], serde_json::json!([id]));
        id
    };
    assert_eq!(answered("order-4711.a_B").await, "order-4711.a_B");
    for wrong in ["a b", "<script>", &"x".repeat(129)] {
        assert_ne!(answered(wrong).await, wrong);
    }
}
