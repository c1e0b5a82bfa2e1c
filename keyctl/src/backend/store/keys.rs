//! Keys in the store: their secrets are made here, hashed under the pepper, shown once and forgotten.

use async_trait::async_trait;
use common::{
    admin::{AdminKeyFilter, AdminSecret, NewAdminKey},
    id::{AdminKeyId, KeyId},
    key::{KeyFilter, KeyUpdate, NewKey, Pepper, Secret},
};

use super::{ALL, StoreBackend};
use crate::{
    backend::{AdminKeyRequest, KeyQuery, KeyRequest, Keys},
    error::Failure,
    pepper::PepperArgs,
    view::{AdminKeyView, CreatedAdminKey, CreatedKey, KeyView, RotatedAdminKey, RotatedKey},
};

#[async_trait]
impl Keys for StoreBackend {
    async fn create_key(&self, new: &KeyRequest, pepper: &PepperArgs) -> Result<CreatedKey, Failure> {
        let pepper = self.pepper(pepper).await?;
        let secret = Secret::generate(new.mode);
        let new = NewKey {
            tenant: new.tenant,
            name: new.name.clone(),
            mode: new.mode,
            hash: pepper.hash(&secret),
            pepper_id: pepper.id().to_owned(),
            hint: secret.hint().to_owned(),
            expires_at: new.expires_at,
            scopes: new.scopes.clone(),
            allowed_ips: new.allowed_ips.clone(),
        };
        let key = self.store.create_key(&new, self.now).await?;
        Ok(CreatedKey { key: KeyView::new(key, self.now), secret })
    }

    async fn keys(&self, query: &KeyQuery) -> Result<Vec<KeyView>, Failure> {
        let KeyQuery { tenant, subtree_of, status, name } = query;
        let (tenant, subtree_of, name) = (*tenant, *subtree_of, name.clone());
        if let Some(id) = tenant {
            // An unknown tenant is an error, not a tenant without keys.
            self.store.tenant(id).await?;
        }
        let filter = KeyFilter { tenant, subtree_of, status: status.map(|status| (status, self.now)), name };
        let found = self.store.keys_page(&filter, ALL).await?.items;
        Ok(found.into_iter().map(|key| KeyView::new(key, self.now)).collect())
    }

    async fn key(&self, id: KeyId) -> Result<KeyView, Failure> {
        Ok(KeyView::new(self.store.key(id).await?, self.now))
    }

    async fn find_key(&self, secret: &Secret, pepper: &PepperArgs) -> Result<KeyView, Failure> {
        let found = self.store.key_by_hash(&self.pepper(pepper).await?.hash(secret)).await?;
        Ok(KeyView::new(found.ok_or(Failure::SecretUnknown)?, self.now))
    }

    async fn update_key(&self, id: KeyId, update: &KeyUpdate) -> Result<KeyView, Failure> {
        Ok(KeyView::new(self.store.update_key(id, update, None, self.now).await?, self.now))
    }

    async fn rotate_key(&self, id: KeyId, grace_seconds: u32, pepper: &PepperArgs) -> Result<RotatedKey, Failure> {
        let pepper = self.pepper(pepper).await?;
        // The secret's prefix says the mode, which the new key has from the old one.
        let secret = Secret::generate(self.store.key(id).await?.mode);
        let (hash, hint) = (pepper.hash(&secret), secret.hint());
        let rotation = self.store.rotate_key(id, hash, pepper.id(), hint, grace_seconds, self.now).await?;
        let (old, new) = (KeyView::new(rotation.old, self.now), KeyView::new(rotation.new, self.now));
        Ok(RotatedKey { old, new, secret })
    }

    async fn revoke_key(&self, id: KeyId) -> Result<KeyView, Failure> {
        Ok(KeyView::new(self.store.revoke_key(id, self.now).await?, self.now))
    }

    async fn create_admin_key(&self, new: &AdminKeyRequest, pepper: &PepperArgs) -> Result<CreatedAdminKey, Failure> {
        let pepper = self.pepper(pepper).await?;
        let secret = AdminSecret::generate();
        let new = NewAdminKey {
            tenant: new.tenant,
            name: new.name.clone(),
            role: new.role,
            scopes: new.scopes.clone(),
            hash: pepper.hash_admin(&secret),
            pepper_id: pepper.id().to_owned(),
            hint: secret.hint().to_owned(),
            expires_at: new.expires_at,
        };
        let key = self.store.create_admin_key(&new, self.now).await?;
        Ok(CreatedAdminKey { key: AdminKeyView::new(key, self.now), secret })
    }

    async fn find_admin_key(&self, secret: &AdminSecret, pepper: &PepperArgs) -> Result<AdminKeyView, Failure> {
        let found = self.store.admin_key_by_hash(&self.pepper(pepper).await?.hash_admin(secret)).await?;
        Ok(AdminKeyView::new(found.ok_or(Failure::SecretUnknown)?, self.now))
    }

    async fn admin_keys(&self, filter: &AdminKeyFilter) -> Result<Vec<AdminKeyView>, Failure> {
        let found = self.store.admin_keys_page(filter, ALL).await?.items;
        Ok(found.into_iter().map(|key| AdminKeyView::new(key, self.now)).collect())
    }

    async fn rotate_admin_key(
        &self,
        id: AdminKeyId,
        grace_seconds: u32,
        pepper: &PepperArgs,
    ) -> Result<RotatedAdminKey, Failure> {
        let pepper = self.pepper(pepper).await?;
        let secret = AdminSecret::generate();
        let (hash, hint) = (pepper.hash_admin(&secret), secret.hint());
        let rotation = self.store.rotate_admin_key(id, hash, pepper.id(), hint, grace_seconds, self.now).await?;
        let (old, new) = (AdminKeyView::new(rotation.old, self.now), AdminKeyView::new(rotation.new, self.now));
        Ok(RotatedAdminKey { old, new, secret })
    }

    async fn revoke_admin_key(&self, id: AdminKeyId) -> Result<AdminKeyView, Failure> {
        Ok(AdminKeyView::new(self.store.revoke_admin_key(id, self.now).await?, self.now))
    }
}

impl StoreBackend {
    /// The pepper, if it is the one that the store's keys are hashed under.
    async fn pepper(&self, pepper: &PepperArgs) -> Result<Pepper, Failure> {
        let pepper = pepper.load()?;
        self.store.check_pepper(&pepper, self.now).await?;
        Ok(pepper)
    }
}
