//! All that is wrong with a plan, each with the way to it.

use std::collections::HashSet;

use super::{ENTRIES_MAX, Plan, PlanError, currency, validate_meter};
use crate::config::{Step, way};

/// A fault and where in the plan it is.
pub(super) type Found = (Vec<Step>, PlanError);

/// Everything that the types alone cannot hold; empty for a plan that makes sense.
pub(super) fn faults(plan: &Plan) -> Vec<Found> {
    let mut found = Vec::new();
    found.extend(currency::validate(plan.currency).err().map(|error| (way!["currency"], error)));
    found.extend(flat_fee(plan).err().map(|error| (way!["flat_fee"], error)));
    found.extend(plan.billing.faults(plan.currency));
    found.extend(sizes(plan));
    // Too much is not looked through.
    if found.iter().any(|(_, error)| matches!(error, PlanError::TooMany { .. })) {
        return found;
    }
    let meters = |list: &'static str, field: &'static str| move |index: usize| way![list, index, field];
    found.extend(unique("charge", plan.charges.iter().map(|one| &*one.meter), meters("charges", "meter")));
    found.extend(unique("quota", plan.quotas.iter().map(|one| &*one.meter), meters("quotas", "meter")));
    found.extend(unique("prepaid", plan.prepaid.iter().map(|one| &**one), |index| way!["prepaid", index]));
    found.extend(plan.prepaid.iter().enumerate().filter_map(|(index, meter)| {
        let charged = plan.charges.iter().any(|charge| charge.meter == *meter).then_some("charge");
        let what = charged.or(plan.quota(meter).map(|_| "quota"))?;
        Some((way!["prepaid", index], PlanError::PaidTwice { meter: meter.clone(), what }))
    }));
    for (index, charge) in plan.charges.iter().enumerate() {
        let inside = |(rest, error): Found| (way!["charges", index].into_iter().chain(rest).collect(), error);
        let before = found.len();
        found.extend(charge.faults().into_iter().map(inside));
        // What it comes to is computed from tiers that make sense.
        if let (Ok(fee), true) = (plan.flat_fee(), found.len() == before) {
            found.extend(charge.validate_amounts(fee).err().map(inside));
        }
    }
    let limits = plan.limits.faults().into_iter();
    found.extend(limits.map(|(scope, error)| {
        let way = way!["limits", scope, error.limit];
        (way, PlanError::Limit { scope, error })
    }));
    found
}

fn flat_fee(plan: &Plan) -> Result<(), PlanError> {
    if plan.flat_fee()?.minor() < 0 { Err(PlanError::NegativeFlatFee) } else { Ok(()) }
}

fn sizes(plan: &Plan) -> Vec<Found> {
    let lists = [("charges", plan.charges.len()), ("quotas", plan.quotas.len()), ("prepaid", plan.prepaid.len())];
    let lists = lists.into_iter().map(|(what, found)| (way![what], what, found));
    let tiers = plan.charges.iter().enumerate().map(|(index, charge)| {
        let way = way!["charges", index, charge.price.name()];
        (way, "tiers", charge.price.tiers().len())
    });
    let too_many = lists.chain(tiers).filter(|(_, _, found)| *found > ENTRIES_MAX);
    too_many.map(|(way, what, found)| (way, PlanError::TooMany { what, found })).collect()
}

/// Names that are none, and those that stand twice.
fn unique<'a>(
    what: &'static str,
    meters: impl Iterator<Item = &'a str>,
    way: impl Fn(usize) -> Vec<Step>,
) -> Vec<Found> {
    let mut seen = HashSet::new();
    let fault = |(index, meter): (usize, &'a str)| {
        let error = match validate_meter(meter) {
            Err(error) => error,
            Ok(()) if seen.insert(meter) => return None,
            Ok(()) => PlanError::DuplicateMeter { meter: meter.into(), what },
        };
        Some((way(index), error))
    };
    meters.enumerate().filter_map(fault).collect()
}
