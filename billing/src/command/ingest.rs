//! `billing ingest`: books usage out of Kafka until SIGTERM or SIGINT, then finishes the
//! transactions in hand.

use std::{path::PathBuf, sync::Arc};

use clap::{Args, value_parser};
use common::{listen::http::Guard, telemetry::process_registry, time::SystemClock};
use tokio::net::TcpListener;

use super::{
    CommandError,
    listen::{guard, listen, serve},
    log,
    signals::StopSignals,
    store::MigrateArgument,
};
use crate::{
    api::{IngesterServices, ingester_router},
    config::{Config, DEFAULT_FILE, Environment},
    ingest::kafka::{KafkaIngest, Stop, Stopper},
    upkeep::Upkeep,
    watch::Watch,
};

const HELP: &str = "\
Any number of processes may run at once: each takes a share of the topic's partitions, and the shares are dealt anew
when one comes or goes. Kill, pause or restart them as you like: nothing is booked twice and nothing is lost.

Exit codes: 0 told to stop, 1 failed, 2 the command line is invalid";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct IngestArguments {
    /// Settings; the section `ingest` says where Kafka is
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    #[command(flatten)]
    migrate: MigrateArgument,
    /// Read the topic from its beginning. What is booked already is found booked and changes
    /// nothing
    #[arg(long)]
    from_beginning: bool,
    /// Of the partitions, read only this one from its beginning
    #[arg(long, value_name = "NUMBER", requires = "from_beginning", value_parser = value_parser!(i32).range(0..))]
    partition: Option<i32>,
}

pub(super) async fn execute(arguments: &IngestArguments, environment: &Environment) -> Result<(), CommandError> {
    log::start("info");
    let config = Config::load(&arguments.config, environment)?;
    let (store, migrated) = arguments.migrate.open(&config.store).await?;
    let store = store.keeping_records(config.ingest.keep_raw).setting_aside_later_than(Some(config.ingest.late_days));
    let listener = listen(config.ingest.listen, "ingest.listen", &arguments.config).await?;
    let registry = process_registry("billing ingest")?;
    let ingest = KafkaIngest::new(&config.ingest, store.clone(), Arc::new(SystemClock), &registry)?;
    let signals = StopSignals::listen().map_err(CommandError::Serve)?;
    if arguments.from_beginning {
        let partitions = store.reset_positions(&config.ingest.topic, arguments.partition).await?;
        tracing::info!(
            event = "positions_reset",
            topic = config.ingest.topic,
            partition = arguments.partition,
            partitions
        );
    }
    tracing::info!(
        event = "ingesting",
        listen = %listener.local_addr().map_err(CommandError::Serve)?,
        engine = store.engine().as_str(),
        schema_from = migrated.from,
        schema = migrated.to,
        brokers = config.ingest.brokers,
        topic = config.ingest.topic,
        group = config.ingest.group,
    );
    let services = IngesterServices { store: store.clone(), condition: ingest.condition(), registry };
    let upkeep = Upkeep::new(store.clone(), Arc::new(SystemClock), &services.registry)?;
    let watch = Watch::new(store.clone(), &services.registry)?;
    let background = async move {
        tokio::join!(upkeep.keep(), watch.run());
    };
    let guard = guard(&services.registry, config.ingest.tls.as_ref(), "ingest.listen")?;
    let ended = ingest_until_stopped((listener, guard), services, ingest, background, signals).await;
    store.close().await;
    tracing::info!(event = "stopped");
    ended
}

async fn ingest_until_stopped(
    (listener, guard): (TcpListener, Guard),
    services: IngesterServices,
    ingest: KafkaIngest,
    background: impl Future<Output = ()> + Send + 'static,
    signals: StopSignals,
) -> Result<(), CommandError> {
    let (stopper, stop) = Stop::new();
    let background = tokio::spawn(background);
    let serving = tokio::spawn(serve(listener, ingester_router(services), guard, std::future::pending()));
    let waiting = tokio::spawn(stop_on_signal(signals, stopper));
    let ended = ingest.run(stop).await;
    for task in [background.abort_handle(), serving.abort_handle(), waiting.abort_handle()] {
        task.abort();
    }
    Ok(ended?)
}

async fn stop_on_signal(mut signals: StopSignals, stopper: Stopper) {
    let signal = signals.next().await;
    tracing::info!(event = "stopping", signal);
    stopper.stop();
}
