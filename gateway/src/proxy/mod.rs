//! The request path: one short function per Pingora hook, each of which hands over to the room that owns the work.
//!
//! What holds: a request is recorded exactly once if its answer goes on, and never if the gateway answers itself;
//! what it held of the limits is settled or given back however it ends, because its [`Context`] owns it.

mod context;
mod failure;
mod gate;
mod identity;
mod live;
mod observe;
mod trace;
mod upstream;
mod usage;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
pub use context::Context;
use http::Method;
pub use live::Live;
pub use observe::{ACCESS_TARGET, Observer};
use pingora_core::{Error, Result, upstreams::peer::HttpPeer};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use tracing::warn;
pub use upstream::{Upstream, UpstreamHealth};

use crate::{
    answer::{Code, Problem},
    auth::Authenticator,
    gate::Gate,
    limit::Limiter,
    meter::Meter,
};

/// How long the rest of a refused request's body is read, so that the connection can be used again.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The rooms of the request path, and the configuration in force.
pub struct Gateway {
    live: ArcSwap<Live>,
    gate: Gate,
    observer: Arc<Observer>,
    draining: AtomicBool,
}

/// The gateway as Pingora drives it.
pub struct Proxy(pub Arc<Gateway>);

impl Gateway {
    /// A gateway of these rooms.
    pub fn new(live: Live, authenticator: Authenticator, limiter: Limiter, meter: Arc<Meter>) -> Self {
        Self {
            live: ArcSwap::from_pointee(live),
            gate: Gate::new(authenticator, limiter, meter),
            observer: Arc::default(),
            draining: AtomicBool::new(false),
        }
    }

    /// The configuration in force.
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// Puts another configuration into force for the requests to come.
    pub fn apply(&self, live: Live) {
        self.live.store(Arc::new(live));
    }

    /// What every request is asked, forwarded by this gateway or by another.
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The catalog that callers are looked up in.
    pub const fn catalog(&self) -> &Arc<crate::catalog::Catalog> {
        self.gate.catalog()
    }

    /// The meter that usage is recorded with.
    pub const fn meter(&self) -> &Arc<Meter> {
        self.gate.meter()
    }

    /// Requests that are being served.
    pub fn in_flight(&self) -> i64 {
        self.observer.in_flight.get()
    }

    /// From now on, answers ask clients to connect anew and the gateway is not ready.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the gateway is about to end.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Lets a request on or says why not.
    async fn enter(&self, session: &mut Session, context: &mut Context) -> Option<Problem> {
        let request = session.req_header();
        context.request_id = common::origin::request_id(request.headers.get("x-request-id"));
        let live = self.live.load();
        match self.pass(&live, request, peer(session), context::now()).await {
            Ok(passage) => {
                context.caller = Some(passage.caller);
                context.route = Some(passage.route);
                context.upstream = Some(passage.upstream);
                context.admission = Some(passage.admission);
                context.body.limit = passage.body_limit;
                None
            }
            Err(refusal) => {
                self.gate.count(&refusal);
                context.caller = refusal.caller;
                context.route = refusal.route;
                Some(refusal.problem)
            }
        }
    }

    async fn answer(&self, session: &mut Session, context: &mut Context, problem: &Problem) -> Result<()> {
        context.code = Some(problem.code());
        if problem.code() == Code::BodyTooLarge || self.is_draining() {
            session.set_keepalive(None);
        }
        session.as_downstream_mut().set_total_drain_timeout(Some(DRAIN_TIMEOUT));
        let body = problem.body(&context.request_id);
        let header = problem.header(&context.request_id, body.len())?;
        let head_only = session.req_header().method == Method::HEAD;
        session.write_response_header(Box::new(header), head_only).await?;
        if head_only {
            return Ok(());
        }
        session.write_response_body(Some(body), true).await
    }
}

