//! The section `upstreams`: what it may say, and how its faults are told.

use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::config::{Overrides, Settings};

/// A file with this upstream; its first line is the second of the file.
fn parse(upstream: &str) -> Result<Arc<UpstreamSettings>, String> {
    let text = format!("upstreams:\n{upstream}routes: [{{ name: all, path_prefix: /, upstream: demo }}]\n");
    let settings = Settings::parse(&text, "gateway.yaml", &Overrides::default()).map_err(|error| error.to_string())?;
    Ok(Arc::clone(&settings.upstreams[0]))
}

#[test]
fn upstream_without_settings_has_the_documented_defaults() {
    let upstream = parse("  demo: { servers: [a.test:80] }\n").unwrap();
    assert_eq!((upstream.connect_timeout.as_millis(), upstream.read_timeout.as_millis()), (1_000, 60_000));
    let health = &upstream.health;
    assert_eq!((health.interval.as_secs(), health.timeout.as_millis()), (2, 2_000));
    assert_eq!((health.unhealthy_after, health.healthy_after), (3, 2));
    assert_eq!((upstream.dns.interval, upstream.dns.keep.as_secs()), (None, 3_600));
    assert!(upstream.dns.servers.is_empty());
    assert_eq!((upstream.dns.family, upstream.essential), (AddressFamily::Any, false));
    assert_eq!((upstream.tls.verify, upstream.servers[0].weight), (Verify::Full, 1));
    assert_eq!((&upstream.balance, upstream.idle.as_secs()), (&Balance::RoundRobin, 30));
    assert_eq!((&health.question, &upstream.breaker), (&Question::Connection, &None));
    let EjectionSettings { failures, base, most, most_percent, statuses } = &upstream.ejection;
    assert_eq!((*failures, base.as_secs(), most.as_secs(), *most_percent), (5, 10, 300, 50));
    assert!(statuses.is_empty());
    let budget = RetryBudget { percent: 10, least: 10, window_seconds: 10 };
    assert_eq!(upstream.retry_budget, budget);
}

