//! Keys through the API: it makes and hashes their secrets itself.

use std::fmt::Display;

use async_trait::async_trait;
use common::{
    admin::{AdminKeyFilter, AdminSecret},
    api::{
        admin_key::{AdminKeyDocument, CreatedAdminKeyDocument, NewAdminKeyBody, RotatedAdminKeyDocument},
        key::{
            CreatedKeyDocument, FoundSecretBody, KeyDocument, KeyUpdateBody, NewKeyBody, RotatedKeyDocument,
            RotationBody,
        },
    },
    id::{AdminKeyId, KeyId},
    key::Secret,
};
use reqwest::Method;

use super::{ApiBackend, error::ApiError};
use crate::{
    backend::{Created, KeyQuery, KeyRecord, Keys, Rotated},
    error::Failure,
    pepper::PepperArgs,
};

/// The secret of a new key; the API leaves it out if the key was created before.
fn shown_once(secret: Option<String>, id: &impl Display) -> Result<String, ApiError> {
    secret.ok_or_else(|| ApiError::SecretLost { id: id.to_string() })
}

impl From<KeyDocument> for KeyRecord {
    fn from(key: KeyDocument) -> Self {
        Self { key, pepper_id: None }
    }
}

#[async_trait]
impl Keys for ApiBackend {
    async fn create_key(&self, new: NewKeyBody, _pepper: &PepperArgs) -> Result<Created<KeyRecord>, Failure> {
        let CreatedKeyDocument { key, secret } = self.create(&["keys"], &new)?.read().await?;
        Ok(Created { secret: shown_once(secret, &key.id)?, key: key.into() })
    }

    async fn keys(&self, query: &KeyQuery) -> Result<Vec<KeyRecord>, Failure> {
        let call = self
            .get(&["keys"])
            .query("tenant", query.tenant)
            .query("subtree_of", query.subtree_of)
            .query("status", query.status)
            .query("name", query.name.as_ref());
        let found: Vec<KeyDocument> = call.pages(usize::MAX).await?;
        Ok(found.into_iter().map(Into::into).collect())
    }

    async fn key(&self, id: KeyId) -> Result<KeyRecord, Failure> {
        let found: KeyDocument = self.get(&["keys", &id.to_string()]).read().await?;
        Ok(found.into())
    }

    async fn find_key(&self, secret: &Secret, _pepper: &PepperArgs) -> Result<KeyRecord, Failure> {
        let body = FoundSecretBody { secret: secret.expose().to_owned() };
        let found: KeyDocument = self.call(Method::POST, &["keys", "find"]).with(&body)?.read().await?;
        Ok(found.into())
    }

    async fn update_key(&self, id: KeyId, update: KeyUpdateBody) -> Result<KeyRecord, Failure> {
        let call = self.call(Method::PATCH, &["keys", &id.to_string()]);
        let updated: KeyDocument = call.with(&update)?.read().await?;
        Ok(updated.into())
    }

    async fn rotate_key(
        &self,
        id: KeyId,
        grace_seconds: u32,
        _pepper: &PepperArgs,
    ) -> Result<Rotated<KeyRecord>, Failure> {
        let call = self.create(&["keys", &id.to_string(), "rotate"], &RotationBody { grace_seconds })?;
        let RotatedKeyDocument { key, secret, old } = call.read().await?;
        Ok(Rotated { secret: shown_once(secret, &key.id)?, old: old.into(), new: key.into() })
    }

    async fn revoke_key(&self, id: KeyId) -> Result<KeyRecord, Failure> {
        let revoked: KeyDocument = self.call(Method::POST, &["keys", &id.to_string(), "revoke"]).read().await?;
        Ok(revoked.into())
    }

    async fn create_admin_key(
        &self,
        new: NewAdminKeyBody,
        _pepper: &PepperArgs,
    ) -> Result<Created<AdminKeyDocument>, Failure> {
        let CreatedAdminKeyDocument { key, secret } = self.create(&["admin-keys"], &new)?.read().await?;
        Ok(Created { secret: shown_once(secret, &key.id)?, key })
    }

    async fn admin_keys(&self, filter: &AdminKeyFilter) -> Result<Vec<AdminKeyDocument>, Failure> {
        let call = self.get(&["admin-keys"]).query("subtree_of", filter.subtree_of);
        Ok(call.query("name", filter.name.as_ref()).pages(usize::MAX).await?)
    }

    async fn find_admin_key(&self, secret: &AdminSecret, _pepper: &PepperArgs) -> Result<AdminKeyDocument, Failure> {
        let body = FoundSecretBody { secret: secret.expose().to_owned() };
        Ok(self.call(Method::POST, &["admin-keys", "find"]).with(&body)?.read().await?)
    }

    async fn rotate_admin_key(
        &self,
        id: AdminKeyId,
        grace_seconds: u32,
        _pepper: &PepperArgs,
    ) -> Result<Rotated<AdminKeyDocument>, Failure> {
        let call = self.create(&["admin-keys", &id.to_string(), "rotate"], &RotationBody { grace_seconds })?;
        let RotatedAdminKeyDocument { key, secret, old } = call.read().await?;
        Ok(Rotated { secret: shown_once(secret, &key.id)?, old, new: key })
    }

    async fn revoke_admin_key(&self, id: AdminKeyId) -> Result<AdminKeyDocument, Failure> {
        Ok(self.call(Method::POST, &["admin-keys", &id.to_string(), "revoke"]).read().await?)
    }
}
