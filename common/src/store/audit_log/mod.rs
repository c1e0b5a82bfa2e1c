//! Who changed what: written in the transaction of the change, never rewritten, read within the own subtree.

mod action;

use serde::Serialize;
use serde_json::Value;
use sqlx::{AnyConnection, Row as _, any::AnyRow};

pub use self::action::AuditAction;
use super::{
    Page, PageRequest, Store, StoreError,
    row::{corrupt, instant, parsed, parsed_or_null},
    scope::{PathRange, Viewer},
};
use crate::{
    acting::{ActorKind, Scope},
    id::TenantId,
    time::{Micros, Window},
};

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditEntry {
    /// Its place in the log.
    pub seq: i64,
    /// When.
    pub at: Micros,
    /// What kind of actor did it.
    pub actor_kind: ActorKind,
    /// Who: the subject of a person's token, the id of an admin key, a user of the command line, a program. None: somebody
    /// above whoever looks, of whom they see neither name nor address nor request.
    pub actor: Option<String>,
    /// Where the request came from.
    pub address: Option<String>,
    /// What the request is called in logs.
    pub request_id: Option<String>,
    /// What was done, as in `key.revoke`.
    pub action: String,
    /// What kind of thing was changed.
    pub subject_kind: String,
    /// Its id.
    pub subject: String,
    /// Whose it is.
    pub tenant: Option<TenantId>,
    /// What it was before.
    pub before: Option<Value>,
    /// What it is since.
    pub after: Option<Value>,
}

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Of this tenant and everybody below it.
    pub subtree_of: Option<TenantId>,
    /// About this thing.
    pub subject: Option<String>,
    /// Of this action.
    pub action: Option<AuditAction>,
    /// Made within.
    pub window: Option<Window>,
}

impl Store {
    /// The audit log, newest first, as far as it exists for whoever acts. What belongs to no tenant is seen by those
    /// who see everything.
    pub async fn audit_log(&self, filter: &AuditFilter, page: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let scope = self.acting.scope;
        let paths = PathRange::within(&mut connection, scope, filter.subtree_of).await?;
        let with_nobodys = scope == Scope::Everything && filter.subtree_of.is_none();
        let window = filter.window.unwrap_or(Window { start: Micros(i64::MIN), end: Micros(i64::MAX) });
        let rows = sqlx::query(
            "SELECT seq, at, actor_kind, actor, address, request_id, action, subject_kind, subject, \
             audit_log.tenant_id, before, after, actors.path AS actor_path FROM audit_log \
             LEFT JOIN tenants ON tenants.id = audit_log.tenant_id \
             LEFT JOIN admin_keys ON actor_kind = 'admin_key' AND admin_keys.id = actor \
             LEFT JOIN tenants AS actors ON actors.id = COALESCE(actor_tenant, admin_keys.tenant_id) \
             WHERE seq < $1 AND ((tenants.path >= $2 AND tenants.path < $3) \
             OR ($4 = 1 AND audit_log.tenant_id IS NULL)) \
             AND ($5 = '' OR subject = $5) AND ($6 = '' OR action = $6) AND at >= $7 AND at < $8 \
             ORDER BY seq DESC LIMIT $9",
        )
        .bind(page.after.unwrap_or(i64::MAX))
        .bind(paths.from)
        .bind(paths.before)
        .bind(i64::from(with_nobodys))
        .bind(filter.subject.clone().unwrap_or_default())
        .bind(filter.action.map_or("", AuditAction::as_str))
        .bind(window.start.0)
        .bind(window.end.0)
        .bind(page.rows())
        .fetch_all(&mut *connection)
        .await?;
        let viewer = Viewer::of(&mut connection, scope).await?;
        let entries: Result<Vec<_>, _> =
            rows.iter().map(|row| read(row, &viewer).map(|entry| (entry.seq, entry))).collect();
        Ok(page.page(entries?))
    }
}

/// A change to be logged.
pub(super) struct Audited<'a> {
    pub(super) action: AuditAction,
    pub(super) subject_kind: &'a str,
    pub(super) subject: String,
    pub(super) tenant: Option<TenantId>,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

/// What a thing is, as the log keeps it.
pub(super) fn state(thing: &impl Serialize) -> Result<Option<Value>, StoreError> {
    serde_json::to_value(thing).map(Some).map_err(|error| StoreError::refused(error.to_string()))
}

pub(super) async fn insert(
    connection: &mut AnyConnection,
    acting: &crate::acting::Acting,
    audited: Audited<'_>,
    now: Micros,
) -> Result<(), StoreError> {
    let actor = &acting.actor;
    sqlx::query(
        "INSERT INTO audit_log (at, actor_kind, actor, address, request_id, action, subject_kind, subject, tenant_id, \
         before, after, actor_tenant) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(now.0)
    .bind(actor.kind.as_str())
    .bind(&actor.name)
    .bind(actor.address.map(|address| address.to_string()))
    .bind(actor.request_id.as_deref())
    .bind(audited.action.as_str())
    .bind(audited.subject_kind)
    .bind(audited.subject)
    .bind(audited.tenant.map(|tenant| tenant.to_string()))
    .bind(audited.before.map(|value| value.to_string()))
    .bind(audited.after.map(|value| value.to_string()))
    .bind(acting.scope.tenant().map(|tenant| tenant.to_string()))
    .execute(connection)
    .await?;
    Ok(())
}

fn read(row: &AnyRow, viewer: &Viewer) -> Result<AuditEntry, StoreError> {
    let is_known = viewer.knows(row.try_get::<Option<String>, _>("actor_path")?.as_deref());
    let text = |column| Ok::<_, StoreError>(row.try_get::<Option<String>, _>(column)?.filter(|_| is_known));
    Ok(AuditEntry {
        seq: row.try_get("seq")?,
        at: instant(row, "at")?,
        actor_kind: parsed(row, "actor_kind")?,
        actor: text("actor")?,
        address: text("address")?,
        request_id: text("request_id")?,
        action: row.try_get("action")?,
        subject_kind: row.try_get("subject_kind")?,
        subject: row.try_get("subject")?,
        tenant: parsed_or_null(row, "tenant_id")?,
        before: document(row, "before")?,
        after: document(row, "after")?,
    })
}

fn document(row: &AnyRow, column: &'static str) -> Result<Option<Value>, StoreError> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| corrupt("audit entry", error))).transpose()
}
