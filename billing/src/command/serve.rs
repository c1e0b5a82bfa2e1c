//! `billing serve`: opens the store, serves the business API until SIGTERM or SIGINT, then finishes
//! what is in flight.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::Router;
use clap::Args;
use common::{
    listen::http::Guard,
    store::Store,
    telemetry::process_registry,
    time::{Clock as _, SystemClock},
};
use prometheus::Registry;
use tokio::{net::TcpListener, sync::Notify};

use super::{
    CommandError,
    listen::{guard, listen, serve},
    log,
    signals::StopSignals,
    store::MigrateArgument,
};
use crate::{
    access::{
        Access, SessionRules,
        oidc::{IdentityProvider, OidcConfig},
    },
    api::{self, RequestMetrics, Services},
    config::{Config, DEFAULT_FILE, Environment},
    document::Documents,
    ingest::{IngestMetrics, Intake},
    job::{JobSettings, JobWorker, KINDS},
    outbox::{OutboxWorker, deliverers::deliverers, webhook::Reach},
    publish::Publisher,
    upkeep::Upkeep,
    watch::Watch,
};

/// Longest that requests in flight may take once the process was told to stop.
const SHUTDOWN_TIME_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// Settings
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    #[command(flatten)]
    migrate: MigrateArgument,
}

pub(super) async fn execute(arguments: &ServeArguments, environment: &Environment) -> Result<(), CommandError> {
    log::start("info");
    let config = Config::load(&arguments.config, environment)?;
    let pepper = config.pepper(environment)?;
    let (store, migrated) = arguments.migrate.open(&config.store).await?;
    store.check_pepper(&pepper, SystemClock.now()).await?;
    let store = store.keeping_records(config.ingest.keep_raw).setting_aside_later_than(Some(config.ingest.late_days));
    let listener = listen(config.listen, "listen", &arguments.config).await?;
    let registry = process_registry("billing serve")?;
    let metrics = IngestMetrics::register(&registry)?;
    let upkeep = Upkeep::new(store.clone(), Arc::new(SystemClock), &registry)?;
    let watch = Watch::new(store.clone(), &registry)?;
    let settings = Arc::new(JobSettings::of(&config, environment)?);
    let providers = settings.providers.clone();
    let jobs = JobWorker::new(store.clone(), Arc::new(SystemClock), settings.clone(), KINDS, worker_name(), &registry)?;
    let requests = RequestMetrics::register(&registry)?;
    let publisher = publisher(&config, &store, &registry)?;
    let deliverers = deliverers(&store, &pepper, &providers, &config, environment)?;
    let outbox = OutboxWorker::new(store.clone(), Arc::new(SystemClock), deliverers, worker_name(), &registry)?;
    let people = identity_provider(config.access.oidc.as_ref())?;
    let clock = Arc::new(SystemClock);
    let access = Access::new(store.clone(), pepper.clone(), clock.clone())
        .with_people(people)
        .with_bootstrap(config.access.bootstrap_token(environment)?)
        .limited_to(config.access.tenant_requests_per_minute, config.access.failed_credentials_per_minute)
        .with_sessions(SessionRules {
            idle_minutes: config.pages.session_idle_minutes,
            hours: config.pages.session_hours,
            has_tls: config.tls.is_some(),
        })
        .behind_proxies(config.access.trusted_proxies.clone());
    let guard = guard(&registry, config.tls.as_ref(), "listen")?;
    let router = api::router(Services {
        access,
        intake: Intake::new(store.clone(), Arc::new(SystemClock), metrics),
        ingest_token: pepper.ingest_token(),
        pepper: pepper.clone(),
        clock,
        store: store.clone(),
        documents: Documents::new(config.documents.typesetter(), config.documents.languages()?),
        requests,
        reach: Reach::of(&config.webhooks),
        registry,
        providers,
        settings,
        pages: config.pages.clone(),
        mails_links: config.mail.is_some() && config.pages.public_url.is_some(),
    });
    let signals = StopSignals::listen().map_err(CommandError::Serve)?;
    tracing::info!(
        event = "serving",
        listen = %listener.local_addr().map_err(CommandError::Serve)?,
        engine = store.engine().as_str(),
        schema_from = migrated.from,
        schema = migrated.to,
        pepper = pepper.id(),
    );
    let upkeep = tokio::spawn(async move { tokio::join!(upkeep.keep(), watch.run(), jobs.work(), outbox.work()) });
    let publisher = publisher.map(|publisher| tokio::spawn(publisher.publish()));
    let served = serve_until_stopped(listener, router, guard, signals, store).await;
    upkeep.abort();
    if let Some(publisher) = publisher {
        publisher.abort();
    }
    served
}

/// A name that tells this process from others that do jobs and send messages.
fn worker_name() -> String {
    format!("billing serve {} {}", std::process::id(), SystemClock.now().0)
}

/// The publisher of changes, if Kafka is configured.
fn publisher(config: &Config, store: &Store, registry: &Registry) -> Result<Option<Publisher>, CommandError> {
    let publish =
        |brokers: &String| Publisher::new(store.clone(), Arc::new(SystemClock), &config.changes, brokers, registry);
    Ok(config.changes.brokers.as_ref().map(publish).transpose()?)
}

/// The provider of the settings, which is asked for its keys from now on.
fn identity_provider(settings: Option<&OidcConfig>) -> Result<Option<IdentityProvider>, CommandError> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    // A second time changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let provider = IdentityProvider::new(settings.clone())?;
    let asked = provider.clone();
    tokio::spawn(async move { asked.learn().await });
    Ok(Some(provider))
}

async fn serve_until_stopped(
    listener: TcpListener,
    router: Router,
    guard: Guard,
    mut signals: StopSignals,
    store: Store,
) -> Result<(), CommandError> {
    let stopping = Arc::new(Notify::new());
    let told = Arc::clone(&stopping);
    let stop = async move {
        let signal = signals.next().await;
        tracing::info!(event = "stopping", signal);
        told.notify_one();
    };
    let serving = async {
        serve(listener, router, guard, stop).await;
        store.close().await;
    };
    let overdue = async {
        stopping.notified().await;
        tokio::time::sleep(SHUTDOWN_TIME_LIMIT).await;
    };
    tokio::select! {
        () = serving => {}
        () = overdue => tracing::warn!(event = "requests_cut_off", seconds = SHUTDOWN_TIME_LIMIT.as_secs()),
    }
    tracing::info!(event = "stopped");
    Ok(())
}
