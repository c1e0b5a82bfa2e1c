//! A process that has its addresses: from the first question of an operator to the last answer to a
//! client.

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    sync::Arc,
};

use common::listen::descriptors;
use tokio::{runtime::Runtime, sync::watch};
use tracing::info;

use super::{
    StartError,
    boot::Booted,
    ingress::{self, Doors, Workers},
    memory,
    shutdown::Shutdown,
    signals::EndRequests,
    upgrade::{Host, Sockets},
};
use crate::{
    admin::{self, Serving, Started},
    certificate::CertificateKeeper,
    config::{ProcessSettings, ProcessTls, watch::Watcher},
    decision::{self, Signals},
    listen::Listeners,
    runtime::Gateway,
};

/// File descriptors that the runtime of a thread takes for itself.
const DESCRIPTORS_PER_THREAD: usize = 4;

/// A process that listens on its addresses.
pub(super) struct Listening<'a> {
    clients: Vec<TcpListener>,
    upgrade: UnixListener,
    decision: Option<TcpListener>,
    decision_grpc: Option<TcpListener>,
    host: Host,
    started: Started,
    process: &'a ProcessSettings,
    end_requests: EndRequests,
}

impl<'a> Listening<'a> {
    /// Answers operators from now on.
    pub(super) fn open(
        background: &Runtime,
        sockets: Sockets,
        process: &'a ProcessSettings,
        end_requests: &EndRequests,
    ) -> Result<Self, StartError> {
        let listen = sockets.clients.iter().map(TcpListener::local_addr).collect::<std::io::Result<Vec<_>>>()?;
        let admin = sockets.operators.local_addr()?;
        let decision = sockets.decision.as_ref().map(TcpListener::local_addr).transpose()?;
        let decision_grpc = sockets.decision_grpc.as_ref().map(TcpListener::local_addr).transpose()?;
        info!(
            event = "listening",
            listen = listen.first().map(tracing::field::display),
            further = (listen.len() > 1).then(|| in_a_row(&listen[1..])),
            %admin,
            decision = decision.map(tracing::field::display),
            decision_grpc = decision_grpc.map(tracing::field::display),
            name = process.name
        );
        let host = Host::new(&sockets, process.upgrade_socket.clone())?;
        let Sockets { clients, operators, upgrade, decision, decision_grpc } = sockets;
        let started = Started::default();
        let handover = Arc::clone(host.handover());
        let over = async move { handover.taken().await };
        let tls = process.admin_tls.as_ref().map(|ProcessTls(tls)| Arc::clone(tls));
        background.spawn(admin::serve(operators, tls, Arc::clone(&started), over));
        let end_requests = end_requests.clone();
        Ok(Self { clients, upgrade, decision, decision_grpc, host, started, process, end_requests })
    }

    /// Ends without having served.
    pub(super) fn abandon(self) {
        remove_upgrade_socket(self.process);
    }

    /// Serves clients; `before` has the last word.
    pub(super) fn serve(
        self,
        background: &Runtime,
        booted: Booted,
        watcher: Watcher,
        before: impl FnOnce() -> Result<(), StartError>,
    ) -> Result<(), StartError> {
        let Booted { gateway, proxy, listeners, certificates, sink, bank, decision, tasks } = booted;
        let room = Room::new(self.process);
        let _ = self.started.set(Serving { gateway: Arc::clone(&gateway), sink, bank });
        follow_file(background, watcher, &gateway, &listeners, certificates);
        background.spawn(memory::give_back());
        let handover = Arc::clone(self.host.handover());
        background.spawn(self.host.run(self.upgrade));

        let ProcessSettings { upgrade_drain: drain, drain_delay, threads, idle_connections, .. } = *self.process;
        let end_requests = self.end_requests;
        let (stop, closing) = (watch::Sender::new(false), watch::Sender::new(false));
        let signals = Signals { stopped: stop.subscribe(), closing: closing.subscribe() };
        let connections = gateway.live().connections;
        let decisions = decision.zip(self.process.decision.as_ref()).map(|(decision, settings)| {
            let limits = connections.limits(room.decisions);
            let _followed_there = background.enter();
            let guards = decision::Guards::start(limits, connections.deadlines, settings.tls.as_ref());
            decision::Server::new(decision, settings.threads, guards, self.decision, self.decision_grpc)
        });
        let asking = decisions.as_ref().map(decision::Server::connections);
        let mut running = None;
        let before = || {
            before()?;
            running = decisions.map(|decisions| decisions.start(&signals)).transpose()?;
            Ok(())
        };
        let shutdown = |clients| Shutdown {
            proxy: Arc::clone(&proxy),
            handover: Arc::clone(&handover),
            end_requests,
            drain_delay,
            drain,
            connections: asking.into_iter().chain([clients]).collect(),
            closing,
            stop,
        };
        let closing = signals.closing.clone();
        let doors = Doors { sockets: self.clients, listeners };
        let workers = Workers { threads, idle_connections };
        let served = ingress::serve(doors, &workers, &proxy, room.clients, closing, shutdown, before);
        if let Some(running) = running {
            running.finish();
        }
        background.block_on(tasks.finish());
        if served.is_ok() && !handover.is_taken() {
            remove_upgrade_socket(self.process);
        }
        info!(event = "ended");
        served
    }
}

/// Connections of each kind that the file descriptors suffice for.
struct Room {
    clients: usize,
    decisions: usize,
}

impl Room {
    /// Each client may need a connection to an upstream; those who ask for decisions need none.
    fn new(process: &ProcessSettings) -> Self {
        let deciding = process.decision.as_ref().map_or(0, |decision| decision.threads);
        let all = descriptors::room((process.threads + deciding) * DESCRIPTORS_PER_THREAD).connections;
        let decisions = if deciding == 0 { 0 } else { all / 4 };
        Self { clients: (all - decisions) / 2, decisions }
    }
}

/// Removes the socket through which the next process would take over; whoever starts next would
/// remove it as well.
fn remove_upgrade_socket(process: &ProcessSettings) {
    let _ = std::fs::remove_file(&process.upgrade_socket);
}

/// Addresses as a log line shows them.
fn in_a_row(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn follow_file(
    background: &Runtime,
    watcher: Watcher,
    gateway: &Arc<Gateway>,
    listeners: &Arc<Listeners>,
    certificates: Arc<CertificateKeeper>,
) {
    let (gateway, listeners) = (Arc::clone(gateway), Arc::clone(listeners));
    background.spawn(watcher.run(move |settings| {
        let (gateway, listeners) = (Arc::clone(&gateway), Arc::clone(&listeners));
        let certificates = Arc::clone(&certificates);
        async move {
            gateway.apply(&settings).await;
            listeners.apply(&settings.listeners);
            certificates.apply(&settings.authorities);
        }
    }));
}
