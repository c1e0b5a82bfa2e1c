//! CORS: the rights of pages of other origins on a route, as the Fetch standard has them.
//!
//! Invariants: a preflight of a route with this filter is answered by the gateway, without a key,
//! and reaches no upstream. Every other answer to such a route says the same of CORS, whether the
//! upstream made it or the gateway; what the upstream itself says of CORS is replaced.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use smallvec::SmallVec;

/// Beginning of the names of all headers that this filter writes.
const FAMILY: &str = "access-control-";

/// Request headers that the answer to a preflight depends on.
const PREFLIGHT_VARY: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");

const ANY: HeaderValue = HeaderValue::from_static("*");

const TRUE: HeaderValue = HeaderValue::from_static("true");

/// The rights of pages of other origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cors {
    pub(crate) origins: Origins,
    /// Methods that a page may use, as they are written into the answer.
    pub(crate) methods: HeaderValue,
    pub(crate) headers: AllowedHeaders,
    /// Headers of an answer that a page may read.
    pub(crate) exposed: HeaderValue,
    /// True if pages may send cookies and the like.
    pub(crate) credentials: bool,
    /// Seconds for which a browser may remember the answer to a preflight.
    pub(crate) max_age: HeaderValue,
}

/// Origins whose pages may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origins {
    Any,
    Listed(Vec<OriginPattern>),
}

/// Headers of a request that a page may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AllowedHeaders {
    /// All that it asks for. `*` in an answer would not mean `Authorization`.
    Any,
    Listed(HeaderValue),
}

/// An origin, or all origins whose hosts are below one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OriginPattern {
    /// `https://app.example.com`, in lower case.
    Exact(Box<str>),
    /// `https://*.example.com`.
    Below {
        /// `https://`
        scheme: Box<str>,
        /// `.example.com`, with the port if there is one.
        domain: Box<str>,
    },
}

/// The CORS headers of the answer to one request.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    policy: Arc<Cors>,
    /// The origin that is written into the answer; none if the request has none, or one that may
    /// not call.
    origin: Option<HeaderValue>,
}

/// A preflight: the question of a browser before it sends a request that a form could not have
/// sent.
#[derive(Debug)]
pub(crate) struct Preflight {
    /// Of the request to come.
    pub(crate) method: Method,
    /// Headers of the request to come.
    headers: Option<HeaderValue>,
}

impl Preflight {
    /// The preflight that a request is, if it is one.
    pub(crate) fn of(request: &RequestHeader) -> Option<Self> {
        if request.method != Method::OPTIONS {
            return None;
        }
        only(&request.headers, &ORIGIN)?;
        let method = only(&request.headers, &ACCESS_CONTROL_REQUEST_METHOD)?;
        let method = Method::from_bytes(method.as_bytes()).ok()?;
        Some(Self { method, headers: only(&request.headers, &ACCESS_CONTROL_REQUEST_HEADERS).cloned() })
    }

    /// Names of the headers of the request to come, as they are listed.
    pub(crate) const fn headers(&self) -> Option<&HeaderValue> {
        self.headers.as_ref()
    }

    /// Its answer.
    pub(crate) fn answer(&self, grant: &Grant, request_id: &str) -> Result<ResponseHeader> {
        let policy = &grant.policy;
        let mut response = ResponseHeader::build(http::StatusCode::NO_CONTENT, Some(8))?;
        response.insert_header("X-Request-Id", request_id)?;
        response.insert_header(VARY, PREFLIGHT_VARY)?;
        let Some(origin) = &grant.origin else {
            return Ok(response);
        };
        response.insert_header(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())?;
        response.insert_header(ACCESS_CONTROL_ALLOW_METHODS, policy.methods.clone())?;
        response.insert_header(ACCESS_CONTROL_MAX_AGE, policy.max_age.clone())?;
        let asked = self.headers.as_ref().filter(|names| is_list_of_names(names));
        let allowed = match &policy.headers {
            AllowedHeaders::Any => asked,
            AllowedHeaders::Listed(names) => Some(names),
        };
        if let Some(names) = allowed.filter(|names| !names.is_empty()) {
            response.insert_header(ACCESS_CONTROL_ALLOW_HEADERS, names.clone())?;
        }
        if policy.credentials {
            response.insert_header(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE)?;
        }
        Ok(response)
    }
}

