//! From settings to a gateway that can serve: store, catalog, journal, and the tasks behind the request path.

use std::{future::Future, sync::Arc, time::Duration};

use common::{
    key::Pepper,
    store::{Store, StoreError},
};
use tokio::{
    runtime::Handle,
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

use super::StartError;
use crate::{
    auth::Authenticator,
    catalog::Catalog,
    config::{ProcessSettings, Settings},
    limit::{Limiter, QuotaKeeper},
    meter::{HttpSink, Meter, MeterSettings},
    proxy::{Gateway, Live},
};

/// How long the store may be away at the start.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

const STORE_RETRY: Duration = Duration::from_millis(500);

/// How long the tasks may take to end, beyond what each of them allows itself.
const TASKS_DEADLINE: Duration = Duration::from_secs(15);

/// The tasks behind the request path.
pub(super) struct Tasks {
    running: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// Opens everything that the request path needs and starts the tasks behind it.
pub(super) async fn boot(settings: &Settings, pepper: &Pepper) -> Result<(Arc<Gateway>, Tasks), StartError> {
    let process = &settings.process;
    let meter = Meter::open(meter_settings(process), prometheus::default_registry())?;
    let sink = Arc::new(HttpSink::new(&process.usage.sink, &pepper.ingest_token())?);
    let store = open_store(&process.store).await?;
    let catalog = Arc::new(Catalog::load(&store).await?);
    info!(keys = catalog.key_count(), tenants = catalog.tenant_count(), "catalog loaded");

    let mut tasks = Tasks::new();
    tasks.spawn(|stopped| Arc::clone(&catalog).follow(store.clone(), stopped));
    let keeper = QuotaKeeper::new(Arc::clone(catalog.quotas()), store);
    tasks.spawn(|stopped| keeper.run(stopped));
    tasks.spawn(|stopped| Arc::clone(&meter).run(sink, stopped));

    let live = Live::start(settings, None, &Handle::current())?;
    let authenticator = Authenticator { catalog, pepper: pepper.clone() };
    Ok((Arc::new(Gateway::new(live, authenticator, Limiter::new(), meter)), tasks))
}

fn meter_settings(process: &ProcessSettings) -> MeterSettings {
    MeterSettings {
        lanes: u16::try_from(process.threads).unwrap_or(u16::MAX),
        budget_bytes: process.usage.journal_budget_bytes,
        batch_entries: process.usage.batch_entries,
        ..MeterSettings::new(&process.usage.journal, &process.name)
    }
}

/// Opens the store; one that is just being started or migrated gets some time.
async fn open_store(url: &str) -> Result<Store, StoreError> {
    let deadline = Instant::now() + STORE_PATIENCE;
    loop {
        let error = match Store::open(url).await {
            Ok(store) => return Ok(store),
            Err(error) => error,
        };
        let may_pass = matches!(
            error,
            StoreError::Unavailable { .. }
                | StoreError::SchemaOlder { .. }
                | StoreError::Locked(_)
                | StoreError::Database(_)
        );
        if !may_pass || Instant::now() >= deadline {
            return Err(error);
        }
        warn!(reason = %error, "store is not ready, trying again");
        sleep(STORE_RETRY).await;
    }
}

// === impl Tasks ===

impl Tasks {
    fn new() -> Self {
        Self { running: JoinSet::new(), stop: watch::Sender::new(false) }
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&mut self, task: impl FnOnce(watch::Receiver<bool>) -> F) {
        self.running.spawn(task(self.stop.subscribe()));
    }

    /// Asks every task to end and waits: the journal drains, quota in hand goes back.
    pub(super) async fn finish(mut self) {
        let _ = self.stop.send(true);
        let all = async { while self.running.join_next().await.is_some() {} };
        if timeout(TASKS_DEADLINE, all).await.is_err() {
            warn!("some tasks did not end in time; what they hold is picked up at the next start");
        }
    }
}
