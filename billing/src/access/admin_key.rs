//! Admin keys. Each request looks the key up by its hash in the store, so that a revoked key is
//! refused at once.

use common::{
    admin::{AdminKey, AdminSecret},
    api::me::PrincipalKind,
    key::KeyStatus,
};

use super::{Access, Principal, credential::Refused};

impl Access {
    /// Returns the principal of an admin key.
    pub(super) async fn admin_key(&self, secret: &AdminSecret) -> Result<Principal, Refused> {
        let found = self.store.admin_key_by_hash(&self.pepper.hash_admin(secret)).await?;
        let Some(key) = found else {
            return Err(Refused::unknown("no such admin key"));
        };
        self.principal_of(key)
    }

    /// Returns the principal of an admin key that was found, if the key is active.
    pub(super) fn principal_of(&self, key: AdminKey) -> Result<Principal, Refused> {
        match key.status(self.clock.now()) {
            KeyStatus::Active => {
                self.note_use(&key);
                Ok(Principal {
                    kind: PrincipalKind::AdminKey,
                    name: key.id.to_string(),
                    tenant: Some(key.tenant),
                    role: key.role,
                    scopes: key.scopes,
                    expires_at: key.expires_at,
                    session: None,
                })
            }
            KeyStatus::Revoked => Err(Refused::known("this admin key was revoked")),
            KeyStatus::Expired => Err(Refused::known("this admin key has expired")),
        }
    }

    /// Stores that the key is used in this minute, unless that is stored already. The request does
    /// not wait for it.
    fn note_use(&self, key: &AdminKey) {
        let (id, minute) = (key.id, self.clock.now().minute());
        if key.last_used_at >= Some(minute) {
            return;
        }
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.touch_admin_key(id, minute).await {
                tracing::warn!(event = "admin_key_use_not_noted", key = %id, %error);
            }
        });
    }
}
