//! Budgets in the store: set, listed, taken away.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{Budget, BudgetScope, BudgetStanding, NewBudget, spending};
use crate::{
    id::{KeyId, TenantId},
    money::{Currency, Money},
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        row::{corrupt, instant_or_null, list, parsed},
    },
    tenant::row as tenants,
    time::{Micros, Window},
};

const COLUMNS: &str = "tenant_id, scope, amount, budgets.currency AS currency, hard, thresholds, period_start, \
                       period_end, spent, told";

impl Store {
    /// Sets the budget of a scope. What was counted of one before it is forgotten, and so is what was
    /// told; gateways go on refusing until it is counted anew. Refused: an amount or thresholds that
    /// make no sense. Not found: a key that is not the tenant's.
    pub async fn set_budget(&self, new: &NewBudget, now: Micros) -> Result<Budget, StoreError> {
        new.validate()?;
        let mut change = self.begin_change(now).await?;
        tenants::present(&mut change, new.tenant).await?;
        if let BudgetScope::Key(key) = new.scope
            && !is_key_of(change.connection(), key, new.tenant).await?
        {
            return Err(StoreError::not_found("key", &key));
        }
        let thresholds: Vec<String> = new.thresholds.iter().map(ToString::to_string).collect();
        sqlx::query(
            "INSERT INTO budgets (tenant_id, scope, amount, currency, hard, thresholds) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (tenant_id, scope) DO UPDATE SET amount = excluded.amount, currency = excluded.currency, \
             hard = excluded.hard, thresholds = excluded.thresholds, period_start = NULL, period_end = NULL, \
             spent = NULL, told = 0",
        )
        .bind(new.tenant.to_string())
        .bind(new.scope.to_string())
        .bind(new.amount.minor())
        .bind(new.amount.currency().code())
        .bind(i64::from(new.hard))
        .bind(thresholds.join(" "))
        .execute(change.connection())
        .await?;
        let (subject, tenant, after) = (subject(new.tenant, new.scope), Some(new.tenant), state(new)?);
        let action = AuditAction::BudgetSet;
        change.audit(Audited { action, subject_kind: "budget", subject, tenant, before: None, after }).await?;
        change.commit().await?;
        Ok(Budget { set: new.clone(), standing: None })
    }

    /// Takes the budget of a scope away; gateways serve what they refused for it. Returns false if there
    /// is none.
    pub async fn delete_budget(&self, tenant: TenantId, scope: BudgetScope, now: Micros) -> Result<bool, StoreError> {
        let mut change = self.begin_change(now).await?;
        tenants::present(&mut change, tenant).await?;
        let Some((budget, _)) = find(change.connection(), tenant, scope).await? else { return Ok(false) };
        sqlx::query("DELETE FROM budgets WHERE tenant_id = $1 AND scope = $2")
            .bind(tenant.to_string())
            .bind(scope.to_string())
            .execute(change.connection())
            .await?;
        spending::refuse_until(&mut change, tenant, scope, None).await?;
        let (subject, before, after) = (subject(tenant, scope), state(&budget.set)?, None);
        let (action, tenant) = (AuditAction::BudgetDelete, Some(tenant));
        change.audit(Audited { action, subject_kind: "budget", subject, tenant, before, after }).await?;
        change.commit().await?;
        Ok(true)
    }

    /// The budgets of a tenant, by scope.
    pub async fn budgets(&self, tenant: TenantId) -> Result<Vec<Budget>, StoreError> {
        self.require_tenant(tenant).await?;
        let statement = format!("SELECT {COLUMNS} FROM budgets WHERE tenant_id = $1 ORDER BY scope");
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(tenant.to_string()).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok(read(row)?.0)).collect()
    }

    /// All budgets of tenants that are not deleted, by tenant and scope.
    pub async fn all_budgets(&self) -> Result<Vec<Budget>, StoreError> {
        let statement = format!(
            "SELECT {COLUMNS} FROM budgets JOIN tenants ON tenants.id = tenant_id WHERE deleted_at IS NULL \
             ORDER BY tenant_id, scope"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok(read(row)?.0)).collect()
    }
}

/// The budget of a scope, and the highest threshold that was told of its period.
pub(super) async fn find(
    connection: &mut AnyConnection,
    tenant: TenantId,
    scope: BudgetScope,
) -> Result<Option<(Budget, u16)>, StoreError> {
    let statement = format!("SELECT {COLUMNS} FROM budgets WHERE tenant_id = $1 AND scope = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(tenant.to_string())
        .bind(scope.to_string())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

async fn is_key_of(connection: &mut AnyConnection, key: KeyId, tenant: TenantId) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM keys WHERE id = $1 AND tenant_id = $2")
        .bind(key.to_string())
        .bind(tenant.to_string())
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// The name of a budget in the audit log and in events.
pub(super) fn subject(tenant: TenantId, scope: BudgetScope) -> String {
    format!("{tenant}/{scope}")
}

fn read(row: &AnyRow) -> Result<(Budget, u16), StoreError> {
    let code: String = row.try_get("currency")?;
    let currency =
        Currency::from_code(&code).ok_or_else(|| corrupt("currency", format!("`{code}` is not a currency")))?;
    let hard: i64 = row.try_get("hard")?;
    let told: i64 = row.try_get("told")?;
    let standing = match (
        instant_or_null(row, "period_start")?,
        instant_or_null(row, "period_end")?,
        row.try_get::<Option<i64>, _>("spent")?,
    ) {
        (Some(start), Some(end), Some(spent)) => {
            Some(BudgetStanding { period: Window { start, end }, spent: Money::from_minor(spent, currency) })
        }
        _ => None,
    };
    let set = NewBudget {
        tenant: parsed(row, "tenant_id")?,
        scope: parsed(row, "scope")?,
        amount: Money::from_minor(row.try_get("amount")?, currency),
        hard: hard != 0,
        thresholds: list(row, "thresholds")?,
    };
    Ok((Budget { set, standing }, u16::try_from(told).map_err(|error| corrupt("threshold", error))?))
}
