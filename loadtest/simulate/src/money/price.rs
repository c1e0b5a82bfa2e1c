//! The plans of the model, priced plainly: whole cents and fractions of whole numbers. Nothing here
//! calls the code that bills.

/// A plan that tenants may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// A fee in full, 100 units, then a price for each.
    Flat,
    /// A fee by time, and two tiers.
    Tiered,
    /// A fee in full, 10 units, then packages.
    Pack,
    /// A fee by time, and no price on any unit.
    Bare,
    /// Of resellers: a fee by time, and a price for each unit of the whole subtree.
    Bulk,
    /// A plan of a reseller: a fee in full, 50 units, then a price for each.
    Retail,
}

/// The plans that a root sells.
pub(super) const ROOT_PLANS: &str = "
plans:
  - id: flat
    name: Flat
    currency: USD
    flat_fee: '19.99'
    charges: [{ meter: requests, included: 100, per_unit: { amount: '0.0133', per: 1 } }]
  - id: tiered
    name: Tiered
    currency: USD
    flat_fee: '49.95'
    billing: { prorate: true }
    charges:
      - meter: requests
        tiers:
          - { up_to: 200, price: { amount: '0.05', per: 1 } }
          - { price: { amount: '0.031', per: 1 }, fixed: '1.50' }
  - id: pack
    name: Pack
    currency: USD
    flat_fee: '5.00'
    charges: [{ meter: requests, included: 10, package: { amount: '2.50', per: 30 } }]
  - { id: bare, name: Bare, currency: USD, flat_fee: '3.33', billing: { prorate: true } }
  - id: bulk
    name: Bulk
    currency: USD
    flat_fee: '100.00'
    billing: { prorate: true, wholesale: true }
    charges: [{ meter: requests, per_unit: { amount: '0.007', per: 1 } }]
";

/// The plan that each reseller sells.
pub(super) const RESELLER_PLANS: &str = "
plans:
  - id: retail
    name: Retail
    currency: USD
    flat_fee: '9.90'
    charges: [{ meter: requests, included: 50, per_unit: { amount: '0.021', per: 1 } }]
";

/// A line of a bill before taxes, in cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    /// True for units of the meter, false for fees and fixed parts.
    pub(super) is_metered: bool,
    pub(super) amount: i128,
}

/// A coupon that a tenant redeems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coupon {
    /// A tenth off everything, for ever.
    Tenth,
    /// Seven dollars off everything, in the month in which it is redeemed.
    Seven,
    /// A third off the units, for ever.
    ThirdOfUnits,
}

impl Coupon {
    pub(super) const ALL: [Self; 3] = [Self::Tenth, Self::Seven, Self::ThirdOfUnits];

    /// Its code in the store.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Tenth => "TENTH",
            Self::Seven => "SEVEN",
            Self::ThirdOfUnits => "THIRD",
        }
    }

    /// Takes it off what is left of the lines without a meter and of those with one.
    pub(super) fn take_off(self, left: [i128; 2]) -> [i128; 2] {
        match self {
            Self::Tenth => left.map(|part| part - rounded(part, 10)),
            Self::Seven => {
                let off = split(700.min(left[0] + left[1]), &left);
                [left[0] - off[0], left[1] - off[1]]
            }
            Self::ThirdOfUnits => [left[0], left[1] - rounded(left[1] * 333_333, 1_000_000)],
        }
    }
}

/// An amount in whole cents by weights: each gets its share rounded down, and the cents that are
/// left go to those that lost most by that, to the later one of two that lost the same.
pub(super) fn split(amount: i128, weights: &[i128]) -> Vec<i128> {
    let all: i128 = weights.iter().sum();
    if all == 0 {
        return vec![0; weights.len()];
    }
    let mut parts: Vec<i128> = weights.iter().map(|weight| amount * weight / all).collect();
    let mut places: Vec<usize> = (0..weights.len()).collect();
    places.sort_by_key(|place| (amount * weights[*place] % all, *place));
    let left = usize::try_from(amount - parts.iter().sum::<i128>()).unwrap_or(0);
    for place in places.into_iter().rev().take(left) {
        parts[place] += 1;
    }
    parts
}

/// A fraction rounded to a whole number, halves away from zero.
pub(super) const fn rounded(numerator: i128, denominator: i128) -> i128 {
    let doubled = 2 * numerator.abs() + denominator;
    let size = doubled / (2 * denominator);
    if numerator < 0 { -size } else { size }
}

