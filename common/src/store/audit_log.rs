//! The audit log: every change with its actor, written in the transaction of the change, never
//! rewritten, and read within the reader's subtree.

use serde::Serialize;
use serde_json::Value;
use sqlx::{
    Any, AnyConnection, AssertSqlSafe, Row as _,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use super::{
    audit_action::AuditAction,
    bulk,
    connect::Store,
    error::StoreError,
    page::{Page, PageRequest},
    row::{corrupt, instant, parsed, parsed_or_null},
    scope::{self, Viewer},
    spans,
};
use crate::{
    acting::{Acting, ActorKind, Scope},
    id::TenantId,
    time::{Micros, Window},
};

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditEntry {
    /// Its place in the log.
    pub seq: i64,
    /// Time of the change.
    pub at: Micros,
    /// Kind of actor that made it.
    pub actor_kind: ActorKind,
    /// Name of the actor: the subject of a person's token, the id of an admin key, a user of the
    /// command line, a program. None: an actor above the reader, whose name, address and request
    /// are hidden.
    pub actor: Option<String>,
    /// Address that the request came from.
    pub address: Option<String>,
    /// Id of the request in logs.
    pub request_id: Option<String>,
    /// Action, as in `key.revoke`.
    pub action: String,
    /// Kind of the changed thing.
    pub subject_kind: String,
    /// Its id.
    pub subject: String,
    /// Whose it is.
    pub tenant: Option<TenantId>,
    /// State before the change.
    pub before: Option<Value>,
    /// State after the change.
    pub after: Option<Value>,
}

/// Selects entries.
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

const ENTRIES: &str = "SELECT seq, at, actor_kind, actor, address, request_id, action, subject_kind, subject, \
    audit_log.tenant_id, before, after, actors.path AS actor_path FROM audit_log ";

/// No tenant is in two places at one time, so that no entry comes twice.
const IN_SPANS: &str = "JOIN spans ON spans.tenant_id = audit_log.tenant_id AND at >= from_at AND at < to_at ";

const CHOSEN: &str = "LEFT JOIN admin_keys ON actor_kind = 'admin_key' AND admin_keys.id = actor \
    LEFT JOIN tenants AS actors ON actors.id = COALESCE(actor_tenant, admin_keys.tenant_id) \
    WHERE seq < $1 AND ($2 = '' OR subject = $2) AND ($3 = '' OR action = $3) AND at >= $4 AND at < $5 \
    ORDER BY seq DESC LIMIT $6";

/// The first placeholder behind those.
const FIRST_SPAN: usize = 7;

impl Store {
    /// The audit log, newest first, in the actor's scope: of each tenant, what was done while it
    /// was in their subtree. What belongs to no tenant is seen by those who see everything.
    pub async fn audit_log(&self, filter: &AuditFilter, page: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let scope = self.acting.scope;
        let spans = filter.spans(&mut connection, scope).await?;
        let window = filter.window.unwrap_or(Window { start: Micros(i64::MIN), end: Micros(i64::MAX) });
        let query = sqlx::query(AssertSqlSafe(statement(spans.as_deref().map_or(0, <[_]>::len))))
            .bind(page.after.unwrap_or(i64::MAX))
            .bind(filter.subject.clone().unwrap_or_default())
            .bind(filter.action.map_or("", AuditAction::as_str))
            .bind(window.start.0)
            .bind(window.end.0)
            .bind(page.rows());
        let bind = |query: Query<'static, Any, AnyArguments>, (tenant, span): &(TenantId, Window)| {
            query.bind(tenant.to_string()).bind(span.start.0).bind(span.end.0)
        };
        let query = spans.iter().flatten().fold(query, bind);
        let rows = query.fetch_all(&mut *connection).await?;
        let viewer = Viewer::of(&mut connection, scope).await?;
        let entries: Result<Vec<_>, _> =
            rows.iter().map(|row| read(row, &viewer).map(|entry| (entry.seq, entry))).collect();
        Ok(page.page(entries?))
    }
}

