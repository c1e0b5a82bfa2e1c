//! TLS with clients: which certificate they get, which versions and protocols are spoken, and what
//! upstreams hear of it.

use std::{fs, path::Path};

use serde_json::Value;
use servers::{Authority, Identity};

use crate::support::{
    Customer, Fixture, ROUTES, eventually, now,
    process::{Gateway, command},
    raw::Wire,
    tools::{Answer, curl, handshake},
};

/// A gateway whose certificates are those of an authority of the test.
struct Edge {
    fixture: Fixture,
    customer: Customer,
    authority: Authority,
}

impl Edge {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let customer = fixture.customer(Some("roomy")).await;
        let authority = Authority::create(fixture.config_file().parent().unwrap(), "ours").unwrap();
        Self { fixture, customer, authority }
    }

    fn directory(&self) -> &Path {
        self.authority.directory()
    }

    fn configure(&self, listeners: &str) {
        self.fixture.configure_listeners(&format!("listeners:\n{listeners}"), ROUTES);
    }

    async fn gateway(&self, listeners: &str) -> Gateway {
        self.configure(listeners);
        let gateway = Gateway::start(&self.fixture.config_file()).await;
        gateway.wait_until_ready().await;
        gateway
    }

    /// A GET of `name` by curl, which trusts the authority.
    async fn get(&self, gateway: &Gateway, name: &str, more: &[&str]) -> Result<Answer, i32> {
        self.get_at(gateway.address.port(), name, more).await
    }

    async fn get_at(&self, port: u16, name: &str, more: &[&str]) -> Result<Answer, i32> {
        let (url, resolve) = (format!("https://{name}:{port}/a"), format!("{name}:{port}:127.0.0.1"));
        let (key, ca) = (format!("X-Api-Key: {}", self.customer.secret.expose()), self.authority.file());
        let ca = ca.to_str().unwrap();
        let arguments = [&["--cacert", ca, "--resolve", &resolve, "-H", &key, &url], more].concat();
        curl(&arguments).await
    }
}

