//! Configuration files: what they may say, and how their faults are told.

use super::*;
use crate::{limit::bank::BankAddress, meter::NewTopic, route::Units};

const GOOD: &str = "\
name: edge-1
listen: 127.0.0.1:0
upstreams:
  demo:
    servers: [127.0.0.1:9000]
    health: { interval_seconds: 1 }
routes:
  - name: search
    hosts: [api.example.com, '*.example.org']
    path_prefix: /v1/search/
    methods: [GET, HEAD]
    upstream: demo
  - name: write
    path_prefix: /v1
    upstream: demo
    meter: tokens
    units: { header: X-Usage-Units, default: 3 }
    billable: ['200', '5xx']
";

fn parse(text: &str) -> Result<Settings, ConfigError> {
    Settings::parse(text, "gateway.yaml", &Overrides::default())
}

fn refusal(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "the sample has no {from}");
    parse(&GOOD.replacen(from, to, 1)).unwrap_err().to_string()
}

#[test]
fn shipped_file_is_valid() {
    let text = include_str!("../../../config/gateway.yaml");
    let settings = Settings::parse(text, "gateway.yaml", &Overrides::default()).unwrap();
    assert_eq!(settings.process.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!(settings.process.admin, "127.0.0.1:9901".parse().unwrap());
    assert!(settings.routes.iter().any(|route| matches!(route.units, Units::Header { .. })));
    assert!(settings.routes.iter().any(|route| !route.methods.is_empty()));
}

#[test]
fn missing_settings_have_defaults() {
    let settings = parse(GOOD).unwrap();
    assert_eq!(settings.sizes.header_bytes, 65_536);
    assert_eq!(settings.sizes.header_value_bytes, 16_384);
    assert_eq!(settings.sizes.path_bytes, 8_192);
    let sink = HttpSinkSettings { url: "http://127.0.0.1:8090".into(), tls: ClientTls::default() };
    assert_eq!(settings.process.usage.sink, SinkSettings::Http(sink));
    assert_eq!(settings.process.upgrade_socket, Path::new("data/journal/edge-1.upgrade"));
    let search = &settings.routes[0];
    assert_eq!(search.path.to_string(), "/v1/search");
    assert_eq!(&*search.meter, "requests");
    assert_eq!(search.units, Units::Fixed(1));
    assert!(search.billable.covers(404) && !search.billable.covers(500));
    let write = &settings.routes[1];
    assert_eq!(write.units.estimate(), 3);
    assert!(write.billable.covers(503) && !write.billable.covers(404));
}

#[test]
fn environment_overrides_the_store() {
    let overrides = Overrides { store: Some("postgres://somewhere/else".into()), ..Overrides::default() };
    let settings = Settings::parse(GOOD, "gateway.yaml", &overrides).unwrap();
    assert_eq!(settings.process.store, "postgres://somewhere/else");
}

fn with_usage(usage: &str) -> String {
    GOOD.replacen("upstreams:", &format!("usage:\n{usage}upstreams:"), 1)
}

fn kafka(text: &str, overrides: &Overrides) -> KafkaSettings {
    match Settings::parse(text, "gateway.yaml", overrides).unwrap().process.usage.sink {
        SinkSettings::Kafka(kafka) => kafka,
        SinkSettings::Http(sink) => panic!("usage goes to {}", sink.url),
    }
}

#[test]
fn usage_goes_to_kafka_if_the_file_or_the_environment_says_so() {
    let text = with_usage(
        "  kafka:
    brokers: kafka-1:9092, kafka-2:9092
    create_topic: { partitions: 12 }
    properties:
      security.protocol: sasl_ssl
      enable.ssl.certificate.verification: false
      socket.timeout.ms: 5000
",
    );
    let found = kafka(&text, &Overrides::default());
    assert_eq!((&*found.brokers, &*found.topic), ("kafka-1:9092, kafka-2:9092", "usage.events"));
    assert_eq!(found.create_topic, Some(NewTopic { partitions: 12, replication: 1 }));
    assert_eq!(found.properties["enable.ssl.certificate.verification"], "false");
    assert_eq!(found.properties["socket.timeout.ms"], "5000");

    let overrides = Overrides { kafka: Some("elsewhere:9092".into()), ..Overrides::default() };
    let overridden = kafka(&text, &overrides);
    assert_eq!(overridden, KafkaSettings { brokers: "elsewhere:9092".into(), ..found });
    let from_nothing = kafka(GOOD, &overrides);
    assert_eq!((&*from_nothing.topic, from_nothing.create_topic), ("usage.events", None));
    assert_eq!(kafka(&with_usage("  sink: http://127.0.0.1:1\n"), &overrides).brokers, "elsewhere:9092");
    let wrong = Overrides { kafka: Some("elsewhere".into()), ..Overrides::default() };
    let told = Settings::parse(GOOD, "gateway.yaml", &wrong).unwrap_err().to_string();
    assert!(told.contains("TOLLGATE_KAFKA") && told.contains("host:port"), "{told}");
}

#[test]
fn faults_of_usage_name_file_line_and_reason() {
    let faults = [
        ("  sink: http://a:1\n  kafka: { brokers: a:1 }\n", 5, "both `sink` and `kafka`"),
        ("  sink: a:1\n", 4, "is not a URL"),
        ("  kafka: {}\n", 4, "has no `brokers`"),
        ("  kafka:\n    brokers: a\n", 5, "write host:port"),
        ("  kafka:\n    brokers: a:1,\n", 5, "write host:port"),
        ("  kafka: { brokers: a:1, topic: a/b }\n", 4, "is not the name of a topic"),
        ("  kafka:\n    brokers: a:1\n    create_topic: { partitions: 0 }\n", 6, "between 1 and 4096"),
        ("  kafka:\n    brokers: a:1\n    create_topic: { replication: 3 }\n", 6, "`partitions` is missing here"),
        (
            "  kafka:\n    brokers: a:1\n    properties:\n      security.protocol: tls\n",
            7,
            "`security.protocol`: Invalid",
        ),
        ("  kafka:\n    brokers: a:1\n    properties:\n      linger.millis: 1\n", 7, "No such configuration property"),
        ("  kafka:\n    brokers: a:1\n    properties:\n      acks: 1\n", 7, "`acks`: cannot be set"),
        ("  kafka:\n    brokers: a:1\n    properties: { linger.ms: 1, linger.ms: 2 }\n", 6, "defined twice"),
        ("  when_full: panic\n", 4, "is not one of"),
        ("  batch_entries: 0\n", 4, "must be between 1 and 4096"),
    ];
    for (usage, line, reason) in faults {
        let told = parse(&with_usage(usage)).unwrap_err().to_string();
        assert!(told.starts_with(&format!("gateway.yaml:{line}:")), "{usage}: {told}");
        assert!(told.contains(reason), "{usage}: {told}");
    }
}

fn with_limits(limits: &str) -> String {
    GOOD.replacen("upstreams:", &format!("limits:\n{limits}upstreams:"), 1)
}

#[test]
fn limits_are_shared_if_the_file_or_the_environment_says_so() {
    assert_eq!(parse(GOOD).unwrap().process.bank, None);
    let text = with_limits("  redis: { url: 'redis://:secret@a:1', timeout_ms: 20, gateways: 4 }\n");
    let from_file = parse(&text).unwrap().process.bank.unwrap();
    assert_eq!(from_file.address, BankAddress::parse("redis://:secret@a:1", false).unwrap());
    assert_eq!((from_file.tick.as_millis(), from_file.timeout.as_millis(), from_file.gateways), (10, 20, 4));

    let overrides = Overrides { redis: Some("redis://b:1,redis://c:1".into()), ..Overrides::default() };
    let overridden = Settings::parse(&text, "gateway.yaml", &overrides).unwrap().process.bank.unwrap();
    let cluster = BankAddress::parse("redis://b:1,redis://c:1", true).unwrap();
    assert_eq!(overridden, BankSettings { address: cluster.clone(), ..from_file });
    let from_nothing = Settings::parse(GOOD, "gateway.yaml", &overrides).unwrap().process.bank.unwrap();
    assert_eq!((from_nothing.address, from_nothing.gateways), (cluster, 1));
    let wrong = Overrides { redis: Some("b:1".into()), ..Overrides::default() };
    let told = Settings::parse(GOOD, "gateway.yaml", &wrong).unwrap_err().to_string();
    assert!(told.contains("TOLLGATE_REDIS") && told.contains("redis://127.0.0.1"), "{told}");
}

#[test]
fn faults_of_shared_limits_name_file_line_and_reason() {
    let faults = [
        ("  redis: {}\n", 4, "has no `url`"),
        ("  redis:\n    url: 127.0.0.1:6379\n", 5, "write it as in redis://"),
        ("  redis:\n    url: http://127.0.0.1:6379\n", 5, "write it as in redis://"),
        ("  redis:\n    url: redis://a:1\n    tick_ms: 0\n", 6, "must be between 1 and 100"),
        ("  redis:\n    url: redis://a:1\n    timeout_ms: 60000\n", 6, "must be between 5 and 500"),
        ("  redis:\n    url: redis://a:1\n    gateways: 0\n", 6, "must be between 1 and 10000"),
        ("  redis: { url: redis://a:1, urls: [] }\n", 4, "is not a setting here"),
    ];
    for (limits, line, reason) in faults {
        let told = parse(&with_limits(limits)).unwrap_err().to_string();
        assert!(told.starts_with(&format!("gateway.yaml:{line}:")), "{limits}: {told}");
        assert!(told.contains(reason), "{limits}: {told}");
    }
}

#[test]
fn failures_are_counted_unless_the_file_says_otherwise() {
    assert_eq!(parse(GOOD).unwrap().clients, ClientSettings { trusted_proxies: Vec::new(), failures_most: Some(300) });
    let text = with_limits("  failed_credentials: { enabled: false }\n").replacen(
        "name: edge-1",
        "trusted_proxies: [10.0.0.0/8, '2001:db8::1']",
        1,
    );
    let clients = parse(&text).unwrap().clients;
    assert_eq!(clients.failures_most, None);
    assert_eq!(clients.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "2001:db8::1/128".parse().unwrap()]);
}

