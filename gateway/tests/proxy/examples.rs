//! The files of `config/examples` about routes, each loaded as it is and served.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use common::key::{KeyUpdate, Mode};
use gateway::config::{Overrides, Settings};
use reqwest::{Method, Response, header::HeaderMap, redirect::Policy};
use serde_json::Value;

use crate::support::{Customer, Fixture, eventually, now, process::Gateway, upstream::Upstream};

/// Everything around a gateway that serves an example.
struct Example {
    fixture: Fixture,
    customer: Customer,
    gateway: Gateway,
    /// The server at port 9001 of the example.
    other: Upstream,
    client: reqwest::Client,
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples").join(name)
}

impl Example {
    async fn start(name: &str) -> Self {
        let text = std::fs::read_to_string(path(name)).unwrap();
        let checked = Settings::load(&path(name), &Overrides::default());
        assert!(checked.is_ok(), "{name}: {:?}", checked.err().map(|error| error.to_string()));
        Self::of(&text).await
    }

    /// A gateway that serves this configuration.
    async fn of(text: &str) -> Self {
        let (fixture, other) = (Fixture::new().await, Upstream::start().await);
        let customer = fixture.customer(Some("roomy")).await;
        let text = text.replace("127.0.0.1:9000", "DEMO").replace("127.0.0.1:9001", &other.address.to_string());
        let gateway = fixture.gateway_with(&text).await;
        let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
        Self { fixture, customer, gateway, other, client }
    }

    fn request(&self, method: Method, target: &str) -> reqwest::RequestBuilder {
        self.client.request(method, self.gateway.url(target))
    }

    async fn with_key(&self, target: &str, headers: &[(&str, &str)]) -> Response {
        let request = self.request(Method::GET, target).bearer_auth(self.customer.secret.expose());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.unwrap()
    }

