//! The clients of the proxy: from an accepted connection to its last answer.

use std::{
    future::{Future, poll_fn},
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Instant,
};

use bytes::BytesMut;
use common::{
    listen::{Close, Connection as Open, Connections, Refusal},
    origin,
};
use pingora_core::{
    apps::{HttpServerApp as _, ReusedHttpStream},
    protocols::{ALPN, Stream, http::ServerSession},
    server::ShutdownWatch,
};
use pingora_proxy::HttpProxy;
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant as Moment, sleep_until},
};
use tracing::debug;

use crate::{
    answer::{Code, Problem},
    listen::{
        Connection, Edge, Exchange, Listener, Next, Opened, Refused, Returned, Socket, proxy_protocol, turn_away,
    },
    lock::locked,
    proxy::{Client, ClientStream, Hooks, Proxy, serve_request},
    runtime::Live,
};

/// Seconds for which Pingora waits for a header that has been read already.
const HEADER_SECONDS: u64 = 60;

/// The proxy behind its clients' connections.
///
/// Pingora closes idle connections as soon as the listener is closed; a request that is on its way
/// then is lost. While another process serves in our place, each client is told to go with its next
/// answer instead.
pub(super) struct Clients {
    pub(super) pingora: Arc<HttpProxy<Hooks>>,
    pub(super) proxy: Arc<Proxy>,
    connections: Arc<Connections>,
    /// Connections that descriptors suffice for.
    room: usize,
    /// True once idle connections may be closed.
    closing: watch::Receiver<bool>,
}

impl Clients {
    pub(super) fn new(
        pingora: HttpProxy<Hooks>,
        proxy: Arc<Proxy>,
        connections: Arc<Connections>,
        room: usize,
        closing: watch::Receiver<bool>,
    ) -> Self {
        Self { pingora: Arc::new(pingora), proxy, connections, room, closing }
    }

    /// Serves a connection that was accepted on `listener`, to its end.
    pub(super) async fn welcome(
        self: &Arc<Self>,
        listener: &Listener,
        stream: std::net::TcpStream,
        peer: SocketAddr,
        shutdown: &ShutdownWatch,
    ) {
        // Fails only without a runtime, or without descriptors.
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        let (edge, socket) = (listener.edge(), Socket::new(stream, peer));
        let open = match self.admit(peer.ip()).await {
            Ok(open) => open,
            Err(refusal) => return Self::turn_away(socket, &edge, refusal).await,
        };
        if let Some((stream, open)) = self.open(socket, open, &edge).await {
            self.serve_stream(stream, open, &edge, shutdown).await;
        }
    }

    /// Counts a connection, if there is room for it.
    async fn admit(&self, client: IpAddr) -> Result<Open, Refusal> {
        let live = self.proxy.gateway().live();
        let mut limits = live.connections.limits(self.room);
        // Behind a proxy there are many clients.
        if is_trusted(&live, client) {
            limits.most_per_address = usize::MAX;
        }
        drop(live);
        self.connections.admit(client.to_canonical(), limits).await
    }

    /// Takes the PROXY header off a connection and shakes hands for TLS, where the listener asks
    /// for them. None if the client does not do its part, does it too slowly, or has to give way.
    async fn open(&self, mut socket: Socket, mut open: Open, edge: &Edge) -> Option<(Stream, Open)> {
        if edge.is_bare() {
            return ready(edge.open(socket).await, open).await;
        }
        let live = self.proxy.gateway().live();
        let deadline = Moment::now() + live.connections.deadlines.header;
        if edge.settings.proxy_protocol && is_trusted(&live, socket.peer()) {
            let client = in_time(&open, deadline, proxy_protocol::read(&mut socket)).await?;
            if let Some(client) = client.map_err(|error| fail(&open, &error)).ok()? {
                // From here on, the client counts, and not the proxy.
                drop(open);
                open = self.admit(client.ip()).await.ok()?;
            }
        }
        drop(live);
        let opened = in_time(&open, deadline, edge.open(socket)).await?;
        ready(opened, open).await
    }

