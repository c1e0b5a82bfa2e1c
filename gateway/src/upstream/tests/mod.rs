//! An upstream whose checks and look-ups come out as the test says. Its own tasks never run:
//! nothing here waits.

mod balance;
mod ejection;

use std::net::SocketAddr;

use async_trait::async_trait;

use super::{endpoint::Endpoint, resolver::Answer, standing::Verdict, *};
use crate::{
    config::{DnsSettings, Overrides, Settings},
    route::RouteSettings,
};

/// Never asked.
struct Nobody;

#[async_trait]
impl Resolve for Nobody {
    async fn resolve(&self, _server: &ServerAddress, _dns: &DnsSettings) -> Result<Answer, String> {
        std::future::pending().await
    }
}

#[async_trait]
impl Probe for Nobody {
    async fn check(&self, _server: &Server, _settings: &UpstreamSettings) -> Result<(), String> {
        std::future::pending().await
    }
}

/// An upstream, and a route to it.
struct Fixture {
    upstream: Arc<Upstream>,
    route: RouteSettings,
}

impl Fixture {
    /// As this part of a file says.
    fn new(upstream: &str) -> Self {
        Self::after(upstream, None)
    }

    /// As this part of a file says, which replaces another.
    fn after(upstream: &str, previous: Option<&Self>) -> Self {
        let text =
            format!("upstreams: {{ demo: {upstream} }}\nroutes: [{{ name: all, path_prefix: /, upstream: demo }}]\n");
        let settings = Settings::parse(&text, "gateway.yaml", &Overrides::default()).unwrap();
        let tools = Tools { resolver: Arc::new(Nobody), probe: Arc::new(Nobody) };
        let previous = previous.map(|previous| &*previous.upstream);
        let upstream = Upstream::start(&settings.upstreams[0], previous, &tools);
        Self { upstream, route: settings.routes[0].clone() }
    }

    /// A look-up of the server at this place of the configuration finds these addresses.
    fn found(&self, index: usize, addresses: &[&str]) {
        let endpoints = addresses.iter().map(|text| text.parse::<SocketAddr>().unwrap().into()).collect();
        self.found_endpoints(index, endpoints);
    }

    /// The same with what records say of them.
    fn found_endpoints(&self, index: usize, endpoints: Vec<Endpoint>) {
        assert!(self.upstream.found(index, Ok(endpoints)));
    }

    /// A look-up fails. Returns whether addresses are left.
    fn lost(&self, index: usize) -> bool {
        self.upstream.found(index, Err("no such name".into()))
    }

    /// So many checks of each of these addresses come out so.
    fn checks(&self, addresses: &[&str], outcome: Result<(), &str>, count: usize) {
        for server in &self.upstream.pool().servers {
            if addresses.contains(&&*server.address.to_string()) {
                (0..count).for_each(|_| self.upstream.take_check(server, outcome.map_err(ToOwned::to_owned)));
            }
        }
    }

    /// Addresses of so many requests in a row, each of which succeeds at its first server, in
    /// order.
    fn requests(&self, count: usize) -> Vec<String> {
        let choices = (0..count).filter_map(|_| self.upstream.choose(&self.route, &[], false, None));
        let mut addresses: Vec<_> = choices.map(|choice| choice.server.address.to_string()).collect();
        addresses.sort_unstable();
        addresses
    }

    /// Addresses of one request that fails at each server, until no other is left.
    fn attempts(&self) -> Vec<String> {
        let mut tried = Vec::new();
        while let Some(choice) = self.upstream.choose(&self.route, &tried, false, None) {
            tried.push(choice.server);
            if !self.upstream.has_untried(&tried) {
                break;
            }
        }
        tried.iter().map(|server| server.address.to_string()).collect()
    }

    /// The server with this address.
    fn server(&self, address: &str) -> Arc<Server> {
        let pool = self.upstream.pool();
        Arc::clone(pool.servers.iter().find(|server| server.address.to_string() == address).unwrap())
    }

    fn status(&self) -> (Status, usize, usize) {
        let health = self.upstream.health();
        (health.status, health.healthy, health.servers)
    }
}

const PAIR: &str = "{ servers: ['10.0.0.1:80', '10.0.0.2:80'] }";
const BOTH: [&str; 2] = ["10.0.0.1:80", "10.0.0.2:80"];

