//! Branding in the store.

use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::{AnyConnection, Row as _};

use super::Branding;
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

/// Branding as the audit log has it: large parts by their hash.
#[derive(Serialize)]
struct BrandingState {
    #[serde(flatten)]
    branding: Branding,
    #[serde(skip_serializing_if = "Option::is_none")]
    logo_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template_sha256: Option<String>,
}

impl BrandingState {
    fn of(branding: &Branding) -> Self {
        let logo = branding.logo.as_ref().map(|logo| hash(logo.bytes()));
        let template = branding.template.as_ref().map(|template| hash(template.as_bytes()));
        let branding = Branding { logo: None, template: None, ..branding.clone() };
        Self { branding, logo_sha256: logo, template_sha256: template }
    }
}

/// SHA-256 in hexadecimal.
fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Store {
    /// Branding of a tenant; nothing is stated for a tenant that has none.
    pub async fn branding(&self, tenant: TenantId) -> Result<Branding, StoreError> {
        let mut connection = self.pool.acquire().await?;
        tenants::find(&mut connection, self.acting.scope, tenant).await?;
        read(&mut connection, tenant).await
    }

    /// Replaces the branding of a tenant. Refused: branding that does not make sense. A conflict: a
    /// deleted tenant. The caller has tried its template and logo.
    pub async fn set_branding(&self, tenant: TenantId, branding: &Branding, now: Micros) -> Result<(), StoreError> {
        branding.validate().map_err(|error| StoreError::refused(error.to_string()))?;
        let mut change = self.begin_change(now).await?;
        tenants::present(&mut change, tenant).await?;
        let before = read(change.connection(), tenant).await?;
        if before == *branding {
            return Ok(());
        }
        let body = serde_json::to_string(branding).map_err(|error| corrupt("branding", error))?;
        sqlx::query(
            "INSERT INTO branding (tenant_id, body, updated_at) VALUES ($1, $2, $3) \
             ON CONFLICT (tenant_id) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at",
        )
        .bind(tenant.to_string())
        .bind(body)
        .bind(now.0)
        .execute(change.connection())
        .await?;
        let (action, subject_kind) = (AuditAction::Branding, "tenant");
        let (subject, tenant) = (tenant.to_string(), Some(tenant));
        let (before, after) = (state(&BrandingState::of(&before))?, state(&BrandingState::of(branding))?);
        change.audit(Audited { action, subject_kind, subject, tenant, before, after }).await?;
        change.commit().await
    }
}

async fn read(connection: &mut AnyConnection, tenant: TenantId) -> Result<Branding, StoreError> {
    let row = sqlx::query("SELECT body FROM branding WHERE tenant_id = $1")
        .bind(tenant.to_string())
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(Branding::default()) };
    let body: String = row.try_get("body")?;
    serde_json::from_str(&body).map_err(|error| corrupt("branding", error))
}
