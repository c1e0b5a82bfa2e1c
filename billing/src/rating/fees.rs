//! Flat fees of a period, and its minimum and maximum.
//!
//! A plan that says `billing.prorate` charges for the part of the period in which it was in force;
//! parts of one fee that cover a whole period add up to the fee. Of plans that do not, the last one
//! is due in full.

use common::{
    money::{Currency, Exact, Money},
    plan::{Plan, PlanError},
    time::Window,
};

use super::{
    Line, PeriodTerms, RatingError, Term, add_on,
    commitment::{beyond_maximum, true_up},
    proration::{prorate, share},
};

/// The flat fees, that of the last plan first, and those of add-ons.
pub(super) fn lines(terms: &PeriodTerms<'_>) -> Result<Vec<Line>, RatingError> {
    let mut lines = flat_fees(terms)?;
    lines.extend(add_on::lines(terms)?);
    Ok(lines)
}

fn flat_fees(terms: &PeriodTerms<'_>) -> Result<Vec<Line>, RatingError> {
    let Some(last) = terms.plans.last() else { return Ok(Vec::new()) };
    let currency = last.plan.currency;
    let mut lines = Vec::new();
    if !last.plan.billing.prorate && last.owes_fees() {
        lines.push(Line::flat_fee(last.plan, last.flat_fee()?));
    }
    for term in terms.plans.iter().rev().filter(|term| is_prorated(term)) {
        let fee = term.flat_fee()?;
        if fee.currency() != currency {
            if fee.is_zero() {
                continue;
            }
            let (plan, owed) = (term.plan.id.clone(), fee.currency());
            return Err(RatingError::FeeCurrency { plan, owed, bill: currency });
        }
        let amount = amount_of_part(terms, term, fee)?;
        let (part, whole) = (terms.part(&term.part), terms.period.whole);
        if part == whole {
            lines.push(Line::flat_fee(term.plan, fee));
        } else {
            let exact = Exact::from(fee) * share(&part, &whole);
            lines.push(Line::part_of_flat_fee(term.plan, &part, amount, exact));
        }
    }
    Ok(lines)
}

/// Returns true for a term that is charged for its part of the period.
const fn is_prorated(term: &Term<'_>) -> bool {
    term.plan.billing.prorate && term.owes_fees()
}

/// The part of a fee that falls on a term. Parts of the same fee are rounded together, so that they
/// add up to it.
fn amount_of_part(terms: &PeriodTerms<'_>, term: &Term<'_>, fee: Money) -> Result<Money, RatingError> {
    let alike: Vec<&Term<'_>> =
        terms.plans.iter().filter(|other| is_prorated(other) && other.flat_fee() == Ok(fee)).collect();
    let parts: Vec<Window> = alike.iter().map(|other| terms.part(&other.part)).collect();
    let amounts = prorate(fee, &parts, &terms.period.whole)
        .map_err(|source| RatingError::Amount { line: format!("{}, flat fee", term.plan.name), source })?;
    let own = alike.iter().zip(amounts).find(|(other, _)| other.part == term.part).map(|(_, amount)| amount);
    Ok(own.unwrap_or(Money::zero(fee.currency())))
}

/// What is missing to the minimum of the period, or beyond its maximum, if `charged` is what its
/// other lines come to.
pub(super) fn spends(terms: &PeriodTerms<'_>, charged: Money) -> Result<Option<Line>, RatingError> {
    let Some(last) = terms.plans.last().map(|last| last.plan) else { return Ok(None) };
    let failed = |source| RatingError::Amount { line: format!("{}, minimum or maximum", last.name), source };
    if let Some(minimum) = spend(terms, |plan, currency| plan.billing.minimum(currency))? {
        let missing = true_up(minimum, &Exact::whole(1), charged).map_err(failed)?;
        if !missing.is_zero() {
            return Ok(Some(Line::minimum(last, missing)));
        }
    }
    beyond(terms, Money::zero(charged.currency()), charged)
}

/// The amount beyond the maximum of the period, if `before` was billed of it before and `charged` is what
/// lines come to now.
pub(super) fn beyond(terms: &PeriodTerms<'_>, before: Money, charged: Money) -> Result<Option<Line>, RatingError> {
    let Some(last) = terms.plans.last().map(|last| last.plan) else { return Ok(None) };
    let Some(maximum) = spend(terms, |plan, currency| plan.billing.maximum(currency))? else { return Ok(None) };
    let failed = |source| RatingError::Amount { line: format!("{}, minimum or maximum", last.name), source };
    let beyond = beyond_maximum(maximum, before, charged).map_err(failed)?;
    let minus = Money::from_minor(-beyond.minor(), beyond.currency());
    Ok((!beyond.is_zero()).then(|| Line::beyond_maximum(last, minus)))
}

/// A spend of the period: that of the last plan, or of each plan for its part of the period.
fn spend(
    terms: &PeriodTerms<'_>,
    of: impl Fn(&Plan, Currency) -> Result<Option<Money>, PlanError>,
) -> Result<Option<Money>, RatingError> {
    let Some(last) = terms.plans.last() else { return Ok(None) };
    let currency = last.plan.currency;
    if !last.plan.billing.prorate {
        return Ok(if last.owes_fees() { of(last.plan, currency)? } else { None });
    }
    let mut exact: Option<Exact> = None;
    for term in terms.plans.iter().filter(|term| is_prorated(term) && term.plan.currency == currency) {
        if let Some(amount) = of(term.plan, currency)? {
            let part = Exact::from(amount) * share(&terms.part(&term.part), &terms.period.whole);
            exact = Some(exact.map_or(part.clone(), |sum| sum + part));
        }
    }
    let money = exact.map(|exact| exact.to_money(currency)).transpose();
    money.map_err(|source| RatingError::Amount { line: format!("{}, minimum or maximum", last.plan.name), source })
}
