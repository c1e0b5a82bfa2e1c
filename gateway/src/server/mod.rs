//! The process around the request path: in which order it starts, and in which it ends.
//!
//! Start: addresses, journal, store, catalog, and only then the first request. End: no new
//! connections, requests in flight finish, the journal drains, quota in hand goes back. A start
//! that takes over from a running gateway boots first and asks for the addresses last.

mod boot;
mod catalog;
mod check;
mod clients;
mod http2;
mod ingress;
mod listening;
mod logs;
mod memory;
mod origin;
mod shutdown;
mod signals;
mod sockets;
mod upgrade;

use std::path::Path;

use boot::Booted;
pub use check::{Checked, check};
use common::{
    config::{self, ConfigError, environment},
    key::{Pepper, PepperError},
    listen::descriptors::{self, DescriptorLimit},
    store::StoreError,
    telemetry::show_process,
    tls,
};
use listening::Listening;
use origin::{Origin, inherit};
use rustix::{
    process::{getpriority_process, setpriority_process},
    thread::gettid,
};
use signals::EndRequests;
pub use sockets::BindError;
use tokio::runtime::Builder;
use tracing::info;
pub use upgrade::UpgradeError;

use crate::{
    access_log::AccessLog,
    config::{Overrides, Settings, watch::Watcher},
    limit::bank::BankError,
    meter::{OpenError, SinkError},
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

/// The origin of a gateway's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It takes them.
    Fresh,
    /// It takes them over from the gateway that is running.
    Upgrade,
}

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
