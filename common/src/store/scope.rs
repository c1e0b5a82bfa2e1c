//! The part of the tree that exists for an actor: a tenant outside its subtree is not found, as if
//! it did not exist.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{connect::Store, error::StoreError, row::parsed_or_null};
use crate::{
    acting::{Creator, Scope},
    id::TenantId,
};

/// The paths of a tenant and of everybody below it: from the first, and before the second.
pub(crate) struct PathRange {
    pub(crate) from: String,
    pub(crate) before: String,
}

impl PathRange {
    /// Every path.
    pub(crate) fn all() -> Self {
        Self { from: "/".into(), before: "0".into() }
    }

    /// Paths that start with `path`, which ends with a slash.
    pub(crate) fn below(path: &str) -> Self {
        // The character after the slash.
        let before = format!("{}0", path.trim_end_matches('/'));
        Self { from: path.into(), before }
    }

    /// Paths in a scope. Empty, if its tenant is gone.
    pub(crate) async fn of(connection: &mut AnyConnection, scope: Scope) -> Result<Self, StoreError> {
        let Scope::Subtree(tenant) = scope else {
            return Ok(Self::all());
        };
        let path = path_of(connection, tenant).await?;
        Ok(path.map_or_else(|| Self { from: "0".into(), before: "0".into() }, |path| Self::below(&path)))
    }

    /// Paths in a scope, or only those of the tenant `within` and below it. That tenant has to be
    /// in the scope.
    pub(crate) async fn within(
        connection: &mut AnyConnection,
        scope: Scope,
        within: Option<TenantId>,
    ) -> Result<Self, StoreError> {
        let Some(tenant) = within else {
            return Self::of(connection, scope).await;
        };
        let path = path_of(connection, tenant).await?.filter(|path| holds(scope, path));
        Ok(Self::below(&path.ok_or_else(|| StoreError::not_found("tenant", &tenant))?))
    }
}

/// A reader of records of other actors. It may know the actors at its own tenant and below it.
pub(crate) struct Viewer {
    /// Path of their tenant; none for those who see everything.
    own: Option<String>,
}

impl Viewer {
    pub(crate) async fn of(connection: &mut AnyConnection, scope: Scope) -> Result<Self, StoreError> {
        let own = match scope {
            Scope::Everything => None,
            Scope::Subtree(tenant) => Some(path_of(connection, tenant).await?.unwrap_or_default()),
        };
        Ok(Self { own })
    }

    /// Returns true if the reader may know an actor whose role is held at the tenant with this
    /// path. Actors without a tenant stand above all: a root may know of them, and nobody below it.
    pub(crate) fn knows(&self, path: Option<&str>) -> bool {
        match (&self.own, path) {
            (None, _) => true,
            (Some(own), Some(path)) => !own.is_empty() && path.starts_with(own),
            (Some(own), None) => own.matches('/').count() == 2,
        }
    }

    /// Reads the creator of a key from the columns `creator_kind`, `creator`, `creator_tenant` and
    /// `creator_path`.
    pub(crate) fn creator(&self, row: &AnyRow) -> Result<Option<Creator>, StoreError> {
        let Some(kind) = parsed_or_null(row, "creator_kind")? else {
            return Ok(None);
        };
        if !self.knows(row.try_get::<Option<String>, _>("creator_path")?.as_deref()) {
            return Ok(Some(Creator { kind, name: None, tenant: None }));
        }
        Ok(Some(Creator { kind, name: row.try_get("creator")?, tenant: parsed_or_null(row, "creator_tenant")? }))
    }
}

/// Returns true if a tenant with this path exists for the scope.
pub(crate) fn holds(scope: Scope, path: &str) -> bool {
    match scope {
        Scope::Everything => true,
        Scope::Subtree(tenant) => path.contains(&format!("/{tenant}/")),
    }
}

impl Store {
    /// Refuses a tenant outside the actor's scope.
    pub(crate) async fn require_tenant(&self, tenant: TenantId) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        if holds_tenant(&mut connection, self.acting.scope, tenant).await? {
            return Ok(());
        }
        Err(StoreError::not_found("tenant", &tenant))
    }
}

/// Returns true if a tenant exists for the scope. An unknown tenant exists for nobody.
pub(crate) async fn holds_tenant(
    connection: &mut AnyConnection,
    scope: Scope,
    tenant: TenantId,
) -> Result<bool, StoreError> {
    if scope == Scope::Everything {
        return Ok(true);
    }
    Ok(path_of(connection, tenant).await?.is_some_and(|path| holds(scope, &path)))
}

/// The path of a tenant, if it is known.
pub(crate) async fn path_of(connection: &mut AnyConnection, tenant: TenantId) -> Result<Option<String>, StoreError> {
    let row = sqlx::query("SELECT path FROM tenants WHERE id = $1")
        .bind(tenant.to_string())
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.try_get("path")).transpose()?)
}