impl Cors {
    /// Returns the CORS headers for the answer to a request with these headers.
    pub(crate) fn grant(self: &Arc<Self>, request: &HeaderMap) -> Grant {
        let origin = only(request, &ORIGIN).and_then(|origin| match &self.origins {
            Origins::Any => Some(ANY),
            Origins::Listed(known) => {
                known.iter().any(|known| known.matches(origin.as_bytes())).then(|| origin.clone())
            }
        });
        Grant { policy: Arc::clone(self), origin }
    }
}

impl Grant {
    /// Writes into an answer what it says of CORS, in place of whatever the upstream had said.
    pub(crate) fn write(&self, response: &mut ResponseHeader) -> Result<()> {
        let said: SmallVec<[HeaderName; 4]> =
            response.headers.keys().filter(|name| name.as_str().starts_with(FAMILY)).cloned().collect();
        for name in &said {
            response.remove_header(name);
        }
        if matches!(self.policy.origins, Origins::Listed(_)) && !varies_by_origin(&response.headers) {
            response.append_header(VARY, HeaderValue::from_static("Origin"))?;
        }
        let Some(origin) = &self.origin else {
            return Ok(());
        };
        response.insert_header(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())?;
        response.insert_header(ACCESS_CONTROL_EXPOSE_HEADERS, self.policy.exposed.clone())?;
        if self.policy.credentials {
            response.insert_header(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE)?;
        }
        Ok(())
    }
}

impl OriginPattern {
    /// The pattern, or what is wrong with it.
    pub(crate) fn parse(text: &str) -> std::result::Result<Self, String> {
        let refuse = |reason: &str| Err(format!("`{text}` is not an origin: {reason}"));
        let lower = text.to_ascii_lowercase();
        let Some((scheme, authority)) = lower.split_once("://") else {
            return refuse("write scheme and host, as in https://app.example.com");
        };
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(is_scheme) {
            return refuse("its scheme is not valid; write it as in https://app.example.com");
        }
        if authority.contains(['/', '?', '#', '@']) {
            return refuse("it has a path, a user or a slash at its end, which browsers never send");
        }
        let (below, host) = authority.strip_prefix("*.").map_or((false, authority), |domain| (true, domain));
        let (name, port) = split_port(host);
        if port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return refuse("its port is not a number up to 65535");
        }
        if matches!((scheme, port), ("https", Some("443")) | ("http", Some("80"))) {
            return refuse("browsers leave out the port that is the scheme's own: leave it out here, too");
        }
        let is_literal = !below && name.starts_with('[') && name.ends_with(']');
        let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_host_byte);
        if !is_literal && !name.split('.').all(is_label) {
            return refuse("its host is not valid; `*.` may stand before a domain, and a single \"*\" for all origins");
        }
        Ok(if below {
            Self::Below { scheme: format!("{scheme}://").into(), domain: format!(".{host}").into() }
        } else {
            Self::Exact(lower.into())
        })
    }

    fn matches(&self, origin: &[u8]) -> bool {
        match self {
            Self::Exact(known) => origin == known.as_bytes(),
            Self::Below { scheme, domain } => origin
                .strip_prefix(scheme.as_bytes())
                .and_then(|rest| rest.strip_suffix(domain.as_bytes()))
                .is_some_and(|name| !name.is_empty() && name.iter().all(|byte| is_host_byte(*byte) || *byte == b'.')),
        }
    }
}

const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    }
}

/// The value of a header that stands once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// Returns true if the value is names of headers with commas between.
fn is_list_of_names(value: &HeaderValue) -> bool {
    let is_name = |name: &[u8]| HeaderName::from_bytes(name.trim_ascii()).is_ok();
    value.as_bytes().split(|byte| *byte == b',').all(is_name)
}

fn varies_by_origin(headers: &HeaderMap) -> bool {
    let mut names = headers.get_all(VARY).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    names.any(|name| matches!(name.trim_ascii(), b"*") || name.trim_ascii().eq_ignore_ascii_case(b"origin"))
}

#[cfg(test)]
mod tests;
