//! What the upstream sees: who is calling, and never with which credential.
//!
//! Headers that tell the caller's identity are set here and nowhere else; a client's own copies are removed in every
//! spelling that some server takes for the same (`X_Tenant_Id` becomes `HTTP_X_TENANT_ID` under CGI and WSGI, too).

use std::net::IpAddr;

use http::{HeaderName, Uri, header, uri::PathAndQuery};
use pingora_http::RequestHeader;

use super::trace;
use crate::{auth::Caller, config::Route, route};

/// Removed whoever sent them: credentials, and what the gateway says itself.
const RESERVED: [&str; 6] = ["authorization", "x-api-key", "x-tenant-id", "x-key-id", "x-plan", "x-request-id"];

/// Rewritten below; a second spelling with underscores must not survive beside them.
const REWRITTEN: [&str; 4] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "traceparent"];

const FORWARDED_FOR: &str = "X-Forwarded-For";

/// Turns the client's request into the one for the upstream.
pub(super) fn rewrite(
    request: &mut RequestHeader,
    caller: &Caller,
    route: &Route,
    request_id: &str,
    client: Option<IpAddr>,
) -> pingora_core::Result<()> {
    let doomed: Vec<HeaderName> = request.headers.keys().filter(|name| is_forged(name.as_str())).cloned().collect();
    for name in &doomed {
        request.remove_header(name);
    }
    request.insert_header("X-Tenant-Id", caller.tenant.id.to_string())?;
    request.insert_header("X-Key-Id", caller.key.id.to_string())?;
    request.insert_header("X-Plan", caller.tenant.plan().as_str())?;
    request.insert_header("X-Request-Id", request_id)?;
    trace::propagate(request)?;
    forwarded(request, client)?;
    retarget(request, route)
}

fn is_forged(name: &str) -> bool {
    let spells = |known: &&str| {
        let with_dashes = name.bytes().map(|byte| if byte == b'_' { b'-' } else { byte });
        name.len() == known.len() && with_dashes.eq(known.bytes())
    };
    RESERVED.iter().any(spells) || (name.contains('_') && REWRITTEN.iter().any(spells))
}

/// Appends the client to the chain of proxies before it; protocol and host are this gateway's own observation.
fn forwarded(request: &mut RequestHeader, client: Option<IpAddr>) -> pingora_core::Result<()> {
    if let Some(client) = client {
        let before: Vec<&str> =
            request.headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
        let chain = if before.is_empty() { client.to_string() } else { format!("{}, {client}", before.join(", ")) };
        request.insert_header(FORWARDED_FOR, chain)?;
    }
    request.insert_header("X-Forwarded-Proto", "http")?;
    match request.headers.get(header::HOST).cloned() {
        Some(host) => request.insert_header("X-Forwarded-Host", host)?,
        None => drop(request.remove_header("X-Forwarded-Host")),
    }
    Ok(())
}

/// Sends the path on that was matched: without the prefix if the route says so, and always in origin form.
fn retarget(request: &mut RequestHeader, route: &Route) -> pingora_core::Result<()> {
    if !route.strip_prefix {
        if !request.raw_path().starts_with(b"/") {
            request.set_uri(request.uri.clone());
        }
        return Ok(());
    }
    let path = route::strip_segments(request.uri.path(), &route.path_prefix);
    let target = match request.uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let target = target.map_err(|_| {
        pingora_core::Error::explain(pingora_core::ErrorType::InvalidHTTPHeader, "path without its prefix").into_down()
    })?;
    request.set_uri(Uri::from(target));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_forged_in_every_spelling() {
        for forged in ["x-tenant-id", "x_tenant_id", "x-tenant_id", "authorization", "x_api_key", "x_forwarded_for"] {
            assert!(is_forged(forged), "{forged}");
        }
        for kept in ["x-forwarded-for", "x-tenant", "accept", "x-planet", "x_tenant_ids"] {
            assert!(!is_forged(kept), "{kept}");
        }
    }
}
