//! Pages of other origins, and routes that need no key.

use reqwest::{Method, Response, header::HeaderMap};
use serde_json::Value;

use crate::support::{
    Customer, Fixture, eventually,
    process::Gateway,
    raw::{RawUpstream, Wire},
};

const PAGE: &str = "https://app.example.com";

const ROUTES: &str = "
trusted_proxies: [127.0.0.1]
upstreams:
  demo: { servers: ['DEMO'], health: { interval_seconds: 1 } }
  away: { servers: ['127.0.0.1:9'] }
routes:
  - name: api
    path_prefix: /
    upstream: demo
    cors: { origins: ['https://app.example.com', 'https://*.example.org'], expose_headers: [X-Total], credentials: true }
  - { name: read, path_prefix: /read, methods: [GET, HEAD], upstream: demo, cors: { origins: '*', headers: '*' } }
  - { name: write, path_prefix: /read, methods: [POST], upstream: demo }
  - { name: plain, path_prefix: /plain, upstream: demo }
  - { name: away, path_prefix: /away, upstream: away, cors: { origins: '*' } }
  - { name: open, path_prefix: /open, upstream: demo, public: true, cors: { origins: '*' } }
  - { name: slow, path_prefix: /slow, upstream: demo, public: true, public_per_minute: 2, body_bytes: 10 }
";

struct Setting {
    fixture: Fixture,
    customer: Customer,
    gateway: Gateway,
}

impl Setting {
    async fn new(plan: &str) -> Self {
        let fixture = Fixture::new().await;
        let customer = fixture.customer(Some(plan)).await;
        let gateway = fixture.gateway_with(ROUTES).await;
        Self { fixture, customer, gateway }
    }

    /// Sends what a browser asks before a page of `origin` may send a request of this method.
    async fn preflight(&self, path: &str, origin: &str, method: &str, headers: &str) -> Response {
        let request = self.gateway.client.request(Method::OPTIONS, self.gateway.url(path)).header("Origin", origin);
        let request = request.header("Access-Control-Request-Method", method);
        request.header("Access-Control-Request-Headers", headers).send().await.unwrap()
    }

