//! Worked cases of the money side, each with its source in `fixtures/golden.json`.

use std::collections::BTreeSet;

use common::{
    invoice::{
        correction::Left,
        tax::{self, TaxRounding, TaxRule, Treatment},
    },
    money::{Currency, Decimal, Exact, Money, UnitPrice},
    plan::{
        Charge, PlanFile,
        price::{Measured, Part, Price, Tier},
    },
    time::{Alignment, Cycle, CycleUnit, Micros, Window, Zone},
};
use serde_json::Value;

use super::{commitment, coupon, proration};

mod bills;

/// Cases of what plans cannot say: which units the first requests brought is not in the sums that are
/// rated. Every other case of the file is tried.
const NOT_OFFERED: [&str; 1] = ["percentage-with-free-events"];

struct Case(Value);

impl Case {
    fn id(&self) -> &str {
        self.0["id"].as_str().unwrap()
    }

    fn input(&self, name: &str) -> &Value {
        &self.0["input"][name]
    }

    fn expected(&self, name: &str) -> &Value {
        &self.0["expected"][name]
    }

    fn currency(&self) -> Currency {
        Currency::from_code(self.input("currency").as_str().unwrap()).unwrap()
    }

    fn money(&self, value: &Value) -> Money {
        Money::parse(text(value), self.currency()).unwrap_or_else(|error| panic!("{}: {error}", self.id()))
    }

    fn rounded(&self, exact: &Exact) -> String {
        exact.to_money(self.currency()).unwrap().digits()
    }
}

fn rule(treatment: Treatment, percent: &Value) -> TaxRule {
    TaxRule { treatment, percent: text(percent).parse().unwrap() }
}

fn cases() -> Vec<Case> {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../../fixtures/golden.json")).unwrap();
    cases.into_iter().map(Case).collect()
}

fn case(id: &str) -> Case {
    cases().into_iter().find(|case| case.id() == id).unwrap_or_else(|| panic!("no case {id}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(text).collect()
}

fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|one| one.as_u64().unwrap()).collect()
}

fn instant(value: &Value) -> Micros {
    text(value).parse().unwrap()
}

fn window(value: &Value) -> Window {
    Window { start: instant(&value[0]), end: instant(&value[1]) }
}

/// A number such as `29/30`.
fn fraction(value: &Value) -> Exact {
    let (numerator, denominator) = text(value).split_once('/').unwrap();
    Exact::ratio(numerator.parse().unwrap(), denominator.parse().unwrap())
}

fn unit_price(amount: &str, per: u64) -> UnitPrice {
    UnitPrice { amount: amount.parse().unwrap(), per }
}

fn tiers(value: &Value) -> Vec<Tier> {
    let tier = |tier: &Value| Tier {
        up_to: tier["up_to"].as_u64(),
        price: tier["unit"].as_str().map(|amount| unit_price(amount, 1)),
        fixed: tier["flat"].as_str().map(|amount| amount.parse().unwrap()),
    };
    value.as_array().unwrap().iter().map(tier).collect()
}

fn price(case: &Case) -> Price {
    match case.0["model"].as_str().unwrap() {
        model if model.starts_with("volume") => Price::Volume(tiers(case.input("tiers"))),
        model if model.starts_with("graduated") => Price::Graduated(tiers(case.input("tiers"))),
        model if model.starts_with("package") => {
            let size = case.input("package_size").as_u64().unwrap();
            Price::Package(unit_price(text(case.input("package_price")), size))
        }
        model if model.starts_with("per unit") => Price::PerUnit(unit_price(text(case.input("unit")), 1)),
        model => panic!("{}: model {model}", case.id()),
    }
}

fn measured(units: u64) -> Measured {
    Measured { units, requests: units }
}

fn digits(case: &Case, parts: &[Part]) -> Vec<String> {
    parts.iter().map(|part| case.rounded(&part.amount)).collect()
}

/// One rounding per line, then the sum.
fn total(case: &Case, parts: &[Part]) -> String {
    let lines = parts.iter().map(|part| part.amount.to_money(case.currency()).unwrap());
    Money::sum(lines, case.currency()).unwrap().digits()
}

