//! The table against a plain reading of the rules, which looks at every route and is as slow as it
//! is simple.

use std::collections::HashSet;

use proptest::prelude::*;

use super::{super::Shape, *};

/// The rank of the host pattern under which a route serves a host; none if it does not.
fn host_rank(route: &RouteSettings, host: &str) -> Option<usize> {
    let ranks = route.hosts.iter().filter_map(|pattern| match pattern {
        HostPattern::Exact(exact) => (exact == host).then_some(usize::MAX),
        HostPattern::Below(domain) => host.ends_with(&format!(".{domain}")).then_some(domain.len()),
    });
    if route.hosts.is_empty() { Some(0) } else { ranks.max() }
}

/// The rank of a pattern, if it serves the path: for each of its segments 3 (literal) or 2
/// (parameter), then 1 if the path ends there. `read` is how a server reads the literals.
fn path_rank(pattern: &PathPattern, path: &str, read: Reading) -> Option<Vec<u8>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let literal = |text: &str| read(&format!("/{text}"))[1..].to_owned();
    let mut rank = Vec::new();
    for (index, segment) in pattern.segments().iter().enumerate() {
        let found = segments.get(index)?;
        match segment {
            Segment::Literal(text) if literal(text) == **found => rank.push(3),
            Segment::Parameter(_) if !found.is_empty() => rank.push(2),
            _ => return None,
        }
    }
    if pattern.is_below() {
        rank.push(0);
        return Some(rank);
    }
    rank.push(1);
    (segments.len() == pattern.segments().len()).then_some(rank)
}

/// The routes that serve a request of the most specific pattern that matches; none for 404, `Err`
/// for 405. Of patterns that are one in the server's reading, the routes of all.
fn naive<'a>(routes: &'a [Arc<Route>], request: &Sent, path: &str, read: Reading) -> Result<Vec<&'a Arc<Route>>, ()> {
    let headers = request.headers();
    let rank = |route: &Arc<Route>| {
        let met = route.conditions.are_met(Headers::Known(&headers), None);
        met.then_some((host_rank(route, &request.host)?, path_rank(&route.path, path, read)?))
    };
    let Some(best) = routes.iter().filter_map(rank).max() else { return Ok(Vec::new()) };
    let equals = routes.iter().filter(|route| rank(route).as_ref() == Some(&best));
    let serving: Vec<_> =
        equals.filter(|route| route.methods.is_empty() || route.methods.contains(&request.method)).collect();
    if serving.is_empty() { Err(()) } else { Ok(serving) }
}

/// The name of the route with the most specific conditions.
fn first<'a>(serving: &[&'a Arc<Route>]) -> &'a str {
    let first = serving.iter().min_by(|one, other| one.conditions.by_specificity(&other.conditions));
    first.map_or("404", |route| &route.name)
}

/// A server's way of reading a path.
type Reading = fn(&str) -> String;

fn as_sent(path: &str) -> String {
    path.to_owned()
}

/// Ways in which servers read paths differently, each written as plainly as possible. All of them
/// decode the path once.
const READINGS: [Reading; 8] = [
    |path| decoded_once(path).to_lowercase(),
    |path| decoded_once(path).replace('\\', "/").to_lowercase(),
    |path| decoded_once(path).replace("//", "/").replace("//", "/"),
    |path| decoded_once(path).split('/').map(|part| part.split(';').next().unwrap()).collect::<Vec<_>>().join("/"),
    |path| decoded_once(path).replace('\\', "/"),
    |path| decoded_once(path).split('/').map(|part| part.trim_end_matches('.')).collect::<Vec<_>>().join("/"),
    |path| decoded_once(&path.replace("%2F", "/")),
    |path| {
        decoded_once(&path.replace("%2F", "/")).replace('\\', "/").replace("//", "/").replace("//", "/").to_lowercase()
    },
];

fn decoded_once(path: &str) -> String {
    path.replace("%61", "a").replace("%41", "A")
}

#[derive(Debug, Clone)]
struct Sent {
    host: String,
    method: Method,
    version: Option<&'static str>,
}

