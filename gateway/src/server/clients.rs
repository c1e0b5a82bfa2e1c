//! The clients of the proxy: from an accepted connection to its last answer.

use std::{net::IpAddr, sync::Arc, time::Instant};

use async_trait::async_trait;
use bytes::BytesMut;
use common::listen::{Connection as Open, Connections, Refusal};
use pingora_core::{
    apps::{HttpServerApp as _, ReusedHttpStream, ServerApp},
    protocols::{ALPN, Stream, http::ServerSession},
    server::ShutdownWatch,
};
use pingora_proxy::HttpProxy;
use tokio::sync::watch;

use crate::{
    answer::{Code, Problem},
    listen::{Connection, Exchange, Next, Refused, Returned, turn_away},
    lock::locked,
    proxy::{ClientStream, Hooks, Proxy, serve_request},
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

    /// Counts a connection, if there is room for it.
    async fn admit(&self, stream: &Stream) -> Result<Open, Refusal> {
        let peer = peer(stream);
        let live = self.proxy.gateway().live();
        let mut limits = live.connections.limits(self.room);
        // Behind a proxy there are many clients.
        if live.clients.trusted_proxies.iter().any(|network| network.contains(&peer)) {
            limits.most_per_address = usize::MAX;
        }
        drop(live);
        self.connections.admit(peer, limits).await
    }

    async fn serve(self: &Arc<Self>, mut connection: Box<Connection>, shutdown: &ShutdownWatch) {
        let (returned, client) = (Returned::default(), Arc::default());
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
                Some(found) => return found.close().await,
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

    async fn turn_away(stream: Stream, refusal: Refusal) {
        let detail = match refusal {
            Refusal::Full => {
                "the gateway has reached its limit of connections, and each of them has a request in progress"
            }
            Refusal::Address => {
                "your address has reached its limit of connections, and each of them has a request in progress"
            }
        };
        let problem = Problem::new(Code::TooManyConnections, detail).retry_after(1);
        turn_away(stream, &problem).await;
    }
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

/// The address at the other end; that of nobody for a connection that is not over IP.
fn peer(stream: &Stream) -> IpAddr {
    let digest = stream.get_socket_digest();
    let address = digest.as_ref().and_then(|digest| digest.peer_addr()).and_then(|address| address.as_inet());
    address.map_or(IpAddr::from([0, 0, 0, 0]), |address| address.ip().to_canonical())
}

#[async_trait]
impl ServerApp for Clients {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        match self.admit(&stream).await {
            Ok(open) => {
                if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
                    self.serve_http2(stream, BytesMut::new(), open, shutdown).await;
                    return None;
                }
                let live = self.proxy.gateway().live();
                // Over TLS, clients say in the handshake which protocol they speak.
                let takes_http2 = live.http2.without_tls && stream.get_ssl_digest().is_none();
                let mut connection = Connection::new(stream, open, live.connections.deadlines, live.sizes);
                drop(live);
                if takes_http2 {
                    connection.take_http2();
                }
                self.serve(Box::new(connection), shutdown).await;
            }
            Err(refusal) => Self::turn_away(stream, refusal).await,
        }
        None
    }

    /// Called when no more connections are accepted; closes the idle ones once nobody is waited
    /// for.
    async fn cleanup(&self) {
        let mut closing = self.closing.clone();
        // Fails only if the shutdown is gone, and with it whatever there was to wait for.
        let _ = closing.wait_for(|closing| *closing).await;
        self.connections.close_waiting();
        self.pingora.http_cleanup().await;
    }
}
