//! Grants: money into a wallet, and taking back what is left of it.

use sqlx::{AnyConnection, Row as _};

use super::{
    GRANT_MINOR_MAX, NewWalletGrant, PRIORITY_MAX, WalletGrant, WalletKey, draw,
    rows::{self, Movement, select_grants},
};
use crate::{
    id::{TenantId, WalletGrantId},
    ledger::CauseKind,
    money::Money,
    name::validate_name,
    store::{
        Page, PageRequest, Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        idempotency, scope,
        transaction::ChangeTransaction,
    },
    tenant::row as tenants,
    time::Micros,
};

impl Store {
    /// Grants money. The same grant again, by its reference, changes nothing. Refused: no money or
    /// too much, an expiry that has passed, an issuer that is not above the tenant. A conflict:
    /// another grant of the tenant with this reference, a deleted tenant.
    pub async fn grant_money(&self, new: &NewWalletGrant, now: Micros) -> Result<WalletGrant, StoreError> {
        validate(new, now)?;
        let mut write = self.begin_change(now).await?;
        idempotency::refuse_repetition(&mut write).await?;
        tenants::present(&mut write, new.tenant).await?;
        let issuer = issuer(&mut write, new.tenant, new.issuer).await?;
        let key = WalletKey { issuer, tenant: new.tenant, currency: new.amount.currency() };
        if let Some(known) = of_reference(write.connection(), &key, &new.reference).await? {
            return known.unless_other(new);
        }
        let granted = insert(write.connection(), &key, new, now).await?;
        audit(&mut write, AuditAction::WalletGrant, None, &granted).await?;
        idempotency::remember(&mut write, &granted.id.to_string()).await?;
        write.commit().await?;
        Ok(granted)
    }

    /// Takes back what is left of a grant. The same again changes nothing.
    pub async fn void_money(
        &self,
        tenant: TenantId,
        id: WalletGrantId,
        reason: &str,
        now: Micros,
    ) -> Result<WalletGrant, StoreError> {
        validate_name(reason).map_err(|error| StoreError::refused(format!("reason: {error}")))?;
        let mut write = self.begin_change(now).await?;
        write.require(tenant, "tenant", &tenant).await?;
        let known = rows::grant(write.connection(), id).await?;
        if known.tenant != tenant {
            return Err(StoreError::not_found("grant", &id));
        }
        write.require(known.issuer, "grant", &id).await?;
        rows::lock(write.connection(), &known.key(), now).await?;
        let before = rows::grant(write.connection(), id).await?;
        if before.voided_at.is_some() {
            return Ok(before);
        }
        sqlx::query("UPDATE wallet_grants SET voided_at = $1, void_reason = $2 WHERE id = $3")
            .bind(now.0)
            .bind(reason.to_owned())
            .bind(id.to_string())
            .execute(write.connection())
            .await?;
        void_rest(write.connection(), &before, now).await?;
        let after = rows::grant(write.connection(), id).await?;
        audit(&mut write, AuditAction::WalletVoid, Some(&before), &after).await?;
        write.commit().await?;
        Ok(after)
    }

    /// A grant of a tenant.
    pub async fn money_grant(&self, tenant: TenantId, id: WalletGrantId) -> Result<WalletGrant, StoreError> {
        self.require_tenant(tenant).await?;
        let mut connection = self.pool.acquire().await?;
        let grant = rows::grant(&mut connection, id).await?;
        if grant.tenant == tenant { Ok(grant) } else { Err(StoreError::not_found("grant", &id)) }
    }

    /// Grants of a tenant in pages, oldest first.
    pub async fn money_grants(&self, tenant: TenantId, page: PageRequest) -> Result<Page<WalletGrant>, StoreError> {
        self.require_tenant(tenant).await?;
        let rows = sqlx::query(select_grants!("WHERE tenant_id = $1 ORDER BY granted_at, id LIMIT $2 OFFSET $3"))
            .bind(tenant.to_string())
            .bind(page.rows())
            .bind(page.begin())
            .fetch_all(&self.pool)
            .await?;
        // Grants are never removed, and later ones come last: their number is a place.
        let numbered = (page.begin() + 1..).zip(&rows);
        let found: Result<Vec<_>, StoreError> =
            numbered.map(|(number, row)| Ok((number, rows::read_grant(row)?))).collect();
        Ok(page.page(found?))
    }
}

impl WalletGrant {
    /// The grant, if it is what is asked for again.
    fn unless_other(self, new: &NewWalletGrant) -> Result<Self, StoreError> {
        let same = (self.amount, self.kind, self.priority, self.expires_at)
            == (new.amount, new.kind, new.priority, new.expires_at);
        if same {
            return Ok(self);
        }
        let reason = format!("another grant has the reference `{}`; nothing was granted", new.reference);
        Err(StoreError::conflict(reason))
    }
}