/// The address at the other end of the connection.
fn peer(session: &Session) -> Option<IpAddr> {
    session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip)
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(&self.0.observer)
    }

    /// Nothing is compressed on the way.
    fn init_downstream_modules(&self, _modules: &mut pingora_core::modules::http::HttpModules) {}

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        match self.0.enter(session, context).await {
            None => Ok(false),
            Some(problem) => self.0.answer(session, context, &problem).await.map(|()| true).map_err(Error::into_down),
        }
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        context: &mut Context,
    ) -> Result<()> {
        context.body.received += body.as_ref().map_or(0, |chunk| chunk.len() as u64);
        match context.body.limit.map_or(Ok(()), |limit| gate::check_body(context.body.received, limit)) {
            Ok(()) => Ok(()),
            Err(problem) => Err(context.fail(problem)),
        }
    }

    async fn upstream_peer(&self, _session: &mut Session, context: &mut Context) -> Result<Box<HttpPeer>> {
        let chosen = context
            .upstream
            .as_ref()
            .zip(context.route.as_ref())
            .and_then(|(upstream, route)| upstream.choose(route, &context.tried));
        let Some(peer) = chosen else {
            return Err(context.fail(Problem::new(Code::UpstreamUnavailable, "no server of the upstream is healthy")));
        };
        context.tried.extend(upstream::address_of(&peer));
        Ok(peer)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        context: &mut Context,
    ) -> Result<()> {
        let (Some(caller), Some(route)) = (&context.caller, &context.route) else {
            return Err(context.fail(Problem::new(Code::Internal, "a request without a caller")));
        };
        identity::rewrite(request, caller, route, &context.request_id, peer(session))
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        let switches = response.status == http::StatusCode::SWITCHING_PROTOCOLS;
        if response.status.is_informational() && !switches {
            return Ok(());
        }
        if let Err(problem) = self.0.account(response, context) {
            return Err(context.fail(problem));
        }
        if self.0.is_draining() {
            session.set_keepalive(None);
        }
        response.insert_header("X-Request-Id", context.request_id.as_str())
    }

    /// The request was not sent: another server may take it, whatever its method.
    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        context: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        error.set_retry(context.upstream.as_ref().is_some_and(|upstream| upstream.has_untried(&context.tried)));
        error
    }

    /// Pingora's own rule (only idempotent requests, only on a connection that had gone stale), and never once the
    /// answer was recorded.
    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        context: &mut Context,
        client_reused: bool,
    ) -> Box<Error> {
        let mut error = error.more_context(format!("peer: {peer}"));
        let idempotent = session.req_header().method.is_idempotent();
        if context.recorded || !idempotent || session.as_ref().retry_buffer_truncated() {
            error.set_retry(false);
        } else {
            error.retry.decide_reuse(client_reused);
        }
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, context: &mut Context) -> FailToProxy {
        let problem = context.problem.take().or_else(|| failure::problem(error));
        let answered = session.response_written().is_some_and(|response| !response.status.is_informational());
        let mut error_code = 0;
        if let Some(problem) = problem {
            let (source, kind) = (error.esource().as_str(), error.etype().as_str());
            warn!(request_id = context.request_id, code = problem.code().as_str(), source, kind, "request failed");
            if let (Some(caller), false) = (&context.caller, context.recorded) {
                self.0.meter().refused(caller.tenant.id, caller.key.id, problem.code().as_str());
            }
            context.code = Some(problem.code());
            error_code = problem.code().status().as_u16();
            session.set_keepalive(None);
            if !answered && let Err(reason) = self.0.answer(session, context, &problem).await {
                warn!(
                    request_id = context.request_id,
                    kind = reason.etype().as_str(),
                    "the client did not take the problem"
                );
            }
        }
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    /// Failures are logged above, without the query and without whatever bytes the error quotes.
    fn suppress_error_log(&self, _session: &Session, _context: &Context, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        context: &Context,
        error: &Error,
        _kind: ProxyWarnLogContext,
    ) -> bool {
        warn!(request_id = context.request_id, kind = error.etype().as_str(), "trying again");
        true
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, context: &mut Context) {
        let request = session.req_header();
        context.observe(Some(&observe::Exchange {
            method: request.method.as_str(),
            path: request.uri.path(),
            status: session.response_written().map_or(0, |response| response.status.as_u16()),
            bytes: session.body_bytes_sent(),
        }));
    }
}
