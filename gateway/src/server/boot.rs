//! From settings to a gateway that can serve: store, catalog, journal, and the tasks behind the
//! request path.

use std::{future::Future, sync::Arc, time::Duration};

use common::{
    key::Pepper,
    store::Store,
    time::{Clock as _, SystemClock},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

use super::{StartError, catalog};
use crate::{
    access_log::AccessLog,
    admission::AdmissionControl,
    auth::Authenticator,
    catalog::{SnapshotKeeper, Source},
    certificate::CertificateKeeper,
    config::{HttpSinkSettings, ProcessSettings, Settings, SinkSettings},
    decision::Decision,
    limit::{
        Limiter, QuotaKeeper,
        bank::{Bank, BankSettings},
    },
    listen::Listeners,
    meter::{HttpSink, KafkaSink, Meter, MeterSettings, SinkError, UsageSink},
    proxy::Proxy,
    runtime::{Gateway, Live},
    upstream,
};

/// Longest wait for the bank at the start.
const BANK_PATIENCE: Duration = Duration::from_secs(3);

/// Longest time for the essential upstreams to answer before a process takes over.
const READY_PATIENCE: Duration = Duration::from_secs(20);

const READY_POLL: Duration = Duration::from_millis(20);

/// Longest time for the tasks to end, beyond the time that each of them allows itself.
const TASKS_DEADLINE: Duration = Duration::from_secs(15);

/// The tasks behind the request path.
pub(super) struct Tasks {
    running: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// The parts of a gateway that has started.
pub(super) struct Booted {
    pub(super) gateway: Arc<Gateway>,
    pub(super) proxy: Arc<Proxy>,
    pub(super) listeners: Arc<Listeners>,
    pub(super) certificates: Arc<CertificateKeeper>,
    pub(super) sink: Arc<dyn UsageSink>,
    pub(super) bank: Option<Arc<Bank>>,
    pub(super) decision: Option<Arc<Decision>>,
    pub(super) tasks: Tasks,
}

/// Opens everything that the request path needs and starts the tasks behind it.
pub(super) async fn boot(settings: &Settings, pepper: &Pepper, access_log: AccessLog) -> Result<Booted, StartError> {
    let process = &settings.process;
    let mut tasks = Tasks::new();
    let sink = open_sink(&process.usage.sink, pepper, &mut tasks)?;
    let meter = Meter::open(meter_settings(process), prometheus::default_registry())?;
    let (store, catalog) = catalog::open(process, pepper).await?;
    let catalog = Arc::new(catalog);
    let (keys, tenants) = (catalog.key_count(), catalog.tenant_count());
    let source = catalog.source().map(Source::as_str);
    info!(event = "catalog_loaded", keys, tenants, source, last_change = catalog.last_change());

    tasks.spawn(|stopped| Arc::clone(&catalog).follow(store.clone(), stopped));
    tasks.spawn(|stopped| Arc::clone(&catalog).report_use(store.clone(), stopped));
    let snapshots = SnapshotKeeper::new(Arc::clone(&catalog), process.snapshot.clone(), pepper.clone());
    tasks.spawn(|stopped| snapshots.run(stopped));
    let bank = match &process.bank {
        Some(settings) => Some(open_bank(settings, &store, catalog.source(), &mut tasks).await?),
        None => None,
    };
    let keeper = QuotaKeeper::new(Arc::clone(catalog.quotas()), store.clone(), meter.quota_holder())
        .with_store_outage(Arc::clone(&catalog.store_outage))
        .with_schema(Arc::clone(&catalog.schema));
    tasks.spawn(|stopped| keeper.run(stopped));
    let reporting = (store, Arc::clone(&catalog.store_outage), Arc::clone(&catalog.schema));
    tasks.spawn(|stopped| Arc::clone(&meter).run_reporting(Arc::clone(&sink), reporting, stopped));

    let authenticator = Authenticator { catalog, pepper: pepper.clone() };
    let limiter = bank.as_ref().map_or_else(Limiter::new, |bank| Limiter::with_bank(Arc::clone(bank)));
    let live = Live::start(settings, None, &limiter).await;
    let gateway = Arc::new(Gateway::new(live, AdmissionControl::new(authenticator, limiter, meter)));
    let proxy = Arc::new(Proxy::new(Arc::clone(&gateway), access_log));
    tasks.spawn(|stopped| Arc::clone(&proxy).watch_upgraded(stopped));
    let served = Arc::downgrade(&gateway);
    upstream::register_gauges(move || {
        served.upgrade().map(|gateway| gateway.live().upstreams.values().cloned().collect()).unwrap_or_default()
    });
    let decision = process.decision.as_ref().map(|settings| {
        let decision = Arc::new(Decision::new(Arc::clone(&gateway), settings));
        tasks.spawn(|stopped| Arc::clone(&decision).expire_until(stopped));
        decision
    });
    let listeners = Arc::new(Listeners::start(&settings.listeners));
    // Last: an authority may ask for the answers that are offered as soon as it hears of an order.
    let certificates = Arc::new(CertificateKeeper::default());
    certificates.apply(&settings.authorities);
    Ok(Booted { gateway, proxy, listeners, certificates, sink, bank, decision, tasks })
}

/// Waits until the gateway could serve: it knows its callers, and its essential upstreams answer.
pub(super) async fn ready(gateway: &Gateway) -> Result<(), StartError> {
    let deadline = Instant::now() + READY_PATIENCE;
    while !(gateway.catalog().is_loaded() && gateway.live().is_ready()) {
        if Instant::now() >= deadline {
            let live = gateway.live();
            let silent = live.silent().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Err(StartError::NotReady { silent });
        }
        sleep(READY_POLL).await;
    }
    Ok(())
}

fn open_sink(settings: &SinkSettings, pepper: &Pepper, tasks: &mut Tasks) -> Result<Arc<dyn UsageSink>, SinkError> {
    match settings {
        SinkSettings::Http(HttpSinkSettings { url, tls }) => {
            let sink = Arc::new(HttpSink::new(url, tls.clone(), &pepper.ingest_token())?);
            tasks.spawn(|stopped| Arc::clone(&sink).follow_files(stopped));
            Ok(sink)
        }
        SinkSettings::Kafka(settings) => {
            let sink = Arc::new(KafkaSink::new(settings.clone())?);
            tasks.spawn(|stopped| Arc::clone(&sink).find_topic(stopped));
            Ok(sink)
        }
    }
}

/// Starts to share limits. The first requests should find the bank there, but nothing waits for
/// long for one that is not.
async fn open_bank(
    settings: &BankSettings,
    store: &Store,
    source: Option<Source>,
    tasks: &mut Tasks,
) -> Result<Arc<Bank>, StartError> {
    let is_fresh = match source {
        Some(Source::Store) => store.first_bank_start(SystemClock.now()).await?,
        // The store is down. That this were the first start ever is what a snapshot speaks against.
        Some(Source::Snapshot) | None => false,
    };
    let (bank, client) = Bank::open(settings, is_fresh)?;
    tasks.spawn(|stopped| client.run(stopped));
    let in_time = timeout(BANK_PATIENCE, bank.tried()).await.is_ok();
    let standing = bank.report();
    info!(event = "limits_shared", in_time, shared = standing.shared, shards_away = standing.shards_away, is_fresh);
    Ok(bank)
}

fn meter_settings(process: &ProcessSettings) -> MeterSettings {
    let threads = process.threads + process.decision.as_ref().map_or(0, |decision| decision.threads);
    MeterSettings {
        lanes: u16::try_from(threads).unwrap_or(u16::MAX),
        budget_bytes: process.usage.journal_budget_bytes,
        when_full: process.usage.when_full,
        batch_entries: process.usage.batch_entries,
        ..MeterSettings::new(&process.usage.journal, &process.name)
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
            warn!(event = "tasks_cut_off", consequence = "the next start takes up what they hold");
        }
    }
}
