//! Cases of taxes, credit notes, periods and money in advance.

use super::*;

#[test]
fn credit_note_takes_back_the_unused_part_with_its_tax() {
    let case = case("credit-note-25-percent-a");
    let (fee, rule) = (case.money(case.input("fee")), rule(Treatment::Exclusive, case.input("tax_rate")));
    let tax = tax::groups(&[(fee, rule)], TaxRounding::PerRate, case.currency()).unwrap()[0].tax;
    let net = (Exact::from(fee) * fraction(case.input("unused"))).to_money(case.currency()).unwrap();
    let credited = Left { net: fee, tax }.credit(net, &rule).unwrap();
    assert_eq!(credited.net, case.money(case.expected("net")));
    assert_eq!(credited.tax, case.money(case.expected("tax")));
    assert_eq!(credited.total().unwrap(), case.money(case.expected("total")));
}

#[test]
fn credit_notes_leave_no_more_than_the_invoice_charged() {
    let case = case("credit-note-odd-rate");
    let (fee, rule) = (case.money(case.input("fee")), rule(Treatment::Exclusive, case.input("tax_rate")));
    let group = tax::groups(&[(fee, rule)], TaxRounding::PerRate, case.currency()).unwrap()[0];
    let invoice = case.expected("invoice");
    assert_eq!((group.net, group.tax), (case.money(&invoice["net"]), case.money(&invoice["tax"])));
    let mut left = Left { net: group.net, tax: group.tax };
    let net = (Exact::from(fee) * fraction(case.input("unused"))).to_money(case.currency()).unwrap();
    let (credited, note) = (left.credit(net, &rule).unwrap(), case.expected("credit_note"));
    assert_eq!((credited.net, credited.tax), (case.money(&note["net"]), case.money(&note["tax"])));
    assert_eq!(credited.total().unwrap(), case.money(&note["total"]));
    assert_eq!(left.total().unwrap(), case.money(case.expected("left_to_credit")));
}

#[test]
fn upgrade_halfway_credits_the_old_plan_and_charges_the_new_one() {
    let case = case("upgrade-halfway");
    let (period, change) = (Window { start: Micros(0), end: Micros(1_000) }, Micros(500));
    let rest = Window { start: change, end: period.end };
    let part = |fee: &str| proration::prorate(case.money(case.input(fee)), &[rest], &period).unwrap()[0];
    let credit = Money::zero(case.currency()).checked_sub(part("old_fee")).unwrap();
    let lines = [credit, part("new_fee")];
    assert_eq!(lines.map(Money::digits).to_vec(), texts(case.expected("lines")));
    assert_eq!(Money::sum(lines, case.currency()).unwrap(), case.money(case.expected("net")));
}

#[test]
fn anchor_on_the_31st_is_kept() {
    let case = case("anchor-on-the-31st");
    let starts = |day: &str, count: i64| -> Vec<String> {
        let start: Micros = format!("{day}T00:00:00Z").parse().unwrap();
        let cycle = Cycle::new(CycleUnit::Month, Alignment::Anniversary, start, &Zone::utc()).unwrap();
        (0..count).map(|number| cycle.period(number).unwrap().start.to_string()[..10].to_owned()).collect()
    };
    let count = case.input("months").as_i64().unwrap();
    assert_eq!(starts(text(case.input("anchor")), count), texts(case.expected("period_starts")));
    let also = case.expected("also");
    assert_eq!(starts(text(&also["anchor"]), 2)[1], text(&also["second"]));
}

#[test]
fn tax_is_rounded_once_for_each_rate() {
    for id in ["tax-by-rate-not-by-line", "japan-one-rounding-per-rate"] {
        let case = case(id);
        let rule = rule(Treatment::Exclusive, case.input("tax_rate"));
        let lines = case.input("lines_net").as_array().unwrap();
        let lines: Vec<_> = lines.iter().map(|net| (case.money(net), rule)).collect();
        let group = tax::groups(&lines, TaxRounding::PerRate, case.currency()).unwrap()[0];
        assert_eq!(group.tax, case.money(case.expected("tax")), "{id}");
        assert_eq!(group.net.checked_add(group.tax).unwrap(), case.money(case.expected("total")), "{id}");
    }
}

#[test]
fn two_rates_are_two_groups() {
    let case = case("two-tax-rates");
    let line = |group: &Value| (case.money(&group["net"]), rule(Treatment::Exclusive, &group["tax_rate"]));
    let lines: Vec<_> = case.input("groups").as_array().unwrap().iter().map(line).collect();
    let groups = tax::groups(&lines, TaxRounding::PerRate, case.currency()).unwrap();
    let taxes: Vec<String> = groups.iter().map(|group| group.tax.digits()).collect();
    assert_eq!(taxes, texts(case.expected("tax")));
    let total = groups.iter().flat_map(|group| [group.net, group.tax]);
    assert_eq!(Money::sum(total, case.currency()).unwrap(), case.money(case.expected("total")));
}

#[test]
fn reverse_charge_has_no_tax_and_a_note() {
    let case = case("reverse-charge");
    let rule = TaxRule { treatment: Treatment::ReverseCharge, percent: Decimal::ZERO };
    let group =
        tax::groups(&[(case.money(case.input("net")), rule)], TaxRounding::PerRate, case.currency()).unwrap()[0];
    assert_eq!(group.tax, case.money(case.expected("tax")));
    assert_eq!(group.net, case.money(case.expected("total")));
    assert_eq!(rule.note(), case.expected("note_required").as_str());
    assert_eq!(rule.category(), text(case.expected("category")));
}

#[test]
fn money_credit_is_used_before_anything_is_due() {
    let case = case("credits-then-invoice");
    let (charge, balance) = (case.money(case.input("charge")), case.money(case.input("balance")));
    let used = coupon::discounts(&[charge], coupon::Discount::Amount(balance), case.currency()).unwrap()[0];
    assert_eq!(used, case.money(case.expected("credits_used")));
    assert_eq!(charge.checked_sub(used).unwrap(), case.money(case.expected("invoice")));
    assert_eq!(balance.checked_sub(used).unwrap(), case.money(case.expected("balance_after")));
}

#[test]
fn amount_that_came_through_a_float_is_rounded_once() {
    let case = case("top-up-with-float-noise");
    let credits: Exact = text(case.input("credits")).parse().unwrap();
    let rate: Exact = text(case.input("rate")).parse().unwrap();
    assert_eq!(case.rounded(&credits), text(case.expected("credits")));
    assert_eq!(case.rounded(&(credits * rate)), text(case.expected("invoice")));
}

#[test]
fn coupon_is_split_over_its_lines() {
    let case = case("coupon-over-three-lines");
    let lines: Vec<Money> = case.input("lines").as_array().unwrap().iter().map(|line| case.money(line)).collect();
    let amount = coupon::Discount::Amount(case.money(case.input("coupon")));
    let off = coupon::discounts(&lines, amount, case.currency()).unwrap();
    assert_eq!(off.iter().map(|one| one.digits()).collect::<Vec<_>>(), texts(case.expected("allocated")));
    let (lines, off) = (Money::sum(lines, case.currency()).unwrap(), Money::sum(off, case.currency()).unwrap());
    assert_eq!(lines.checked_sub(off).unwrap(), case.money(case.expected("total")));
}
