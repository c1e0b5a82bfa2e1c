//! Lines of usage: what the charges of the plans of a period make of it.

use common::{
    money::Currency,
    plan::{Charge, Plan, price::Measured},
};

use super::{Line, MeterTotals, RatingError, TenantTotals, Term};

/// The lines of all meters, of what was used since `billed`; of everything if nothing was billed.
pub(super) fn lines(
    terms: &[Term<'_>],
    billed: Option<&TenantTotals>,
    usage: &TenantTotals,
) -> Result<Vec<Line>, RatingError> {
    let Some((last, earlier)) = terms.split_last() else { return Ok(Vec::new()) };
    let currency = last.plan.currency;
    let mut lines = Vec::new();
    let rated = |charge: &Charge| Rated {
        before: billed.map(|billed| owed(terms, billed, &charge.meter)),
        after: owed(terms, usage, &charge.meter),
    };
    for charge in last.plan.charges.iter().filter(|charge| last.prices(&charge.meter)) {
        rated(charge).lines(currency, charge, None, &mut lines)?;
    }
    for (place, term) in earlier.iter().enumerate().rev() {
        let plan = term.plan;
        for charge in plan.charges.iter().filter(|charge| term.prices(&charge.meter)) {
            let rated = rated(charge);
            let priced_later = terms[place + 1..].iter().any(|later| later.prices(&charge.meter));
            if priced_later || rated.is_nothing() {
                continue;
            }
            if plan.currency != currency {
                let (meter, plan, owed) = (charge.meter.clone(), plan.id.clone(), plan.currency);
                return Err(RatingError::Currency { meter, plan, owed, bill: currency });
            }
            rated.lines(currency, charge, Some(&plan.name), &mut lines)?;
        }
    }
    lines.extend(free_lines(terms, last.plan, billed, usage));
    Ok(lines)
}

/// Units of a charge: those that were billed before, if any bill came before, and all.
struct Rated {
    before: Option<Measured>,
    after: Measured,
}

impl Rated {
    fn is_nothing(&self) -> bool {
        self.before.unwrap_or_default() == self.after || (self.before.is_none() && self.after.units == 0)
    }

    /// Adds the lines of one charge; `of` names the plan if that is not the plan of the bill.
    fn lines(
        &self,
        currency: Currency,
        charge: &Charge,
        of: Option<&str>,
        lines: &mut Vec<Line>,
    ) -> Result<(), RatingError> {
        if self.before.is_some() && self.is_nothing() {
            return Ok(());
        }
        let first_line = lines.len();
        let included = |measured: Measured| i128::from(measured.units - charge.beyond(measured).units);
        let more = included(self.after) - self.before.map_or(0, included);
        if charge.included > 0 && (more != 0 || self.before.is_none()) {
            lines.push(Line::included(currency, charge, more));
        }
        let parts = charge.parts(self.before, self.after);
        for part in &parts {
            lines.push(Line::part(currency, charge, part)?);
        }
        let beyond = |measured: Measured| i128::from(charge.beyond(measured).units);
        let unpriced = beyond(self.after) - self.before.map_or(0, beyond);
        if parts.is_empty() && unpriced != 0 {
            lines.push(Line::beyond_every_tier(currency, charge, unpriced));
        }
        if let Some(plan) = of {
            lines[first_line..].iter_mut().for_each(|line| line.description = format!("{plan}, {}", line.description));
        }
        Ok(())
    }
}

/// Lines of units that cost nothing: those that no plan priced or that were beyond a quota, and
/// those that were paid from credit.
fn free_lines(terms: &[Term<'_>], last: &Plan, billed: Option<&TenantTotals>, usage: &TenantTotals) -> Vec<Line> {
    let nothing = MeterTotals::default();
    let (mut lines, mut paid) = (Vec::new(), Vec::new());
    for (meter, totals) in usage.meters() {
        let before = billed.and_then(|billed| billed.meter(meter)).unwrap_or(&nothing);
        let more = |count: &dyn Fn(&MeterTotals) -> u64| i128::from(count(totals)) - i128::from(count(before));
        let is_unpriced = |term: &Term<'_>| !term.terms.trial && !term.prices(meter);
        let unpriced = more(&|totals| measured_where(terms, totals, is_unpriced).units);
        if unpriced != 0 {
            lines.push(Line::unpriced(last, meter, unpriced));
        }
        let in_trial = more(&|totals| measured_where(terms, totals, |term| term.terms.trial).units);
        if in_trial != 0 {
            lines.push(Line::in_trial(last.currency, meter, in_trial));
        }
        let beyond = more(&|totals| totals.beyond_quota);
        if beyond != 0 {
            lines.push(Line::beyond_quota(last.currency, meter, beyond));
        }
        let credit = more(&|totals| totals.credit);
        if credit != 0 {
            paid.push(Line::paid_from_credit(last.currency, meter, credit));
        }
    }
    lines.append(&mut paid);
    lines
}

/// Units of a meter that were used while the plan in force priced it.
fn owed(terms: &[Term<'_>], usage: &TenantTotals, meter: &str) -> Measured {
    let owed = |totals| measured_where(terms, totals, |term| term.prices(meter));
    usage.meter(meter).map_or(Measured::default(), owed)
}

/// Charged units that were used under some of the plans. All units of a tenant fit, so these do.
fn measured_where(terms: &[Term<'_>], totals: &MeterTotals, wanted: impl Fn(&Term<'_>) -> bool) -> Measured {
    let each = terms.iter().zip(&totals.charged).filter(|(term, _)| wanted(term));
    each.fold(Measured::default(), |sum, (_, one)| Measured {
        units: sum.units + one.units,
        requests: sum.requests + one.requests,
    })
}
