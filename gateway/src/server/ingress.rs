//! Accepting clients with Pingora on a socket that was bound beforehand, until told to stop.

use std::{net::TcpListener, os::fd::IntoRawFd as _, sync::Arc};

use async_trait::async_trait;
use pingora_core::{
    apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp},
    protocols::{
        Stream,
        http::{ServerSession, v2::server::H2Options},
    },
    server::{ListenFds, RunArgs, Server, ShutdownWatch, configuration::ServerConf},
    services::{Service as PingoraService, listening::Service},
};
use pingora_proxy::{HttpProxy, http_proxy};
use prometheus::IntGauge;
use tokio::sync::watch;

use super::shutdown::Shutdown;
use crate::{
    metrics,
    proxy::{Client, ClientStream, Proxy, serve_request},
};

/// Idle connections kept open to upstreams; fewer than there are concurrent requests costs a third of throughput.
const UPSTREAM_POOL_SIZE: usize = 1_024;

/// Pingora's service, fed with a bound socket and with a stop signal of our own.
///
/// Pingora would wait a fixed time between closing the listener and ending. With a signal of its own, the listener
/// closes first, and the end comes as soon as no request is in flight.
struct Ingress {
    service: Service<Clients>,
    address: String,
    socket: Option<TcpListener>,
    stopped: watch::Receiver<bool>,
}

/// Gives each connection a stream that can outlive its client.
struct Clients(Arc<Connections>);

/// The proxy, with its clients' connections counted and kept for as long as their owners may still use them.
///
/// Pingora closes idle connections as soon as the listener is closed; a request that is on its way then is lost. While
/// another process serves in our place, each client is told to go with its next answer instead.
struct Connections {
    proxy: Arc<HttpProxy<Proxy>>,
    open: IntGauge,
    /// True once idle connections may be closed.
    closing: watch::Receiver<bool>,
}

/// Counts a connection as open.
struct Open(IntGauge);

/// Serves clients on `socket` until the process is told to end, or was taken over, and its requests are answered.
/// `before` has the last word: if it fails, nobody is served.
pub(super) fn serve<E: From<std::io::Error>>(
    socket: TcpListener,
    threads: usize,
    proxy: Proxy,
    closing: watch::Receiver<bool>,
    shutdown: impl FnOnce(IntGauge) -> Shutdown,
    before: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    let address = socket.local_addr()?.to_string();
    socket.set_nonblocking(true)?;
    let configuration = ServerConf {
        threads,
        work_stealing: false,
        upstream_keepalive_pool_size: UPSTREAM_POOL_SIZE,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();
    let open = metrics::gauge("tollgate_http_connections", "Connections of clients");
    let proxy = Arc::new(http_proxy(&server.configuration, proxy));
    let mut service =
        Service::new("clients".into(), Clients(Arc::new(Connections { proxy, open: open.clone(), closing })));
    service.add_tcp(&address);
    let shutdown = shutdown(open);
    server.add_service(Ingress { service, address, socket: Some(socket), stopped: shutdown.stopped() });
    before()?;
    server.run(RunArgs { shutdown_signal: Box::new(shutdown) });
    Ok(())
}

#[async_trait]
impl PingoraService for Ingress {
    async fn start_service(&mut self, sockets: Option<ListenFds>, _shutdown: ShutdownWatch, listeners_per_fd: usize) {
        // Pingora takes sockets from a previous process out of this table; ours comes from this one.
        if let (Some(table), Some(socket)) = (&sockets, self.socket.take()) {
            table.lock().add(self.address.clone(), socket.into_raw_fd());
        }
        PingoraService::start_service(&mut self.service, sockets, self.stopped.clone(), listeners_per_fd).await;
    }

    fn name(&self) -> &'static str {
        "ingress"
    }
}

#[async_trait]
impl ServerApp for Clients {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        self.0.process_new(Box::new(ClientStream::new(stream)), shutdown).await
    }

    async fn cleanup(&self) {
        self.0.cleanup().await;
    }
}

#[async_trait]
impl HttpServerApp for Connections {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let _open = Open::new(&self.open);
        let client = session.stream().and_then(Client::of_stream);
        serve_request(client, self.proxy.process_new_http(session, shutdown)).await
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.proxy.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.proxy.server_options()
    }

    /// Called when no more connections are accepted; closes the idle ones once nobody is waited for.
    async fn http_cleanup(&self) {
        let mut closing = self.closing.clone();
        // Fails only if the shutdown is gone, and with it whatever there was to wait for.
        let _ = closing.wait_for(|closing| *closing).await;
        self.proxy.http_cleanup().await;
    }
}

impl Open {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
