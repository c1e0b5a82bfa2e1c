//! What a configuration file may say, and how its faults are told.

use super::*;

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
fn the_shipped_file_is_valid() {
    let text = include_str!("../../../config/gateway.yaml");
    let settings = Settings::parse(text, "gateway.yaml", &Overrides::default()).unwrap();
    assert_eq!(settings.process.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(settings.process.admin, "127.0.0.1:9901".parse().unwrap());
    assert!(settings.routes.iter().any(|route| matches!(route.units, Units::Header { .. })));
    assert!(settings.routes.iter().any(|route| !route.methods.is_empty()));
}

#[test]
fn what_is_not_said_has_its_default() {
    let settings = parse(GOOD).unwrap();
    assert_eq!(settings.sizes.header_bytes, 65_536);
    assert_eq!(settings.sizes.header_value_bytes, 16_384);
    assert_eq!(settings.sizes.path_bytes, 8_192);
    assert_eq!(settings.process.usage.sink, "http://127.0.0.1:8090");
    let search = &settings.routes[0];
    assert_eq!(search.path_prefix, "/v1/search");
    assert_eq!(&*search.meter, "requests");
    assert_eq!(search.units, Units::Fixed(1));
    assert!(search.billable.covers(404) && !search.billable.covers(500));
    let write = &settings.routes[1];
    assert_eq!(write.units.estimate(), 3);
    assert!(write.billable.covers(503) && !write.billable.covers(404));
}

#[test]
fn the_environment_overrides_the_store() {
    let overrides = Overrides { store: Some("postgres://somewhere/else".into()) };
    let settings = Settings::parse(GOOD, "gateway.yaml", &overrides).unwrap();
    assert_eq!(settings.process.store, "postgres://somewhere/else");
}

#[test]
fn every_fault_names_file_line_and_reason() {
    let faults = [
        ("name: write", "name: search", 13, "is defined twice"),
        ("upstream: demo\n  - name: write", "upstream: dem\n  - name: write", 8, "upstream `dem` is not defined"),
        ("[127.0.0.1:9000]", "[]", 4, "has no servers"),
        ("127.0.0.1:9000", "nowhere.invalid:9000", 5, "does not resolve"),
        ("127.0.0.1:9000", "127.0.0.1", 5, "write host:port"),
        ("api.example.com", "'api example'", 8, "is not a host"),
        ("/v1/search/", "v1", 8, "path_prefix `v1`"),
        ("/v1/search/", "/v1/../x", 8, "path_prefix `/v1/../x`"),
        ("/v1/search/", "/v1?x=1", 8, "write it decoded"),
        ("[GET, HEAD]", "[FETCH]", 8, "is not a method"),
        ("'5xx'", "'5x'", 13, "is not a status"),
        ("default: 3", "default: 3, fixed: 1", 13, "`units` is either"),
        ("meter: tokens", "meter: To Kens", 13, "is not a meter name"),
        ("127.0.0.1:0", "localhost", 2, "is not an address"),
        ("name: edge-1", "name: edge/1", 1, "1 to 128 characters"),
        ("interval_seconds: 1", "interval_seconds: 0", 6, "must be between 1 and 3600"),
        ("name: edge-1", "threads: 0", 1, "must be between 1 and 1024"),
        ("interval_seconds: 1", "intervall_seconds: 1", 6, "unknown field"),
    ];
    for (from, to, line, reason) in faults {
        let told = refusal(from, to);
        assert!(told.starts_with(&format!("gateway.yaml:{line}: ")), "{to}: {told}");
        assert!(told.contains(reason), "{to}: {told}");
    }
}

#[test]
fn two_routes_for_the_same_requests_are_refused() {
    let same = GOOD.replacen("path_prefix: /v1\n", "path_prefix: /v1/search\n    hosts: ['*.example.org']\n", 1);
    assert!(parse(&same).unwrap_err().to_string().contains("same requests as route `search`"));
    let other_methods = same.replacen("meter: tokens", "methods: [POST]", 1);
    assert!(parse(&other_methods).is_ok());
}

#[test]
fn nothing_may_be_empty_or_twice() {
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
