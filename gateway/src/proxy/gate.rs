//! Whether a request goes on, and where: what every request is asked at the gate, and what only forwarding asks.

use std::{net::IpAddr, sync::Arc};

use common::time::Micros;
use http::header;
use pingora_http::RequestHeader;

use super::{Gateway, Live, tunnel::Upgrade};
use crate::{
    answer::{Code, Problem},
    auth::{self, Caller},
    config::{Route, SizeLimits},
    gate::{self, Refusal, Whence},
    limit::Admission,
    upstream::Upstream,
};

/// A request that may go on.
pub(super) struct Passage {
    pub(super) caller: Caller,
    pub(super) route: Arc<Route>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) admission: Admission,
    /// The upgrade that it asks for and may have.
    pub(super) upgrade: Option<Upgrade>,
    /// Largest body that is let through.
    pub(super) body_limit: Option<u64>,
}

impl Gateway {
    /// Asks every room in turn, for a client at `address`. A refusal consumes nothing.
    pub(super) async fn pass(
        &self,
        live: &Live,
        request: &RequestHeader,
        address: Option<IpAddr>,
        now: Micros,
    ) -> Result<Passage, Box<Refusal>> {
        check_sizes(request, &live.sizes).map_err(|problem| Box::new(Refusal::of_nobody(problem)))?;
        let whence = Whence { address, failures_most: live.clients.failures_most };
        let caller = self.gate.identify(auth::credential(&request.headers), whence, now)?;
        let route = match find_route(live, request) {
            Ok(route) => route,
            Err(problem) => return Err(Box::new(Refusal::of(caller, None, problem))),
        };
        let upgrade = match Upgrade::of(request, &route) {
            Ok(upgrade) => upgrade,
            Err(problem) => return Err(Box::new(Refusal::of(caller, Some(route), problem))),
        };
        match self.admit(live, request, &caller, &route, now).await {
            Ok((upstream, admission)) => {
                let body_limit = route.body_bytes.or(live.sizes.body_bytes);
                Ok(Passage { caller, route, upstream, admission, upgrade, body_limit })
            }
            Err(problem) => Err(Box::new(Refusal::of(caller, Some(route), problem))),
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
        if let Some(limit) = route.body_bytes.or(live.sizes.body_bytes) {
            check_body(declared_length(request), limit)?;
        }
        let upstream = live
            .upstreams
            .get(&route.upstream)
            .ok_or_else(|| Problem::new(Code::Internal, "the route's upstream is not configured"))?;
        let admission = self.gate.admit(caller, route, route.units.estimate(), now).await?;
        Ok((Arc::clone(upstream), admission))
    }
}

fn find_route(live: &Live, request: &RequestHeader) -> Result<Arc<Route>, Problem> {
    if !request.raw_path_is_utf8() {
        return Err(Problem::new(Code::InvalidRequest, "path is not UTF-8: escape it with %"));
    }
    let host = match request.headers.get(header::HOST) {
        None => None,
        Some(host) => Some(host.to_str().map_err(|_| Problem::new(Code::InvalidRequest, "`Host` is not a host name"))?),
    };
    gate::find_route(&live.table, host, request.uri.path(), &request.method).cloned()
}

fn check_sizes(request: &RequestHeader, sizes: &SizeLimits) -> Result<(), Problem> {
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
