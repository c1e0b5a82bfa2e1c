//! TLS with servers: whom the gateway trusts, as whom it appears, and what it tells when a
//! handshake fails.

use serde_json::Value;
use servers::{Authority, Identity};

use crate::support::{
    Fixture, eventually,
    hosts::Hosts,
    process::Gateway,
    tls::{Seen, TlsServer},
};

/// An upstream with one server, and what becomes of it.
struct Case {
    name: &'static str,
    server: std::net::SocketAddr,
    tls: String,
    /// Part of the cause that is told if it fails.
    failure: Option<&'static str>,
}

fn file(cases: &[Case]) -> String {
    let upstream = |Case { name, server, tls, .. }: &Case| {
        let health = "{ interval_seconds: 1, unhealthy_after: 1 }";
        format!("  {name}:\n    servers: ['https://{server}']\n    health: {health}\n{tls}")
    };
    let route =
        |Case { name, .. }: &Case| format!("  - {{ name: route-{name}, path_prefix: /{name}, upstream: {name} }}\n");
    let upstreams: Vec<String> = cases.iter().map(upstream).collect();
    let routes: Vec<String> = cases.iter().map(route).collect();
    format!("upstreams:\n{}routes:\n{}", upstreams.concat(), routes.concat())
}

async fn health(gateway: &Gateway, upstream: &str) -> Value {
    serde_json::from_str::<Value>(&gateway.admin("/health/ready").await.1).unwrap()["upstreams"][upstream].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_verified_as_set_and_failed_handshakes_are_told_with_their_cause() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let directory = fixture.config_file().parent().unwrap().to_owned();
    let (ours, others) =
        (Authority::create(&directory, "ours").unwrap(), Authority::create(&directory, "others").unwrap());
    let client = ours.sign("gateway.test").unwrap();
    let stranger = others.sign("gateway.test").unwrap();
    let named = TlsServer::start(&ours.sign("127.0.0.1").unwrap(), None).await.address;
    let expired = TlsServer::start(&ours.sign_expired("127.0.0.1").unwrap(), None).await.address;
    let mutual = TlsServer::start(&ours.sign("127.0.0.1").unwrap(), Some(&ours)).await.address;
    let plain = fixture.upstream.address;
    let trust = |authority: &Authority| format!("    tls:\n      ca_file: {}\n", authority.file().display());
    let identity = |identity: &Identity| {
        let (certificate, key) = (identity.certificate.display(), identity.key.display());
        trust(&ours) + &format!("      client_certificate_file: {certificate}\n      client_key_file: {key}\n")
    };
    let case = |name, server, tls: String, failure| Case { name, server, tls, failure };
    let cases = [
        case("trusted", named, trust(&ours), None),
        case("untrusted", named, String::new(), Some("UnknownIssuer")),
        case("mistrusted", named, trust(&others), Some("tls.ca_file")),
        case("misnamed", named, trust(&ours) + "      server_name: other.test\n", Some("other.test")),
        case("any-name", named, trust(&ours) + "      server_name: other.test\n      verify: ca\n", None),
        case("any-name-of-others", named, trust(&others) + "      verify: ca\n", Some("UnknownIssuer")),
        case("unverified", named, "    tls: { verify: off }\n".into(), None),
        case("expired", expired, trust(&ours), Some("expired")),
        case("expired-unverified", expired, trust(&ours) + "      verify: off\n", None),
        case("mutual", mutual, identity(&client), None),
        case("anonymous", mutual, trust(&ours), Some("client_certificate_file")),
        case("stranger", mutual, identity(&stranger), Some("TLS handshake failed")),
        case("plain", plain, trust(&ours), Some("does not speak TLS")),
    ];
    let gateway = fixture.gateway_with(&file(&cases)).await;
    for Case { name, server, failure, .. } in &cases {
        let expected = if failure.is_some() { "down" } else { "up" };
        let report = eventually("the check", || async {
            Some(health(&gateway, name).await).filter(|report| report["status"] == expected)
        })
        .await;
        let status = gateway.status(&format!("/{name}"), &customer.secret).await;
        let Some(failure) = failure else {
            assert_eq!((status, report["healthy"].as_u64()), (200, Some(1)), "{name}");
            continue;
        };
        assert_eq!(status, 502, "{name}");
        let problem = &report["problems"][0];
        assert!(problem["reason"].as_str().unwrap().contains(failure), "{name}: {report}");
        let is_it = |line: &Value| line["event"] == "request_failed" && line["upstream"] == *name;
        let line = gateway.logged("the failed request", is_it).await;
        assert_eq!(line["route"], format!("route-{name}"));
        assert_eq!((&line["server"], &line["address"]), (&server.to_string().into(), &server.to_string().into()));
        assert!(line["cause"].as_str().unwrap().contains(failure), "{name}: {line}");
    }
    assert!(
        gateway.metric("tollgate_upstream_connect_failures_total{kind=\"tls\",upstream=\"untrusted\"}").await
            >= Some(1.0)
    );
    assert_eq!(gateway.metric("tollgate_upstream_servers_healthy{upstream=\"trusted\"}").await, Some(1.0));
    assert_eq!(gateway.metric("tollgate_upstream_servers_healthy{upstream=\"anonymous\"}").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_server_is_asked_for_by_its_own_name() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let directory = fixture.config_file().parent().unwrap().to_owned();
    let ours = Authority::create(&directory, "ours").unwrap();
    let one = TlsServer::start(&ours.sign("one.test").unwrap(), None).await;
    let two = TlsServer::start(&ours.sign("two.test").unwrap(), None).await;
    let (one_at, two_at) = (format!("one.test:{}", one.address.port()), format!("two.test:{}", two.address.port()));
    fixture.configure(&format!(
        "upstreams:
  pair:
    servers: ['https://{one_at}', 'https://{two_at}']
    health: {{ interval_seconds: 1, path: /up }}
    tls: {{ ca_file: {} }}
routes: [{{ name: all, path_prefix: /, upstream: pair }}]
",
        ours.file().display()
    ));
    let hosts = Hosts::new(&[("127.0.0.1", "one.test"), ("127.0.0.1", "two.test")]);
    let gateway = Gateway::spawn(hosts.command(&fixture.config_file())).await;
    gateway.wait_until_ready().await;
    eventually("both servers are healthy", || async { (health(&gateway, "pair").await["healthy"] == 2).then_some(()) })
        .await;
    for _ in 0..4 {
        assert_eq!(gateway.status("/x", &customer.secret).await, 200);
    }
    for (server, name, at) in [(&one, "one.test", &one_at), (&two, "two.test", &two_at)] {
        let seen = server.seen();
        assert!(seen.contains(&Seen { sni: Some(name.into()), host: at.clone(), path: "/up".into() }), "{seen:?}");
        assert!(seen.iter().all(|seen| seen.sni.as_deref() == Some(name)), "{seen:?}");
        assert_eq!(seen.iter().filter(|seen| seen.path == "/x").count(), 2, "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_shared_only_by_upstreams_that_trust_alike() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let directory = fixture.config_file().parent().unwrap().to_owned();
    let (ours, others) =
        (Authority::create(&directory, "ours").unwrap(), Authority::create(&directory, "others").unwrap());
    // The server keeps connections: what one upstream opened could be used by another.
    let server = TlsServer::start(&ours.sign("127.0.0.1").unwrap(), None).await;
    let trust = |authority: &Authority| format!("    tls: {{ ca_file: {} }}\n", authority.file().display());
    let case =
        |name, authority: &Authority| Case { name, server: server.address, tls: trust(authority), failure: None };
    let gateway = fixture.gateway_with(&file(&[case("trusting", &ours), case("distrusting", &others)])).await;
    for _ in 0..3 {
        assert_eq!(gateway.status("/trusting", &customer.secret).await, 200);
        assert_eq!(gateway.status("/distrusting", &customer.secret).await, 502);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn renewed_authority_takes_effect_on_hangup() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let directory = fixture.config_file().parent().unwrap().to_owned();
    let (ours, others) =
        (Authority::create(&directory, "ours").unwrap(), Authority::create(&directory, "others").unwrap());
    let server = TlsServer::start(&ours.sign("127.0.0.1").unwrap(), None).await;
    let trusted = directory.join("trusted.pem");
    std::fs::copy(others.file(), &trusted).unwrap();
    let tls = format!("    tls: {{ ca_file: {} }}\n", trusted.display());
    let gateway =
        fixture.gateway_with(&file(&[Case { name: "renewed", server: server.address, tls, failure: None }])).await;
    assert_eq!(gateway.status("/renewed", &customer.secret).await, 502);
    std::fs::copy(ours.file(), &trusted).unwrap();
    gateway.signal("HUP");
    eventually("the renewed authority", || async {
        (gateway.status("/renewed", &customer.secret).await == 200).then_some(())
    })
    .await;
}
