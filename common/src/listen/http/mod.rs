//! Serving HTTP to others with hyper, upright: as many connections as there may be, each with
//! deadlines.
//!
//! A connection that waits for a request goes when its time is over, when it has to give way, or
//! when the server ends; one whose request is being answered goes when its client does not send the
//! body or does not read the answer. A client that has begun a request and does not complete its
//! header is told so (408); one that has sent nothing is not.

mod activity;
mod paced;
mod refusal;
#[cfg(test)]
mod tests;
mod transport;

use std::{
    error::Error,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use activity::{Activity, Busy, BusyBody, Over};
use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::{Service, service_fn},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use paced::Guarded;
pub use paced::{BodyTooSlow, PacedBody};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, error, warn};
use transport::Transport;

use super::{Close, Connection, ConnectionLimits, Connections, Pace, Rate};
use crate::tls::ListenerTls;

/// Pause before accepting again after the system refused.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Most time that a connection may take to close once asked to.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

/// Most time for requests in flight once idle connections are closed.
const FINISH_DEADLINE: Duration = Duration::from_secs(5);

/// Interval at which silent peers are asked whether they are still there (HTTP/2).
const PING_INTERVAL: Duration = Duration::from_mins(1);

/// Deadlines by which a client must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// For the whole header of a request, and for the first request of a connection.
    pub header: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For the body of a request.
    pub body: Rate,
    /// For reading the answer.
    pub send: Rate,
}

/// Limits that a listener puts on its clients.
#[derive(Clone)]
pub struct Guard {
    /// Open connections.
    pub connections: Arc<Connections>,
    /// Limits on their number.
    pub limits: ConnectionLimits,
    /// Deadlines of their clients.
    pub deadlines: Deadlines,
    /// TLS, if it is spoken.
    pub tls: Option<ListenerTls>,
}

/// Protocol spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.
    Http1 {
        /// Room for the header of a request, in bytes; a larger one is answered 431.
        header_bytes: usize,
    },
    /// HTTP/2 without TLS, as gRPC is spoken among servers.
    Http2,
}

/// Signals of a shutdown, in their order.
#[derive(Clone)]
pub struct Signals {
    /// True once no more connections may be accepted.
    pub stopped: watch::Receiver<bool>,
    /// True once idle connections may be closed.
    pub closing: watch::Receiver<bool>,
}

impl Default for Deadlines {
    fn default() -> Self {
        let rate = Rate { patience: Duration::from_secs(30), bytes_per_second: 500 };
        Self { header: Duration::from_secs(15), idle: Duration::from_secs(75), body: rate, send: rate }
    }
}

