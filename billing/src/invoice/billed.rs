//! Usage that invoices bill: what is frozen with an invoice, and what a later one finds new.

use std::collections::BTreeMap;

use common::{
    invoice::BilledUsage,
    plan::{price::Measured, subscription::Subscription},
    time::Micros,
};
use sha2::{Digest as _, Sha256};

use super::plans::BillTerms;
use crate::rating::{Before, MeterTotals, TenantTotals};

/// Usage of the period that began at `period_start`, less what was billed of it before.
pub(super) fn usage(period_start: Micros, before: &TenantTotals, now: &TenantTotals) -> Vec<BilledUsage> {
    let nothing = MeterTotals::default();
    let mut found = Vec::new();
    let mut meters: Vec<&str> = now.meters().chain(before.meters()).map(|(meter, _)| meter).collect();
    meters.sort_unstable();
    meters.dedup();
    for meter in meters {
        let (before, now) = [before, now].map(|totals| totals.meter(meter).unwrap_or(&nothing)).into();
        let row = |plan| BilledUsage {
            period_start,
            meter: meter.to_owned(),
            plan,
            units: 0,
            requests: 0,
            credit: 0,
            beyond_quota: 0,
            section: None,
        };
        for place in 0..now.charged.len().max(before.charged.len()) {
            let at = |totals: &MeterTotals| totals.charged.get(place).copied().unwrap_or_default();
            let (before, now) = (at(before), at(now));
            let (units, requests) = (more(before.units, now.units), more(before.requests, now.requests));
            if (units, requests) != (0, 0) {
                found.push(BilledUsage { units, requests, ..row(Some(place)) });
            }
        }
        let (credit, beyond_quota) = (more(before.credit, now.credit), more(before.beyond_quota, now.beyond_quota));
        if (credit, beyond_quota) != (0, 0) {
            found.push(BilledUsage { credit, beyond_quota, ..row(None) });
        }
    }
    found
}

/// The usage that invoices have billed of the period that began at `period_start`.
pub(super) fn totals<'a>(period_start: Micros, billed: impl IntoIterator<Item = &'a BilledUsage>) -> TenantTotals {
    let mut meters: BTreeMap<String, MeterTotals> = BTreeMap::new();
    for one in billed.into_iter().filter(|one| one.period_start == period_start) {
        let totals = meters.entry(one.meter.clone()).or_default();
        if let Some(place) = one.plan {
            if totals.charged.len() <= place {
                totals.charged.resize(place + 1, Measured::default());
            }
            let charged = &mut totals.charged[place];
            charged.units = charged.units.saturating_add_signed(one.units);
            charged.requests = charged.requests.saturating_add_signed(one.requests);
        }
        totals.credit = totals.credit.saturating_add_signed(one.credit);
        totals.beyond_quota = totals.beyond_quota.saturating_add_signed(one.beyond_quota);
    }
    TenantTotals::of_meters(meters)
}

/// SHA-256, in hexadecimal, of what an invoice is computed from: its period, the plan versions that
/// were in force and when, add-ons, coupons, what was billed before, and the usage. The same inputs give
/// the same hash.
pub(super) fn input_hash(
    subscriptions: &[&Subscription],
    terms: &BillTerms<'_>,
    before: Option<&Before>,
    usage: &[BilledUsage],
) -> String {
    let of_period = terms.of_period();
    let own: Vec<_> = of_period.plans.iter().map(|term| term.terms).collect();
    let period = of_period.period;
    let mut inputs =
        serde_json::json!({ "period": period.window, "subscriptions": subscriptions, "terms": own, "usage": usage });
    // What few bills have is left out of others, whose hashes stay as they were.
    let mut put = |name: &str, is_there: bool, value: String| {
        if let Some(inputs) = inputs.as_object_mut().filter(|_| is_there) {
            inputs.insert(name.to_owned(), value.into());
        }
    };
    put("whole_period", period.whole != period.window, format!("{:?}", period.whole));
    put("add_ons", !of_period.add_ons.is_empty(), format!("{:?}", of_period.add_ons));
    put("coupons", !of_period.coupons.is_empty(), format!("{:?}", of_period.coupons));
    put("before", before.is_some(), format!("{before:?}"));
    let digest = Sha256::digest(inputs.to_string());
    digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The signed difference of two counts. Counts are below 2^63: the store holds no greater ones.
fn more(before: u64, now: u64) -> i64 {
    now.cast_signed().saturating_sub(before.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals_of(units: &[u64], credit: u64) -> TenantTotals {
        let charged = units.iter().map(|units| Measured { units: *units, requests: 1 }).collect();
        let meter = MeterTotals { charged, credit, beyond_quota: 0 };
        TenantTotals::of_meters(BTreeMap::from([("tokens".to_owned(), meter)]))
    }

    #[test]
    fn bills_of_a_period_add_up_to_its_usage() {
        let start = Micros(7);
        let (first, second) = (totals_of(&[5], 1), totals_of(&[5, 9], 4));
        let mut billed = usage(start, &TenantTotals::default(), &first);
        let late = usage(start, &totals(start, &billed), &second);
        assert_eq!(
            late.iter().map(|one| (one.plan, one.units, one.credit)).collect::<Vec<_>>(),
            [(Some(1), 9, 0), (None, 0, 3)]
        );
        billed.extend(late);
        assert_eq!(totals(start, &billed), second);
        assert_eq!(usage(start, &totals(start, &billed), &second), []);
        assert_eq!(totals(Micros(8), &billed), TenantTotals::default());
    }

    #[test]
    fn usage_that_was_taken_back_is_below_zero() {
        let back = usage(Micros(7), &totals_of(&[5], 1), &totals_of(&[2], 1));
        assert_eq!((back.len(), back[0].units, back[0].requests), (1, -3, 0));
    }
}
