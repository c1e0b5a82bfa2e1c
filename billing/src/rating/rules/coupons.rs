//! Coupons and discounts beside minimum and maximum.

use super::*;

fn coupon(code: &str, discount: Discount, meter: Option<&str>) -> Coupon {
    Coupon { code: code.into(), discount, meter: meter.map(Into::into) }
}

#[test]
fn coupons_apply_in_their_order_to_what_is_left() {
    let amount = |minor, currency| Discount::Amount(Money::from_minor(minor, currency));
    let percent = |text: &str| Discount::Percent(text.parse().unwrap());
    let eur = Currency::EUR;
    let tokens = Some("tokens");
    let cases: [(Vec<Coupon>, &str); 8] = [
        // 20.00 of fee, 30.00 of requests, 10.01 of tokens: 60.01.
        (vec![coupon("a", percent("10"), None)], "54.01"),
        (vec![coupon("a", amount(1_000, eur), None), coupon("b", percent("50"), None)], "25.00"),
        (vec![coupon("a", percent("50"), None), coupon("b", amount(1_000, eur), None)], "20.00"),
        (vec![coupon("a", amount(100_000, eur), None)], "0.00"),
        (vec![coupon("a", amount(100_000, eur), tokens)], "50.00"),
        (vec![coupon("a", percent("100"), tokens), coupon("b", amount(1, eur), None)], "49.99"),
        (vec![coupon("a", percent("33.3333"), tokens)], "56.67"),
        (vec![coupon("a", amount(1_000, eur), Some("images"))], "60.01"),
    ];
    let plan = plan(
        "EUR",
        "flat_fee: '20.00', charges: [{ meter: requests, per_unit: { amount: '1', per: 1 } }, \
         { meter: tokens, per_unit: { amount: '0.0077', per: 1 } }]",
    );
    let plans = [Term { plan: &plan, terms: &NONE, part: month("2026-04", "UTC") }];
    for (coupons, expected) in cases {
        let lines = rate_period(&terms(month("2026-04", "UTC"), &plans, &coupons), &used(&[30], 1_300)).unwrap();
        assert_eq!(told(&lines, eur).1, expected, "{coupons:?}");
    }
}

#[test]
fn coupon_in_amount_is_split_over_yen_and_dinars_without_loss() {
    for (currency, minor, expected) in [("JPY", 100, [33, 34, 33]), ("KWD", 1_000, [333, 334, 333])] {
        let code = Currency::from_code(currency).unwrap();
        let lines = [333, 334, 333].map(|part| Money::from_minor(part * 10, code));
        let off = coupon::discounts(&lines, Discount::Amount(Money::from_minor(minor, code)), code).unwrap();
        assert_eq!(off.into_iter().map(Money::minor).collect::<Vec<_>>(), expected, "{currency}");
    }
}

#[test]
fn discount_that_was_agreed_on_comes_before_the_minimum_and_coupons_after_it() {
    let plan = plan(
        "EUR",
        "flat_fee: '20.00', billing: { minimum_spend: '40.00' }, \
         charges: [{ meter: requests, per_unit: { amount: '1', per: 1 } }]",
    );
    let own = BillingOverride { discount_percent: Some("25".parse().unwrap()), ..BillingOverride::NONE };
    let plans = [Term { plan: &plan, terms: &own, part: month("2026-04", "UTC") }];
    let coupons = [coupon("a", Discount::Percent("10".parse().unwrap()), None)];
    let lines = rate_period(&terms(month("2026-04", "UTC"), &plans, &coupons), &used(&[10], 0)).unwrap();
    let amounts: Vec<String> = told(&lines, plan.currency).0.into_iter().map(|(_, amount)| amount).collect();
    // 20.00 + 10.00 less a quarter is 22.50; 17.50 are missing; 10 % of 32.50 without a meter and
    // of 7.50 with one.
    assert_eq!(amounts, ["20.00", "10.00", "-5.00", "-2.50", "17.50", "-3.25", "-0.75"]);
    assert_eq!(told(&lines, plan.currency).1, "36.00");
}
