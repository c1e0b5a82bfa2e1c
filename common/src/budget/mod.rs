//! Budgets in money: what the usage of a tenant, its subtree or a key may cost in a period of the bill
//! that it is on.
//!
//! Invariants: a threshold is told once in a period, in the transaction that notes it; gateways refuse
//! a scope if and only if its budget is hard and what was counted last has reached the amount, until
//! that period ends. What was spent is counted elsewhere: a budget only keeps it.

mod rows;
mod spending;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use self::spending::Noted;
use crate::{
    id::{KeyId, TenantId},
    money::Money,
    store::StoreError,
    time::Window,
};

/// Largest amount of a budget, in minor units.
const AMOUNT_MINOR_MAX: i64 = 10_000_000_000_000;

/// Most thresholds of a budget.
const THRESHOLDS_MAX: usize = 10;

/// Largest threshold, in percent of the amount.
const PERCENT_MAX: u16 = 1_000;

/// Thresholds of a budget that states none, in percent.
pub const THRESHOLDS_DEFAULT: [u16; 2] = [80, 100];

/// Usage that a budget counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BudgetScope {
    /// Usage of the tenant's own keys.
    Own,
    /// Usage of the tenant and of everybody below it.
    Subtree,
    /// Usage of one key of the tenant.
    Key(KeyId),
}

/// A budget, as somebody sets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewBudget {
    /// The tenant.
    pub tenant: TenantId,
    /// Usage that counts.
    pub scope: BudgetScope,
    /// Most that the usage may cost in a period of the bill that it is on.
    pub amount: Money,
    /// True if gateways refuse requests once the amount is reached.
    pub hard: bool,
    /// Percents of the amount that are told once reached, each once, in their order.
    pub thresholds: Vec<u16>,
}

/// A budget, with what was counted last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// The budget.
    pub set: NewBudget,
    /// None until it was counted, and while nobody is billed for the usage in the budget's currency.
    pub standing: Option<BudgetStanding>,
}

/// Money that was spent of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetStanding {
    /// The period of the bill.
    pub period: Window,
    /// The cost of the usage, without fees, minimum, coupons and tax.
    pub spent: Money,
}

impl NewBudget {
    /// Checks what the types alone cannot hold.
    pub fn validate(&self) -> Result<(), StoreError> {
        if !(1..=AMOUNT_MINOR_MAX).contains(&self.amount.minor()) {
            let most = Money::from_minor(AMOUNT_MINOR_MAX, self.amount.currency());
            return Err(StoreError::refused(format!("amount: must be above zero, and at most {most}")));
        }
        if self.thresholds.len() > THRESHOLDS_MAX {
            return Err(StoreError::refused(format!("thresholds: state {THRESHOLDS_MAX} at most")));
        }
        if !self.thresholds.is_sorted_by(|one, next| one < next) {
            return Err(StoreError::refused("thresholds: write each percent once, in their order"));
        }
        if self.thresholds.iter().any(|percent| !(1..=PERCENT_MAX).contains(percent)) {
            return Err(StoreError::refused(format!("thresholds: use percents from 1 to {PERCENT_MAX}")));
        }
        Ok(())
    }

    /// The thresholds above `told` that an amount has reached, in their order.
    fn reached(&self, spent: Money, told: u16) -> impl Iterator<Item = u16> {
        let (spent, amount) = (i128::from(spent.minor()), i128::from(self.amount.minor()));
        let is_reached = move |percent: &u16| *percent > told && spent * 100 >= amount * i128::from(*percent);
        self.thresholds.iter().copied().filter(is_reached)
    }
}

impl Budget {
    /// Returns true if gateways refuse requests for it until the period ends.
    pub fn is_refusing(&self) -> bool {
        let amount = self.set.amount.minor();
        self.set.hard && self.standing.is_some_and(|standing| standing.spent.minor() >= amount)
    }
}

impl fmt::Display for BudgetScope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => formatter.pad("own"),
            Self::Subtree => formatter.pad("subtree"),
            Self::Key(key) => key.fmt(formatter),
        }
    }
}

impl FromStr for BudgetScope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "own" => Ok(Self::Own),
            "subtree" => Ok(Self::Subtree),
            key => key.parse().map(Self::Key).map_err(|_| "write own, subtree or the id of a key".to_owned()),
        }
    }
}

impl Serialize for BudgetScope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BudgetScope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    fn budget(amount: i64, thresholds: &[u16]) -> NewBudget {
        NewBudget {
            tenant: TenantId::from_u128(1),
            scope: BudgetScope::Own,
            amount: Money::from_minor(amount, Currency::EUR),
            hard: true,
            thresholds: thresholds.to_vec(),
        }
    }

    #[test]
    fn thresholds_are_reached_by_the_cent_and_each_once() {
        let budget = budget(1_001, &[50, 80, 100]);
        let reached =
            |spent, told| -> Vec<u16> { budget.reached(Money::from_minor(spent, Currency::EUR), told).collect() };
        assert!(reached(500, 0).is_empty());
        assert_eq!(reached(501, 0), [50]);
        assert_eq!(reached(1_000, 50), [80]);
        assert_eq!(reached(1_001, 50), [80, 100]);
        assert!(reached(9_999, 100).is_empty());
        assert!(reached(-1, 0).is_empty());
    }

    #[test]
    fn budget_that_makes_no_sense_is_refused_with_its_field() {
        for (amount, thresholds, field) in [
            (0, &[100][..], "amount"),
            (AMOUNT_MINOR_MAX + 1, &[100], "amount"),
            (1, &[100, 80], "thresholds"),
            (1, &[80, 80], "thresholds"),
            (1, &[0], "thresholds"),
            (1, &[1_001], "thresholds"),
            (1, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], "thresholds"),
        ] {
            let refused = budget(amount, thresholds).validate().unwrap_err().to_string();
            assert!(refused.contains(field), "{refused}");
        }
        assert!(budget(AMOUNT_MINOR_MAX, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1_000]).validate().is_ok());
        assert!(budget(1, &[]).validate().is_ok());
    }

    #[test]
    fn hard_budget_refuses_from_its_amount_on() {
        let standing = |minor| {
            let (period, spent) = (Window { start: crate::time::Micros(0), end: crate::time::Micros(9) }, minor);
            Some(BudgetStanding { period, spent: Money::from_minor(spent, Currency::EUR) })
        };
        let refuses = |set: &NewBudget, standing| Budget { set: set.clone(), standing }.is_refusing();
        let hard = budget(100, &[]);
        let soft = NewBudget { hard: false, ..hard.clone() };
        assert_eq!([99, 100, 101].map(|spent| refuses(&hard, standing(spent))), [false, true, true]);
        assert!(!refuses(&hard, None) && !refuses(&soft, standing(101)));
    }

    #[test]
    fn scopes_parse_back() {
        for scope in [BudgetScope::Own, BudgetScope::Subtree, BudgetScope::Key(KeyId::from_u128(7))] {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        assert!("all".parse::<BudgetScope>().is_err());
    }
}