#[test]
fn upstream_settings_are_read_as_written() {
    let upstream = parse(
        "  demo:
    servers: [https://a.test, { address: 'https://[::1]:8443', weight: 3 }]
    essential: true
    health: { interval_seconds: 5, timeout_ms: 300, unhealthy_after: 4, healthy_after: 1, path: /up, host: b.test:81 }
    dns: { interval_seconds: 30, keep_seconds: 0, family: ipv4, servers: [10.0.0.53, '[::1]:8600'] }
    tls: { server_name: c.test, verify: ca }
",
    )
    .unwrap();
    assert_eq!(upstream.servers[0].address, ServerAddress::parse("https://a.test:443").unwrap());
    assert_eq!((upstream.servers[1].address.authority().as_str(), upstream.servers[1].weight), ("[::1]:8443", 3));
    assert_eq!(upstream.tls_name(&upstream.servers[1].address), "c.test");
    assert_eq!((upstream.health.unhealthy_after, upstream.health.healthy_after), (4, 1));
    let question = Question::Http { path: "/up".into(), statuses: Statuses::success() };
    assert_eq!((&upstream.health.question, upstream.health.host.as_deref()), (&question, Some("b.test:81")));
    assert_eq!(
        (upstream.dns.family, upstream.dns.keep, upstream.essential),
        (AddressFamily::Ipv4, Duration::ZERO, true)
    );
    assert_eq!(upstream.dns.interval, Some(Duration::from_secs(30)));
    assert_eq!(upstream.dns.servers, ["10.0.0.53:53".parse().unwrap(), "[::1]:8600".parse().unwrap()]);
    assert_eq!(upstream.tls.verify, Verify::Ca);
}

#[test]
fn settings_about_failing_servers_are_read_as_written() {
    let upstream = parse(
        "  demo:
    servers: [a.test:80]
    balance: { hash: { by: header X-Session } }
    idle_seconds: 0
    health: { grpc: search.v1.Search, host: b.test }
    ejection: { failures: 2, seconds: 3, most_seconds: 4, most_percent: 100, statuses: [5xx, 429] }
    breaker: { most_in_flight: 100, error_percent: 25, least_requests: 7, window_seconds: 5, open_seconds: 2,
               most_open_seconds: 3, trials: 1, statuses: [500-502] }
    retry_budget: { percent: 20, least: 0, window_seconds: 30 }
",
    )
    .unwrap();
    assert_eq!(upstream.balance, Balance::Hash(HashBy::Header("x-session".parse().unwrap())));
    assert_eq!(upstream.health.question, Question::Grpc { service: "search.v1.Search".into() });
    let EjectionSettings { failures, base, most, most_percent, statuses } = &upstream.ejection;
    assert_eq!((*failures, base.as_secs(), most.as_secs(), *most_percent), (2, 3, 4, 100));
    assert!(statuses.covers(599) && statuses.covers(429) && !statuses.covers(404));
    let breaker = upstream.breaker.as_ref().unwrap();
    assert_eq!((breaker.most_in_flight, breaker.error_percent, breaker.least_requests), (Some(100), Some(25), 7));
    assert_eq!((breaker.window_seconds, breaker.open.as_secs(), breaker.most_open.as_secs()), (5, 2, 3));
    assert!(breaker.trials == 1 && breaker.statuses.covers(502) && !breaker.statuses.covers(503));
    assert_eq!(upstream.retry_budget, RetryBudget { percent: 20, least: 0, window_seconds: 30 });
    let rules = [
        ("least_loaded", Balance::LeastLoaded),
        ("{ hash: { by: key } }", Balance::Hash(HashBy::Key)),
        ("{ hash: { by: tenant } }", Balance::Hash(HashBy::Tenant)),
        ("{ hash: { by: path user_id } }", Balance::Hash(HashBy::Path("user_id".into()))),
    ];
    for (text, balance) in rules {
        let upstream = parse(&format!("  demo: {{ servers: [a.test:80], balance: {text} }}\n")).unwrap();
        assert_eq!(upstream.balance, balance);
    }
    let checked = parse("  demo: { servers: [a.test:80], health: { path: /, statuses: [200, 401] } }\n").unwrap();
    let Question::Http { statuses, .. } = &checked.health.question else { panic!("{:?}", checked.health) };
    assert!(statuses.covers(401) && !statuses.covers(204));
}

#[test]
fn example_of_upstreams_is_valid() {
    let text = include_str!("../../../../config/examples/upstreams.yaml");
    let settings = Settings::parse(text, "upstreams.yaml", &Overrides::default()).unwrap();
    assert_eq!((settings.upstreams.len(), settings.routes.len()), (3, 3));
}

#[test]
fn tls_name_is_each_servers_own() {
    let upstream = parse("  demo: { servers: ['https://a.test', 'https://b.test:8443', 'https://[::1]'] }\n").unwrap();
    let names: Vec<String> = upstream.servers.iter().map(|server| upstream.tls_name(&server.address)).collect();
    assert_eq!(names, ["a.test", "b.test", "::1"]);
}

#[test]
fn name_that_does_not_resolve_is_no_fault_of_the_file() {
    assert!(parse("  demo: { servers: [does-not-exist.invalid:80] }\n").is_ok());
}

#[test]
fn faults_of_upstreams_name_line_and_reason() {
    let servers = "  demo:\n    servers: [127.0.0.1:80]\n";
    let tls = "  demo:\n    servers: ['https://a.test']\n";
    let faults = [
        ("  demo: { servers: [] }\n".to_owned(), 2, "has no servers"),
        ("  demo:\n    servers: [127.0.0.1]\n".to_owned(), 3, "write host:port"),
        ("  demo:\n    servers: ['a:80', 'https://b']\n".to_owned(), 3, "mixes http and https"),
        ("  demo:\n    servers:\n      - a:80\n      - A.:80\n".to_owned(), 5, "has a:80 twice"),
        ("  demo:\n    servers:\n      - { address: 'a:80', weight: 0 }\n".to_owned(), 4, "`weight` is 0"),
        ("  demo:\n    servers:\n      - { address: 'a:80', weight: 101 }\n".to_owned(), 4, "between 1 and 100"),
        ("  demo:\n    servers:\n      - { address: 'a:80', wait: 1 }\n".to_owned(), 4, "`wait` is not a setting here"),
        ("  demo:\n    servers:\n      - { weight: 1 }\n".to_owned(), 4, "`address` is missing here"),
        (
            "  demo:\n    servers:\n      - { address: 'a:80', srv: _a._tcp.b }\n".to_owned(),
            4,
            "either an `address` or a `srv`",
        ),
        ("  demo:\n    servers:\n      - { srv: a.b }\n".to_owned(), 4, "`a.b` is not a service"),
        ("  demo:\n    servers:\n      - { srv: _a._tcp.b, weight: 2 }\n".to_owned(), 4, "remove `weight`"),
        ("  demo:\n    servers: ['https://a', { srv: _a._tcp.b }]\n".to_owned(), 3, "mixes http and https"),
        ("  demo:\n    servers:\n      - [a]\n".to_owned(), 4, "a server, as in 10.0.0.1:80"),
        (format!("{servers}    health:\n      interval_seconds: 0\n"), 5, "must be between 1 and 3600"),
        (format!("{servers}    health:\n      timeout_ms: 0\n"), 5, "must be between 1 and 60000"),
        (format!("{servers}    health:\n      unhealthy_after: 0\n"), 5, "must be between 1 and 100"),
        (format!("{servers}    health:\n      healthy_after: 101\n"), 5, "must be between 1 and 100"),
        (format!("{servers}    health:\n      path: up\n"), 5, "is not a path"),
        (format!("{servers}    health: {{ path: /up, host: 'a b' }}\n"), 4, "is not a host"),
        (format!("{servers}    health: {{ path: /up, host: 'me@a' }}\n"), 4, "is not a host"),
        (format!("{servers}    health: {{ host: a }}\n"), 4, "needs `health.path`"),
        (format!("{servers}    health:\n      rise: 2\n"), 5, "`rise` is not a setting here"),
        (format!("{servers}    health: {{ statuses: [200] }}\n"), 4, "needs `health.path`"),
        (format!("{servers}    health: {{ path: /, statuses: [] }}\n"), 4, "`health.statuses` is empty"),
        (format!("{servers}    health: {{ path: /, statuses: [ok] }}\n"), 4, "`ok` is not a status"),
        (format!("{servers}    health: {{ path: /, grpc: a }}\n"), 4, "are two questions"),
        (format!("{servers}    health: {{ grpc: 'a b' }}\n"), 4, "is not a service"),
        (format!("{servers}    balance: random\n"), 4, "`random` is not one of `round_robin`, `least_loaded`"),
        (format!("{servers}    balance: {{ hash: {{ by: path }} }}\n"), 4, "is not something to hash by"),
        (format!("{servers}    balance: {{ hash: {{ by: header a b }} }}\n"), 4, "is not something to hash by"),
        (format!("{servers}    balance: {{ hash: key }}\n"), 4, "`hash`: `key` is not"),
        (format!("{servers}    idle_seconds: 3601\n"), 4, "must be between 0 and 3600"),
        (format!("{servers}    ejection: {{ seconds: 0 }}\n"), 4, "must be between 1 and 86400"),
        (format!("{servers}    ejection: {{ most_seconds: 5 }}\n"), 4, "less than `seconds`, which is 10"),
        (format!("{servers}    ejection: {{ most_percent: 101 }}\n"), 4, "must be between 1 and 100"),
        (format!("{servers}    ejection: {{ statuses: [6xx] }}\n"), 4, "`6xx` is not a status"),
        (format!("{servers}    breaker: {{}}\n"), 4, "`breaker` does nothing"),
        (format!("{servers}    breaker: {{ error_percent: 0 }}\n"), 4, "must be between 1 and 100"),
        (format!("{servers}    breaker: {{ most_in_flight: 0 }}\n"), 4, "must be between 1 and 10000000"),
        (
            format!("{servers}    breaker: {{ error_percent: 1, open_seconds: 61 }}\n"),
            4,
            "less than `open_seconds`, which is 61",
        ),
        (format!("{servers}    retry_budget: {{ percent: 101 }}\n"), 4, "must be between 0 and 100"),
        (format!("{servers}    dns:\n      interval_seconds: 3601\n"), 5, "must be between 1 and 3600"),
        (format!("{servers}    dns:\n      keep_seconds: 604801\n"), 5, "must be between 0 and 604800"),
        (format!("{servers}    dns:\n      servers: [ns.test]\n"), 5, "`ns.test` is not a DNS server"),
        (format!("{servers}    dns:\n      family: ipv5\n"), 5, "`ipv5` is not one of `any`, `ipv4`, `ipv6`"),
        (format!("{servers}    tls: {{}}\n"), 4, "are not https"),
        (
            format!("{tls}    tls:\n      ca_file: /nowhere/ca.pem\n"),
            5,
            "`tls.ca_file`: `/nowhere/ca.pem` cannot be read",
        ),
        (format!("{tls}    tls: {{ client_key_file: k.pem }}\n"), 4, "needs `client_certificate_file`"),
        (format!("{tls}    tls: {{ client_certificate_file: c.pem }}\n"), 4, "needs `client_key_file`"),
        (format!("{tls}    tls: {{ server_name: 'a b' }}\n"), 4, "is not a name that a certificate can carry"),
        (format!("{tls}    tls: {{ verify: some }}\n"), 4, "`some` is not one of `full`, `ca`, `off`"),
    ];
    for (upstream, line, reason) in faults {
        let told = parse(&upstream).unwrap_err();
        assert!(told.starts_with(&format!("gateway.yaml:{line}:")) && told.contains(reason), "{upstream}: {told}");
    }
}

#[test]
fn all_faults_of_an_upstream_are_told_and_none_that_follows_from_another() {
    let told = parse(
        "  demo:
    servers: [127.0.0.1, { address: 'a:80', weight: 0 }, 'https://b']
    connect_timeout_ms: 0
    health: { interval_seconds: 0, path: [up], host: a }
    dns: { interval_seconds: 0 }
  other:
    servers: [{ weight: 1 }]
    tls: { verify: some, client_key_file: k.pem }
",
    )
    .unwrap_err();
    let expected = [
        "3:15: upstream `demo`: `127.0.0.1` is not a server",
        "3:53: upstream `demo`: `weight` is 0",
        "3:58: upstream `demo`: mixes http and https",
        "4:25: `connect_timeout_ms` is 0",
        "5:33: `interval_seconds` is 0",
        "5:36: `path`: a list is not a text",
        "6:30: `interval_seconds` is 0",
        "8:15: `servers`: `address` is missing here",
        "9:20: `verify`: `some` is not one of",
    ];
    let lines: Vec<&str> = told.lines().filter(|line| line.starts_with("gateway.yaml:")).collect();
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(&format!("gateway.yaml:{expected}")), "{expected}\n{told}");
    }
    assert_eq!(lines.len(), expected.len(), "{told}");
}