    async fn without_key(&self, target: &str) -> Response {
        self.request(Method::GET, target).send().await.unwrap()
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn canary_gets_its_share_and_every_user_one_version() {
    let example = Example::start("canary.yaml").await;
    let mut canaries = 0;
    for user in 0..200 {
        let user = format!("user-{user}");
        let before = example.other.requests();
        for _ in 0..2 {
            assert_eq!(example.with_key("/v1/x", &[("X-User", &user)]).await.status(), 200);
        }
        let seen = example.other.requests() - before;
        assert!(seen == 0 || seen == 2, "{user} got both versions");
        canaries += seen / 2;
    }
    assert!((2..=25).contains(&canaries), "{canaries} of 200");
    let before = example.other.requests();
    for user in 0..5 {
        let user = format!("user-{user}");
        assert_eq!(example.with_key("/v1/x", &[("X-User", &user), ("X-Canary", "1")]).await.status(), 200);
    }
    assert_eq!(example.other.requests() - before, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_told_of_cors_by_answers_preflights_and_refusals() {
    let example = Example::start("cors.yaml").await;
    let origin = "https://app.example.com";
    let preflight = example.request(Method::OPTIONS, "/v1/items").header("Origin", origin);
    let preflight = preflight.header("Access-Control-Request-Method", "PUT").send().await.unwrap();
    assert_eq!(preflight.status(), 204);
    assert_eq!(text(preflight.headers(), "access-control-max-age"), "3600");
    let refused = example.request(Method::GET, "/v1/items").header("Origin", origin).send().await.unwrap();
    assert_eq!((refused.status().as_u16(), text(refused.headers(), "access-control-allow-origin")), (401, origin));
    let answer = example.with_key("/v1/items", &[("Origin", origin)]).await;
    assert_eq!((answer.status().as_u16(), text(answer.headers(), "access-control-allow-origin")), (200, origin));
    assert_eq!(example.fixture.upstream.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_answers_by_itself_and_records_only_what_the_route_says() {
    let example = Example::start("answers.yaml").await;
    for (target, status, location) in [
        ("/v1/users/a%20b/?x=1", 308, "/v2/users/a%20b/?x=1"),
        ("/v1", 308, "/v2"),
        ("/docs/a?b=c", 301, "https://docs.example.com/docs/a?b=c"),
    ] {
        let answer = example.without_key(target).await;
        assert_eq!((answer.status().as_u16(), text(answer.headers(), "location")), (status, location), "{target}");
        assert!(answer.headers().contains_key("x-request-id"));
    }
    let robots = example.without_key("/robots.txt").await;
    assert_eq!(text(robots.headers(), "content-type"), "text/plain; charset=utf-8");
    assert_eq!(robots.text().await.unwrap(), "User-agent: *\nDisallow: /\n");
    let head = example.request(Method::HEAD, "/robots.txt").send().await.unwrap();
    assert_eq!((head.status().as_u16(), text(head.headers(), "content-length")), (200, "26"));
    assert_eq!(example.request(Method::POST, "/v2/legacy/x").body("x").send().await.unwrap().status(), 410);
    assert_eq!(example.without_key("/v2/ping").await.status(), 401);
    let pong = example.with_key("/v2/ping", &[]).await;
    assert_eq!(pong.json::<Value>().await.unwrap()["pong"], true);
    assert_eq!(example.fixture.upstream.requests(), 0);
    let records = example.fixture.billing.wait_for(example.customer.tenant, 1).await;
    assert_eq!((&*records[0].route, records[0].units, records[0].billable), ("ping", 1, true));
    assert_eq!(example.with_key("/v2/x", &[]).await.status(), 200);
    assert_eq!(example.fixture.upstream.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_sees_the_rewritten_request_and_the_client_the_edited_answer() {
    let example = Example::start("rewrite.yaml").await;
    let headers = [
        ("Cookie", "session=1"),
        ("Accept", "text/html"),
        ("X-Want-Header-Server", "secret/1"),
        ("X-Want-Header-Cache-Control", "public"),
    ];
    let answer = example.with_key("/v1/users/J%C3%BCrgen%20S/search?q=a+b&debug=1&size=9999", &headers).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(text(answer.headers(), "cache-control"), "private");
    assert!(!answer.headers().contains_key("server"));
    let seen: Value = answer.json().await.unwrap();
    assert_eq!(seen["target"], "/index/J%C3%BCrgen%20S/_search?q=a+b&size=20");
    let host = example.fixture.upstream.address.to_string();
    assert_eq!(seen["headers"]["host"], serde_json::json!([host]));
    let asked = example.gateway.address.to_string();
    assert_eq!(seen["headers"]["x-forwarded-host"], serde_json::json!([asked]));
    assert_eq!(seen["headers"]["accept"], serde_json::json!(["application/json"]));
    assert!(seen["headers"]["cookie"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn internal_route_is_for_its_networks_only() {
    let example = Example::start("internal.yaml").await;
    for (address, status) in
        [("10.0.0.7", 200), ("2001:db8::7", 200), ("10.13.0.7", 403), ("192.0.2.7", 403), ("10.0.0.7, 192.0.2.7", 403)]
    {
        let answer = example.with_key("/internal/x", &[("X-Forwarded-For", address)]).await;
        assert_eq!(answer.status(), status, "{address}");
        if status == 403 {
            assert_eq!(answer.json::<Value>().await.unwrap()["code"], "address_not_allowed");
        }
    }
    // Refused before the key is looked at.
    let answer = example.without_key("/internal/x").await;
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], "address_not_allowed");
}

/// The program, its errors and what it printed.
fn imported(document: &Path, arguments: &[&str]) -> (bool, String, String) {
    let program = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(["routes", "import"])
        .arg(document)
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (program.status.success(), text(program.stderr), text(program.stdout))
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_of_a_document_are_checked_and_served() {
    let (is_good, notes, yaml) = imported(&path("openapi.yaml"), &["--upstream", "pets"]);
    assert!(is_good && notes.contains("another route is called `getPet`: this one is `getPet-2`"), "{notes}");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gateway.yaml");
    std::fs::write(&file, &yaml).unwrap();
    let check = Command::new(env!("CARGO_BIN_EXE_gateway")).arg("--config").arg(&file).arg("--check").output().unwrap();
    let said = String::from_utf8(check.stdout).unwrap();
    assert!(check.status.success() && said.contains("ok, 6 routes, 1 upstreams"), "{said}");

    let example = Example::of(&yaml).await;
    let (reader, secret) = example.fixture.key(example.customer.tenant, Mode::Live).await;
    let update = KeyUpdate { scopes: Some(vec!["pets-read".into()]), ..KeyUpdate::default() };
    example.fixture.store.update_key(reader, &update, None, now()).await.unwrap();
    eventually("the narrowed key", || async {
        let created = example.request(Method::POST, "/api/v1/pets").bearer_auth(secret.expose()).send().await.unwrap();
        (created.status() == 403).then_some(())
    })
    .await;
    assert_eq!(example.gateway.status("/api/v1/pets", &secret).await, 200);
    for (method, target, status) in [
        (Method::GET, "/api/v1/pets", 200),
        (Method::POST, "/api/v1/pets", 200),
        (Method::GET, "/api/v1/pets/7", 200),
        (Method::DELETE, "/api/v1/pets/7", 200),
        (Method::GET, "/api/v1/animals/7", 200),
        (Method::PUT, "/api/v1/pets/7", 405),
        (Method::GET, "/api/v1/pets/7/toys", 404),
        (Method::GET, "/pets", 404),
    ] {
        let request = example.request(method.clone(), target).bearer_auth(example.customer.secret.expose());
        assert_eq!(request.send().await.unwrap().status(), status, "{method} {target}");
    }
    assert_eq!(example.without_key("/api/v1/status").await.status(), 200);
    assert_eq!(example.without_key("/api/v1/pets").await.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_and_downloads_are_billed_by_their_bytes() {
    let example = Example::start("bytes.yaml").await;
    let (mut answered, body) = (Vec::new(), "x".repeat(1_500));
    for (method, target) in [(Method::PUT, "/files/a"), (Method::GET, "/files/a"), (Method::POST, "/convert")] {
        let request = example.request(method, target).bearer_auth(example.customer.secret.expose()).body(body.clone());
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{target}");
        answered.push(answer.bytes().await.unwrap().len() as u64);
    }
    let records = example.fixture.billing.wait_for(example.customer.tenant, 3).await;
    let mut units: Vec<_> = records.iter().map(|record| (&*record.meter, record.units)).collect();
    units.sort_unstable();
    let converted = 2 + answered[2].div_ceil(1_024);
    assert_eq!(units, [("converted_kib", converted), ("served_bytes", answered[1]), ("stored_kib", 2)]);
}

#[test]
fn file_that_is_no_document_is_told() {
    for (file, reason) in [("canary.yaml", "is no OpenAPI document"), ("missing.yaml", "cannot be read")] {
        let (is_good, told, printed) = imported(&path(file), &[]);
        assert!(!is_good && told.contains(reason) && printed.is_empty(), "{file}: {told}");
    }
}
