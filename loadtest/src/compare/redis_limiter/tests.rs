use std::sync::atomic::Ordering;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use servers::Redis;

use super::*;

/// Two keys of one tenant: two requests a day under each key, three in all.
fn settings(redis: &Redis) -> Settings {
    let limits = json!({
        "key": { "per_day": { "limit": 2, "burst": 2 } },
        "tenant": { "per_minute": 1_000_000, "per_day": { "limit": 3, "burst": 3 } },
    });
    let caller = |name: &str| Caller { secret: format!("secret {name}"), key: name.into(), tenant: "tenant".into() };
    Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        redis: redis.url(),
        limits: serde_json::from_value(limits).unwrap(),
        callers: vec![caller("first"), caller("second")],
    }
}

async fn asked(limiter: &Limiter, secret: &str) -> bool {
    matches!(limiter.decide(secret.as_bytes()).await.unwrap(), Verdict::Known { wait: 0, .. })
}

#[tokio::test]
async fn denied_request_consumes_from_no_limit() {
    let redis = Redis::start().unwrap();
    let limiter = Limiter::connect(&settings(&redis)).await.unwrap();
    assert!(asked(&limiter, "secret first").await);
    assert!(asked(&limiter, "secret first").await);
    assert!(!asked(&limiter, "secret first").await, "the key's third of two");
    assert!(asked(&limiter, "secret second").await, "the tenant's third: the denied one took nothing from it");
    assert!(!asked(&limiter, "secret second").await, "the tenant's fourth of three");
    assert_eq!(limiter.decide(b"secret").await.unwrap(), Verdict::Unknown);
    assert_eq!(limiter.allowed.load(Ordering::Relaxed), 3);
    assert_eq!(limiter.denied.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn flushed_redis_gets_the_script_again() {
    let redis = Redis::start().unwrap();
    let limiter = Limiter::connect(&settings(&redis)).await.unwrap();
    assert!(asked(&limiter, "secret first").await);
    redis.flush().unwrap();
    assert!(asked(&limiter, "secret first").await);
}

#[tokio::test]
async fn document_and_headers_show_the_state_of_the_limits() {
    let redis = Redis::start().unwrap();
    let limiter = Limiter::connect(&settings(&redis)).await.unwrap();
    for (decision, remaining) in [("allow", 1), ("allow", 0), ("deny", 0)] {
        let verdict = limiter.decide(b"secret first").await.unwrap();
        let (head, body) = answer::verdict(&limiter, &verdict).into_parts();
        let document: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!(document["decision"], decision);
        assert_eq!(document["limits"][0]["policy"], "key-day");
        assert_eq!(document["limits"][0]["remaining"], remaining);
        assert_eq!(document["limits"].as_array().unwrap().len(), 3);
        let policy = r#""key-day";q=2;w=86400, "tenant-minute";q=1000000;w=60, "tenant-day";q=3;w=86400"#;
        assert_eq!(head.headers["ratelimit-policy"], policy);
        let state = head.headers["ratelimit"].to_str().unwrap();
        assert!(state.starts_with(&format!("\"key-day\";r={remaining};t=")), "{state}");
        assert_eq!(head.headers.contains_key("retry-after"), decision == "deny");
        assert_eq!(document["retry_after_ms"].as_u64() > Some(0), decision == "deny");
    }
}
