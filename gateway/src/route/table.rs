//! The routes, arranged so that one look-up per path segment finds the longest prefix.

use std::{collections::HashMap, sync::Arc};

use http::Method;

use super::{
    DecodedPath, HostPattern, PathError, Route, Spelling, Spellings,
    loose::{self, Case},
};

/// Every route, by host and prefix.
#[derive(Debug, Default)]
pub struct Table {
    exact: HashMap<String, Prefixes>,
    below: HashMap<String, Prefixes>,
    any: Prefixes,
    /// True if some prefix is not its own loosest reading.
    has_odd_prefixes: bool,
}

/// The reason for which a request has no route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No route serves this host and path.
    #[error("no route serves this host and path")]
    NotFound,
    /// The path is served, but not by this method.
    #[error("this path is served for {allow} only")]
    MethodNotAllowed {
        /// The methods that are, for the `Allow` header.
        allow: String,
    },
    /// The path is spelled in a way that the route does not allow.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// The routes of one host: those of one prefix differ by method.
#[derive(Debug, Default)]
struct Prefixes {
    routes: HashMap<Box<[u8]>, Vec<Arc<Route>>>,
    /// The prefixes behind each loosest reading.
    folded: HashMap<Box<[u8]>, Vec<Box<[u8]>>>,
    /// Length of the longest prefix, so that absurdly long paths are not looked up piece by piece.
    longest: usize,
    /// The same of the loosest readings.
    longest_folded: usize,
}

/// A find, and the host that it was found under.
struct Place<'a, F> {
    prefixes: &'a Prefixes,
    found: F,
}

/// A prefix and its routes.
struct Found<'a> {
    prefix: &'a [u8],
    routes: &'a Vec<Arc<Route>>,
}

impl Table {
    /// A table of `routes`, no two of which match the same requests.
    pub fn new<'a>(routes: impl IntoIterator<Item = &'a Arc<Route>>) -> Self {
        let mut table = Self::default();
        for route in routes {
            if route.hosts.is_empty() {
                table.any.insert(route);
            }
            for host in &route.hosts {
                match host {
                    HostPattern::Exact(host) => table.exact.entry(host.clone()).or_default().insert(route),
                    HostPattern::Below(domain) => table.below.entry(domain.clone()).or_default().insert(route),
                }
            }
        }
        let all = table.exact.values().chain(table.below.values()).chain([&table.any]);
        table.has_odd_prefixes = !all.into_iter().all(Prefixes::are_plain);
        table
    }

    /// The route of a request. `host` is the `Host` header as sent.
    pub fn find(&self, host: Option<&str>, path: &DecodedPath<'_>, method: &Method) -> Result<&Arc<Route>, RouteError> {
        let host = self.has_hosts().then(|| host.map(|host| without_port(host).to_ascii_lowercase())).flatten();
        let Some(place) = self.look_up(host.as_deref(), |prefixes| prefixes.longest(path.as_bytes())) else {
            // Nothing is reached, but the client may have meant what is.
            path.check(Spellings::default())?;
            return Err(RouteError::NotFound);
        };
        let routes = place.found.routes;
        let route = routes.iter().find(|route| serves(route, method));
        let allowed = route.map_or_else(Spellings::default, |route| route.spellings);
        path.check(allowed)?;
        self.check_reading(host.as_deref(), path, &place, allowed)?;
        route.ok_or_else(|| {
            let mut allow: Vec<&str> =
                routes.iter().flat_map(|route| route.methods.iter().map(Method::as_str)).collect();
            allow.sort_unstable();
            allow.dedup();
            RouteError::MethodNotAllowed { allow: allow.join(", ") }
        })
    }

    /// Refuses a path that an upstream may read as that of a more specific route.
    fn check_reading(
        &self,
        host: Option<&str>,
        path: &DecodedPath<'_>,
        place: &Place<'_, Found<'_>>,
        allowed: Spellings,
    ) -> Result<(), PathError> {
        if path.is_plain && !self.has_odd_prefixes {
            return Ok(());
        }
        let folded = loose::read(path.as_bytes(), Case::Folded)?;
        let loosest = self.look_up(host, |prefixes| prefixes.longest_folded(&folded));
        let same = |loosest: &Place<'_, &[Box<[u8]>]>| {
            std::ptr::eq(loosest.prefixes, place.prefixes)
                && loosest.found.iter().any(|prefix| **prefix == *place.found.prefix)
        };
        if loosest.as_ref().is_some_and(same) {
            return Ok(());
        }
        if allowed.contains(Spelling::OtherCase) {
            let kept = loose::read(path.as_bytes(), Case::Kept)?;
            let loose = self.look_up(host, |prefixes| prefixes.longest(&kept));
            if loose.is_some_and(|loose| std::ptr::eq(loose.found.routes, place.found.routes)) {
                return Ok(());
            }
        }
        Err(PathError::Spelled(Spelling::OtherCase))
    }

    /// The first of the most specific hosts that knows a path, and what `find` finds there.
    fn look_up<'a, F>(&'a self, host: Option<&str>, find: impl Fn(&'a Prefixes) -> Option<F>) -> Option<Place<'a, F>> {
        let find = |prefixes: &'a Prefixes| find(prefixes).map(|found| Place { prefixes, found });
        host.and_then(|host| self.exact.get(host))
            .and_then(&find)
            .or_else(|| {
                host.and_then(|host| domains_above(host).filter_map(|domain| self.below.get(domain)).find_map(&find))
            })
            .or_else(|| find(&self.any))
    }

    fn has_hosts(&self) -> bool {
        !(self.exact.is_empty() && self.below.is_empty())
    }
}

