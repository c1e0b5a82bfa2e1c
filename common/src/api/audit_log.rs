//! Entries of the audit log: who changed what.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{actor::ActorDocument, instant::Instant};
use crate::{id::TenantId, store::AuditEntry};

/// A change.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditEntry)]
pub struct AuditDocument {
    /// Time of the change.
    pub at: Instant,
    /// The actor that made it.
    pub actor: ActorDocument,
    /// Id of the request in the logs.
    #[schema(required = true)]
    pub request_id: Option<String>,
    /// The action.
    #[schema(example = "key.revoke")]
    pub action: String,
    /// Kind of the thing that was changed.
    #[schema(example = "key")]
    pub subject_kind: String,
    /// Id of the thing that was changed.
    pub subject: String,
    /// The tenant that the thing belongs to.
    #[schema(value_type = Option<String>, required = true)]
    pub tenant: Option<TenantId>,
    /// The thing before the change, as the store keeps it: times there are microseconds since 1970.
    #[schema(value_type = Value, required = true)]
    pub before: Option<Value>,
    /// The thing after the change.
    #[schema(value_type = Value, required = true)]
    pub after: Option<Value>,
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