#[test]
fn every_price_model_comes_to_what_its_source_says() {
    let mut tried = 0;
    for case in cases() {
        let Some(expected) = case.expected("total_by_quantity").as_object() else { continue };
        let price = price(&case);
        for (quantity, amount) in expected {
            let parts = price.parts(None, measured(quantity.parse().unwrap()));
            assert_eq!(total(&case, &parts), text(amount), "{} of {quantity}", case.id());
        }
        tried += 1;
    }
    assert_eq!(tried, 5);
}

#[test]
fn tiers_with_fixed_parts_are_lines() {
    let case = case("graduated-flat-and-unit-tiers");
    let parts = price(&case).parts(None, measured(22));
    assert_eq!(digits(&case, &parts), texts(case.expected("lines")));
    assert_eq!(total(&case, &parts), text(case.expected("total")));
}

#[test]
fn one_quantity_comes_to_its_total() {
    for id in ["volume-lago-api-calls", "dinar-has-three-places"] {
        let case = case(id);
        let parts = price(&case).parts(None, measured(case.input("quantity").as_u64().unwrap()));
        assert_eq!(total(&case, &parts), text(case.expected("total")), "{id}");
    }
}

#[test]
fn multiplier_on_a_metered_amount_is_exact() {
    let case = case("dynamic-multiplier");
    let factor: Decimal = text(case.input("multiplier")).parse().unwrap();
    let amount: Exact = text(case.input("metered_amount")).parse().unwrap();
    assert_eq!(case.rounded(&(amount * Exact::from(factor))), text(case.expected("total")));
}

#[test]
fn maximum_of_a_period_counts_what_was_billed_before() {
    let case = case("maximum-spend");
    let before = case.input("billed_before_quantity").as_u64().unwrap();
    let now = case.input("quantity_now").as_u64().unwrap();
    let parts = price(&case).parts(Some(measured(before)), measured(before + now));
    let charged = case.money(&Value::from(total(&case, &parts)));
    assert_eq!(charged, case.money(case.expected("charge_now")));
    let (maximum, billed) = (case.money(case.input("maximum")), case.money(case.input("billed_before")));
    let discount = commitment::beyond_maximum(maximum, billed, charged).unwrap();
    assert_eq!(discount, case.money(case.expected("maximum_discount")));
    assert_eq!(charged.checked_sub(discount).unwrap(), case.money(case.expected("due_now")));
}

#[test]
fn allowance_is_used_up_over_the_parts_of_a_period() {
    let case = case("usage-discount-over-three-parts");
    let included = case.input("included_units").as_u64().unwrap();
    let charge = Charge { meter: "units".into(), included, price: Price::PerUnit(unit_price("1", 1)) };
    let (mut before, mut billable) = (Measured::default(), Vec::new());
    for units in numbers(case.input("parts")) {
        let after = measured(before.units + units);
        billable.push(charge.beyond(after).units - charge.beyond(before).units);
        before = after;
    }
    assert_eq!(billable, numbers(case.expected("billable_units")));
}

#[test]
fn late_units_are_priced_in_the_tiers_of_their_period() {
    let case = case("late-usage-graduated");
    let (price, billed) = (price(&case), case.input("billed_quantity").as_u64().unwrap());
    assert_eq!(total(&case, &price.parts(None, measured(billed))), text(case.expected("first_invoice")));
    let late = price.parts(Some(measured(billed)), measured(case.input("quantity_after_late_usage").as_u64().unwrap()));
    let expected = case.expected("later_lines").as_array().unwrap();
    assert_eq!(late.len(), expected.len());
    for (part, line) in late.iter().zip(expected) {
        assert_eq!(part.units, i128::from(line["quantity"].as_u64().unwrap()));
        assert_eq!(case.rounded(&part.amount), text(&line["amount"]));
    }
    assert_eq!(total(&case, &late), text(case.expected("later_total")));
}

