//! The routes, arranged so that one look-up per path segment finds the most specific pattern.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use http::{HeaderName, Method};

use super::{
    Headers, HostPattern, PathError, PathPattern, Route, Segment, Spelling, Spellings,
    conditions::is_read_as,
    loose::{self, Case, Habits},
    path::{DecodedPath, decode_path},
    tree::{Node, Step},
};

/// Every route, by host and path.
#[derive(Debug, Default)]
pub struct Table {
    exact: HashMap<String, Paths>,
    below: HashMap<String, Paths>,
    any: Paths,
    /// True if some pattern is not its own loosest reading.
    has_odd_patterns: bool,
    /// True if every pattern is a prefix without parameters.
    has_prefixes_only: bool,
    /// Headers that some condition looks at.
    condition_headers: Vec<HeaderName>,
}

/// The parts of a request that lead to its route.
#[derive(Debug, Clone, Copy)]
pub struct RequestView<'a> {
    /// The `Host` header as sent.
    pub host: Option<&'a str>,
    /// The path as sent, without query.
    pub path: &'a str,
    /// The method.
    pub method: &'a Method,
    /// Its headers, as far as they are known.
    pub headers: Headers<'a>,
    /// The query as sent, without `?`.
    pub query: Option<&'a str>,
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
    /// Some server would take a header for one that decides about the route.
    #[error("header `{sent}` is read as `{meant}` by some servers: send it under that name")]
    Header {
        /// Its name.
        sent: HeaderName,
        /// The name that routes look at.
        meant: HeaderName,
    },
}

/// The routes of one host.
#[derive(Debug, Default)]
struct Paths {
    /// The routes of each pattern.
    patterns: Vec<Routes>,
    /// Patterns by their segments, as indices.
    literal: Node<usize>,
    /// Patterns by their segments, and by their loosest readings but for case. Several may have the
    /// same.
    kept: Node<Vec<usize>>,
    /// The same without regard to case.
    folded: Node<Vec<usize>>,
    /// True if some pattern is not its own loosest reading.
    are_odd: bool,
    /// True if some pattern is no prefix, or has parameters.
    are_structured: bool,
}

/// The routes of one pattern. They differ by method or by conditions.
#[derive(Debug, Default)]
struct Routes {
    /// The most specific conditions first.
    routes: Vec<Arc<Route>>,
    has_conditions: bool,
}

/// A pattern that was found, and the host that it was found under.
struct Place<'a> {
    paths: &'a Paths,
    pattern: usize,
}

