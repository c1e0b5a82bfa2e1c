//! An admin key without its hash, and the answer that carries its secret the one time it is shown.

use common::{
    admin::{AdminKey, AdminScope, AdminSecret, Role},
    id::{AdminKeyId, TenantId},
    key::KeyStatus,
    time::Micros,
};
use serde::{Deserialize, Serialize, Serializer};

use super::{CreatorView, Instant, or_else_all};
use crate::output::{ListRow, Rows, View, or_dash};

/// An admin key as it is shown.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AdminKeyView {
    id: AdminKeyId,
    tenant: TenantId,
    name: String,
    role: Role,
    scopes: Vec<AdminScope>,
    status: KeyStatus,
    /// The secret's last four characters.
    hint: String,
    created_at: Instant,
    expires_at: Option<Instant>,
    revoked_at: Option<Instant>,
    /// The minute in which it was last accepted.
    last_used_at: Option<Instant>,
    created_by: Option<CreatorView>,
}

/// A new admin key and its secret.
#[derive(Debug, Serialize)]
pub(crate) struct CreatedAdminKey {
    pub(crate) key: AdminKeyView,
    #[serde(serialize_with = "expose")]
    pub(crate) secret: AdminSecret,
}

/// An admin key, the one that takes its place, and that one's secret.
#[derive(Debug, Serialize)]
pub(crate) struct RotatedAdminKey {
    pub(crate) old: AdminKeyView,
    pub(crate) new: AdminKeyView,
    #[serde(serialize_with = "expose")]
    pub(crate) secret: AdminSecret,
}

impl AdminKeyView {
    /// `key` as it stands at `now`.
    pub(crate) fn new(key: AdminKey, now: Micros) -> Self {
        Self {
            status: key.status(now),
            id: key.id,
            tenant: key.tenant,
            name: key.name,
            role: key.role,
            scopes: key.scopes,
            hint: key.hint,
            created_at: Instant(key.created_at),
            expires_at: key.expires_at.map(Instant),
            revoked_at: key.revoked_at.map(Instant),
            last_used_at: key.last_used_at.map(Instant),
            created_by: key.created_by.map(Into::into),
        }
    }

    pub(crate) const fn id(&self) -> AdminKeyId {
        self.id
    }

    fn scopes_text(&self) -> String {
        or_else_all(&self.scopes, "all of the role")
    }
}

impl View for AdminKeyView {
    fn table(&self) -> Rows {
        Rows::properties([
            ("id", self.id.to_string()),
            ("name", self.name.clone()),
            ("tenant", self.tenant.to_string()),
            ("role", self.role.to_string()),
            ("scopes", self.scopes_text()),
            ("status", self.status.to_string()),
            ("ends with", self.hint.clone()),
            ("created", self.created_at.to_string()),
            ("expires", or_dash(self.expires_at)),
            ("revoked", or_dash(self.revoked_at)),
            ("last used", or_dash(self.last_used_at)),
            ("made by", or_dash(self.created_by.as_ref())),
        ])
    }
}

impl ListRow for AdminKeyView {
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "TENANT", "ROLE", "SCOPES", "STATUS", "ENDS WITH", "CREATED", "EXPIRES", "LAST USED"];
    const DROPPABLE: &'static [&'static str] = &["ENDS WITH", "CREATED", "SCOPES", "EXPIRES", "LAST USED", "TENANT"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.tenant.to_string(),
            self.role.to_string(),
            self.scopes_text(),
            self.status.to_string(),
            self.hint.clone(),
            self.created_at.to_string(),
            or_dash(self.expires_at),
            or_dash(self.last_used_at),
        ]
    }
}

impl View for CreatedAdminKey {
    fn table(&self) -> Rows {
        let mut rows = self.key.table();
        rows.push("secret", self.secret.expose().to_owned());
        rows
    }
}

impl View for RotatedAdminKey {
    fn table(&self) -> Rows {
        let mut rows = self.new.table();
        rows.push("old ends", or_dash(self.old.expires_at));
        rows.push("secret", self.secret.expose().to_owned());
        rows
    }
}

fn expose<S: Serializer>(secret: &AdminSecret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}
