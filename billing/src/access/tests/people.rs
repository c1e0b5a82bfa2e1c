//! People, with tokens of an OIDC provider that somebody else wrote.

use std::time::Duration;

use common::{admin::Role, id::TenantId};
use reqwest::{Client, StatusCode, redirect};
use serde_json::{Value, json};
use servers::OpenId;

use super::{Fixture, Served};
use crate::access::oidc::{IdentityProvider, OidcConfig};

/// A provider, and the checkpoint that accepts its tokens.
struct Setup {
    fixture: Fixture,
    provider: OpenId,
    served: Served,
}

impl Setup {
    async fn open() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(adjust: impl FnOnce(&mut OidcConfig)) -> Self {
        let provider = tokio::task::spawn_blocking(|| OpenId::start().unwrap()).await.unwrap();
        let mut settings = OidcConfig {
            issuer: provider.issuer(),
            audience: "tollgate".into(),
            tenant_claim: "tollgate.tenant".into(),
            role_claim: "tollgate.role".into(),
            clock_skew_seconds: 30,
            client_id: None,
            client_secret_file: None,
            scope: "openid".into(),
            resource: None,
        };
        adjust(&mut settings);
        let fixture = Fixture::open().await;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let people = IdentityProvider::new(settings).unwrap();
        let served = Served::start(fixture.access().with_people(Some(people))).await;
        Self { fixture, provider, served }
    }

