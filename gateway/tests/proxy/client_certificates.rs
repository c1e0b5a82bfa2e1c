//! Certificates that clients show: who has to, who is refused, and what they stand for.

use servers::{Authority, Identity};

use crate::support::{
    ROUTES,
    edge::{Edge, listener, path},
    eventually, now,
    process::Gateway,
    tools::curl,
};

#[tokio::test(flavor = "multi_thread")]
async fn client_certificate_is_required_and_told_to_the_upstream() {
    let edge = Edge::new().await;
    let others = Authority::create(edge.directory(), "others").unwrap();
    let identity = edge.authority.sign("a.test").unwrap();
    let clients = |required: bool| {
        format!("      client_certificates: {{ ca_file: {}, required: {required} }}\n", edge.authority.file().display())
    };
    let listeners = listener(&[&identity], &clients(true), "") + &listener(&[&identity], &clients(false), "");
    let gateway = edge.gateway(&listeners).await;
    let (known, stranger) = (edge.authority.sign("client.test").unwrap(), others.sign("client.test").unwrap());
    let expired = edge.authority.sign_expired("client.test").unwrap();
    let with = |identity: &Identity| {
        ["--cert", path(&identity.certificate), "--key", path(&identity.key)].map(ToOwned::to_owned)
    };
    for port in [gateway.address.port(), gateway.further[0].port()] {
        let is_required = port == gateway.address.port();
        let certificate = with(&known);
        let spoofed = ["-H", "X-Client-Cert-Subject: CN=root", "-H", "X_Client_Cert_San: dns:root"];
        let arguments: Vec<&str> = certificate.iter().map(String::as_str).chain(spoofed).collect();
        let answer = edge.get_at(port, "a.test", &arguments).await.unwrap();
        assert_eq!(answer.upstream_saw("x-client-cert-san"), ["dns:client.test"]);
        assert_eq!(answer.upstream_saw("x_client_cert_san"), [""; 0]);
        let subject = answer.upstream_saw("x-client-cert-subject");
        assert!(subject.len() == 1 && subject[0].starts_with("CN=") && subject[0] != "CN=root", "{subject:?}");
        assert_eq!(answer.upstream_saw("x-client-cert-sha256")[0].len(), 64);
        for refused in [&stranger, &expired] {
            let certificate = with(refused);
            let arguments: Vec<&str> = certificate.iter().map(String::as_str).collect();
            assert!(edge.get_at(port, "a.test", &arguments).await.is_err());
        }
        let anonymous = edge.get_at(port, "a.test", &spoofed).await;
        assert_eq!(anonymous.is_err(), is_required);
        if let Ok(answer) = anonymous {
            assert_eq!(answer.upstream_saw("x-client-cert-subject"), [""; 0]);
        }
    }
    let failed = gateway.metric("tollgate_connections_closed_total{listener=\"clients\",reason=\"handshake_failed\"}");
    assert!(failed.await.unwrap() >= 5.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_served_over_tls() {
    let edge = Edge::new().await;
    let identity = edge.authority.sign("127.0.0.1").unwrap();
    let client = edge.authority.sign("operator.test").unwrap();
    let (certificate, key) = (identity.certificate.display(), identity.key.display());
    let ca = edge.authority.file();
    let tls = format!(
        "admin_tls: {{ certificate_file: {certificate}, key_file: {key}, client_ca_file: {} }}\n",
        ca.display()
    );
    edge.fixture.configure(&format!("{tls}{ROUTES}"));
    let gateway = Gateway::start(&edge.fixture.config_file()).await;
    let url = format!("https://{}/health/live", gateway.admin);
    let shown = ["--cacert", path(&ca), "--cert", path(&client.certificate), "--key", path(&client.key), &url];
    assert_eq!(curl(&shown).await.unwrap().status, 200);
    assert!(curl(&["--cacert", path(&ca), &url]).await.is_err());
    assert!(curl(&[&url.replace("https", "http")]).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificate_stands_for_a_key_where_a_route_takes_it() {
    let edge = Edge::new().await;
    let partner = edge.fixture.customer(Some("roomy")).await;
    let identity = edge.authority.sign("a.test").unwrap();
    let (known, unknown) = (edge.authority.sign("partner.test").unwrap(), edge.authority.sign("other.test").unwrap());
    let ca = edge.authority.file();
    let clients = |key: &str| {
        let keys = format!("{{ 'dns:partner.test': {key} }}");
        format!("      client_certificates: {{ ca_file: {}, required: false, keys: {keys} }}\n", ca.display())
    };
    let routes = "
upstreams:
  demo: { servers: ['DEMO'], health: { interval_seconds: 1 } }
routes:
  - { name: keys, path_prefix: /, upstream: demo }
  - { name: certificates, path_prefix: /a, upstream: demo, client_certificates: true }
";
    let listeners = listener(&[&identity], &clients(&partner.key.to_string()), "    http2: true\n");
    edge.fixture.configure_listeners(&format!("listeners:\n{listeners}"), routes);
    let gateway = Gateway::start(&edge.fixture.config_file()).await;
    gateway.wait_until_ready().await;
    let port = gateway.address.port();
    let ask = async |path_of_url: &str, identity: Option<&Identity>, more: &[&str]| {
        let (url, resolve) = (format!("https://a.test:{port}{path_of_url}"), format!("a.test:{port}:127.0.0.1"));
        let shown = identity.map_or_else(Vec::new, |identity| {
            vec!["--cert", path(&identity.certificate), "--key", path(&identity.key)]
        });
        curl(&[&["--cacert", path(&ca), "--resolve", &resolve, &url][..], &shown, more].concat()).await.unwrap()
    };
    for version in ["--http1.1", "--http2"] {
        let answer = ask("/a", Some(&known), &[version]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.upstream_saw("x-tenant-id"), [partner.tenant.to_string()]);
        assert_eq!(answer.upstream_saw("x-key-id"), [partner.key.to_string()]);
    }
    assert_eq!(edge.fixture.billing.wait_for(partner.tenant, 2).await.len(), 2);
    for (path, identity) in [("/a", Some(&unknown)), ("/a", None), ("/b", Some(&known))] {
        let answer = ask(path, identity, &[]).await;
        assert!(answer.status == 401 && answer.body.contains("missing_credential"), "{path}: {answer:?}");
    }
    // A key that is sent goes before the certificate.
    let own = format!("X-Api-Key: {}", edge.customer.secret.expose());
    assert_eq!(ask("/a", Some(&known), &["-H", &own]).await.upstream_saw("x-key-id"), [edge.customer.key.to_string()]);
    let nonsense = ask("/a", Some(&known), &["-H", "X-Api-Key: nonsense"]).await;
    assert!(nonsense.status == 401 && nonsense.body.contains("malformed_key"), "{nonsense:?}");

    edge.fixture.store.revoke_key(partner.key, now()).await.unwrap();
    eventually("the revocation", async || {
        let answer = ask("/a", Some(&known), &[]).await;
        (answer.status == 401 && answer.body.contains("revoked_key")).then_some(())
    })
    .await;
    // Another key takes its place, in place.
    let (next, _) = edge.fixture.key(partner.tenant, common::key::Mode::Live).await;
    let listeners = listener(&[&identity], &clients(&next.to_string()), "    http2: true\n");
    edge.fixture.configure_listeners(&format!("listeners:\n{listeners}"), routes);
    eventually("the other key", async || {
        let answer = ask("/a", Some(&known), &[]).await;
        (answer.status == 200).then(|| answer.upstream_saw("x-key-id")).filter(|key| *key == [next.to_string()])
    })
    .await;
}
