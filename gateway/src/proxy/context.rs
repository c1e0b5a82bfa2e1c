//! The state of one request on its way through the hooks.

use std::{sync::Arc, time::Instant};

use common::{id::KeyId, time::Micros};
use prometheus::IntGauge;
use tracing::error;

use super::{
    Proxy,
    abort::Abort,
    client::{Client, MeteredFrames},
    forwarded::Source,
    grpc::Call,
    sizes::Sizes,
    tunnel::{Tunnel, Upgrade},
};
use crate::{
    answer::{Code, Problem},
    catalog::Caller,
    filter::cors::Grant,
    limit::{Admission, LimitState, Permit},
    route::{OnAbort, Route},
    upstream::{Load, Passage, Server, Upstream},
};

/// State of one request.
pub struct Context {
    /// Time at which the gateway had read its header.
    pub(super) started: Instant,
    /// Its id, from the client or made here.
    pub(super) request_id: String,
    /// The connection that it came on.
    pub(super) client: Option<Arc<Client>>,
    /// The client's address, and the proxies before it.
    pub(super) source: Source,
    /// The key that the client's certificate stands for.
    pub(super) certificate_key: Option<KeyId>,
    /// The caller, once known; nobody on a public route.
    pub(super) caller: Option<Caller>,
    /// The end of the caller's token, if it came with one.
    pub(super) token_expires_at: Option<Micros>,
    /// The route, once known.
    pub(super) route: Option<Arc<Route>>,
    /// The upstream, once admitted.
    pub(super) upstream: Option<Arc<Upstream>>,
    /// State of a public route's limit for the client's address.
    pub(super) by_address: Option<LimitState>,
    /// The CORS headers of its answer, if its route has that filter.
    pub(super) cors: Option<Grant>,
    /// Held of the limits until the request is answered.
    pub(super) admission: Option<Admission>,
    /// Held of the concurrency limits after that.
    pub(super) permit: Option<Permit>,
    /// Servers that were chosen for it, in order.
    pub(super) tried: Vec<Arc<Server>>,
    /// Its place among the requests in progress on the last of them, if these are counted.
    pub(super) load: Option<Load>,
    /// Its way through the upstream's breaker, if it has one.
    pub(super) passage: Option<Passage>,
    /// True if the answer that just came is dropped for another try.
    pub(super) drops_answer: bool,
    /// Body bytes that came, and how many may.
    pub(super) body: BodyCount,
    /// The bytes of its bodies, if they are its units.
    pub(super) sizes: Option<Sizes>,
    /// The call of gRPC that it is, if it is one.
    pub(super) call: Option<Call>,
    /// The upgrade that it asks for and may have.
    pub(super) upgrade: Option<Upgrade>,
    /// The upgraded connection that it became, if it did.
    pub(super) tunnel: Option<Arc<Tunnel>>,
    /// The count of what its client sends on that, if it is billed.
    pub(super) from_client: Option<Box<MeteredFrames>>,
    /// The steps that are behind it.
    pub(super) progress: Progress,
    /// Its outcome after its client had left, if the client did.
    pub(super) abort: Option<Abort>,
    /// The status for its access line, if other than that of the answer.
    pub(super) status: Option<u16>,
    /// The problem of a failed hook; the error that Pingora passes on carries no more than a
    /// status.
    pub(super) problem: Option<Problem>,
    /// The code it was answered with by the gateway itself.
    pub(super) code: Option<Code>,
    /// Method and path of an upgraded connection, which ends without a session.
    pub(super) kept_line: Option<(Box<str>, Box<str>)>,
    pub(super) proxy: Arc<Proxy>,
    observed: bool,
    _in_flight: InFlight,
}

/// The steps that are behind a request.
#[derive(Default)]
pub(super) struct Progress {
    /// An upstream has accepted a connection for it.
    pub(super) dispatched: bool,
    /// Its usage record was written.
    pub(super) recorded: bool,
    /// The header of an answer has come: nothing is tried again from then on.
    pub(super) answered: bool,
}

/// Body bytes that came, and how many may.
#[derive(Default)]
pub(super) struct BodyCount {
    pub(super) limit: Option<u64>,
    pub(super) received: u64,
    /// True once all have come.
    pub(super) is_complete: bool,
}