#[test]
fn faults_of_failed_credentials_name_file_line_and_reason() {
    let faults = [
        ("  failed_credentials: { per_minute: 0 }\n", 4, "set `enabled: false`"),
        ("  failed_credentials:\n    per_minute: 1000001\n", 5, "must be between 1 and 1000000"),
        ("  failed_credentials: { per_minute: -1 }\n", 4, "`-1` is not a whole number"),
        ("  failed_credentials: { per_second: 1 }\n", 4, "is not a setting here"),
    ];
    for (limits, line, reason) in faults {
        let told = parse(&with_limits(limits)).unwrap_err().to_string();
        assert!(told.starts_with(&format!("gateway.yaml:{line}:")), "{limits}: {told}");
        assert!(told.contains(reason), "{limits}: {told}");
    }
    for network in ["10.0.0.0/33", "10.0.0", "everybody"] {
        let told = refusal("name: edge-1", &format!("trusted_proxies:\n  - {network}"));
        assert!(told.starts_with("gateway.yaml:2:5: ") && told.contains("is not a network"), "{told}");
    }
}

#[test]
fn limits_of_a_route_are_those_of_plans_and_their_faults_are_told() {
    let with = |limits: &str| GOOD.replacen("meter: tokens", &format!("limits: {limits}"), 1);
    let settings = parse(&with("{ per_second: { limit: 5, burst: 9 }, per_hour: 100, concurrent: 3 }")).unwrap();
    assert!(settings.routes[0].limits.is_empty() && !settings.routes[1].limits.is_empty());
    let faults = [
        ("{ per_second: 0 }", 16, "route `write`: limits.per_second: limit and burst must be at least 1"),
        ("{ per_hour: { limit: 1, burst: 0 } }", 16, "limits.per_hour: limit and burst must be at least 1"),
        ("{ per_minute: 600000001 }", 16, "limits.per_minute: limit and burst may be at most 600000000"),
        ("{ concurrent: 0 }", 16, "limits.concurrent: must be at least 1"),
        ("{ concurrent: 1000001 }", 16, "limits.concurrent: may be at most 1000000"),
        ("{ per_day: -1 }", 16, "a whole number of requests"),
        ("{ per_day: 1.5 }", 16, "a whole number of requests"),
        ("{ per_day: 99999999999999999999 }", 16, "a whole number of requests"),
        ("{ concurrent: -1 }", 16, "`-1` is not a whole number"),
        ("{ per_week: 1 }", 16, "is not a setting here"),
    ];
    for (limits, line, reason) in faults {
        let told = parse(&with(limits)).unwrap_err().to_string();
        assert!(told.starts_with(&format!("gateway.yaml:{line}:")), "{limits}: {told}");
        assert!(told.contains(reason), "{limits}: {told}");
    }
}

