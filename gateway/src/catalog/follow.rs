//! Following the store: told of changes as they are committed, and looking by itself all the same.

use std::{pin::pin, sync::Arc, time::Duration};

use common::{
    change::{ChangeFeed, ChangeWatch, Changes},
    id::TenantId,
    plan::PlanId,
    store::{Store, StoreError},
    time::{Clock as _, Micros, SystemClock},
};
use prometheus::IntGauge;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::{load::Loader, memory::Catalog, progress::Source};
use crate::{lock::locked, metrics, outage::Outage, schema::SchemaFit};

/// Time between two looks at the store while it announces its changes. A lost announcement delays
/// its change by as much: less than the second in which a revocation must hold everywhere.
const CALM: Duration = Duration::from_millis(250);

/// The same while they seem not to be, or the store does not answer.
const ALERT: Duration = Duration::from_millis(50);

/// Time for which looks stay frequent after a change that was not announced.
const ALERT_LASTS: Duration = Duration::from_secs(10);

/// So many changes in a row that were not announced mean that nobody announces any.
const UNANNOUNCED_MOST: u32 = 3;

/// Time between two looks for subscriptions that start or end, also while the store keeps the
/// follower waiting.
const TURN_EVERY: Duration = Duration::from_millis(100);

/// Time between two looks at the schema while changes are followed, and between two tries of a
/// store of another schema.
const SCHEMA_EVERY: Duration = Duration::from_secs(1);

/// Changes that are loaded at once.
const CHANGES_AT_ONCE: u32 = 2_000;

/// From when on the catalog counts as stale.
const STALE_AFTER: Duration = Duration::from_secs(5);

impl Catalog {
    /// Keeps the catalog up to date until `shutdown` turns true. While the store is away, what is
    /// known serves on.
    pub async fn follow(self: Arc<Self>, store: Store, mut shutdown: watch::Receiver<bool>) {
        let follower = Follower {
            feed: store.change_feed(),
            watch: store.watch_changes(),
            outage: Arc::clone(&self.store_outage),
            schema: Arc::clone(&self.schema),
            schema_seen_at: Instant::now(),
            catalog: self,
            pace: Pace::default(),
            shown: Shown::new(),
            away: false,
            stale: false,
        };
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => {}
            () = follower.run() => {}
        }
    }
}

struct Follower {
    catalog: Arc<Catalog>,
    feed: ChangeFeed,
    watch: ChangeWatch,
    pace: Pace,
    outage: Arc<Outage>,
    schema: Arc<SchemaFit>,
    /// Time of the last look at the schema.
    schema_seen_at: Instant,
    shown: Shown,
    /// True if the store did not answer the last time.
    away: bool,
    /// True if the log was told that the catalog is stale.
    stale: bool,
}

/// Gauges that show the catalog in `/metrics`.
struct Shown {
    confirmed: IntGauge,
    last_change: IntGauge,
    staleness: IntGauge,
    misfit: IntGauge,
}

/// Time between two looks at the store without an announcement.
#[derive(Default)]
struct Pace {
    alert_until: Option<Instant>,
    unannounced: u32,
}

impl Follower {
    async fn run(mut self) {
        let catalog = Arc::clone(&self.catalog);
        loop {
            let announced = tokio::select! {
                () = self.watch.announced() => true,
                () = sleep(self.pace.pause()) => false,
            };
            let before = catalog.last_change();
            let polled = {
                let mut polled = pin!(poll(&catalog, &mut self.feed));
                loop {
                    tokio::select! {
                        polled = &mut polled => break polled,
                        () = sleep(TURN_EVERY) => catalog.turn(SystemClock.now()),
                    }
                }
            };
            catalog.turn(SystemClock.now());
            match polled {
                Ok(()) => {
                    self.outage.over();
                    if std::mem::take(&mut self.away) {
                        // Whoever watched may wait on a connection that nothing comes through any
                        // more.
                        self.watch.renew();
                    }
                    self.note(announced, catalog.last_change() != before);
                    self.look_at_schema().await;
                }
                Err(error) if error.is_misfit() => {
                    // It answers; what it says is that another program is meant.
                    self.outage.over();
                    self.schema.refused(&error);
                    self.away = true;
                    wait_for_another_schema(&catalog).await;
                }
                Err(error) => {
                    self.outage.failed(&error);
                    self.away = true;
                    self.pace.alert();
                }
            }
            let now = SystemClock.now();
            self.shown.update(&catalog, now);
            self.report_staleness(now);
        }
    }

    /// Looks more often once a change was found that nobody had announced.
    fn note(&mut self, announced: bool, changed: bool) {
        if announced {
            self.pace.unannounced = 0;
        } else if changed {
            self.pace.alert();
            self.pace.unannounced += 1;
            if self.pace.unannounced >= UNANNOUNCED_MOST {
                self.pace.unannounced = 0;
                self.watch.renew();
            }
        }
    }

