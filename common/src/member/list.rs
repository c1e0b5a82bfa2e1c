//! The list of a tenant's members.

use serde::Serialize;
use sqlx::{AnyConnection, any::AnyRow};

use super::MEMBERS_MAX;
use crate::{
    admin::Role,
    id::TenantId,
    mail::MailAddress,
    session::{SessionSource, end_all},
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        bulk::{self, Value},
        row::parsed,
    },
    tenant::row as tenants,
    time::Micros,
};

/// A person of a tenant who may sign in to the portal by mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// The address that links are sent to.
    pub address: MailAddress,
    /// The role at the tenant; `admin` at most.
    pub role: Role,
}

impl Store {
    /// Members of a tenant, by address.
    pub async fn members(&self, tenant: TenantId) -> Result<Vec<Member>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        tenants::find(&mut connection, self.acting.scope, tenant).await?;
        read_all(&mut connection, tenant).await
    }

    /// Replaces the members of a tenant, and ends the sessions of those who are no longer members or have
    /// another role. Refused: an owner, an address that is named twice, too many of them. A conflict: a
    /// deleted tenant.
    pub async fn set_members(&self, tenant: TenantId, members: &[Member], now: Micros) -> Result<(), StoreError> {
        let lower = |member: &Member| Member { address: member.address.to_lowercase(), ..member.clone() };
        let mut members: Vec<_> = members.iter().map(lower).collect();
        members.sort_by(|one, other| one.address.cmp(&other.address));
        check(&members)?;
        let mut change = self.begin_change(now).await?;
        tenants::present(&mut change, tenant).await?;
        let before = read_all(change.connection(), tenant).await?;
        if before == members {
            return Ok(());
        }
        sqlx::query("DELETE FROM members WHERE tenant_id = $1")
            .bind(tenant.to_string())
            .execute(change.connection())
            .await?;
        let rows: Vec<[Value; 4]> = members.iter().map(|member| row(tenant, member, now)).collect();
        let statement = "INSERT INTO members (tenant_id, address, role, created_at)";
        bulk::execute(change.connection(), statement, "", &rows).await?;
        for gone in before.iter().filter(|member| !members.contains(member)) {
            end_all(&mut change, tenant, SessionSource::Link, gone.address.as_str()).await?;
        }
        let (action, subject_kind, subject) = (AuditAction::Members, "tenant", tenant.to_string());
        let (before, after) = (state(&before)?, state(&members)?);
        change.audit(Audited { action, subject_kind, subject, tenant: Some(tenant), before, after }).await?;
        change.commit().await
    }
}

fn check(members: &[Member]) -> Result<(), StoreError> {
    if members.len() > MEMBERS_MAX {
        return Err(StoreError::refused(format!("members: use at most {MEMBERS_MAX}")));
    }
    if let Some(owner) = members.iter().find(|member| member.role == Role::Owner) {
        let detail = format!("members: {} would be an owner: in the portal, admin is the most", owner.address);
        return Err(StoreError::refused(detail));
    }
    let mut pairs = members.iter().zip(members.iter().skip(1));
    match pairs.find(|(one, next)| one.address == next.address) {
        Some((twice, _)) => Err(StoreError::refused(format!("members: {} is named twice", twice.address))),
        None => Ok(()),
    }
}

fn row(tenant: TenantId, member: &Member, now: Micros) -> [Value; 4] {
    [
        Value::Text(tenant.to_string()),
        Value::Text(member.address.to_string()),
        Value::Text(member.role.to_string()),
        Value::Number(now.0),
    ]
}

async fn read_all(connection: &mut AnyConnection, tenant: TenantId) -> Result<Vec<Member>, StoreError> {
    let rows = sqlx::query("SELECT address, role FROM members WHERE tenant_id = $1 ORDER BY address")
        .bind(tenant.to_string())
        .fetch_all(connection)
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<Member, StoreError> {
    Ok(Member { address: parsed(row, "address")?, role: parsed(row, "role")? })
}
