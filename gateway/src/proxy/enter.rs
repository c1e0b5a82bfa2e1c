//! The way into the proxy: from a request's header to what the gateway does with it.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{Method, header};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::{
    Proxy,
    context::{Context, now},
    forwarded::Source,
    grpc::Call,
    hop, secured,
    sizes::{Sizes, declared_length},
    tunnel::Upgrade,
};
use crate::{
    admission::{self, Admitted, Arrival, Credential, Identified, Refusal},
    answer::{Code, Problem},
    auth::{self, AuthError, Presented},
    certificate::challenge,
    filter::{
        cors::{Grant, Preflight},
        https,
        reply::Reply,
    },
    listen::{
        head::METHODS,
        sizes::{check_body, check_headers, check_headers_of_route, check_path},
    },
    route::{self, Filling, Headers, HostPattern, RequestView, Route, Target},
    runtime::Live,
    upstream::{BreakerOpen, Passage, Upstream},
};

/// The outcome for a request whose header has been read.
pub(super) enum Entry {
    /// The request goes to the upstream.
    Passed,
    /// The gateway answers with this header and no body.
    Answered(ResponseHeader),
    /// The gateway answers with this header and body, as the route says.
    Replied(ResponseHeader, Bytes),
    /// The gateway answers with a problem.
    Refused(Problem),
}

/// The parts that forwarding needs beside a caller and a route.
struct Forwarding {
    /// None if the route answers by itself.
    upstream: Option<Arc<Upstream>>,
    passage: Option<Passage>,
    /// The upgrade that the request asks for and may have.
    upgrade: Option<Upgrade>,
    /// Largest body that is let through.
    body_limit: Option<u64>,
}

impl Proxy {
    /// Lets a request on, or decides what the gateway itself answers.
    pub(super) async fn enter(&self, session: &mut Session, context: &mut Context) -> Result<Entry> {
        let request = session.req_header();
        let live = self.gateway.look();
        context.source = Source::of(peer(session), &request.headers, &live.clients.trusted_proxies);
        context.certificate_key = secured::certificate(session).and_then(|certificate| certificate.key);
        let sizes = &live.sizes;
        let checked = check_path(request.raw_path().len(), sizes).and_then(|()| check_headers(&request.headers, sizes));
        if let Err(problem) = checked {
            return Ok(Entry::Refused(problem));
        }
        match Call::of(request) {
            Ok(call) => context.call = call,
            Err(problem) => return Ok(Entry::Refused(problem)),
        }
        let is_last = match hop::forwards_left(request) {
            Ok(left) => left == Some(0),
            Err(problem) => return Ok(Entry::Refused(problem)),
        };
        if request.raw_path() == b"*" || is_last {
            return about_the_gateway(&context.request_id).map(Entry::Answered);
        }
        if !live.challenges.is_empty()
            && let Some((answer, body)) = challenge::answer(&live.challenges, request).await?
        {
            return Ok(Entry::Replied(answer, body));
        }
        if let Some(port) = context.client.as_ref().and_then(|client| client.redirect_port())
            && !context.source.came_by_https(&request.headers)
        {
            return Ok(match https::redirect(request, port, &context.request_id)? {
                Ok(answer) => Entry::Answered(answer),
                Err(problem) => Entry::Refused(problem),
            });
        }
        if let Some((route, preflight, grant)) = preflight(&live, request) {
            context.route = Some(route);
            return preflight.answer(&grant, &context.request_id).map(Entry::Answered);
        }
        let route = find_route(&live, request, &request.method, Headers::Known(&request.headers));
        let cors = route.as_ref().ok().and_then(|route| route.cors.as_ref());
        context.cors = cors.map(|cors| cors.grant(&request.headers));
        match self.pass(&live, request, route, context).await {
            Ok(()) => match context.route.as_ref().and_then(|route| route.reply().cloned()) {
                None => Ok(Entry::Passed),
                Some(reply) => self.replied(&reply, request, context),
            },
            Err(refusal) => {
                self.gateway.admission().count(&refusal);
                context.caller = refusal.caller;
                context.route = refusal.route;
                Ok(Entry::Refused(refusal.problem))
            }
        }
    }