impl Prefixes {
    fn insert(&mut self, route: &Arc<Route>) {
        let prefix: Box<[u8]> = route.path_prefix.as_bytes().into();
        self.longest = self.longest.max(prefix.len());
        // A prefix of the configuration is a sound path.
        let folded = loose::read(&prefix, Case::Folded).unwrap_or_else(|_| prefix.to_vec());
        self.longest_folded = self.longest_folded.max(folded.len());
        let same = self.folded.entry(folded.into()).or_default();
        if !same.contains(&prefix) {
            same.push(prefix.clone());
        }
        self.routes.entry(prefix).or_default().push(Arc::clone(route));
    }

    /// The routes of the longest prefix of `path` that ends where a segment ends.
    fn longest(&self, path: &[u8]) -> Option<Found<'_>> {
        let (prefix, routes) = longest(&self.routes, self.longest, path)?;
        Some(Found { prefix, routes })
    }

    /// The prefixes whose loosest reading is the longest prefix of `folded`.
    fn longest_folded(&self, folded: &[u8]) -> Option<&[Box<[u8]>]> {
        longest(&self.folded, self.longest_folded, folded).map(|(_, prefixes)| prefixes.as_slice())
    }

    /// Returns true if each prefix is its own loosest reading.
    fn are_plain(&self) -> bool {
        self.folded.iter().all(|(folded, prefixes)| prefixes.iter().all(|prefix| prefix == folded))
    }
}

/// The entry of the longest prefix of `path` that ends where a segment ends.
fn longest<'a, V>(entries: &'a HashMap<Box<[u8]>, V>, longest: usize, path: &[u8]) -> Option<(&'a [u8], &'a V)> {
    let entry = |prefix: &[u8]| entries.get_key_value(prefix).map(|(prefix, value)| (&**prefix, value));
    let mut candidate = path;
    while !candidate.is_empty() {
        if candidate.len() <= longest
            && let Some(found) = entry(candidate)
        {
            return Some(found);
        }
        let slash = candidate.iter().rposition(|byte| *byte == b'/')?;
        candidate = &candidate[..slash];
    }
    entry(b"/")
}

fn serves(route: &Route, method: &Method) -> bool {
    route.methods.is_empty() || route.methods.contains(method)
}

fn without_port(host: &str) -> &str {
    if let Some(bracketed) = host.strip_prefix('[') {
        return bracketed.split(']').next().unwrap_or_default();
    }
    let host = host.split(':').next().unwrap_or_default();
    // A fully qualified name may end in a dot.
    host.strip_suffix('.').unwrap_or(host)
}

/// `a.b.c` -> `b.c`, `c`.
fn domains_above(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').map(|(index, _)| &host[index + 1..])
}
