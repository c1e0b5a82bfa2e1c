//! Which route a request takes, case by case; `model` compares the table with a plain reading of
//! the rules.

mod model;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::*;

/// A route for a host, below a prefix or, if `path` begins with `=`, for that pattern.
fn settings(name: &str, hosts: &[&str], path: &str, methods: &[Method]) -> RouteSettings {
    let pattern =
        path.strip_prefix('=').map_or_else(|| PathPattern::below(path), |path| PathPattern::parse(path).unwrap());
    RouteSettings {
        hosts: hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect(),
        path: pattern,
        methods: methods.to_vec(),
        ..RouteSettings::named(name)
    }
}

fn route(name: &str, hosts: &[&str], path: &str, methods: &[Method]) -> Arc<Route> {
    Arc::new(Route::new(settings(name, hosts, path, methods), &Limiter::new()))
}

fn find<'a>(
    table: &'a Table,
    host: Option<&str>,
    target: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Result<&'a Arc<Route>, RouteError> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    table.find(&RequestView { host, path, method, headers: Headers::Known(headers), query })
}

fn outcome(found: &Result<&Arc<Route>, RouteError>) -> String {
    match found {
        Ok(route) => route.name.to_string(),
        Err(RouteError::NotFound) => "404".into(),
        Err(RouteError::MethodNotAllowed { .. }) => "405".into(),
        Err(RouteError::Path(_) | RouteError::Header { .. }) => "400".into(),
    }
}

fn found(table: &Table, host: &str, path: &str, method: &Method) -> String {
    outcome(&find(table, Some(host), path, method, &HeaderMap::new()))
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
    assert_eq!(outcome(&find(&table, None, "/v1", &Method::GET, &HeaderMap::new())), "v1");
}

