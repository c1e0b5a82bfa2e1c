//! Under which peppers the keys in the store are hashed.

use sqlx::Row as _;

use super::hash::Pepper;
use crate::{
    store::{Store, StoreError},
    time::Micros,
};

impl Store {
    /// Refuses a pepper under which none of the keys in force is hashed, while others are: every
    /// one of them would be unknown under it. A store without keys in force takes any pepper.
    pub async fn check_pepper(&self, pepper: &Pepper, now: Micros) -> Result<(), StoreError> {
        let rows = sqlx::query(
            "SELECT DISTINCT pepper_id FROM (\
             SELECT pepper_id FROM keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1) \
             UNION SELECT pepper_id FROM admin_keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)\
             ) AS in_force ORDER BY pepper_id",
        )
        .bind(now.0)
        .bind(now.0)
        .fetch_all(&self.pool)
        .await?;
        let known =
            rows.iter().map(|row| Ok(row.try_get("pepper_id")?)).collect::<Result<Vec<String>, StoreError>>()?;
        if known.is_empty() || known.iter().any(|id| id == pepper.id()) {
            return Ok(());
        }
        Err(StoreError::Refused(format!(
            "the keys in the store are hashed under another pepper (id {}), not under the given one (id {}): under it, \
             every key would be unknown. Give the pepper with which they were made (TOLLGATE_PEPPER, or its file)",
            known.join(", "),
            pepper.id()
        )))
    }
}
