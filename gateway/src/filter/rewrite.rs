//! Rewriting of a request for its upstream: path, query and host.

use std::fmt::Write as _;

use http::{HeaderValue, Uri, header, uri::PathAndQuery};
use pingora_core::{Error, ErrorType, Result};
use pingora_http::RequestHeader;

use crate::pattern::{Filling, PathPattern, Template, decoded};

/// The parts of a request that are rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rewrite {
    /// The path, with parameters of the route's own path.
    pub(crate) path: Option<Template>,
    /// The host.
    pub(crate) host: Option<HostRewrite>,
    /// Parameters of the query that get another value, or are added. Names and values are decoded.
    pub(crate) set_query: Vec<(Box<str>, Box<str>)>,
    /// Parameters of the query that are removed.
    pub(crate) remove_query: Vec<Box<str>>,
}

/// The host that the upstream is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostRewrite {
    /// That of the server, as the configuration names it.
    Server,
    /// This one.
    Given(HeaderValue),
}

impl Rewrite {
    /// Rewrites path and query of a request that took a route with this pattern.
    pub(crate) fn target(&self, request: &mut RequestHeader, pattern: &PathPattern) -> Result<()> {
        let edits_query = !(self.set_query.is_empty() && self.remove_query.is_empty());
        if self.path.is_none() && !edits_query {
            return Ok(());
        }
        let (path, query) = (request.uri.path(), request.uri.query());
        let filled = self
            .path
            .as_ref()
            .and_then(|path_template| path_template.fill(&Filling { pattern, path, query, host: None }));
        let mut target = filled.unwrap_or_else(|| path.to_owned());
        let query = if edits_query { self.query(query.unwrap_or_default()) } else { query.map(str::to_owned) };
        if let Some(query) = query {
            target.push('?');
            target.push_str(&query);
        }
        let target = PathAndQuery::try_from(target)
            .map_err(|_| Error::explain(ErrorType::InvalidHTTPHeader, "path after it was rewritten").into_down())?;
        request.set_uri(Uri::from(target));
        Ok(())
    }

    /// Rewrites the host. `server` is the authority of the server.
    pub(crate) fn host(&self, request: &mut RequestHeader, server: impl FnOnce() -> Option<String>) -> Result<()> {
        match &self.host {
            None => Ok(()),
            Some(HostRewrite::Given(host)) => request.insert_header(header::HOST, host),
            Some(HostRewrite::Server) => {
                server().map_or(Ok(()), |authority| request.insert_header(header::HOST, authority))
            }
        }
    }

    /// The query after its edits; none if nothing is left of it.
    fn query(&self, query: &str) -> Option<String> {
        let is_edited = |pair: &&str| {
            let name = pair.split('=').next().unwrap_or_default();
            let is_named = |edited: &str| decoded(name).eq(edited.bytes());
            self.remove_query.iter().any(|edited| is_named(edited))
                || self.set_query.iter().any(|(edited, _)| is_named(edited))
        };
        let kept = query.split('&').filter(|pair| !pair.is_empty() && !is_edited(pair)).map(str::to_owned);
        let set = self.set_query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        let pairs: Vec<String> = kept.chain(set).collect();
        (!pairs.is_empty()).then(|| pairs.join("&"))
    }
}

/// A name or value as it stands in a query.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(rewrite: &Rewrite, pattern: &str, target: &str) -> String {
        let mut request = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        rewrite.target(&mut request, &PathPattern::parse(pattern).unwrap()).unwrap();
        String::from_utf8(request.raw_path().to_vec()).unwrap()
    }

    fn to(pattern: &str, template: &str) -> Rewrite {
        let template = Template::parse(template, &PathPattern::parse(pattern).unwrap(), false).unwrap();
        Rewrite { path: Some(template), ..Rewrite::default() }
    }

    #[test]
    fn path_is_built_of_parameters_and_keeps_its_query() {
        let pattern = "/v1/{id}/{rest...}";
        let rewrite = to(pattern, "/v2/{rest}/of/{id}");
        assert_eq!(rewritten(&rewrite, pattern, "/v1/a%20b/c/d?x=1"), "/v2/c/d/of/a%20b?x=1");
        assert_eq!(rewritten(&to("/v1", "/v2"), "/v1", "/v1"), "/v2");
        assert_eq!(rewritten(&Rewrite::default(), "/v1", "/v1?"), "/v1?");
    }

    #[test]
    fn parameters_of_the_query_are_set_and_removed_by_their_decoded_names() {
        let rewrite = Rewrite {
            set_query: vec![("limit".into(), "10 & more".into()), ("new".into(), "\u{e4}".into())],
            remove_query: vec!["debug".into(), "a b".into()],
            ..Rewrite::default()
        };
        let cases = [
            ("/x", "/x?limit=10%20%26%20more&new=%C3%A4"),
            ("/x?q=1&limit=99&limit", "/x?q=1&limit=10%20%26%20more&new=%C3%A4"),
            ("/x?d%65bug=1&a+b=2&debugger=3", "/x?debugger=3&limit=10%20%26%20more&new=%C3%A4"),
        ];
        for (target, expected) in cases {
            assert_eq!(rewritten(&rewrite, "/x", target), expected, "{target}");
        }
        let removed = Rewrite { remove_query: vec!["debug".into()], ..Rewrite::default() };
        assert_eq!(rewritten(&removed, "/x", "/x?debug=1"), "/x");
        assert_eq!(rewritten(&removed, "/x", "/x?debug=1&q=%31"), "/x?q=%31");
    }

    #[test]
    fn host_is_that_of_the_server_or_a_given_one() {
        let host = |rewrite: Option<HostRewrite>| {
            let mut request = RequestHeader::build("GET", b"/", None).unwrap();
            request.insert_header("Host", "api.test").unwrap();
            let rewrite = Rewrite { host: rewrite, ..Rewrite::default() };
            rewrite.host(&mut request, || Some("search.internal:9000".into())).unwrap();
            request.headers["host"].to_str().unwrap().to_owned()
        };
        assert_eq!(host(None), "api.test");
        assert_eq!(host(Some(HostRewrite::Server)), "search.internal:9000");
        assert_eq!(host(Some(HostRewrite::Given(HeaderValue::from_static("other.test")))), "other.test");
    }
}
