//! Routes that say themselves where their credential stands, and tokens of an issuer that somebody
//! else wrote.

use common::{
    id::KeyId,
    key::{KeyUpdate, Mode},
};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use servers::OpenId;

use crate::support::{Customer, Fixture, eventually, now, process::Gateway};

const PLACES: &str = "
upstreams:
  demo: { servers: ['DEMO'] }
routes:
  - { name: usual, path_prefix: /, upstream: demo }
  - { name: own, path_prefix: /own, upstream: demo, credentials: { headers: [X-Acme-Key] } }
  - { name: query, path_prefix: /query, upstream: demo, credentials: { headers: [X-Api-Key], query: api_key } }
  - { name: open, path_prefix: /open, upstream: demo, public: true, credentials: { headers: [] } }
";

/// Status, code of the problem if it is one, and what the upstream saw.
async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn route_with_a_header_of_its_own_passes_the_clients_authorization_on() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway_with(PLACES).await;
    let secret = customer.secret.expose();
    let get = |path: &str| gateway.client.get(gateway.url(path));
    let sent = get("/own").header("x-acme-key", secret).basic_auth("ada", Some("pass")).header("x-api-key", "theirs");
    let (status, seen) = answer(sent.header("x_acme_key", "second spelling")).await;
    assert_eq!(status, 200, "{seen}");
    assert_eq!(seen["headers"]["authorization"], json!(["Basic YWRhOnBhc3M="]));
    assert_eq!(seen["headers"]["x-api-key"], json!(["theirs"]));
    assert_eq!(seen["headers"]["x-key-id"], json!([customer.key.to_string()]));
    assert!(!seen.to_string().contains(secret) && !seen.to_string().contains("second spelling"), "{seen}");

    let (status, problem) = answer(get("/own").bearer_auth(secret)).await;
    assert_eq!((status, &problem["code"]), (401, &json!("missing_credential")), "{problem}");
    assert_eq!(problem["detail"], "no credential: send one as `x-acme-key: <key>`");
    let (_, problem) = answer(get("/query")).await;
    assert_eq!(problem["detail"], "no credential: send one as `x-api-key: <key>` or `?api_key=<key>`");
    let (status, seen) = answer(get("/open").bearer_auth("the upstream's own")).await;
    assert_eq!((status, &seen["headers"]["authorization"]), (200, &json!(["Bearer the upstream's own"])));
    let (status, problem) = answer(get("/").bearer_auth(secret).header("x-api-key", secret)).await;
    assert_eq!((status, &problem["code"]), (401, &json!("ambiguous_credential")));
}

#[tokio::test(flavor = "multi_thread")]
async fn key_in_the_query_reaches_neither_upstream_nor_log() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway_with(PLACES).await;
    let secret = customer.secret.expose();
    let get = |path: String| gateway.client.get(gateway.url(&path));
    for (query, left) in
        [(format!("?a=1&api_key={secret}&b=2"), "/query?a=1&b=2"), (format!("?api%5Fkey={secret}"), "/query")]
    {
        let (status, seen) = answer(get(format!("/query{query}"))).await;
        assert_eq!((status, &seen["target"]), (200, &json!(left)), "{seen}");
    }
    let (status, problem) = answer(get(format!("/query?api_key={secret}")).header("x-api-key", secret)).await;
    assert_eq!((status, &problem["code"]), (401, &json!("ambiguous_credential")));
    let (status, _) = answer(get(format!("/?api_key={secret}"))).await;
    assert_eq!(status, 401, "only where the route says so");
    eventually("the access lines", async || (gateway.access_log().len() >= 4).then_some(())).await;
    assert!(!gateway.output().contains(secret));
}

/// An issuer, and a gateway whose routes accept its tokens.
struct Setting {
    fixture: Fixture,
    customer: Customer,
    issuer: OpenId,
    gateway: Gateway,
}

impl Setting {
    /// `more` are further settings of the issuer.
    async fn new(more: &str) -> Self {
        let fixture = Fixture::new().await;
        let customer = fixture.customer(Some("roomy")).await;
        let issuer = tokio::task::spawn_blocking(|| OpenId::start().unwrap()).await.unwrap();
        let gateway = fixture.gateway_with(&Self::configuration(&issuer, more)).await;
        Self { fixture, customer, issuer, gateway }
    }

    fn configuration(issuer: &OpenId, more: &str) -> String {
        format!(
            "limits: {{ failed_credentials: {{ per_minute: 12 }} }}\n\
             token_issuers:\n  acme: {{ issuer: '{}', audience: api, clock_skew_seconds: 0 {more} }}\n\
             upstreams: {{ demo: {{ servers: ['DEMO'] }} }}\n\
             routes:\n\
             \x20 - {{ name: usual, path_prefix: /, upstream: demo }}\n\
             \x20 - {{ name: both, path_prefix: /both, upstream: demo, credentials: {{ tokens: acme }} }}\n\
             \x20 - {{ name: only, path_prefix: /only, upstream: demo, credentials: {{ headers: [], tokens: acme }} }}\n\
             \x20 - {{ name: write, path_prefix: /write, upstream: demo, scope: write, credentials: {{ tokens: acme }} }}\n",
            issuer.issuer()
        )
    }

