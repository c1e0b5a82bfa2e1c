//! A quick check that the database answers, with the database's own reason if it does not.

use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _};

use super::{connect::Store, error::StoreError};

impl Store {
    /// Asks the database within `limit`. The error says what the database or the network said: a
    /// pool that has no connection only says that it waited, so a connection of its own is tried
    /// then.
    pub async fn probe(&self, limit: Duration) -> Result<(), StoreError> {
        match tokio::time::timeout(limit, self.ping()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(StoreError::Database(sqlx::Error::PoolTimedOut))) | Err(_) => self.connect_anew(limit).await,
            Ok(Err(error)) => Err(error),
        }
    }

    async fn connect_anew(&self, limit: Duration) -> Result<(), StoreError> {
        let connecting = async {
            let connection = self.pool.connect_options().connect().await?;
            connection.close().await?;
            Ok::<_, sqlx::Error>(())
        };
        match tokio::time::timeout(limit, connecting).await {
            Ok(Ok(())) => Err(StoreError::Locked(format!(
                "it takes new connections, and those of this process did not answer within {} ms",
                limit.as_millis()
            ))),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(StoreError::Database(sqlx::Error::Io(std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                format!("no connection within {} ms", limit.as_millis()),
            )))),
        }
    }
}
