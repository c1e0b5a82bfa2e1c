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
use pingora_proxy::Session;
use tunnel::Tunnels;

use crate::{
    answer::{Code, Problem},
    auth::Authenticator,
    gate::Gate,
    limit::Limiter,
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

    /// Whether the gateway is about to end.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Logs and counts a request that was refused while its header was read.
    pub(crate) fn observe_malformed(&self, request_id: &str, problem: &Problem, status: u16, started: Instant) {
        self.observer.malformed(request_id, problem, status, started);
    }

    /// Lets a request on or says why not.
    async fn enter(&self, session: &mut Session, context: &mut Context) -> Option<Problem> {
        let request = session.req_header();
        let live = self.live.load();
        context.source = Source::of(peer(session), &request.headers, &live.clients.trusted_proxies);
        match self.pass(&live, request, context.source.client(), context::now()).await {
            Ok(passage) => {
                context.caller = Some(passage.caller);
                context.route = Some(passage.route);
                context.upstream = Some(passage.upstream);
                context.admission = Some(passage.admission);
                context.upgrade = passage.upgrade;
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
