//! The bank behind TLS.

use gateway::limit::bank::BankAddress;
use servers::{Redis, RedisOptions};

use crate::fixture::{Setup, burst_of};

#[tokio::test]
async fn limits_are_shared_over_tls_with_a_trusted_server() {
    const BURST: u64 = 50;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = RedisOptions { password: Some("secret".into()), secured: true };
    let redis = Redis::start_with(options).unwrap();
    let (url, authority) = redis.secured_url().unwrap();
    let authority = std::fs::read(authority).unwrap();

    let mut setup = Setup::fresh("redis://unused:1", burst_of(BURST));
    setup.settings.address = BankAddress::parse(&url, false).unwrap().vouched_for_by(authority).unwrap();
    let gateways = [setup.start().await, Setup { is_fresh: false, ..setup.clone() }.start().await];
    let mut admitted = 0;
    for gateway in &gateways {
        assert!(gateway.is_shared(), "{:?}", gateway.bank.report());
        admitted += gateway.requests(40).await;
    }
    assert!(admitted > BURST / 2 && admitted <= BURST, "{admitted}");

    // Nobody that this system trusts vouches for it.
    setup.settings.address = BankAddress::parse(&url, false).unwrap();
    let report = setup.start().await.bank.report();
    assert!(!report.shared && report.problem.unwrap().contains("cannot be reached"));
}

#[test]
fn authority_needs_certificates_and_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let address = |url| BankAddress::parse(url, false).unwrap();
    let plain = address("redis://127.0.0.1:1").vouched_for_by(Vec::new()).unwrap_err();
    assert!(plain.to_string().contains("redis:// shows no certificate"), "{plain}");
    let garbage = address("rediss://127.0.0.1:1").vouched_for_by(b"no certificate".to_vec());
    assert!(garbage.is_err());
}
