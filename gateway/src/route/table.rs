//! The routes, arranged so that one look-up per path segment finds the longest prefix.

use std::{collections::HashMap, sync::Arc};

use http::Method;

use crate::config::{HostPattern, Route};

/// Every route, by host and prefix.
#[derive(Debug, Default)]
pub struct Table {
    exact: HashMap<String, Prefixes>,
    below: HashMap<String, Prefixes>,
    any: Prefixes,
}

/// Why a request has no route.
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
}

/// The routes of one host: those of one prefix differ by method.
#[derive(Debug, Default)]
struct Prefixes {
    routes: HashMap<Box<[u8]>, Vec<Arc<Route>>>,
    /// Length of the longest prefix, so that absurdly long paths are not looked up piece by piece.
    longest: usize,
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
        table
    }

    /// The route of a request. `host` is the `Host` header as sent; `path` must come from [`super::decode_path`].
    pub fn find(&self, host: Option<&str>, path: &[u8], method: &Method) -> Result<&Arc<Route>, RouteError> {
        let routes = self.candidates(host, path).ok_or(RouteError::NotFound)?;
        routes.iter().find(|route| serves(route, method)).ok_or_else(|| {
            let mut allow: Vec<&str> =
                routes.iter().flat_map(|route| route.methods.iter().map(Method::as_str)).collect();
            allow.sort_unstable();
            allow.dedup();
            RouteError::MethodNotAllowed { allow: allow.join(", ") }
        })
    }

    /// The routes of the longest prefix under the most specific host that knows the path.
    fn candidates(&self, host: Option<&str>, path: &[u8]) -> Option<&[Arc<Route>]> {
        if self.exact.is_empty() && self.below.is_empty() {
            return self.any.longest(path);
        }
        let host = host.map(|host| without_port(host).to_ascii_lowercase());
        let exact = host.as_ref().and_then(|host| self.exact.get(host)).and_then(|prefixes| prefixes.longest(path));
        exact
            .or_else(|| {
                let domains = host.as_deref().map(domains_above).into_iter().flatten();
                domains.filter_map(|domain| self.below.get(domain)).find_map(|prefixes| prefixes.longest(path))
            })
            .or_else(|| self.any.longest(path))
    }
}

impl Prefixes {
    fn insert(&mut self, route: &Arc<Route>) {
        self.longest = self.longest.max(route.path_prefix.len());
        self.routes.entry(route.path_prefix.as_bytes().into()).or_default().push(Arc::clone(route));
    }

    /// The routes of the longest prefix of `path` that ends where a segment ends.
    fn longest(&self, path: &[u8]) -> Option<&[Arc<Route>]> {
        let mut candidate = path;
        while !candidate.is_empty() {
            if candidate.len() <= self.longest
                && let Some(routes) = self.routes.get(candidate)
            {
                return Some(routes);
            }
            let slash = candidate.iter().rposition(|byte| *byte == b'/')?;
            candidate = &candidate[..slash];
        }
        self.routes.get(b"/".as_slice()).map(Vec::as_slice)
    }
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
