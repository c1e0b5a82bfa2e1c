//! Certificates and listeners that change while clients use them.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use common::key::Secret;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde_json::Value;
use servers::Identity;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{
    support::{
        edge::{Edge, listener, path},
        eventually,
        process::Gateway,
        raw::Wire,
        tools::curl,
    },
    upgrade::ask,
};

#[tokio::test(flavor = "multi_thread")]
async fn certificate_that_changes_on_disk_is_replaced_and_a_bad_one_is_not() {
    let edge = Edge::new().await;
    let directory = edge.directory();
    // As Kubernetes mounts secrets: a link to a folder that is swung to another one.
    let place = |version: &str, identity: &Identity| {
        fs::create_dir_all(directory.join(version)).unwrap();
        fs::copy(&identity.certificate, directory.join(version).join("tls.crt")).unwrap();
        fs::copy(&identity.key, directory.join(version).join("tls.key")).unwrap();
    };
    let swing = |version: &str| {
        std::os::unix::fs::symlink(version, directory.join("next")).unwrap();
        fs::rename(directory.join("next"), directory.join("current")).unwrap();
    };
    place("v1", &edge.authority.sign("a.test").unwrap());
    swing("v1");
    let current = directory.join("current");
    let identity = Identity { certificate: current.join("tls.crt"), key: current.join("tls.key") };
    let gateway = edge.gateway(&listener(&[&identity], "", "")).await;
    let expiry =
        format!("tollgate_certificate_expiry_timestamp_seconds{{certificate=\"{}\"}}", path(&identity.certificate));
    let first = gateway.metric(&expiry).await.unwrap();
    assert!(first > 1_800_000_000.0, "{first}");
    assert_eq!(edge.get(&gateway, "a.test", &[]).await.unwrap().status, 200);

    place("v2", &edge.authority.sign("b.test").unwrap());
    fs::copy(directory.join("v1/tls.key"), directory.join("v2/tls.key")).unwrap();
    swing("v2");
    let refusal = gateway.logged("the refusal", |line| line["event"] == "certificates_refused").await;
    assert!(refusal["reason"].as_str().unwrap().contains("does not belong to the certificate"), "{refusal}");
    assert_eq!(edge.get(&gateway, "a.test", &[]).await.unwrap().status, 200);
    assert_eq!(gateway.metric("tollgate_certificate_reloads_total{outcome=\"refused\"}").await, Some(1.0));

    place("v3", &edge.authority.sign("b.test").unwrap());
    swing("v3");
    eventually("the new certificate", async || {
        edge.get(&gateway, "b.test", &[]).await.ok().filter(|answer| answer.status == 200)
    })
    .await;
    let expired = edge.authority.sign_expired("b.test").unwrap();
    place("v4", &expired);
    swing("v4");
    gateway.logged("the warning", |line| line["event"] == "certificate_expired").await;
    assert!(gateway.metric(&expiry).await.unwrap() < 1_700_000_000.0);
    assert_eq!(edge.get(&gateway, "b.test", &[]).await.unwrap_err(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn listener_is_added_and_removed_by_an_upgrade() {
    let edge = Edge::new().await;
    let identity = edge.authority.sign("a.test").unwrap();
    let plain = "  - address: 127.0.0.1:0\n";
    let old = edge.gateway(plain).await;
    edge.configure(&(plain.to_owned() + &listener(&[&identity], "", "")));
    let named = |line: &Value| line["event"] == "setting_needs_restart" && line["setting"] == "listen";
    old.logged("the setting", named).await;
    let new = Gateway::upgrade(&edge.fixture.config_file()).await;
    assert!(old.ended().await.success());
    assert_eq!(new.address, old.address);
    let secure = new.further[0];
    let key = format!("X-Api-Key: {}", edge.customer.secret.expose());
    assert_eq!(curl(&["-H", &key, &new.url("/a")]).await.unwrap().status, 200);
    assert_eq!(edge.get_at(secure.port(), "a.test", &[]).await.unwrap().status, 200);

    edge.configure(&listener(&[&identity], "", "").replace("127.0.0.1:0", &secure.to_string()));
    let last = Gateway::upgrade(&edge.fixture.config_file()).await;
    assert!(new.ended().await.success());
    assert_eq!((last.address, last.further.len()), (secure, 0));
    assert_eq!(edge.get(&last, "a.test", &[]).await.unwrap().status, 200);
    assert!(tokio::net::TcpStream::connect(new.address).await.is_err());
}

/// Keeps asking over TLS until told to stop. Any request that is not answered fails the test.
async fn keep_asking(
    address: SocketAddr,
    connector: TlsConnector,
    secret: Secret,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
) {
    let name = ServerName::try_from("a.test").unwrap();
    while !stop.load(Ordering::SeqCst) {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut wire = Wire::new(connector.connect(name.clone(), stream).await.unwrap());
        // Some connections are short: handshakes happen all the time.
        for _ in 0..20 {
            let goes_on = ask(&mut wire, &secret).await;
            answered.fetch_add(1, Ordering::SeqCst);
            if !goes_on || stop.load(Ordering::SeqCst) {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_certificates_and_upgrades_under_load_lose_no_request_and_no_usage() {
    let edge = Edge::new().await;
    let identity = edge.authority.sign("a.test").unwrap();
    let mut gateway = edge.gateway(&listener(&[&identity], "", "")).await;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(edge.authority.file()).unwrap()).unwrap();
    let connector =
        TlsConnector::from(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()));
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let client = || {
        let secret = edge.customer.secret.clone();
        keep_asking(gateway.address, connector.clone(), secret, Arc::clone(&stop), Arc::clone(&answered))
    };
    let clients: Vec<_> = (0..4).map(|_| tokio::spawn(client())).collect();
    for _ in 0..2 {
        // Key and certificate are written one after the other: a pair that does not fit is passed over.
        edge.authority.sign("a.test").unwrap();
        gateway.logged("the new certificate", |line| line["event"] == "certificates_replaced").await;
        let goal = answered.load(Ordering::SeqCst) + 100;
        eventually("more answers", || async { (answered.load(Ordering::SeqCst) >= goal).then_some(()) }).await;
        let next = Gateway::upgrade(&edge.fixture.config_file()).await;
        assert_eq!(next.address, gateway.address);
        assert!(gateway.ended().await.success());
        gateway = next;
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.expect("every request answered");
    }
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    let (received, recorded) =
        (answered.load(Ordering::SeqCst), edge.fixture.billing.records(edge.customer.tenant).len());
    assert_eq!((received, received), (recorded, edge.fixture.upstream.requests()));
}
