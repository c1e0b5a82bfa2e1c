//! Rules of a bill at their edges, each as a table: figures by hand.

use std::collections::BTreeMap;

use common::{
    plan::{PlanFile, price::Measured, subscription::BillingOverride},
    time::{Period, Zone},
};

use super::*;

mod coupons;

static NONE: BillingOverride = BillingOverride::NONE;

fn plan(currency: &str, text: &str) -> Plan {
    let text = format!("plans: [{{ id: a, name: A, currency: {currency}, {text} }}]");
    PlanFile::parse(&text, "test").unwrap().plans.remove(0)
}

fn at(text: &str) -> Micros {
    text.parse().unwrap()
}

fn window(start: &str, end: &str) -> Window {
    Window { start: at(start), end: at(end) }
}

fn month(period: &str, zone: &str) -> Window {
    period.parse::<Period>().unwrap().window(&zone.parse::<Zone>().unwrap()).unwrap()
}

/// Units of `requests` under each plan, and of `tokens` under the first.
fn used(requests: &[u64], tokens: u64) -> TenantTotals {
    let measured = |units: u64| Measured { units, requests: units.min(3) };
    let of = |charged: Vec<Measured>| MeterTotals { charged, credit: 0, beyond_quota: 0 };
    let mut meters = BTreeMap::new();
    meters.insert("requests".to_owned(), of(requests.iter().map(|units| measured(*units)).collect()));
    if tokens > 0 {
        meters.insert("tokens".to_owned(), of(vec![measured(tokens)]));
    }
    TenantTotals::of_meters(meters)
}

fn terms<'a>(whole: Window, plans: &'a [Term<'a>], coupons: &'a [Coupon]) -> PeriodTerms<'a> {
    PeriodTerms { period: CyclePeriod::uncut(whole), plans, add_ons: &[], coupons }
}

/// Kinds and amounts of the lines that come to something, and the total.
fn told(lines: &[Line], currency: Currency) -> (Vec<(LineKind, String)>, String) {
    let some = lines.iter().filter(|line| !line.amount.is_zero());
    (some.map(|line| (line.kind, line.amount.digits())).collect(), total(lines, currency).unwrap().digits())
}

fn bill(plan: &Plan, units: u64) -> String {
    total(&rate(plan, &used(&[units], 0)).unwrap(), plan.currency).unwrap().digits()
}

#[test]
fn units_at_the_edge_of_an_allowance_and_of_tiers_are_in_the_one_before() {
    let tiers = "[{ up_to: 10, price: { amount: '1', per: 1 } }, { up_to: 20, price: { amount: '0.5', per: 1 }, fixed: '3' }, \
                 { price: { amount: '0.1', per: 1 } }]";
    let cases = [
        (
            "tiers",
            tiers,
            [
                ("4", "0.00"),
                ("5", "0.00"),
                ("6", "1.00"),
                ("15", "10.00"),
                ("16", "13.50"),
                ("25", "18.00"),
                ("26", "18.10"),
            ],
        ),
        (
            "volume",
            tiers,
            [
                ("4", "0.00"),
                ("5", "0.00"),
                ("6", "1.00"),
                ("15", "10.00"),
                ("16", "8.50"),
                ("25", "13.00"),
                ("26", "2.10"),
            ],
        ),
        (
            "package",
            "{ amount: '2', per: 10 }",
            [
                ("4", "0.00"),
                ("5", "0.00"),
                ("6", "2.00"),
                ("15", "2.00"),
                ("16", "4.00"),
                ("25", "4.00"),
                ("26", "6.00"),
            ],
        ),
        (
            "per_unit",
            "{ amount: '1', per: 3 }",
            [
                ("4", "0.00"),
                ("5", "0.00"),
                ("6", "0.33"),
                ("15", "3.33"),
                ("16", "3.67"),
                ("25", "6.67"),
                ("26", "7.00"),
            ],
        ),
    ];
    for (model, price, bills) in cases {
        let plan =
            plan("USD", &format!("flat_fee: '0', charges: [{{ meter: requests, included: 5, {model}: {price} }}]"));
        for (units, expected) in bills {
            assert_eq!(bill(&plan, units.parse().unwrap()), expected, "{units} units by {model}");
        }
    }
}

