//! TLS with clients: which certificate they get, which versions and protocols are spoken, and what
//! upstreams hear of it.

use std::fs;

use servers::Identity;

use crate::support::{
    ROUTES,
    edge::{Edge, listener, path},
    eventually,
    process::{Gateway, command},
    raw::Wire,
    tools::{curl, handshake},
};

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
    // One that the strict reader refuses, before it is a request.
    for (name, version) in [("first.test", old), ("one.example.test", new)] {
        let malformed = edge.get(&gateway, name, &["-H", "Expect: more", version]).await.unwrap();
        assert_eq!(malformed.status, 417, "{malformed:?}");
        assert_eq!(malformed.header("strict-transport-security"), Some("max-age=300"), "{malformed:?}");
    }
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
async fn client_that_asks_is_told_what_the_authority_says_of_the_certificate() {
    // Authority, certificate and answer, as openssl makes them.
    const MAKE: &str = "set -e; cd \"$0\"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=ours -days 30
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout a.key -out a.csr -subj /CN=a.test
        printf subjectAltName=DNS:a.test > names
        openssl x509 -req -in a.csr -CA ca.pem -CAkey ca.key -set_serial 4096 -out a.pem -days 20 -extfile names
        printf 'V\\t491231235959Z\\t\\t1000\\tunknown\\t/CN=a.test\\n' > index
        openssl ocsp -issuer ca.pem -cert a.pem -no_nonce -reqout request
        openssl ocsp -index index -CA ca.pem -rsigner ca.pem -rkey ca.key -reqin request -respout answer -ndays 7";
    let edge = Edge::new().await;
    let directory = edge.directory();
    let made = std::process::Command::new("sh").args(["-c", MAKE, path(directory)]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let at = |name: &str| directory.join(name).display().to_string();
    let listener = |ocsp: &str| {
        format!(
            "  - address: 127.0.0.1:0\n    tls:\n      certificates:\n        - {{ certificate_file: {}, key_file: {}{ocsp} }}\n",
            at("a.pem"),
            at("a.key")
        )
    };
    let gateway = edge.gateway(&listener("")).await;
    let asked = async || handshake(gateway.address, &["-servername", "a.test", "-status"]).await;
    assert!(asked().await.contains("OCSP response: no response sent"));
    let listeners = format!("listeners:\n{}", listener(&format!(", ocsp_file: {}", at("answer"))));
    edge.fixture.configure_listeners(&listeners, ROUTES);
    eventually("the answer", async || asked().await.contains("Cert Status: good").then_some(())).await;
    // A file that holds no answer is refused, and the one in force stays.
    std::fs::write(directory.join("answer"), "nothing of the kind").unwrap();
    gateway.logged("the refusal", |line| line["event"] == "certificates_refused").await;
    assert!(asked().await.contains("Cert Status: good"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_a_routes_own_insists_on_https() {
    let edge = Edge::new().await;
    let identity = edge.authority.sign("a.test").unwrap();
    let listeners = format!("listeners:\n{}", listener(&[&identity], "", "    hsts_seconds: 300\n"));
    let routes = |own: &str| {
        format!(
            "upstreams: {{ demo: {{ servers: ['DEMO'] }} }}\n\
             routes: [{{ name: own, path: /a, public: true, {own} }}, {{ name: all, path_prefix: /b, upstream: demo }}]\n"
        )
    };
    edge.fixture.configure_listeners(&listeners, &routes("respond: { body: hi }"));
    let gateway = Gateway::start(&edge.fixture.config_file()).await;
    gateway.wait_until_ready().await;
    for (own, status) in
        [("respond: { status: 204 }", 204), ("redirect: { to: /b }", 307), ("respond: { body: hi }", 200)]
    {
        edge.fixture.configure_listeners(&listeners, &routes(own));
        let answer = eventually("the answer of the route", async || {
            edge.get(&gateway, "a.test", &[]).await.ok().filter(|answer| answer.status == status)
        })
        .await;
        assert_eq!(answer.header("strict-transport-security"), Some("max-age=300"), "{own}");
    }
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
async fn client_without_tls_is_told_to_use_it() {
    let edge = Edge::new().await;
    let gateway = edge.gateway(&listener(&[&edge.authority.sign("a.test").unwrap()], "", "")).await;
    let failed = "tollgate_connections_closed_total{listener=\"clients\",reason=\"handshake_failed\"}";
    // One that only looks whether somebody listens is no failure.
    let mut looked = Wire::connect(gateway.address).await;
    looked.end_sending().await;
    assert_eq!(looked.read_to_end().await, "");
    assert_eq!(gateway.metric(failed).await, Some(0.0));
    let told = curl(&[&gateway.url("/a")]).await.unwrap();
    assert!(told.status == 400 && told.body.contains("use https://"), "{told:?}");
    assert_eq!(gateway.metric(failed).await, Some(1.0));
}
