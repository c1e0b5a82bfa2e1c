//! The table finds what a plain reading of the rules finds.

use std::sync::Arc;

use http::Method;
use proptest::prelude::*;

use super::*;

fn route(name: &str, hosts: &[&str], path_prefix: &str, methods: &[Method]) -> Arc<Route> {
    let settings = RouteSettings {
        hosts: hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect(),
        path_prefix: path_prefix.into(),
        methods: methods.to_vec(),
        ..RouteSettings::named(name)
    };
    Arc::new(Route::new(settings, &Limiter::new()))
}

fn found<'a>(table: &'a Table, host: &str, path: &str, method: &Method) -> &'a str {
    let found = decode_path(path).map_err(RouteError::from).and_then(|path| table.find(Some(host), &path, method));
    match found {
        Ok(route) => &route.name,
        Err(RouteError::NotFound) => "404",
        Err(RouteError::MethodNotAllowed { .. }) => "405",
        Err(RouteError::Path(_)) => "400",
    }
}

#[test]
fn most_specific_host_and_the_longest_prefix_win() {
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
    assert_eq!(&*table.find(None, &decode_path("/v1").unwrap(), &Method::GET).unwrap().name, "v1");
}

#[test]
fn methods_share_a_prefix_and_a_refusal_names_them_all() {
    let table = Table::new(&[
        route("read", &[], "/v1", &[Method::HEAD, Method::GET]),
        route("write", &[], "/v1", &[Method::POST]),
    ]);
    assert_eq!(found(&table, "a", "/v1", &Method::POST), "write");
    assert_eq!(found(&table, "a", "/v2", &Method::POST), "404");
    let refusal = table.find(None, &decode_path("/v1/x").unwrap(), &Method::DELETE).unwrap_err();
    assert_eq!(refusal, RouteError::MethodNotAllowed { allow: "GET, HEAD, POST".into() });
}

/// A table with a cheap route for everything and an expensive one below it; the cheap one allows
/// `spellings`.
fn cheap_and_expensive(spellings: impl IntoIterator<Item = Spelling>) -> Table {
    let cheap = RouteSettings { spellings: spellings.into_iter().collect(), ..RouteSettings::named("cheap") };
    Table::new(&[Arc::new(Route::new(cheap, &Limiter::new())), route("expensive", &[], "/v1/admin", &[])])
}

/// Spellings of `/v1/admin/x` under which some server finds the handler of `/v1/admin`.
const ESCAPES: [&str; 40] = [
    "/V1/admin/x",
    "/v1/Admin/x",
    "/v1/ADMIN",
    "/v1/%41dmin",
    "/v1/admin;x",
    "/v1/admin;jsessionid=1/x",
    "/v1;a=b/admin/x",
    "/;/v1/admin",
    "/v1/admin%3bx",
    "/v1/%2561dmin",
    "/%2576%2531/admin",
    "/v1/%252561dmin",
    "/v1%252fadmin",
    "/v1/%25u0061dmin",
    "/v1/%c1%a1dmin",
    "/v1%c0%afadmin",
    "/v1%e0%80%afadmin",
    "/v1%f0%80%80%afadmin",
    "/v1/%c1%61dmin",
    "/v1/admin.",
    "/v1/admin..../x",
    "/v1./admin",
    "/v1/admin%20",
    "/v1/admin%20/x",
    "/v1/admin.%20.",
    "/v1/admin%e3%80%80",
    "/v1\\admin",
    "/v1%5cadmin",
    "\\/v1/admin",
    "/v1%ef%bc%8fadmin",
    "/v1%e2%81%84admin",
    "/v1%2fadmin",
    "/v1%2Fadmin/x",
    "//v1/admin",
    "/v1//admin/x",
    "/v1/%ef%bd%81dmin",
    "/v1/adm%c4%b1n",
    "/v1/ad%e2%80%8bmin",
    "/v1/admin%3fx",
    "/v1/admin::$DATA",
];

