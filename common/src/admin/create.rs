//! Creating an admin key. Only the keyed hash of its secret gets here.

use super::{
    AdminKey, AdminScope, Role,
    owner::first_owner,
    row::{audit, insert},
    validate_scopes,
};
use crate::{
    acting::ActorKind,
    id::{AdminKeyId, TenantId},
    key::KeyHash,
    name::validate_name,
    store::{Store, StoreError, audit_action::AuditAction, idempotency},
    tenant::row as tenants,
    time::Micros,
};

/// An admin key to be created.
#[derive(Debug, Clone)]
pub struct NewAdminKey {
    /// Tenant at which the role is held.
    pub tenant: TenantId,
    /// Name shown to people.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Scopes that narrow the role; empty: the whole role.
    pub scopes: Vec<AdminScope>,
    /// Keyed hash of the secret.
    pub hash: KeyHash,
    /// Id of the pepper that the hash was made with.
    pub pepper_id: String,
    /// The secret's last four characters.
    pub hint: String,
    /// From when on it is refused.
    pub expires_at: Option<Micros>,
}

impl Store {
    /// Creates an admin key, which ends with the credential that it is made with unless it ends
    /// before. Refused: a bad name, scopes that are too many or given twice, an expiry that has
    /// passed or comes after the end of that credential. A conflict: a deleted tenant.
    pub async fn create_admin_key(&self, new: &NewAdminKey, now: Micros) -> Result<AdminKey, StoreError> {
        validate_name(&new.name).map_err(|error| StoreError::refused(error.to_string()))?;
        validate_scopes(&new.scopes).map_err(|error| StoreError::refused(error.to_string()))?;
        let expires_at = self.ending(new.expires_at)?;
        if let Some(expiry) = expires_at.filter(|expiry| *expiry <= now) {
            return Err(StoreError::refused(format!("the key would have expired at {expiry}, and it is {now} now")));
        }
        let key = AdminKey {
            id: AdminKeyId::generate(),
            tenant: new.tenant,
            name: new.name.clone(),
            role: new.role,
            scopes: new.scopes.clone(),
            hash: new.hash,
            pepper_id: new.pepper_id.clone(),
            hint: new.hint.clone(),
            created_at: now,
            expires_at,
            revoked_at: None,
            last_used_at: None,
            created_by: Some(self.acting.creator()),
        };
        let mut change = self.begin_change(now).await?;
        idempotency::refuse_repetition(&mut change).await?;
        tenants::present(&mut change, key.tenant).await?;
        insert(change.connection(), &key).await?;
        audit(&mut change, AuditAction::AdminKeyCreate, None, &key).await?;
        if key.role == Role::Owner {
            first_owner(change.connection(), ActorKind::AdminKey, &key.id.to_string(), now).await?;
        }
        idempotency::remember(&mut change, &key.id.to_string()).await?;
        change.commit().await?;
        Ok(key)
    }

    /// Expiry of a key to be created: as asked for, but no later than that of the creator's own
    /// credential.
    fn ending(&self, asked: Option<Micros>) -> Result<Option<Micros>, StoreError> {
        match (asked, self.acting.until) {
            (Some(asked), Some(until)) if asked > until => Err(StoreError::refused(format!(
                "your own credential ends at {until}: nothing that is made with it can last until {asked}"
            ))),
            (asked, until) => Ok(asked.or(until)),
        }
    }
}
