//! What budgets count: the cost of usage in the current period of the bill that it is on.
//!
//! A budget of a payer's subtree counts all usage on the payer's bill. Any other is a part of a bill: it
//! has the part of each meter's cost that its units are of the meter's units. So budgets and bills never
//! disagree about a price, and all keys of a bill together have spent what it says, but for rounding.

use std::collections::BTreeMap;

use common::{
    budget::{BudgetScope, BudgetStanding, NewBudget},
    key::Mode,
    money::{Currency, Money},
    store::Store,
    time::{Micros, Window},
    usage::report::{UsageDimension, UsageQuery, UsageStep},
};

use super::{
    InvoiceError, PeriodChoice,
    parts::failed,
    payers::{Bill, PeriodBill},
    period::BillingPeriod,
    plans::Plans,
    recorded::Recorded,
};
use crate::rating::{self, MeterCost, RatingError, TenantTotals};

/// Bills that are read one by one; more are read with those of everybody, in one pass.
const BILLS_ONE_BY_ONE: usize = 50;

/// Rows of a usage report that are read at once.
const ROWS_AT_ONCE: u32 = 1_000;

/// Money that was spent of a budget, if it can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spending {
    /// Counted.
    Counted(BudgetStanding),
    /// Nobody is billed for the usage now.
    Unbilled,
    /// The bill is in this currency, and the budget is not.
    OtherCurrency(Currency),
}

/// The cost of the usage on a bill, by meter.
struct BillCosts {
    bill: Bill,
    period: Window,
    currency: Currency,
    meters: BTreeMap<String, MeterCost>,
}

/// Counts what was spent of budgets in the periods that hold `now`, in their order. A bill that cannot be
/// rated is the failure of the budgets on it alone.
pub async fn spending(
    store: &Store,
    budgets: &[NewBudget],
    now: Micros,
) -> Result<Vec<Result<Spending, InvoiceError>>, InvoiceError> {
    let mut plans = Plans::of(store, Vec::new()).await?;
    let mut period = BillingPeriod::read(store, PeriodChoice::Holding(now), None, &mut plans, None).await?;
    let mut by_bill: BTreeMap<Bill, Vec<usize>> = BTreeMap::new();
    let mut found: Vec<_> = budgets.iter().map(|_| Ok(Spending::Unbilled)).collect();
    for (place, budget) in budgets.iter().enumerate() {
        if let Some(payer) = period.payers.payers(budget.tenant, now).first() {
            by_bill.entry(payer.bill).or_default().push(place);
        }
    }
    let mut of_all = None;
    for (bill, places) in &by_bill {
        if by_bill.len() <= BILLS_ONE_BY_ONE {
            period.only = Some(bill.tenant);
            of_all = None;
        }
        if of_all.is_none() {
            let caps = period.caps(store, &mut plans).await?;
            of_all = Some(Recorded::read(store, &period, caps, &|_| ()).await?);
        }
        let Some(recorded) = &mut of_all else { continue };
        let costs = match costs(store, &period, *bill, recorded, &mut plans).await {
            Ok(Some(costs)) => costs,
            Ok(None) => continue,
            Err(error) if error.is_of_one_tenant() => {
                for place in places {
                    found[*place] = Err(InvoiceError::NotDrafted(error.to_string()));
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        for place in places {
            found[*place] = spent(store, &budgets[*place], &costs).await;
        }
    }
    Ok(found)
}

/// The cost of the usage on a bill, in its current period; none if it has no such period.
async fn costs(
    store: &Store,
    period: &BillingPeriod,
    bill: Bill,
    recorded: &mut Recorded,
    plans: &mut Plans,
) -> Result<Option<BillCosts>, InvoiceError> {
    if let Some(error) = recorded.failed.remove(&bill.tenant) {
        return Err(error);
    }
    let (Some(cycles), Some(current)) = (period.cycles(bill), period.of(bill).first()) else { return Ok(None) };
    let subscriptions = period.payers.rating(bill, current.window);
    for subscription in &subscriptions {
        plans.read(store, subscription).await?;
    }
    let Some(currency) = subscriptions.last().and_then(|last| plans.known(last)).map(|last| last.plan.currency) else {
        return Ok(None);
    };
    let terms = plans.rating((bill, *current, cycles), &subscriptions)?;
    let unused = TenantTotals::default();
    let usage = recorded.billed.tenant(PeriodBill { bill, start: current.window.start }).unwrap_or(&unused);
    let meters = rating::costs(&terms.of_period(), usage);
    let meters = meters.map_err(|source| failed(bill.tenant, plans, &subscriptions, source))?;
    Ok(Some(BillCosts { bill, period: current.window, currency, meters }))
}

/// Money that was spent of a budget, as a part of this bill.
async fn spent(store: &Store, budget: &NewBudget, costs: &BillCosts) -> Result<Spending, InvoiceError> {
    if budget.amount.currency() != costs.currency {
        return Ok(Spending::OtherCurrency(costs.currency));
    }
    let is_whole_bill = budget.scope == BudgetScope::Subtree && budget.tenant == costs.bill.tenant;
    let units = if is_whole_bill { None } else { Some(units(store, budget, costs.period).await?) };
    let mut spent = Money::zero(costs.currency);
    for (meter, cost) in &costs.meters {
        let part = units.as_ref().map_or(cost.amount, |units| cost.share(units.get(meter).copied().unwrap_or(0)));
        spent = spent.checked_add(part).map_err(|source| InvoiceError::Sum(RatingError::Total(source)))?;
    }
    Ok(Spending::Counted(BudgetStanding { period: costs.period, spent }))
}

/// The billable units of a budget's scope in a period, by meter.
async fn units(store: &Store, budget: &NewBudget, window: Window) -> Result<BTreeMap<String, u64>, InvoiceError> {
    let key = if let BudgetScope::Key(key) = budget.scope { Some(key) } else { None };
    let mut query = UsageQuery {
        tenant: budget.tenant,
        subtree: budget.scope == BudgetScope::Subtree,
        key,
        route: None,
        meter: None,
        mode: Some(Mode::Live),
        window,
        step: UsageStep::Month,
        group_by: vec![UsageDimension::Meter],
        after: None,
        limit: ROWS_AT_ONCE,
    };
    let mut units: BTreeMap<String, u64> = BTreeMap::new();
    loop {
        let report = store.usage_report(&query).await?;
        for row in report.rows {
            let of_meter = units.entry(row.meter.unwrap_or_default()).or_default();
            *of_meter = of_meter.saturating_add(row.billable_units);
        }
        match report.next {
            Some(next) => query.after = Some(next),
            None => return Ok(units),
        }
    }
}
