//! The process around the request path: in which order it starts, and in which it ends.
//!
//! Start: addresses, journal, store, catalog, and only then the first request. End: no new connections, requests in
//! flight finish, the journal drains, quota in hand goes back.

mod boot;
mod ingress;
mod logs;
mod shutdown;
mod sockets;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use common::{
    config::{self, ConfigError, environment},
    key::{Pepper, PepperError},
    store::StoreError,
};
pub use sockets::BindError;
use tokio::runtime::{Builder, Runtime};
use tracing::{error, info};

use crate::{
    admin,
    config::{Overrides, Settings, watch::Watcher},
    meter::{OpenError, SinkError},
    proxy::{Gateway, Live, Proxy},
};

/// Why a gateway did not start.
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
    #[error("cannot send usage (setting `usage.sink`): {0}")]
    Sink(#[from] SinkError),
    /// The operating system refused something basic.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

/// Checks a configuration file and says what it holds.
pub fn check(file: &Path) -> Result<String, ConfigError> {
    let settings = Settings::load(file, &Overrides::from_environment())?;
    let (routes, upstreams) = (settings.routes.len(), settings.upstreams.len());
    Ok(format!("{}: ok, {routes} routes, {upstreams} upstreams", file.display()))
}

/// Runs a gateway until it is told to end.
pub fn run(file: PathBuf) -> Result<(), StartError> {
    let overrides = Overrides::from_environment();
    let text = config::read(&file)?;
    let settings = Settings::parse(&text, &file.display().to_string(), &overrides)?;
    let process = &settings.process;
    let pepper = Pepper::load(environment("TOLLGATE_PEPPER").as_deref(), process.pepper_file.as_deref())?;
    let clients = sockets::bind("listen", process.listen, &file)?;
    let operators = sockets::bind("admin", process.admin, &file)?;

    let _logs = logs::start();
    // A second provider in the same process would be refused; either is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    info!(listen = %clients.local_addr()?, admin = %operators.local_addr()?, name = process.name, "listening");

    let background = Builder::new_multi_thread().worker_threads(1).thread_name("background").enable_all().build()?;
    let started = Arc::new(OnceLock::new());
    background.spawn(admin::serve(operators, Arc::clone(&started)));
    let (gateway, tasks) = background.block_on(boot::boot(&settings, &pepper))?;
    let _ = started.set(Arc::clone(&gateway));
    follow_file(&background, Watcher::new(file, text, overrides, &settings), &gateway);

    ingress::serve(clients, process.threads, Proxy(gateway))?;
    background.block_on(tasks.finish());
    info!("ended");
    Ok(())
}

fn follow_file(background: &Runtime, watcher: Watcher, gateway: &Arc<Gateway>) {
    let (gateway, runtime) = (Arc::clone(gateway), background.handle().clone());
    background.spawn(watcher.run(move |settings| match Live::start(&settings, Some(&gateway.live()), &runtime) {
        Ok(live) => gateway.apply(live),
        Err(reason) => error!(%reason, "configuration cannot be put into force, the old one serves on"),
    }));
}
