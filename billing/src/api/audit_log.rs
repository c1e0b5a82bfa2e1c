//! `GET /v1/audit`: who changed what, as far as it exists for the caller.

use std::net::IpAddr;

use axum::Json;
use common::{
    acting::ActorKind,
    id::TenantId,
    store::{AuditAction, AuditEntry, AuditFilter},
    time::{Micros, Window},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem,
    instant::Instant,
    page::{self, ListDocument},
    parameters::{self, Parameters, from_text},
};
use crate::access::Caller;

/// The name of this list in cursors.
const LIST: &str = "audit";

/// A change.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(super) struct AuditDocument {
    /// When.
    at: Instant,
    /// Who.
    actor: ActorDocument,
    /// What the request is called in logs.
    #[schema(required = true)]
    request_id: Option<String>,
    /// What was done.
    #[schema(example = "key.revoke")]
    action: String,
    /// What kind of thing was changed.
    #[schema(example = "key")]
    subject_kind: String,
    /// Its id.
    subject: String,
    /// Whose it is.
    #[schema(value_type = Option<String>, required = true)]
    tenant: Option<TenantId>,
    /// What it was before, as the store keeps it: times there are microseconds since 1970.
    #[schema(value_type = Value, required = true)]
    before: Option<Value>,
    /// What it is since.
    #[schema(value_type = Value, required = true)]
    after: Option<Value>,
}

/// Who made a change.
#[derive(Serialize, ToSchema)]
#[schema(as = Actor)]
pub(super) struct ActorDocument {
    /// What kind of actor.
    #[schema(value_type = ActorKindWord)]
    kind: ActorKind,
    /// The subject of a person's token, the id of an admin key, a user of the command line, a program; null for somebody
    /// above you, of whom neither address nor request are told.
    #[schema(required = true)]
    name: Option<String>,
    /// Where the request came from.
    #[schema(value_type = Option<String>, required = true)]
    address: Option<IpAddr>,
}

/// What kind of actor.
#[derive(ToSchema)]
#[schema(as = ActorKind, rename_all = "snake_case")]
#[expect(dead_code, reason = "it only describes the words of the domain's own type")]
pub(super) enum ActorKindWord {
    Program,
    Operator,
    Person,
    AdminKey,
    Bootstrap,
}

/// Which changes.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditParameters {
    /// Those of this tenant and of everybody below it; all of yours unless stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// Those of the thing with this id.
    subject: Option<String>,
    /// Those of this action, as in `key.revoke`. One that does not exist is refused.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>, example = "key.revoke")]
    action: Option<AuditAction>,
    /// Those made at this instant or later.
    #[serde(default, deserialize_with = "parameters::instant")]
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Micros>,
    /// Those made before this instant.
    #[serde(default, deserialize_with = "parameters::instant")]
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Micros>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

impl From<AuditEntry> for AuditDocument {
    fn from(entry: AuditEntry) -> Self {
        let address = entry.address.and_then(|address| address.parse().ok());
        Self {
            at: entry.at.into(),
            actor: ActorDocument { kind: entry.actor_kind, name: entry.actor, address },
            request_id: entry.request_id,
            action: entry.action,
            subject_kind: entry.subject_kind,
            subject: entry.subject,
            tenant: entry.tenant,
            before: entry.before,
            after: entry.after,
        }
    }
}

/// List changes
///
/// The newest first.
#[utoipa::path(
    get,
    path = "/v1/audit",
    tag = "audit",
    params(AuditParameters),
    responses((status = 200, description = "A page of changes", body = ListDocument<AuditDocument>)),
)]
pub(super) async fn list(
    caller: Caller,
    Parameters(parameters): Parameters<AuditParameters>,
) -> Result<Json<ListDocument<AuditDocument>>, Problem> {
    let AuditParameters { tenant: subtree_of, subject, action, from, to, cursor, limit } = parameters;
    let page = page::request(LIST, cursor.as_deref(), limit)?;
    let window = Window { start: from.unwrap_or(Micros(i64::MIN)), end: to.unwrap_or(Micros(i64::MAX)) };
    let filter = AuditFilter { subtree_of, subject, action, window: Some(window) };
    let found = caller.store().audit_log(&filter, page).await?;
    Ok(Json(ListDocument::of(LIST, found)))
}