impl Plan {
    /// Its name in the store.
    pub(super) const fn id(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Tiered => "tiered",
            Self::Pack => "pack",
            Self::Bare => "bare",
            Self::Bulk => "bulk",
            Self::Retail => "retail",
        }
    }

    /// The fee of a whole month, in cents.
    pub(super) const fn fee(self) -> i128 {
        match self {
            Self::Flat => 1_999,
            Self::Tiered => 4_995,
            Self::Pack => 500,
            Self::Bare => 333,
            Self::Bulk => 10_000,
            Self::Retail => 990,
        }
    }

    /// True if the fee is due for the time in which the plan was in force.
    pub(super) const fn is_by_time(self) -> bool {
        matches!(self, Self::Tiered | Self::Bare | Self::Bulk)
    }

    pub(super) const fn prices_units(self) -> bool {
        !matches!(self, Self::Bare)
    }

    pub(super) const fn is_wholesale(self) -> bool {
        matches!(self, Self::Bulk)
    }

    /// The lines of the units of a month, in cents, each of them rounded.
    pub(super) fn lines(self, units: i128) -> Vec<Line> {
        let beyond = |included: i128| (units - included).max(0);
        let one = |amount| vec![Line { is_metered: true, amount }];
        match self {
            Self::Flat => one(rounded(beyond(100) * 133, 100)),
            Self::Tiered => {
                let second = beyond(200);
                let amounts = [(true, units.min(200) * 5), (true, rounded(second * 31, 10))];
                let fixed = (false, if second > 0 { 150 } else { 0 });
                let line = |(is_metered, amount)| Line { is_metered, amount };
                amounts.into_iter().chain([fixed]).map(line).collect()
            }
            Self::Pack => one((beyond(10) + 29) / 30 * 250),
            Self::Bare => Vec::new(),
            Self::Bulk => one(rounded(units * 7, 10)),
            Self::Retail => one(rounded(beyond(50) * 21, 10)),
        }
    }
}

/// The way in which a tenant is taxed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tax {
    /// Not at all.
    Nothing,
    /// So many tenths of a percent on top.
    OnTop(i128),
    /// So many tenths of a percent, which the amounts contain.
    Within(i128),
}

impl Tax {
    /// The parts of an amount of lines: without tax, and the tax.
    pub(super) const fn parts(self, lines: i128) -> (i128, i128) {
        match self {
            Self::Nothing => (lines, 0),
            Self::OnTop(rate) => (lines, rounded(lines * rate, 1_000)),
            Self::Within(rate) => {
                let tax = rounded(lines * rate, 1_000 + rate);
                (lines - tax, tax)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_away_from_zero() {
        assert_eq!([5, -5, 4, -4, 6].map(|tenths| rounded(tenths, 10)), [1, -1, 0, 0, 1]);
    }

    fn price(plan: Plan, units: i128) -> i128 {
        plan.lines(units).iter().map(|line| line.amount).sum()
    }

    #[test]
    fn prices_are_those_of_the_plans() {
        assert_eq!(price(Plan::Flat, 103), 4);
        assert_eq!(price(Plan::Tiered, 200), 1_000);
        assert_eq!(price(Plan::Tiered, 201), 1_000 + 3 + 150);
        assert_eq!([10, 11, 40, 41].map(|units| price(Plan::Pack, units)), [0, 250, 250, 500]);
    }

    #[test]
    fn coupons_take_off_what_they_say() {
        assert_eq!(Coupon::Tenth.take_off([1_005, 94]), [904, 85]);
        assert_eq!(Coupon::Seven.take_off([1_000, 500]), [533, 267]);
        assert_eq!(Coupon::Seven.take_off([300, 100]), [0, 0]);
        assert_eq!(Coupon::ThirdOfUnits.take_off([1_000, 300]), [1_000, 200]);
    }

    #[test]
    fn cents_that_are_left_go_to_those_that_lost_most() {
        assert_eq!(split(1_000, &[3_333, 3_333, 3_334]), [333, 333, 334]);
        assert_eq!(split(1, &[1, 1, 1]), [0, 0, 1]);
        assert_eq!(split(5, &[0, 0]), [0, 0]);
    }

    #[test]
    fn tax_is_on_top_of_lines_or_within_them() {
        assert_eq!(Tax::OnTop(190).parts(999), (999, 190));
        assert_eq!(Tax::Within(70).parts(1_070), (1_000, 70));
    }
}
