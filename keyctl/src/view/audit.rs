//! An entry of the audit log.

use common::{acting::ActorKind, id::TenantId, store::AuditEntry};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Instant;
use crate::output::{ListRow, or_dash};

/// A change, as it is shown. What the thing was before and is since goes into JSON alone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AuditView {
    at: Instant,
    actor: ActorView,
    request_id: Option<String>,
    action: String,
    subject_kind: String,
    subject: String,
    tenant: Option<TenantId>,
    before: Option<Value>,
    after: Option<Value>,
}

/// Who made it.
#[derive(Debug, Serialize, Deserialize)]
struct ActorView {
    kind: ActorKind,
    /// None: somebody above whoever asks.
    name: Option<String>,
    address: Option<String>,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            at: Instant(entry.at),
            actor: ActorView { kind: entry.actor_kind, name: entry.actor, address: entry.address },
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

impl ListRow for AuditView {
    const COLUMNS: &'static [&'static str] = &["AT", "BY", "NAME", "FROM", "ACTION", "SUBJECT", "TENANT"];
    const DROPPABLE: &'static [&'static str] = &["FROM", "TENANT", "BY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.at.to_string(),
            self.actor.kind.to_string(),
            or_dash(self.actor.name.as_ref()),
            or_dash(self.actor.address.as_ref()),
            self.action.clone(),
            self.subject.clone(),
            or_dash(self.tenant),
        ]
    }
}
