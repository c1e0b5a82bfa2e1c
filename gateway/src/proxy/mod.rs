//! The request path: one short function per Pingora hook, each of which hands over to the room that
//! owns the work.
//!
//! Invariants: a request is recorded exactly once if its answer goes on, or if its client has left
//! once the upstream had it, and never if the gateway answers itself. All that it held of the
//! limits is settled or given back however it ends, panics included, because its [`Context`] owns
//! it.

mod abort;
mod client;
mod context;
mod enter;
mod failure;
mod fault;
mod forwarded;
mod framing;
mod grpc;
mod hooks;
mod hop;
mod identity;
mod observe;
mod plain;
pub(crate) mod reserved;
mod retry;
mod secured;
mod sizes;
#[cfg(test)]
mod tests;
mod timeouts;
mod trace;
mod tunnel;
mod upgraded;
mod usage;

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
pub(crate) use client::{Client, ClientStream, Http2Stream, serve_request};
pub use context::Context;
pub use hooks::Hooks;
use http::Method;
use observe::Observer;
use pingora_core::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tunnel::Tunnels;

use crate::{
    access_log::AccessLog,
    answer::{Code, Problem, grpc::Shape},
    filter::reply::has_no_body,
    runtime::Gateway,
    upstream::ConnectFailures,
};

/// The proxy: a gateway that forwards what it admits.
pub struct Proxy {
    gateway: Arc<Gateway>,
    observer: Observer,
    tunnels: Tunnels,
    connect_failures: ConnectFailures,
}

impl Proxy {
    /// A proxy that forwards the requests that `gateway` admits, and leaves their lines in
    /// `access_log`.
    pub(crate) fn new(gateway: Arc<Gateway>, access_log: AccessLog) -> Self {
        let (observer, tunnels) = (Observer::new(access_log), Tunnels::new());
        Self { gateway, observer, tunnels, connect_failures: ConnectFailures::new() }
    }

    /// The gateway that admits requests.
    pub(crate) const fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Number of requests that are being served.
    pub fn in_flight(&self) -> i64 {
        self.observer.in_flight.get()
    }

    /// Logs and counts a request that was refused while its header was read.
    pub(crate) fn observe_malformed(&self, request_id: &str, problem: &Problem, status: u16, started: Instant) {
        self.observer.malformed(request_id, problem, status, started);
    }

    /// Answers with a header that has no body.
    async fn answer_briefly(&self, session: &mut Session, answer: ResponseHeader) -> Result<()> {
        self.send(session, answer, Bytes::new()).await
    }

    /// Answers with what a route says.
    async fn reply(
        &self,
        session: &mut Session,
        context: &Context,
        mut header: ResponseHeader,
        body: Bytes,
    ) -> Result<()> {
        if let Some(grant) = &context.cors {
            grant.write(&mut header)?;
        }
        header.insert_header("X-Request-Id", context.request_id.as_str())?;
        self.send(session, header, body).await
    }

    async fn answer(&self, session: &mut Session, context: &mut Context, problem: &Problem) -> Result<()> {
        context.code = Some(problem.code());
        if problem.code() == Code::BodyTooLarge {
            session.set_keepalive(None);
        }
        let shape = Shape::of(session.req_header());
        let (mut header, body) = problem.answer(&context.request_id, shape)?;
        if let Some(grant) = &context.cors {
            grant.write(&mut header)?;
        }
        self.send(session, header, body).await
    }

    /// Sends an answer of the gateway's own: every one of them leaves here.
    async fn send(&self, session: &mut Session, mut header: ResponseHeader, body: Bytes) -> Result<()> {
        secured::insist(session, &mut header)?;
        if self.gateway.is_draining() {
            session.set_keepalive(None);
        }
        let head_only = session.req_header().method == Method::HEAD || body.is_empty() || has_no_body(header.status);
        session.write_response_header(Box::new(header), head_only).await?;
        if head_only {
            return Ok(());
        }
        session.write_response_body(Some(body), true).await
    }
}