/// A self-signed authority and its key, in PEM.
fn authority() -> (String, String) {
    let mut params = CertificateParams::new(["a.test".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn tls_files_are_proved_when_the_file_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| write(directory.path(), name, text).display().to_string();
    let (certificate, key) = authority();
    let (certificate, key) = (write("c.pem", &certificate), write("k.pem", &key));
    let (other_key, empty) = (write("o.pem", &authority().1), write("e.pem", "nothing\n"));
    let broken = write("b.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let torn = write("t.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    let with = |tls: &str| parse(&format!("  demo:\n    servers: ['https://a.test']\n    tls:\n{tls}"));
    let ca = |file: &str| with(&format!("      ca_file: {file}\n"));
    let pair = |certificate: &str, key: &str| {
        with(&format!("      client_certificate_file: {certificate}\n      client_key_file: {key}\n"))
    };
    let good = pair(&certificate, &key).unwrap();
    assert!(good.tls.identity.is_some() && ca(&certificate).unwrap().tls.ca.is_some());
    assert!(!format!("{good:?}").contains("PRIVATE"));
    let faults = [
        (ca(&empty), 5, "holds no certificate"),
        (ca(&key), 5, "holds no certificate"),
        (ca(&torn), 5, "is not PEM"),
        (ca(&broken), 5, "cannot be read (number 1)"),
        (pair(&certificate, &empty), 6, "holds no private key"),
        (pair(&empty, &key), 5, "holds no certificate"),
        (pair(&broken, &key), 5, "cannot be read (number 1)"),
        (pair(&certificate, &other_key), 6, "does not go with the certificate"),
    ];
    for (outcome, line, reason) in faults {
        let told = outcome.unwrap_err();
        assert!(told.starts_with(&format!("gateway.yaml:{line}:")) && told.contains(reason), "{reason}: {told}");
    }
}

#[test]
fn tls_settings_differ_with_the_content_of_their_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(directory.path(), "ca.pem", &authority().0);
    let read = || {
        let tls = format!("tls: {{ ca_file: {} }}", path.display());
        parse(&format!("  demo:\n    servers: ['https://a.test']\n    {tls}\n")).unwrap()
    };
    let (first, same) = (read(), read());
    assert_eq!(first, same);
    assert_eq!(first.tls.connection_group(), same.tls.connection_group());
    std::fs::write(&path, authority().0).unwrap();
    let renewed = read();
    assert_ne!(first, renewed);
    assert_ne!(first.tls.connection_group(), renewed.tls.connection_group());
}

#[test]
fn protocol_is_that_of_all_servers_and_excludes_what_needs_http1() {
    let parse = |route: &str| {
        let text = format!(
            "upstreams:\n  a: {{ servers: [127.0.0.1:1], protocol: http2 }}\n\
             routes:\n  - {{ name: a, path_prefix: /, upstream: a{route} }}\n"
        );
        Settings::parse(&text, "gateway.yaml", &Overrides::default()).map_err(|error| error.to_string())
    };
    assert_eq!(parse("").unwrap().upstreams[0].protocol, Protocol::Http2);
    for (route, expected) in [
        (", bill: on_dispatch", "route `a`: `bill: on_dispatch` gives each request a connection of its own"),
        (", upgrade: [websocket]", "route `a`: `upgrade` needs HTTP/1.1"),
    ] {
        let told = parse(route).unwrap_err();
        assert!(told.starts_with("gateway.yaml:4:") && told.contains(expected), "{told}");
    }
}
