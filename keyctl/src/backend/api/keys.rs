//! Keys, as the API has them: it makes and hashes their secrets itself.

use async_trait::async_trait;
use common::{
    admin::AdminSecret,
    id::{AdminKeyId, KeyId},
    key::Secret,
    store::{AdminKeyFilter, KeyUpdate},
};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{ApiBackend, ApiError};
use crate::{
    backend::{AdminKeyRequest, KeyQuery, KeyRequest, Keys},
    error::Failure,
    pepper::PepperArgs,
    view::{AdminKeyView, CreatedAdminKey, CreatedKey, Instant, KeyView, RotatedKey},
};

/// A key that was created. The secret is left out if that happened before.
#[derive(Deserialize)]
struct CreatedDocument<K> {
    key: K,
    secret: Option<String>,
    /// The key that it replaces, if it was created by rotation.
    old: Option<K>,
}

impl CreatedDocument<KeyView> {
    fn secret(&self) -> Result<Secret, ApiError> {
        let text = self.secret.as_ref().ok_or_else(|| ApiError::SecretLost { id: self.key.id().to_string() })?;
        Secret::parse(text.as_bytes()).map_err(|error| ApiError::Answer(error.to_string()))
    }
}

#[async_trait]
impl Keys for ApiBackend {
    async fn create_key(&self, new: &KeyRequest, _pepper: &PepperArgs) -> Result<CreatedKey, Failure> {
        let KeyRequest { tenant, name, mode, expires_at, scopes, allowed_ips } = new;
        let body = json!({
            "tenant": tenant, "name": name, "mode": mode, "expires_at": expires_at.map(Instant), "scopes": scopes,
            "allowed_ips": allowed_ips,
        });
        let created: CreatedDocument<KeyView> = self.create(&["keys"], body).read().await?;
        let secret = created.secret()?;
        Ok(CreatedKey { key: created.key, secret })
    }

    async fn keys(&self, query: &KeyQuery) -> Result<Vec<KeyView>, Failure> {
        let call = self
            .get(&["keys"])
            .query("tenant", query.tenant)
            .query("subtree_of", query.subtree_of)
            .query("status", query.status)
            .query("name", query.name.as_ref());
        Ok(call.pages(usize::MAX).await?)
    }

    async fn key(&self, id: KeyId) -> Result<KeyView, Failure> {
        Ok(self.get(&["keys", &id.to_string()]).read().await?)
    }

    async fn find_key(&self, secret: &Secret, _pepper: &PepperArgs) -> Result<KeyView, Failure> {
        let body = json!({ "secret": secret.expose() });
        Ok(self.call(Method::POST, &["keys", "find"]).with(body).read().await?)
    }

    async fn update_key(&self, id: KeyId, update: &KeyUpdate) -> Result<KeyView, Failure> {
        let KeyUpdate { name, scopes, allowed_ips } = update;
        let changes = [("name", json!(name)), ("scopes", json!(scopes)), ("allowed_ips", json!(allowed_ips))];
        let stated = changes.into_iter().filter(|(_, value)| !value.is_null());
        let body: Map<String, Value> = stated.map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(self.call(Method::PATCH, &["keys", &id.to_string()]).with(body.into()).read().await?)
    }

    async fn rotate_key(&self, id: KeyId, grace_seconds: u32, _pepper: &PepperArgs) -> Result<RotatedKey, Failure> {
        let body = json!({ "grace_seconds": grace_seconds });
        let rotated: CreatedDocument<KeyView> = self.create(&["keys", &id.to_string(), "rotate"], body).read().await?;
        let secret = rotated.secret()?;
        let old = rotated.old.ok_or_else(|| ApiError::Answer("the old key is missing".to_owned()))?;
        Ok(RotatedKey { old, new: rotated.key, secret })
    }

    async fn revoke_key(&self, id: KeyId) -> Result<KeyView, Failure> {
        Ok(self.call(Method::POST, &["keys", &id.to_string(), "revoke"]).read().await?)
    }

    async fn create_admin_key(&self, new: &AdminKeyRequest, _pepper: &PepperArgs) -> Result<CreatedAdminKey, Failure> {
        let AdminKeyRequest { tenant, name, role, scopes, expires_at } = new;
        let body = json!({
            "tenant": tenant, "name": name, "role": role, "scopes": scopes, "expires_at": expires_at.map(Instant),
        });
        let created: CreatedDocument<AdminKeyView> = self.create(&["admin-keys"], body).read().await?;
        let lost = || ApiError::SecretLost { id: created.key.id().to_string() };
        let secret = AdminSecret::parse(created.secret.as_ref().ok_or_else(lost)?.as_bytes())
            .map_err(|error| ApiError::Answer(error.to_string()))?;
        Ok(CreatedAdminKey { key: created.key, secret })
    }

    async fn admin_keys(&self, filter: &AdminKeyFilter) -> Result<Vec<AdminKeyView>, Failure> {
        let call = self.get(&["admin-keys"]).query("subtree_of", filter.subtree_of);
        Ok(call.query("name", filter.name.as_ref()).pages(usize::MAX).await?)
    }

    async fn find_admin_key(&self, secret: &AdminSecret, _pepper: &PepperArgs) -> Result<AdminKeyView, Failure> {
        let body = json!({ "secret": secret.expose() });
        Ok(self.call(Method::POST, &["admin-keys", "find"]).with(body).read().await?)
    }

    async fn revoke_admin_key(&self, id: AdminKeyId) -> Result<AdminKeyView, Failure> {
        Ok(self.call(Method::POST, &["admin-keys", &id.to_string(), "revoke"]).read().await?)
    }
}
