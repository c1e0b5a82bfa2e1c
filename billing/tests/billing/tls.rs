//! TLS on the address of the business API.

use std::{fs, path::Path, process::Command};

use servers::{Authority, Identity, eventually};

use crate::deployment::{Deployment, stderr};

fn write_settings(deployment: &Deployment, identity: &Identity, client_ca: Option<&Path>) {
    let (certificate, key) = (identity.certificate.display(), identity.key.display());
    let client_ca = client_ca.map_or_else(String::new, |path| format!(", client_ca_file: {}", path.display()));
    deployment.write_settings("127.0.0.1:0");
    let plain = fs::read_to_string(deployment.path("billing.yaml")).unwrap();
    let tls = format!("tls: {{ certificate_file: {certificate}, key_file: {key}{client_ca} }}\n");
    fs::write(deployment.path("billing.yaml"), plain + &tls).unwrap();
}

/// The body of an answer, as curl gets it with these arguments; none if it gets none.
fn curl(authority: &Authority, address: &str, path: &str, more: &[&str]) -> Option<String> {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "30", "--cacert"]).arg(authority.file()).args(more);
    let output = command.arg(format!("https://{address}{path}")).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn clients_are_served_over_tls_with_the_certificate_that_is_there() {
    let deployment = Deployment::new();
    let authority = Authority::create(&deployment.path(""), "ours").unwrap();
    let mut identity = authority.sign("127.0.0.1").unwrap();
    // The certificate's own file is used for the next one.
    for file in [&mut identity.certificate, &mut identity.key] {
        let moved = file.with_extension(format!("{}.in-force", file.extension().unwrap().display()));
        fs::rename(&*file, &moved).unwrap();
        *file = moved;
    }
    write_settings(&deployment, &identity, None);
    let server = deployment.serve().await;
    assert_eq!(curl(&authority, &server.address, "/health", &[]).as_deref(), Some(r#"{"status":"ok"}"#));
    assert_eq!(server.try_get("/health").await, None, "without TLS");
    let expiry = |text: &str| {
        let series = "tollgate_certificate_expiry_timestamp_seconds{certificate=\"";
        let line = text.lines().find(|line| line.starts_with(series)).unwrap();
        line.rsplit(' ').next().unwrap().parse::<i64>().unwrap()
    };
    let metrics = curl(&authority, &server.address, "/metrics", &[]).unwrap();
    assert!(expiry(&metrics) > 1_800_000_000, "{metrics}");
    let expired = authority.sign_expired("127.0.0.1").unwrap();
    fs::rename(expired.key, &identity.key).unwrap();
    fs::rename(expired.certificate, &identity.certificate).unwrap();
    eventually("the expired certificate", async || curl(&authority, &server.address, "/health", &[]).is_none()).await;
}

#[tokio::test]
async fn clients_without_a_certificate_are_refused_where_one_is_asked_for() {
    let deployment = Deployment::new();
    let authority = Authority::create(&deployment.path(""), "ours").unwrap();
    let others = Authority::create(&deployment.path(""), "others").unwrap();
    let (gateway, stranger) = (authority.sign("edge-1.test").unwrap(), others.sign("edge-1.test").unwrap());
    write_settings(&deployment, &authority.sign("127.0.0.1").unwrap(), Some(&authority.file()));
    let server = deployment.serve().await;
    let with = |identity: &Identity| {
        let shown = ["--cert", identity.certificate.to_str().unwrap(), "--key", identity.key.to_str().unwrap()];
        curl(&authority, &server.address, "/health", &shown)
    };
    assert!(with(&gateway).is_some());
    assert_eq!(with(&stranger), None);
    assert_eq!(curl(&authority, &server.address, "/health", &[]), None);
}

#[tokio::test]
async fn unusable_certificates_are_told_with_their_place() {
    let deployment = Deployment::new();
    let authority = Authority::create(&deployment.path(""), "ours").unwrap();
    let (one, other) = (authority.sign("one.test").unwrap(), authority.sign("other.test").unwrap());
    let mixed = Identity { certificate: one.certificate, key: other.key };
    write_settings(&deployment, &mixed, Some(Path::new("/nowhere.pem")));
    let told = stderr(&deployment.run(&["--check", "--config", "billing.yaml"]).await);
    assert!(told.contains("billing.yaml:5:1: `tls`: "), "{told}");
    assert!(told.contains("does not belong to the certificate") && told.contains("`client_ca_file`: "), "{told}");
}

#[tokio::test]
async fn ingester_speaks_tls_with_those_who_show_a_certificate() {
    let deployment = Deployment::new();
    let authority = Authority::create(&deployment.path(""), "ours").unwrap();
    let (identity, client) = (authority.sign("127.0.0.1").unwrap(), authority.sign("prometheus.test").unwrap());
    let (certificate, key) = (identity.certificate.display(), identity.key.display());
    let settings = format!(
        "store: {}\npepper_file: pepper\ningest:\n  listen: 127.0.0.1:0\n  brokers: 127.0.0.1:1\n  \
         tls: {{ certificate_file: {certificate}, key_file: {key}, client_ca_file: {} }}\n",
        deployment.url(),
        authority.file().display()
    );
    fs::write(deployment.path("billing.yaml"), settings).unwrap();
    let server = deployment.start(&["ingest", "--config", "billing.yaml"], "ingesting").await;
    let shown = ["--cert", client.certificate.to_str().unwrap(), "--key", client.key.to_str().unwrap()];
    let metrics = eventually("the metrics", async || curl(&authority, &server.address, "/metrics", &shown)).await;
    assert!(metrics.contains("tollgate_certificate_expiry_timestamp_seconds{certificate="), "{metrics}");
    assert_eq!(curl(&authority, &server.address, "/metrics", &[]), None);
    assert_eq!(server.try_get("/metrics").await, None, "without TLS");
}
