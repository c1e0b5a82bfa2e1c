//! The first owner: as long as there is none, the bootstrap token lets one in.

use sqlx::AnyConnection;

use crate::{
    acting::ActorKind,
    store::{Store, StoreError},
    time::Micros,
};

impl Store {
    /// Returns true if there ever was an owner: an admin key with this role, or a person.
    pub async fn has_owner(&self) -> Result<bool, StoreError> {
        Ok(sqlx::query("SELECT id FROM first_owner").fetch_optional(&self.pool).await?.is_some())
    }

    /// Records that a person is an owner, unless there was one before.
    pub async fn note_owner(&self, person: &str, now: Micros) -> Result<(), StoreError> {
        let mut write = self.begin_write().await?;
        first_owner(write.connection(), ActorKind::Person, person, now).await?;
        write.commit().await
    }
}

/// Records that there is an owner; the first one stays.
pub(super) async fn first_owner(
    connection: &mut AnyConnection,
    kind: ActorKind,
    name: &str,
    now: Micros,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO first_owner (id, kind, name, noted_at) VALUES (1, $1, $2, $3) ON CONFLICT (id) DO NOTHING",
    )
    .bind(kind.as_str())
    .bind(name)
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(())
}
