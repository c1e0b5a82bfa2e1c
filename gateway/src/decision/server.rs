//! Listeners, threads and connections of the decision API.
//!
//! Each thread has a runtime of its own and serves the connections that it accepted until they end: a decision never
//! changes threads. At the end no connection is accepted; those of HTTP/1 are told to go with their next answer, those of
//! gRPC at once, and idle ones are closed when nobody is waited for any more.

use std::{
    future::Future,
    io,
    net::TcpListener,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prometheus::IntGauge;
use tokio::{net::TcpStream, runtime::Builder, sync::watch, task::JoinSet, time::sleep};
use tracing::{debug, error, warn};

use super::{Decision, envoy, http};
use crate::{metrics, outage::Outage};

/// Room for the header of a request, in bytes; a larger one is answered 431.
const HEADER_MAX_BYTES: usize = 64 * 1024;

/// A connection of HTTP/1 that asked nothing for this long, and up to twice as long, is closed.
const IDLE_TIMEOUT: Duration = Duration::from_mins(2);

/// How often peers that say nothing are asked whether they are still there (gRPC).
const PING_INTERVAL: Duration = Duration::from_mins(1);

/// How long to wait before accepting again when the system refused.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long requests in flight may take once idle connections are closed.
const FINISH_DEADLINE: Duration = Duration::from_secs(5);

/// What is to be served, and where.
pub(crate) struct Server {
    decision: Arc<Decision>,
    threads: usize,
    http: Option<TcpListener>,
    grpc: Option<TcpListener>,
    connections: IntGauge,
}

/// How far the end has come.
#[derive(Clone)]
pub(crate) struct Signals {
    /// True once no more connections may be accepted.
    pub(crate) stopped: watch::Receiver<bool>,
    /// True once idle connections may be closed.
    pub(crate) closing: watch::Receiver<bool>,
}

/// A decision API that is being served.
pub(crate) struct Running {
    decision: Arc<Decision>,
    threads: Vec<JoinHandle<()>>,
}

/// One thread's part.
struct Worker {
    decision: Arc<Decision>,
    http: Option<tokio::net::TcpListener>,
    grpc: Option<tokio::net::TcpListener>,
    connections: IntGauge,
    signals: Signals,
}

/// Counts a connection for as long as it is there.
struct Counted(IntGauge);

impl Server {
    pub(crate) fn new(
        decision: Arc<Decision>,
        threads: usize,
        http: Option<TcpListener>,
        grpc: Option<TcpListener>,
    ) -> Self {
        let connections = metrics::gauge("tollgate_decision_connections", "Connections of those who ask for decisions");
        Self { decision, threads, http, grpc, connections }
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> IntGauge {
        self.connections.clone()
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
            connections: self.connections.clone(),
            signals: signals.clone(),
        };
        drop(inside);
        thread::Builder::new().name("decisions".into()).spawn(move || runtime.block_on(worker.run()))
    }
}

/// The same socket, for one more thread.
fn share(listener: &TcpListener) -> io::Result<tokio::net::TcpListener> {
    let listener = listener.try_clone()?;
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

impl Running {
    /// Waits until every connection has ended, and gives back what is still reserved.
    pub(crate) fn finish(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                error!("a thread of the decision API panicked");
            }
        }
        self.decision.release();
    }
}

impl Worker {
    async fn run(self) {
        let Self { decision, http, grpc, connections, signals } = self;
        let http = http.map(|listener| {
            let (decision, signals) = (Arc::clone(&decision), signals.clone());
            let connect = move |stream| serve_http(stream, Arc::clone(&decision), signals.closing.clone());
            (listener, connect)
        });
        let grpc = grpc.map(|listener| {
            let (decision, signals) = (Arc::clone(&decision), signals.clone());
            let connect = move |stream| serve_grpc(stream, Arc::clone(&decision), signals.stopped.clone());
            (listener, connect)
        });
        tokio::join!(accept(http, &connections, signals.clone()), accept(grpc, &connections, signals));
    }
}

/// Accepts connections until told to stop, then waits for them.
async fn accept<C: Future<Output = hyper::Result<()>> + Send + 'static>(
    listening: Option<(tokio::net::TcpListener, impl Fn(TcpStream) -> C)>,
    count: &IntGauge,
    mut signals: Signals,
) {
    let Some((listener, connect)) = listening else {
        return;
    };
    let outage = Outage::new("accepting connections of the decision API");
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = signals.stopped.wait_for(|stopped| *stopped) => break,
            accepted = listener.accept() => match accepted.and_then(|(stream, _)| stream.set_nodelay(true).map(|()| stream)) {
                Ok(stream) => {
                    outage.over();
                    let (counted, connection) = (Counted::new(count), connect(stream));
                    connections.spawn(async move {
                        let _counted = counted;
                        if let Err(reason) = connection.await {
                            debug!(%reason, "a connection of the decision API broke off");
                        }
                    });
                }
                Err(reason) => {
                    outage.failed(&reason);
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    let overdue = async {
        let _ = signals.closing.wait_for(|closing| *closing).await;
        sleep(FINISH_DEADLINE).await;
    };
    tokio::select! {
        () = finished => {}
        () = overdue => warn!("requests to the decision API are cut off"),
    }
}

async fn serve_http(
    stream: TcpStream,
    decision: Arc<Decision>,
    mut closing: watch::Receiver<bool>,
) -> hyper::Result<()> {
    let asked = Arc::new(AtomicBool::new(false));
    let asks = Arc::clone(&asked);
    let service = service_fn(move |request| {
        asks.store(true, Ordering::Relaxed);
        http::answer(Arc::clone(&decision), request)
    });
    let mut connection = pin!(
        http1::Builder::new()
            .max_buf_size(HEADER_MAX_BYTES)
            .pipeline_flush(true)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = async {
        // Fails only if the process has lost whoever would tell, and so ends as well.
        let _ = closing.wait_for(|closing| *closing).await;
    };
    tokio::select! {
        biased;
        outcome = connection.as_mut() => return outcome,
        () = ended => {}
        () = idle(&asked) => {}
    }
    Pin::as_mut(&mut connection).graceful_shutdown();
    connection.await
}

/// Ends when nothing was asked for long.
async fn idle(asked: &AtomicBool) {
    loop {
        sleep(IDLE_TIMEOUT).await;
        if !asked.swap(false, Ordering::Relaxed) {
            return;
        }
    }
}

async fn serve_grpc(
    stream: TcpStream,
    decision: Arc<Decision>,
    mut stopped: watch::Receiver<bool>,
) -> hyper::Result<()> {
    let service = service_fn(move |request| envoy::answer(Arc::clone(&decision), request));
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        biased;
        outcome = connection.as_mut() => return outcome,
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

// === impl Counted ===

impl Counted {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
