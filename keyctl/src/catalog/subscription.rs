//! The subscription of a tenant of a catalog file: whether its plan is offered, and what changes.

use common::{
    api::{plan::PlanVersionDocument, subscription::SubscriptionDocument},
    money::Decimal,
    plan::PlanId,
};

use super::{
    change::{Action, Setting, Work},
    compare::Comparison,
    file::{EntryFault, SubscriptionEntry},
};

/// Adds the change of a tenant's subscription, or its faults.
pub(super) fn compare(comparison: &mut Comparison<'_>, index: usize) {
    let current = comparison.found.ids[index].and_then(|id| comparison.present.subscriptions.get(&id));
    let wanted = comparison.entry(index).subscription.clone();
    match (current, wanted) {
        (None, None) => {}
        (Some(current), None) => {
            if comparison.prune {
                let name = current.plan.to_string();
                comparison.push(index, Action::Delete, ("subscription", name), Vec::new(), Work::EndSubscription);
            }
        }
        (current, Some(wanted)) => {
            let keeps_plan = current.is_some_and(|current| current.plan == wanted.plan);
            let found = faults(comparison, index, &wanted, keeps_plan);
            if !found.is_empty() {
                comparison.faults.extend(found);
                return;
            }
            let settings = settings(current, &wanted);
            if settings.is_empty() {
                return;
            }
            let action = if current.is_some() { Action::Update } else { Action::Create };
            let version = wanted.version.or_else(|| current.filter(|_| keeps_plan).map(|current| current.version));
            let name = wanted.plan.to_string();
            let work = Work::Subscribe(SubscriptionEntry { version, ..wanted });
            comparison.push(index, action, ("subscription", name), settings, work);
        }
    }
}

fn faults(comparison: &Comparison<'_>, index: usize, wanted: &SubscriptionEntry, keeps_plan: bool) -> Vec<EntryFault> {
    let mut faults = Vec::new();
    let reference = &comparison.entry(index).reference;
    let mut fault = |field, reason: String| faults.push(EntryFault::of_tenant(index, field, reason));
    if !keeps_plan && !is_offered(comparison, index, &wanted.plan) {
        let reason = format!("no plan `{}` is offered to `{reference}`, by itself or by a tenant above", wanted.plan);
        fault("plan", reason);
    }
    if wanted.version.is_some_and(|version| version < 1) {
        fault("version", "versions count from 1".to_owned());
    }
    for (field, amount) in [("discount_percent", &wanted.discount_percent), ("flat_fee", &wanted.flat_fee)] {
        if amount.as_ref().is_some_and(|amount| amount.parse::<Decimal>().is_err()) {
            fault(field, format!("`{}` is not a decimal number", amount.as_deref().unwrap_or_default()));
        }
    }
    if wanted.anchor_day.is_some_and(|day| !(1..=31).contains(&day)) {
        fault("anchor_day", "a day of the month is from 1 to 31".to_owned());
    }
    faults
}

/// Returns true if the tenant, or one above it, offers the plan once the file is applied.
fn is_offered(comparison: &Comparison<'_>, index: usize, plan: &PlanId) -> bool {
    let Comparison { file, present, found, prune, .. } = comparison;
    let chain = found.chain(index);
    let in_file = |place: &usize| {
        let entry = &file.tenants[*place];
        entry.plans.iter().any(|own| own.id == *plan) && !entry.deprecated_plans.contains(plan)
    };
    if chain.iter().any(in_file) {
        return true;
    }
    // Above the uppermost tenant of the file, and of its tenants what the file does not say.
    let of_file: Vec<_> = chain.iter().filter_map(|place| found.ids[*place]).collect();
    let above = of_file.last().map_or_else(Vec::new, |top| present.chain(*top));
    let is_above = |one: &PlanVersionDocument| {
        // Plans of tenants that the caller does not see belong to tenants above.
        one.owner.is_none_or(|owner| above.contains(&owner) || present.tenant(owner).is_none())
    };
    let is_of_file = |one: &PlanVersionDocument| one.owner.is_some_and(|owner| of_file.contains(&owner));
    let says = |place: &usize| file.tenants[*place].plans.iter().any(|own| own.id == *plan);
    present
        .plans
        .iter()
        .filter(|one| one.id == *plan && !one.deprecated)
        .any(|one| is_of_file(one) && !*prune && !chain.iter().any(says) || is_above(one) && !is_of_file(one))
}

/// The settings that change; none if the subscription is as wanted.
fn settings(current: Option<&SubscriptionDocument>, wanted: &SubscriptionEntry) -> Vec<Setting> {
    let terms = current.and_then(|current| current.terms.as_ref());
    let version = |version: i64| version.to_string();
    let as_number = |amount: Option<&String>| amount.map(|amount| number(amount));
    let before_version = current.map(|current| version(current.version));
    let settings = [
        Setting::of("plan", current.map(|current| current.plan.to_string()), Some(wanted.plan.to_string())),
        wanted.version.and_then(|wanted| Setting::of("version", before_version, Some(version(wanted)))),
        Setting::of(
            "discount_percent",
            as_number(terms.and_then(|terms| terms.discount_percent.as_ref())),
            as_number(wanted.discount_percent.as_ref()),
        ),
        Setting::of(
            "flat_fee",
            as_number(terms.and_then(|terms| terms.flat_fee.as_ref())),
            as_number(wanted.flat_fee.as_ref()),
        ),
        Setting::of(
            "anchor_day",
            terms.and_then(|terms| terms.anchor_day).map(|day| day.to_string()),
            wanted.anchor_day.map(|day| day.to_string()),
        ),
    ];
    settings.into_iter().flatten().collect()
}

/// A decimal number without zeros at its end: `49.00` and `49` are the same.
fn number(text: &str) -> String {
    if !text.contains('.') {
        return text.to_owned();
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_compared_without_zeros_at_the_end() {
        for (text, expected) in [("49.00", "49"), ("49", "49"), ("0.50", "0.5"), ("100", "100"), ("0.00", "0")] {
            assert_eq!(number(text), expected);
        }
    }
}