/// Serves the clients of a listener, whose addresses requests carry as extensions (`SocketAddr`),
/// until told to stop, then waits for those whose requests are being answered.
pub async fn serve<S, B>(listener: TcpListener, guard: Guard, protocol: Protocol, service: S, mut signals: Signals)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + Send + 'static,
{
    guard.connections.metrics().limit(guard.limits.most);
    let mut served = JoinSet::new();
    let for_each = signals.clone();
    let mut refused_accept = false;
    loop {
        tokio::select! {
            () = turned(&mut signals.stopped) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    refused_accept = false;
                    if let Some(client) = admit(&guard, protocol, stream, peer).await {
                        let (service, signals) = (service.clone(), for_each.clone());
                        let (deadlines, tls) = (guard.deadlines, guard.tls.clone());
                        served.spawn(async move {
                            if let Some(client) = shake_hands(client, tls.as_ref(), deadlines.header).await {
                                serve_one(client, deadlines, protocol, service, signals).await;
                            }
                        });
                    }
                }
                Err(reason) => {
                    if !std::mem::replace(&mut refused_accept, true) {
                        error!(%reason, "connections cannot be accepted");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = served.join_next(), if !served.is_empty() => {}
        }
    }
    drop(listener);
    let finished = async { while served.join_next().await.is_some() {} };
    let overdue = async {
        turned(&mut signals.closing).await;
        guard.connections.close_waiting();
        sleep(FINISH_DEADLINE).await;
    };
    tokio::select! {
        () = finished => {}
        () = overdue => warn!("requests are cut off"),
    }
}

/// Waits until the signal is true.
async fn turned(signal: &mut watch::Receiver<bool>) {
    // Fails only if the process has lost whoever would tell, and so ends as well.
    let _ = signal.wait_for(|turned| *turned).await;
}

/// A connection that is to be served.
struct Client<T = TcpStream> {
    stream: T,
    peer: SocketAddr,
    open: Connection,
}

async fn admit(guard: &Guard, protocol: Protocol, stream: TcpStream, peer: SocketAddr) -> Option<Client> {
    match guard.connections.admit(peer.ip(), guard.limits).await {
        Ok(open) => {
            let _ = stream.set_nodelay(true);
            Some(Client { stream, peer, open })
        }
        Err(refusal) => {
            debug!(%peer, reason = refusal.as_str(), "a connection was refused");
            if guard.tls.is_none() && matches!(protocol, Protocol::Http1 { .. }) {
                refusal::FULL.tell_at_once(&stream);
            }
            None
        }
    }
}

/// Shakes hands for TLS, if it is spoken. None if the client does not do its part, does it too
/// slowly, or has to give way.
async fn shake_hands(client: Client, tls: Option<&ListenerTls>, patience: Duration) -> Option<Client<Transport>> {
    let Client { stream, peer, open } = client;
    let Some(tls) = tls else {
        return Some(Client { stream: Transport::Tcp(stream), peer, open });
    };
    let accepted = tokio::select! {
        accepted = timeout(patience, tls.acceptor().accept(stream)) => accepted,
        () = poll_fn(|context| open.poll_leave(context)) => return None,
    };
    match accepted {
        Ok(Ok(stream)) => Some(Client { stream: Transport::Tls(Box::new(stream)), peer, open }),
        Ok(Err(reason)) => {
            debug!(event = "handshake_failed", %peer, error = %reason);
            open.metrics().closed(Close::HandshakeFailed);
            None
        }
        Err(_) => {
            open.metrics().closed(Close::HandshakeTimeout);
            None
        }
    }
}

async fn serve_one<S, B>(
    client: Client<Transport>,
    deadlines: Deadlines,
    protocol: Protocol,
    service: S,
    signals: Signals,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + Send + 'static,
{
    let Client { stream, peer, open } = client;
    let activity = Arc::new(Activity::new(open, deadlines, protocol == Protocol::Http2));
    let io = TokioIo::new(Guarded { stream, activity: Arc::clone(&activity), send: Pace::new(deadlines.send) });
    let begin = Arc::clone(&activity);
    // Boxed, so that a connection can be taken apart.
    let service = Box::new(service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let (busy, answered) = (Busy::new(&begin), service.call(request));
        async move { answered.await.map(|answer| answer.map(|body| BusyBody { body, _busy: busy })) }
    }));
    let outcome = match protocol {
        Protocol::Http1 { header_bytes } => {
            let mut builder = http1::Builder::new();
            let mut connection = builder.max_buf_size(header_bytes).serve_connection(io, service);
            match until_over(Pin::new(&mut connection), &activity, signals.closing).await {
                Ended::Itself(outcome) => outcome,
                Ended::Overdue => {
                    let parts = connection.into_parts();
                    // What came behind the last request is a request that has begun, too.
                    if !parts.read_buf.trim_ascii().is_empty() {
                        refusal::LATE.tell(parts.io.into_inner().stream).await;
                    }
                    Ok(())
                }
                Ended::Asked => {
                    Pin::new(&mut connection).graceful_shutdown();
                    finish(Pin::new(&mut connection), &activity).await
                }
            }
        }
        Protocol::Http2 => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).keep_alive_interval(PING_INTERVAL);
            let mut connection = pin!(builder.serve_connection(io, service));
            // Streams of one connection go on for as long as it lives: its end begins with the
            // server's.
            if let Ended::Itself(outcome) = until_over(connection.as_mut(), &activity, signals.stopped).await {
                outcome
            } else {
                connection.as_mut().graceful_shutdown();
                finish(connection, &activity).await
            }
        }
    };
    if let Err(reason) = outcome {
        debug!(%reason, "a connection broke off");
    }
}

/// The reason why a connection is no longer served.
enum Ended {
    /// It has ended by itself.
    Itself(hyper::Result<()>),
    /// It has to be closed.
    Asked,
    /// No request was complete in time.
    Overdue,
}

/// Serves a connection until it ends or has to be closed.
async fn until_over(
    connection: Pin<&mut impl Future<Output = hyper::Result<()>>>,
    activity: &Activity,
    mut ending: watch::Receiver<bool>,
) -> Ended {
    tokio::select! {
        biased;
        outcome = connection => Ended::Itself(outcome),
        () = turned(&mut ending) => Ended::Asked,
        over = activity.over() => match over {
            Over::Overdue => Ended::Overdue,
            Over::Displaced => Ended::Asked,
        },
    }
}

/// Waits for a connection that was asked to close, for as long as it has a request to answer.
async fn finish(
    mut connection: Pin<&mut impl Future<Output = hyper::Result<()>>>,
    activity: &Activity,
) -> hyper::Result<()> {
    loop {
        match timeout(CLOSE_DEADLINE, connection.as_mut()).await {
            Ok(outcome) => return outcome,
            Err(_) if activity.is_busy() => {}
            Err(_) => return Ok(()),
        }
    }
}
