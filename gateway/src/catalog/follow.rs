//! Following the store: a poll of the change log, and what each change needs.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use common::{
    store::{Change, Changed, Store, StoreError},
    time::{Clock as _, Micros, SystemClock},
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{Catalog, tenants::plan_key};
use crate::{lock::locked, outage::Outage};

/// How often the change log is looked at: a tenth of the second within which a revocation must hold everywhere, so that
/// several polls may fail or be slow.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// How long the store may take to say that nothing changed.
const POLL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long loading what changed may take.
const LOAD_TIMEOUT: Duration = Duration::from_mins(2);

/// Changes that are loaded at once.
const CHANGES_AT_ONCE: u32 = 1_000;

/// From when on the catalog counts as stale.
const STALE_AFTER: Duration = Duration::from_secs(5);

/// Why a poll brought nothing.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("store did not answer in time")]
    Timeout(#[from] tokio::time::error::Elapsed),
}

impl Catalog {
    /// Keeps the catalog up to date until `shutdown` turns true. While the store is away, what is known serves on.
    pub async fn follow(self: Arc<Self>, store: Store, mut shutdown: watch::Receiver<bool>) {
        let outage = Outage::new("catalog");
        let mut stale = false;
        let mut ticks = interval(POLL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => return,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => return,
                polled = self.poll(&store) => match polled {
                    Ok(()) => outage.over(),
                    Err(error) => outage.failed(&error),
                },
            }
            let now = SystemClock.now();
            if self.subscription_is_due(now) {
                self.rebuild_tenants(now);
            }
            stale = self.report_staleness(now, stale);
        }
    }

    /// One log line when the catalog becomes stale; the end of the outage has its own.
    fn report_staleness(&self, now: Micros, reported: bool) -> bool {
        let Some(age) = self.staleness(now).filter(|age| *age > STALE_AFTER) else {
            return false;
        };
        if !reported {
            tracing::warn!(event = "catalog_stale", seconds = age.as_secs_f64(), last_change = self.last_change());
        }
        true
    }

    /// Brings the catalog up to date once.
    async fn poll(&self, store: &Store) -> Result<(), FollowError> {
        let asked_at = SystemClock.now();
        let last = timeout(POLL_TIMEOUT, store.last_change()).await??;
        if !self.is_loaded() || last < self.last_change() {
            return self.reload(store).await;
        }
        while self.last_change() < last {
            let known = self.last_change();
            let changes = timeout(POLL_TIMEOUT, store.changes_after(known, CHANGES_AT_ONCE)).await??;
            // A log without the next change is not the one that was followed: the store was replaced.
            if changes.first().is_none_or(|change| change.seq != known + 1) {
                return self.reload(store).await;
            }
            timeout(LOAD_TIMEOUT, self.apply(store, &changes)).await??;
        }
        self.mark_current(asked_at);
        Ok(())
    }

    async fn reload(&self, store: &Store) -> Result<(), FollowError> {
        let asked_at = SystemClock.now();
        let rows = timeout(LOAD_TIMEOUT, store.catalog()).await??;
        let (from, to) = (self.last_change(), rows.seq);
        self.replace(rows, asked_at);
        tracing::info!(event = "catalog_loaded", from, to, keys = self.key_count(), tenants = self.tenant_count());
        Ok(())
    }

    async fn apply(&self, store: &Store, changes: &[Change]) -> Result<(), StoreError> {
        let keys: HashSet<_> = changes
            .iter()
            .filter_map(|change| match change.changed {
                Changed::Key(id) => Some(id),
                Changed::Tenant(_) | Changed::Plans => None,
            })
            .collect();
        // Tenants first: a new key must find its tenant.
        if changes.iter().any(|change| !matches!(change.changed, Changed::Key(_))) {
            self.reload_tenants(store).await?;
        }
        for id in keys {
            match store.key(id).await {
                Ok(key) => self.put_key(&key),
                Err(StoreError::NotFound { .. }) => self.forget_key(id),
                Err(error) => return Err(error),
            }
        }
        if let Some(last) = changes.last() {
            self.last_change.store(last.seq, Ordering::Release);
        }
        Ok(())
    }

    async fn reload_tenants(&self, store: &Store) -> Result<(), StoreError> {
        // In this order: a tenant that is seen is seen with the subscription it was created with.
        let tenants = store.tenants().await?;
        let subscriptions = store.subscriptions().await?;
        let now = SystemClock.now();
        let lasting: Vec<_> = subscriptions.into_iter().filter(|one| one.ends_at.is_none_or(|end| now < end)).collect();
        let missing: HashSet<_> = {
            let rows = locked(&self.rows);
            lasting.iter().map(plan_key).filter(|plan| !rows.knows(plan)).collect()
        };
        let mut plans = Vec::with_capacity(missing.len());
        for (id, version) in missing {
            plans.push(store.plan(&id, Some(version)).await?);
        }
        locked(&self.rows).replace(tenants, lasting, plans);
        self.rebuild_tenants(now);
        Ok(())
    }
}
