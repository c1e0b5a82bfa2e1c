//! The section `rewrite` of a route: path, host and query as the upstream sees them.

use std::collections::BTreeMap;

use common::config::quoted;
use http::{HeaderValue, uri::Authority};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{check::is_path, route::RouteCheck};
use crate::{
    filter::rewrite::{HostRewrite, Rewrite},
    route::{PathPattern, Template, decode_path},
};

/// The host of the server itself.
const SERVER: &str = "upstream";

/// The section as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RewriteFile {
    /// The path for the upstream, with parameters of the route.
    path: Option<String>,
    /// The host for the upstream; `upstream` for the server's own name.
    host: Option<String>,
    /// Edits of the query.
    #[serde(default)]
    query: QueryFile,
}

#[derive(Deserialize, Default, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
struct QueryFile {
    /// Parameters that get this value.
    #[schemars(with = "BTreeMap<String, crate::config::schema::Text>")]
    set: BTreeMap<String, String>,
    /// Parameters that are removed.
    remove: Vec<String>,
}

impl RouteCheck<'_, '_> {
    /// The rewriting of requests on a route for these paths.
    pub(super) fn rewrite(&self, pattern: Option<&PathPattern>) -> Option<Rewrite> {
        let file = self.file.rewrite.as_ref()?;
        if file.path.is_some() && self.file.strip_prefix {
            self.refuse(
                "strip_prefix",
                "`strip_prefix` and `rewrite.path` both say which path is sent: remove one of them",
            );
        }
        self.check.inside("rewrite", || {
            let path = file.path.as_deref().zip(pattern).and_then(|(text, pattern)| {
                path(text, pattern)
                    .map_err(|reason| self.refuse("path", &format!("`rewrite.path`: {} {reason}", quoted(text))))
                    .ok()
            });
            let host =
                file.host.as_deref().and_then(|text| host(text).map_err(|reason| self.refuse("host", &reason)).ok());
            self.check.inside("query", || {
                let QueryFile { set, remove } = &file.query;
                let empty = |name: &str| {
                    if name.is_empty() { Err("the name of a parameter is empty".to_owned()) } else { Ok(name.into()) }
                };
                let remove_query: Vec<Box<str>> = self.each("remove", remove, empty).collect();
                for name in set.keys() {
                    if remove.contains(name) {
                        self.refuse(name, &format!("the parameter {} is both set and removed", quoted(name)));
                    } else if let Err(reason) = empty(name) {
                        self.refuse("set", &reason);
                    }
                }
                let set_query = set.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect();
                Some(Rewrite { path, host, set_query, remove_query })
            })
        })
    }
}

/// The path, whose parameters are whole segments: a value can then add no `..`.
fn path(text: &str, pattern: &PathPattern) -> Result<Template, String> {
    if !is_path(text) {
        return Err("is not a path: write it as in /v2/{id}, without query; `rewrite.query` changes that".into());
    }
    decode_path(text).map_err(|error| format!("is not a path: {error}"))?;
    let is_whole = |segment: &str| {
        !segment.contains(['{', '}']) || (segment.starts_with('{') && segment.find('}') == Some(segment.len() - 1))
    };
    if !text.split('/').all(is_whole) {
        return Err("has a parameter that is no whole segment: write it as in /v2/{id}".into());
    }
    Template::parse(text, pattern, false).map_err(|error| error.to_string())
}

fn host(text: &str) -> Result<HostRewrite, String> {
    if text == SERVER {
        return Ok(HostRewrite::Server);
    }
    let is_sound = text.parse::<Authority>().is_ok() && !text.contains('@');
    let host = HeaderValue::from_str(text).ok().filter(|_| is_sound).map(HostRewrite::Given);
    host.ok_or_else(|| {
        format!(
            "`rewrite.host`: {} is not a host: write api.example.com, or `upstream` for that of the server",
            quoted(text)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Settings};

    fn of(fields: &str) -> Result<Option<Rewrite>, String> {
        let text = format!(
            "upstreams: {{ a: {{ servers: ['127.0.0.1:1'] }} }}\n\
             routes:\n  - {{ name: a, path: '/v1/{{id}}/{{rest...}}', upstream: a{fields} }}\n"
        );
        let settings = Settings::parse(&text, "gateway.yaml", &Overrides::default());
        settings.map(|settings| settings.routes[0].rewrite.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn path_host_and_query_are_rewritten() {
        assert_eq!(of(""), Ok(None));
        let found =
            of(", rewrite: { path: '/v2/{id}', host: upstream, query: { set: { a: 1 }, remove: [b] } }").unwrap();
        let found = found.unwrap();
        assert_eq!(found.path.unwrap().to_string(), "/v2/{id}");
        assert_eq!(found.host, Some(HostRewrite::Server));
        assert_eq!((found.set_query, found.remove_query), (vec![("a".into(), "1".into())], vec!["b".into()]));
        let given = of(", rewrite: { host: 'search.internal:8080' }").unwrap().unwrap();
        assert_eq!(given.host, Some(HostRewrite::Given(HeaderValue::from_static("search.internal:8080"))));
    }

    #[test]
    fn faults_name_place_and_reason() {
        let faults = [
            (", rewrite: { path: '/v2/{user}' }", "there is no `{user}`: the parameters are `{id}`, `{rest}`"),
            (", rewrite: { path: '/v2/x{id}' }", "no whole segment"),
            (", rewrite: { path: '/v2/{id}{rest}' }", "no whole segment"),
            (", rewrite: { path: 'v2' }", "is not a path"),
            (", rewrite: { path: '/v2?x=1' }", "`rewrite.query` changes that"),
            (", rewrite: { path: '/a/../b' }", "must not have a `.`"),
            (", rewrite: { path: '/v2' }, strip_prefix: true", "remove one of them"),
            (", rewrite: { host: 'a b' }", "is not a host"),
            (", rewrite: { host: 'u@a' }", "is not a host"),
            (", rewrite: { query: { set: { a: 1 }, remove: [a] } }", "both set and removed"),
            (", rewrite: { query: { remove: [''] } }", "is empty"),
            (", rewrite: { paths: '/' }", "did you mean `path`?"),
        ];
        for (fields, reason) in faults {
            let told = of(fields).unwrap_err();
            assert!(told.starts_with("gateway.yaml:3:") && told.contains(reason), "{fields}: {told}");
        }
    }
}
