//! Faults of a question are told, and change nothing.

use serde_json::{Value, json};

use crate::{
    api::Api,
    support::{Fixture, process::command, raw::Wire},
};

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_body_is_told() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let api = Api::start(&fixture).await;
    let deep = format!("{{\"units\":{}", "[".repeat(50_000));
    let id = "0".repeat(32);
    let settle = |rest: &str| format!("{{\"reservation_id\":\"{id}\",{rest}}}");
    let checks = [
        ("{", "EOF"),
        ("nonsense", "must be a JSON object"),
        ("\u{feff}{}", "must be a JSON object"),
        ("[]", "must be a JSON object"),
        ("null", "must be a JSON object"),
        ("\"peek\"", "must be a JSON object"),
        ("{'units':1}", "key must be a string"),
        ("{} {}", "trailing characters"),
        (r#"{"units":-1}"#, "invalid value"),
        (r#"{"units":1.5}"#, "invalid type: floating point"),
        (r#"{"units":"1"}"#, "invalid type: string"),
        (r#"{"units":1000000001}"#, "at most 1000000000"),
        (r#"{"units":18446744073709551615}"#, "at most 1000000000"),
        (r#"{"units":99999999999999999999}"#, "invalid type: floating point"),
        (r#"{"units":1e999}"#, "number out of range"),
        (r#"{"units":1,"units":2}"#, "duplicate field `units`"),
        (r#"{"mode":"steal"}"#, "unknown variant `steal`, expected one of `consume`, `peek`, `reserve`"),
        (r#"{"mode":null}"#, "expected value at line 1 column 9"),
        (r#"{"key":"a"}"#, "unknown field `key`"),
        (r#"{"path":7}"#, "invalid type: integer"),
        (r#"{"host":"a"}"#, "only together with `path`"),
        (r#"{"method":"GET"}"#, "only together with `path`"),
        (r#"{"path":"/","method":"G E T"}"#, "is not a method"),
        (r#"{"path":"/","method":""}"#, "is not a method"),
        (deep.as_str(), "invalid type: sequence"),
        ("{\"path\":\"\\ud800\"}", "unexpected end of hex escape"),
    ];
    let settlements = [
        (String::new(), "must be a JSON object"),
        ("{}".to_owned(), "missing field `reservation_id`"),
        (r#"{"reservation_id":"x","units":1}"#.to_owned(), "is not a reservation"),
        (r#"{"reservation_id":"+0000000000000000000000000000000","units":1}"#.to_owned(), "is not a reservation"),
        (r#"{"reservation_id":7,"units":1}"#.to_owned(), "invalid type"),
        (settle("\"status\":200"), "missing field `units`"),
        (settle("\"units\":1000000001"), "at most 1000000000"),
        (settle("\"units\":1,\"status\":99"), "is not a status"),
        (settle("\"units\":1,\"status\":600"), "is not a status"),
        (settle("\"units\":1,\"status\":70000"), "invalid value"),
        (settle("\"units\":1,\"mode\":\"peek\""), "unknown field `mode`"),
    ];
    let checks = checks.into_iter().map(|(body, reason)| ("/check", body.to_owned(), reason));
    let settlements = settlements.into_iter().map(|(body, reason)| ("/settle", body, reason));
    for (path, body, reason) in checks.chain(settlements) {
        let shown = body.chars().take(80).collect::<String>();
        let response = api.post(path, Some(&customer.secret), body).await;
        assert_eq!(response.status(), 400, "{path} {shown}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["code"], "invalid_request", "{path} {shown}");
        assert!(problem["detail"].as_str().unwrap().contains(reason), "{path} {shown}: {problem}");
    }
    assert_eq!(api.outcome(&customer.secret, json!({})).await, "allow");
    api.end().await;
    assert_eq!(fixture.billing.records(customer.tenant).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_two_paths_and_one_method() {
    let fixture = Fixture::new().await;
    let api = Api::start(&fixture).await;
    let client = &api.gateway.client;
    for (method, path, status, code) in [
        ("GET", "/check", 405, "method_not_allowed"),
        ("DELETE", "/settle", 405, "method_not_allowed"),
        ("POST", "/", 404, "route_not_found"),
        ("GET", "/check/", 404, "route_not_found"),
        ("POST", "/checks", 404, "route_not_found"),
    ] {
        let url = format!("http://{}{path}", api.http);
        let response = client.request(method.parse().unwrap(), url).send().await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(response.headers().get("allow").is_some_and(|allow| allow == "POST"), status == 405);
        assert_eq!(response.json::<Value>().await.unwrap()["code"], code, "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_body_is_refused_and_broken_one_is_forgotten() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let api = Api::start(&fixture).await;
    let key = customer.secret.expose();
    let head = |length: &str| format!("POST /check HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n{length}\r\n\r\n");
    // Declared; streamed without a length; and a header beyond all reason.
    let mut wire = Wire::connect(api.http).await;
    wire.send(head("Content-Length: 10000000")).await;
    let answer = wire.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
    let mut wire = Wire::connect(api.http).await;
    wire.send(head("Transfer-Encoding: chunked")).await;
    for _ in 0..20 {
        wire.send_as_far_as_taken(format!("2000\r\n{}\r\n", " ".repeat(8_192))).await;
    }
    let answer = wire.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 413 ") || answer.is_empty(), "{answer}");
    let mut wire = Wire::connect(api.http).await;
    wire.send_as_far_as_taken(head(&format!("X-Big: {}", "x".repeat(1_000_000)))).await;
    let answer = wire.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 431 ") || answer.is_empty(), "{answer}");
    // Half a question is none, and neither is something else than HTTP.
    for beginning in [head("Content-Length: 100") + "{\"units\":1}", "\u{16}\u{3}\u{1}".repeat(100)] {
        let mut wire = Wire::connect(api.http).await;
        wire.send(beginning).await;
        drop(wire);
    }
    assert_eq!(api.outcome(&customer.secret, json!({})).await, "allow");
    api.end().await;
    assert_eq!(fixture.billing.records(customer.tenant).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_address_is_told_with_its_setting() {
    let fixture = Fixture::new().await;
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    for setting in ["listen", "grpc_listen"] {
        let others = if setting == "listen" { "" } else { "listen: off, " };
        fixture.configure(&format!("decision: {{ {others}{setting}: '{address}' }}\n{}", crate::support::ROUTES));
        let output = command(&fixture.config_file()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let expected = format!("cannot listen on {address} (setting `decision.{setting}` in ");
        assert!(told.contains(&expected) && told.contains("address already in use"), "{told}");
    }
}