#[test]
fn fee_is_prorated_by_the_hours_that_a_month_has() {
    // On 29 March 2026, the clock of Berlin goes from 02:00 to 03:00: the month has 743 hours.
    let spring = month("2026-03", "Europe/Berlin");
    let cases = [
        ("74.30", spring, window("2026-03-15T23:00:00Z", "2026-04-30T22:00:00Z"), "38.30"),
        ("74.30", spring, window("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"), "2.30"),
        // 25 October 2026 has 25 hours.
        ("74.50", month("2026-10", "Europe/Berlin"), window("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"), "2.50"),
        // 29 days in February 2028, 366 in the year.
        ("29.00", month("2028-02", "UTC"), window("2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"), "1.00"),
        (
            "366.00",
            window("2028-01-01T00:00:00Z", "2029-01-01T00:00:00Z"),
            window("2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"),
            "1.00",
        ),
        (
            "365.00",
            window("2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"),
            window("2027-12-31T00:00:00Z", "2028-06-01T00:00:00Z"),
            "1.00",
        ),
        // The last microsecond.
        (
            "2592.00",
            window("2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z"),
            window("2026-04-30T23:59:59.999999Z", "2026-06-01T00:00:00Z"),
            "0.00",
        ),
        (
            "20000000000.00",
            window("2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z"),
            window("2026-04-30T23:59:59.999999Z", "2026-06-01T00:00:00Z"),
            "0.01",
        ),
    ];
    for (fee, whole, part, expected) in cases {
        let plan = plan("EUR", &format!("flat_fee: '{fee}', billing: {{ prorate: true }}"));
        let plans = [Term { plan: &plan, terms: &NONE, part }];
        let lines = rate_period(&terms(whole, &plans, &[]), &TenantTotals::default()).unwrap();
        assert_eq!(told(&lines, plan.currency).1, expected, "{fee} of {part:?}");
    }
}

#[test]
fn fee_in_a_currency_of_other_decimals_rounds_to_them() {
    for (currency, fee, expected) in [("JPY", "1000", "323"), ("KWD", "1.000", "0.323"), ("USD", "1.00", "0.32")] {
        let plan = plan(currency, &format!("flat_fee: '{fee}', billing: {{ prorate: true }}"));
        let part = window("2026-03-22T00:00:00Z", "2026-05-01T00:00:00Z");
        let plans = [Term { plan: &plan, terms: &NONE, part }];
        let lines = rate_period(&terms(month("2026-03", "UTC"), &plans, &[]), &TenantTotals::default()).unwrap();
        assert_eq!(told(&lines, plan.currency).1, expected, "10 of 31 days of {fee} {currency}");
    }
}

/// Terms of a plan, a part of a period, requests in it, and the lines that must come of it.
type Case = (&'static str, Window, u64, Vec<(LineKind, &'static str)>);

#[test]
fn spends_count_for_the_part_of_the_period_if_the_plan_prorates() {
    use LineKind::{Discount, FlatFee, Minimum, Usage};
    let charges = "charges: [{ meter: requests, per_unit: { amount: '1', per: 1 } }]";
    let half = window("2026-04-16T00:00:00Z", "2026-06-01T00:00:00Z");
    let cases: [Case; 8] = [
        (
            "prorate: true, minimum_spend: '100.00'",
            half,
            10,
            vec![(FlatFee, "5.00"), (Usage, "10.00"), (Minimum, "35.00")],
        ),
        ("prorate: true, minimum_spend: '100.00'", half, 45, vec![(FlatFee, "5.00"), (Usage, "45.00")]),
        ("prorate: true, minimum_spend: '100.00'", half, 46, vec![(FlatFee, "5.00"), (Usage, "46.00")]),
        ("minimum_spend: '100.00'", half, 10, vec![(FlatFee, "10.00"), (Usage, "10.00"), (Minimum, "80.00")]),
        (
            "prorate: true, maximum_spend: '100.00'",
            half,
            46,
            vec![(FlatFee, "5.00"), (Usage, "46.00"), (Discount, "-1.00")],
        ),
        ("prorate: true, maximum_spend: '100.00'", half, 45, vec![(FlatFee, "5.00"), (Usage, "45.00")]),
        ("maximum_spend: '100.00'", half, 91, vec![(FlatFee, "10.00"), (Usage, "91.00"), (Discount, "-1.00")]),
        (
            "minimum_spend: '60.00', maximum_spend: '60.00'",
            half,
            70,
            vec![(FlatFee, "10.00"), (Usage, "70.00"), (Discount, "-20.00")],
        ),
    ];
    for (billing, part, units, expected) in cases {
        let plan = plan("EUR", &format!("flat_fee: '10.00', billing: {{ {billing} }}, {charges}"));
        let plans = [Term { plan: &plan, terms: &NONE, part }];
        let lines = rate_period(&terms(month("2026-04", "UTC"), &plans, &[]), &used(&[units], 0)).unwrap();
        let expected: Vec<_> = expected.into_iter().map(|(kind, amount)| (kind, amount.to_owned())).collect();
        assert_eq!(told(&lines, plan.currency).0, expected, "{billing}, {units} units");
    }
}

