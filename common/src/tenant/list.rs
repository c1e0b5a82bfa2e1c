//! Lists of tenants, in pages, in the actor's scope.

use sqlx::{Row as _, any::AnyRow};

use super::{
    Tenant, TenantStatus,
    row::{self, Placed, placed, select_tenants},
};
use crate::{
    id::TenantId,
    store::{
        Page, PageRequest, Store, StoreError,
        row::{count, parsed, parsed_or_null},
        scope::{self, PathRange},
        search::NamePattern,
    },
    time::{TimeError, Zone},
};

/// Selects tenants.
#[derive(Debug, Clone, Default)]
pub struct TenantFilter {
    /// Only tenants right below this one.
    pub parent: Option<TenantId>,
    /// This one and everybody below it.
    pub subtree_of: Option<TenantId>,
    /// Only tenants with this status; deleted ones are listed only if asked for.
    pub status: Option<TenantStatus>,
    /// Only tenants whose name contains this text, ignoring case.
    pub name: Option<String>,
}

/// Columns of a tenant that billing needs. A time zone that cannot be read is an error of this
/// tenant alone.
#[derive(Debug, Clone)]
pub struct TenantAccount {
    /// The tenant.
    pub id: TenantId,
    /// The tenant above it today.
    pub parent: Option<TenantId>,
    /// Name shown to people.
    pub name: String,
    /// The clock of its billing periods.
    pub zone: Result<Zone, TimeError>,
}

impl Store {
    /// Counts the roots that are not deleted.
    pub async fn root_count(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT COUNT(*) AS roots FROM tenants WHERE parent_id IS NULL AND deleted_at IS NULL")
            .fetch_one(&self.pool)
            .await?;
        count(&row, "roots")
    }

    /// The tenant with this id.
    pub async fn tenant(&self, id: TenantId) -> Result<Tenant, StoreError> {
        let mut connection = self.pool.acquire().await?;
        Ok(row::find(&mut connection, self.acting.scope, id).await?.tenant)
    }

    /// Every tenant, by creation, deleted ones too.
    pub async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        row::all(&mut connection, self.acting.scope).await
    }

    /// A tenant and all above it, up to the root, in the actor's scope.
    pub async fn ancestors(&self, id: TenantId) -> Result<Vec<Tenant>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let scope = self.acting.scope;
        let way = row::way_up(&mut connection, id).await?;
        if !way.first().is_some_and(|first| scope::holds(scope, &first.path)) {
            return Err(StoreError::not_found("tenant", &id));
        }
        Ok(way.into_iter().filter(|placed| scope::holds(scope, &placed.path)).map(|placed| placed.tenant).collect())
    }

    /// Every tenant as billing knows it, by creation, deleted ones too.
    pub async fn tenant_accounts(&self) -> Result<Vec<TenantAccount>, StoreError> {
        let rows = sqlx::query("SELECT id, parent_id, name, zone FROM tenants ORDER BY created_seq")
            .fetch_all(&self.pool)
            .await?;
        let account = |row: &AnyRow| {
            let zone: String = row.try_get("zone")?;
            let (id, parent) = (parsed(row, "id")?, parsed_or_null(row, "parent_id")?);
            Ok(TenantAccount { id, parent, name: row.try_get("name")?, zone: zone.parse() })
        };
        rows.iter().map(account).collect()
    }

    /// Tenants, by creation.
    pub async fn tenants_page(&self, filter: &TenantFilter, page: PageRequest) -> Result<Page<Tenant>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let paths = PathRange::within(&mut connection, self.acting.scope, filter.subtree_of).await?;
        let status = filter.status.map_or("", TenantStatus::as_str);
        let names = NamePattern::of(filter.name.as_deref());
        let rows = sqlx::query(select_tenants!(
            "WHERE path >= $1 AND path < $2 AND created_seq > $3 AND ($4 = '' OR parent_id = $4) \
             AND CASE WHEN $5 = 'deleted' THEN deleted_at IS NOT NULL \
             ELSE deleted_at IS NULL AND ($5 = '' OR status = $5) END \
             AND (lower(name) LIKE $6 ESCAPE '!' OR lower(name) LIKE $7 ESCAPE '!' OR lower(name) LIKE $8 ESCAPE '!') \
             ORDER BY created_seq LIMIT $9"
        ))
        .bind(paths.from)
        .bind(paths.before)
        .bind(page.begin())
        .bind(filter.parent.map(|parent| parent.to_string()).unwrap_or_default())
        .bind(status)
        .bind(names.as_written)
        .bind(names.lower)
        .bind(names.upper)
        .bind(page.rows())
        .fetch_all(&mut *connection)
        .await?;
        let found: Result<Vec<Placed>, _> = rows.iter().map(placed).collect();
        Ok(page.page(found?.into_iter().map(|placed| (placed.created_seq, placed.tenant)).collect()))
    }
}
