//! Laws of every bill: the worked examples to the cent, and properties that hold for any usage.

use common::{
    id::{KeyId, TenantId},
    key::Mode,
    money::{Currency, Decimal, UnitPrice},
    plan::{
        Charge, Plan, PlanFile,
        price::{Price, Tier},
    },
    time::Micros,
    usage::{PaidBy, rollup::UsageRollup},
};
use proptest::prelude::*;

use super::*;

const TENANT: TenantId = TenantId::from_u128(1);

fn row(meter: &str, units: u64) -> UsageRollup {
    UsageRollup {
        hour: Micros(0),
        since: Micros(0),
        tenant: TENANT,
        key: KeyId::from_u128(2),
        route: "search".into(),
        meter: meter.into(),
        mode: Mode::Live,
        billable: true,
        paid: PaidBy::Charge,
        requests: 1,
        aborted: 0,
        units,
    }
}

fn usage(rows: &[UsageRollup]) -> TenantTotals {
    let mut totals = Totals::default();
    for row in rows {
        totals.add(row).unwrap();
    }
    totals.tenant(TENANT).cloned().unwrap_or_default()
}

fn shipped_plan(id: &str) -> Plan {
    let file = PlanFile::parse(include_str!("../../../config/plans.yaml"), "plans.yaml").unwrap();
    file.plans.into_iter().find(|plan| plan.id.as_str() == id).unwrap()
}

fn bill(plan: &Plan, units: u64) -> String {
    let lines = rate(plan, &usage(&[row("requests", units)])).unwrap();
    total(&lines, plan.currency).unwrap().digits()
}

#[test]
fn growth_with_3_200_000_units_bills_103_80() {
    let lines = rate(&shipped_plan("growth"), &usage(&[row("requests", 3_200_000)])).unwrap();
    let shown: Vec<_> = lines.iter().map(|line| (line.kind, line.quantity, line.amount.digits())).collect();
    assert_eq!(
        shown,
        [
            (LineKind::FlatFee, 1, "99.00".into()),
            (LineKind::Included, 2_000_000, "0.00".into()),
            (LineKind::Usage, 1_200_000, "4.80".into()),
        ]
    );
    assert_eq!(total(&lines, Currency::USD).unwrap().minor(), 10_380);
}

#[test]
fn every_shipped_plan_bills_its_price_list() {
    // One unit beyond costs less than half a cent everywhere; the big number is 60,001,234 units.
    let expected = [
        ("free", 100_000, ["0.00", "0.00", "0.00", "0.00"]),
        ("starter", 500_000, ["29.00", "29.00", "29.00", "326.51"]),
        ("growth", 2_000_000, ["99.00", "99.00", "99.00", "331.00"]),
        ("business", 10_000_000, ["299.00", "299.00", "299.00", "449.00"]),
        ("enterprise", 50_000_000, ["999.00", "999.00", "999.00", "1019.00"]),
    ];
    for (id, included, amounts) in expected {
        let plan = shipped_plan(id);
        let units = [0, included, included + 1, 60_001_234];
        assert_eq!(units.map(|units| bill(&plan, units)), amounts, "{id}");
    }
}

#[test]
fn only_billable_units_under_live_keys_are_priced() {
    let rows = [
        row("requests", 2_000_000),
        UsageRollup { billable: false, units: 5_000_000, ..row("requests", 0) },
        UsageRollup { mode: Mode::Test, units: 7_000_000, ..row("requests", 0) },
    ];
    let usage = usage(&rows);
    let lines = rate(&shipped_plan("growth"), &usage).unwrap();
    assert_eq!(total(&lines, Currency::USD).unwrap().digits(), "99.00");
    assert_eq!((usage.requests, usage.billable_requests, usage.test_requests), (3, 1, 1));
    assert_eq!((usage.units, usage.billable_units), (14_000_000, 2_000_000));
}

