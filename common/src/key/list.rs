//! Lists of keys, in the actor's scope.

use sqlx::Row as _;

use super::{
    Key, KeyStatus,
    hash::KeyHash,
    row::{find, read, select_keys},
};
use crate::{
    id::{KeyId, TenantId},
    store::{
        Page, PageRequest, Store, StoreError,
        scope::{self, PathRange, Viewer},
        search::NamePattern,
    },
    time::Micros,
};

/// Selects keys.
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    /// Of one tenant.
    pub tenant: Option<TenantId>,
    /// Of a tenant and everybody below it.
    pub subtree_of: Option<TenantId>,
    /// Only keys with this status at this instant.
    pub status: Option<(KeyStatus, Micros)>,
    /// Only keys whose name contains this text, ignoring case.
    pub name: Option<String>,
}

impl Store {
    /// The key with this id.
    pub async fn key(&self, id: KeyId) -> Result<Key, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let key = find(&mut connection, self.acting.scope, id).await?;
        if scope::holds_tenant(&mut connection, self.acting.scope, key.tenant).await? {
            return Ok(key);
        }
        Err(StoreError::not_found("key", &id))
    }

    /// The key whose secret has this hash, in the actor's scope; it may have expired or been
    /// revoked.
    pub async fn key_by_hash(&self, hash: &KeyHash) -> Result<Option<Key>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let query = sqlx::query(select_keys!("WHERE hash = $1")).bind(hash.to_hex());
        let Some(row) = query.fetch_optional(&mut *connection).await? else {
            return Ok(None);
        };
        let viewer = Viewer::of(&mut connection, self.acting.scope).await?;
        let key = read(&row, &viewer)?;
        let is_there = scope::holds_tenant(&mut connection, self.acting.scope, key.tenant).await?;
        Ok(Some(key).filter(|key| is_there && key.hash.matches(hash)))
    }

    /// The keys of a tenant, or all keys, by creation.
    pub async fn keys(&self, tenant: Option<TenantId>) -> Result<Vec<Key>, StoreError> {
        let filter = KeyFilter { tenant, ..KeyFilter::default() };
        Ok(self.keys_page(&filter, PageRequest { after: None, limit: u32::MAX }).await?.items)
    }

    /// Keys, by creation.
    pub async fn keys_page(&self, filter: &KeyFilter, page: PageRequest) -> Result<Page<Key>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let paths = PathRange::within(&mut connection, self.acting.scope, filter.subtree_of).await?;
        let names = NamePattern::of(filter.name.as_deref());
        let (status, now) = filter.status.map_or((String::new(), Micros(0)), |(status, now)| (status.to_string(), now));
        let rows = sqlx::query(select_keys!(
            "JOIN tenants ON tenants.id = keys.tenant_id \
             WHERE tenants.path >= $1 AND tenants.path < $2 AND keys.created_seq > $3 \
             AND ($4 = '' OR keys.tenant_id = $4) AND ($5 = '' OR $5 = CASE WHEN revoked_at IS NOT NULL THEN 'revoked' \
             WHEN expires_at <= $6 THEN 'expired' ELSE 'active' END) \
             AND (lower(keys.name) LIKE $7 ESCAPE '!' OR lower(keys.name) LIKE $8 ESCAPE '!' \
             OR lower(keys.name) LIKE $9 ESCAPE '!') ORDER BY keys.created_seq LIMIT $10"
        ))
        .bind(paths.from)
        .bind(paths.before)
        .bind(page.begin())
        .bind(filter.tenant.map(|tenant| tenant.to_string()).unwrap_or_default())
        .bind(status)
        .bind(now.0)
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
}
