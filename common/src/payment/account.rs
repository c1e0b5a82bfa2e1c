//! Payment accounts: a tenant as a payment provider knows it, and what may be charged there.
//!
//! Card data never comes here: the provider keeps it, and gives a name for it.

use serde::Serialize;
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use crate::{
    id::TenantId,
    name::validate_name,
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        row::{instant, parsed},
        scope,
    },
    tenant::row as tenants,
    time::Micros,
};

/// A tenant as a provider knows it, for one issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PaymentAccount {
    /// The tenant that is paid.
    pub issuer: TenantId,
    /// The tenant that pays.
    pub tenant: TenantId,
    /// The provider, as in `stripe`.
    pub provider: String,
    /// The tenant's name at the provider.
    pub customer: String,
    /// Method that the provider may charge without the payer; none: nothing is saved.
    pub method: Option<SavedMethod>,
    /// Time of the last change.
    pub updated_at: Micros,
}

/// A payment method that the provider keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SavedMethod {
    /// Its name at the provider.
    pub id: String,
    /// Text by which people know it, as in `visa 4242`.
    pub label: String,
}

macro_rules! select_accounts {
    ($rest:literal) => {
        concat!(
            "SELECT issuer_id, tenant_id, provider, customer, method, label, updated_at FROM payment_accounts ",
            $rest
        )
    };
}

impl Store {
    /// The account of a tenant with a provider of an issuer.
    pub async fn payment_account(
        &self,
        (issuer, tenant): (TenantId, TenantId),
        provider: &str,
    ) -> Result<Option<PaymentAccount>, StoreError> {
        self.require_tenant(tenant).await?;
        let mut connection = self.pool.acquire().await?;
        find(&mut connection, (issuer, tenant), provider).await
    }

    /// All accounts of a tenant, by issuer and provider.
    pub async fn payment_accounts(&self, tenant: TenantId) -> Result<Vec<PaymentAccount>, StoreError> {
        self.require_tenant(tenant).await?;
        let rows = sqlx::query(select_accounts!("WHERE tenant_id = $1 ORDER BY issuer_id, provider"))
            .bind(tenant.to_string())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }

    /// The account whose name at the provider this is.
    pub async fn payment_account_of_customer(
        &self,
        issuer: TenantId,
        provider: &str,
        customer: &str,
    ) -> Result<Option<PaymentAccount>, StoreError> {
        let row = sqlx::query(select_accounts!("WHERE issuer_id = $1 AND provider = $2 AND customer = $3"))
            .bind(issuer.to_string())
            .bind(provider)
            .bind(customer)
            .fetch_optional(&self.pool)
            .await?;
        let Some(account) = row.as_ref().map(read).transpose()? else { return Ok(None) };
        let mut connection = self.pool.acquire().await?;
        let is_seen = scope::holds_tenant(&mut connection, self.acting.scope, account.tenant).await?;
        Ok(is_seen.then_some(account))
    }

    /// Keeps a tenant's name at a provider, and the method that may be charged. A method that is not
    /// named stays as it is. Refused: names that are none. A conflict: a deleted tenant, another name at the
    /// provider.
    pub async fn save_payment_account(
        &self,
        (issuer, tenant): (TenantId, TenantId),
        provider: &str,
        customer: &str,
        method: Option<&SavedMethod>,
        now: Micros,
    ) -> Result<PaymentAccount, StoreError> {
        let names = [Some(customer), method.map(|method| method.id.as_str()), method.map(|one| one.label.as_str())];
        for name in names.into_iter().flatten() {
            validate_name(name).map_err(|error| StoreError::refused(format!("method: {error}")))?;
        }
        let mut change = self.begin_change(now).await?;
        tenants::present(&mut change, tenant).await?;
        let before = find(change.connection(), (issuer, tenant), provider).await?;
        if let Some(before) = before.as_ref() {
            if before.customer != customer {
                return Err(StoreError::conflict(format!("{provider} knows {tenant} as {}", before.customer)));
            }
            if method.is_none() || before.method.as_ref() == method {
                return Ok(before.clone());
            }
        }
        let account = PaymentAccount {
            issuer,
            tenant,
            provider: provider.to_owned(),
            customer: customer.to_owned(),
            method: method.cloned(),
            updated_at: now,
        };
        sqlx::query(
            "INSERT INTO payment_accounts (issuer_id, tenant_id, provider, customer, method, label, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (issuer_id, tenant_id, provider) \
             DO UPDATE SET method = excluded.method, label = excluded.label, updated_at = excluded.updated_at",
        )
        .bind(issuer.to_string())
        .bind(tenant.to_string())
        .bind(provider)
        .bind(customer)
        .bind(method.map(|method| method.id.clone()))
        .bind(method.map(|method| method.label.clone()))
        .bind(now.0)
        .execute(change.connection())
        .await?;
        if method.is_some() {
            let before = before.as_ref().map(state).transpose()?.flatten();
            let (subject, after) = (tenant.to_string(), state(&account)?);
            let (action, subject_kind, tenant) = (AuditAction::PaymentMethodSave, "tenant", Some(tenant));
            change.audit(Audited { action, subject_kind, subject, tenant, before, after }).await?;
        }
        change.commit().await?;
        Ok(account)
    }
}

pub(super) async fn find(
    connection: &mut AnyConnection,
    (issuer, tenant): (TenantId, TenantId),
    provider: &str,
) -> Result<Option<PaymentAccount>, StoreError> {
    let row = sqlx::query(select_accounts!("WHERE issuer_id = $1 AND tenant_id = $2 AND provider = $3"))
        .bind(issuer.to_string())
        .bind(tenant.to_string())
        .bind(provider)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &AnyRow) -> Result<PaymentAccount, StoreError> {
    let (id, label): (Option<String>, Option<String>) = (row.try_get("method")?, row.try_get("label")?);
    Ok(PaymentAccount {
        issuer: parsed(row, "issuer_id")?,
        tenant: parsed(row, "tenant_id")?,
        provider: row.try_get("provider")?,
        customer: row.try_get("customer")?,
        method: id.zip(label).map(|(id, label)| SavedMethod { id, label }),
        updated_at: instant(row, "updated_at")?,
    })
}
