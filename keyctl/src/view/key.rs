//! A key without its hash, and the answers that carry a secret the one time it is shown.

use common::{
    id::{KeyId, TenantId},
    key::{Key, KeyStatus, Mode, Secret},
    time::Micros,
};
use serde::{Serialize, Serializer};

use super::Instant;
use crate::output::{ListRow, Rows, View, or_dash};

/// A key as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct KeyView {
    id: KeyId,
    tenant: TenantId,
    name: String,
    mode: Mode,
    status: KeyStatus,
    /// The secret's last four characters.
    hint: String,
    pepper_id: String,
    created_at: Instant,
    expires_at: Option<Instant>,
    revoked_at: Option<Instant>,
    replaces: Option<KeyId>,
}

/// A new key and its secret.
#[derive(Debug, Serialize)]
pub(crate) struct CreatedKey<'a> {
    pub(crate) key: KeyView,
    #[serde(serialize_with = "expose")]
    pub(crate) secret: &'a Secret,
}

/// A key, the one that takes its place, and that one's secret.
#[derive(Debug, Serialize)]
pub(crate) struct RotatedKey<'a> {
    pub(crate) old: KeyView,
    pub(crate) new: KeyView,
    #[serde(serialize_with = "expose")]
    pub(crate) secret: &'a Secret,
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
            pepper_id: key.pepper_id,
            created_at: Instant(key.created_at),
            expires_at: key.expires_at.map(Instant),
            revoked_at: key.revoked_at.map(Instant),
            replaces: key.replaces,
        }
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
            ("pepper", self.pepper_id.clone()),
            ("created", self.created_at.to_string()),
            ("expires", or_dash(self.expires_at)),
            ("revoked", or_dash(self.revoked_at)),
            ("replaces", or_dash(self.replaces)),
        ])
    }
}

impl ListRow for KeyView {
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "TENANT", "MODE", "STATUS", "ENDS WITH", "CREATED", "EXPIRES"];

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
        ]
    }
}

impl View for CreatedKey<'_> {
    fn table(&self) -> Rows {
        let mut rows = self.key.table();
        rows.push("secret", self.secret.expose().to_owned());
        rows
    }
}

impl View for RotatedKey<'_> {
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
