//! The process around the request path: in which order it starts, and in which it ends.
//!
//! Start: addresses, journal, store, catalog, and only then the first request. End: no new
//! connections, requests in flight finish, the journal drains, quota in hand goes back. A start
//! that takes over from a running gateway boots first and asks for the addresses last.

mod boot;
mod catalog;
mod clients;
mod http2;
mod ingress;
mod logs;
mod memory;
mod origin;
mod shutdown;
mod signals;
mod sockets;
mod upgrade;

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    path::Path,
    sync::Arc,
};

use boot::Booted;
use common::{
    config::{self, ConfigError, Fault, environment},
    key::{Pepper, PepperError},
    listen::descriptors::{self, DescriptorLimit},
    store::StoreError,
    telemetry::show_process,
    tls,
};
use ingress::{Doors, Workers};
use origin::{Origin, inherit};
use rustix::{
    process::{getpriority_process, setpriority_process},
    thread::gettid,
};
use shutdown::Shutdown;
use signals::EndRequests;
pub use sockets::BindError;
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
};
use tracing::info;
pub use upgrade::UpgradeError;
use upgrade::{Host, Sockets};

use crate::{
    access_log::AccessLog,
    admin::{self, Serving, Started},
    certificate::CertificateKeeper,
    config::{Overrides, ProcessSettings, ProcessTls, ServerAddress, Settings, UsageSettings, watch::Watcher},
    decision::{self, Signals},
    limit::bank::BankError,
    listen::Listeners,
    meter::{OpenError, SinkError, journal_shortage},
    runtime::Gateway,
    upstream::{self, TrustError},
};