#[tokio::test]
async fn server_is_out_after_three_failed_checks_and_in_after_two_good_ones() {
    let pair = Fixture::new(PAIR);
    assert_eq!(pair.status(), (Status::Unknown, 0, 2));
    assert_eq!(pair.requests(2), BOTH);
    pair.checks(&BOTH, Ok(()), 1);
    assert_eq!(pair.status(), (Status::Up, 2, 2));
    pair.checks(&["10.0.0.1:80"], Err("refused"), 2);
    assert_eq!(pair.status(), (Status::Up, 2, 2));
    assert_eq!(pair.upstream.health().problems[0].reason, "refused");
    pair.checks(&["10.0.0.1:80"], Err("refused"), 1);
    assert_eq!(pair.status(), (Status::Degraded, 1, 2));
    assert_eq!(pair.requests(3), ["10.0.0.2:80"; 3]);
    pair.checks(&["10.0.0.1:80"], Ok(()), 1);
    assert_eq!(pair.requests(3), ["10.0.0.2:80"; 3]);
    pair.checks(&["10.0.0.1:80"], Ok(()), 1);
    assert_eq!(pair.status(), (Status::Up, 2, 2));
    assert_eq!(pair.requests(2), BOTH);
    assert!(pair.upstream.health().problems.is_empty());
}

#[tokio::test]
async fn one_failed_check_takes_no_server_out() {
    let single = Fixture::new("{ servers: ['10.0.0.1:80'] }");
    single.checks(&["10.0.0.1:80"], Ok(()), 1);
    single.checks(&["10.0.0.1:80"], Err("refused"), 1);
    assert_eq!(single.status(), (Status::Up, 1, 1));
    assert_eq!(single.requests(1), ["10.0.0.1:80"]);
}

#[tokio::test]
async fn all_servers_are_tried_if_all_are_down() {
    let pair = Fixture::new(PAIR);
    pair.checks(&BOTH, Err("refused"), 3);
    assert_eq!(pair.status(), (Status::Down, 0, 2));
    assert_eq!(pair.requests(2), BOTH);
    let mut attempts = pair.attempts();
    attempts.sort_unstable();
    assert_eq!(attempts, BOTH);
}

#[tokio::test]
async fn request_tries_servers_that_are_down_after_those_that_are_not() {
    let four = Fixture::new("{ servers: ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80', '10.0.0.4:80'] }");
    four.checks(&["10.0.0.2:80"], Err("refused"), 3);
    four.checks(&["10.0.0.3:80", "10.0.0.4:80"], Ok(()), 1);
    for _ in 0..3 {
        let attempts = four.attempts();
        assert_eq!(attempts[2..], ["10.0.0.1:80", "10.0.0.2:80"], "{attempts:?}");
    }
}

#[tokio::test]
async fn single_server_is_chosen_again_after_it_was_tried() {
    let single = Fixture::new("{ servers: ['10.0.0.1:80'] }");
    let first = single.upstream.choose(&single.route, &[], false, None).unwrap().server;
    assert!(!single.upstream.has_untried(&[Arc::clone(&first)]));
    assert_eq!(
        single.upstream.choose(&single.route, &[Arc::clone(&first)], false, None).unwrap().server.id(),
        first.id()
    );
}

#[tokio::test]
async fn heavier_server_takes_its_part_of_the_requests() {
    let weighted = Fixture::new("{ servers: [{ address: '10.0.0.1:80', weight: 4 }, 'a.test:80'] }");
    weighted.found(1, &["10.0.0.2:80", "10.0.0.3:80"]);
    let requests = weighted.requests(60);
    let count = |address: &str| requests.iter().filter(|request| *request == address).count();
    assert_eq!((count("10.0.0.1:80"), count("10.0.0.2:80"), count("10.0.0.3:80")), (40, 10, 10));
    weighted.checks(&["10.0.0.2:80"], Err("refused"), 3);
    let requests = weighted.requests(50);
    let count = |address: &str| requests.iter().filter(|request| *request == address).count();
    assert_eq!((count("10.0.0.1:80"), count("10.0.0.3:80")), (40, 10));
}