    /// Tells when the schema was changed since the store was opened. A store that was just opened
    /// fits.
    async fn look_at_schema(&mut self) {
        if self.schema.check().is_ok() && self.schema_seen_at.elapsed() < SCHEMA_EVERY {
            return;
        }
        self.schema_seen_at = Instant::now();
        match self.feed.check_schema().await {
            Ok(()) => self.schema.fits(),
            Err(error) if error.is_misfit() => self.schema.left_behind(&error),
            // The next look at the changes tells of it.
            Err(error) => tracing::debug!(event = "schema_not_seen", %error),
        }
    }

    /// One log line when the catalog becomes stale; the end of the outage has its own.
    fn report_staleness(&mut self, now: Micros) {
        let age = self.catalog.staleness(now).filter(|age| *age > STALE_AFTER);
        if let Some(age) = age.filter(|_| !self.stale) {
            let last_change = self.catalog.last_change();
            tracing::warn!(event = "catalog_stale", seconds = age.as_secs_f64(), last_change);
        }
        self.stale = age.is_some();
    }
}

impl Shown {
    fn new() -> Self {
        Self {
            confirmed: metrics::gauge(
                "tollgate_catalog_confirmed",
                "1 once the store has answered since the start; 0 while the snapshot file is served from",
            ),
            last_change: metrics::gauge("tollgate_catalog_last_change", "Number of the last change that is known"),
            staleness: metrics::gauge(
                "tollgate_catalog_staleness_seconds",
                "Whole seconds since the store was last known to hold nothing newer",
            ),
            misfit: metrics::gauge(
                "tollgate_store_schema_misfit",
                "1 while the store's schema is not the one that this gateway knows",
            ),
        }
    }

    fn update(&self, catalog: &Catalog, now: Micros) {
        self.confirmed.set(i64::from(catalog.source() == Some(Source::Store)));
        self.last_change.set(catalog.last_change());
        let staleness = catalog.staleness(now).unwrap_or_default();
        self.staleness.set(i64::try_from(staleness.as_secs()).unwrap_or(i64::MAX));
        self.misfit.set(i64::from(catalog.schema.problem().is_some()));
    }
}

impl Pace {
    fn alert(&mut self) {
        self.alert_until = Some(Instant::now() + ALERT_LASTS);
    }

    fn pause(&self) -> Duration {
        if self.alert_until.is_some_and(|until| Instant::now() < until) { ALERT } else { CALM }
    }
}

/// Waits before a store of another schema is tried again; subscriptions start and end meanwhile.
async fn wait_for_another_schema(catalog: &Catalog) {
    let begun = Instant::now();
    while begun.elapsed() < SCHEMA_EVERY {
        sleep(TURN_EVERY).await;
        catalog.turn(SystemClock.now());
    }
}

/// Brings the catalog up to date once.
async fn poll(catalog: &Arc<Catalog>, feed: &mut ChangeFeed) -> Result<(), StoreError> {
    let asked_at = SystemClock.now();
    let is_fresh = feed.is_fresh();
    let head = feed.head().await?;
    let known = catalog.progress.mark();
    // Behind a new connection may be another store, or an older copy of this one.
    if !catalog.is_loaded() || head < known.seq || (is_fresh && !feed.holds(&known).await?) {
        return reload(catalog, feed).await;
    }
    let mut behind = head > known.seq;
    while behind {
        let known = catalog.progress.mark();
        let has_plan = |owner: TenantId, plan: &PlanId, version: i64| locked(&catalog.tree).knows(owner, plan, version);
        match feed.changes_after(&known, CHANGES_AT_ONCE, &has_plan).await? {
            Some(changes) => {
                behind = changes.more;
                apply(catalog, changes).await;
            }
            // The log that was followed so far is another one.
            None => return reload(catalog, feed).await,
        }
    }
    catalog.progress.current(asked_at);
    Ok(())
}

/// Takes over what changed; whom it touches may be many.
async fn apply(catalog: &Arc<Catalog>, changes: Changes) {
    let now = SystemClock.now();
    if changes.tenants.is_empty() {
        return catalog.apply(changes, now);
    }
    let own = Arc::clone(catalog);
    if let Err(error) = spawn_blocking(move || own.apply(changes, now)).await {
        // Nothing was marked as known: it is loaded again.
        tracing::error!(event = "changes_not_applied", %error);
    }
}

async fn reload(catalog: &Catalog, feed: &mut ChangeFeed) -> Result<(), StoreError> {
    let (asked_at, from) = (SystemClock.now(), catalog.last_change());
    let mut loader = Loader::new(catalog, asked_at);
    let mark = feed.whole(|row| loader.take(row)).await?;
    loader.finish(mark);
    catalog.progress.current(asked_at);
    let to = catalog.last_change();
    tracing::info!(event = "catalog_loaded", from, to, keys = catalog.key_count(), tenants = catalog.tenant_count());
    Ok(())
}