    /// Serves the requests of an open connection.
    async fn serve_stream(self: &Arc<Self>, stream: Stream, open: Open, edge: &Edge, shutdown: &ShutdownWatch) {
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            return self.serve_http2(stream, BytesMut::new(), open, shutdown).await;
        }
        let live = self.proxy.gateway().live();
        let takes_http2 = edge.takes_http2_without_tls(live.http2.without_tls);
        let mut connection = Connection::new(stream, open, live.connections.deadlines, live.sizes);
        drop(live);
        if takes_http2 {
            connection.take_http2();
        }
        let client = Arc::new(Client::of_listener(edge.settings.redirect_port));
        self.serve(Box::new(connection), client, shutdown).await;
    }

    async fn serve(self: &Arc<Self>, mut connection: Box<Connection>, client: Arc<Client>, shutdown: &ShutdownWatch) {
        let returned = Returned::default();
        let mut lent = None;
        loop {
            match connection.next(lent.is_none()).await {
                Next::Request => {}
                Next::Refused(refused) => return self.refuse(connection, &refused).await,
                Next::Http2 => {
                    let (stream, ahead, open) = connection.into_parts();
                    return self.serve_http2(stream, ahead, open, shutdown).await;
                }
                Next::Nothing => return connection.close().await,
            }
            let exchange = renew(lent.take(), connection, &returned);
            let mut session = ServerSession::new_http1(Box::new(ClientStream::of(exchange, Arc::clone(&client))));
            session.set_keepalive(Some(HEADER_SECONDS));
            // A client that ends its side may still wait for the answer.
            session.set_abort_on_close(false);
            // Bodies are timed by the connection itself.
            session.set_read_timeout(None);
            let request = self.pingora.process_new_http(session, shutdown);
            let reused = serve_request(Some(Arc::clone(&client)), request).await;
            let (found, is_kept) = match reused.and_then(exchange_of) {
                Some(mut exchange) => {
                    let connection = exchange.take();
                    lent = Some(exchange);
                    (connection, true)
                }
                None => (locked(&returned).take(), false),
            };
            match found {
                Some(found) if is_kept && found.is_read() => connection = found,
                Some(mut found) => {
                    if let Some(bytes) = client.farewell() {
                        found.say_farewell(&bytes).await;
                    }
                    return found.close().await;
                }
                None => return,
            }
        }
    }

    async fn refuse(&self, mut connection: Box<Connection>, refused: &Refused) {
        let started = Instant::now();
        let request_id = common::origin::request_id(None);
        let is_sent = connection.answer(refused, &request_id).await;
        let status = if is_sent { refused.problem.code().status().as_u16() } else { 0 };
        self.proxy.observe_malformed(&request_id, &refused.problem, status, started);
        connection.close().await;
    }

    /// Tells a client for which there is no room, unless that took a handshake.
    async fn turn_away(socket: Socket, edge: &Edge, refusal: Refusal) {
        if edge.settings.tls.is_some() {
            return;
        }
        let detail = match refusal {
            Refusal::Full => {
                "the gateway has reached its limit of connections, and each of them has a request in progress"
            }
            Refusal::Address => {
                "your address has reached its limit of connections, and each of them has a request in progress"
            }
        };
        let problem = Problem::new(Code::TooManyConnections, detail).retry_after(1);
        turn_away(Box::new(socket), &problem).await;
    }

    /// Called when no more connections are accepted; closes the idle ones once nobody is waited
    /// for.
    pub(super) async fn cleanup(&self) {
        let mut closing = self.closing.clone();
        // Fails only if the shutdown is gone, and with it whatever there was to wait for.
        let _ = closing.wait_for(|closing| *closing).await;
        self.connections.close_waiting();
        self.pingora.http_cleanup().await;
    }
}

fn is_trusted(live: &Live, address: IpAddr) -> bool {
    origin::is_trusted(address, &live.clients.trusted_proxies)
}

/// The outcome of a step before the first request; none if the client takes too long or has to give
/// way to another.
async fn in_time<T>(open: &Open, deadline: Moment, step: impl Future<Output = T>) -> Option<T> {
    let (mut step, mut overdue) = (pin!(step), pin!(sleep_until(deadline)));
    poll_fn(|context| {
        if let Poll::Ready(outcome) = step.as_mut().poll(context) {
            return Poll::Ready(Some(outcome));
        }
        if open.poll_leave(context).is_ready() {
            return Poll::Ready(None);
        }
        if overdue.as_mut().poll(context).is_ready() {
            open.metrics().closed(Close::HandshakeTimeout);
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}

/// The connection, if it is ready for requests. A client that does not speak TLS is told to.
async fn ready(opened: pingora_core::Result<Opened>, open: Open) -> Option<(Stream, Open)> {
    match opened {
        Ok(Opened::Ready(stream)) => return Some((stream, open)),
        Ok(Opened::Unused) => {}
        Ok(Opened::NotTls(socket)) => {
            fail(&open, &"not a handshake of TLS");
            let problem = Problem::new(Code::InvalidRequest, "this address speaks TLS: use https://");
            turn_away(Box::new(socket), &problem).await;
        }
        Err(error) => fail(&open, &error),
    }
    None
}

/// Counts a connection whose client did not do its part before the first request.
fn fail(open: &Open, reason: &dyn std::fmt::Display) {
    open.metrics().closed(Close::HandshakeFailed);
    debug!(event = "handshake_failed", error = %reason);
}

#[expect(clippy::unnecessary_box_returns, reason = "the box is what is kept from request to request")]
/// The connection as Pingora sees it, in the same box as the last time.
fn renew(lent: Option<Box<Exchange>>, connection: Box<Connection>, returned: &Returned) -> Box<Exchange> {
    match lent {
        Some(mut lent) => {
            lent.renew(connection);
            lent
        }
        None => Box::new(Exchange::new(connection, Arc::clone(returned))),
    }
}

/// Takes back the exchange that Pingora was lent.
fn exchange_of(reused: ReusedHttpStream) -> Option<Box<Exchange>> {
    let stream = reused.consume().0.into_any().downcast::<ClientStream>().ok()?;
    stream.into_inner().into_any().downcast().ok()
}
