//! What was spent of a budget: noted, told once it reaches a threshold, and refused at gateways once it
//! reaches the amount of a hard one.

use super::{Budget, BudgetScope, BudgetStanding, rows};
use crate::{
    event::{EventType, NewEvent, emit},
    id::TenantId,
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        change_log::Changed,
        row::instant_or_null,
        transaction::ChangeTransaction,
    },
    time::Micros,
};

/// Result of noting what was spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// The budget, with what was noted.
    pub budget: Budget,
    /// Thresholds that were reached since it was counted before, in percent.
    pub reached: Vec<u16>,
    /// True if gateways begin to refuse requests by it.
    pub refuses_now: bool,
}

impl Store {
    /// Notes what was spent of the budget of a scope; none if nobody is billed for it. Thresholds that
    /// are reached for the first time in the period become events. Returns none if there is no such
    /// budget any more, or if it was set anew in another currency.
    pub async fn note_spending(
        &self,
        tenant: TenantId,
        scope: BudgetScope,
        standing: Option<BudgetStanding>,
        now: Micros,
    ) -> Result<Option<Noted>, StoreError> {
        let mut change = self.begin_change(now).await?;
        let Some((before, told)) = rows::find(change.connection(), tenant, scope).await? else { return Ok(None) };
        let currency = before.set.amount.currency();
        if standing.is_some_and(|standing| standing.spent.currency() != currency) {
            return Ok(None);
        }
        let period = standing.map(|standing| standing.period);
        let is_same_period = before.standing.map(|standing| standing.period) == period;
        let told = if is_same_period { told } else { 0 };
        let budget = Budget { standing, ..before };
        let reached: Vec<u16> =
            standing.map_or_else(Vec::new, |standing| budget.set.reached(standing.spent, told).collect());
        sqlx::query(
            "UPDATE budgets SET period_start = $1, period_end = $2, spent = $3, told = $4 \
             WHERE tenant_id = $5 AND scope = $6",
        )
        .bind(period.map(|period| period.start.0))
        .bind(period.map(|period| period.end.0))
        .bind(standing.map(|standing| standing.spent.minor()))
        .bind(i64::from(reached.last().copied().unwrap_or(told)))
        .bind(tenant.to_string())
        .bind(scope.to_string())
        .execute(change.connection())
        .await?;
        let events: Vec<NewEvent> = reached.iter().map(|percent| event(&budget, *percent)).collect();
        emit(change.connection(), &events, now).await?;
        let until = period.filter(|_| budget.is_refusing()).map(|period| period.end);
        let was_changed = refuse_until(&mut change, tenant, scope, until).await?;
        if was_changed {
            let action = if until.is_some() { AuditAction::BudgetStop } else { AuditAction::BudgetResume };
            let after = state(&serde_json::json!({ "spent_until": until.map(|until| until.to_string()) }))?;
            let (subject, tenant) = (rows::subject(tenant, scope), Some(tenant));
            change.audit(Audited { action, subject_kind: "budget", subject, tenant, before: None, after }).await?;
        }
        change.commit().await?;
        Ok(Some(Noted { budget, reached, refuses_now: was_changed && until.is_some() }))
    }
}

/// Has gateways refuse the requests of a scope until an instant; none: not any more. Returns true if
/// that is a change.
pub(super) async fn refuse_until(
    change: &mut ChangeTransaction,
    tenant: TenantId,
    scope: BudgetScope,
    until: Option<Micros>,
) -> Result<bool, StoreError> {
    let (select, update, id, changed) = match scope {
        BudgetScope::Own => (
            "SELECT own_spent_until AS spent_until FROM tenants WHERE id = $1",
            "UPDATE tenants SET own_spent_until = $1 WHERE id = $2",
            tenant.to_string(),
            Changed::Tenant(tenant),
        ),
        BudgetScope::Subtree => (
            "SELECT subtree_spent_until AS spent_until FROM tenants WHERE id = $1",
            "UPDATE tenants SET subtree_spent_until = $1 WHERE id = $2",
            tenant.to_string(),
            Changed::Tenant(tenant),
        ),
        BudgetScope::Key(key) => (
            "SELECT spent_until FROM keys WHERE id = $1",
            "UPDATE keys SET spent_until = $1 WHERE id = $2",
            key.to_string(),
            Changed::Key(key),
        ),
    };
    let row = sqlx::query(select).bind(id.clone()).fetch_optional(change.connection()).await?;
    let Some(row) = row else { return Ok(false) };
    if instant_or_null(&row, "spent_until")? == until {
        return Ok(false);
    }
    sqlx::query(update).bind(until.map(|until| until.0)).bind(id).execute(change.connection()).await?;
    change.record(changed).await?;
    Ok(true)
}

fn event(budget: &Budget, percent: u16) -> NewEvent {
    let set = &budget.set;
    let period = budget.standing.map(|standing| standing.period);
    let data = serde_json::json!({
        "scope": set.scope,
        "percent": percent,
        "hard": set.hard,
        "refused": budget.is_refusing(),
        "currency": set.amount.currency().code(),
        "amount": set.amount.digits(),
        "spent": budget.standing.map(|standing| standing.spent.digits()),
        "period_start": period.map(|period| period.start.to_string()),
        "period_end": period.map(|period| period.end.to_string()),
    });
    let object = rows::subject(set.tenant, set.scope);
    NewEvent { kind: EventType::BudgetReached, tenant: set.tenant, object, data }
}
