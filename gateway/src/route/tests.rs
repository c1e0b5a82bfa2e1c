//! The table finds what a plain reading of the rules finds.

use std::sync::Arc;

use http::Method;
use proptest::prelude::*;

use super::*;
use crate::{
    config::{Billable, HostPattern, Lifecycle, Route, Units},
    limit::Rates,
};

fn route(name: &str, hosts: &[&str], path_prefix: &str, methods: &[Method]) -> Arc<Route> {
    Arc::new(Route {
        name: name.into(),
        hosts: hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect(),
        path_prefix: path_prefix.into(),
        methods: methods.to_vec(),
        upstream: "demo".into(),
        meter: "requests".into(),
        units: Units::Fixed(1),
        billable: Billable::default(),
        strip_prefix: false,
        timeout: None,
        body_bytes: None,
        lifecycle: Lifecycle::default(),
        scope: None,
        limits: Rates::default(),
    })
}

fn found<'a>(table: &'a Table, host: &str, path: &str, method: &Method) -> &'a str {
    match table.find(Some(host), path.as_bytes(), method) {
        Ok(route) => &route.name,
        Err(RouteError::NotFound) => "404",
        Err(RouteError::MethodNotAllowed { .. }) => "405",
    }
}

#[test]
fn the_most_specific_host_and_the_longest_prefix_win() {
    let table = Table::new(&[
        route("any", &[], "/", &[]),
        route("v1", &[], "/v1", &[]),
        route("search", &[], "/v1/search", &[Method::GET]),
        route("below", &["*.example.com"], "/v1", &[]),
        route("deeper", &["*.eu.example.com"], "/v1", &[]),
        route("exact", &["api.example.com"], "/v1/exact", &[]),
    ]);
    let cases = [
        ("other.org", "/", "any"),
        ("other.org", "/v1", "v1"),
        ("other.org", "/v1/", "v1"),
        ("other.org", "/v12", "any"),
        ("other.org", "/v1/search/x", "search"),
        ("api.example.com", "/v1/exact", "exact"),
        ("API.Example.Com:8080", "/v1/exact", "exact"),
        ("api.example.com.", "/v1/exact", "exact"),
        ("api.example.com", "/v1/other", "below"),
        ("a.eu.example.com", "/v1", "deeper"),
        ("example.com", "/v1", "v1"),
        ("evil-example.com", "/v1", "v1"),
    ];
    for (host, path, name) in cases {
        assert_eq!(found(&table, host, path, &Method::GET), name, "{host}{path}");
    }
    assert_eq!(found(&table, "other.org", "/v1/search", &Method::POST), "405");
    assert_eq!(&*table.find(None, b"/v1", &Method::GET).unwrap().name, "v1");
}

#[test]
fn methods_share_a_prefix_and_a_refusal_names_them_all() {
    let table = Table::new(&[
        route("read", &[], "/v1", &[Method::HEAD, Method::GET]),
        route("write", &[], "/v1", &[Method::POST]),
    ]);
    assert_eq!(found(&table, "a", "/v1", &Method::POST), "write");
    assert_eq!(found(&table, "a", "/v2", &Method::POST), "404");
    let refusal = table.find(None, b"/v1/x", &Method::DELETE).unwrap_err();
    assert_eq!(refusal, RouteError::MethodNotAllowed { allow: "GET, HEAD, POST".into() });
}

/// The rules, read literally.
fn naive<'a>(routes: &'a [Arc<Route>], host: &str, path: &str, method: &Method) -> Result<&'a Arc<Route>, bool> {
    let under = |prefix: &str| prefix == "/" || path == prefix || path.starts_with(&format!("{prefix}/"));
    let host_rank = |route: &Route| {
        let ranks = route.hosts.iter().filter_map(|pattern| match pattern {
            HostPattern::Exact(exact) => (exact == host).then_some(usize::MAX),
            HostPattern::Below(domain) => host.ends_with(&format!(".{domain}")).then_some(domain.len()),
        });
        if route.hosts.is_empty() { Some(0) } else { ranks.max() }
    };
    let rank =
        |route: &Arc<Route>| Some((host_rank(route)?, under(&route.path_prefix).then_some(route.path_prefix.len())?));
    let best = routes.iter().filter_map(rank).max().ok_or(false)?;
    let mut equals = routes.iter().filter(|route| rank(route) == Some(best));
    equals.find(|route| route.methods.is_empty() || route.methods.contains(method)).ok_or(true)
}

fn routes() -> impl Strategy<Value = Vec<Arc<Route>>> {
    let host = prop::sample::select(vec!["a.x", "b.a.x", "x", "*.x", "*.a.x"]);
    let prefix = prop::sample::select(vec!["/", "/a", "/a/b", "/ab", "/a/b/c", "/b"]);
    let methods = prop::sample::subsequence(vec![Method::GET, Method::POST], 0..=2);
    let drawn = (prop::collection::vec(host, 0..3), prefix, methods);
    prop::collection::vec(drawn, 1..8).prop_map(|all| {
        let mut taken = std::collections::HashSet::new();
        let mut routes = Vec::new();
        for (index, (hosts, prefix, methods)) in all.into_iter().enumerate() {
            let hosts_or_any = if hosts.is_empty() { vec!["any"] } else { hosts.clone() };
            // One route per host and prefix, which is stricter than the configuration.
            if hosts_or_any.iter().all(|host| !taken.contains(&(*host, prefix))) {
                taken.extend(hosts_or_any.iter().map(|host| (*host, prefix)));
                routes.push(route(&index.to_string(), &hosts, prefix, &methods));
            }
        }
        routes
    })
}

proptest! {
    #[test]
    fn the_table_agrees_with_the_rules(
        routes in routes(),
        host in prop::sample::select(vec!["a.x", "b.a.x", "c.b.a.x", "x", "z", "ax"]),
        path in "/([ab]{1,2}/?){0,4}",
        post in any::<bool>(),
    ) {
        let method = if post { Method::POST } else { Method::GET };
        let table = Table::new(&routes);
        match (table.find(Some(host), path.as_bytes(), &method), naive(&routes, host, &path, &method)) {
            (Ok(found), Ok(expected)) => prop_assert_eq!(&found.name, &expected.name),
            (Err(RouteError::NotFound), Err(false)) | (Err(RouteError::MethodNotAllowed { .. }), Err(true)) => {}
            (found, expected) => prop_assert!(false, "{host}{path}: {found:?} instead of {expected:?}"),
        }
    }
}
