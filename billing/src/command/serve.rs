//! `billing serve`: opens the store, serves the business API until SIGTERM or SIGINT, then finishes what is in flight.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::Router;
use clap::Args;
use common::{store::Store, time::SystemClock};
use prometheus::Registry;
use tokio::{net::TcpListener, sync::Notify};

use super::{CommandError, listen::listen, log, signals::StopSignals};
use crate::{
    api::{self, Services},
    config::{Config, DEFAULT_FILE, Environment},
    ingest::{IngestMetrics, Intake},
    publish::Publisher,
    upkeep::Upkeep,
};

/// Longest that requests in flight may take once the process was told to stop.
const SHUTDOWN_TIME_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// Settings
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
}

pub(super) async fn execute(arguments: &ServeArguments, environment: &Environment) -> Result<(), CommandError> {
    log::start("info");
    let config = Config::load(&arguments.config, environment)?;
    let pepper = config.pepper(environment)?;
    let (store, migrated) = Store::open_and_migrate(&config.store).await?;
    let store = store.keeping_records(config.ingest.keep_raw);
    let listener = listen(config.listen, "listen", &arguments.config).await?;
    let registry = Registry::new();
    let metrics = IngestMetrics::register(&registry)?;
    let upkeep = Upkeep::new(store.clone(), Arc::new(SystemClock), &registry)?;
    let publisher = publisher(&config, &store, &registry)?;
    let router = api::router(Services {
        intake: Intake::new(store.clone(), Arc::new(SystemClock), metrics),
        ingest_token: pepper.ingest_token(),
        store: store.clone(),
        registry,
    });
    let signals = StopSignals::listen().map_err(CommandError::Serve)?;
    tracing::info!(
        listen = %listener.local_addr().map_err(CommandError::Serve)?,
        engine = ?store.engine(),
        schema_from = migrated.from,
        schema = migrated.to,
        pepper = pepper.id(),
        "serving"
    );
    let upkeep = tokio::spawn(upkeep.keep());
    let publisher = publisher.map(|publisher| tokio::spawn(publisher.publish()));
    let served = serve_until_stopped(listener, router, signals, store).await;
    upkeep.abort();
    if let Some(publisher) = publisher {
        publisher.abort();
    }
    served
}

/// Who publishes changes, if Kafka is configured.
fn publisher(config: &Config, store: &Store, registry: &Registry) -> Result<Option<Publisher>, CommandError> {
    let publish =
        |brokers: &String| Publisher::new(store.clone(), Arc::new(SystemClock), &config.changes, brokers, registry);
    Ok(config.changes.brokers.as_ref().map(publish).transpose()?)
}

async fn serve_until_stopped(
    listener: TcpListener,
    router: Router,
    mut signals: StopSignals,
    store: Store,
) -> Result<(), CommandError> {
    let stopping = Arc::new(Notify::new());
    let told = Arc::clone(&stopping);
    let stop = async move {
        let signal = signals.next().await;
        tracing::info!(signal, "stopping");
        told.notify_one();
    };
    let serving = async {
        axum::serve(listener, router).with_graceful_shutdown(stop).await.map_err(CommandError::Serve)?;
        store.close().await;
        Ok::<_, CommandError>(())
    };
    let overdue = async {
        stopping.notified().await;
        tokio::time::sleep(SHUTDOWN_TIME_LIMIT).await;
    };
    tokio::select! {
        served = serving => served?,
        () = overdue => tracing::warn!(seconds = SHUTDOWN_TIME_LIMIT.as_secs(), "requests_cut_off"),
    }
    tracing::info!("stopped");
    Ok(())
}