/// A listener on any port with these certificates, and further settings of its section `tls`.
fn listener(identities: &[&Identity], tls: &str, more: &str) -> String {
    let certificate = |identity: &&Identity| {
        let (certificate, key) = (identity.certificate.display(), identity.key.display());
        format!("        - {{ certificate_file: {certificate}, key_file: {key} }}\n")
    };
    let certificates: Vec<String> = identities.iter().map(certificate).collect();
    let certificates = certificates.concat();
    format!("  - address: 127.0.0.1:0\n{more}    tls:\n{tls}      certificates:\n{certificates}")
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_is_chosen_by_name_and_upstream_is_told_of_https() {
    let edge = Edge::new().await;
    let sign = |name| edge.authority.sign(name).unwrap();
    let (first, exact, wildcard) = (sign("first.test"), sign("one.example.test"), sign("*.example.test"));
    let gateway =
        edge.gateway(&listener(&[&first, &exact, &wildcard], "", "    hsts_seconds: 300\n    http2: true\n")).await;
    let (old, new) = ("--http1.1", "--http2");
    for (name, version) in [("first.test", old), ("one.example.test", new), ("two.example.test", old)] {
        let answer = edge.get(&gateway, name, &["-H", "X-Forwarded-Proto: http", version]).await.unwrap();
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert_eq!(answer.header.starts_with("http/2 "), version == new, "{answer:?}");
        assert_eq!(answer.upstream_saw("x-forwarded-proto"), ["https"]);
        assert_eq!(answer.upstream_saw("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(answer.header("strict-transport-security"), Some("max-age=300"));
    }
    for (name, subject) in [("one.example.test", "one.example.test"), ("unknown.test", "first.test")] {
        let shown = handshake(gateway.address, &["-servername", name, "-showcerts"]).await;
        let file = edge.directory().join("shown.pem");
        let start = shown.find("-----BEGIN CERTIFICATE-----").unwrap();
        fs::write(&file, &shown[start..]).unwrap();
        let check = ["x509", "-in", path(&file), "-noout", "-ext", "subjectAltName"];
        let names = std::process::Command::new("openssl").args(check).output().unwrap().stdout;
        assert!(String::from_utf8(names).unwrap().contains(&format!("DNS:{subject}")), "{name}");
    }
    // A name that no certificate has: curl's error for a certificate that does not fit.
    assert_eq!(edge.get(&gateway, "unknown.test", &[]).await.unwrap_err(), 60);
    let refused = edge.get(&gateway, "first.test", &["-H", "X-Api-Key: nonsense"]).await.unwrap();
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("strict-transport-security"), Some("max-age=300"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_versions_and_protocols_that_are_set_are_spoken() {
    let edge = Edge::new().await;
    let identity = edge.authority.sign("a.test").unwrap();
    let both = edge.gateway(&listener(&[&identity], "", "")).await;
    let old = ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"];
    let cipher = |shown: &str| shown.contains("Cipher is (NONE)");
    assert!(cipher(&handshake(both.address, &old).await));
    for version in ["-tls1_2", "-tls1_3"] {
        assert!(!cipher(&handshake(both.address, &[version]).await), "{version}");
    }
    let offered = handshake(both.address, &["-alpn", "h2,http/1.1"]).await;
    assert!(offered.contains("ALPN protocol: http/1.1"), "{offered}");
    edge.fixture.configure_listeners(
        &format!("listeners:\n{}", listener(&[&identity], "      min_version: 1.3\n", "    http2: true\n")),
        ROUTES,
    );
    eventually("TLS 1.2 refused", async || cipher(&handshake(both.address, &["-tls1_2"]).await).then_some(())).await;
    let offered = handshake(both.address, &["-tls1_3", "-alpn", "http/1.1,h2"]).await;
    assert!(offered.contains("ALPN protocol: h2"), "{offered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn session_is_resumed() {
    let edge = Edge::new().await;
    let gateway = edge.gateway(&listener(&[&edge.authority.sign("a.test").unwrap()], "", "")).await;
    let file = edge.directory().join("session");
    for version in ["-tls1_2", "-tls1_3"] {
        // The tickets of TLS 1.3 come behind the handshake: a request makes openssl wait for them.
        let script = format!(
            "printf 'GET / HTTP/1.1\\r\\nHost: a.test\\r\\nConnection: close\\r\\n\\r\\n' | openssl s_client -connect {} \
             -servername a.test {version} -ign_eof -quiet -sess_out {} >/dev/null 2>&1",
            gateway.address,
            file.display()
        );
        assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
        let shown = handshake(gateway.address, &["-servername", "a.test", version, "-sess_in", path(&file)]).await;
        assert!(shown.contains("\nReused, TLSv1."), "{version}: {shown}");
    }
}

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
async fn plain_listener_sends_clients_to_https() {
    let edge = Edge::new().await;
    let identity = edge.authority.sign("a.test").unwrap();
    let secure = edge.gateway(&listener(&[&identity], "", "")).await;
    let port = secure.address.port();
    edge.configure(&format!("  - {{ address: '127.0.0.1:0', redirect_to_https: true, redirect_port: {port} }}\n"));
    drop(secure);
    // The same address serves HTTPS again, beside one that sends clients there.
    let text = fs::read_to_string(edge.fixture.config_file()).unwrap();
    let both = text.replace(
        "listeners:\n",
        &format!("trusted_proxies: [127.0.0.1]\nlisteners:\n{}", listener(&[&identity], "", "")),
    );
    fs::write(edge.fixture.config_file(), both.replacen("127.0.0.1:0", &format!("127.0.0.1:{port}"), 1)).unwrap();
    let gateway = Gateway::start(&edge.fixture.config_file()).await;
    gateway.wait_until_ready().await;
    let plain = gateway.further[0].port();
    let (url, resolve) = (format!("http://a.test:{plain}/a?b=c"), format!("a.test:{plain}:127.0.0.1"));
    let sent_on = curl(&["--resolve", &resolve, &url]).await.unwrap();
    assert_eq!(sent_on.status, 308);
    assert_eq!(sent_on.header("location"), Some(&*format!("https://a.test:{port}/a?b=c")));
    assert_eq!(sent_on.header("content-length"), Some("0"));
    // Clients of a proxy that speaks HTTPS with them are served.
    let behind = curl(&["--resolve", &resolve, "-H", "X-Forwarded-Proto: https", &url]).await.unwrap();
    assert_eq!(behind.status, 401);
    let nowhere = curl(&["-H", "Host:", &url, "--resolve", &resolve]).await.unwrap();
    assert_eq!(nowhere.status, 400);
    assert_eq!(edge.fixture.upstream.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_handshakes_are_closed_and_make_room_for_others() {
    let edge = Edge::new().await;
    let identity = edge.authority.sign("a.test").unwrap();
    let bounds = "connections: { max: 4, max_per_address: 4, header_timeout_ms: 60000 }\n";
    let listeners = listener(&[&identity], "", "");
    edge.fixture.configure_listeners(&format!("{bounds}listeners:\n{listeners}"), ROUTES);
    let gateway = Gateway::start(&edge.fixture.config_file()).await;
    gateway.wait_until_ready().await;
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(Wire::connect(gateway.address).await);
    }
    let closed = |reason: &str| {
        let series = format!("tollgate_connections_closed_total{{listener=\"clients\",reason=\"{reason}\"}}");
        let gateway = &gateway;
        async move { gateway.metric(&series).await.unwrap() }
    };
    // Those that are too many give way, or are not let in: then the others are not disturbed any more.
    let turned_away = async || {
        let mut all = closed("displaced").await;
        for reason in ["full", "address"] {
            let series = format!("tollgate_connections_refused_total{{listener=\"clients\",reason=\"{reason}\"}}");
            all += gateway.metric(&series).await.unwrap();
        }
        (all >= 4.0).then_some(())
    };
    eventually("the four that are too many", turned_away).await;
    assert_eq!(edge.get(&gateway, "a.test", &[]).await.unwrap().status, 200);
    let hasty = bounds.replace("60000", "200");
    edge.fixture.configure_listeners(&format!("{hasty}listeners:\n{listeners}"), ROUTES);
    gateway.logged("the new bounds", |line| line["event"] == "configuration_applied").await;
    let mut late = Wire::connect(gateway.address).await;
    late.send([0x16, 3, 1]).await;
    assert_eq!(late.read_to_end().await, "");
    assert!(closed("handshake_timeout").await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_cannot_be_used_are_told_by_check() {
    let edge = Edge::new().await;
    let (one, expired) = (edge.authority.sign("a.test").unwrap(), edge.authority.sign_expired("b.test").unwrap());
    let check = || {
        let output = command(&edge.fixture.config_file()).arg("--check").output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    edge.configure(&listener(&[&one, &expired], "", ""));
    let (status, told) = check();
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("warning: ") && told.contains("has expired"), "{told}");
    let mixed = Identity { certificate: one.certificate.clone(), key: expired.key.clone() };
    edge.configure(&listener(&[&mixed, &one, &one], "", ""));
    let (status, told) = check();
    assert_eq!(status, Some(1));
    assert!(told.contains("does not belong to the certificate"), "{told}");
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

#[tokio::test(flavor = "multi_thread")]
async fn shipped_example_serves() {
    let edge = Edge::new().await;
    let sign = |name: &str| edge.authority.sign(name).unwrap();
    let files = edge.directory().join("certs");
    fs::create_dir(&files).unwrap();
    for name in ["api.example.com", "wildcard.example.org"] {
        let identity = sign(&name.replace("wildcard.", "*."));
        fs::copy(&identity.certificate, files.join(format!("{name}.pem"))).unwrap();
        fs::copy(&identity.key, files.join(format!("{name}.key"))).unwrap();
    }
    fs::copy(edge.authority.file(), files.join("partners.pem")).unwrap();
    let example = include_str!("../../../config/examples/tls.yaml").replace("certs/", &format!("{}/", path(&files)));
    let example = example.replace("127.0.0.1:9000", "DEMO");
    let addresses = ["0.0.0.0:80", "0.0.0.0:443", "0.0.0.0:8443"];
    let example = addresses.iter().fold(example, |text, address| {
        assert!(text.contains(&format!("address: {address}\n")));
        text.replace(&format!("address: {address}\n"), "address: 127.0.0.1:0\n")
    });
    edge.fixture.configure_listeners("", &example);
    let gateway = Gateway::start(&edge.fixture.config_file()).await;
    gateway.wait_until_ready().await;
    assert_eq!(curl(&[&gateway.url("/a")]).await.unwrap().status, 308);
    let (public, partners) = (gateway.further[0].port(), gateway.further[1].port());
    for name in ["api.example.com", "one.example.org"] {
        let answer = edge.get_at(public, name, &[]).await.unwrap();
        assert_eq!((answer.status, answer.header("strict-transport-security")), (200, Some("max-age=31536000")));
    }
    assert!(edge.get_at(partners, "api.example.com", &[]).await.is_err());
    let partner = sign("partner.test");
    let shown = ["--cert", path(&partner.certificate), "--key", path(&partner.key)];
    assert_eq!(edge.get_at(partners, "api.example.com", &shown).await.unwrap().status, 200);
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
