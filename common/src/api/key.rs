//! API keys. A secret is in the answer that creates the key, and in no other.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{actor::CreatorDocument, instant::Instant, network::Network};
use crate::{
    id::{KeyId, TenantId},
    key::{Key, KeyStatus, KeyUpdate, Mode},
    time::Micros,
};

/// An API key.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Key)]
pub struct KeyDocument {
    /// Its public identifier.
    #[schema(value_type = String, example = "key_01jd0000000000000000000000")]
    pub id: KeyId,
    /// The tenant that its usage belongs to.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    pub tenant: TenantId,
    /// Name for people.
    #[schema(example = "production")]
    pub name: String,
    /// Live or test.
    pub mode: Mode,
    /// Current status.
    pub status: KeyStatus,
    /// The last four characters of the secret.
    pub hint: String,
    /// Scopes of the key; empty: every route.
    pub scopes: Vec<String>,
    /// Addresses that the key may be used from; empty: any.
    #[schema(value_type = Vec<String>)]
    pub allowed_ips: Vec<Network>,
    /// Time of creation.
    pub created_at: Instant,
    /// The key is refused from this instant on.
    #[schema(required = true)]
    pub expires_at: Option<Instant>,
    /// Time of revocation.
    #[schema(required = true)]
    pub revoked_at: Option<Instant>,
    /// The minute in which a gateway last accepted it.
    #[schema(required = true)]
    pub last_used_at: Option<Instant>,
    /// The key that this one replaced by rotation.
    #[schema(value_type = Option<String>, required = true)]
    pub replaces: Option<KeyId>,
    /// The creator; null if it was not recorded.
    #[schema(required = true)]
    pub created_by: Option<CreatorDocument>,
    /// Counts its changes, from 1; the `ETag` in quotes.
    #[serde(default)]
    #[schema(required = true)]
    pub revision: i64,
}

/// An API key that was created. The secret is shown this once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = CreatedKey)]
pub struct CreatedKeyDocument {
    /// The key.
    pub key: KeyDocument,
    /// The secret that the client sends; left out if the key was created before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "sk_live_...")]
    pub secret: Option<String>,
}

/// The two keys of a rotation. The secret of the new one is shown this once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = RotatedKey)]
pub struct RotatedKeyDocument {
    /// The new key, with the tenant, name, mode, scopes, addresses and expiry of the old one.
    pub key: KeyDocument,
    /// The secret that the client sends from now on; left out if the rotation happened before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "sk_live_...")]
    pub secret: Option<String>,
    /// The old key, which is accepted until its grace has passed.
    pub old: KeyDocument,
}

/// An API key to be created.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewKey)]
pub struct NewKeyBody {
    /// The tenant that its usage will belong to.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    pub tenant: TenantId,
    /// Name for people: 1 to 200 characters, none of them a control character.
    #[schema(min_length = 1, max_length = 200, example = "production")]
    pub name: String,
    /// `live` unless stated.
    pub mode: Option<Mode>,
    /// The key is refused from this instant on; never unless stated.
    pub expires_at: Option<Instant>,
    /// Scopes, at most 32; every route unless stated.
    #[serde(default)]
    #[schema(required = false, max_items = 32, example = json!(["search"]))]
    pub scopes: Vec<String>,
    /// At most 32 addresses, or ranges without bits beyond their prefix, that the key may be used
    /// from; any unless stated.
    #[serde(default)]
    #[schema(value_type = Vec<String>, required = false, max_items = 32, example = json!(["203.0.113.0/24"]))]
    pub allowed_ips: Vec<Network>,
}

/// Changes of an API key; a member that is left out stays as it is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyUpdate)]
pub struct KeyUpdateBody {
    /// Name for people: 1 to 200 characters, none of them a control character.
    #[schema(min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// Scopes, at most 32; an empty list: every route.
    #[schema(max_items = 32)]
    pub scopes: Option<Vec<String>>,
    /// At most 32 ranges of addresses that the key may be used from; an empty list: any.
    #[schema(value_type = Option<Vec<String>>, max_items = 32, example = json!(["203.0.113.0/24"]))]
    pub allowed_ips: Option<Vec<Network>>,
}

/// Rotation of an API key or an admin key.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyRotationRequest)]
pub struct RotationBody {
    /// Seconds for which the old key is still accepted, but not past its own expiry; none unless
    /// stated.
    #[serde(default)]
    #[schema(required = false, minimum = 0, maximum = 86_400, default = 0)]
    pub grace_seconds: u32,
}

/// A secret that was found.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FoundSecret)]
pub struct FoundSecretBody {
    /// The secret; no answer and no log line contains it.
    #[schema(write_only, example = "sk_live_...")]
    pub secret: String,
}

impl KeyDocument {
    /// The document of `key`, with its status at `now`.
    pub fn of(key: Key, now: Micros) -> Self {
        let status = key.status(now);
        Self {
            id: key.id,
            tenant: key.tenant,
            name: key.name,
            mode: key.mode,
            status,
            hint: key.hint,
            scopes: key.scopes,
            allowed_ips: Network::of_ranges(key.allowed_ips),
            created_at: key.created_at.into(),
            expires_at: key.expires_at.map(Into::into),
            revoked_at: key.revoked_at.map(Into::into),
            last_used_at: key.last_used_at.map(Into::into),
            replaces: key.replaces,
            created_by: key.created_by.map(Into::into),
            revision: key.revision,
        }
    }
}

impl From<KeyUpdateBody> for KeyUpdate {
    fn from(KeyUpdateBody { name, scopes, allowed_ips }: KeyUpdateBody) -> Self {
        Self { name, scopes, allowed_ips: allowed_ips.map(Network::ranges) }
    }
}
