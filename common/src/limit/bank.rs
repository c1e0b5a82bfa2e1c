//! The record that a token bank was started once: only after that does an empty bank mean lost
//! data.

use crate::{
    store::{Store, StoreError},
    time::Micros,
};

impl Store {
    /// Notes that a gateway starts with a bank at `now`. True for the first one ever, and for
    /// nobody after it.
    pub async fn first_bank_start(&self, now: Micros) -> Result<bool, StoreError> {
        let mut write = self.begin_write().await?;
        let inserted =
            sqlx::query("INSERT INTO limit_bank (id, started_at) VALUES (1, $1) ON CONFLICT (id) DO NOTHING")
                .bind(now.0)
                .execute(write.connection())
                .await?;
        write.commit().await?;
        Ok(inserted.rows_affected() == 1)
    }
}