#[test]
fn every_fault_names_file_line_and_reason() {
    let faults = [
        ("name: write", "name: search", 13, "is defined twice"),
        (
            "upstream: demo\n  - name: write",
            "upstream: dem\n  - name: write",
            12,
            "upstream `dem` is not defined; did you mean `demo`?",
        ),
        ("[127.0.0.1:9000]", "[]", 5, "has no servers"),
        ("127.0.0.1:9000", "127.0.0.1", 5, "write host:port"),
        ("api.example.com", "'api example'", 9, "is not a host"),
        ("/v1/search/", "v1", 10, "path_prefix `v1`"),
        ("/v1/search/", "/v1/../x", 10, "path_prefix `/v1/../x`"),
        ("/v1/search/", "/v1?x=1", 10, "write it decoded"),
        ("[GET, HEAD]", "[FETCH]", 11, "is not a method"),
        ("'5xx'", "'5x'", 18, "is not a status"),
        ("default: 3", "default: 3, fixed: 1", 17, "`units` is either"),
        ("meter: tokens", "meter: To Kens", 16, "is not a meter name"),
        ("127.0.0.1:0", "localhost", 2, "is not an address"),
        ("name: edge-1", "name: edge/1", 1, "1 to 128 characters"),
        ("interval_seconds: 1", "interval_seconds: 0", 6, "must be between 1 and 3600"),
        ("name: edge-1", "upgrade_socket: /", 1, "is not a file"),
        ("name: edge-1", &format!("upgrade_socket: /{}", "x".repeat(107)), 1, "at most 107 bytes"),
        ("name: edge-1", "upgrade_drain_seconds: 0", 1, "must be between 1 and 3600"),
        ("name: edge-1", "idle_connections: 0", 1, "must be between 1 and 1000000"),
        ("name: edge-1", "drain_delay_seconds: 601", 1, "must be between 0 and 600"),
        ("name: edge-1", "threads: 0", 1, "must be between 1 and 1024"),
        ("interval_seconds: 1", "intervall_seconds: 1", 6, "is not a setting here; did you mean `interval_seconds`?"),
        ("meter: tokens", "allow_in_path: [paramters]", 16, "did you mean `parameters`?"),
        ("/v1/search/", "/v1/search;x", 10, "path has a `;`"),
    ];
    for (from, to, line, reason) in faults {
        let told = refusal(from, to);
        assert!(told.starts_with(&format!("gateway.yaml:{line}:")), "{to}: {told}");
        assert!(told.contains(reason), "{to}: {told}");
    }
}

