//! Listeners, threads and connections of the decision API.
//!
//! Each thread has a runtime of its own and serves the connections that it accepted until they end:
//! a decision never changes threads. At the end no connection is accepted; those of HTTP/1 are told
//! to go with their next answer, those of gRPC at once, and idle ones are closed when nobody is
//! waited for any more.

use std::{
    error::Error,
    io,
    net::TcpListener as Socket,
    sync::Arc,
    thread::{self, JoinHandle},
};

use ::http::{Request, Response};
pub(crate) use common::listen::http::Signals;
use common::{
    listen::{
        ConnectionLimits, Connections, ListenerMetrics,
        http::{Deadlines, Guard, PacedBody, Protocol},
    },
    tls::ListenerTls,
};
use http_body::Body;
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use prometheus::IntGauge;
use tokio::{net::TcpListener, runtime::Builder};
use tracing::error;

use super::{decide::Decision, envoy, http};
use crate::{
    config::{DecisionTls, ProcessTls},
    metrics,
};

/// Room for the header of a request, in bytes; a larger one is answered 431.
const HEADER_MAX_BYTES: usize = 64 * 1024;

/// The decision API with its sockets, before it is started.
pub(crate) struct Server {
    decision: Arc<Decision>,
    threads: usize,
    guards: Guards,
    http: Option<Socket>,
    grpc: Option<Socket>,
}

/// Limits and TLS of both listeners. They count their connections together.
#[derive(Clone)]
pub(crate) struct Guards {
    http: Guard,
    grpc: Guard,
}

/// A decision API that is being served.
pub(crate) struct Running {
    decision: Arc<Decision>,
    threads: Vec<JoinHandle<()>>,
}

/// One thread's part.
struct Worker {
    decision: Arc<Decision>,
    http: Option<TcpListener>,
    grpc: Option<TcpListener>,
    guards: Guards,
    signals: Signals,
}

impl Server {
    pub(crate) const fn new(
        decision: Arc<Decision>,
        threads: usize,
        guards: Guards,
        http: Option<Socket>,
        grpc: Option<Socket>,
    ) -> Self {
        Self { decision, threads, guards, http, grpc }
    }
}

impl Guards {
    /// Limits on the connections of clients that ask for decisions, and TLS with them. Files of
    /// certificates are followed on the runtime that this is called on.
    pub(crate) fn start(limits: ConnectionLimits, deadlines: Deadlines, tls: Option<&DecisionTls>) -> Self {
        let open = metrics::gauge("tollgate_decision_connections", "Connections of those who ask for decisions");
        let connections = Connections::new(ListenerMetrics::new("decision", open));
        // Few proxies ask, each over many connections.
        let limits = ConnectionLimits { most_per_address: limits.most, ..limits };
        let listener = |setting: &str, tls: Option<&ProcessTls>| {
            let tls = tls.map(|ProcessTls(tls)| ListenerTls::start(setting, tls));
            Guard { connections: Arc::clone(&connections), limits, deadlines, tls }
        };
        let (http, grpc) = tls.map_or((None, None), |tls| (Some(&tls.http), Some(&tls.grpc)));
        Self { http: listener("decision.listen", http), grpc: listener("decision.grpc_listen", grpc) }
    }
}

impl Server {
    /// The gauge of open connections.
    pub(crate) fn connections(&self) -> IntGauge {
        self.guards.http.connections.gauge().clone()
    }

    /// Answers from now on.
    pub(crate) fn start(&self, signals: &Signals) -> io::Result<Running> {
        let threads = (0..self.threads).map(|_| self.spawn(signals)).collect::<io::Result<_>>()?;
        Ok(Running { decision: Arc::clone(&self.decision), threads })
    }

    fn spawn(&self, signals: &Signals) -> io::Result<JoinHandle<()>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let worker = Worker {
            decision: Arc::clone(&self.decision),
            http: self.http.as_ref().map(share).transpose()?,
            grpc: self.grpc.as_ref().map(share).transpose()?,
            guards: self.guards.clone(),
            signals: signals.clone(),
        };
        drop(inside);
        thread::Builder::new().name("decisions".into()).spawn(move || runtime.block_on(worker.run()))
    }
}

/// The same socket, for one more thread.
fn share(listener: &Socket) -> io::Result<TcpListener> {
    let listener = listener.try_clone()?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

impl Running {
    /// Waits until every connection has ended, and gives back what is still reserved.
    pub(crate) fn finish(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                error!(event = "decision_thread_panicked");
            }
        }
        self.decision.release();
    }
}

impl Worker {
    async fn run(self) {
        let Self { decision, http, grpc, guards, signals } = self;
        let asked = {
            let decision = Arc::clone(&decision);
            service_fn(move |request| http::answer(Arc::clone(&decision), request))
        };
        let (rate, metrics) = (guards.grpc.deadlines.body, guards.grpc.connections.metrics().clone());
        let asked_by_envoy = service_fn(move |request: Request<Incoming>| {
            let request = request.map(|body| PacedBody::new(body, rate, metrics.clone()));
            envoy::answer(Arc::clone(&decision), request)
        });
        let http_1 = Protocol::Http1 { header_bytes: HEADER_MAX_BYTES };
        tokio::join!(
            serve(http, guards.http, http_1, asked, signals.clone()),
            serve(grpc, guards.grpc, Protocol::Http2, asked_by_envoy, signals),
        );
    }
}

/// Serves a listener, if there is one.
async fn serve<S, B>(listener: Option<TcpListener>, guard: Guard, protocol: Protocol, service: S, signals: Signals)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + Send + 'static,
{
    if let Some(listener) = listener {
        common::listen::http::serve(listener, guard, protocol, service, signals).await;
    }
}