impl Sent {
    fn headers(&self) -> HeaderMap {
        let header = |version| (HeaderName::from_static("x-version"), HeaderValue::from_static(version));
        self.version.map(header).into_iter().collect()
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let host = prop::sample::select(vec!["a.x", "b.a.x", "c.b.a.x", "x", "z", "ax"]);
    let version = prop::sample::select(vec![None, Some("1"), Some("2")]);
    (host, any::<bool>(), version).prop_map(|(host, posts, version)| Sent {
        host: host.to_owned(),
        method: if posts { Method::POST } else { Method::GET },
        version,
    })
}

fn pattern(letters: &'static [&'static str]) -> impl Strategy<Value = PathPattern> {
    let segment = prop::sample::select(letters.to_vec());
    (prop::collection::vec(segment, 0..4), any::<bool>()).prop_map(|(segments, is_below)| {
        let named: Vec<String> = segments
            .iter()
            .enumerate()
            .map(|(index, segment)| if *segment == "?" { format!("{{p{index}}}") } else { (*segment).to_owned() })
            .chain(is_below.then(|| "{rest...}".to_owned()))
            .collect();
        PathPattern::parse(&format!("/{}", named.join("/"))).unwrap()
    })
}

/// Routes no two of which are equal for one host, pattern and conditions, which is stricter than the
/// configuration.
fn routes(letters: &'static [&'static str]) -> impl Strategy<Value = Vec<Arc<Route>>> {
    let host = prop::sample::select(vec!["a.x", "b.a.x", "x", "*.x", "*.a.x"]);
    let methods = prop::sample::subsequence(vec![Method::GET, Method::POST], 0..=2);
    let version = prop::sample::select(vec![None, None, Some("1"), Some("2")]);
    let drawn = (prop::collection::vec(host, 0..3), pattern(letters), methods, version, any::<bool>());
    prop::collection::vec(drawn, 1..10).prop_map(|all| {
        let mut taken: HashSet<(&str, Shape, Option<&str>)> = HashSet::new();
        let mut routes = Vec::new();
        for (index, (hosts, path, methods, version, is_lenient)) in all.into_iter().enumerate() {
            let hosts_or_any = if hosts.is_empty() { vec!["any"] } else { hosts.clone() };
            let places: Vec<_> = hosts_or_any.iter().map(|host| (*host, path.shape(), version)).collect();
            if places.iter().any(|place| taken.contains(place)) {
                continue;
            }
            taken.extend(places);
            let lenient = Spelling::ALL.into_iter().filter(|one| is_lenient && *one != Spelling::OtherCase);
            let header = |version: &str| (HeaderName::from_static("x-version"), Wanted::Exact(version.into()));
            let conditions = Conditions::new(version.map(header).into_iter().collect(), Vec::new());
            let settings = RouteSettings {
                path,
                conditions,
                spellings: lenient.collect(),
                ..settings(&index.to_string(), &hosts, "/", &methods)
            };
            routes.push(Arc::new(Route::new(settings, &Limiter::new())));
        }
        routes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn table_agrees_with_the_rules(
        routes in routes(&["a", "b", "ab", "?"]),
        sent in sent(),
        path in "/([ab]{1,2}/){0,3}([ab]{1,2})?",
    ) {
        let table = Table::new(&routes);
        let found = outcome(&find(&table, Some(&sent.host), &path, &sent.method, &sent.headers()));
        let expected = naive(&routes, &sent, &path, as_sent).map_or("405", |serving| first(&serving));
        prop_assert_eq!(found, expected, "{} {:?}", path, routes);
    }

    #[test]
    fn order_of_the_routes_does_not_matter(
        routes in routes(&["a", "b", "?"]),
        sent in sent(),
        path in "/([ab]{1,2}/){0,3}([ab]{1,2})?",
    ) {
        let (forth, back) = (Table::new(&routes), Table::new(routes.iter().rev()));
        let find = |table| outcome(&find(table, Some(&sent.host), &path, &sent.method, &sent.headers()));
        prop_assert_eq!(find(&forth), find(&back));
    }

    /// However a server reads an accepted path, it does not find the handler of another route.
    #[test]
    fn no_reading_of_an_accepted_path_leads_to_another_route(
        routes in routes(&["a", "b", "A", "?", "?"]),
        sent in sent(),
        path in prop::collection::vec(prop::sample::select(
            vec!["a", "b", "A", "%61", "%41", "a;x", "a.", "", "a%2Fb", "b\\a", "ab", "b;", "a%2F", "..b"]
        ), 0..4).prop_map(|segments| format!("/{}", segments.join("/"))),
    ) {
        let table = Table::new(&routes);
        if let Ok(found) = find(&table, Some(&sent.host), &path, &sent.method, &sent.headers()) {
            for (index, read) in READINGS.into_iter().enumerate() {
                if let Ok(reached) = naive(&routes, &sent, &read(&path), read) {
                    let is_same = reached.is_empty() || reached.iter().any(|route| route.name == found.name);
                    prop_assert!(is_same, "{path} takes {}, reading {index} leads to {reached:?}", found.name);
                }
            }
        }
    }
}
