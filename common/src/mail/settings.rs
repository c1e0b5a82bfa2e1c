//! Settings of a tenant's mail.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, Row as _};

use super::{Language, MailAddress, MailPurpose, RECIPIENTS_MAX};
use crate::{
    id::TenantId,
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        row::corrupt,
    },
    tenant::row as tenants,
    time::Micros,
};

/// Recipients of a tenant's mail, and their language.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailSettings {
    /// The language; that of the settings file unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Addresses by purpose; an empty list: nobody. A purpose that is not stated goes to the address of
    /// the billing details.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub recipients: BTreeMap<MailPurpose, Vec<MailAddress>>,
}

impl MailSettings {
    /// Checks what the types alone cannot hold; tells the first fault and its field.
    fn check(&self) -> Result<(), StoreError> {
        for (purpose, addresses) in &self.recipients {
            if addresses.len() > RECIPIENTS_MAX {
                return Err(StoreError::refused(format!("recipients.{purpose}: use at most {RECIPIENTS_MAX}")));
            }
            for (place, address) in addresses.iter().enumerate() {
                if addresses.get(..place).is_some_and(|before| before.contains(address)) {
                    return Err(StoreError::refused(format!("recipients.{purpose}: {address} is named twice")));
                }
            }
        }
        Ok(())
    }
}

impl Store {
    /// Settings of a tenant's mail; nothing is stated for a tenant that has none.
    pub async fn mail_settings(&self, tenant: TenantId) -> Result<MailSettings, StoreError> {
        let mut connection = self.pool.acquire().await?;
        tenants::find(&mut connection, self.acting.scope, tenant).await?;
        read(&mut connection, tenant).await
    }

    /// Replaces the settings of a tenant's mail. Refused: an address that is named twice for one
    /// purpose. A conflict: a deleted tenant.
    pub async fn set_mail_settings(
        &self,
        tenant: TenantId,
        settings: &MailSettings,
        now: Micros,
    ) -> Result<(), StoreError> {
        settings.check()?;
        let mut change = self.begin_change(now).await?;
        tenants::present(&mut change, tenant).await?;
        let before = read(change.connection(), tenant).await?;
        if before == *settings {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO mail_settings (tenant_id, body, updated_at) VALUES ($1, $2, $3) \
             ON CONFLICT (tenant_id) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at",
        )
        .bind(tenant.to_string())
        .bind(serde_json::to_string(settings).map_err(|error| corrupt("mail settings", error))?)
        .bind(now.0)
        .execute(change.connection())
        .await?;
        let (action, subject_kind) = (AuditAction::MailSettings, "tenant");
        let (subject, tenant) = (tenant.to_string(), Some(tenant));
        let (before, after) = (state(&before)?, state(settings)?);
        change.audit(Audited { action, subject_kind, subject, tenant, before, after }).await?;
        change.commit().await
    }
}

/// Settings of a tenant's mail, whoever asks.
pub(crate) async fn read(connection: &mut AnyConnection, tenant: TenantId) -> Result<MailSettings, StoreError> {
    let row = sqlx::query("SELECT body FROM mail_settings WHERE tenant_id = $1")
        .bind(tenant.to_string())
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(MailSettings::default()) };
    parse(&row.try_get::<String, _>("body")?)
}

pub(super) fn parse(body: &str) -> Result<MailSettings, StoreError> {
    serde_json::from_str(body).map_err(|error| corrupt("mail settings", error))
}
