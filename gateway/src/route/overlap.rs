//! Routes that match the same requests equally well, found in one pass over all routes.

use std::collections::{HashMap, hash_map::Entry};

use http::Method;

use super::{Conditions, HostPattern, RouteSettings, Shape};

/// The routes that were seen, by what decides between them.
#[derive(Default)]
pub(crate) struct Overlaps<'a> {
    seen: HashMap<Match<'a>, Methods<'a>>,
}

/// Host, pattern and conditions. No host stands for any.
type Match<'a> = (Option<&'a HostPattern>, Shape, &'a Conditions);

/// The route that serves each method. No method stands for all.
type Methods<'a> = HashMap<Option<&'a Method>, &'a str>;

impl<'a> Overlaps<'a> {
    /// Adds a route. Returns the name of an earlier one that matches some request equally well.
    pub(crate) fn add(&mut self, route: &'a RouteSettings) -> Option<&'a str> {
        let hosts: Vec<Option<&HostPattern>> =
            if route.hosts.is_empty() { vec![None] } else { route.hosts.iter().map(Some).collect() };
        let shape = route.path.shape();
        let mut same = None;
        for host in hosts {
            let methods = self.seen.entry((host, shape.clone(), &route.conditions)).or_default();
            same = same.or(add_to(methods, route));
        }
        same
    }
}

fn add_to<'a>(methods: &mut Methods<'a>, route: &'a RouteSettings) -> Option<&'a str> {
    let own = &*route.name;
    if route.methods.is_empty() {
        // A host may stand twice in one route.
        let first = methods.values().copied().filter(|name| *name != own).min();
        methods.entry(None).or_insert(own);
        return first;
    }
    let mut same = methods.get(&None).copied().filter(|name| *name != own);
    for method in &route.methods {
        match methods.entry(Some(method)) {
            Entry::Occupied(taken) if *taken.get() != own => same = same.or(Some(*taken.get())),
            Entry::Occupied(_) => {}
            Entry::Vacant(free) => {
                free.insert(own);
            }
        }
    }
    same
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::route::{PathPattern, Wanted};

    fn route(name: &str, hosts: &[&str], path: &str, methods: &[Method], version: Option<&str>) -> RouteSettings {
        let header = |version: &str| (HeaderName::from_static("x-version"), Wanted::Exact(version.into()));
        RouteSettings {
            hosts: hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect(),
            path: PathPattern::parse(path).unwrap(),
            methods: methods.to_vec(),
            conditions: Conditions::new(version.map(header).into_iter().collect(), Vec::new()),
            ..RouteSettings::named(name)
        }
    }

    fn same(one: &RouteSettings, other: &RouteSettings) -> bool {
        let mut overlaps = Overlaps::default();
        assert_eq!(overlaps.add(one), None);
        overlaps.add(other).is_some_and(|name| name == &*one.name)
    }

    #[test]
    fn routes_overlap_if_host_pattern_conditions_and_a_method_are_the_same() {
        let one = route("one", &["a.test", "*.b.test"], "/users/{id}", &[Method::GET, Method::POST], Some("2"));
        let overlapping = [
            route("other", &["a.test"], "/users/{user}", &[Method::POST], Some("2")),
            route("other", &["c.test", "*.b.test"], "/users/{id}", &[], Some("2")),
        ];
        for other in overlapping {
            assert!(same(&one, &other) && same(&other, &one), "{other:?}");
        }
        let apart = [
            route("other", &["b.test"], "/users/{id}", &[Method::GET], Some("2")),
            route("other", &[], "/users/{id}", &[Method::GET], Some("2")),
            route("other", &["a.test"], "/users/{id...}", &[Method::GET], Some("2")),
            route("other", &["a.test"], "/users/{id}", &[Method::PUT], Some("2")),
            route("other", &["a.test"], "/users/{id}", &[Method::GET], Some("3")),
            route("other", &["a.test"], "/users/{id}", &[Method::GET], None),
        ];
        for other in apart {
            assert!(!same(&one, &other) && !same(&other, &one), "{other:?}");
        }
        let twice = route("twice", &["a.test", "A.test"], "/x", &[Method::GET], None);
        assert_eq!(Overlaps::default().add(&twice), None);
    }
}