    /// Sends a GET of a page of `origin` with a key.
    async fn get(&self, path: &str, origin: &str) -> Response {
        let request = self.gateway.client.get(self.gateway.url(path)).bearer_auth(self.customer.secret.expose());
        request.header("Origin", origin).send().await.unwrap()
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

fn says_nothing_of_cors(headers: &HeaderMap) -> bool {
    !headers.keys().any(|name| name.as_str().starts_with("access-control-"))
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights_are_answered_without_a_key_and_reach_no_upstream() {
    let setting = Setting::new("roomy").await;
    let answer = setting.preflight("/v1/items", PAGE, "DELETE", "authorization").await;
    assert_eq!(answer.status(), 204);
    let headers = answer.headers();
    assert_eq!(text(headers, "access-control-allow-origin"), Some(PAGE));
    assert_eq!(text(headers, "access-control-allow-methods"), Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    let allowed = text(headers, "access-control-allow-headers");
    assert_eq!(allowed, Some("authorization, content-type, x-api-key, x-request-id"));
    assert_eq!(text(headers, "access-control-allow-credentials"), Some("true"));
    assert_eq!(text(headers, "access-control-max-age"), Some("600"));
    assert!(text(headers, "vary").unwrap().contains("Origin") && headers.contains_key("x-request-id"));
    let below = setting.preflight("/", "https://a.b.example.org", "GET", "").await;
    assert_eq!(text(below.headers(), "access-control-allow-origin"), Some("https://a.b.example.org"));

    let foreign = setting.preflight("/", "https://evil.test", "GET", "").await;
    assert!(foreign.status() == 204 && says_nothing_of_cors(foreign.headers()), "{foreign:?}");
    let any = setting.preflight("/read/x", "https://anybody.test", "GET", "x-own, authorization").await;
    assert_eq!(text(any.headers(), "access-control-allow-origin"), Some("*"));
    assert_eq!(text(any.headers(), "access-control-allow-headers"), Some("x-own, authorization"));
    // A method that nobody serves there is told by what is served.
    let unserved = setting.preflight("/read/x", PAGE, "PUT", "").await;
    assert_eq!(unserved.status(), 204);
    assert_eq!(text(unserved.headers(), "access-control-allow-methods"), Some("GET, HEAD"));
    // Without the filter, it is a request like any other.
    for (path, method) in [("/read/x", "POST"), ("/plain", "GET")] {
        let refused = setting.preflight(path, PAGE, method, "").await;
        assert!(refused.status() == 401 && says_nothing_of_cors(refused.headers()), "{path}: {refused:?}");
    }
    assert_eq!(setting.fixture.upstream.requests(), 0);
    let line = eventually("the access line", || async {
        setting.gateway.access_log().into_iter().find(|line| line["method"] == "OPTIONS" && line["status"] == 204)
    });
    assert_eq!(line.await["route"], "api");
    assert_eq!(setting.gateway.status("/", &setting.customer.secret).await, 200);
    let records = setting.fixture.billing.wait_for(setting.customer.tenant, 1).await;
    assert_eq!(records.len(), 1, "only the request is recorded: {records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_a_page_says_the_same_whoever_made_it() {
    let setting = Setting::new("narrow").await;
    let told = |answer: &Response, status: u16, origin: &str| {
        assert_eq!(answer.status(), status);
        let headers = answer.headers();
        assert_eq!(text(headers, "access-control-allow-origin"), Some(origin), "{status}");
        let exposed = text(headers, "access-control-expose-headers").unwrap();
        for name in ["ratelimit", "x-ratelimit-remaining", "retry-after", "x-request-id"] {
            assert!(exposed.split(", ").any(|exposed| exposed == name), "{name}: {exposed}");
        }
        assert!(headers.contains_key("x-request-id"), "{status}");
    };
    let url = setting.gateway.url("/");
    let refused = setting.gateway.client.get(&url).header("Origin", PAGE).send().await.unwrap();
    told(&refused, 401, PAGE);
    assert_eq!(text(refused.headers(), "vary"), Some("Origin"));
    told(&setting.get("/away", PAGE).await, 502, "*");
    // The upstream's own word on it is replaced.
    let request = setting.gateway.client.get(&url).bearer_auth(setting.customer.secret.expose()).header("Origin", PAGE);
    let request = request.header("X-Want-Header-Access-Control-Allow-Origin", "*");
    let answer = request.header("X-Want-Header-Vary", "Accept").send().await.unwrap();
    told(&answer, 200, PAGE);
    let vary: Vec<_> = answer.headers().get_all("vary").iter().collect();
    assert_eq!(vary, ["Accept", "Origin"]);
    assert_eq!(answer.headers().get_all("access-control-allow-origin").iter().count(), 1);
    assert!(text(answer.headers(), "access-control-expose-headers").unwrap().ends_with(", x-total"));
    let foreign = setting.get("/", "https://evil.test").await;
    assert!(foreign.status() == 200 && says_nothing_of_cors(foreign.headers()), "{foreign:?}");
    // The third of three a minute was the one before the upstream that is away.
    told(&setting.get("/", PAGE).await, 429, PAGE);
    assert!(says_nothing_of_cors(setting.get("/plain", PAGE).await.headers()));
}

#[tokio::test(flavor = "multi_thread")]
async fn spent_credit_is_told_to_pages_too() {
    let setting = Setting::new("prepaid").await;
    let answer = setting.get("/", PAGE).await;
    assert_eq!(answer.status(), 402);
    assert_eq!(text(answer.headers(), "access-control-allow-origin"), Some(PAGE));
}

#[tokio::test(flavor = "multi_thread")]
async fn public_routes_need_no_key_and_leave_no_record() {
    let setting = Setting::new("roomy").await;
    let Setting { fixture, customer, gateway } = &setting;
    let open = gateway.client.get(gateway.url("/open/x?y=z"));
    let forged = open.header("X-Tenant-Id", "ten_1").header("X_Plan", "gold").header("X-Key-Id", "1");
    let answer = forged.header("Origin", PAGE).header("X-Want-Header-X-RateLimit-Limit", "7").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(text(answer.headers(), "access-control-allow-origin"), Some("*"));
    assert!(!answer.headers().contains_key("x-ratelimit-limit"), "limits are the gateway's to tell");
    let seen: Value = answer.json().await.unwrap();
    assert_eq!(seen["target"], "/open/x?y=z");
    for name in ["x-tenant-id", "x_plan", "x-plan", "x-key-id", "authorization", "x-api-key"] {
        assert!(seen["headers"].get(name).is_none(), "{name}: {seen}");
    }
    for name in ["x-request-id", "traceparent", "x-forwarded-for"] {
        assert!(seen["headers"].get(name).is_some(), "{name}: {seen}");
    }
    // A key is passed over, good or bad, and never passed on.
    for key in [customer.secret.expose(), "sk_live_nonsense"] {
        let answer = gateway.client.get(gateway.url("/open")).bearer_auth(key).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let seen: Value = answer.json().await.unwrap();
        assert!(
            seen["headers"].get("authorization").is_none() && seen["headers"].get("x-tenant-id").is_none(),
            "{seen}"
        );
    }
    let websocket = gateway.client.get(gateway.url("/open")).header("Upgrade", "websocket");
    let websocket = websocket.header("Connection", "Upgrade").send().await.unwrap();
    assert_eq!(websocket.status(), 403);
    assert_eq!(gateway.status("/", &customer.secret).await, 200);
    let records = fixture.billing.wait_for(customer.tenant, 1).await;
    assert_eq!((records.len(), &*records[0].route), (1, "api"), "{records:?}");
    let line = eventually("the access line", || async {
        gateway.access_log().into_iter().find(|line| line["route"] == "open")
    })
    .await;
    assert!(line.get("tenant").is_none() && line["status"] == 200, "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn public_routes_are_limited_by_the_address_of_the_client() {
    let setting = Setting::new("roomy").await;
    let from = async |address: &str| {
        let request = setting.gateway.client.get(setting.gateway.url("/slow")).header("X-Forwarded-For", address);
        request.send().await.unwrap()
    };
    let first = from("198.51.100.1").await;
    assert_eq!(first.status(), 200);
    assert_eq!(text(first.headers(), "ratelimit-policy"), Some("\"address-minute\";q=2;w=60"));
    assert_eq!(text(first.headers(), "x-ratelimit-remaining"), Some("1"));
    assert_eq!(from("198.51.100.1").await.status(), 200);
    let refused = from("198.51.100.1").await;
    assert_eq!(refused.status(), 429);
    let wait: u64 = text(refused.headers(), "retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(
        (&problem["code"], &problem["violated-policies"][0]),
        (&"rate_limited".into(), &"address-minute".into())
    );
    assert_eq!(from("198.51.100.2").await.status(), 200, "another address");
    let large = setting.gateway.client.post(setting.gateway.url("/slow")).body("more than ten").send().await.unwrap();
    assert_eq!(large.status(), 413, "other limits hold as ever");
    assert_eq!(setting.fixture.upstream.requests(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_leaves_a_public_route_costs_nobody_anything() {
    let fixture = Fixture::new().await;
    let upstream = RawUpstream::start().await;
    let routes = format!(
        "upstreams: {{ raw: {{ servers: ['{}'] }} }}\n\
         routes: [{{ name: raw, path_prefix: /, upstream: raw, public: true }}]\n",
        upstream.address
    );
    let gateway = fixture.gateway_with(&routes).await;
    let mut client = Wire::connect(gateway.address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut server, _) = upstream.request().await;
    client.reset();
    gateway.alone(1.0).await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
    let line = eventually("the access line", || async { gateway.access_log().into_iter().next() }).await;
    assert_eq!((&line["status"], &line["aborted"]), (&499.into(), &"finished".into()), "{line}");
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_public_routes_and_cors_are_told_with_their_place() {
    let fixture = Fixture::new().await;
    fixture.configure(
        &ROUTES
            .replace("public: true, cors", "public: true, scope: read, cors")
            .replace("origins: '*', headers: '*'", "origins: '*', credentials: true"),
    );
    let output = crate::support::process::command(&fixture.config_file()).arg("--check").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("route `open`: `scope` needs a caller with a key"), "{told}");
    assert!(told.contains("route `read`: `credentials: true` lets pages act as whoever is logged in"), "{told}");
    assert_eq!(told.lines().filter(|line| line.contains("gateway.yaml:")).count(), 2, "{told}");
}