/// Writes a grant with its movement and posting; what was used beyond all grants is paid from it.
pub(crate) async fn insert(
    connection: &mut AnyConnection,
    key: &WalletKey,
    new: &NewWalletGrant,
    now: Micros,
) -> Result<WalletGrant, StoreError> {
    rows::lock(connection, key, now).await?;
    let (id, minor) = (WalletGrantId::generate(), new.amount.minor());
    sqlx::query(
        "INSERT INTO wallet_grants (id, issuer_id, tenant_id, currency, kind, amount, priority, granted_at, expires_at, \
         reference, reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(id.to_string())
    .bind(key.issuer.to_string())
    .bind(key.tenant.to_string())
    .bind(key.currency.code())
    .bind(new.kind.as_str())
    .bind(minor)
    .bind(i64::from(new.priority))
    .bind(now.0)
    .bind(new.expires_at.map(|at| at.0))
    .bind(new.reference.clone())
    .bind(new.reason.clone().unwrap_or_default())
    .execute(&mut *connection)
    .await?;
    rows::move_money(connection, key, (Some(id), Movement::Grant, minor), None, now).await?;
    let posted = (format!("credit_grant:{id}"), CauseKind::CreditGrant, id.to_string());
    rows::post_credit(connection, key, posted, (-minor, rows::against(new.kind)), now).await?;
    draw::repay(connection, key, now).await?;
    rows::grant(connection, id).await
}

/// Takes back what is left of a voided grant.
pub(super) async fn void_rest(
    connection: &mut AnyConnection,
    grant: &WalletGrant,
    now: Micros,
) -> Result<(), StoreError> {
    let (left, movements) = rows::left_of(connection, grant.id).await?;
    if left == 0 {
        return Ok(());
    }
    let key = grant.key();
    rows::move_money(connection, &key, (Some(grant.id), Movement::Void, -left), None, now).await?;
    let posted = (format!("credit_void:{}:{movements}", grant.id), CauseKind::CreditVoid, grant.id.to_string());
    rows::post_credit(connection, &key, posted, (left, rows::against(grant.kind)), now).await
}

async fn of_reference(
    connection: &mut AnyConnection,
    key: &WalletKey,
    reference: &str,
) -> Result<Option<WalletGrant>, StoreError> {
    let row = sqlx::query(select_grants!("WHERE issuer_id = $1 AND tenant_id = $2 AND reference = $3"))
        .bind(key.issuer.to_string())
        .bind(key.tenant.to_string())
        .bind(reference.to_owned())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(rows::read_grant).transpose()
}

/// The issuer of a tenant's invoices: the one that is named, or the tenant above; a root itself.
pub(crate) async fn issuer(
    write: &mut ChangeTransaction,
    tenant: TenantId,
    named: Option<TenantId>,
) -> Result<TenantId, StoreError> {
    let row = sqlx::query("SELECT parent_id, path FROM tenants WHERE id = $1")
        .bind(tenant.to_string())
        .fetch_optional(write.connection())
        .await?
        .ok_or_else(|| StoreError::not_found("tenant", &tenant))?;
    let parent: Option<String> = row.try_get("parent_id")?;
    let above = match parent {
        Some(parent) => parent.parse().map_err(|error| crate::store::row::corrupt("parent", error))?,
        None => tenant,
    };
    let issuer = named.unwrap_or(above);
    let path: String = row.try_get("path")?;
    let is_above = path.contains(&format!("/{issuer}/")) && (issuer != tenant || above == tenant);
    let scope = write.scope();
    if is_above && scope::holds_tenant(write.connection(), scope, issuer).await? {
        return Ok(issuer);
    }
    Err(StoreError::refused(format!("issuer: {issuer} does not issue invoices to {tenant} for you")))
}

async fn audit(
    write: &mut ChangeTransaction,
    action: AuditAction,
    before: Option<&WalletGrant>,
    after: &WalletGrant,
) -> Result<(), StoreError> {
    let before = before.map(state).transpose()?.flatten();
    let (subject, tenant, after) = (after.id.to_string(), Some(after.tenant), state(after)?);
    write.audit(Audited { action, subject_kind: "wallet_grant", subject, tenant, before, after }).await
}

fn validate(new: &NewWalletGrant, now: Micros) -> Result<(), StoreError> {
    let refuse = |field: &str, reason: &dyn std::fmt::Display| Err(StoreError::refused(format!("{field}: {reason}")));
    let currency = new.amount.currency();
    if currency.is_special() || currency.exponent().is_none() {
        return refuse("currency", &format!("nobody pays in {}", currency.code()));
    }
    if !(1..=GRANT_MINOR_MAX).contains(&new.amount.minor()) {
        let most = Money::from_minor(GRANT_MINOR_MAX, currency);
        return refuse("amount", &format!("must be more than nothing, and at most {most}"));
    }
    if new.priority > PRIORITY_MAX {
        return refuse("priority", &format!("must be 0 to {PRIORITY_MAX}"));
    }
    if new.expires_at.is_some_and(|at| at <= now) {
        return refuse("expires_at", &"has passed");
    }
    if let Err(error) = validate_name(&new.reference) {
        return refuse("reference", &error);
    }
    match new.reason.as_deref().map(validate_name) {
        Some(Err(error)) => refuse("reason", &error),
        _ => Ok(()),
    }
}
