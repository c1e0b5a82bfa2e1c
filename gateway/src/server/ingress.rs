//! Accepting clients with Pingora on a socket that was bound beforehand, until told to stop.

use std::{net::TcpListener, os::fd::IntoRawFd as _, sync::Arc};

use async_trait::async_trait;
use pingora_core::{
    server::{ListenFds, RunArgs, Server, ShutdownWatch, configuration::ServerConf},
    services::{Service as PingoraService, listening::Service},
};
use pingora_proxy::{HttpProxy, http_proxy_service};
use tokio::sync::watch;

use super::shutdown::Shutdown;
use crate::proxy::Proxy;

/// Idle connections kept open to upstreams; fewer than there are concurrent requests costs a third of throughput.
const UPSTREAM_POOL_SIZE: usize = 1_024;

/// Pingora's service, fed with a bound socket and with a stop signal of our own.
///
/// Pingora would wait a fixed time between closing the listener and ending. With a signal of its own, the listener
/// closes first, and the end comes as soon as no request is in flight.
struct Ingress {
    service: Service<HttpProxy<Proxy>>,
    address: String,
    socket: Option<TcpListener>,
    stopped: watch::Receiver<bool>,
}

/// Serves clients on `socket` until the process is told to end and its requests are answered.
pub(super) fn serve(socket: TcpListener, threads: usize, proxy: Proxy) -> std::io::Result<()> {
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
    let gateway = Arc::clone(&proxy.0);
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, proxy);
    service.add_tcp(&address);
    let (stop, stopped) = watch::channel(false);
    server.add_service(Ingress { service, address, socket: Some(socket), stopped });
    server.run(RunArgs { shutdown_signal: Box::new(Shutdown { gateway, stop }) });
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
