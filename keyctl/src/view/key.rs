//! A key without its hash, and the answers that carry a secret the one time it is shown.

use common::{
    id::{KeyId, TenantId},
    key::{IpNet, Key, KeyStatus, Mode, Secret},
    time::Micros,
};
use serde::{Deserialize, Serialize, Serializer};

use super::{CreatorView, Instant, or_else_all};
use crate::output::{ListRow, Rows, View, or_dash};

/// A key as it is shown.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeyView {
    id: KeyId,
    tenant: TenantId,
    name: String,
    mode: Mode,
    status: KeyStatus,
    /// The secret's last four characters.
    hint: String,
    /// The API does not tell.
    #[serde(default)]
    pepper_id: Option<String>,
    scopes: Vec<String>,
    allowed_ips: Vec<IpNet>,
    created_at: Instant,
    expires_at: Option<Instant>,
    revoked_at: Option<Instant>,
    last_used_at: Option<Instant>,
    replaces: Option<KeyId>,
    created_by: Option<CreatorView>,
}

/// A new key and its secret.
#[derive(Debug, Serialize)]
pub(crate) struct CreatedKey {
    pub(crate) key: KeyView,
    #[serde(serialize_with = "expose")]
    pub(crate) secret: Secret,
}

/// A key, the one that takes its place, and that one's secret.
#[derive(Debug, Serialize)]
pub(crate) struct RotatedKey {
    pub(crate) old: KeyView,
    pub(crate) new: KeyView,
    #[serde(serialize_with = "expose")]
    pub(crate) secret: Secret,
}

impl KeyView {
    /// `key` as it stands at `now`.
    pub(crate) fn new(key: Key, now: Micros) -> Self {
        Self {
            status: key.status(now),
            id: key.id,
            tenant: key.tenant,
            name: key.name,
            mode: key.mode,
            hint: key.hint,
            pepper_id: Some(key.pepper_id),
            scopes: key.scopes,
            allowed_ips: key.allowed_ips,
            created_at: Instant(key.created_at),
            expires_at: key.expires_at.map(Instant),
            revoked_at: key.revoked_at.map(Instant),
            last_used_at: key.last_used_at.map(Instant),
            replaces: key.replaces,
            created_by: key.created_by.map(Into::into),
        }
    }

    pub(crate) const fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn into_name(self) -> String {
        self.name
    }
}

impl View for KeyView {
    fn table(&self) -> Rows {
        Rows::properties([
            ("id", self.id.to_string()),
            ("name", self.name.clone()),
            ("tenant", self.tenant.to_string()),
            ("mode", self.mode.to_string()),
            ("status", self.status.to_string()),
            ("ends with", self.hint.clone()),
            ("pepper", or_dash(self.pepper_id.as_ref())),
            ("scopes", or_else_all(&self.scopes, "every route")),
            ("allowed from", or_else_all(&self.allowed_ips, "anywhere")),
            ("created", self.created_at.to_string()),
            ("expires", or_dash(self.expires_at)),
            ("revoked", or_dash(self.revoked_at)),
            ("last used", or_dash(self.last_used_at)),
            ("replaces", or_dash(self.replaces)),
            ("made by", or_dash(self.created_by.as_ref())),
        ])
    }
}

impl ListRow for KeyView {
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "TENANT", "MODE", "STATUS", "ENDS WITH", "CREATED", "EXPIRES", "LAST USED"];
    const DROPPABLE: &'static [&'static str] = &["ENDS WITH", "CREATED", "EXPIRES", "LAST USED", "MODE", "TENANT"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.tenant.to_string(),
            self.mode.to_string(),
            self.status.to_string(),
            self.hint.clone(),
            self.created_at.to_string(),
            or_dash(self.expires_at),
            or_dash(self.last_used_at),
        ]
    }
}

impl View for CreatedKey {
    fn table(&self) -> Rows {
        let mut rows = self.key.table();
        rows.push("secret", self.secret.expose().to_owned());
        rows
    }
}

impl View for RotatedKey {
    fn table(&self) -> Rows {
        let mut rows = self.new.table();
        rows.push("old ends", or_dash(self.old.expires_at));
        rows.push("secret", self.secret.expose().to_owned());
        rows
    }
}

fn expose<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}
