//! The request path: one short function per Pingora hook, each of which hands over to the room that owns the work.
//!
//! What holds: a request is recorded exactly once if its answer goes on, or if its client has left once the upstream had
//! it, and never if the gateway answers itself; what it held of the limits is settled or given back however it ends,
//! panics included, because its [`Context`] owns it.

mod abort;
mod client;
mod context;
mod failure;
mod fault;
mod forwarded;
mod framing;
mod gate;
mod hooks;
mod hop;
mod identity;
mod live;
mod observe;
mod reserved;
#[cfg(test)]
mod tests;
mod trace;
mod tunnel;
mod usage;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use arc_swap::ArcSwap;
pub(crate) use client::{ClientStream, serve_request};
pub use context::Context;
use forwarded::Source;
use http::Method;
pub use live::Live;
pub use observe::{ACCESS_TARGET, Observer};
use pingora_core::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tunnel::Tunnels;

use crate::{
    answer::{Code, Problem},
    auth::Authenticator,
    gate::Gate,
    limit::Limiter,
    listen::head::METHODS,
    meter::Meter,
    upstream::ConnectFailures,
};

/// The rooms of the request path, and the configuration in force.
pub struct Gateway {
    live: ArcSwap<Live>,
    gate: Gate,
    observer: Arc<Observer>,
    tunnels: Tunnels,
    connect_failures: ConnectFailures,
    draining: AtomicBool,
}

/// What becomes of a request whose header has been read.
enum Entry {
    /// The request goes to the upstream.
    Passed,
    /// The gateway answers with this header and no body.
    Answered(ResponseHeader),
    /// The gateway answers with a problem.
    Refused(Problem),
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
            tunnels: Tunnels::new(),
            connect_failures: ConnectFailures::new(),
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

    /// Returns true if the gateway is about to end.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Logs and counts a request that was refused while its header was read.
    pub(crate) fn observe_malformed(&self, request_id: &str, problem: &Problem, status: u16, started: Instant) {
        self.observer.malformed(request_id, problem, status, started);
    }

    /// Lets a request on, or says what it is answered by the gateway itself.
    async fn enter(&self, session: &mut Session, context: &mut Context) -> Result<Entry> {
        let request = session.req_header();
        let live = self.live.load();
        context.source = Source::of(peer(session), &request.headers, &live.clients.trusted_proxies);
        if let Err(problem) = gate::check_sizes(request, &live.sizes) {
            return Ok(Entry::Refused(problem));
        }
        if request.raw_path() == b"*" {
            return about_the_gateway(&context.request_id).map(Entry::Answered);
        }
        if let Some((route, preflight, grant)) = gate::preflight(&live, request) {
            context.route = Some(route);
            return preflight.answer(&grant, &context.request_id).map(Entry::Answered);
        }
        let found = gate::find_route(&live, request, &request.method);
        let cors = found.as_ref().ok().and_then(|route| route.cors.as_ref());
        context.cors = cors.map(|cors| cors.grant(&request.headers));
        match self.pass(&live, request, found, context.source.client(), context::now()).await {
            Ok(passage) => {
                context.caller = passage.caller;
                context.route = Some(passage.route);
                context.upstream = Some(passage.upstream);
                context.admission = passage.admission;
                context.by_address = passage.by_address;
                context.upgrade = passage.upgrade;
                context.body.limit = passage.body_limit;
                Ok(Entry::Passed)
            }
            Err(refusal) => {
                self.gate.count(&refusal);
                context.caller = refusal.caller;
                context.route = refusal.route;
                Ok(Entry::Refused(refusal.problem))
            }
        }
    }

    /// Answers with a header that has no body.
    async fn answer_briefly(&self, session: &mut Session, answer: ResponseHeader) -> Result<()> {
        if self.is_draining() {
            session.set_keepalive(None);
        }
        session.write_response_header(Box::new(answer), true).await
    }

    async fn answer(&self, session: &mut Session, context: &mut Context, problem: &Problem) -> Result<()> {
        context.code = Some(problem.code());
        if problem.code() == Code::BodyTooLarge || self.is_draining() {
            session.set_keepalive(None);
        }
        let body = problem.body(&context.request_id);
        let mut header = problem.header(&context.request_id, body.len())?;
        if let Some(grant) = &context.cors {
            grant.write(&mut header)?;
        }
        let head_only = session.req_header().method == Method::HEAD;
        session.write_response_header(Box::new(header), head_only).await?;
        if head_only {
            return Ok(());
        }
        session.write_response_body(Some(body), true).await
    }
}

/// The answer to `OPTIONS *`: what may be asked of the gateway as a whole. The target `*` comes with no other method.
fn about_the_gateway(request_id: &str) -> Result<ResponseHeader> {
    let mut answer = ResponseHeader::build(http::StatusCode::NO_CONTENT, Some(2))?;
    answer.insert_header(http::header::ALLOW, METHODS)?;
    answer.insert_header("X-Request-Id", request_id)?;
    Ok(answer)
}

/// The address at the other end of the connection.
fn peer(session: &Session) -> Option<IpAddr> {
    session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip)
}
