//! Keys, as the API has them: it makes and hashes their secrets itself.

use std::fmt::Display;

use async_trait::async_trait;
use common::{
    admin::{AdminKeyFilter, AdminSecret},
    id::{AdminKeyId, KeyId},
    key::{KeyUpdate, Secret},
};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{ApiBackend, ApiError};
use crate::{
    backend::{AdminKeyRequest, KeyQuery, KeyRequest, Keys},
    error::Failure,
    pepper::PepperArgs,
    view::{AdminKeyView, CreatedAdminKey, CreatedKey, Instant, KeyView, RotatedAdminKey, RotatedKey},
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
        parsed(self.secret.as_ref(), &self.key.id(), Secret::parse)
    }
}

impl CreatedDocument<AdminKeyView> {
    fn secret(&self) -> Result<AdminSecret, ApiError> {
        parsed(self.secret.as_ref(), &self.key.id(), AdminSecret::parse)
    }
}

impl<K> CreatedDocument<K> {
    /// The key that was replaced, and the new one.
    fn pair(self) -> Result<(K, K), ApiError> {
        let old = self.old.ok_or_else(|| ApiError::Answer("the old key is missing".to_owned()))?;
        Ok((old, self.key))
    }
}

/// The secret of a new key; it is missing if the key was created before.
fn parsed<S, E: Display>(
    secret: Option<&String>,
    id: &impl Display,
    parse: impl Fn(&[u8]) -> Result<S, E>,
) -> Result<S, ApiError> {
    let text = secret.ok_or_else(|| ApiError::SecretLost { id: id.to_string() })?;
    parse(text.as_bytes()).map_err(|error| ApiError::Answer(error.to_string()))
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
        let (old, new) = rotated.pair()?;
        Ok(RotatedKey { old, new, secret })
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
        let secret = created.secret()?;
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

    async fn rotate_admin_key(
        &self,
        id: AdminKeyId,
        grace_seconds: u32,
        _pepper: &PepperArgs,
    ) -> Result<RotatedAdminKey, Failure> {
        let body = json!({ "grace_seconds": grace_seconds });
        let path = ["admin-keys", &id.to_string(), "rotate"];
        let rotated: CreatedDocument<AdminKeyView> = self.create(&path, body).read().await?;
        let secret = rotated.secret()?;
        let (old, new) = rotated.pair()?;
        Ok(RotatedAdminKey { old, new, secret })
    }

    async fn revoke_admin_key(&self, id: AdminKeyId) -> Result<AdminKeyView, Failure> {
        Ok(self.call(Method::POST, &["admin-keys", &id.to_string(), "revoke"]).read().await?)
    }
}
