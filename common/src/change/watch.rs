//! Being told of changes as they are committed: LISTEN on PostgreSQL, `PRAGMA data_version` on
//! SQLite.
//!
//! It says no more than that it is worth looking. Whoever watches looks from time to time all the
//! same: an announcement may be lost, with the connection or behind a pooler that does not pass it
//! on.

use std::{sync::Arc, time::Duration};

use sqlx::{
    AnyConnection, Row as _,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use crate::store::{Engine, Store, StoreError, change_log::CHANGES_CHANNEL};

/// Interval at which SQLite is asked for commits of other connections, which bounds the delay of a
/// change. The question is a look at shared memory.
const FILE_POLL: Duration = Duration::from_millis(15);

/// Time to wait before watching again.
const RETRY: Duration = Duration::from_millis(500);

/// Most time that a server may take to confirm LISTEN.
const LISTEN_DEADLINE: Duration = Duration::from_secs(5);

/// Announcements of changes, until it is dropped.
#[derive(Debug)]
pub struct ChangeWatch {
    store: Store,
    announced: Arc<Notify>,
    task: AbortHandle,
}

impl Store {
    /// Watches for changes from now on. Watching goes on when the store was away.
    pub fn watch_changes(&self) -> ChangeWatch {
        let announced = Arc::<Notify>::default();
        let task = spawn(self.clone(), Arc::clone(&announced));
        ChangeWatch { store: self.clone(), announced, task }
    }
}

impl ChangeWatch {
    /// Ends once something may have changed since it last ended.
    pub async fn announced(&self) {
        self.announced.notified().await;
    }

    /// Watches on a new connection: the old one seems to be told nothing.
    pub fn renew(&mut self) {
        self.task.abort();
        self.task = spawn(self.store.clone(), Arc::clone(&self.announced));
    }
}

impl Drop for ChangeWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn spawn(store: Store, announced: Arc<Notify>) -> AbortHandle {
    let watching = async move {
        loop {
            let ended = match store.engine {
                Engine::Sqlite => watch_file(&store, &announced).await,
                Engine::Postgres => listen(&store, &announced).await,
            };
            // What was committed meanwhile was not announced.
            announced.notify_one();
            if let Err(error) = ended {
                tracing::debug!(%error, "changes_not_watched");
            }
            sleep(RETRY).await;
        }
    };
    tokio::spawn(watching).abort_handle()
}

async fn listen(store: &Store, announced: &Notify) -> Result<(), StoreError> {
    let Some(pool) = &store.postgres else {
        return Ok(());
    };
    let own = PgPoolOptions::new().max_connections(1).connect_lazy_with((*pool.connect_options()).clone());
    let listening = async {
        let mut listener = PgListener::connect_with(&own).await?;
        listener.listen(CHANGES_CHANNEL).await?;
        Ok::<_, sqlx::Error>(listener)
    };
    let mut listener =
        timeout(LISTEN_DEADLINE, listening).await.map_err(|_| StoreError::no_answer(LISTEN_DEADLINE))??;
    // Whoever closes the store would otherwise wait for this connection.
    listener.ignore_pool_close_event(true);
    announced.notify_one();
    // None: the connection was lost, and is back.
    while listener.try_recv().await.map(|_| announced.notify_one()).is_ok() {}
    Ok(())
}

async fn watch_file(store: &Store, announced: &Notify) -> Result<(), StoreError> {
    let mut connection = store.dedicated_connection().await?;
    let mut version = data_version(&mut connection).await?;
    announced.notify_one();
    let mut ticks = interval(FILE_POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let found = data_version(&mut connection).await?;
        if found != version {
            version = found;
            announced.notify_one();
        }
    }
}

/// A number that changes whenever another connection has committed.
async fn data_version(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query("PRAGMA data_version").fetch_one(connection).await?.try_get(0)?)
}