impl Table {
    /// A table of `routes`, no two of which match the same requests.
    pub fn new<'a>(routes: impl IntoIterator<Item = &'a Arc<Route>>) -> Self {
        let mut table = Self::default();
        for route in routes {
            table.condition_headers.extend(route.conditions.header_names().cloned());
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
        table.condition_headers.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        table.condition_headers.dedup();
        let mut of_hosts = table.exact.values().chain(table.below.values());
        table.has_odd_patterns = table.any.are_odd || of_hosts.clone().any(|paths| paths.are_odd);
        table.has_prefixes_only = !(table.any.are_structured || of_hosts.any(|paths| paths.are_structured));
        table
    }

    /// The route of a request.
    pub fn find(&self, request: &RequestView<'_>) -> Result<&Arc<Route>, RouteError> {
        let path = decode_path(request.path)?;
        self.check_headers(request.headers)?;
        let host = request.host.filter(|_| self.has_hosts()).map(|host| lower_case(without_port(host)));
        let host = host.as_deref();
        let find = |paths: &Paths| {
            paths.literal.find(path.as_bytes(), &mut |pattern: &usize| {
                paths.patterns[*pattern].may_serve(request).then_some(*pattern)
            })
        };
        let Some((paths, pattern)) = self.look_up(host, find) else {
            // Nothing is reached, but the client may have meant what is.
            path.check(Spellings::default())?;
            return Err(RouteError::NotFound);
        };
        let place = Place { paths, pattern };
        let route = place.routes().serving(request);
        let allowed = route.map_or_else(Spellings::default, |route| route.spellings);
        path.check(allowed)?;
        self.check_reading(host, &path, request, &place, allowed)?;
        route.ok_or_else(|| RouteError::MethodNotAllowed { allow: place.routes().methods(request) })
    }

    /// Refuses a header that an upstream may read as one that decides about the route.
    fn check_headers(&self, headers: Headers<'_>) -> Result<(), RouteError> {
        let (Headers::Known(headers), false) = (headers, self.condition_headers.is_empty()) else { return Ok(()) };
        for sent in headers.keys() {
            if let Some(meant) = self.condition_headers.iter().find(|meant| is_read_as(sent, meant)) {
                return Err(RouteError::Header { sent: sent.clone(), meant: meant.clone() });
            }
        }
        Ok(())
    }

    /// Refuses a path that an upstream may read as that of another route.
    fn check_reading(
        &self,
        host: Option<&str>,
        path: &DecodedPath<'_>,
        request: &RequestView<'_>,
        place: &Place<'_>,
        allowed: Spellings,
    ) -> Result<(), PathError> {
        if path.is_plain && !self.has_odd_patterns {
            return Ok(());
        }
        let leads_here =
            |habits, case| Ok(self.leads_to(place, host, &loose::read(path.as_bytes(), habits, case)?, case, request));
        let other = || Err(PathError::Spelled(Spelling::OtherCase));
        let ignores_case = leads_here(Habits::ALL, Case::Folded)?;
        let is_here = ignores_case || (allowed.contains(Spelling::OtherCase) && leads_here(Habits::ALL, Case::Kept)?);
        if !is_here {
            return other();
        }
        if self.has_prefixes_only {
            return Ok(());
        }
        for habits in Habits::that_matter(path).choices() {
            if !(leads_here(habits, Case::Kept)? && (!ignores_case || leads_here(habits, Case::Folded)?)) {
                return other();
            }
        }
        Ok(())
    }

    /// Returns true if a path, as a server reads it, leads to this place.
    fn leads_to(
        &self,
        place: &Place<'_>,
        host: Option<&str>,
        read: &[u8],
        case: Case,
        request: &RequestView<'_>,
    ) -> bool {
        let found = self.look_up(host, |paths| {
            let patterns = match case {
                Case::Kept => &paths.kept,
                Case::Folded => &paths.folded,
            };
            patterns.find(read, &mut |patterns: &Vec<usize>| {
                let may_serve = |pattern: &usize| paths.patterns[*pattern].may_serve(request);
                patterns.iter().any(may_serve).then(|| patterns.contains(&place.pattern))
            })
        });
        found.is_some_and(|(paths, is_among)| is_among && std::ptr::eq(paths, place.paths))
    }

    /// The find of `find` under the first of the most specific hosts where it finds anything.
    fn look_up<'a, F>(&'a self, host: Option<&str>, find: impl Fn(&'a Paths) -> Option<F>) -> Option<(&'a Paths, F)> {
        let find = |paths: &'a Paths| find(paths).map(|found| (paths, found));
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

impl Paths {
    fn insert(&mut self, route: &Arc<Route>) {
        let pattern = &route.path;
        let steps = pattern.segments().iter().map(|segment| match segment {
            Segment::Literal(text) => Step::Literal(text.as_bytes()),
            Segment::Parameter(_) => Step::Parameter,
        });
        let next = self.patterns.len();
        let index = *self.literal.place(steps, pattern.is_below()).get_or_insert(next);
        if index == next {
            self.patterns.push(Routes::default());
        }
        self.patterns[index].insert(route);
        self.are_structured |=
            !pattern.is_below() || pattern.segments().iter().any(|segment| matches!(segment, Segment::Parameter(_)));
        for (case, patterns) in [(Case::Kept, &mut self.kept), (Case::Folded, &mut self.folded)] {
            let (loosest, own) = (read(pattern, Habits::ALL, case), read(pattern, Habits::NONE, case));
            self.are_odd |= case == Case::Folded && !is_plain(pattern, &loosest);
            for reading in [&loosest, &own] {
                let steps = reading.iter().map(|step| step.as_deref().map_or(Step::Parameter, Step::Literal));
                let same = patterns.place(steps, pattern.is_below()).get_or_insert_default();
                if !same.contains(&index) {
                    same.push(index);
                }
            }
        }
    }
}

impl Routes {
    fn insert(&mut self, route: &Arc<Route>) {
        self.has_conditions |= !route.conditions.is_empty();
        let place = self.routes.partition_point(|other| other.conditions.by_specificity(&route.conditions).is_le());
        self.routes.insert(place, Arc::clone(route));
    }

    /// Returns true if a request meets the conditions of some route, whatever its method.
    fn may_serve(&self, request: &RequestView<'_>) -> bool {
        !self.has_conditions || self.meeting(request).next().is_some()
    }

    /// The route that serves a request.
    fn serving(&self, request: &RequestView<'_>) -> Option<&Arc<Route>> {
        self.meeting(request).find(|route| route.methods.is_empty() || route.methods.contains(request.method))
    }

    /// The methods for which a request would be served, for the `Allow` header.
    fn methods(&self, request: &RequestView<'_>) -> String {
        let mut methods: Vec<&str> =
            self.meeting(request).flat_map(|route| route.methods.iter().map(Method::as_str)).collect();
        methods.sort_unstable();
        methods.dedup();
        methods.join(", ")
    }

    /// The routes whose conditions a request meets.
    fn meeting(&self, request: &RequestView<'_>) -> impl Iterator<Item = &Arc<Route>> {
        self.routes
            .iter()
            .filter(|route| route.conditions.is_empty() || route.conditions.are_met(request.headers, request.query))
    }
}

impl<'a> Place<'a> {
    fn routes(&self) -> &'a Routes {
        &self.paths.patterns[self.pattern]
    }
}

/// A pattern as a server with these habits reads it, segment by segment; none stands for a
/// parameter.
fn read(pattern: &PathPattern, habits: Habits, case: Case) -> Vec<Option<Box<[u8]>>> {
    let mut read = Vec::new();
    for segment in pattern.segments() {
        match segment {
            Segment::Parameter(_) => read.push(None),
            Segment::Literal(text) if text.is_empty() && habits == Habits::NONE => read.push(Some(Box::default())),
            Segment::Literal(text) => {
                // A literal of the configuration is a sound path.
                let path = format!("/{text}").into_bytes();
                let path = loose::read(&path, habits, case).unwrap_or(path);
                let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
                read.extend(parts.map(|part| Some(part.into())));
            }
        }
    }
    read
}

/// Returns true if a pattern is its own loosest reading.
fn is_plain(pattern: &PathPattern, folded: &[Option<Box<[u8]>>]) -> bool {
    let is_same = |(segment, folded): (&Segment, &Option<Box<[u8]>>)| match (segment, folded) {
        (Segment::Parameter(_), None) => true,
        (Segment::Literal(text), Some(folded)) => text.as_bytes() == &**folded,
        _ => false,
    };
    pattern.segments().len() == folded.len() && pattern.segments().iter().zip(folded).all(is_same)
}

/// The host of a `Host` header, without its port or a dot at its end.
pub fn without_port(host: &str) -> &str {
    if let Some(bracketed) = host.strip_prefix('[') {
        return bracketed.split(']').next().unwrap_or_default();
    }
    let host = host.split(':').next().unwrap_or_default();
    // A fully qualified name may end in a dot.
    host.strip_suffix('.').unwrap_or(host)
}

fn lower_case(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return host.to_ascii_lowercase().into();
    }
    host.into()
}

/// `a.b.c` -> `b.c`, `c`.
fn domains_above(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').map(|(index, _)| &host[index + 1..])
}
