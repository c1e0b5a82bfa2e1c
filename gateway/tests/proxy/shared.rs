//! Two gateways that share limits through a Redis, as processes.

use std::time::Instant;

use serde_json::Value;
use servers::Redis;

use crate::support::{
    Fixture, ROUTES, eventually,
    process::{Gateway, command},
};

/// Another gateway's configuration beside the one that is written.
fn second_config(fixture: &Fixture) -> std::path::PathBuf {
    let first = fixture.config_file();
    let text = std::fs::read_to_string(&first).unwrap();
    let second = first.with_file_name("second.yaml");
    std::fs::write(&second, text.replace("name: test", "name: second").replace("/journal'", "/second-journal'"))
        .unwrap();
    second
}

async fn limits(gateway: &Gateway) -> Value {
    let (status, body) = gateway.admin("/health/ready").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str::<Value>(&body).unwrap()["limits"].take()
}

fn outages(gateway: &Gateway, event: &str) -> usize {
    gateway.log().iter().filter(|line| is_of_bank(line, event)).count()
}

fn is_of_bank(line: &Value, event: &str) -> bool {
    line["event"] == event && line["what"] == "token bank"
}

#[tokio::test]
async fn two_gateways_share_a_limit_and_serve_on_without_their_redis() {
    let mut redis = Redis::start().unwrap();
    let fixture = Fixture::new().await;
    // A call that a busy machine holds up would count as an outage of its own.
    fixture.configure(&format!("limits: {{ redis: {{ timeout_ms: 500 }} }}\n{ROUTES}"));
    let url = redis.url();
    let start = async |config: &std::path::Path| {
        let mut command = command(config);
        command.env("TOLLGATE_REDIS", &url);
        Gateway::spawn(command).await
    };
    let gateways = [start(&fixture.config_file()).await, start(&second_config(&fixture)).await];
    for gateway in &gateways {
        gateway.wait_until_ready().await;
        eventually("shared limits", || async { (limits(gateway).await["shared"] == true).then_some(()) }).await;
    }
    let customer = fixture.customer(Some("narrow")).await;
    for gateway in &gateways {
        eventually("the new key is known", || async {
            (gateway.status("/", &customer.secret).await != 401).then_some(())
        })
        .await;
    }

    let (other, secret) = fixture.key(customer.tenant, common::key::Mode::Live).await;
    for gateway in &gateways {
        let unknown = || async {
            let keys = serde_json::from_str::<Value>(&gateway.admin("/health/ready").await.1).unwrap();
            (keys["catalog"]["keys"] == 2).then_some(())
        };
        eventually("the second key is known", unknown).await;
    }
    let (begun, mut admitted) = (Instant::now(), 0);
    for _ in 0..10 {
        for gateway in &gateways {
            admitted += u64::from(gateway.status("/", &secret).await == 200);
        }
    }
    // Three per minute, and as many at once.
    let most = 3 + begun.elapsed().as_secs() * 3 / 60 + 1;
    assert!((1..=most).contains(&admitted), "{admitted} of at most {most} for {other}");

    redis.kill().unwrap();
    for gateway in &gateways {
        let gone = || async { (limits(gateway).await["shared"] == false).then_some(()) };
        eventually("the outage is told", gone).await;
        assert!(limits(gateway).await["problem"].is_string());
        assert!([200, 429].contains(&gateway.status("/", &secret).await));
    }
    redis.restart().unwrap();
    for gateway in &gateways {
        eventually("shared limits again", || async { (limits(gateway).await["shared"] == true).then_some(()) }).await;
        gateway.logged("the end of the outage", |line| is_of_bank(line, "outage_ended")).await;
        assert_eq!((outages(gateway, "outage_began"), outages(gateway, "outage_ended")), (1, 1));
    }
}