#[test]
fn methods_share_a_prefix_and_a_refusal_names_them_all() {
    let table = Table::new(&[
        route("read", &[], "/v1", &[Method::HEAD, Method::GET]),
        route("write", &[], "/v1", &[Method::POST]),
    ]);
    assert_eq!(found(&table, "a", "/v1", &Method::POST), "write");
    assert_eq!(found(&table, "a", "/v2", &Method::POST), "404");
    let refusal = find(&table, None, "/v1/x", &Method::DELETE, &HeaderMap::new()).unwrap_err();
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

#[test]
fn literal_goes_before_parameter_and_both_before_a_prefix() {
    let table = Table::new(&[
        route("all", &[], "/", &[]),
        route("users", &[], "=/users", &[]),
        route("user", &[], "=/users/{id}", &[]),
        route("me", &[], "=/users/me", &[]),
        route("items", &[], "=/users/{id}/items", &[]),
        route("files", &[], "=/users/{id}/files/{rest...}", &[]),
        route("below", &[], "/users/me/x", &[]),
    ]);
    let cases = [
        ("/users", "users"),
        ("/users/", "users"),
        ("/users/5", "user"),
        ("/users/me", "me"),
        ("/users/me/", "me"),
        ("/users/5/", "user"),
        ("/users/me/items", "items"),
        ("/users/me/x/y", "below"),
        ("/users/me/y", "all"),
        ("/users/5/items", "items"),
        ("/users/5/items/6", "all"),
        ("/users/5/files", "files"),
        ("/users/5/files/", "files"),
        ("/users/5/files/a/b", "files"),
        ("/users/m%65", "me"),
        ("/users/01JD%20X", "user"),
    ];
    for (path, name) in cases {
        assert_eq!(found(&table, "a", path, &Method::GET), name, "{path}");
    }
    // Some server takes each of these for the path of another route.
    for path in ["/Users", "/users/ME", "/users/Me/", "/Users/5", "/users/5/Items", "/users/5/FILES/A"] {
        assert_eq!(found(&table, "a", path, &Method::GET), "400", "{path}");
    }
}

#[test]
fn parameter_does_not_hide_an_encoded_slash() {
    let spelled = |name: &str, path: &str| {
        let settings = RouteSettings {
            spellings: [Spelling::EncodedSlashes].into_iter().collect(),
            ..settings(name, &[], path, &[])
        };
        Arc::new(Route::new(settings, &Limiter::new()))
    };
    let both = Table::new(&[spelled("user", "=/users/{id}"), route("items", &[], "=/users/{id}/items", &[])]);
    assert_eq!(found(&both, "a", "/users/a%2Fitems", &Method::GET), "400");
    let below = Table::new(&[spelled("file", "=/files/{rest...}")]);
    assert_eq!(found(&below, "a", "/files/a%2Fb", &Method::GET), "file");
}

/// A route with conditions: headers are in lower case, parameters of the query begin with `?`.
fn conditional(name: &str, path: &str, methods: &[Method], wanted: &[(&'static str, &str)]) -> Arc<Route> {
    let value = |value: &str| Wanted::Exact(value.into());
    let (query, headers): (Vec<_>, Vec<_>) = wanted.iter().partition(|(name, _)| name.starts_with('?'));
    let headers = headers.into_iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect();
    let query = query.into_iter().map(|(name, text)| (name[1..].into(), value(text))).collect();
    let settings = RouteSettings { conditions: Conditions::new(headers, query), ..settings(name, &[], path, methods) };
    Arc::new(Route::new(settings, &Limiter::new()))
}

#[test]
fn more_conditions_go_first_and_unmet_ones_lead_to_the_next_pattern() {
    let routes = [
        conditional("all", "/", &[], &[]),
        conditional("two", "=/a", &[], &[("x-version", "2")]),
        conditional("both", "=/a", &[Method::GET], &[("x-version", "2"), ("?beta", "1")]),
        conditional("posted", "=/b", &[Method::POST], &[("x-version", "2")]),
        conditional("plain", "=/b", &[Method::GET], &[]),
    ];
    let (forth, back) = (Table::new(&routes), Table::new(routes.iter().rev()));
    let cases = [
        ("/a", "1", Method::GET, "all"),
        ("/a", "2", Method::GET, "two"),
        ("/a?beta=1", "2", Method::GET, "both"),
        ("/a?beta=1", "2", Method::POST, "two"),
        ("/a?beta=1", "1", Method::GET, "all"),
        ("/b", "2", Method::POST, "posted"),
        ("/b", "2", Method::GET, "plain"),
        ("/b", "1", Method::POST, "405"),
    ];
    for (target, version, method, name) in cases {
        let headers: HeaderMap =
            [(HeaderName::from_static("x-version"), HeaderValue::from_str(version).unwrap())].into_iter().collect();
        for table in [&forth, &back] {
            assert_eq!(outcome(&find(table, None, target, &method, &headers)), name, "{method} {target} {version}");
        }
    }
    let refusal = find(&forth, None, "/b", &Method::PUT, &HeaderMap::new()).unwrap_err();
    assert_eq!(refusal, RouteError::MethodNotAllowed { allow: "GET".into() });
}

#[test]
fn header_that_some_server_reads_as_a_condition_is_refused() {
    let table = Table::new(&[conditional("all", "/", &[], &[]), conditional("two", "=/a", &[], &[("x-version", "2")])]);
    let with = |name: &'static str| -> HeaderMap {
        [(HeaderName::from_static(name), HeaderValue::from_static("2"))].into_iter().collect()
    };
    for (name, expected) in [("x-version", "two"), ("x_version", "400"), ("x.version", "400"), ("x-versions", "all")] {
        assert_eq!(outcome(&find(&table, None, "/a", &Method::GET, &with(name))), expected, "{name}");
    }
    let plain = Table::new(&[conditional("all", "/", &[], &[])]);
    assert_eq!(outcome(&find(&plain, None, "/a", &Method::GET, &with("x_version"))), "all");
}
