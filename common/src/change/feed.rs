//! Follows the change log on a dedicated connection, on which nothing else can queue, and which is
//! given up as soon as it does not answer. A pool would hand out the dead connections of a cut
//! network one after the other.

use std::time::Duration;

use sqlx::AnyConnection;
use tokio::{
    task::JoinSet,
    time::{Instant, error::Elapsed, timeout},
};

use super::{
    mark::ChangeMark,
    served::{self, CatalogRow, Changes, KnownPlans},
};
use crate::store::{Store, StoreError};

/// Time that the first answer may take. Each missing answer doubles it, as the store may just be
/// slow.
const PATIENCE: Duration = Duration::from_millis(500);

const PATIENCE_MAX: Duration = Duration::from_secs(8);

/// Loading what changed may take as many times longer.
const PATIENCE_OF_LOADS: u32 = 8;

/// Time after which one more attempt to connect starts beside the running ones. TCP resends into a
/// cut network ever more rarely, so that an attempt made after the network is mended is the first
/// to succeed.
const ATTEMPT_EVERY: Duration = Duration::from_millis(400);

/// Most time that connecting may take in all.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// A reader of the change log, and of what it names.
#[derive(Debug)]
pub struct ChangeFeed {
    store: Store,
    connection: Option<AnyConnection>,
    patience: Duration,
}

impl Store {
    /// Follows the change log on a connection of its own.
    pub fn change_feed(&self) -> ChangeFeed {
        ChangeFeed { store: self.clone(), connection: None, patience: PATIENCE }
    }
}

impl ChangeFeed {
    /// Number of the last change; 0 before the first.
    pub async fn head(&mut self) -> Result<i64, StoreError> {
        let mut connection = self.connection().await?;
        let read = timeout(self.patience, served::head(&mut connection)).await;
        Ok(self.keep(connection, read)?.0)
    }

    /// Refuses a schema that was changed since the connection was made. The connection is kept.
    pub async fn check_schema(&mut self) -> Result<(), StoreError> {
        let mut connection = self.connection().await?;
        let checked = timeout(self.patience, self.store.check_schema_of(&mut connection)).await;
        match checked {
            Ok(Err(error)) if error.is_misfit() => {
                self.connection = Some(connection);
                Err(error)
            }
            checked => self.keep(connection, checked),
        }
    }

    /// Returns true if the log holds the change that `mark` names, which means that it is the log
    /// that was followed so far.
    pub async fn holds(&mut self, mark: &ChangeMark) -> Result<bool, StoreError> {
        if mark.seq == 0 {
            return Ok(true);
        }
        let mut connection = self.connection().await?;
        let read = timeout(self.patience, served::logged(&mut connection, mark.seq, 1)).await;
        Ok(self.keep(connection, read)?.first().is_some_and(|(found, _)| found == mark))
    }

    /// Returns true if the next answer comes from a connection that nothing was read from yet.
    pub const fn is_fresh(&self) -> bool {
        self.connection.is_none()
    }

    /// Up to `limit` changes after `mark`, with what they name. None: this is not the log that was
    /// followed so far.
    pub async fn changes_after(
        &mut self,
        mark: &ChangeMark,
        limit: u32,
        knows: KnownPlans<'_>,
    ) -> Result<Option<Changes>, StoreError> {
        let mut connection = self.connection().await?;
        let patience = self.patience * PATIENCE_OF_LOADS;
        let read =
            timeout(patience, served::changes_after(self.store.engine, &mut connection, mark, limit, knows)).await;
        self.keep(connection, read)
    }

    /// Gives every row of the catalog to `take`, from one consistent view of the store.
    pub async fn whole(&mut self, take: impl FnMut(CatalogRow) + Send) -> Result<ChangeMark, StoreError> {
        let mut connection = self.connection().await?;
        let read = served::whole(self.store.engine, &mut connection, take).await;
        self.keep(connection, Ok(read))
    }

    async fn connection(&mut self) -> Result<AnyConnection, StoreError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => connect_soon(&self.store).await,
        }
    }

    /// Keeps a connection that has answered.
    fn keep<T>(
        &mut self,
        connection: AnyConnection,
        read: Result<Result<T, StoreError>, Elapsed>,
    ) -> Result<T, StoreError> {
        let Ok(answer) = read else {
            let waited = self.patience;
            self.patience = (waited * 2).min(PATIENCE_MAX);
            return Err(StoreError::no_answer(waited));
        };
        if answer.is_ok() {
            self.patience = PATIENCE;
            self.connection = Some(connection);
        }
        answer
    }
}

/// The first connection that stands, of attempts made one after the other without waiting for each
/// to fail.
async fn connect_soon(store: &Store) -> Result<AnyConnection, StoreError> {
    let deadline = Instant::now() + CONNECT_DEADLINE;
    let mut attempts = JoinSet::new();
    let mut failed = None;
    while Instant::now() < deadline {
        let store = store.clone();
        attempts.spawn(async move { store.dedicated_connection().await });
        let stands = async {
            while let Some(attempt) = attempts.join_next().await {
                match attempt {
                    Ok(Ok(connection)) => return Some(connection),
                    Ok(Err(error)) => failed = Some(error),
                    Err(_) => {}
                }
            }
            None
        };
        match timeout(ATTEMPT_EVERY, stands).await {
            Ok(Some(connection)) => return Ok(connection),
            // Every attempt was refused.
            Ok(None) => break,
            Err(_) => {}
        }
    }
    Err(failed.unwrap_or_else(|| StoreError::no_answer(CONNECT_DEADLINE)))
}