#[test]
fn all_faults_are_told_at_once_and_none_that_follows_from_another() {
    let text = "\
lissten: 127.0.0.1:1
threads: many
upstreams:
  demo: { servers: [127.0.0.1, '127.0.0.1:9000'], connect_timeout_ms: 0, read_timeout_ms: 0 }
  other: { server: 127.0.0.1:9000 }
routes:
  - { name: a b, path_prefix: v1, upstream: demo, methods: [GET, FETCH] }
  - { name: c, path_prefix: /v1, upstream: other }
  - { name: d, path_prefix: /v1, upstream: othr, units: { fixed: -1 } }
  - { path_prefix: /v2, upstream: demo }
  - { name: e, path_prefix: /v2 }
";
    let told = parse(text).unwrap_err().to_string();
    let expected = [
        "1:1: `lissten` is not a setting here; did you mean `listen`?",
        "2:10: `threads`: `many` is not a whole number, 0 or more",
        "4:21: upstream `demo`: `127.0.0.1` is not a server",
        "4:71: `connect_timeout_ms` is 0",
        "4:91: `read_timeout_ms` is 0",
        "5:3: `other`: `servers` is missing here",
        "5:12: `server` is not a setting here; did you mean `servers`?",
        "7:13: route `a b`: use 1 to 64 characters",
        "7:31: route `a b`: path_prefix `v1`",
        "7:66: route `a b`: `FETCH` is not a method",
        "9:44: route `d`: upstream `othr` is not defined; did you mean `other`?",
        "9:66: `fixed`: `-1` is not a whole number, 0 or more",
        "10:5: `routes`: `name` is missing here",
        "11:5: route `e`: `upstream` is missing",
    ];
    let lines: Vec<&str> = told.lines().filter(|line| line.starts_with("gateway.yaml:")).collect();
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(&format!("gateway.yaml:{expected}")), "{expected}\n{told}");
    }
    assert_eq!(lines.len(), expected.len(), "{told}");
    assert_eq!(told.lines().filter(|line| line.contains('^')).count(), expected.len(), "{told}");
}

