//! Whether a request goes on, and where: authentication, route, journal room and limits, in this order.

use std::sync::Arc;

use common::{
    id::{KeyId, TenantId},
    time::Micros,
};
use http::header;
use pingora_http::RequestHeader;

use super::{Gateway, Live, upstream::Upstream};
use crate::{
    answer::{Code, Problem},
    auth::Caller,
    config::{Route, SizeLimits},
    limit::Admission,
    route,
};

/// A request that may go on.
pub(super) struct Passage {
    pub(super) caller: Caller,
    pub(super) route: Arc<Route>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) admission: Admission,
    /// Largest body that is let through.
    pub(super) body_limit: Option<u64>,
}

/// A request that may not, with what is known of it.
pub(super) struct Refusal {
    pub(super) problem: Problem,
    /// Tenant and key, once the key is known.
    pub(super) owner: Option<(TenantId, KeyId)>,
    pub(super) caller: Option<Caller>,
    pub(super) route: Option<Arc<Route>>,
}

impl Gateway {
    /// Asks every room in turn. A refusal consumes nothing.
    pub(super) async fn pass(&self, live: &Live, request: &RequestHeader, now: Micros) -> Result<Passage, Refusal> {
        check_sizes(request, &live.sizes).map_err(Refusal::of_nobody)?;
        let caller = self
            .authenticator
            .authenticate(&request.headers, now)
            .map_err(|refusal| Refusal { owner: refusal.owner, ..Refusal::of_nobody(refusal.error.into()) })?;
        let owner = Some((caller.tenant.id, caller.key.id));
        let route = match find_route(live, request) {
            Ok(route) => route,
            Err(problem) => return Err(Refusal { problem, owner, caller: Some(caller), route: None }),
        };
        match self.admit(live, request, &caller, &route, now).await {
            Ok((upstream, admission)) => {
                let body_limit = route.body_bytes.or(live.sizes.body_bytes);
                Ok(Passage { caller, route, upstream, admission, body_limit })
            }
            Err(problem) => Err(Refusal { problem, owner, caller: Some(caller), route: Some(route) }),
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
        if !self.meter.has_room() {
            return Err(Problem::new(Code::UsageUnavailable, "usage is not being collected; nothing was forwarded")
                .retry_after(1));
        }
        let admission = self.limiter.admit_or_wait(caller, &route.meter, route.units.estimate(), now).await?;
        Ok((Arc::clone(upstream), admission))
    }
}

impl Refusal {
    const fn of_nobody(problem: Problem) -> Self {
        Self { problem, owner: None, caller: None, route: None }
    }
}

fn find_route(live: &Live, request: &RequestHeader) -> Result<Arc<Route>, Problem> {
    if !request.raw_path_is_utf8() {
        return Err(Problem::new(Code::InvalidRequest, "path is not UTF-8: escape it with %"));
    }
    let path = route::decode_path(request.uri.path())?;
    let host = match request.headers.get(header::HOST) {
        None => None,
        Some(host) => Some(host.to_str().map_err(|_| Problem::new(Code::InvalidRequest, "`Host` is not a host name"))?),
    };
    Ok(Arc::clone(live.table.find(host, &path, &request.method)?))
}

fn check_sizes(request: &RequestHeader, sizes: &SizeLimits) -> Result<(), Problem> {
    let path_bytes = request.raw_path().len();
    if path_bytes > sizes.path_bytes {
        let detail = format!("path and query have {path_bytes} bytes; at most {} are allowed", sizes.path_bytes);
        return Err(Problem::new(Code::PathTooLong, detail));
    }
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