#[test]
fn time_of_trial_or_pause_owes_neither_fee_nor_minimum() {
    let plan = plan(
        "EUR",
        "flat_fee: '30.00', billing: { prorate: true, minimum_spend: '60.00' }, \
         charges: [{ meter: requests, per_unit: { amount: '1', per: 1 } }]",
    );
    let first = window("2026-04-01T00:00:00Z", "2026-04-11T00:00:00Z");
    let second = window("2026-04-11T00:00:00Z", "2026-05-01T00:00:00Z");
    let trial = BillingOverride { trial: true, ..BillingOverride::NONE };
    let paused = BillingOverride { paused: true, ..BillingOverride::NONE };
    // Usage in a trial is free, that in a pause is charged. 20 of 30 days count.
    for (own, expected) in [(&trial, [("20.00", "3.00", "17.00"); 1]), (&paused, [("20.00", "8.00", "12.00"); 1])] {
        let plans = [Term { plan: &plan, terms: own, part: first }, Term { plan: &plan, terms: &NONE, part: second }];
        let lines = rate_period(&terms(month("2026-04", "UTC"), &plans, &[]), &used(&[5, 3], 0)).unwrap();
        let found: Vec<String> = told(&lines, plan.currency).0.into_iter().map(|(_, amount)| amount).collect();
        let (fee, usage, minimum) = expected[0];
        assert_eq!(found, [fee, usage, minimum], "{own:?}");
    }
}

#[test]
fn units_are_priced_by_the_last_plan_that_prices_them_with_one_allowance() {
    let charge = |price: &str| {
        format!("charges: [{{ meter: requests, included: 100, per_unit: {{ amount: '{price}', per: 1 }} }}]")
    };
    let (first, second) = (
        plan("EUR", &format!("flat_fee: '10.00', {}", charge("1"))),
        plan("EUR", &format!("flat_fee: '20.00', {}", charge("2"))),
    );
    let bare = plan("EUR", "flat_fee: '5.00'");
    let [one, other] = [
        window("2026-04-01T00:00:00Z", "2026-04-16T00:00:00Z"),
        window("2026-04-16T00:00:00Z", "2026-05-01T00:00:00Z"),
    ];
    for (plans, units, expected) in [
        // The fee of the last, 50 units beyond one allowance at its price.
        ([&first, &second], [90, 60], "120.00"),
        ([&second, &first], [90, 60], "60.00"),
        // A plan without a price leaves owed what was used before it, and gives away what is used
        // under it.
        ([&first, &bare], [150, 1_000], "55.00"),
        ([&bare, &first], [1_000, 150], "60.00"),
    ] {
        let plans =
            [Term { plan: plans[0], terms: &NONE, part: one }, Term { plan: plans[1], terms: &NONE, part: other }];
        let lines = rate_period(&terms(month("2026-04", "UTC"), &plans, &[]), &used(&units, 0)).unwrap();
        assert_eq!(told(&lines, first.currency).1, expected, "{units:?}");
    }
}

