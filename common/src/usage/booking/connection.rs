//! A connection that goes back to the pool only from a booking that came to its end.
//!
//! The driver cannot tell how far a COPY got that was given up, as happens when a caller's deadline
//! passes: the next user of the connection would take answers to the COPY for its own. Closing it
//! makes the server undo the booking.

use sqlx::{PgConnection, PgPool, Postgres, pool::PoolConnection};

use crate::store::StoreError;

/// A connection taken out of the pool for one booking.
pub(super) struct BookingConnection(Option<PoolConnection<Postgres>>);

impl BookingConnection {
    /// Takes a connection out of the pool.
    pub(super) async fn take(pool: &PgPool) -> Result<Self, StoreError> {
        Ok(Self(Some(pool.acquire().await?)))
    }

    /// Returns the connection to run statements on.
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        self.0.as_deref_mut().ok_or(StoreError::Database(sqlx::Error::PoolClosed))
    }

    /// Gives the connection back, with nothing left to be read from it.
    pub(super) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for BookingConnection {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}
