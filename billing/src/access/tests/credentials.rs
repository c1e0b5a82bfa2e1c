//! Admin keys and the bootstrap token, tenants that are gone, and callers who come too often.

use common::{
    admin::{AdminSecret, Role},
    plan::RateLimit,
    tenant::TenantStatus,
    time::{Clock as _, SystemClock},
};
use reqwest::StatusCode;
use serde_json::Value;

use super::{Fixture, Served};
use crate::access::BootstrapToken;

const BOOTSTRAP: &str = "set-up-with-this-token";

fn detail(body: &Value) -> &str {
    body["detail"].as_str().unwrap()
}

#[tokio::test]
async fn admin_key_works_until_it_is_revoked() {
    let fixture = Fixture::open().await;
    let served = Served::start(fixture.access()).await;
    let (id, secret) = fixture.machine(fixture.tree.reseller, Role::Admin, &[]).await;
    let (status, me) = served.me(&secret).await;
    assert_eq!((status, me["name"].as_str()), (StatusCode::OK, Some(id.to_string().as_str())), "{me}");
    assert_eq!((me["kind"].as_str(), me["role"].as_str()), (Some("admin_key"), Some("admin")));
    assert_eq!(me["tenant"], fixture.tree.reseller.to_string());
    assert_eq!(me["address"], "127.0.0.1");
    fixture.store.revoke_admin_key(id, SystemClock.now()).await.unwrap();
    let (status, said) = served.me(&secret).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(detail(&said).contains("revoked"), "{said}");
}

#[tokio::test]
async fn invalid_credential_is_refused_with_the_accepted_kinds() {
    let fixture = Fixture::open().await;
    let served = Served::start(fixture.access()).await;
    let api_key = common::key::Secret::generate(common::key::Mode::Live);
    let expired =
        fixture.machine_until(fixture.tree.root, Role::Owner, &[], Some(SystemClock.now().plus_seconds(1))).await.1;
    let huge = format!("{}.e30.x", "a".repeat(20_000));
    let ingest = fixture.pepper.ingest_token();
    let made_up = AdminSecret::generate();
    for token in [
        "x",
        "adm_",
        "adm_short",
        "a.b.c",
        "...",
        BOOTSTRAP,
        &huge,
        api_key.expose(),
        ingest.expose(),
        made_up.expose(),
    ] {
        let (status, body) = served.me(token).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{token:.40}");
        assert_eq!(body["code"], "unauthorized");
        assert!(token.len() < 20 || !body.to_string().contains(&token[..20]), "{body}");
    }
    while served.me(&expired).await.0 == StatusCode::OK {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(detail(&served.me(&expired).await.1).contains("expired"));
    let bare = served.client.get(format!("{}/v1/me", served.address)).send().await.unwrap();
    assert_eq!(
        (bare.status(), &bare.headers()["www-authenticate"]),
        (StatusCode::UNAUTHORIZED, &"Bearer".parse().unwrap())
    );
    let basic = served.client.get(format!("{}/v1/me", served.address)).basic_auth("a", Some("b")).send().await.unwrap();
    assert_eq!(basic.status(), StatusCode::UNAUTHORIZED);
    let health = served.client.get(format!("{}/health", served.address)).send().await.unwrap();
    assert_eq!(health.text().await.unwrap(), "open");
}

#[tokio::test]
async fn bootstrap_token_works_until_an_owner_exists() {
    let fixture = Fixture::open().await;
    let token = BootstrapToken::new(BOOTSTRAP.as_bytes()).unwrap();
    let served = Served::start(fixture.access().with_bootstrap(Some(token))).await;
    let (status, me) = served.me(BOOTSTRAP).await;
    assert_eq!((status, me["kind"].as_str(), &me["tenant"]), (StatusCode::OK, Some("bootstrap"), &Value::Null), "{me}");
    let first = format!("/v1/admin-keys?tenant={}", fixture.tree.root);
    assert_eq!(served.ask("POST", &first, BOOTSTRAP).await.status(), StatusCode::OK);
    assert_eq!(served.me("set-up-with-this-tokeN").await.0, StatusCode::UNAUTHORIZED);
    fixture.machine(fixture.tree.root, Role::Admin, &[]).await;
    assert_eq!(served.me(BOOTSTRAP).await.0, StatusCode::OK, "an admin cannot make an owner: the set-up goes on");
    let (id, _) = fixture.machine(fixture.tree.root, Role::Owner, &[]).await;
    fixture.store.revoke_admin_key(id, SystemClock.now()).await.unwrap();
    let (status, said) = served.me(BOOTSTRAP).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(detail(&said).contains("there is an owner"), "{said}");
}

#[tokio::test]
async fn suspended_tenant_may_read_and_deleted_tenant_may_not() {
    let fixture = Fixture::open().await;
    let served = Served::start(fixture.access()).await;
    let (_, token) = fixture.machine(fixture.tree.customer, Role::Owner, &[]).await;
    let own = format!("/v1/tenants/{}", fixture.tree.customer);
    let create = format!("/v1/keys?tenant={}", fixture.tree.customer);
    assert_eq!(served.ask("POST", &create, &token).await.status(), StatusCode::OK);
    let now = SystemClock.now();
    // From above: it hits those below too.
    fixture.store.set_tenant_status(fixture.tree.reseller, TenantStatus::Suspended, now).await.unwrap();
    assert_eq!(served.ask("GET", &own, &token).await.status(), StatusCode::OK);
    assert_eq!(served.ask("POST", &create, &token).await.status(), StatusCode::FORBIDDEN);
    fixture.store.set_tenant_status(fixture.tree.reseller, TenantStatus::Active, now).await.unwrap();
    fixture.store.delete_tenant(fixture.tree.customer, None, now).await.unwrap();
    assert!(
        [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&served.ask("GET", &own, &token).await.status())
    );
}

#[tokio::test]
async fn tenant_over_its_rate_gets_retry_after_and_others_are_served() {
    let fixture = Fixture::open().await;
    let (few, many) = (RateLimit { limit: 1, burst: 2 }, RateLimit { limit: 1_000, burst: 1_000 });
    let served = Served::start(fixture.access().limited_to(few, many)).await;
    let (_, one) = fixture.machine(fixture.tree.reseller, Role::Admin, &[]).await;
    let (_, same) = fixture.machine(fixture.tree.reseller, Role::Viewer, &[]).await;
    let (_, other) = fixture.machine(fixture.tree.customer, Role::Viewer, &[]).await;
    let first = served.ask("GET", "/v1/me", &one).await;
    assert_eq!(first.headers()["ratelimit-policy"], "\"admin-tenant-minute\";q=1;w=60");
    assert!(first.headers()["ratelimit"].to_str().unwrap().starts_with("\"admin-tenant-minute\";r=1;t="));
    assert_eq!(served.me(&same).await.0, StatusCode::OK);
    let refused = served.ask("GET", "/v1/me", &one).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    assert!(refused.headers()["ratelimit"].to_str().unwrap().contains(";r=0;"));
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "too_many_requests");
    assert_eq!(served.me(&other).await.0, StatusCode::OK, "those below have a bucket of their own");
}