#[test]
fn spend_below_a_minimum_is_filled_up() {
    let case = case("minimum-commitment-true-up");
    let (minimum, one) = (case.money(case.input("minimum")), Exact::whole(1));
    for (place, charged) in case.input("usage").as_array().unwrap().iter().enumerate() {
        let charged = case.money(charged);
        let missing = commitment::true_up(minimum, &one, charged).unwrap();
        assert_eq!(missing, case.money(&case.expected("true_up")[place]));
        assert_eq!(charged.checked_add(missing).unwrap(), case.money(&case.expected("total")[place]));
    }
}

#[test]
fn first_week_cuts_fee_and_minimum_alike() {
    let case = case("minimum-commitment-first-week");
    let (start, zone) = (instant(case.input("start")), Zone::utc());
    let period = Cycle::new(CycleUnit::Week, Alignment::Calendar, start, &zone).unwrap().period_at(start).unwrap();
    assert_eq!(period, window(case.input("period")));
    let used = Window { start, end: period.end };
    let fee = proration::prorate(case.money(case.input("plan_fee")), &[used], &period).unwrap()[0];
    assert_eq!(fee, case.money(case.expected("fee_for_5_of_7_days")));
    let charged = fee.checked_add(case.money(case.input("usage"))).unwrap();
    let share = proration::share(&used, &period);
    let missing = commitment::true_up(case.money(case.input("minimum")), &share, charged).unwrap();
    assert_eq!(missing, case.money(case.expected("true_up")));
    assert_eq!(charged.checked_add(missing).unwrap(), case.money(case.expected("total")));
}

#[test]
fn quarter_is_cut_by_exact_time() {
    let case = case("quarter-cut-by-exact-time");
    let (fee, used) = (case.money(case.input("fee")), window(case.input("used")));
    let part = proration::prorate(fee, &[used], &window(case.input("period"))).unwrap()[0];
    assert_eq!(part, case.money(case.expected("fee")));
}

#[test]
fn late_units_take_nothing_from_the_allowance_of_another_month() {
    let case = case("late-usage-under-the-allowance-of-its-month");
    let file = PlanFile::parse(include_str!("../../../config/plans.yaml"), "plans.yaml").unwrap();
    let plan = file.plans.into_iter().find(|plan| plan.id.as_str() == text(case.input("plan"))).unwrap();
    let (fee, charge, currency) = (plan.flat_fee().unwrap(), &plan.charges[0], plan.currency);
    let units = |name: &str| case.input(name).as_u64().unwrap();
    let bill = |parts: Vec<Part>| {
        let lines = parts.into_iter().map(|part| part.amount.to_money(currency).unwrap());
        Money::sum(lines, currency).unwrap()
    };
    let billed = measured(units("november_billed_units"));
    let november = fee.checked_add(bill(charge.parts(None, billed))).unwrap();
    assert_eq!(november.digits(), text(case.expected("november_invoice")));
    let late = charge.parts(Some(billed), measured(billed.units + units("late_november_units")));
    let expected = case.expected("december_invoice");
    assert_eq!(
        late.iter().map(|part| part.units).sum::<i128>(),
        expected["late_line"]["units"].as_i64().unwrap().into()
    );
    let late = bill(late);
    assert_eq!(late.digits(), text(&expected["late_line"]["amount"]));
    let december = bill(charge.parts(None, measured(units("december_units"))));
    let total = Money::sum([fee, december, late], currency).unwrap();
    assert_eq!(total.digits(), text(&expected["total"]));
}

#[test]
fn every_case_is_tried() {
    let tried = [include_str!("golden.rs"), include_str!("golden/bills.rs")];
    let is_tried = |case: &Case| {
        let name = format!("\"{}\"", case.id());
        case.expected("total_by_quantity").is_object() || tried.iter().any(|tried| tried.contains(&name))
    };
    let missing: BTreeSet<String> =
        cases().iter().filter(|case| !is_tried(case)).map(|case| case.id().into()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(NOT_OFFERED.iter().all(|id| cases().iter().any(|case| case.id() == *id)));
}
