//! Accepting clients with Pingora on a socket that was bound beforehand, until told to stop.

use std::{net::TcpListener, os::fd::IntoRawFd as _, sync::Arc};

use async_trait::async_trait;
use common::listen::{Connections, ListenerMetrics};
use pingora_core::{
    server::{ListenFds, RunArgs, Server, ShutdownWatch, configuration::ServerConf},
    services::{Service as PingoraService, listening::Service},
};
use pingora_proxy::http_proxy;
use prometheus::IntGauge;
use tokio::sync::watch;
use tracing::warn;

use super::{clients::Clients, shutdown::Shutdown};
use crate::{
    metrics,
    proxy::{Hooks, Proxy},
};

/// Idle connections kept open to upstreams; fewer than there are concurrent requests costs a third
/// of throughput.
const UPSTREAM_POOL_SIZE: usize = 1_024;

/// Pingora's service, fed with a bound socket and with a stop signal of our own.
///
/// Pingora would wait a fixed time between closing the listener and ending. With a signal of its
/// own, the listener closes first, and the end comes as soon as no request is in flight.
struct Ingress {
    service: Service<Clients>,
    address: String,
    socket: Option<TcpListener>,
    stopped: watch::Receiver<bool>,
}

/// Serves clients on `socket` until the process is told to end, or was taken over, and its requests
/// are answered. `room` is how many connections of clients descriptors suffice for. `before` has
/// the last word: if it fails, nobody is served.
pub(super) fn serve<E: From<std::io::Error>>(
    socket: TcpListener,
    threads: usize,
    proxy: &Arc<Proxy>,
    room: usize,
    closing: watch::Receiver<bool>,
    shutdown: impl FnOnce(IntGauge) -> Shutdown,
    before: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    let address = socket.local_addr()?.to_string();
    socket.set_nonblocking(true)?;
    let configuration = ServerConf {
        threads,
        work_stealing: false,
        upstream_keepalive_pool_size: UPSTREAM_POOL_SIZE.min(room.max(1)),
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();
    let open = metrics::gauge("tollgate_http_connections", "Connections of clients");
    let connections = Connections::new(ListenerMetrics::new("clients", open.clone()));
    let wanted = proxy.gateway().live().connections.most;
    if wanted > room {
        warn!(event = "descriptors_too_few", wanted, allowed = room);
    }
    connections.metrics().limit(wanted.min(room));
    let pingora = http_proxy(&server.configuration, Hooks(Arc::clone(proxy)));
    let clients = Clients::new(pingora, Arc::clone(proxy), connections, room, closing);
    let mut service = Service::new("clients".into(), clients);
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
        // Pingora takes sockets from a previous process out of this table; ours comes from this
        // one.
        if let (Some(table), Some(socket)) = (&sockets, self.socket.take()) {
            table.lock().add(self.address.clone(), socket.into_raw_fd());
        }
        PingoraService::start_service(&mut self.service, sockets, self.stopped.clone(), listeners_per_fd).await;
    }

    fn name(&self) -> &'static str {
        "ingress"
    }
}
