//! Add-ons: fees beside that of the plan, times a quantity.

use common::{
    money::{Exact, Money},
    plan::Plan,
    time::Window,
};

use super::{Line, PeriodTerms, RatingError, proration::share};

/// An add-on of a period, and the time in which it was in force.
#[derive(Debug, Clone, Copy)]
pub struct AddOn<'a> {
    /// The plan whose flat fee it is.
    pub plan: &'a Plan,
    /// Number of times that the fee is due.
    pub quantity: u32,
    /// The time.
    pub part: Window,
}

/// The fees of add-ons: in full for a period in which it was in force at any time, or by exact time if
/// its plan says `billing.prorate`.
pub(super) fn lines(terms: &PeriodTerms<'_>) -> Result<Vec<Line>, RatingError> {
    let Some(last) = terms.plans.last() else { return Ok(Vec::new()) };
    let currency = last.plan.currency;
    let mut lines = Vec::new();
    for add_on in terms.add_ons {
        let (plan, part, whole) = (add_on.plan, terms.part(&add_on.part), terms.period.whole);
        if part.length() == 0 {
            continue;
        }
        let fee = plan.flat_fee()?;
        if fee.currency() != currency {
            return Err(RatingError::FeeCurrency { plan: plan.id.clone(), owed: fee.currency(), bill: currency });
        }
        let all = Exact::from(fee) * Exact::whole(i128::from(add_on.quantity));
        let is_part = plan.billing.prorate && part != whole;
        let exact = if is_part { all * share(&part, &whole) } else { all };
        let amount: Result<Money, _> = exact.to_money(currency);
        let amount = amount.map_err(|source| RatingError::Amount { line: format!("{}, add-on", plan.name), source })?;
        lines.push(Line::add_on(plan, add_on.quantity, is_part.then_some(part), amount, exact));
    }
    Ok(lines)
}
