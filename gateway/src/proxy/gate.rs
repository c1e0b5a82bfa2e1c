//! Whether a request goes on, and where: what every request is asked at the gate, and what only forwarding asks.

use std::{net::IpAddr, sync::Arc};

use common::time::Micros;
use http::{Method, header};
use pingora_http::RequestHeader;

use super::{Gateway, Live, tunnel::Upgrade};
use crate::{
    answer::{Code, Problem},
    auth::{self, Caller},
    config::{Route, SizeLimits},
    filter::cors::{Grant, Preflight},
    gate::{self, Refusal, Whence},
    limit::{Admission, LimitState},
    upstream::Upstream,
};

/// A request that may go on.
pub(super) struct Passage {
    /// None on a public route.
    pub(super) caller: Option<Caller>,
    pub(super) route: Arc<Route>,
    pub(super) upstream: Arc<Upstream>,
    /// None on a public route.
    pub(super) admission: Option<Admission>,
    /// How the limit of a public route stands for the client's address.
    pub(super) by_address: Option<LimitState>,
    /// The upgrade that it asks for and may have.
    pub(super) upgrade: Option<Upgrade>,
    /// Largest body that is let through.
    pub(super) body_limit: Option<u64>,
}

impl Gateway {
    /// Asks every room in turn, for a client at `address` whose request found this route. A refusal consumes nothing.
    pub(super) async fn pass(
        &self,
        live: &Live,
        request: &RequestHeader,
        found: Result<Arc<Route>, Problem>,
        address: Option<IpAddr>,
        now: Micros,
    ) -> Result<Passage, Box<Refusal>> {
        let found = match found {
            Ok(route) if route.public.is_some() => return self.pass_public(live, request, route, address),
            found => found,
        };
        let whence = Whence { address, failures_most: live.clients.failures_most };
        let caller = match self.gate.identify(auth::credential(&request.headers), whence, now) {
            Ok(caller) => caller,
            // A key would not help: nobody can tell which route is meant.
            Err(refusal) if refusal.problem.code() == Code::MissingCredential => {
                let unclear = found.err().filter(|problem| problem.code() == Code::InvalidRequest);
                return Err(unclear.map_or(refusal, |problem| Box::new(Refusal::of_nobody(problem))));
            }
            Err(refusal) => return Err(refusal),
        };
        let route = match found {
            Ok(route) => route,
            Err(problem) => return Err(Box::new(Refusal::of(caller, None, problem))),
        };
        let upgrade = match Upgrade::of(request, &route) {
            Ok(upgrade) => upgrade,
            Err(problem) => return Err(Box::new(Refusal::of(caller, Some(route), problem))),
        };
        match self.admit(live, request, &caller, &route, now).await {
            Ok((upstream, admission)) => {
                let (caller, admission) = (Some(caller), Some(admission));
                let body_limit = body_limit(live, &route);
                Ok(Passage { caller, route, upstream, admission, by_address: None, upgrade, body_limit })
            }
            Err(problem) => Err(Box::new(Refusal::of(caller, Some(route), problem))),
        }
    }

    /// The same for a public route, which asks nobody for a key.
    fn pass_public(
        &self,
        live: &Live,
        request: &RequestHeader,
        route: Arc<Route>,
        address: Option<IpAddr>,
    ) -> Result<Passage, Box<Refusal>> {
        let admitted = || {
            let upgrade = Upgrade::of(request, &route)?;
            let upstream = prepare(live, request, &route)?;
            let public = route.public.as_ref().map(|public| self.gate().admit_public(&route, public, address));
            Ok((upgrade, upstream, public.transpose()?.flatten()))
        };
        match admitted() {
            Ok((upgrade, upstream, by_address)) => {
                let body_limit = body_limit(live, &route);
                Ok(Passage { caller: None, route, upstream, admission: None, by_address, upgrade, body_limit })
            }
            Err(problem) => Err(Box::new(Refusal { route: Some(route), ..Refusal::of_nobody(problem) })),
        }
    }

