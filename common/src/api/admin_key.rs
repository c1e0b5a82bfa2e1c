//! Admin keys: the keys by which machines use the business API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{actor::CreatorDocument, instant::Instant};
use crate::{
    admin::{AdminKey, AdminScope, Role},
    id::{AdminKeyId, TenantId},
    key::KeyStatus,
    time::Micros,
};

/// An admin key.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AdminKey)]
pub struct AdminKeyDocument {
    /// Its public identifier.
    #[schema(value_type = String, example = "adk_01jd0000000000000000000000")]
    pub id: AdminKeyId,
    /// The tenant at which its role is held.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    pub tenant: TenantId,
    /// Name for people.
    #[schema(example = "deployment")]
    pub name: String,
    /// Its role at the tenant and below.
    pub role: Role,
    /// Scopes that narrow the role; empty: all of the role.
    #[schema(value_type = Vec<String>, example = json!(["keys:write"]))]
    pub scopes: Vec<AdminScope>,
    /// Current status.
    pub status: KeyStatus,
    /// The last four characters of the secret.
    pub hint: String,
    /// Time of creation.
    pub created_at: Instant,
    /// The key is refused from this instant on.
    #[schema(required = true)]
    pub expires_at: Option<Instant>,
    /// Time of revocation.
    #[schema(required = true)]
    pub revoked_at: Option<Instant>,
    /// The minute in which it was last accepted.
    #[schema(required = true)]
    pub last_used_at: Option<Instant>,
    /// The creator; null if it was not recorded.
    #[schema(required = true)]
    pub created_by: Option<CreatorDocument>,
}

/// An admin key that was created. The secret is shown this once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = CreatedAdminKey)]
pub struct CreatedAdminKeyDocument {
    /// The key.
    pub key: AdminKeyDocument,
    /// The secret that the machine sends; left out if the key was created before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "adm_...")]
    pub secret: Option<String>,
}

/// The two admin keys of a rotation. The secret of the new one is shown this once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = RotatedAdminKey)]
pub struct RotatedAdminKeyDocument {
    /// The new key, with the tenant, name, role, scopes and expiry of the old one.
    pub key: AdminKeyDocument,
    /// The secret that the machine sends from now on; left out if the rotation happened before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "adm_...")]
    pub secret: Option<String>,
    /// The old key, which is accepted until its grace has passed.
    pub old: AdminKeyDocument,
}

/// An admin key to be created.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAdminKey)]
pub struct NewAdminKeyBody {
    /// The tenant at which its role is held.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    pub tenant: TenantId,
    /// Name for people: 1 to 200 characters, none of them a control character.
    #[schema(min_length = 1, max_length = 200, example = "deployment")]
    pub name: String,
    /// Its role at the tenant and below; at most the caller's own.
    pub role: Role,
    /// Scopes that narrow the role: `read` or `write` of tenants, plans, subscriptions, keys,
    /// credit, usage, audit, `admin_keys`; all of the role unless stated.
    #[serde(default)]
    #[schema(value_type = Vec<String>, required = false, max_items = 16, example = json!(["keys:write", "usage:read"]))]
    pub scopes: Vec<AdminScope>,
    /// The key is refused from this instant on. It ends with the credential that creates it at the
    /// latest.
    pub expires_at: Option<Instant>,
}

impl AdminKeyDocument {
    /// The document of `key`, with its status at `now`.
    pub fn of(key: AdminKey, now: Micros) -> Self {
        let status = key.status(now);
        Self {
            id: key.id,
            tenant: key.tenant,
            name: key.name,
            role: key.role,
            scopes: key.scopes,
            status,
            hint: key.hint,
            created_at: key.created_at.into(),
            expires_at: key.expires_at.map(Into::into),
            revoked_at: key.revoked_at.map(Into::into),
            last_used_at: key.last_used_at.map(Into::into),
            created_by: key.created_by.map(Into::into),
        }
    }
}