/// Counts the request as in flight for as long as it lives, however it ends.
struct InFlight(IntGauge);

impl Context {
    pub(super) fn new(proxy: &Arc<Proxy>) -> Self {
        let in_flight = proxy.observer.in_flight.clone();
        in_flight.inc();
        Self {
            started: Instant::now(),
            request_id: String::new(),
            client: None,
            source: Source::default(),
            certificate_key: None,
            caller: None,
            token_expires_at: None,
            route: None,
            upstream: None,
            by_address: None,
            cors: None,
            admission: None,
            permit: None,
            tried: Vec::new(),
            load: None,
            passage: None,
            drops_answer: false,
            body: BodyCount::default(),
            sizes: None,
            call: None,
            upgrade: None,
            tunnel: None,
            from_client: None,
            progress: Progress::default(),
            abort: None,
            status: None,
            problem: None,
            code: None,
            kept_line: None,
            proxy: Arc::clone(proxy),
            observed: false,
            _in_flight: InFlight(in_flight),
        }
    }

    /// Remembers what a hook failed with and gives the error that makes Pingora end the request.
    #[expect(clippy::unnecessary_box_returns, reason = "Pingora's hooks return boxed errors")]
    pub(super) fn fail(&mut self, problem: Problem) -> Box<pingora_core::Error> {
        let status = problem.status().as_u16();
        let error = pingora_core::Error::explain(pingora_core::ErrorType::HTTPStatus(status), problem.code().as_str());
        self.problem = Some(problem);
        error.into_in()
    }

    /// The whole request has come: whether it now goes on without its client is for its route to
    /// say.
    pub(super) fn complete(&mut self) {
        self.body.is_complete = true;
        if let (Some(client), Some(route)) = (&self.client, &self.route)
            && let OnAbort::Finish(patience) = &route.lifecycle.on_abort
        {
            client.wait_on(patience);
        }
    }

    /// Counts the time that it took until a server was chosen for it.
    pub(super) fn admitted(&self) {
        if let Some(route) = &self.route {
            route.figures.admitted(&route.name, self.started.elapsed());
        }
    }

    /// Returns true if its client has left.
    pub(super) fn has_no_client(&self) -> bool {
        self.client.as_ref().is_some_and(|client| client.has_left())
    }

    /// Returns true if it goes on after its client has left.
    pub(super) fn is_finished_alone(&self) -> bool {
        let finishes = |route: &Arc<Route>| matches!(route.lifecycle.on_abort, OnAbort::Finish(_));
        self.body.is_complete && self.route.as_ref().is_some_and(finishes)
    }

    /// Logs and counts the request, once.
    pub(super) fn observe(&mut self, request: Option<&super::observe::Exchange<'_>>) {
        if !std::mem::replace(&mut self.observed, true) {
            Arc::clone(&self.proxy).observer.observe(self, request);
        }
    }

    /// A hook, or Pingora itself, has panicked. What was held goes back as the context is dropped.
    fn note_panic(&mut self) {
        let code = Code::GatewayFailed;
        error!(event = "request_panicked", request_id = self.request_id, code = code.as_str());
        if let Some(client) = &self.client {
            client.set_failed_request(&self.request_id, self.cors.take());
        }
        if let (Some(caller), false) = (&self.caller, self.progress.recorded) {
            self.proxy.gateway.meter().refused(caller.tenant.id, caller.key.id, code.as_str());
        }
        self.code = Some(code);
        self.status = Some(code.status().as_u16());
    }
}

impl Drop for Context {
    /// Pingora passes over the logging hook when a request panics, or when the process ends before
    /// the request does. It still leaves its line, and its record if it went on without its client.
    fn drop(&mut self) {
        if let Some(client) = self.client.clone() {
            self.end();
            client.finish();
        } else {
            self.end();
        }
    }
}

impl Context {
    fn end(&mut self) {
        if self.observed {
            return;
        }
        if std::thread::panicking() {
            self.note_panic();
        } else if !self.progress.recorded && self.has_no_client() && self.is_finished_alone() {
            Arc::clone(&self.proxy).record_abort(self, Abort::CutOff);
        }
        self.observe(None);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Now, on the machine's clock.
pub(super) fn now() -> Micros {
    use common::time::Clock as _;
    common::time::SystemClock.now()
}