/// The reason for which a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// There is no pepper.
    #[error(transparent)]
    Pepper(#[from] PepperError),
    /// The store does not open.
    #[error("{0} (setting `store` or environment variable TOLLGATE_STORE)")]
    Store(#[from] StoreError),
    /// The journal does not open.
    #[error("cannot open the usage journal (setting `usage.journal`): {0}")]
    Journal(#[from] OpenError),
    /// The sink's address is none.
    #[error("cannot send usage (setting `usage`): {0}")]
    Sink(#[from] SinkError),
    /// The token bank's address is none.
    #[error("cannot share limits (setting `limits.redis`): {0}")]
    Bank(#[from] BankError),
    /// No hand-over from or to another process.
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    /// The certificates that the system trusts cannot be read.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// It would take over and could not serve.
    #[error("no server of essential upstream {silent} answers; the running gateway stays in service")]
    NotReady {
        /// Names of upstreams.
        silent: String,
    },
    /// The metrics do not fit together.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The operating system refused something basic.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

/// The content of a valid configuration file.
pub struct Checked {
    /// One line.
    pub summary: String,
    /// Findings that keep nobody from starting with it, and deserve a look.
    pub warnings: Vec<String>,
}

/// Checks a configuration file and says what it holds. Names of servers are looked up: one that
/// does not resolve is a warning, because it may by the time of the start.
pub fn check(file: &Path) -> Result<Checked, StartError> {
    let settings = Settings::load(file, &Overrides::from_environment())?;
    let (routes, upstreams) = (settings.routes.len(), settings.upstreams.len());
    let summary = format!("{}: ok, {routes} routes, {upstreams} upstreams", file.display());
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let unresolved = runtime.block_on(upstream::unresolved(&settings.upstreams));
    // A look-up that hangs is not waited for.
    runtime.shutdown_background();
    let shortage = journal_warning(&settings.process.usage);
    let name = |(upstream, server, reason): (Arc<str>, ServerAddress, String)| {
        format!("upstream `{upstream}`: `{server}` does not resolve, and is down until it does: {reason}")
    };
    let placed = settings.warnings.iter().map(|Fault { place, reason }| {
        format!("{}:{}:{}: warning: {reason}", file.display(), place.line, place.column)
    });
    let told = shortage.into_iter().chain(unresolved.into_iter().map(name));
    let told = told.map(|told| format!("{}: warning: {told}", file.display()));
    Ok(Checked { summary, warnings: placed.chain(told).collect() })
}

/// Tells if the disk cannot hold what the journal may take.
fn journal_warning(usage: &UsageSettings) -> Option<String> {
    let shortage = journal_shortage(&usage.journal, usage.journal_budget_bytes).ok().flatten()?;
    Some(format!(
        "the disk of {} lacks {shortage} bytes for `usage.journal_budget_mib: {}`; free some, or allow less",
        usage.journal.display(),
        usage.journal_budget_bytes / (1024 * 1024),
    ))
}

/// The origin of a gateway's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It takes them.
    Fresh,
    /// It takes them over from the gateway that is running.
    Upgrade,
}

/// File descriptors that the runtime of a thread takes for itself.
const DESCRIPTORS_PER_THREAD: usize = 4;

/// Niceness of the threads behind the request path, beyond that of the process. If both want the
/// same core, these threads get a third of its time.
const BACKGROUND_NICENESS: i32 = 5;

/// The nicest that a thread can be.
const NICENESS_MAX: i32 = 19;

/// Returns a function that lets its thread give way to requests: the work behind them can wait for
/// milliseconds. The niceness is relative to the thread which calls this, not to the one which
/// starts the new thread, as that may give way itself.
fn give_way() -> impl Fn() + Send + Sync {
    // On Linux, a thread has a priority of its own.
    let own = getpriority_process(Some(gettid()));
    move || {
        let niceness = |own: i32| (own + BACKGROUND_NICENESS).min(NICENESS_MAX);
        if let Err(error) = own.and_then(|own| setpriority_process(Some(gettid()), niceness(own))) {
            tracing::debug!(event = "priority_not_lowered", %error);
        }
    }
}

/// Runs a gateway until it is told to end, or taken over.
pub fn run(file: &Path, start: Start) -> Result<(), StartError> {
    let overrides = Overrides::from_environment();
    let text = config::read(file)?;
    let settings = Settings::parse(&text, &file.display().to_string(), &overrides)?;
    let pepper = Pepper::load(environment("TOLLGATE_PEPPER").as_deref(), settings.process.pepper_file.as_deref())?;
    let origin = Origin::of(start, &settings.process, file)?;

    logs::start();
    let (access_log, _last_lines) = AccessLog::start(std::io::stdout())?;
    show_process(prometheus::default_registry(), "gateway")?;
    tls::metrics::register(prometheus::default_registry())?;
    raise_descriptor_limit()?;
    // A second provider in the same process would be refused; either is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    upstream::check_system_trust()?;
    let background = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("background")
        .on_thread_start(give_way())
        .enable_all()
        .build()?;
    let end_requests = EndRequests::take(background.handle())?;
    let hangups = signals::take_hangups(background.handle())?;
    let watcher = Watcher::new(file.to_owned(), text, overrides, &settings, hangups);
    match origin {
        Origin::Bound(sockets) => {
            let listening = Listening::open(&background, sockets, &settings.process, &end_requests)?;
            let boot = unless_ended(&end_requests, boot::boot(&settings, &pepper, access_log));
            let Some(booted) = background.block_on(boot)? else {
                listening.abandon();
                return Ok(());
            };
            listening.serve(&background, booted, watcher, || Ok(()))
        }
        Origin::Claimed(mut claim) => {
            info!(event = "takeover_started", process = claim.process());
            let boot = async {
                let booted = boot::boot(&settings, &pepper, access_log).await?;
                boot::ready(&booted.gateway).await?;
                Ok(booted)
            };
            let Some(booted) = background.block_on(unless_ended(&end_requests, boot))? else { return Ok(()) };
            let sockets = inherit(claim.sockets()?, &settings.process, file)?;
            let listening = Listening::open(&background, sockets, &settings.process, &end_requests)?;
            listening.serve(&background, booted, watcher, || Ok(claim.take()?))
        }
    }
}

/// The gateway that `boot` makes; none if the process is told to end before. Nobody was served until
/// then: what was started is dropped.
async fn unless_ended(
    end_requests: &EndRequests,
    boot: impl Future<Output = Result<Booted, StartError>>,
) -> Result<Option<Booted>, StartError> {
    tokio::select! {
        booted = boot => booted.map(Some),
        () = end_requests.next() => {
            info!(event = "ended", cause = "told to end before it had started");
            Ok(None)
        }
    }
}

/// Takes as many file descriptors as the system gives.
fn raise_descriptor_limit() -> std::io::Result<()> {
    let DescriptorLimit { now, before } = descriptors::raise_limit()?;
    info!(event = "descriptor_limit_raised", limit = now, before);
    Ok(())
}

/// A process that listens on its addresses.
struct Listening<'a> {
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
    fn open(
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
    fn abandon(self) {
        remove_upgrade_socket(self.process);
    }

    /// Serves clients; `before` has the last word.
    fn serve(
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
