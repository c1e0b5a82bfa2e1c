//! Redirects that lead to each other in a circle.

use std::{collections::HashSet, sync::Arc};

use common::config::quoted;
use http::{HeaderMap, Method};

use super::check::Check;
use crate::{
    limit::Limiter,
    route::{Filling, Headers, HostPattern, RequestView, Route, RouteSettings, Segment, Table, Template},
};

impl Check<'_> {
    /// Notes each redirect that leads back to itself. Only redirects to a path on the same host are
    /// followed: where a URL leads depends on listeners and on other servers.
    pub(super) fn redirects(&self, routes: &[(usize, RouteSettings)]) {
        let followed = |(_, route): &&(usize, RouteSettings)| path_of(route).is_some() && route.conditions.is_empty();
        if !routes.iter().any(|route| followed(&route)) {
            return;
        }
        let limiter = Limiter::new();
        let all: Vec<Arc<Route>> =
            routes.iter().map(|(_, route)| Arc::new(Route::new(route.clone(), &limiter))).collect();
        let table = Table::new(&all);
        for (index, route) in routes.iter().filter(followed) {
            if let Some(names) = circle(&table, route) {
                let way: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                let reason =
                    format!("route {}: the redirect leads in a circle: {}", quoted(&route.name), way.join(", then "));
                self.inside(*index, || self.inside("redirect", || self.note(self.about("to", reason))));
            }
        }
    }
}

/// The names of the routes of a circle that begins and ends at a redirect.
fn circle(table: &Table, first: &RouteSettings) -> Option<Vec<Arc<str>>> {
    let host = first.hosts.first().map(|host| match host {
        HostPattern::Exact(host) => host.clone(),
        HostPattern::Below(domain) => format!("any.{domain}"),
    });
    let (mut path, mut template) = (sample(first), path_of(first)?);
    let (mut names, mut seen) = (vec![Arc::clone(&first.name)], HashSet::new());
    let (method, headers) = (first.methods.first().cloned().unwrap_or(Method::GET), HeaderMap::new());
    let mut pattern = &first.path;
    loop {
        let next = template.fill(&Filling { pattern, path: &path, query: None, host: host.as_deref() })?;
        next.split(['?', '#']).next()?.clone_into(&mut path);
        let (host, headers) = (host.as_deref(), Headers::Known(&headers));
        let request = RequestView { host, path: &path, method: &method, headers, query: None };
        let route = table.find(&request).ok()?;
        names.push(Arc::clone(&route.name));
        if route.name == first.name {
            return Some(names);
        }
        if !seen.insert(Arc::clone(&route.name)) {
            // A circle of others, which is told where it begins.
            return None;
        }
        (template, pattern) = (path_of(route)?, &route.path);
    }
}

/// The target of a redirect to a path on the same host.
fn path_of(route: &RouteSettings) -> Option<&Template> {
    let location = route.reply()?.location.as_ref()?;
    (location.begins_with_path() || location.start().starts_with('/')).then_some(location)
}

/// A path that the route serves.
fn sample(route: &RouteSettings) -> String {
    let segments = route.path.segments().iter().map(|segment| match segment {
        Segment::Literal(text) => &**text,
        Segment::Parameter(_) => "x",
    });
    format!("/{}", segments.collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use crate::config::{Overrides, Settings};

    fn told(routes: &str) -> Option<String> {
        let text = format!("upstreams: {{ a: {{ servers: ['127.0.0.1:1'] }} }}\nroutes:\n{routes}");
        Settings::parse(&text, "gateway.yaml", &Overrides::default()).err().map(|error| error.to_string())
    }

    #[test]
    fn redirects_in_a_circle_are_told_with_all_their_routes() {
        let itself = told("  - { name: a, path_prefix: /a, redirect: { to: '/a/b' } }\n").unwrap();
        assert!(
            itself.contains("gateway.yaml:3:49: route `a`: the redirect leads in a circle: `a`, then `a`"),
            "{itself}"
        );
        let path = told("  - { name: a, path_prefix: /a, redirect: { to: '{path}?x' } }\n").unwrap();
        assert!(path.contains("leads in a circle"), "{path}");
        let both = told(
            "  - { name: a, path: '/a/{id}', redirect: { to: '/b/{id}' } }\n  \
             - { name: b, path: '/b/{x}', redirect: { to: '/a/{x}#top' } }\n",
        );
        let both = both.unwrap();
        assert!(both.contains("`a`, then `b`, then `a`") && both.contains("`b`, then `a`, then `b`"), "{both}");
    }

    #[test]
    fn redirect_to_another_route_or_host_is_no_circle() {
        let fine = [
            "  - { name: a, path_prefix: /, redirect: { to: /home } }\n  - { name: b, path: /home, upstream: a }\n",
            "  - { name: a, path_prefix: /, redirect: { to: 'https://{host}{path}' } }\n",
            "  - { name: a, path: /a, redirect: { to: /b } }\n",
            "  - { name: a, path: /a, methods: [GET], redirect: { to: /a/ } }\n  - { name: b, path: /b, redirect: { to: /a } }\n",
        ];
        for routes in &fine[..3] {
            assert_eq!(told(routes), None, "{routes}");
        }
        // A slash at the end is the same path: only the route that comes back to itself is told.
        let circle = told(fine[3]).unwrap();
        assert_eq!(circle.matches("leads in a circle").count(), 1, "{circle}");
    }
}
