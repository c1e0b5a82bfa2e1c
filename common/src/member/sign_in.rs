//! Signing in by mail: a message for each tenant of which the address is a member, and the link in it.

use serde_json::json;
use sqlx::Row as _;

use crate::{
    acting::{Acting, Actor, ActorKind, Scope},
    admin::Role,
    id::TenantId,
    key::KeyHash,
    mail::{MailAddress, MailBody, MailKind, MailSettings, settings_of},
    outbox::{MAIL, NewMessage, enqueue},
    session::{App, NewLink},
    store::{
        Store, StoreError,
        row::{corrupt, parsed},
    },
    time::Micros,
};

/// Seconds after which mail with a link is not sent any more: whoever waited that long has asked again.
pub const SIGN_IN_SECONDS: i64 = 600;

/// Most tenants that one request is answered for.
const TENANTS_MAX: i64 = 20;

impl Store {
    /// Writes mail for each tenant of which the address is a member and that is not deleted; gives how
    /// many. No message has a secret in it.
    pub async fn ask_to_sign_in(&self, address: &MailAddress, now: Micros) -> Result<usize, StoreError> {
        let address = &address.to_lowercase();
        let mut write = self.begin_write().await?;
        let rows = sqlx::query(
            "SELECT tenants.id, tenants.name, tenants.zone FROM members JOIN tenants ON tenants.id = members.tenant_id \
             WHERE members.address = $1 AND tenants.deleted_at IS NULL ORDER BY tenants.created_seq LIMIT $2",
        )
        .bind(address.as_str())
        .bind(TENANTS_MAX)
        .fetch_all(write.connection())
        .await?;
        let mut messages = Vec::with_capacity(rows.len());
        for row in &rows {
            let tenant: TenantId = parsed(row, "id")?;
            let settings: MailSettings = settings_of(write.connection(), tenant).await?;
            let body = MailBody {
                mail: MailKind::SignIn,
                address: Some(address.clone()),
                language: settings.language,
                tenant_name: row.try_get("name")?,
                zone: row.try_get("zone")?,
                event: None,
                at: now,
                data: json!({}),
            };
            messages.push(NewMessage {
                kind: MAIL,
                tenant,
                lane: format!("{address}/sign-in"),
                target: address.to_string(),
                subject: MailKind::SignIn.to_string(),
                event: None,
                body: serde_json::to_value(&body).map_err(|error| corrupt("mail", error))?,
                due_at: None,
                given_up: None,
            });
        }
        enqueue(write.connection(), &messages, now).await?;
        write.commit().await?;
        Ok(messages.len())
    }

    /// Makes the link of a member, by which it signs in to the portal once within ten minutes; the
    /// session lasts so many seconds at most. None if the address is no member any more.
    pub async fn create_member_link(
        &self,
        tenant: TenantId,
        address: &MailAddress,
        (hash, seconds): (KeyHash, i64),
        now: Micros,
    ) -> Result<Option<Micros>, StoreError> {
        let row = sqlx::query("SELECT role FROM members WHERE tenant_id = $1 AND address = $2")
            .bind(tenant.to_string())
            .bind(address.as_str())
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let role: Role = parsed(&row, "role")?;
        let user = address.to_string();
        let store = self.acting_as(Acting {
            actor: Actor { kind: ActorKind::LinkUser, name: user.clone(), address: None, request_id: None },
            scope: Scope::Subtree(tenant),
            idempotency: None,
            until: None,
        });
        let new = NewLink { app: App::Portal, tenant, role, user, admin_key: None, hash, seconds };
        let (_, until) = store.create_session_link(&new, now).await?;
        Ok(Some(until))
    }
}
