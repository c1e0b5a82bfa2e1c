//! Usage through a Kafka that wants TLS and a password, and what those are told who do not have
//! them.

use loadtest::processes::{self, GatewayOptions, GatewayProcess, IngestProcess, KafkaAccess, UsageSink};

use servers::eventually;

use crate::fixture::Fixture;

/// The broker's words for a wrong password, and OpenSSL's for an unknown authority.
const WRONG_PASSWORD: &str = "Authentication failed";
const UNKNOWN_AUTHORITY: &str = "certificate verify failed";

#[tokio::test(flavor = "multi_thread")]
async fn usage_reaches_the_bill_over_tls_and_refused_clients_log_the_reason() {
    let fixture = Fixture::on_secured_kafka().await;
    let acme = fixture.customer("Acme", "growth").await;
    for _ in 0..50 {
        assert_eq!(fixture.get("/v1/hello", &acme.key).await, 200);
    }
    fixture.invoice_once(&acme, |invoice| invoice.requests == 50).await;
    fixture.audit().await.unwrap();

    let access = KafkaAccess::from(fixture.kafka.as_ref().unwrap());
    let mut wrong_password = access.clone();
    wrong_password.properties.insert("sasl.password".into(), "guessed".into());
    let mut no_authority = access;
    no_authority.properties.remove("ssl.ca.location");
    for (name, access, reason) in
        [("wrong-password", wrong_password, WRONG_PASSWORD), ("no-authority", no_authority, UNKNOWN_AUTHORITY)]
    {
        gateway_is_told(&fixture, name, &access, &acme.key, reason).await;
        ingest_is_told(&fixture, name, &access, reason).await;
    }
}

/// The gateway serves, keeps what it records, and its log says why.
async fn gateway_is_told(fixture: &Fixture, name: &str, access: &KafkaAccess, key: &str, reason: &str) {
    let sink = UsageSink::Kafka(access.clone());
    let options = GatewayOptions {
        name: format!("gateway-{name}"),
        ..GatewayOptions::new(fixture.directory(), fixture.store(), sink, fixture.upstream.address())
    };
    let gateway = GatewayProcess::start(options).await.unwrap();
    assert_eq!(fixture.get_from(&gateway, "/hello", key).await, 200);
    eventually("the gateway's log says why", async || {
        let log = gateway.process.log().tail();
        log.lines().any(|line| line.contains("outage_began") && line.contains(reason))
    })
    .await;
}

/// The ingester is not healthy, and it says why.
async fn ingest_is_told(fixture: &Fixture, name: &str, access: &KafkaAccess, reason: &str) {
    let name = format!("ingest-{name}");
    let ingest = IngestProcess::spawn(fixture.directory(), &name, fixture.store(), access, false).unwrap();
    eventually("the ingester says why", async || {
        let health = processes::get(ingest.address(), "/health").await;
        // Whoever asks without a credential is told that something is wrong; the log says what.
        let log = std::fs::read_to_string(fixture.directory().join(format!("{name}.log"))).unwrap_or_default();
        health.is_ok_and(|health| health.status == 503) && log.contains(reason)
    })
    .await;
}
