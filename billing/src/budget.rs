//! Budgets in money: counted by the bills that are drafted of the usage booked so far, each minute and
//! as soon as one is set.
//!
//! How far a hard budget can be exceeded: by what the scope uses until its usage is booked, counted and
//! told to gateways. Usage is booked within about a second and gateways hear of a change within a second,
//! so in the end it is the minute between two counts. A quota in units is never exceeded.

use common::{
    budget::{Budget, NewBudget, Noted},
    money::Currency,
    store::{Store, StoreError},
    time::Micros,
};

use crate::invoice::{InvoiceError, Spending, spending};

/// A budget that cannot be set, or counted.
#[derive(Debug, thiserror::Error)]
pub enum BudgetError {
    /// The bill that its usage is on cannot be drafted, or the store failed.
    #[error(transparent)]
    Spending(#[from] InvoiceError),
    /// The bill that its usage is on is in another currency.
    #[error("currency: the usage is billed in {}, and the budget is in {}", .bill.code(), .budget.code())]
    Currency {
        /// The currency of the bill.
        bill: Currency,
        /// The currency of the budget.
        budget: Currency,
    },
}

impl From<StoreError> for BudgetError {
    fn from(error: StoreError) -> Self {
        Self::Spending(error.into())
    }
}

/// Result of counting all budgets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Budgets that were counted.
    pub counted: usize,
    /// Budgets that changed: thresholds reached, and refusals that begin.
    pub noted: Vec<Noted>,
    /// The reason why a budget could not be counted, the first of them.
    pub failed: Option<String>,
}

/// Sets a budget on behalf of whoever has the store `own`, and counts it by the store `whole`, which sees
/// everything. Refused: another currency than that of the bill that its usage is on.
pub async fn set((own, whole): (&Store, &Store), new: &NewBudget, now: Micros) -> Result<Budget, BudgetError> {
    new.validate()?;
    own.budgets(new.tenant).await?;
    let standing = match spending(whole, std::slice::from_ref(new), now).await?.pop().transpose()? {
        Some(Spending::Counted(standing)) => Some(standing),
        Some(Spending::OtherCurrency(bill)) => {
            return Err(BudgetError::Currency { bill, budget: new.amount.currency() });
        }
        Some(Spending::Unbilled) | None => None,
    };
    let budget = own.set_budget(new, now).await?;
    let noted = whole.note_spending(new.tenant, new.scope, standing, now).await?;
    Ok(noted.map_or(budget, |noted| noted.budget))
}

/// Counts all budgets, tells thresholds that are reached, and has gateways refuse what is beyond hard
/// ones. Only what changed is written.
pub async fn count_all(store: &Store, now: Micros) -> Result<Counted, BudgetError> {
    let budgets = store.all_budgets().await?;
    let mut counted = Counted::default();
    if budgets.is_empty() {
        return Ok(counted);
    }
    let set: Vec<NewBudget> = budgets.iter().map(|budget| budget.set.clone()).collect();
    for (budget, spent) in budgets.into_iter().zip(spending(store, &set, now).await?) {
        let (tenant, scope) = (budget.set.tenant, budget.set.scope);
        let standing = match spent {
            Ok(Spending::Counted(standing)) => Some(standing),
            Ok(Spending::Unbilled) => None,
            Ok(Spending::OtherCurrency(bill)) => {
                counted.fail(format!("{tenant}/{scope}: the bill is in {}", bill.code()));
                None
            }
            Err(error) => {
                // What was counted last stands.
                counted.fail(format!("{tenant}/{scope}: {error}"));
                continue;
            }
        };
        counted.counted += 1;
        if standing == budget.standing {
            continue;
        }
        let noted = store.note_spending(tenant, scope, standing, now).await?;
        counted.noted.extend(noted.filter(|noted| noted.refuses_now || !noted.reached.is_empty()));
    }
    Ok(counted)
}

impl Counted {
    fn fail(&mut self, reason: String) {
        self.failed.get_or_insert(reason);
    }
}