    /// Admits a request to its route. A refusal consumes nothing.
    async fn pass(
        &self,
        live: &Live,
        request: &RequestHeader,
        route: Result<Arc<Route>, Problem>,
        context: &mut Context,
    ) -> Result<(), Box<Refusal>> {
        let admission = self.gateway.admission();
        let address = context.source.client();
        admission::check_address(&route, address)?;
        let credential = match self.credential(live, request, &route, address).await {
            Ok(credential) => credential,
            Err(refusal) => return Err(refusal.to_route(route)),
        };
        let identified = admission.identify(Arrival {
            credential,
            certificate_key: context.certificate_key,
            route,
            address,
            failures_most: live.clients.failures_most,
            now: now(),
        })?;
        let forwarding = match Forwarding::of(live, request, &identified) {
            Ok(forwarding) => forwarding,
            Err(problem) => return Err(identified.refused(problem)),
        };
        let units = identified.route.units.estimate_for(declared_length(&request.headers));
        match admission.admit(&identified, units).await {
            Ok(Admitted::Caller(admission)) => context.admission = Some(admission),
            Ok(Admitted::Address(state)) => context.by_address = state,
            Err(problem) => return Err(identified.refused(problem)),
        }
        context.sizes = Sizes::of(&identified.route.units, request.method == Method::HEAD);
        context.token_expires_at = identified.token.map(|token| token.expires_at);
        context.caller = identified.caller;
        context.route = Some(identified.route);
        context.upstream = forwarding.upstream;
        context.passage = forwarding.passage;
        context.upgrade = forwarding.upgrade;
        context.body.limit = forwarding.body_limit;
        Ok(())
    }

    /// Reads the credential of a request from where its route looks for it. Only a token is waited
    /// for, if its issuer's keys are not known yet.
    async fn credential<'r>(
        &self,
        live: &Live,
        request: &'r RequestHeader,
        route: &Result<Arc<Route>, Problem>,
        address: Option<IpAddr>,
    ) -> Result<Result<Credential<'r>, AuthError>, Box<Refusal>> {
        let places = route.as_ref().ok().and_then(|route| route.credentials.as_ref());
        let Some(places) = places else {
            return Ok(auth::credential(&request.headers).map(Credential::Key));
        };
        match places.read(&request.headers, request.uri.query()) {
            Ok(Presented::Key(key)) => Ok(Ok(Credential::Key(key))),
            Ok(Presented::Token(token)) => {
                let issuer = places.tokens.as_ref().and_then(|name| live.token_issuers.get(name));
                let Some(issuer) = issuer else {
                    let detail = "the issuer of this route's tokens cannot be asked; the log of the gateway says why";
                    return Err(Refusal::of_nobody(Problem::new(Code::TokenIssuerUnavailable, detail)));
                };
                let origin = admission::origin(address, live.clients.failures_most);
                let holder = self.gateway.admission().token_holder(issuer, token, origin, now()).await?;
                Ok(Ok(Credential::Token(holder)))
            }
            Err(error) => Ok(Err(error)),
        }
    }
}

impl Proxy {
    /// The answer of a route that asks no upstream. Its usage is recorded if the route says so.
    fn replied(&self, reply: &Reply, request: &RequestHeader, context: &mut Context) -> Result<Entry> {
        let Some(route) = context.route.clone() else {
            return Ok(Entry::Refused(Problem::new(Code::Internal, "an answer without a route")));
        };
        let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(route::without_port);
        let host = host.filter(|host| HostPattern::parse(host).is_ok());
        let host = host.map(|host| if host.contains(':') { format!("[{host}]").into() } else { Cow::Borrowed(host) });
        // A redirect may lead to another host, which must not be told the key.
        let query = request.uri.query().and_then(|query| match &route.credentials {
            None => Some(Cow::Borrowed(query)),
            Some(places) => places.without_credential(query),
        });
        let filling =
            Filling { pattern: &route.path, path: request.uri.path(), query: query.as_deref(), host: host.as_deref() };
        let mut response = match reply.header(&filling)? {
            Ok(response) => response,
            Err(reason) => return Ok(Entry::Refused(Problem::new(Code::InvalidRequest, reason.to_string()))),
        };
        match self.account(&mut response, context) {
            Ok(()) => Ok(Entry::Replied(response, reply.body.clone())),
            Err(problem) => Ok(Entry::Refused(problem)),
        }
    }
}

