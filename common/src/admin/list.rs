//! Lists of admin keys, in the actor's scope, and when they were last used.

use sqlx::Row as _;

use super::{
    AdminKey,
    row::{find, read, select_admin_keys},
};
use crate::{
    id::{AdminKeyId, TenantId},
    key::KeyHash,
    store::{
        Page, PageRequest, Store, StoreError,
        scope::{self, PathRange, Viewer},
        search::NamePattern,
    },
    time::Micros,
};

/// Selects admin keys.
#[derive(Debug, Clone, Default)]
pub struct AdminKeyFilter {
    /// Only keys at this tenant and below it.
    pub subtree_of: Option<TenantId>,
    /// Only keys whose name contains this text, ignoring case.
    pub name: Option<String>,
}

impl Store {
    /// The admin keys at a tenant and below it, or all in the actor's scope; by creation, revoked
    /// ones too.
    pub async fn admin_keys(&self, subtree_of: Option<TenantId>) -> Result<Vec<AdminKey>, StoreError> {
        let filter = AdminKeyFilter { subtree_of, ..AdminKeyFilter::default() };
        Ok(self.admin_keys_page(&filter, PageRequest { after: None, limit: u32::MAX }).await?.items)
    }

    /// Admin keys in pages, by creation.
    pub async fn admin_keys_page(
        &self,
        filter: &AdminKeyFilter,
        page: PageRequest,
    ) -> Result<Page<AdminKey>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let paths = PathRange::within(&mut connection, self.acting.scope, filter.subtree_of).await?;
        let names = NamePattern::of(filter.name.as_deref());
        let rows = sqlx::query(select_admin_keys!(
            "JOIN tenants ON tenants.id = tenant_id WHERE tenants.path >= $1 AND tenants.path < $2 \
             AND admin_keys.created_seq > $3 AND (lower(admin_keys.name) LIKE $4 ESCAPE '!' \
             OR lower(admin_keys.name) LIKE $5 ESCAPE '!' OR lower(admin_keys.name) LIKE $6 ESCAPE '!') \
             ORDER BY admin_keys.created_seq LIMIT $7"
        ))
        .bind(paths.from)
        .bind(paths.before)
        .bind(page.begin())
        .bind(names.as_written)
        .bind(names.lower)
        .bind(names.upper)
        .bind(page.rows())
        .fetch_all(&mut *connection)
        .await?;
        let viewer = Viewer::of(&mut connection, self.acting.scope).await?;
        let found: Result<Vec<_>, StoreError> =
            rows.iter().map(|row| Ok((row.try_get("created_seq")?, read(row, &viewer)?))).collect();
        Ok(page.page(found?))
    }

    /// The admin key with this id.
    pub async fn admin_key(&self, id: AdminKeyId) -> Result<AdminKey, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let key = find(&mut connection, self.acting.scope, id).await?;
        if scope::holds_tenant(&mut connection, self.acting.scope, key.tenant).await? {
            return Ok(key);
        }
        Err(StoreError::not_found("admin key", &id))
    }

    /// The admin key whose secret has this hash, if there is one; it may have expired or been
    /// revoked.
    pub async fn admin_key_by_hash(&self, hash: &KeyHash) -> Result<Option<AdminKey>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let query = sqlx::query(select_admin_keys!("WHERE hash = $1")).bind(hash.to_hex());
        let Some(row) = query.fetch_optional(&mut *connection).await? else {
            return Ok(None);
        };
        let viewer = Viewer::of(&mut connection, self.acting.scope).await?;
        Ok(Some(read(&row, &viewer)?).filter(|key| key.hash.matches(hash)))
    }

    /// Notes in which minute an admin key was last accepted. One that is not known is passed over;
    /// nothing moves back.
    pub async fn touch_admin_key(&self, id: AdminKeyId, minute: Micros) -> Result<(), StoreError> {
        let mut write = self.begin_write().await?;
        sqlx::query("UPDATE admin_keys SET last_used_at = $1 WHERE id = $2 AND COALESCE(last_used_at, 0) < $1")
            .bind(minute.0)
            .bind(id.to_string())
            .execute(write.connection())
            .await?;
        write.commit().await
    }
}
