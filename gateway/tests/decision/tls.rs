//! The decision API over TLS, asked by clients that someone else wrote.

use std::process::Command;

use servers::{Authority, Identity};

use crate::{
    api::{Api, rest},
    support::{Fixture, process::Gateway},
};

/// The output of curl with these arguments; none if the handshake fails.
fn curl(authority: &Authority, shown: Option<&Identity>, arguments: &[&str]) -> Option<Vec<u8>> {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "30", "--cacert"]).arg(authority.file());
    if let Some(shown) = shown {
        command.arg("--cert").arg(&shown.certificate).arg("--key").arg(&shown.key);
    }
    let output = command.args(arguments).output().unwrap();
    output.status.success().then_some(output.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_told_over_tls_to_clients_with_a_certificate() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let authority = Authority::create(&fixture.path("."), "ours").unwrap();
    let (identity, proxy) = (authority.sign("127.0.0.1").unwrap(), authority.sign("proxy.test").unwrap());
    let tls = format!(
        ", tls: {{ certificate_file: {}, key_file: {}, client_ca_file: {} }}",
        identity.certificate.display(),
        identity.key.display(),
        authority.file().display()
    );
    fixture.configure(&rest(&tls));
    let gateway = Gateway::start(&fixture.config_file()).await;
    gateway.wait_until_ready().await;
    let api = Api::of(gateway);

    let (url, key) = (format!("https://{}/check", api.http), format!("X-Api-Key: {}", customer.secret.expose()));
    let question = ["-H", &key, "--data", "{}", &url];
    let answer = curl(&authority, Some(&proxy), &question).expect("an answer");
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["decision"], "allow", "{answer}");
    assert_eq!(curl(&authority, None, &question), None, "without a certificate");
    assert_eq!(curl(&authority, Some(&proxy), &[&url.replace("https", "http")]), None, "without TLS");

    // A call of gRPC's health service: an empty message, and the message `SERVING` in the answer.
    let message = fixture.path("message");
    std::fs::write(&message, [0; 5]).unwrap();
    let (data, url) = (format!("@{}", message.display()), format!("https://{}/grpc.health.v1.Health/Check", api.grpc));
    let call = ["--http2", "-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary", &data, &url];
    let answer = curl(&authority, Some(&proxy), &call).expect("an answer");
    assert_eq!(answer, [0, 0, 0, 0, 2, 8, 1]);
    assert_eq!(curl(&authority, None, &call), None, "without a certificate");
    api.end().await;
}
