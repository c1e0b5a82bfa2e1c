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

    /// The price of the units of a month, in cents; each line is rounded.
    pub(super) fn price(self, units: i128) -> i128 {
        let beyond = |included: i128| (units - included).max(0);
        match self {
            Self::Flat => rounded(beyond(100) * 133, 100),
            Self::Tiered => {
                let second = beyond(200);
                let fixed = if second > 0 { 150 } else { 0 };
                units.min(200) * 5 + rounded(second * 31, 10) + fixed
            }
            Self::Pack => (beyond(10) + 29) / 30 * 250,
            Self::Bare => 0,
            Self::Bulk => rounded(units * 7, 10),
            Self::Retail => rounded(beyond(50) * 21, 10),
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

    #[test]
    fn prices_are_those_of_the_plans() {
        assert_eq!(Plan::Flat.price(103), 4);
        assert_eq!(Plan::Tiered.price(200), 1_000);
        assert_eq!(Plan::Tiered.price(201), 1_000 + 3 + 150);
        assert_eq!([10, 11, 40, 41].map(|units| Plan::Pack.price(units)), [0, 250, 250, 500]);
    }

    #[test]
    fn tax_is_on_top_of_lines_or_within_them() {
        assert_eq!(Tax::OnTop(190).parts(999), (999, 190));
        assert_eq!(Tax::Within(70).parts(1_070), (1_000, 70));
    }
}