#[tokio::test]
async fn name_that_moves_takes_its_requests_along_and_addresses_that_stay_keep_their_standing() {
    let moving = Fixture::new("{ servers: ['a.test:80'] }");
    moving.found(0, &["10.0.0.1:80", "10.0.0.2:80"]);
    moving.checks(&BOTH, Ok(()), 1);
    moving.found(0, &["10.0.0.2:80", "[2001:db8::2]:80"]);
    assert_eq!(moving.status(), (Status::Degraded, 1, 2));
    // The new one is not used before its first check, as there is one that is up.
    assert_eq!(moving.requests(2), ["10.0.0.2:80"; 2]);
    moving.checks(&["[2001:db8::2]:80"], Ok(()), 1);
    assert_eq!(moving.requests(2), ["10.0.0.2:80", "[2001:db8::2]:80"]);
    moving.found(0, &["10.0.0.9:80"]);
    assert_eq!(moving.requests(2), ["10.0.0.9:80"; 2]);
}

#[tokio::test]
async fn server_that_is_gone_changes_nothing_when_its_check_ends_late() {
    let moving = Fixture::new("{ servers: ['a.test:80'] }");
    moving.found(0, &["10.0.0.1:80"]);
    let gone = Arc::clone(&moving.upstream.pool().servers[0]);
    moving.found(0, &["10.0.0.2:80"]);
    moving.upstream.take_check(&gone, Ok(()));
    assert_eq!(gone.verdict(), Verdict::Up);
    assert_eq!(moving.requests(1), ["10.0.0.2:80"]);
    assert_eq!(moving.status(), (Status::Unknown, 0, 1));
}

#[tokio::test]
async fn name_that_does_not_resolve_is_a_server_that_is_down_until_it_does() {
    let late = Fixture::new("{ servers: ['a.test:80', '10.0.0.9:80'] }");
    late.checks(&["10.0.0.9:80"], Ok(()), 1);
    assert!(!late.lost(0));
    assert_eq!(late.status(), (Status::Degraded, 1, 2));
    assert_eq!(late.requests(2), ["10.0.0.9:80"; 2]);
    let problem = late.upstream.health().problems.remove(0);
    assert_eq!((problem.server.as_str(), problem.address), ("a.test:80", None));
    assert!(problem.reason.contains("does not resolve: no such name"), "{}", problem.reason);
    late.found(0, &["10.0.0.1:80"]);
    late.checks(&["10.0.0.1:80"], Ok(()), 1);
    assert_eq!(late.status(), (Status::Up, 2, 2));
    assert_eq!(late.upstream.unresolved_names(), 0);
}

#[tokio::test]
async fn upstream_whose_only_name_does_not_resolve_is_down_and_has_no_server_to_choose() {
    let nowhere = Fixture::new("{ servers: ['a.test:80'] }");
    assert_eq!(nowhere.status(), (Status::Unknown, 0, 1));
    nowhere.lost(0);
    assert_eq!(nowhere.status(), (Status::Down, 0, 1));
    assert!(nowhere.upstream.choose(&nowhere.route, &[], false, None).is_none() && !nowhere.upstream.has_untried(&[]));
}

#[tokio::test]
async fn name_that_stops_resolving_serves_on_from_its_last_addresses_and_not_without_a_time_to_keep_them() {
    let fading = Fixture::new("{ servers: ['a.test:80'] }");
    fading.found(0, &["10.0.0.1:80"]);
    assert!(fading.lost(0));
    assert_eq!((fading.requests(1), fading.upstream.unresolved_names()), (vec!["10.0.0.1:80".to_owned()], 1));
    let hasty = Fixture::new("{ servers: ['a.test:80'], dns: { keep_seconds: 0 } }");
    hasty.found(0, &["10.0.0.1:80"]);
    assert!(!hasty.lost(0));
    assert_eq!(hasty.status(), (Status::Down, 0, 1));
}

#[tokio::test]
async fn changed_configuration_keeps_addresses_and_what_checks_have_said() {
    let before = Fixture::new("{ servers: ['a.test:80', '10.0.0.2:80'] }");
    before.found(0, &["10.0.0.1:80"]);
    before.checks(&["10.0.0.1:80"], Ok(()), 1);
    before.checks(&["10.0.0.2:80"], Err("refused"), 3);
    let text = "{ servers: ['10.0.0.3:80', '10.0.0.2:80', 'a.test:80'], read_timeout_ms: 5 }";
    let after = Fixture::after(text, Some(&before));
    assert_eq!(after.attempts(), ["10.0.0.1:80", "10.0.0.3:80", "10.0.0.2:80"]);
    let other_family = "{ servers: ['a.test:80'], dns: { family: ipv6 } }";
    assert!(Fixture::after(other_family, Some(&before)).attempts().is_empty());
}