impl AuditFilter {
    /// A tenant of which, with everybody below it, is shown what was done, and the times at which
    /// it was in the scope. None: all of everybody is shown, and of nobody.
    async fn spans(
        &self,
        connection: &mut AnyConnection,
        scope: Scope,
    ) -> Result<Option<Vec<(TenantId, Window)>>, StoreError> {
        let (top, spans) = match (scope, self.subtree_of) {
            (Scope::Everything, None) => return Ok(None),
            (Scope::Everything, Some(tenant)) => {
                let known = scope::path_of(connection, tenant).await?.is_some();
                (tenant, if known { spans::spans_under(connection, tenant, tenant).await? } else { Vec::new() })
            }
            (Scope::Subtree(top), within) => {
                let tenant = within.unwrap_or(top);
                (tenant, spans::spans_under(connection, tenant, top).await?)
            }
        };
        if spans.is_empty() {
            return Err(StoreError::not_found("tenant", &top));
        }
        Ok(Some(spans.into_iter().map(|span| (top, span)).collect()))
    }
}

/// The statement for a tenant that was in the scope so many times, or for all of everybody. Its
/// text is put together from constants and the numbers of placeholders.
fn statement(spans: usize) -> String {
    let known = |place| {
        let first = FIRST_SPAN + 3 * place;
        let (from, to) = (first + 1, first + 2);
        [format!("CAST(${first} AS TEXT)"), format!("CAST(${from} AS BIGINT)"), format!("CAST(${to} AS BIGINT)")]
    };
    let known: Vec<_> = (0..spans).map(known).collect();
    let (with, join) = if spans == 0 { (String::new(), "") } else { (spans::table(&known, true), IN_SPANS) };
    format!("{with}{ENTRIES}{join}{CHOSEN}")
}

/// A change to be logged.
pub(crate) struct Audited<'a> {
    pub(crate) action: AuditAction,
    pub(crate) subject_kind: &'a str,
    pub(crate) subject: String,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

/// Returns the state of a thing as the log keeps it.
pub(crate) fn state(thing: &impl Serialize) -> Result<Option<Value>, StoreError> {
    serde_json::to_value(thing).map(Some).map_err(|error| StoreError::refused(error.to_string()))
}

pub(crate) async fn insert(
    connection: &mut AnyConnection,
    acting: &Acting,
    audited: Audited<'_>,
    now: Micros,
) -> Result<(), StoreError> {
    insert_all(connection, acting, vec![audited], now).await
}

/// Logs several changes, in their order.
pub(crate) async fn insert_all(
    connection: &mut AnyConnection,
    acting: &Acting,
    audited: Vec<Audited<'_>>,
    now: Micros,
) -> Result<(), StoreError> {
    let actor = &acting.actor;
    let text = |text: Option<String>| text.map_or(bulk::Value::NoText, bulk::Value::Text);
    let row = |one: Audited<'_>| {
        [
            bulk::Value::Number(now.0),
            bulk::Value::Text(actor.kind.as_str().into()),
            bulk::Value::Text(actor.name.clone()),
            text(actor.address.map(|address| address.to_string())),
            text(actor.request_id.clone()),
            bulk::Value::Text(one.action.as_str().into()),
            bulk::Value::Text(one.subject_kind.into()),
            bulk::Value::Text(one.subject),
            text(one.tenant.map(|tenant| tenant.to_string())),
            text(one.before.map(|state| state.to_string())),
            text(one.after.map(|state| state.to_string())),
            text(acting.scope.tenant().map(|tenant| tenant.to_string())),
        ]
    };
    bulk::execute(
        connection,
        "INSERT INTO audit_log (at, actor_kind, actor, address, request_id, action, subject_kind, subject, tenant_id, \
         before, after, actor_tenant)",
        "",
        &audited.into_iter().map(row).collect::<Vec<_>>(),
    )
    .await
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