    /// A token that the provider itself gives to a machine.
    async fn machine(&self, role: Role, tenant: TenantId, resource: &str) -> String {
        let form = format!("grant_type=client_credentials&scope=api&resource=urn:resource:{resource}");
        let response = Client::new()
            .post(format!("{}/token", self.provider.issuer()))
            .basic_auth(format!("machine.{role}.{tenant}"), Some("secret"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await
            .unwrap();
        let answer: Value = response.json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Claims that do; each test spoils some.
    fn claims(&self) -> Value {
        json!({
            "iss": self.provider.issuer(), "aud": "tollgate", "sub": "alice", "exp": seconds_from_now(300),
            "tollgate": { "tenant": self.fixture.tree.reseller, "role": "admin" },
        })
    }

    fn signed(&self, order: &Value) -> String {
        self.provider.sign(&order.to_string()).unwrap()
    }

    async fn refusal(&self, token: &str) -> String {
        let (status, body) = self.served.me(token).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
        body["detail"].as_str().unwrap().to_owned()
    }

    fn times_asked(&self, path: &str) -> u64 {
        let counts: Value = serde_json::from_str(&self.provider.counts().unwrap()).unwrap();
        counts[path].as_u64().unwrap_or(0)
    }
}

fn seconds_from_now(seconds: i64) -> i64 {
    i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap()
        + seconds
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    json!({ "claims": claims })
}

#[tokio::test]
async fn tokens_of_machines_and_people_are_accepted() {
    let setup = Setup::open().await;
    let reseller = setup.fixture.tree.reseller;
    let token = setup.machine(Role::Billing, reseller, "tollgate").await;
    let (status, me) = setup.served.me(&token).await;
    assert_eq!((status, me["role"].as_str()), (StatusCode::OK, Some("billing")), "{me}");
    assert_eq!((me["tenant"].as_str(), me["kind"].as_str()), (Some(reseller.to_string().as_str()), Some("person")));
    let token = log_in(&setup.provider, &format!("viewer.{reseller}")).await;
    let (status, me) = setup.served.me(&token).await;
    assert_eq!((status, me["name"].as_str()), (StatusCode::OK, Some(format!("viewer.{reseller}").as_str())), "{me}");
    let own = format!("/v1/tenants/{reseller}");
    assert_eq!(setup.served.ask("GET", &own, &token).await.status(), StatusCode::OK);
    assert_eq!(
        setup.served.ask("POST", &format!("/v1/keys?tenant={reseller}"), &token).await.status(),
        StatusCode::FORBIDDEN
    );
    for _ in 0..20 {
        assert_eq!(setup.served.me(&token).await.0, StatusCode::OK);
    }
    assert_eq!(setup.times_asked("/jwks"), 1, "nothing is fetched with every request");
}

#[tokio::test]
async fn each_accepted_algorithm_is_verified() {
    let setup = Setup::open().await;
    for alg in ["RS256", "ES256", "EdDSA"] {
        let order = json!({ "alg": alg, "claims": setup.claims() });
        let token = setup.signed(&order);
        assert_eq!(setup.served.me(&token).await.0, StatusCode::OK, "{alg}");
        let foreign = setup.signed(&json!({ "alg": alg, "claims": setup.claims(), "stranger": true }));
        assert!(setup.refusal(&foreign).await.contains("signature is wrong"), "{alg}");
        // Somebody else's claims under a good signature.
        let other = setup.signed(&with(setup.claims(), "sub", json!("mallory")));
        let (head, signature) = (token.split('.').next().unwrap(), token.rsplit('.').next().unwrap());
        let swapped = format!("{head}.{}.{signature}", other.split('.').nth(1).unwrap());
        assert!(setup.refusal(&swapped).await.contains("signature is wrong"), "{alg}");
    }
}

#[tokio::test]
async fn token_with_a_wrong_claim_is_refused() {
    let setup = Setup::open().await;
    let other_audience = setup.machine(Role::Owner, setup.fixture.tree.root, "elsewhere").await;
    assert!(setup.refusal(&other_audience).await.contains("another audience"));
    for (name, value, reason) in [
        ("exp", json!(seconds_from_now(-31)), "expired"),
        ("exp", Value::Null, "lacks the claim exp"),
        ("exp", json!("soon"), "claim exp"),
        ("nbf", json!(seconds_from_now(300)), "not valid yet"),
        ("aud", json!(["elsewhere"]), "another audience"),
        ("aud", Value::Null, "lacks the claim aud"),
        ("iss", json!("https://id.example"), "another issuer"),
        ("iss", json!([setup.provider.issuer()]), "another issuer"),
        ("sub", Value::Null, "lacks the claim sub"),
        ("sub", json!("a\nb"), "no name"),
    ] {
        let token = setup.signed(&with(setup.claims(), name, value.clone()));
        let said = setup.refusal(&token).await;
        assert!(said.contains(reason), "{name} = {value}: {said}");
    }
    // Within what the clocks may be apart, and one audience of several.
    for (name, value) in [
        ("exp", json!(seconds_from_now(-10))),
        ("nbf", json!(seconds_from_now(10))),
        ("aud", json!(["elsewhere", "tollgate"])),
    ] {
        let token = setup.signed(&with(setup.claims(), name, value.clone()));
        assert_eq!(setup.served.me(&token).await.0, StatusCode::OK, "{name} = {value}");
    }
    for (name, value) in [("typ", "logout+jwt"), ("crit", "")] {
        let header = if name == "crit" { json!({ "crit": ["b64"], "b64": true }) } else { json!({ name: value }) };
        let token = setup.signed(&json!({ "claims": setup.claims(), "header": header }));
        setup.refusal(&token).await;
    }
    let nobody = setup.signed(&with(setup.claims(), "tollgate", json!({ "role": "owner" })));
    assert_eq!(setup.served.me(&nobody).await.0, StatusCode::FORBIDDEN);
    let stranger =
        setup.signed(&with(setup.claims(), "tollgate", json!({ "role": "owner", "tenant": TenantId::generate() })));
    assert_eq!(setup.served.me(&stranger).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn unsigned_or_self_signed_token_is_refused() {
    let setup = Setup::open().await;
    let good = setup.signed(&json!({ "claims": setup.claims() }));
    assert_eq!(setup.served.me(&good).await.0, StatusCode::OK);
    let payload = good.split('.').nth(1).unwrap();
    for (header, signature) in [
        (r#"{"alg":"none"}"#, ""),
        (r#"{"alg":"none","typ":"JWT"}"#, "x"),
        (r#"{"alg":"None"}"#, ""),
        (r#"{"alg":"HS256"}"#, "AAAA"),
        (r#"{"alg":"RS512"}"#, "AAAA"),
        (r"{}", ""),
        ("", ""),
    ] {
        let token = format!("{}.{payload}.{signature}", base64url(header.as_bytes()));
        assert!(!setup.refusal(&token).await.is_empty(), "{header}");
    }
    for secret in setup.public_keys().await {
        let kid = secret["kid"].as_str().unwrap();
        for material in [secret["n"].as_str(), secret["x"].as_str()].into_iter().flatten() {
            for bytes in [material.as_bytes().to_vec(), secret.to_string().into_bytes()] {
                let token = hs256(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#), payload, &bytes);
                assert!(setup.refusal(&token).await.contains("not accepted"), "HS256");
            }
        }
    }
    for garbage in ["..", "a.b.c", "e30.e30.", "e30.e30.e30", "%.%.%", &format!("{}.{payload}.AAAA", "e".repeat(9_000))]
    {
        setup.refusal(garbage).await;
    }
    let deep = "[".repeat(10_000);
    setup.refusal(&format!("{}.{}.AAAA", base64url(deep.as_bytes()), payload)).await;
    let huge = format!("{}.{}.{}", good.split('.').next().unwrap(), "A".repeat(17_000), "A".repeat(340));
    assert!(setup.refusal(&huge).await.contains("too long"));
}

#[tokio::test]
async fn rotated_keys_of_the_provider_are_learned_and_old_ones_forgotten() {
    let setup = Setup::open().await;
    let order = json!({ "claims": setup.claims() });
    let first = setup.signed(&order);
    assert_eq!(setup.served.me(&first).await.0, StatusCode::OK);
    setup.provider.rotate_keys(true).unwrap();
    let second = setup.signed(&order);
    assert_eq!(setup.served.me(&second).await.0, StatusCode::OK, "an unknown key is asked for");
    assert_eq!(setup.served.me(&first).await.0, StatusCode::OK, "the one before is still published");
    setup.provider.rotate_keys(false).unwrap();
    let third = setup.signed(&order);
    assert_eq!(setup.served.me(&third).await.0, StatusCode::OK);
    setup.refusal(&first).await;
    setup.refusal(&second).await;
}

#[tokio::test]
async fn unknown_key_ids_do_not_flood_the_provider() {
    let setup = Setup::open().await;
    let good = setup.signed(&json!({ "claims": setup.claims() }));
    assert_eq!(setup.served.me(&good).await.0, StatusCode::OK);
    for number in 0..50 {
        let header = json!({ "kid": format!("made-up-{number}") });
        let said = setup.refusal(&setup.signed(&json!({ "claims": setup.claims(), "header": header }))).await;
        assert!(said.contains("key"), "{said}");
    }
    assert!(setup.times_asked("/jwks") <= 6, "{}", setup.times_asked("/jwks"));
    assert_eq!(setup.served.me(&good).await.0, StatusCode::OK, "and who has a good token does not notice");
}

#[tokio::test]
async fn known_keys_work_while_the_provider_is_down() {
    let mut setup = Setup::open().await;
    let order = json!({ "claims": setup.claims() });
    let known = setup.signed(&order);
    assert_eq!(setup.served.me(&known).await.0, StatusCode::OK);
    setup.provider.rotate_keys(false).unwrap();
    let unknown = setup.signed(&order);
    let mut provider = setup.provider;
    setup.provider = tokio::task::spawn_blocking(move || {
        provider.kill().unwrap();
        provider
    })
    .await
    .unwrap();
    assert_eq!(setup.served.me(&known).await.0, StatusCode::OK);
    let (status, said) = setup.served.me(&unknown).await;
    assert_eq!(
        (status, said["code"].as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, Some("identity_provider_unavailable"))
    );
    assert_eq!(setup.served.me(&known).await.0, StatusCode::OK);
    let (_, machine) = setup.fixture.machine(setup.fixture.tree.root, Role::Viewer, &[]).await;
    assert_eq!(setup.served.me(&machine).await.0, StatusCode::OK, "admin keys do not need it");
    let mut provider = setup.provider;
    setup.provider = tokio::task::spawn_blocking(move || {
        provider.restart().unwrap();
        provider
    })
    .await
    .unwrap();
    assert_eq!(setup.served.me(&unknown).await.0, StatusCode::OK, "it is asked again");
}

#[tokio::test]
async fn provider_with_another_issuer_is_refused() {
    let setup = Setup::with(|settings| settings.issuer.push('/')).await;
    let token = setup.signed(&json!({ "claims": setup.claims() }));
    let (status, said) = setup.served.me(&token).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{said}");
    // Whoever comes without a credential that holds is not told who the provider is: the log is.
    let detail = said["detail"].as_str().unwrap();
    assert!(detail.contains("the log says why") && !detail.contains("http"), "{said}");
}

impl Setup {
    async fn public_keys(&self) -> Vec<Value> {
        let response = Client::new().get(format!("{}/jwks", self.provider.issuer())).send().await.unwrap();
        let document: Value = response.json().await.unwrap();
        document["keys"].as_array().unwrap().clone()
    }
}

/// Logs in as a browser does: authorization code with PKCE, through the provider's own form.
async fn log_in(provider: &OpenId, account: &str) -> String {
    let client = Client::builder().redirect(redirect::Policy::none()).timeout(Duration::from_mins(1)).build().unwrap();
    let verifier = "0123456789abcdefghijklmnopqrstuvwxyz0123456789";
    let challenge = base64url(signatures::digest::digest(&signatures::digest::SHA256, verifier.as_bytes()).as_ref());
    let mut cookies = Vec::<(String, String)>::new();
    let callback = "https://console.example/callback";
    let mut next = format!(
        "{}/auth?client_id=console&response_type=code&scope=openid%20api&redirect_uri={callback}&state=s\
         &resource=urn:resource:tollgate&code_challenge={challenge}&code_challenge_method=S256",
        provider.issuer()
    );
    for _ in 0..10 {
        if next.starts_with(callback) {
            break;
        }
        let jar = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let request = if next.contains("/interaction/") {
            let form = format!("prompt=login&login={account}&password=any");
            client.post(&next).header("content-type", "application/x-www-form-urlencoded").body(form)
        } else {
            client.get(&next)
        };
        let response = request.header("cookie", jar).send().await.unwrap();
        for cookie in response.headers().get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            cookies.retain(|(known, _)| known != name);
            cookies.push((name.to_owned(), rest.split(';').next().unwrap().to_owned()));
        }
        let status = response.status();
        let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        let Some(location) = location else { panic!("{next}: {status} {}", response.text().await.unwrap()) };
        next = if location.starts_with('/') { format!("{}{location}", provider.issuer()) } else { location };
    }
    let code = next.split("code=").nth(1).unwrap_or_else(|| panic!("{next}")).split('&').next().unwrap();
    let form = format!(
        "grant_type=authorization_code&client_id=console&code={code}&redirect_uri={callback}&code_verifier={verifier}\
         &resource=urn:resource:tollgate"
    );
    let request = client.post(format!("{}/token", provider.issuer()));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn hs256(header: &str, payload: &str, secret: &[u8]) -> String {
    let message = format!("{}.{payload}", base64url(header.as_bytes()));
    let key = signatures::hmac::Key::new(signatures::hmac::HMAC_SHA256, secret);
    let signature = signatures::hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", base64url(signature.as_ref()))
}

fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(ALPHABET[(word >> (18 - 6 * place) & 63) as usize].into());
        }
    }
    text
}