#[tokio::test]
async fn changed_configuration_keeps_connections_unless_new_ones_would_differ() {
    let chosen = |fixture: &Fixture| fixture.upstream.choose(&fixture.route, &[], false, None).unwrap();
    let group = |fixture: &Fixture| chosen(fixture).peer.group_key;
    let before = Fixture::new("{ servers: ['10.0.0.1:80'] }");
    let patient = Fixture::after("{ servers: ['10.0.0.1:80'], read_timeout_ms: 5 }", Some(&before));
    assert_eq!(group(&patient), group(&before));
    // A request of the former configuration finds that the server has failed.
    let abandoned = group(&before);
    chosen(&before).server.abandon_connections();
    assert_ne!(group(&patient), abandoned);
    let by_http2 = Fixture::after("{ servers: ['10.0.0.1:80'], protocol: http2 }", Some(&before));
    assert_ne!(group(&by_http2), group(&before));
    let secure = Fixture::new("{ servers: ['https://10.0.0.1'], tls: { verify: full } }");
    let careless = Fixture::after("{ servers: ['https://10.0.0.1'], tls: { verify: off } }", Some(&secure));
    assert_ne!(group(&careless), group(&secure));
}

#[tokio::test]
async fn route_overrides_how_long_a_server_may_stay_silent() {
    let fixture = Fixture::new("{ servers: ['10.0.0.1:80'], read_timeout_ms: 5000 }");
    let silent_for =
        |route: &RouteSettings| fixture.upstream.choose(route, &[], false, None).unwrap().peer.options.read_timeout;
    assert_eq!(silent_for(&fixture.route), Some(Duration::from_secs(5)));
    let hasty = RouteSettings { timeout: Some(Duration::from_secs(1)), ..fixture.route.clone() };
    assert_eq!(silent_for(&hasty), Some(Duration::from_secs(1)));
}

#[tokio::test]
async fn peers_carry_the_tls_settings_and_each_servers_own_name() {
    let fixture = Fixture::new("{ servers: ['https://10.0.0.1', 'https://10.0.0.2:8443'], tls: { verify: ca } }");
    let peers: Vec<_> =
        (0..2).map(|_| fixture.upstream.choose(&fixture.route, &[], false, None).unwrap().peer).collect();
    let names: Vec<&str> = peers.iter().map(|peer| peer.sni.as_str()).collect();
    assert_eq!(names, ["10.0.0.1", "10.0.0.2"]);
    assert!(peers.iter().all(|peer| peer.is_tls() && peer.options.verify_cert && !peer.options.verify_hostname));
    assert_ne!(peers[0].group_key, 0);
}

/// A server that a record of a service names.
fn record(address: &str, priority: u16, weight: u32) -> Endpoint {
    let address = address.parse().unwrap();
    Endpoint { address, target: Some("one.test".into()), weight: Some(weight), priority }
}

#[tokio::test]
async fn servers_of_a_service_have_the_weights_and_priorities_of_its_records() {
    let service = Fixture::new("{ servers: [{ srv: https://_http._tcp.a.test }] }");
    let records = vec![record("10.0.0.1:81", 10, 3), record("10.0.0.2:82", 10, 1), record("10.0.0.3:83", 20, 9)];
    service.found_endpoints(0, records);
    let all = ["10.0.0.1:81", "10.0.0.2:82", "10.0.0.3:83"];
    service.checks(&all, Ok(()), 1);
    assert_eq!(service.requests(4), ["10.0.0.1:81", "10.0.0.1:81", "10.0.0.1:81", "10.0.0.2:82"]);
    assert_eq!(service.attempts()[2], "10.0.0.3:83");
    // The next priority serves once the first does not.
    service.checks(&all[..2], Err("refused"), 3);
    assert_eq!(service.requests(2), ["10.0.0.3:83"; 2]);
    let server = service.server("10.0.0.3:83");
    assert_eq!((server.peer.sni.as_str(), server.named.authority().as_str()), ("one.test", "one.test:83"));
    // Another weight changes the turns, and not what is known of a server.
    service.checks(&all[..2], Ok(()), 2);
    service.found_endpoints(0, vec![record("10.0.0.1:81", 10, 1), record("10.0.0.2:82", 10, 1)]);
    assert_eq!(service.requests(2), ["10.0.0.1:81", "10.0.0.2:82"]);
    assert_eq!(service.status(), (Status::Up, 2, 2));
}
