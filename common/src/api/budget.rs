//! Budgets in money. Amounts are whole minor units (cents) of a currency.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::instant::Instant;
use crate::{
    budget::{Budget, BudgetScope, NewBudget, THRESHOLDS_DEFAULT},
    id::TenantId,
    money::{Currency, Money},
};

/// A budget to be set.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewBudget)]
pub struct NewBudgetBody {
    /// Most that the usage may cost in a period of the bill that it is on.
    #[schema(minimum = 1, maximum = 10_000_000_000_000_i64)]
    pub amount: i64,
    /// Currency of that bill.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// True if gateways refuse requests once the amount is reached; false unless stated.
    #[serde(default)]
    pub hard: bool,
    /// Percents of the amount that are told as `budget.reached`, each once in a period; 80 and 100 unless
    /// stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 10)]
    pub thresholds: Option<Vec<u16>>,
}

/// The budgets of a tenant.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Budgets)]
pub struct BudgetsDocument {
    /// The budgets, by scope.
    pub budgets: Vec<BudgetDocument>,
}

/// A budget, with what was counted last.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Budget)]
pub struct BudgetDocument {
    /// Usage that counts: `own`, `subtree` or the id of a key.
    #[schema(value_type = String, example = "subtree")]
    pub scope: BudgetScope,
    /// Most that the usage may cost in a period of the bill that it is on.
    pub amount: i64,
    /// Its currency.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// True if gateways refuse requests once the amount is reached.
    pub hard: bool,
    /// Percents of the amount that are told once reached.
    pub thresholds: Vec<u16>,
    /// The cost of the usage so far; null while nobody is billed for it in this currency.
    #[schema(required = true)]
    pub spent: Option<i64>,
    /// Start of the period of the bill.
    #[schema(required = true)]
    pub period_start: Option<Instant>,
    /// End of the period, when counting begins anew.
    #[schema(required = true)]
    pub period_end: Option<Instant>,
    /// True if gateways refuse requests because of it until the period ends.
    pub refusing: bool,
}

impl NewBudgetBody {
    /// The budget of a tenant's scope.
    pub fn budget(self, tenant: TenantId, scope: BudgetScope) -> NewBudget {
        let Self { amount, currency, hard, thresholds } = self;
        let thresholds = thresholds.unwrap_or_else(|| THRESHOLDS_DEFAULT.to_vec());
        NewBudget { tenant, scope, amount: Money::from_minor(amount, currency), hard, thresholds }
    }
}

impl From<Budget> for BudgetDocument {
    fn from(budget: Budget) -> Self {
        let refusing = budget.is_refusing();
        let NewBudget { tenant: _, scope, amount, hard, thresholds } = budget.set;
        let period = budget.standing.map(|standing| standing.period);
        Self {
            scope,
            amount: amount.minor(),
            currency: amount.currency(),
            hard,
            thresholds,
            spent: budget.standing.map(|standing| standing.spent.minor()),
            period_start: period.map(|period| period.start.into()),
            period_end: period.map(|period| period.end.into()),
            refusing,
        }
    }
}
