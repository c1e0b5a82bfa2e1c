//! Accepting clients on sockets that were bound beforehand, until told to stop, on the threads that
//! Pingora keeps.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use common::listen::{Connections, ListenerMetrics};
use pingora_core::{
    server::{ListenFds, RunArgs, Server, ShutdownWatch, configuration::ServerConf},
    services::Service as PingoraService,
};
use pingora_proxy::http_proxy;
use pingora_runtime::current_handle;
use prometheus::IntGauge;
use tokio::{sync::watch, task::JoinSet, time::sleep};
use tracing::{error, warn};

use super::{clients::Clients, shutdown::Shutdown};
use crate::{
    listen::{Listener, Listeners},
    metrics,
    proxy::{Hooks, Proxy},
};

/// Pause before accepting again after the system refused.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The sockets of the listeners, in the order of the listeners.
pub(super) struct Doors {
    pub(super) sockets: Vec<TcpListener>,
    pub(super) listeners: Arc<Listeners>,
}

/// The threads that serve clients, and what they keep.
pub(super) struct Workers {
    pub(super) threads: usize,
    /// Most idle connections that are kept open to upstreams.
    pub(super) idle_connections: usize,
}

/// A service of Pingora with accept loops and a stop signal of our own.
///
/// Pingora would wait a fixed time between closing the listeners and ending. With a signal of its
/// own, the listeners close first, and the end comes as soon as no request is in flight.
struct Ingress {
    clients: Arc<Clients>,
    sockets: Vec<(TcpListener, Arc<Listener>)>,
    stopped: watch::Receiver<bool>,
}

/// Serves clients on `doors` until the process is told to end, or was taken over, and its requests
/// are answered. `room` is how many connections of clients descriptors suffice for. `before` has
/// the last word: if it fails, nobody is served.
pub(super) fn serve<E: From<std::io::Error>>(
    doors: Doors,
    workers: &Workers,
    proxy: &Arc<Proxy>,
    room: usize,
    closing: watch::Receiver<bool>,
    shutdown: impl FnOnce(IntGauge) -> Shutdown,
    before: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    for socket in &doors.sockets {
        socket.set_nonblocking(true)?;
    }
    let configuration = ServerConf {
        threads: workers.threads,
        work_stealing: false,
        upstream_keepalive_pool_size: workers.idle_connections.min(room.max(1)),
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
    let clients = Arc::new(Clients::new(pingora, Arc::clone(proxy), connections, room, closing));
    let sockets = doors.sockets.into_iter().zip(doors.listeners.iter().cloned()).collect();
    let shutdown = shutdown(open);
    server.add_service(Ingress { clients, sockets, stopped: shutdown.stopped() });
    before()?;
    server.run(RunArgs { shutdown_signal: Box::new(shutdown) });
    Ok(())
}

#[async_trait]
impl PingoraService for Ingress {
    async fn start_service(&mut self, _sockets: Option<ListenFds>, _shutdown: ShutdownWatch, _per_socket: usize) {
        let mut accepting = JoinSet::new();
        for (socket, listener) in self.sockets.drain(..) {
            let (clients, stopped) = (Arc::clone(&self.clients), self.stopped.clone());
            accepting.spawn_on(accept(socket, listener, clients, stopped), &current_handle());
        }
        while accepting.join_next().await.is_some() {}
        self.clients.cleanup().await;
    }

    fn name(&self) -> &'static str {
        "ingress"
    }
}

/// Hands each new connection to one of the threads, until stopped.
async fn accept(
    socket: TcpListener,
    listener: Arc<Listener>,
    clients: Arc<Clients>,
    mut stopped: watch::Receiver<bool>,
) {
    let socket = match tokio::net::TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(reason) => return error!(event = "listener_not_served", error = %reason),
    };
    let shutdown = stopped.clone();
    let mut is_refused = false;
    loop {
        let accepted = tokio::select! {
            // Fails only if the shutdown is gone, and with it whoever would be served.
            _ = stopped.wait_for(|stopped| *stopped) => return,
            accepted = accept_one(&socket) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                is_refused = false;
                let (clients, listener, shutdown) = (Arc::clone(&clients), Arc::clone(&listener), shutdown.clone());
                current_handle().spawn(async move { clients.welcome(&listener, stream, peer, &shutdown).await });
            }
            // The client was gone before it was accepted.
            Err(reason) if reason.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(reason) => {
                if !std::mem::replace(&mut is_refused, true) {
                    error!(event = "connections_not_accepted", error = %reason);
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The next connection, without a runtime: the thread that serves it is to hear of its bytes itself,
/// not through the one that accepts.
async fn accept_one(socket: &tokio::net::TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = socket.accept().await?;
    Ok((stream.into_std()?, peer))
}