impl Forwarding {
    /// Checks headers, upgrade and declared length of a request to a route, and finds its upstream,
    /// whose breaker must let the request through.
    fn of(live: &Live, request: &RequestHeader, identified: &Identified) -> Result<Self, Problem> {
        let route = &identified.route;
        if let Some(limits) = &route.header_limits {
            check_headers_of_route(&request.headers, limits, &route.name)?;
        }
        let owner = || identified.caller.as_ref().map(|caller| (caller.tenant.id, caller.key.id));
        let name = match &route.target {
            Target::Upstream(name) => Some(name),
            Target::Split(split) => split.choose(&request.headers, owner()),
            Target::Reply(_) => return Ok(Self { upstream: None, passage: None, upgrade: None, body_limit: None }),
        };
        let upgrade = Upgrade::of(request, route)?;
        let body_limit = route.body_bytes.or(live.sizes.body_bytes);
        if let Some(limit) = body_limit {
            check_body(declared_length(&request.headers), limit)?;
        }
        let upstream = name.and_then(|name| live.upstreams.get(name)).cloned();
        let upstream =
            upstream.ok_or_else(|| Problem::new(Code::Internal, "the route's upstream is not configured"))?;
        let passage = upstream.pass().map_err(|open| breaker_open(&open))?;
        Ok(Self { upstream: Some(upstream), passage, upgrade, body_limit })
    }
}

fn breaker_open(open: &BreakerOpen) -> Problem {
    let detail = if open.is_busy {
        "as many requests as the upstream may have are in progress"
    } else {
        "the upstream does not serve: it is tried again in a while"
    };
    Problem::upstream_unavailable(detail, open.retry_after_seconds)
}

/// Returns the route of a preflight and its answer's grant, if the route that it asks about answers
/// preflights.
fn preflight(live: &Live, request: &RequestHeader) -> Option<(Arc<Route>, Preflight, Grant)> {
    let preflight = Preflight::of(request)?;
    let headers = Headers::Announced(preflight.headers());
    let route = match find_route(live, request, &preflight.method, headers) {
        Ok(route) => route,
        // The page is told which methods there are instead.
        Err(problem) => problem.allowed()?.split(", ").find_map(|method| {
            let method = method.parse().ok()?;
            find_route(live, request, &method, headers).ok().filter(|route| route.cors.is_some())
        })?,
    };
    let grant = route.cors.as_ref()?.grant(&request.headers);
    Some((route, preflight, grant))
}

/// Finds the route of a request, or of one that had this method and these headers instead.
fn find_route(
    live: &Live,
    request: &RequestHeader,
    method: &Method,
    headers: Headers<'_>,
) -> Result<Arc<Route>, Problem> {
    if !request.raw_path_is_utf8() {
        return Err(Problem::new(Code::InvalidRequest, "path is not UTF-8: escape it with %"));
    }
    let host = match request.headers.get(header::HOST) {
        None => None,
        Some(host) => Some(host.to_str().map_err(|_| Problem::new(Code::InvalidRequest, "`Host` is not a host name"))?),
    };
    let (path, query) = (request.uri.path(), request.uri.query());
    admission::find_route(&live.table, &RequestView { host, path, method, headers, query })
}

/// The answer to `OPTIONS *`, and to OPTIONS that may not be forwarded: the methods that the gateway
/// serves.
fn about_the_gateway(request_id: &str) -> Result<ResponseHeader> {
    let mut answer = ResponseHeader::build(http::StatusCode::NO_CONTENT, Some(2))?;
    answer.insert_header(header::ALLOW, METHODS)?;
    answer.insert_header("X-Request-Id", request_id)?;
    Ok(answer)
}

/// The address at the other end of the connection.
fn peer(session: &Session) -> Option<IpAddr> {
    session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip)
}
