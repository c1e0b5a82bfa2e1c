//! The request as the upstream sees it: with the caller's identity, and never with the credential.
//!
//! Headers that tell the caller's identity are set here and nowhere else; a client's own copies are
//! removed in every spelling that some server takes for the same (see [`reserved`]).

use http::{HeaderMap, HeaderName, HeaderValue, Uri, uri::PathAndQuery};
use pingora_core::{ErrorType, OrErr as _};
use pingora_http::RequestHeader;
use smallvec::SmallVec;

use super::{
    forwarded::Source,
    plain::{self, REQUEST_ID},
    reserved, secured, trace,
};
use crate::{catalog::Caller, listen::ShownCertificate, route::Route};

const TENANT_ID: HeaderName = HeaderName::from_static("x-tenant-id");

const KEY_ID: HeaderName = HeaderName::from_static("x-key-id");

const PLAN: HeaderName = HeaderName::from_static("x-plan");

/// The values that a request is rewritten with.
pub(super) struct Identity<'a> {
    /// Nobody on a public route.
    pub(super) caller: Option<&'a Caller>,
    pub(super) route: &'a Route,
    pub(super) request_id: &'a str,
    pub(super) source: &'a Source,
    /// True if the client's connection is TLS.
    pub(super) secure: bool,
    /// The certificate that the client has shown.
    pub(super) certificate: Option<&'a ShownCertificate>,
}

/// Turns the client's request into the one for the upstream.
pub(super) fn rewrite(request: &mut RequestHeader, identity: &Identity<'_>) -> pingora_core::Result<()> {
    plain::edit_request(request, |parts| introduce(&mut parts.headers, identity))?;
    let route = identity.route;
    remove_credential(request, route)?;
    retarget(request, route)?;
    route.rewrite.as_ref().map_or(Ok(()), |rewrite| rewrite.target(request, &route.path))
}

/// Replaces the headers that are the gateway's own.
fn introduce(headers: &mut HeaderMap, identity: &Identity<'_>) -> pingora_core::Result<()> {
    let Identity { caller, route, request_id, source, secure, certificate } = *identity;
    let forwarded = source.forwarded(headers);
    let removed: SmallVec<[HeaderName; 8]> =
        headers.keys().filter(|name| is_removed(name.as_str(), route)).cloned().collect();
    for name in &removed {
        headers.remove(name);
    }
    if let Some(caller) = caller {
        headers.insert(TENANT_ID, value(&caller.tenant.id.text())?);
        headers.insert(KEY_ID, value(&caller.key.id.text())?);
        headers.insert(PLAN, value(caller.tenant.plan().as_str().as_bytes())?);
    }
    if let Some(certificate) = certificate {
        secured::introduce(headers, certificate);
    }
    headers.insert(REQUEST_ID, value(request_id.as_bytes())?);
    trace::propagate(headers)?;
    forwarded.write(headers, source, secure)
}

fn value(text: &[u8]) -> pingora_core::Result<HeaderValue> {
    HeaderValue::from_bytes(text).or_err(ErrorType::InternalError, "a value of the gateway's own that is no header")
}

/// Returns true if a header of this name is the gateway's own to write, or carries the route's
/// credential.
fn is_removed(name: &str, route: &Route) -> bool {
    match &route.credentials {
        None => reserved::is_removed(name),
        Some(places) => reserved::is_removed_from(name, places),
    }
}

/// Removes the credential from the query, where the route reads it from there.
fn remove_credential(request: &mut RequestHeader, route: &Route) -> pingora_core::Result<()> {
    let Some((places, query)) = route.credentials.as_ref().zip(request.uri.query()) else { return Ok(()) };
    if places.query.is_none() {
        return Ok(());
    }
    let path = request.uri.path();
    let target = match places.without_credential(query) {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    request.set_uri(Uri::from(target.or_else(|_| unwritable("path without the credential"))?));
    Ok(())
}

/// Sends the path on that was matched: without the prefix if the route says so, and always in
/// origin form.
fn retarget(request: &mut RequestHeader, route: &Route) -> pingora_core::Result<()> {
    if !route.strip_prefix {
        if !request.raw_path().starts_with(b"/") {
            request.set_uri(request.uri.clone());
        }
        return Ok(());
    }
    let path = route.path.strip(request.uri.path());
    let target = match request.uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    request.set_uri(Uri::from(target.or_else(|_| unwritable("path without its prefix"))?));
    Ok(())
}

fn unwritable<T>(what: &'static str) -> pingora_core::Result<T> {
    Err(pingora_core::Error::explain(pingora_core::ErrorType::InvalidHTTPHeader, what).into_down())
}