#[tokio::test]
async fn guessing_address_is_refused_for_a_while() {
    let fixture = Fixture::open().await;
    let (many, few) = (RateLimit { limit: 1_000, burst: 1_000 }, RateLimit { limit: 1, burst: 3 });
    let access = fixture.access().limited_to(many, few).behind_proxies(vec!["127.0.0.0/8".parse().unwrap()]);
    let served = Served::start(access).await;
    let (_, token) = fixture.machine(fixture.tree.root, Role::Owner, &[]).await;
    let from = async |address: &str, token: &str| {
        let request = served.client.get(format!("{}/v1/me", served.address)).header("x-forwarded-for", address);
        request.bearer_auth(token).send().await.unwrap().status()
    };
    for _ in 0..3 {
        assert_eq!(from("198.51.100.1", AdminSecret::generate().expose()).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(from("198.51.100.1", &token).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(from("198.51.100.2", &token).await, StatusCode::OK);
}

#[tokio::test]
async fn guesses_of_the_ingest_token_count_against_their_address() {
    let fixture = Fixture::open().await;
    let (many, few) = (RateLimit { limit: 1_000, burst: 1_000 }, RateLimit { limit: 1, burst: 3 });
    let access = fixture.access().limited_to(many, few).behind_proxies(vec!["127.0.0.0/8".parse().unwrap()]);
    let served = Served::start(access).await;
    let send = async |address: &str, token: Option<&str>| {
        let request = served.client.post(format!("{}/v1/usage/batches", served.address));
        let request = request.header("x-forwarded-for", address);
        let request = token.map_or(request.try_clone().unwrap(), |token| request.bearer_auth(token));
        request.send().await.unwrap().status()
    };
    for _ in 0..5 {
        assert_eq!(send("198.51.100.1", None).await, StatusCode::UNAUTHORIZED, "no token is no guess");
    }
    for _ in 0..3 {
        assert_eq!(send("198.51.100.1", Some("guess")).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(send("198.51.100.1", Some("good")).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(send("198.51.100.2", Some("good")).await, StatusCode::OK);
}

#[tokio::test]
async fn request_keeps_its_id() {
    let fixture = Fixture::open().await;
    let served = Served::start(fixture.access()).await;
    let (_, token) = fixture.machine(fixture.tree.root, Role::Owner, &[]).await;
    let named = async |name: &str| {
        let request = served.client.get(format!("{}/v1/me", served.address)).header("x-request-id", name);
        let response = request.bearer_auth(&token).send().await.unwrap();
        let header = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["request_id"], header.as_str());
        header
    };
    assert_eq!(named("order-1.a").await, "order-1.a");
    assert_eq!(named("not a name").await.len(), 32);
}