#[test]
fn add_on_is_due_in_full_or_by_time_as_its_plan_says() {
    let base = plan("EUR", "flat_fee: '10.00'");
    let (full, by_time) =
        (plan("EUR", "flat_fee: '3.33'"), plan("EUR", "flat_fee: '3.00', billing: { prorate: true }"));
    let april = month("2026-04", "UTC");
    let plans = [Term { plan: &base, terms: &NONE, part: april }];
    let half = window("2026-04-16T00:00:00Z", "2026-09-01T00:00:00Z");
    let before = window("2026-01-16T00:00:00Z", "2026-04-01T00:00:00Z");
    for (plan, quantity, part, expected) in [
        (&full, 1, half, Some(("A, add-on", 1, "3.33"))),
        (&full, 2_000, half, Some(("2,000 x A, add-on", 2_000, "6660.00"))),
        (&full, 1, before, None),
        (&by_time, 1, april, Some(("A, add-on", 1, "3.00"))),
        (&by_time, 3, half, Some(("3 x A, add-on from 2026-04-16T00:00:00Z up to 2026-05-01T00:00:00Z", 3, "4.50"))),
    ] {
        let add_ons = [AddOn { plan, quantity, part }];
        let terms = PeriodTerms { add_ons: &add_ons, ..terms(april, &plans, &[]) };
        let lines = rate_period(&terms, &TenantTotals::default()).unwrap();
        let found = lines.iter().skip(1).map(|line| (line.description.as_str(), line.quantity, line.amount.digits()));
        let expected = expected.map(|(text, count, amount)| (text, i128::from(count), amount.to_owned()));
        assert_eq!(found.collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
    }
    let dollars = plan("USD", "flat_fee: '1.00'");
    let add_ons = [AddOn { plan: &dollars, quantity: 1, part: half }];
    let terms = PeriodTerms { add_ons: &add_ons, ..terms(april, &plans, &[]) };
    assert!(matches!(rate_period(&terms, &TenantTotals::default()), Err(RatingError::FeeCurrency { .. })));
}

#[test]
fn units_that_are_held_back_and_those_of_others_are_counted_apart() {
    let tenant = common::id::TenantId::from_u128(1);
    let used = |meter: &'static str, units, paid| Used {
        tenant,
        meter,
        mode: common::key::Mode::Live,
        billable: true,
        paid,
        requests: 10,
        units,
    };
    let mut totals = Totals::default();
    totals.add_for(tenant, 1, &used("requests", 100, common::usage::PaidBy::Charge)).unwrap();
    totals.add_for(tenant, 1, &used("requests", 7, common::usage::PaidBy::Credit)).unwrap();
    let beyond = |units, requests| Measured { units, requests };
    totals.hold_back(tenant, 1, "requests", beyond(30, 4));
    totals.hold_back(tenant, 0, "requests", beyond(30, 4));
    totals.hold_back(tenant, 1, "tokens", beyond(30, 4));
    let found = totals.tenant(tenant).unwrap().clone();
    let meter = found.meter("requests").unwrap();
    assert_eq!(meter.charged, [beyond(0, 0), beyond(70, 6)]);
    assert_eq!((meter.credit, meter.beyond_quota), (7, 30));
    totals.hold_back(tenant, 1, "requests", beyond(500, 50));
    let meter = totals.tenant(tenant).unwrap().meter("requests").unwrap();
    assert_eq!((meter.charged[1], meter.beyond_quota), (beyond(0, 0), 100));
    let both = found.plus(&self::used(&[5], 9)).plus(&self::used(&[1, 2, 3], 0));
    let meter = both.meter("requests").unwrap();
    assert_eq!(meter.charged, [beyond(6, 4), beyond(72, 8), beyond(3, 3)]);
    assert_eq!((meter.credit, meter.beyond_quota), (7, 30));
    assert_eq!(both.meter("tokens").unwrap().charged, [beyond(9, 3)]);
    let twice = found.plus(&found);
    assert_eq!((twice.meter("requests").unwrap().credit, twice.meter("requests").unwrap().beyond_quota), (14, 60));
}

#[test]
fn units_that_cost_nothing_say_why() {
    let plan = plan(
        "EUR",
        "flat_fee: '0', charges: [{ meter: requests, included: 10, per_unit: { amount: '1', per: 1 } }], prepaid: [tokens]",
    );
    let bare = self::plan("EUR", "flat_fee: '0'");
    let trial = BillingOverride { trial: true, ..BillingOverride::NONE };
    let april = month("2026-04", "UTC");
    let told = |plans: &[Term<'_>], usage: &TenantTotals| {
        let lines = rate_period(&terms(april, plans, &[]), usage).unwrap();
        let free = lines.into_iter().filter(|line| line.amount.is_zero() && line.kind != LineKind::FlatFee);
        free.map(|line| (line.description, line.quantity)).collect::<Vec<_>>()
    };
    let one = |plan, terms| [Term { plan, terms, part: april }];
    let text =
        |texts: &[(&str, i128)]| texts.iter().map(|(text, units)| ((*text).to_owned(), *units)).collect::<Vec<_>>();
    assert_eq!(
        told(&one(&plan, &NONE), &used(&[25], 4)),
        text(&[("requests: up to 10", 10), ("tokens: prepaid, used without credit", 4)])
    );
    assert_eq!(told(&one(&plan, &trial), &used(&[25], 0)), text(&[("requests: used in the trial", 25)]));
    assert_eq!(told(&one(&bare, &NONE), &used(&[25], 0)), text(&[("requests: not part of the plan", 25)]));
    let both = [Term { plan: &bare, terms: &NONE, part: april }, Term { plan: &plan, terms: &NONE, part: april }];
    assert_eq!(
        told(&both, &used(&[25, 3], 0)),
        text(&[("requests: up to 10", 3), ("requests: used while the plan then put no price on it", 25)])
    );
}