#[test]
fn each_price_model_has_lines_that_say_how_they_come_about() {
    let mut plan = shipped_plan("growth");
    let mut told = |price: &str| {
        let charge = format!(r#"{{"meter":"requests","included":10,{price}}}"#);
        plan.charges = vec![serde_json::from_str(&charge).unwrap()];
        plan.validate().unwrap();
        let lines = rate(&plan, &usage(&[row("requests", 35)])).unwrap();
        let told = |line: &Line| format!("{} x {} = {}", line.description, line.quantity, line.amount.digits());
        lines.iter().skip(2).map(told).collect::<Vec<_>>()
    };
    assert_eq!(told(r#""per_unit":{"amount":"0.5","per":1}"#), ["requests: from 11 on x 25 = 12.50"]);
    assert_eq!(told(r#""package":{"amount":"15","per":10}"#), ["requests: 3 packages of 10 at 15.00 x 25 = 45.00"]);
    assert_eq!(
        told(r#""volume":[{"up_to":20,"fixed":"1"},{"fixed":"2","price":{"amount":"1","per":1}}]"#),
        ["requests: from 31 on, fixed part x 1 = 2.00", "requests: from 31 on x 25 = 25.00"]
    );
    assert_eq!(
        told(r#""percentage":{"percent":"10","unit":"1","fixed":"0.10"}"#),
        ["requests: 10 % of 1.00 per unit x 25 = 2.50", "requests: fixed part of each request x 1 = 0.10"]
    );
}

#[test]
fn units_without_a_price_stand_on_a_line_of_their_own() {
    let lines = rate(&shipped_plan("free"), &usage(&[row("requests", 100_007), row("tokens", 42)])).unwrap();
    let free: Vec<_> = lines
        .iter()
        .filter(|line| line.kind == LineKind::NotCharged)
        .map(|line| (line.meter.as_deref().unwrap(), line.quantity, line.amount.minor()))
        .collect();
    assert_eq!(free, [("requests", 7, 0), ("tokens", 42, 0)]);
}

#[test]
fn sums_beyond_64_bits_are_refused() {
    let mut totals = Totals::default();
    totals.add(&row("requests", u64::MAX)).unwrap();
    let error = totals.add(&row("tokens", 1)).unwrap_err();
    assert!(error.to_string().contains(&TENANT.to_string()), "{error}");
}

#[test]
fn amount_beyond_64_bits_names_its_line() {
    let mut plan = shipped_plan("growth");
    plan.charges[0].price = Price::PerUnit(UnitPrice { amount: Decimal::from(1_000_000), per: 1 });
    let error = rate(&plan, &usage(&[row("requests", u64::MAX)])).unwrap_err();
    assert!(matches!(&error, RatingError::Amount { line, .. } if line.starts_with("requests")), "{error}");
}

fn plans() -> impl Strategy<Value = Plan> {
    let price = (0_i64..1_000, 2_u32..8, 1_u64..2_000)
        .prop_map(|(mantissa, scale, per)| UnitPrice { amount: Decimal::new(mantissa, scale), per });
    let tiers = prop::collection::vec((1_u64..500, price), 0..5).prop_map(|steps| {
        let last = steps.len().saturating_sub(1);
        let mut end = 0;
        let tier = |(index, (width, price))| {
            end += width;
            Tier { up_to: (index != last).then_some(end), price: Some(price), fixed: None }
        };
        steps.into_iter().enumerate().map(tier).collect::<Vec<_>>()
    });
    (0_u64..500, tiers, 0_u64..100_000).prop_map(|(included, tiers, fee)| {
        let mut plan = shipped_plan("growth");
        plan.flat_fee = format!("{}.{:02}", fee / 100, fee % 100);
        plan.charges = vec![Charge { meter: "requests".into(), included, price: Price::Graduated(tiers) }];
        plan.validate().unwrap();
        plan
    })
}

/// The tier of one unit beyond the allowance, numbered from 1: the slow and obvious way.
fn tier_of(charge: &Charge, number: u64) -> Option<usize> {
    charge.price.tiers().iter().position(|tier| tier.up_to.is_none_or(|up_to| number <= up_to))
}

proptest! {
    #[test]
    fn total_is_the_sum_of_the_lines_and_no_unit_is_missing(
        plan in plans(),
        rows in prop::collection::vec((prop::sample::select(vec!["requests", "tokens", "bytes"]), 0_u64..5_000), 0..9),
    ) {
        let rows: Vec<_> = rows.into_iter().map(|(meter, units)| row(meter, units)).collect();
        let lines = rate(&plan, &usage(&rows)).unwrap();
        let sum: i64 = lines.iter().map(|line| line.amount.minor()).sum();
        prop_assert_eq!(total(&lines, plan.currency).unwrap().minor(), sum);
        let quantity: i128 = lines.iter().filter(|line| line.kind != LineKind::FlatFee).map(|line| line.quantity).sum();
        prop_assert_eq!(quantity, rows.iter().map(|row| i128::from(row.units)).sum::<i128>());
    }

    #[test]
    fn more_units_never_cost_less(plan in plans(), units in 0_u64..5_000, more in 0_u64..5_000) {
        let cost = |units| total(&rate(&plan, &usage(&[row("requests", units)])).unwrap(), plan.currency).unwrap();
        prop_assert!(cost(units).minor() <= cost(units + more).minor());
    }

    #[test]
    fn tiers_take_the_units_that_counting_one_by_one_gives(
        plan in plans(),
        border in any::<prop::sample::Index>(),
        offset in -1_i64..=1,
    ) {
        let charge = &plan.charges[0];
        let borders: Vec<u64> =
            [0].into_iter().chain(charge.price.tiers().iter().filter_map(|tier| tier.up_to)).chain([3_000]).collect();
        let units = (charge.included + border.get(&borders)).saturating_add_signed(offset);
        let beyond = units.saturating_sub(charge.included);
        let mut by_tier = vec![0_i128; charge.price.tiers().len()];
        (1..=beyond).filter_map(|number| tier_of(charge, number)).for_each(|tier| by_tier[tier] += 1);
        by_tier.retain(|count| *count > 0);

        let lines = rate(&plan, &usage(&[row("requests", units)])).unwrap();
        let usage_lines = lines.iter().filter(|line| line.kind == LineKind::Usage);
        prop_assert_eq!(usage_lines.map(|line| line.quantity).collect::<Vec<_>>(), by_tier);
    }

    #[test]
    fn order_of_rows_does_not_matter(
        plan in plans(),
        rows in prop::collection::vec((prop::sample::select(vec!["requests", "tokens", "bytes"]), 0_u64..5_000), 0..9),
    ) {
        let mut rows: Vec<_> = rows.into_iter().map(|(meter, units)| row(meter, units)).collect();
        let forwards = rate(&plan, &usage(&rows)).unwrap();
        rows.reverse();
        prop_assert_eq!(forwards, rate(&plan, &usage(&rows)).unwrap());
    }
}
