//! What is known of one request on its way through the hooks.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use common::time::Micros;
use prometheus::IntGauge;

use super::{observe::Observer, upstream::Upstream};
use crate::{
    answer::{Code, Problem},
    auth::Caller,
    config::Route,
    limit::{Admission, Slots},
};

/// State of one request.
pub struct Context {
    /// When the gateway had read its header.
    pub(super) started: Instant,
    /// Its id, from the client or made here.
    pub(super) request_id: String,
    /// Who sent it, once known.
    pub(super) caller: Option<Caller>,
    /// Which route it takes, once known.
    pub(super) route: Option<Arc<Route>>,
    /// Where it goes, once admitted.
    pub(super) upstream: Option<Arc<Upstream>>,
    /// What it holds of the limits until it is answered.
    pub(super) admission: Option<Admission>,
    /// Keeps it counted as under way after that.
    pub(super) slots: Option<Slots>,
    /// Servers that were chosen for it, in order.
    pub(super) tried: Vec<SocketAddr>,
    /// Body bytes that came, and how many may.
    pub(super) body: BodyCount,
    /// Whether its usage record was written.
    pub(super) recorded: bool,
    /// What a hook failed with; the error that Pingora passes on carries no more than a status.
    pub(super) problem: Option<Problem>,
    /// The code it was answered with by the gateway itself.
    pub(super) code: Option<Code>,
    observer: Arc<Observer>,
    observed: bool,
    _in_flight: InFlight,
}

/// Body bytes that came, and how many may.
#[derive(Default)]
pub(super) struct BodyCount {
    pub(super) limit: Option<u64>,
    pub(super) received: u64,
}

/// Counts the request as in flight for as long as it lives, however it ends.
struct InFlight(IntGauge);

impl Context {
    pub(super) fn new(observer: &Arc<Observer>) -> Self {
        observer.in_flight.inc();
        Self {
            started: Instant::now(),
            request_id: String::new(),
            caller: None,
            route: None,
            upstream: None,
            admission: None,
            slots: None,
            tried: Vec::new(),
            body: BodyCount::default(),
            recorded: false,
            problem: None,
            code: None,
            observer: Arc::clone(observer),
            observed: false,
            _in_flight: InFlight(observer.in_flight.clone()),
        }
    }

    /// Remembers what a hook failed with and gives the error that makes Pingora end the request.
    #[expect(clippy::unnecessary_box_returns, reason = "Pingora's hooks return boxed errors")]
    pub(super) fn fail(&mut self, problem: Problem) -> Box<pingora_core::Error> {
        let status = problem.code().status().as_u16();
        let error = pingora_core::Error::explain(pingora_core::ErrorType::HTTPStatus(status), problem.code().as_str());
        self.problem = Some(problem);
        error.into_in()
    }

    /// Logs and counts the request, once.
    pub(super) fn observe(&mut self, request: Option<&super::observe::Exchange<'_>>) {
        if !std::mem::replace(&mut self.observed, true) {
            Arc::clone(&self.observer).observe(self, request);
        }
    }
}

impl Drop for Context {
    /// Pingora passes over the logging hook when a filter panics; the request still leaves its line.
    fn drop(&mut self) {
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
