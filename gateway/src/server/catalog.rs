//! The catalog at the start: from the store or, while that is down, from the snapshot file.

use std::{path::Path, sync::Arc, time::Duration};

use common::{
    key::Pepper,
    store::{Store, StoreError},
    time::{Clock as _, SystemClock},
};
use tokio::{
    task::JoinError,
    time::{Instant, sleep, timeout_at},
};
use tracing::{info, warn};

use crate::{
    catalog::{Catalog, SnapshotError},
    config::ProcessSettings,
    outage::Outage,
};

/// Longest wait for the store at the start if there is no snapshot to start from.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

/// The same if there is one.
const STORE_PATIENCE_WITH_SNAPSHOT: Duration = Duration::from_secs(2);

const STORE_RETRY: Duration = Duration::from_millis(250);

/// The store, and what is known of it. Whatever the snapshot holds, the store goes before.
pub(super) async fn open(process: &ProcessSettings, pepper: &Pepper) -> Result<(Store, Catalog), StoreError> {
    let begun = Instant::now();
    let has_snapshot = process.snapshot.is_file();
    let outage = Arc::new(Outage::new("store"));
    let patience = if has_snapshot { STORE_PATIENCE_WITH_SNAPSHOT } else { STORE_PATIENCE };
    let error = match load(&process.store, pepper, begun + patience, &outage).await {
        Ok(loaded) => return Ok(loaded),
        Err(error) => error,
    };
    // A store whose schema is newer does not become older by waiting, but what the snapshot holds
    // can serve.
    if !has_snapshot || !(may_pass(&error) || error.is_misfit()) {
        return Err(error);
    }
    match restore(&process.snapshot, pepper) {
        Ok(mut catalog) => {
            // Whoever follows the store tells when it is back.
            catalog.store_outage = outage;
            if error.is_misfit() {
                catalog.schema.refused(&error);
            }
            warn!(event = "started_from_snapshot", reason = %error, file = %process.snapshot.display());
            Ok((Store::open_later(&process.store)?, catalog))
        }
        Err(reason) => {
            warn!(event = "snapshot_refused", %reason, file = %process.snapshot.display());
            load(&process.store, pepper, begun + STORE_PATIENCE, &outage).await
        }
    }
}

fn restore(file: &Path, pepper: &Pepper) -> Result<Catalog, SnapshotError> {
    let begun = Instant::now();
    let catalog = Catalog::restore(file, pepper)?;
    info!(event = "snapshot_read", seconds = begun.elapsed().as_secs_f64());
    Ok(catalog)
}

/// Opens the store and loads the catalog; a store that is just being started or migrated gets until
/// `deadline`.
async fn load(url: &str, pepper: &Pepper, deadline: Instant, outage: &Outage) -> Result<(Store, Catalog), StoreError> {
    loop {
        let error = match open_and_load(url, pepper, deadline).await {
            Ok(loaded) => {
                outage.over();
                return Ok(loaded);
            }
            Err(error) => error,
        };
        if !may_pass(&error) || Instant::now() + STORE_RETRY >= deadline {
            return Err(error);
        }
        outage.failed(&error);
        sleep(STORE_RETRY).await;
    }
}

async fn open_and_load(url: &str, pepper: &Pepper, deadline: Instant) -> Result<(Store, Catalog), StoreError> {
    let late = |_| StoreError::Unavailable { url: "(setting `store`)".into(), reason: "it does not answer".into() };
    let store = timeout_at(deadline, Store::open(url)).await.map_err(late)??;
    check_pepper(&store, pepper).await?;
    // Once it is open, loading takes as long as it takes: there may be a million keys.
    let catalog = Catalog::load(&store).await?;
    Ok((store, catalog))
}

/// Asks on a thread of the runtime: the thread of an SQLite connection has the priority of the one
/// that opens it.
async fn check_pepper(store: &Store, pepper: &Pepper) -> Result<(), StoreError> {
    let (store, pepper) = (store.clone(), pepper.clone());
    let checking = tokio::spawn(async move { store.check_pepper(&pepper, SystemClock.now()).await });
    let broken_off =
        |error: JoinError| StoreError::Unavailable { url: "(setting `store`)".into(), reason: error.to_string() };
    checking.await.map_err(broken_off)?
}

fn may_pass(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unavailable { .. }
            | StoreError::SchemaOlder { .. }
            | StoreError::Locked(_)
            | StoreError::Database(_)
    )
}