#[test]
fn two_routes_for_the_same_requests_are_refused() {
    let same = GOOD.replacen("path_prefix: /v1\n", "path_prefix: /v1/search\n    hosts: ['*.example.org']\n", 1);
    assert!(parse(&same).unwrap_err().to_string().contains("same requests as route `search`"));
    let other_methods = same.replacen("meter: tokens", "methods: [POST]", 1);
    assert!(parse(&other_methods).is_ok());
}

#[test]
fn empty_or_repeated_entries_are_refused() {
    let without_routes = GOOD.split("routes:").next().unwrap().to_owned() + "routes: []\n";
    assert!(parse(&without_routes).unwrap_err().to_string().contains("there are no routes"));
    let twice = GOOD.replacen("routes:", "  demo:\n    servers: [127.0.0.1:9001]\nroutes:", 1);
    assert!(parse(&twice).unwrap_err().to_string().contains("`demo` is defined twice"));
}

#[test]
fn settings_that_need_a_restart_are_named() {
    let old = parse(GOOD).unwrap().process;
    let new = parse(&GOOD.replacen("listen: 127.0.0.1:0", "listen: 127.0.0.1:1", 1)).unwrap().process;
    assert_eq!(old.differences(&new), ["listen"]);
    assert!(old.differences(&old).is_empty());
}

#[test]
fn header_limits_of_a_route_stay_within_those_of_all_routes() {
    let with = |setting: &str| GOOD.replacen("    meter: tokens\n", &format!("    meter: tokens\n    {setting}\n"), 1);
    for (setting, most) in [("header_count", 256), ("header_bytes", 65_536), ("header_value_bytes", 16_384)] {
        assert!(parse(&with(&format!("{setting}: {most}"))).is_ok(), "{setting}");
        let error = parse(&with(&format!("{setting}: {}", most + 1))).unwrap_err().to_string();
        assert!(error.contains(&format!("and {most}, which holds for every route")), "{error}");
        assert!(parse(&with(&format!("{setting}: 0"))).is_err(), "{setting}");
    }
    let limits = parse(&with("header_count: 20")).unwrap().routes[1].header_limits.unwrap();
    assert_eq!((limits.count, limits.bytes, limits.value_bytes), (Some(20), None, None));
}