#[test]
fn no_spelling_of_a_path_escapes_its_route() {
    for spellings in [vec![], Spelling::ALL.into_iter().filter(|one| *one != Spelling::OtherCase).collect()] {
        let table = cheap_and_expensive(spellings.clone());
        for path in ESCAPES {
            let found = found(&table, "a", path, &Method::GET);
            assert!(found != "cheap", "{path} with {spellings:?}");
        }
    }
    let table = cheap_and_expensive([]);
    for path in ["/v1/admin", "/v1/admin/", "/v1/%61dmin/x", "/v%31/admin/X", "/v1/admin/%C3%A4"] {
        assert_eq!(found(&table, "a", path, &Method::GET), "expensive", "{path}");
    }
    for path in ["/", "/V1", "/v1/Administrator", "/v1/adminx", "/Items/01JD", "/v1/caf%C3%A9", "/100%25", "/a.B/c"] {
        assert_eq!(found(&table, "a", path, &Method::GET), "cheap", "{path}");
    }
}

#[test]
fn route_serves_a_spelling_only_if_it_says_so() {
    let spelled = [
        (Spelling::Parameters, "/items/a;b=c"),
        (Spelling::DoubleEncoding, "/items/%2541"),
        (Spelling::NotUtf8, "/items/caf%e9"),
        (Spelling::TrailingDots, "/items/Inc."),
        (Spelling::TrailingSpaces, "/items/a%20"),
        (Spelling::Backslashes, "/items/a%5cb"),
        (Spelling::EncodedSlashes, "/items/a%2Fb"),
        (Spelling::EmptySegments, "/items//a"),
        (Spelling::OtherCase, "/V1/Admin"),
    ];
    for (spelling, path) in spelled {
        assert_eq!(found(&cheap_and_expensive([]), "a", path, &Method::GET), "400", "{path}");
        assert_eq!(found(&cheap_and_expensive([spelling]), "a", path, &Method::GET), "cheap", "{path}");
    }
    // What is allowed never leads out of a place: dots behind an encoded slash are dots.
    let all = cheap_and_expensive(Spelling::ALL);
    for path in ["/items/..%2fv1/admin", "/items/..%5cv1%5cadmin", "/items/%252e%252e/v1/admin", "/items/.%20./x"] {
        assert_eq!(found(&all, "a", path, &Method::GET), "400", "{path}");
    }
    // With case told apart, everything else is still seen.
    assert_eq!(found(&all, "a", "/v1%2Fadmin", &Method::GET), "400");
}

#[test]
fn spelling_does_not_lead_to_the_routes_of_another_host() {
    let table = Table::new(&[route("any", &[], "/", &[]), route("admin", &["a.test"], "/admin", &[Method::POST])]);
    assert_eq!(found(&table, "a.test", "/Admin", &Method::GET), "400");
    assert_eq!(found(&table, "b.test", "/Admin", &Method::GET), "any");
    assert_eq!(found(&table, "a.test", "/admin", &Method::GET), "405");
    let upper = Table::new(&[route("lower", &[], "/", &[]), route("upper", &[], "/V1/Admin", &[])]);
    assert_eq!(found(&upper, "a", "/v1/admin", &Method::GET), "400");
    assert_eq!(found(&upper, "a", "/V1/Admin", &Method::GET), "upper");
    let both = Table::new(&[route("lower", &[], "/a", &[]), route("upper", &[], "/A", &[])]);
    assert_eq!(found(&both, "a", "/a/x", &Method::GET), "lower");
    assert_eq!(found(&both, "a", "/A/x", &Method::GET), "upper");
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
    fn table_agrees_with_the_rules(
        routes in routes(),
        host in prop::sample::select(vec!["a.x", "b.a.x", "c.b.a.x", "x", "z", "ax"]),
        path in "/([ab]{1,2}/){0,3}([ab]{1,2})?",
        post in any::<bool>(),
    ) {
        let method = if post { Method::POST } else { Method::GET };
        let table = Table::new(&routes);
        let decoded = decode_path(&path).unwrap();
        match (table.find(Some(host), &decoded, &method), naive(&routes, host, &path, &method)) {
            (Ok(found), Ok(expected)) => prop_assert_eq!(&found.name, &expected.name),
            (Err(RouteError::NotFound), Err(false)) | (Err(RouteError::MethodNotAllowed { .. }), Err(true)) => {}
            (found, expected) => prop_assert!(false, "{host}{path}: {found:?} instead of {expected:?}"),
        }
    }
}