    async fn admit(
        &self,
        live: &Live,
        request: &RequestHeader,
        caller: &Caller,
        route: &Route,
        now: Micros,
    ) -> Result<(Arc<Upstream>, Admission), Problem> {
        let upstream = prepare(live, request, route)?;
        let admission = self.gate.admit(caller, route, route.units.estimate(), now).await?;
        Ok((upstream, admission))
    }
}

/// The route of a preflight and what it is told, if the route that it asks about answers preflights.
pub(super) fn preflight(live: &Live, request: &RequestHeader) -> Option<(Arc<Route>, Preflight, Grant)> {
    let preflight = Preflight::of(request)?;
    let route = match find_route(live, request, &preflight.method) {
        Ok(route) => route,
        // Told which methods there are instead.
        Err(problem) => problem.allowed()?.split(", ").find_map(|method| {
            let method = method.parse().ok()?;
            find_route(live, request, &method).ok().filter(|route| route.cors.is_some())
        })?,
    };
    let grant = route.cors.as_ref()?.grant(&request.headers);
    Some((route, preflight, grant))
}

/// The upstream of a request whose declared length is allowed.
fn prepare(live: &Live, request: &RequestHeader, route: &Route) -> Result<Arc<Upstream>, Problem> {
    if let Some(limit) = body_limit(live, route) {
        check_body(declared_length(request), limit)?;
    }
    let upstream = live.upstreams.get(&route.upstream);
    upstream.cloned().ok_or_else(|| Problem::new(Code::Internal, "the route's upstream is not configured"))
}

/// Largest body of a request that the route lets through.
fn body_limit(live: &Live, route: &Route) -> Option<u64> {
    route.body_bytes.or(live.sizes.body_bytes)
}

/// The route of a request, or of one that had this method instead.
pub(super) fn find_route(live: &Live, request: &RequestHeader, method: &Method) -> Result<Arc<Route>, Problem> {
    if !request.raw_path_is_utf8() {
        return Err(Problem::new(Code::InvalidRequest, "path is not UTF-8: escape it with %"));
    }
    let host = match request.headers.get(header::HOST) {
        None => None,
        Some(host) => Some(host.to_str().map_err(|_| Problem::new(Code::InvalidRequest, "`Host` is not a host name"))?),
    };
    gate::find_route(&live.table, host, request.uri.path(), method).cloned()
}

/// Refuses a request whose path or headers are too large.
pub(super) fn check_sizes(request: &RequestHeader, sizes: &SizeLimits) -> Result<(), Problem> {
    gate::check_path(request.raw_path().len(), sizes)?;
    let mut total = 0;
    for (name, value) in &request.headers {
        if value.len() > sizes.header_value_bytes {
            let name: String = name.as_str().chars().take(64).collect();
            let (found, most) = (value.len(), sizes.header_value_bytes);
            let detail = format!("the value of `{name}` has {found} bytes; at most {most} are allowed");
            return Err(Problem::new(Code::HeadersTooLarge, detail));
        }
        total += name.as_str().len() + value.len();
    }
    if total > sizes.header_bytes {
        let detail = format!("all headers together have {total} bytes; at most {} are allowed", sizes.header_bytes);
        return Err(Problem::new(Code::HeadersTooLarge, detail));
    }
    Ok(())
}

fn declared_length(request: &RequestHeader) -> u64 {
    let value = request.headers.get(header::CONTENT_LENGTH);
    value.and_then(|value| value.to_str().ok()).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// Refuses a body of more than `limit` bytes, declared or already received.
pub(super) fn check_body(bytes: u64, limit: u64) -> Result<(), Problem> {
    if bytes <= limit {
        return Ok(());
    }
    Err(Problem::new(Code::BodyTooLarge, format!("the request body may have at most {limit} bytes")))
}
