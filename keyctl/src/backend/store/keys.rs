//! Keys in the store: their secrets are made here, hashed under the pepper, shown once and
//! forgotten.

use async_trait::async_trait;
use common::{
    admin::{AdminKeyFilter, AdminSecret, NewAdminKey},
    api::{
        admin_key::{AdminKeyDocument, NewAdminKeyBody},
        key::{KeyDocument, KeyUpdateBody, NewKeyBody},
        network::Network,
    },
    id::{AdminKeyId, KeyId},
    key::{Key, KeyFilter, Mode, NewKey, Pepper, Secret},
};

use super::{ALL, StoreBackend};
use crate::{
    backend::{Created, KeyQuery, KeyRecord, Keys, Rotated},
    error::Failure,
    pepper::PepperArgs,
};

#[async_trait]
impl Keys for StoreBackend {
    async fn create_key(&self, new: NewKeyBody, pepper: &PepperArgs) -> Result<Created<KeyRecord>, Failure> {
        let pepper = self.pepper(pepper).await?;
        let mode = new.mode.unwrap_or(Mode::Live);
        let secret = Secret::generate(mode);
        let new = NewKey {
            tenant: new.tenant,
            name: new.name,
            mode,
            hash: pepper.hash(&secret),
            pepper_id: pepper.id().to_owned(),
            hint: secret.hint().to_owned(),
            expires_at: new.expires_at.map(Into::into),
            scopes: new.scopes,
            allowed_ips: Network::ranges(new.allowed_ips),
        };
        let key = self.store.create_key(&new, self.now).await?;
        Ok(Created { key: self.record(key), secret: secret.expose().to_owned() })
    }

    async fn keys(&self, query: &KeyQuery) -> Result<Vec<KeyRecord>, Failure> {
        let KeyQuery { tenant, subtree_of, status, name } = query;
        let (tenant, subtree_of, name) = (*tenant, *subtree_of, name.clone());
        if let Some(id) = tenant {
            // An unknown tenant is an error, not a tenant without keys.
            self.store.tenant(id).await?;
        }
        let filter = KeyFilter { tenant, subtree_of, status: status.map(|status| (status, self.now)), name };
        let found = self.store.keys_page(&filter, ALL).await?.items;
        Ok(found.into_iter().map(|key| self.record(key)).collect())
    }

    async fn key(&self, id: KeyId) -> Result<KeyRecord, Failure> {
        Ok(self.record(self.store.key(id).await?))
    }

    async fn find_key(&self, secret: &Secret, pepper: &PepperArgs) -> Result<KeyRecord, Failure> {
        let found = self.store.key_by_hash(&self.pepper(pepper).await?.hash(secret)).await?;
        Ok(self.record(found.ok_or(Failure::SecretUnknown)?))
    }

    async fn update_key(&self, id: KeyId, update: KeyUpdateBody) -> Result<KeyRecord, Failure> {
        Ok(self.record(self.store.update_key(id, &update.into(), None, self.now).await?))
    }

    async fn rotate_key(
        &self,
        id: KeyId,
        grace_seconds: u32,
        pepper: &PepperArgs,
    ) -> Result<Rotated<KeyRecord>, Failure> {
        let pepper = self.pepper(pepper).await?;
        // The secret's prefix says the mode, which the new key has from the old one.
        let secret = Secret::generate(self.store.key(id).await?.mode);
        let (hash, hint) = (pepper.hash(&secret), secret.hint());
        let rotation = self.store.rotate_key(id, hash, pepper.id(), hint, grace_seconds, self.now).await?;
        let (old, new) = (self.record(rotation.old), self.record(rotation.new));
        Ok(Rotated { old, new, secret: secret.expose().to_owned() })
    }

    async fn revoke_key(&self, id: KeyId) -> Result<KeyRecord, Failure> {
        Ok(self.record(self.store.revoke_key(id, self.now).await?))
    }

    async fn create_admin_key(
        &self,
        new: NewAdminKeyBody,
        pepper: &PepperArgs,
    ) -> Result<Created<AdminKeyDocument>, Failure> {
        let pepper = self.pepper(pepper).await?;
        let secret = AdminSecret::generate();
        let new = NewAdminKey {
            tenant: new.tenant,
            name: new.name,
            role: new.role,
            scopes: new.scopes,
            hash: pepper.hash_admin(&secret),
            pepper_id: pepper.id().to_owned(),
            hint: secret.hint().to_owned(),
            expires_at: new.expires_at.map(Into::into),
        };
        let key = self.store.create_admin_key(&new, self.now).await?;
        Ok(Created { key: AdminKeyDocument::of(key, self.now), secret: secret.expose().to_owned() })
    }

    async fn find_admin_key(&self, secret: &AdminSecret, pepper: &PepperArgs) -> Result<AdminKeyDocument, Failure> {
        let found = self.store.admin_key_by_hash(&self.pepper(pepper).await?.hash_admin(secret)).await?;
        Ok(AdminKeyDocument::of(found.ok_or(Failure::SecretUnknown)?, self.now))
    }

    async fn admin_keys(&self, filter: &AdminKeyFilter) -> Result<Vec<AdminKeyDocument>, Failure> {
        let found = self.store.admin_keys_page(filter, ALL).await?.items;
        Ok(found.into_iter().map(|key| AdminKeyDocument::of(key, self.now)).collect())
    }

    async fn rotate_admin_key(
        &self,
        id: AdminKeyId,
        grace_seconds: u32,
        pepper: &PepperArgs,
    ) -> Result<Rotated<AdminKeyDocument>, Failure> {
        let pepper = self.pepper(pepper).await?;
        let secret = AdminSecret::generate();
        let (hash, hint) = (pepper.hash_admin(&secret), secret.hint());
        let rotation = self.store.rotate_admin_key(id, hash, pepper.id(), hint, grace_seconds, self.now).await?;
        let (old, new) = (AdminKeyDocument::of(rotation.old, self.now), AdminKeyDocument::of(rotation.new, self.now));
        Ok(Rotated { old, new, secret: secret.expose().to_owned() })
    }

    async fn revoke_admin_key(&self, id: AdminKeyId) -> Result<AdminKeyDocument, Failure> {
        Ok(AdminKeyDocument::of(self.store.revoke_admin_key(id, self.now).await?, self.now))
    }
}

impl StoreBackend {
    fn record(&self, key: Key) -> KeyRecord {
        KeyRecord { pepper_id: Some(key.pepper_id.clone()), key: KeyDocument::of(key, self.now) }
    }

    /// The pepper, if it is the one that the store's keys are hashed under.
    pub(super) async fn pepper(&self, pepper: &PepperArgs) -> Result<Pepper, Failure> {
        let pepper = pepper.load()?;
        self.store.check_pepper(&pepper, self.now).await?;
        Ok(pepper)
    }
}
