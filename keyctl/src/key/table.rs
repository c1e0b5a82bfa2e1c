//! Tables of keys, and of the answers that show a secret once.

use crate::{
    backend::{Created, KeyRecord, Rotated},
    output::{ListRow, Rows, View, creator, or_dash, or_else_all},
};

impl View for KeyRecord {
    fn table(&self) -> Rows {
        let Self { key, pepper_id } = self;
        Rows::properties([
            ("id", key.id.to_string()),
            ("name", key.name.clone()),
            ("tenant", key.tenant.to_string()),
            ("mode", key.mode.to_string()),
            ("status", key.status.to_string()),
            ("ends with", key.hint.clone()),
            ("pepper", or_dash(pepper_id.as_ref())),
            ("scopes", or_else_all(&key.scopes, "every route")),
            ("allowed from", or_else_all(&key.allowed_ips, "anywhere")),
            ("created", key.created_at.to_string()),
            ("expires", or_dash(key.expires_at)),
            ("revoked", or_dash(key.revoked_at)),
            ("last used", or_dash(key.last_used_at)),
            ("replaces", or_dash(key.replaces)),
            ("made by", or_dash(key.created_by.as_ref().map(creator))),
        ])
    }
}

impl ListRow for KeyRecord {
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "TENANT", "MODE", "STATUS", "ENDS WITH", "CREATED", "EXPIRES", "LAST USED"];
    const DROPPABLE: &'static [&'static str] = &["ENDS WITH", "CREATED", "EXPIRES", "LAST USED", "MODE", "TENANT"];

    fn cells(&self) -> Vec<String> {
        let key = &self.key;
        vec![
            key.id.to_string(),
            key.name.clone(),
            key.tenant.to_string(),
            key.mode.to_string(),
            key.status.to_string(),
            key.hint.clone(),
            key.created_at.to_string(),
            or_dash(key.expires_at),
            or_dash(key.last_used_at),
        ]
    }
}

impl View for Created<KeyRecord> {
    fn table(&self) -> Rows {
        self.key.table().with("secret", self.secret.clone())
    }
}

impl View for Rotated<KeyRecord> {
    fn table(&self) -> Rows {
        let rows = self.new.table().with("old ends", or_dash(self.old.key.expires_at));
        rows.with("secret", self.secret.clone())
    }
}
