//! Caps against single cases and against what must hold of any history.

use std::collections::HashSet;

use common::{id::KeyId, plan::subscription::Subscription, tenant::TenantParent};
use proptest::prelude::*;

use super::*;

/// A reseller and two customers, of which the first has a quota of its own.
const TENANTS: [TenantId; 3] = [TenantId::from_u128(1), TenantId::from_u128(2), TenantId::from_u128(3)];

const MONTH: Window = Window { start: Micros(0), end: Micros(31 * 86_400 * Micros::PER_SECOND) };

/// Plans of a tenant: since which day of January 1970, and how much of the meter they cap, if they
/// do.
type Steps = Vec<(i64, Option<u64>)>;

fn day(day: i64) -> Micros {
    Micros(0).plus_seconds(day * 86_400)
}

fn sum(tenant: usize, at: Micros, units: u64) -> UsageRollup {
    UsageRollup {
        hour: at,
        since: at,
        tenant: TENANTS[tenant],
        key: KeyId::from_u128(1),
        route: "api".into(),
        meter: "requests".into(),
        mode: Mode::Live,
        billable: true,
        paid: PaidBy::Charge,
        requests: 1,
        aborted: 0,
        units,
    }
}

fn payers(plans: &[Steps]) -> Payers {
    let parents = TENANTS[1..].iter().map(|tenant| TenantParent {
        tenant: *tenant,
        parent: TENANTS[0],
        starts_at: Micros(i64::MIN),
        ends_at: None,
    });
    let subscriptions = plans.iter().zip(TENANTS).flat_map(|(plans, tenant)| {
        plans.iter().enumerate().map(move |(place, (start, _))| Subscription {
            tenant,
            plan_owner: TENANTS[0],
            plan: "a".parse().unwrap(),
            version: 1,
            starts_at: day(*start),
            ends_at: plans.get(place + 1).map(|(next, _)| day(*next)),
        })
    });
    Payers::new(&[], parents.collect(), subscriptions.collect(), HashSet::new())
}

fn caps(plans: &[Steps]) -> Caps {
    let stated = |limit: &Option<u64>| Stated::Limits(limit.iter().map(|limit| ("requests".into(), *limit)).collect());
    let holder =
        |plans: &Steps| Holder { zone: Ok(Zone::utc()), plans: plans.iter().map(|(_, limit)| stated(limit)).collect() };
    Caps { holders: TENANTS.into_iter().zip(plans.iter().map(holder)).collect(), ..Caps::default() }
}

/// Units beyond by tenant that pays.
fn beyond(plans: &[Steps], used: &[(usize, Micros, u64)]) -> HashMap<TenantId, u64> {
    let (payers, mut caps) = (payers(plans), caps(plans));
    let mut found = HashMap::new();
    for (tenant, at, units) in used {
        let billed = payers.payers(TENANTS[*tenant], *at);
        let held = caps.count(&payers, &sum(*tenant, *at, *units), &billed).unwrap();
        for payer in held.payers {
            *found.entry(payer.bill.tenant).or_default() += held.beyond.units;
        }
    }
    for (payer, _, meter, beyond) in caps.beyond() {
        assert_eq!(meter, "requests");
        *found.entry(payer.bill.tenant).or_default() += beyond.units;
    }
    found
}

#[test]
fn last_units_of_a_month_exceed_the_cap_and_a_higher_cap_bills_them() {
    let plans = |after: &[(i64, Option<u64>)]| {
        let own = [&[(0, Some(20))], after].concat();
        vec![Vec::new(), own, Vec::new()]
    };
    let used = [(1, day(1), 15), (1, day(2), 15), (1, day(40), 20)];
    let of = |after| beyond(&plans(after), &used).get(&TENANTS[1]).copied().unwrap_or(0);
    assert_eq!(of(&[]), 10);
    assert_eq!(of(&[(10, Some(26))]), 4, "the debt is paid as far as the new limit goes");
    assert_eq!(of(&[(10, Some(100))]), 0);
    assert_eq!(of(&[(10, Some(5))]), 10 + 15, "what had passed has passed; February is under the lower limit");
    assert_eq!(of(&[(10, None)]), 10, "a plan without a cap pays no debt");
    assert_eq!(of(&[(35, Some(100))]), 10, "the next month's limit pays no debt of this month");
}

#[test]
fn usage_beyond_the_last_limit_of_a_month_is_told_at_once_and_not_kept() {
    let one_limit = [vec![], vec![(0, Some(5))], vec![]];
    let (payers, mut caps) = (payers(&one_limit), caps(&one_limit));
    for hour in 0..1_000 {
        let at = Micros(0).plus_seconds(hour);
        let billed = payers.payers(TENANTS[1], at);
        let held = caps.count(&payers, &sum(1, at, 1), &billed).unwrap();
        assert_eq!(held.beyond.units, u64::from(hour >= 5));
    }
    assert_eq!(caps.sums.len(), 0);
}

#[test]
fn shared_quota_takes_the_last_units_of_whoever_pays_for_them() {
    let plans = vec![vec![(0, Some(20))], vec![(0, None)], Vec::new()];
    let used = [(2, day(1), 8), (1, day(2), 8), (2, day(3), 8), (1, day(4), 8)];
    let expected = HashMap::from([(TENANTS[0], 4), (TENANTS[1], 8)]);
    assert_eq!(beyond(&plans, &used), expected);
}

fn history() -> impl Strategy<Value = (Vec<Steps>, Vec<(usize, Micros, u64)>)> {
    let limits = prop::option::weighted(0.8, 0_u64..60);
    let plans = prop::collection::btree_map(0_i64..31, limits, 0..4);
    let tenant = plans.prop_map(|plans| plans.into_iter().collect::<Steps>());
    let used = prop::collection::vec((0..3_usize, 0..MONTH.end.0, 0_u64..40), 0..40).prop_map(|mut used| {
        used.sort_by_key(|(_, at, _)| *at);
        used.into_iter().map(|(tenant, at, units)| (tenant, Micros(at), units)).collect::<Vec<_>>()
    });
    (prop::collection::vec(tenant, 3), used)
}

proptest! {
    #[test]
    fn units_on_invoices_exceed_no_cap_and_no_unit_is_taken_off_twice((plans, used) in history()) {
        let found = beyond(&plans, &used);
        prop_assert_eq!(&found, &beyond(&plans, &used), "again gives the same");
        let history = payers(&plans);
        for (tenant, plans) in TENANTS.into_iter().zip(&plans) {
            let is_paid = |used: &usize, at: Micros| {
                history.payers(TENANTS[*used], at).iter().any(|payer| payer.bill.tenant == tenant)
            };
            let all: u64 = used.iter().filter(|(user, at, _)| is_paid(user, *at)).map(|(.., units)| units).sum();
            let taken = found.get(&tenant).copied().unwrap_or(0);
            prop_assert!(taken <= all, "{} of {} units of {}", taken, all, tenant);
            // Under caps alone, all that the holder itself pays for is below the highest of them.
            if let Some(highest) = plans.iter().map(|(_, limit)| *limit).collect::<Option<Vec<_>>>() {
                prop_assert!(all - taken <= highest.into_iter().max().unwrap_or(0), "{:?}", plans);
            }
        }
    }

    #[test]
    fn unreached_cap_takes_nothing_off((plans, used) in history()) {
        let all: u64 = used.iter().map(|(.., units)| units).sum();
        let roomy: Vec<Steps> =
            plans.iter().map(|plans| plans.iter().map(|(at, limit)| (*at, limit.map(|_| all))).collect()).collect();
        prop_assert!(beyond(&roomy, &used).is_empty());
    }
}