    /// Claims of a good token for the customer's key.
    fn claims(&self) -> Value {
        let exp = now().0 / 1_000_000 + 300;
        json!({ "iss": self.issuer.issuer(), "aud": "api", "sub": "app", "exp": exp,
                "tollgate": { "key": self.customer.key } })
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&json!({ "claims": claims }))
    }

    fn sign(&self, order: &Value) -> String {
        self.issuer.sign(&order.to_string()).unwrap()
    }

    async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        answer(self.gateway.client.get(self.gateway.url(path)).bearer_auth(token)).await
    }

    /// Status and code of a refusal.
    async fn refusal(&self, token: &str) -> (u16, String) {
        let (status, problem) = self.get("/both", token).await;
        (status, problem["code"].as_str().unwrap_or_default().to_owned())
    }

    fn fetches(&self) -> Value {
        serde_json::from_str::<Value>(&self.issuer.counts().unwrap()).unwrap()["/jwks"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn token_is_served_and_metered_as_the_key_that_it_names() {
    let setting = Setting::new("").await;
    for alg in ["RS256", "ES256", "EdDSA"] {
        let token = setting.sign(&json!({ "alg": alg, "claims": setting.claims() }));
        for path in ["/both", "/only", "/write"] {
            let (status, seen) = setting.get(path, &token).await;
            assert_eq!(status, 200, "{alg} {path} {seen}");
            assert_eq!(seen["headers"]["x-key-id"], json!([setting.customer.key.to_string()]));
            assert!(!seen.to_string().contains(&token), "{seen}");
        }
    }
    let records = setting.fixture.billing.wait_for(setting.customer.tenant, 9).await;
    assert!(records.iter().all(|record| record.key == setting.customer.key));
    assert_eq!(setting.fetches(), json!(1), "keys are not fetched with every request");

    let secret = setting.customer.secret.expose();
    assert_eq!(setting.get("/both", secret).await.0, 200, "keys count beside tokens");
    assert_eq!(setting.refusal(&setting.token(&setting.claims())).await.0, 200);
    let (status, problem) = setting.get("/only", secret).await;
    assert_eq!((status, &problem["code"]), (401, &json!("invalid_token")), "{problem}");
    let (status, problem) = setting.get("/usual", &setting.token(&setting.claims())).await;
    assert_eq!((status, &problem["code"]), (401, &json!("malformed_key")), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_do_not_count_are_refused_with_the_reason() {
    let setting = Setting::new("").await;
    let with = |name: &str, value: Value| {
        let mut claims = setting.claims();
        claims[name] = value;
        claims
    };
    let invalid = (401, "invalid_token".to_owned());
    for (name, value, detail) in [
        ("exp", json!(now().0 / 1_000_000 - 5), "expired"),
        ("nbf", json!(now().0 / 1_000_000 + 60), "not valid yet"),
        ("aud", json!("other"), "another audience"),
        ("iss", json!("https://other.example"), "another issuer"),
        ("exp", json!("never"), "exp"),
    ] {
        let token = setting.token(&with(name, value));
        let (status, problem) = setting.get("/both", &token).await;
        assert_eq!((status, problem["code"].as_str().unwrap_or_default().to_owned()), invalid, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
    }
    let response = setting.gateway.client.get(setting.gateway.url("/both")).bearer_auth("a.b.c").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(response.headers()["www-authenticate"].to_str().unwrap().contains("error=\"invalid_token\""));
    for claims in [with("tollgate", json!({})), with("tollgate", json!({ "key": KeyId::from_u128(1) }))] {
        assert_eq!(setting.refusal(&setting.token(&claims)).await, (403, "token_without_key".into()));
    }
    // Tokens that the issuer never made count against their address, like keys that are unknown.
    let foreign = setting.sign(&json!({ "claims": setting.claims(), "stranger": true }));
    let good = setting.token(&setting.claims());
    assert_eq!(setting.refusal(&good).await.0, 200);
    eventually("too many failures", async || {
        let (_, code) = setting.refusal(&foreign).await;
        (code == "too_many_failures").then_some(())
    })
    .await;
    assert_eq!(setting.refusal(&good).await, (429, "too_many_failures".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn token_ends_with_its_key_and_at_once_with_the_issuers_own() {
    let setting = Setting::new("").await;
    let token = setting.token(&setting.claims());
    assert_eq!(setting.refusal(&token).await.0, 200);

    // A new key of the issuer is found by the first token that names it.
    setting.issuer.rotate_keys(true).unwrap();
    assert_eq!(setting.refusal(&setting.token(&setting.claims())).await.0, 200);
    assert_eq!(setting.refusal(&token).await.0, 200, "the former key is still published");
    setting.issuer.rotate_keys(false).unwrap();
    assert_eq!(setting.refusal(&setting.token(&setting.claims())).await.0, 200);
    assert_eq!(setting.refusal(&token).await, (401, "invalid_token".into()), "it was remembered, and its key is gone");

    let token = setting.token(&setting.claims());
    let update = KeyUpdate { scopes: Some(vec!["read".into()]), ..KeyUpdate::default() };
    setting.fixture.store.update_key(setting.customer.key, &update, None, now()).await.unwrap();
    eventually("the key's scopes count", async || (setting.get("/write", &token).await.0 == 403).then_some(())).await;
    setting.fixture.store.revoke_key(setting.customer.key, now()).await.unwrap();
    eventually("revocation", async || (setting.refusal(&token).await == (401, "revoked_key".into())).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn table_leads_from_a_claim_to_keys_and_scopes_of_tokens_count() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let (test_key, _) = fixture.key(customer.tenant, Mode::Test).await;
    let issuer = tokio::task::spawn_blocking(|| OpenId::start().unwrap()).await.unwrap();
    // The issuer is added to a gateway that runs.
    let gateway = fixture
        .gateway_with(
            "upstreams: { demo: { servers: ['DEMO'] } }\nroutes: [{ name: a, path_prefix: /, upstream: demo }]\n",
        )
        .await;
    let more = format!(", key_claim: azp, keys: {{ app: {}, trial: {test_key} }}, scope_claim: scope", customer.key);
    fixture.configure(&Setting::configuration(&issuer, &more));
    gateway.signal("HUP");
    let setting = Setting { fixture, customer, issuer, gateway };
    let token = |azp: &str, scope: &str| {
        let mut claims = setting.claims();
        (claims["azp"], claims["scope"]) = (azp.into(), scope.into());
        setting.token(&claims)
    };
    eventually("the new configuration", async || {
        (setting.get("/both", &token("app", "")).await.0 == 200).then_some(())
    })
    .await;
    let (_, seen) = setting.get("/both", &token("trial", "write")).await;
    assert_eq!(seen["headers"]["x-key-id"], json!([test_key.to_string()]));
    assert_eq!(setting.get("/write", &token("app", "read write")).await.0, 200);
    let (status, problem) = setting.get("/write", &token("app", "read")).await;
    assert_eq!((status, &problem["code"]), (403, &json!("scope_missing")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("the token does not have"), "{problem}");
    assert_eq!(setting.refusal(&token("nobody", "")).await, (403, "token_without_key".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn issuer_that_is_down_at_the_start_refuses_tokens_only_and_is_asked_again() {
    let mut setting = Setting::new("").await;
    let token = setting.token(&setting.claims());
    setting.issuer.kill().unwrap();
    setting.gateway.signal("TERM");
    assert!(setting.gateway.ended().await.success());
    let gateway = setting.fixture.gateway_with(&Setting::configuration(&setting.issuer, ", scope_claim: none")).await;
    let address = gateway.address;
    let get = async |token: &str| answer(gateway.client.get(format!("http://{address}/both")).bearer_auth(token)).await;
    let (status, problem) = get(&token).await;
    assert_eq!((status, &problem["code"]), (503, &json!("token_issuer_unavailable")), "{problem}");
    assert_eq!(get(setting.customer.secret.expose()).await.0, 200, "keys are served");
    gateway.logged("the reason", |line| line["event"] == "token_issuer_unavailable").await;
    setting.issuer.restart().unwrap();
    eventually("the issuer is asked again", async || (get(&token).await.0 == 200).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn example_of_tokens_is_served_as_it_says() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/examples/jwt.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let issuer = tokio::task::spawn_blocking(|| OpenId::start().unwrap()).await.unwrap();
    let text = text.replace("https://id.example.com/realms/acme", &issuer.issuer());
    let text = text.replace("key_01jd0000000000000000000000", &customer.key.to_string());
    let gateway = fixture.gateway_with(&text.replace("127.0.0.1:9000", "DEMO")).await;
    let setting = Setting { fixture, customer, issuer, gateway };
    let mut claims = setting.claims();
    (claims["azp"], claims["scope"]) = ("mobile-app".into(), "orders".into());
    assert_eq!(setting.get("/orders", &setting.token(&claims)).await.0, 200);
    assert_eq!(setting.get("/refunds", &setting.token(&claims)).await.0, 403);
    claims["scope"] = "refunds".into();
    assert_eq!(setting.get("/refunds", &setting.token(&claims)).await.0, 200);
    let secret = setting.customer.secret.expose();
    let get = |path: String| setting.gateway.client.get(setting.gateway.url(&path));
    assert_eq!(answer(get("/legacy".into()).header("x-acme-key", secret)).await.0, 200);
    assert_eq!(answer(get(format!("/feeds?api_key={secret}"))).await.0, 200);
}
