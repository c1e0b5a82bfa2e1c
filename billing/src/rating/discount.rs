//! A negotiated discount: a percentage off every line of a bill.

use common::money::{Exact, Money};

use super::{Line, RatingError, Term};

/// The amounts that the discount of the last term takes off `lines`: one line for each meter, so that it is
/// taxed as what it takes off, and one for what has no meter. Each line's part is rounded once.
pub(super) fn lines(terms: &[Term<'_>], lines: &[Line]) -> Result<Vec<Line>, RatingError> {
    let Some((last, percent)) = terms.last().and_then(|last| Some((last, last.terms.discount_percent?))) else {
        return Ok(Vec::new());
    };
    let currency = last.plan.currency;
    let mut found: Vec<(Option<String>, Money)> = Vec::new();
    for line in lines.iter().filter(|line| !line.amount.is_zero()) {
        let failed = |source| RatingError::Amount { line: line.description.clone(), source };
        let off = (Exact::from(line.amount) * Exact::percent(-percent)).to_money(currency).map_err(failed)?;
        match found.iter_mut().find(|(meter, _)| *meter == line.meter) {
            Some((_, sum)) => *sum = sum.checked_add(off).map_err(failed)?,
            None => found.push((line.meter.clone(), off)),
        }
    }
    let found = found.into_iter().filter(|(_, off)| !off.is_zero());
    Ok(found.map(|(meter, off)| Line::discount(percent, meter, off)).collect())
}
