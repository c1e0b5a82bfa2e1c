//! One process after another on the same sockets.

use serde_json::{Value, json};

use crate::{
    api::{Api, rest},
    support::{Fixture, process::Gateway, raw::Wire},
};

#[tokio::test(flavor = "multi_thread")]
async fn next_process_takes_over_and_what_was_reserved_goes_back() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("capped")).await;
    // Connections of the test's own client are not waited for.
    fixture.configure(&format!("upgrade_drain_seconds: 1\n{}", rest("")));
    let old = Gateway::start(&fixture.config_file()).await;
    old.wait_until_ready().await;
    let old = Api::of(old);
    let reservation = old.reserve(&customer.secret, 5).await;
    let mut idle = Wire::connect(old.http).await;

    let new = Api::of(Gateway::upgrade(&fixture.config_file()).await);
    assert_eq!((new.http, new.grpc), (old.http, old.grpc));
    let taken_over = |line: &Value| line["event"] == "taken_over";
    old.gateway.logged("the old process drains", taken_over).await;
    idle.send("POST /check HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
    let answer = idle.read_to_end().await;
    assert!(answer.contains("missing_credential") && answer.contains("connection: close"), "{answer}");
    assert!(old.gateway.ended().await.success());

    assert_eq!(new.settle(&customer.secret, &reservation, 5).await, (404, json!("reservation_not_found")));
    assert_eq!(new.outcome(&customer.secret, json!({ "units": 5 })).await, "allow");
    new.end().await;
    assert_eq!(fixture.billing.records(customer.tenant).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn next_process_may_answer_elsewhere_or_not_at_all() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    fixture.configure(&format!("upgrade_drain_seconds: 1\n{}", crate::support::ROUTES));
    let silent = Gateway::start(&fixture.config_file()).await;
    silent.wait_until_ready().await;

    fixture.configure(&format!("upgrade_drain_seconds: 1\n{}", rest("")));
    let api = Api::of(Gateway::upgrade(&fixture.config_file()).await);
    assert_eq!(api.outcome(&customer.secret, json!({})).await, "allow");
    assert!(silent.ended().await.success());

    fixture.configure(&format!("upgrade_drain_seconds: 1\n{}", crate::support::ROUTES));
    let silent = Gateway::upgrade(&fixture.config_file()).await;
    assert!(api.gateway.ended().await.success());
    assert!(tokio::net::TcpStream::connect(api.http).await.is_err());
    assert_eq!(silent.status("/", &customer.secret).await, 200);
}
